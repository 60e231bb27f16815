//! What somebody might do to a pool on purpose, by the id of the threat.

use std::time::Duration;

use chain::{
    Account, Address, CheckedTransaction, PoolError, Time,
    params::{POOL_DEPARTURES, POOL_PER_SENDER},
    pool::{Class, Pool, PoolContext, PoolLimits, Reason, Source, Waiting},
};

use crate::{
    pool::{CONTEXT, account, paying},
    support::builder::{GWEI, LGN, Wallet, transfer},
};

/// The context after some time.
fn later(time: Duration) -> PoolContext {
    let now = Time {
        unix_secs: CONTEXT.now.unix_secs + time.as_secs(),
        monotonic_ms: CONTEXT.now.monotonic_ms + u64::try_from(time.as_millis()).unwrap(),
    };
    PoolContext { now, ..CONTEXT }
}

fn pool(count: usize) -> Pool {
    let bytes = usize::MAX;
    Pool::new(PoolLimits { count, bytes })
}

fn rich() -> Account {
    account(0, 1_000_000 * LGN)
}

fn take(pool: &mut Pool, tx: &CheckedTransaction) -> Result<(), PoolError> {
    pool.insert(tx, Some(&rich()), &CONTEXT, Source::Peer)
}

/// A first transfer that pays the base fee and nothing to the miner.
fn tipless(who: u64) -> CheckedTransaction {
    let mut tx = transfer(0, Address::ZERO, 1);
    tx.max_priority_fee_per_gas = 0;
    Wallet::new(who).sign(tx)
}

/// A transfer with so many bytes of data, at an effective tip.
fn heavy(wallet: &Wallet, nonce: u64, tip: u128, bytes: usize) -> CheckedTransaction {
    let mut tx = transfer(nonce, Address::ZERO, 1);
    (tx.max_fee_per_gas, tx.max_priority_fee_per_gas) = (100 * tip, tip);
    tx.gas_limit = 16_000_000;
    tx.input = vec![0; bytes].into();
    wallet.sign(tx)
}

/// M1: a flood of a full pool pays more and more for ever fewer places, and never grows it; when it
/// is over, the least fee falls again.
#[test]
fn m1_the_floor_rises_and_falls() {
    let mut pool = pool(8);
    for who in 0..8 {
        take(&mut pool, &paying(&Wallet::new(who), 0, GWEI, 1)).unwrap();
    }
    // Just above the worst gets in once, and then no longer.
    let above = |who: u64, wei: u128| {
        let mut tx = transfer(0, Address::ZERO, 1);
        tx.max_priority_fee_per_gas = GWEI + wei;
        Wallet::new(who).sign(tx)
    };
    take(&mut pool, &above(10, 1)).unwrap();
    let (want, got) = (21 * GWEI / 10, 2 * GWEI + 2);
    let refused = take(&mut pool, &above(11, 2)).unwrap_err();
    assert_eq!(refused, PoolError::Floor { want, got });
    assert_eq!(refused.code(), "fee_below_floor");
    assert!(refused.is_for_now());
    let evicted = pool.snapshot().departures().next().unwrap().clone();
    let floor = 11 * GWEI / 10;
    assert_eq!(evicted.reason, Reason::Evicted { floor });
    assert_eq!(
        evicted.hash,
        paying(&Wallet::new(7), 0, GWEI, 1).hash(),
        "the latest of equals"
    );
    // A burst of ever higher fees raises it by a tenth over each that goes.
    let (mut floors, mut rounds) = (vec![floor], 0);
    while rounds < 80 {
        let tip = floors.last().unwrap() * 105 / 100;
        let _ = take(&mut pool, &paying(&Wallet::new(100 + rounds), 0, tip, 1));
        floors.push(pool.snapshot().floor(CONTEXT.now.monotonic_ms));
        assert!(pool.snapshot().len() <= 8);
        rounds += 1;
    }
    assert!(floors.is_sorted() && floors[80] > 2 * GWEI, "{floors:?}");
    let half_life = Duration::from_secs(600);
    let at = |halves: u32| {
        pool.snapshot()
            .floor(later(half_life * halves).now.monotonic_ms)
    };
    assert_eq!([at(1), at(2), at(200)], [floors[80] / 2, floors[80] / 4, 0]);
    // As soon as there is room, nothing of it is left.
    for who in 0..3 {
        let best = pool.snapshot().candidates(1, 1).remove(0);
        let used = account(1, LGN);
        pool.account_changed(&best.sender(), Some(&used), &|_| None, CONTEXT.now);
        assert_eq!(pool.snapshot().len(), 7 - who);
    }
    assert_eq!(pool.snapshot().floor(CONTEXT.now.monotonic_ms), 0);
}

