//! Why a transaction left the pool is told also after a restart, to those who were told that it is
//! kept: the journal of departures.
//!
//! Mistakes made by hand, each caught here: nothing written; departures of peers' transactions
//! written; nothing struck off the store when the ring forgets; a name forgotten although a later
//! departure of the same transaction is in the ring.

use chain::{
    Batch, Input, MemoryStore, Reader, Store, Ticket, Time, TxHash,
    params::POOL_DEPARTURES,
    pool::{Departure, DepartureChanges, Pool, PoolContext, PoolError, Reason, Source},
};

use crate::{
    pool::{account, paying},
    support::{
        builder::{Builder, LGN, Wallet, regtest},
        shell::Shell,
    },
};

const GWEI: u128 = 1_000_000_000;

#[test]
fn reasons_outlive_a_restart() {
    let wallet = Wallet::new(1);
    let mut builder = Builder::new(regtest(&[&wallet]));
    let mut shell = Shell::new(&builder.spec);
    let submit = |shell: &mut Shell, tip: u128| {
        let transaction = paying(&wallet, 0, tip, 1);
        let hash = transaction.hash();
        let ticket = Ticket(1);
        shell.input(Input::Submitted {
            ticket,
            transaction,
        });
        hash
    };
    let first = submit(&mut shell, GWEI);
    let second = submit(&mut shell, 2 * GWEI);
    let told = |shell: &Shell, hash: &TxHash| shell.node.pool().departure(hash).cloned();
    let before = told(&shell, &first).expect("replaced");
    assert_eq!(before.reason, Reason::Replaced { by: second });

    let mut shell = shell.restarted();
    let after = told(&shell, &first).expect("told again");
    assert_eq!(after.reason.code(), "replaced");
    assert_eq!(after.reason.to_string(), before.reason.to_string());
    assert_eq!(after.unix_secs, before.unix_secs);
    assert_eq!(told(&shell, &second), None);

    // Where a transaction was mined is told by the chain; another branch may use the nonce.
    let taken = paying(&wallet, 0, 2 * GWEI, 1);
    let block = builder.mine_with(builder.genesis, std::slice::from_ref(&taken));
    shell.own(&block);
    assert_eq!(told(&shell, &second).unwrap().reason.code(), "mined");
    let mut shell = shell.restarted();
    assert_eq!(told(&shell, &second), None);
    let other = wallet.pay(0, wallet.address, 2 * LGN);
    let rival = builder.mine_with(builder.genesis, &[other]);
    let best = builder.mine(crate::support::builder::hash(&rival));
    shell.own(&rival);
    shell.own(&best);
    let shell = shell.restarted().restarted();
    assert_eq!(
        told(&shell, &second).unwrap().reason.code(),
        "not_taken_back"
    );
    assert_eq!(told(&shell, &first).unwrap().reason.code(), "replaced");
}

fn context(unix_secs: u64) -> PoolContext {
    PoolContext {
        gas_limit: 30_000_000,
        base_fee_min: 7,
        base_fee: 7,
        now: Time {
            unix_secs,
            monotonic_ms: 1_000 * unix_secs,
        },
    }
}

/// What a store that takes all changes has in the end.
fn commit(store: &mut MemoryStore, departed: DepartureChanges) -> usize {
    let batch = Batch {
        departed,
        ..Batch::default()
    };
    store.commit(&batch).unwrap();
    store.snapshot().unwrap().departed().unwrap().len()
}

#[test]
fn only_what_a_user_sent_is_kept() {
    let mut pool = Pool::default();
    let rich = account(0, 1_000 * LGN);
    for (number, source) in [(1, Source::Peer), (2, Source::User)] {
        let wallet = Wallet::new(number);
        for tip in [GWEI, 2 * GWEI] {
            let transaction = paying(&wallet, 0, tip, 1);
            let taken = pool.insert(&transaction, Some(&rich), &context(1), source);
            taken.unwrap();
        }
    }
    let departed: Vec<_> = pool.take_departed().into_keys().collect();
    assert_eq!(departed, [paying(&Wallet::new(2), 0, GWEI, 1).hash()]);
}

/// R1: the store keeps as many as the ring, and what left twice is kept as long as its last time.
#[test]
fn r1_kept_departures_are_bounded() {
    let (mut pool, mut store) = (Pool::default(), MemoryStore::default());
    let hash = |number: usize| {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_be_bytes());
        TxHash(hash)
    };
    let mut unix_secs = 0;
    let mut leave = |pool: &mut Pool, number: usize| {
        unix_secs += 1;
        let now = context(unix_secs).now;
        let (want, got) = (1, 0);
        pool.not_taken_back(hash(number), PoolError::NonceTooLow { want, got }, now);
        commit(&mut store, pool.take_departed())
    };
    for number in 0..POOL_DEPARTURES {
        assert_eq!(leave(&mut pool, number), number + 1);
    }
    assert_eq!(leave(&mut pool, 0), POOL_DEPARTURES, "the same one again");
    assert_eq!(leave(&mut pool, POOL_DEPARTURES), POOL_DEPARTURES);
    let pooled = pool.snapshot();
    assert!(pooled.departure(&hash(0)).is_some() && pooled.departure(&hash(1)).is_none());

    // A pool that takes them back forgets in the same order.
    let stored = store.snapshot().unwrap().departed().unwrap();
    let stored = stored.iter().map(|bytes| Departure::decode(bytes).unwrap());
    let mut again = Pool::default();
    again.remember(stored.collect());
    assert!(again.take_departed().is_empty(), "the store has them");
    let now = context(9_999).now;
    let (want, got) = (1, 0);
    again.not_taken_back(hash(9_999), PoolError::NonceTooLow { want, got }, now);
    let changes = again.take_departed();
    assert_eq!(changes.len(), 2);
    assert_eq!(changes[&hash(2)], None, "the oldest makes room");
}

#[test]
fn what_is_damaged_is_not_read() {
    let departure = Departure {
        hash: TxHash([7; 32]),
        reason: Reason::Expired { secs: 5 },
        unix_secs: 9,
    };
    let bytes = departure.encode();
    let read = Departure::decode(&bytes).unwrap();
    assert_eq!(read.encode(), bytes);
    assert_eq!(read.reason.to_string(), "expired after 5 seconds");
    for end in 0..bytes.len() {
        assert!(Departure::decode(&bytes[..end]).is_err(), "cut at {end}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(Departure::decode(&longer).is_err());
    let mut renamed = bytes;
    let at = renamed.windows(7).position(|part| part == b"expired");
    renamed[at.unwrap()] = b'E';
    let error = Departure::decode(&renamed).unwrap_err();
    assert!(error.contains("Expired"), "{error}");
}