/// M1: no eviction leaves a hole, and a rich tail does not shelter a poor beginning.
#[test]
fn m1_the_tail_goes_first() {
    let mut pool = pool(6);
    let (shelter, honest) = (Wallet::new(1), Wallet::new(2));
    take(&mut pool, &paying(&shelter, 0, GWEI, 1)).unwrap();
    for nonce in 1..4 {
        take(&mut pool, &paying(&shelter, nonce, 50 * GWEI, 1)).unwrap();
    }
    for nonce in 0..2 {
        take(&mut pool, &paying(&honest, nonce, 2 * GWEI, 1)).unwrap();
    }
    for (who, left) in [(3, 3), (4, 2), (5, 1), (6, 0)] {
        take(&mut pool, &paying(&Wallet::new(who), 0, 60 * GWEI, 1)).unwrap();
        let nonces: Vec<_> = pool
            .snapshot()
            .of(&shelter.address)
            .map(|tx| tx.nonce())
            .collect();
        assert_eq!(nonces, (0..left).collect::<Vec<_>>());
        assert_eq!(pool.snapshot().of(&honest.address).count(), 2);
    }
    // Its own sender's poorer one keeps a newcomer out too, with that one's price.
    let mut pool = pool_of_two(&shelter);
    let refused = take(&mut pool, &paying(&shelter, 1, 50 * GWEI, 1)).unwrap_err();
    let (want, got) = (6 * GWEI, 2 * GWEI);
    assert_eq!(refused, PoolError::Full { want, got });
}

fn pool_of_two(shelter: &Wallet) -> Pool {
    let mut pool = pool(2);
    take(&mut pool, &paying(shelter, 0, GWEI, 1)).unwrap();
    take(&mut pool, &paying(&Wallet::new(9), 0, 5 * GWEI, 1)).unwrap();
    pool
}

/// M1: promises behind a poor beginning set no floor and make no room dear: nobody would ever have
/// to keep them.
#[test]
fn m1_sheltered_promises_count_for_nothing() {
    let mut pool = pool(4);
    let (liar, promise) = (Wallet::new(1), 1_000_000 * GWEI);
    take(&mut pool, &paying(&liar, 0, GWEI, 1)).unwrap();
    for nonce in 1..4 {
        take(&mut pool, &paying(&liar, nonce, promise, 1)).unwrap();
    }
    take(&mut pool, &paying(&Wallet::new(2), 0, 2 * GWEI, 1)).unwrap();
    assert_eq!(pool.snapshot().of(&liar.address).count(), 3);
    let floor = pool.snapshot().floor(CONTEXT.now.monotonic_ms);
    assert_eq!(
        floor,
        11 * GWEI / 10,
        "a tenth more than the beginning paid"
    );
    take(&mut pool, &paying(&Wallet::new(3), 0, 2 * GWEI, 1)).unwrap();
    // By bytes: the room of two of them for hardly more than they would have paid.
    let size = paying(&liar, 0, GWEI, 1).bytes().len();
    let promised = paying(&liar, 1, promise, 1).bytes().len();
    let (count, bytes) = (usize::MAX, size + 3 * promised);
    let mut pool = Pool::new(PoolLimits { count, bytes });
    take(&mut pool, &paying(&liar, 0, GWEI, 1)).unwrap();
    for nonce in 1..4 {
        take(&mut pool, &paying(&liar, nonce, promise, 1)).unwrap();
    }
    take(&mut pool, &heavy(&Wallet::new(2), 0, 3 * GWEI, size)).unwrap();
    assert!(pool.snapshot().of(&liar.address).count() <= 2);
}

/// M1: a large newcomer does not drive out many small ones for the price of a few.
#[test]
fn m1_a_large_newcomer_pays_for_the_room() {
    let small = paying(&Wallet::new(0), 0, GWEI, 1).bytes().len();
    let (count, bytes) = (usize::MAX, 40 * small);
    let mut pool = Pool::new(PoolLimits { count, bytes });
    for who in 0..40 {
        take(&mut pool, &paying(&Wallet::new(who), 0, GWEI, 1)).unwrap();
    }
    assert!(pool.snapshot().bytes() <= bytes);
    let before = pool.snapshot().candidates(1, 100);
    let large = Wallet::new(100);
    let newcomer = heavy(&large, 0, 11 * GWEI / 10, 20 * small);
    let refused = take(&mut pool, &newcomer).unwrap_err();
    let PoolError::Displaces { count, want, got } = &refused else {
        panic!("{refused}");
    };
    assert!(*count >= 20 && got < want, "{refused}");
    assert_eq!(refused.code(), "pool_full_for_size");
    assert_eq!(
        pool.snapshot().candidates(1, 100),
        before,
        "nothing has changed"
    );
    assert_eq!(pool.snapshot().departures().count(), 0);
    // One that pays more than all of them together may.
    take(&mut pool, &heavy(&large, 0, 30 * GWEI, 20 * small)).unwrap();
    assert!(pool.snapshot().len() <= 21 && pool.snapshot().bytes() <= bytes);
    // And for the room of one, its own price is enough, however large that one is.
    let mut pool = pool_of_large(&large);
    take(&mut pool, &paying(&Wallet::new(1), 0, 12 * GWEI / 10, 1)).unwrap();
    assert_eq!(pool.snapshot().of(&large.address).count(), 0);
}

fn pool_of_large(large: &Wallet) -> Pool {
    let mut pool = pool(1);
    take(&mut pool, &heavy(large, 0, GWEI, 50_000)).unwrap();
    pool
}

/// M2: what no state can make right is refused before the account or a full pool is looked at, so
/// a flood of it costs comparisons and changes nothing.
#[test]
fn m2_cheap_checks_come_first() {
    let mut pool = pool(1);
    take(&mut pool, &paying(&Wallet::new(1), 0, GWEI, 1)).unwrap();
    let before = pool.snapshot();
    let mut tx = transfer(7, Address::ZERO, u128::MAX);
    tx.gas_limit = 20_999;
    let refused = pool.insert(&Wallet::new(2).sign(tx), None, &CONTEXT, Source::Peer);
    assert_eq!(refused.unwrap_err().code(), "gas_limit_too_low");
    let poor = pool.insert(
        &paying(&Wallet::new(3), 0, 9 * GWEI, 1),
        None,
        &CONTEXT,
        Source::Peer,
    );
    assert_eq!(poor.unwrap_err().code(), "balance_too_low");
    assert!(
        std::sync::Arc::ptr_eq(&before, &pool.snapshot()),
        "not even a new version"
    );
}

/// M3: parked nonces take few places, none of those that can be mined, and only for three hours.
#[test]
fn m3_parked_nonces_push_out_nobody() {
    let mut pool = pool(40);
    let park = |who: u64, nonce: u64| paying(&Wallet::new(who), nonce, 1_000 * GWEI, 1);
    for nonce in 1..=16 {
        take(&mut pool, &park(1, nonce)).unwrap();
    }
    let beyond = take(&mut pool, &park(1, 17)).unwrap_err();
    assert_eq!(beyond, PoolError::NonceTooHigh { want: 16, got: 17 });
    for nonce in 1..=16 {
        take(&mut pool, &park(2, nonce)).unwrap();
    }
    assert_eq!((pool.snapshot().len(), pool.snapshot().pending()), (32, 0));
    assert_eq!(pool.snapshot().candidates(0, 99), []);
    // Those that can be mined push them out for the smallest fee, and never the other way round.
    for who in 10..50 {
        take(&mut pool, &tipless(who)).unwrap();
    }
    assert_eq!((pool.snapshot().len(), pool.snapshot().pending()), (40, 40));
    let refused = take(&mut pool, &park(3, 5)).unwrap_err();
    assert_eq!(refused, PoolError::NoRoomToWait { want: 0, got: 5 });
    assert_eq!(
        pool.snapshot().floor(CONTEXT.now.monotonic_ms),
        0,
        "they paid nothing"
    );
}

/// M3: time ends every wait; a gap that was filled in time counts from then.
#[test]
fn m3_waiting_ends() {
    let (mut pool, wallet) = (Pool::default(), Wallet::new(1));
    let hours = |hours: u64| later(Duration::from_secs(3_600 * hours));
    for nonce in [1, 2, 4] {
        take(&mut pool, &paying(&wallet, nonce, GWEI, 1)).unwrap();
    }
    let first = paying(&wallet, 0, GWEI, 1);
    pool.insert(&first, Some(&rich()), &hours(2), Source::Peer)
        .unwrap();
    pool.expire(hours(3).now);
    let nonces = |pool: &Pool| -> Vec<u64> {
        pool.snapshot()
            .of(&wallet.address)
            .map(|tx| tx.nonce())
            .collect()
    };
    assert_eq!(
        nonces(&pool),
        [0, 1, 2],
        "nonce 4 has waited for three hours"
    );
    let gone = pool.snapshot().departures().next().unwrap().clone();
    let secs = 3 * 3_600;
    assert_eq!(
        (gone.reason, gone.unix_secs),
        (Reason::Expired { secs }, hours(3).now.unix_secs)
    );
    pool.expire(hours(25).now);
    assert_eq!(nonces(&pool).len(), 3);
    pool.expire(hours(26).now);
    assert!(
        nonces(&pool).is_empty(),
        "all were pending since the second hour"
    );
    assert_eq!(pool.snapshot().departures().count(), 4);
}

/// M4: a hundred replacements of one transaction cost their sender ten thousand times its fee.
#[test]
fn m4_replacements_grow_dear() {
    let (mut pool, wallet) = (Pool::default(), Wallet::new(1));
    let (mut tip, mut sent) = (1_000_u128, Vec::new());
    for _ in 0..100 {
        let tx = paying(&wallet, 0, GWEI + tip, 1);
        take(&mut pool, &tx).unwrap();
        let again = take(&mut pool, &paying(&wallet, 0, (GWEI + tip) * 109 / 100, 1));
        assert_eq!(again.unwrap_err().code(), "replacement_underpriced");
        tip = (GWEI + tip) * 11 / 10 + 1 - GWEI;
        sent.push(tx.hash());
    }
    assert!(tip > 10_000 * GWEI, "{tip}");
    assert_eq!(pool.snapshot().len(), 1);
    let replaced = pool.snapshot().departure(&sent[3]).cloned().unwrap();
    assert_eq!(replaced.reason, Reason::Replaced { by: sent[4] });
}

/// M5: undone ones come back below the floor too: they had been good enough for a block.
#[test]
fn m5_the_floor_is_not_for_undone_ones() {
    let mut pool = pool(4);
    for who in 0..5 {
        take(
            &mut pool,
            &paying(&Wallet::new(who), 0, u128::from(who + 1) * GWEI, 1),
        )
        .unwrap();
    }
    let spent = account(1, LGN);
    for who in 3..5 {
        let address = Wallet::new(who).address;
        pool.account_changed(&address, Some(&spent), &|_| None, CONTEXT.now);
    }
    take(&mut pool, &paying(&Wallet::new(7), 0, 9 * GWEI, 1)).unwrap();
    let cheap = paying(&Wallet::new(9), 0, GWEI, 1);
    assert_eq!(
        take(&mut pool, &cheap).unwrap_err().code(),
        "fee_below_floor"
    );
    pool.insert(&cheap, Some(&rich()), &CONTEXT, Source::Reorg)
        .unwrap();
    assert!(
        pool.take_journal().contains_key(&cheap.hash()),
        "and a restart keeps them"
    );
}

/// M6: an account that is drained leaves nothing that a template would try, and what it left takes
/// nobody's place; when the money comes back, so do they.
#[test]
fn m6_a_drained_account() {
    let (wallet, count) = (Wallet::new(1), POOL_PER_SENDER as u64);
    let mut pool = pool(POOL_PER_SENDER + 1);
    let each = 1_000 * LGN;
    let full = account(0, u128::from(count) * (each + LGN));
    let pay = |nonce: u64| {
        let tx = paying(&wallet, nonce, GWEI, each);
        (tx.hash(), tx)
    };
    for nonce in 0..count {
        pool.insert(&pay(nonce).1, Some(&full), &CONTEXT, Source::Peer)
            .unwrap();
    }
    let drained = account(0, each + LGN);
    pool.account_changed(&wallet.address, Some(&drained), &|_| None, CONTEXT.now);
    assert_eq!((pool.snapshot().len(), pool.snapshot().pending()), (64, 1));
    assert_eq!(pool.snapshot().candidates(1, 99), [pay(0).1]);
    let snapshot = pool.snapshot();
    let entry = snapshot.entry(&pay(1).0).unwrap();
    assert_eq!(entry.class, Class::Queued);
    let why = snapshot.why_waiting(&pay(1).0, 1).unwrap();
    assert!(
        matches!(why, Waiting::Balance { got, .. } if got == each + LGN),
        "{why}"
    );
    // The poorest stranger that can pay comes before them.
    for who in 2..5 {
        take(&mut pool, &tipless(who)).unwrap();
    }
    assert_eq!(pool.snapshot().of(&wallet.address).count(), 62);
    pool.account_changed(&wallet.address, Some(&full), &|_| None, CONTEXT.now);
    assert_eq!(pool.snapshot().pending(), 65);
}

/// R1: what is remembered of departures is bounded, the latest stay.
#[test]
fn r1_departures_are_bounded() {
    let (mut pool, wallet) = (Pool::default(), Wallet::new(1));
    let count = POOL_DEPARTURES as u64 + 30;
    let tx = paying(&wallet, 0, GWEI, 1);
    for number in 0..count {
        let error = PoolError::Known(tx.hash());
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_be_bytes());
        pool.not_taken_back(chain::TxHash(hash), error, CONTEXT.now);
    }
    assert_eq!(pool.snapshot().departures().count(), POOL_DEPARTURES);
    let first = pool.snapshot().departures().next().unwrap().hash;
    assert_eq!(first.0[..8], (count - 1).to_be_bytes());
}
