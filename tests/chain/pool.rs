//! The transaction pool: each of its refusals, and where it is full.

use alloy_consensus::TxEip1559;
use alloy_primitives::{TxKind, U256};
use chain::{
    Account, Address, CheckedTransaction, PoolError, Time,
    params::POOL_PER_SENDER,
    pool::{Pool, PoolContext, PoolLimits, Reason, Source},
};

use crate::support::builder::{GWEI, LGN, Wallet, transfer};

pub const CONTEXT: PoolContext = PoolContext {
    gas_limit: 30_000_000,
    base_fee_min: 1_000_000_000,
    base_fee: 1_000_000_000,
    now: Time {
        unix_secs: 1_700_000_000,
        monotonic_ms: 5_000,
    },
};

pub fn account(nonce: u64, balance: u128) -> Account {
    Account {
        nonce,
        balance,
        code_hash: None,
    }
}

pub fn paying(wallet: &Wallet, nonce: u64, tip: u128, wei: u128) -> CheckedTransaction {
    let mut transaction = transfer(nonce, Address::ZERO, wei);
    transaction.max_fee_per_gas = 10 * tip;
    transaction.max_priority_fee_per_gas = tip;
    wallet.sign(transaction)
}

/// A transfer with nonce 5, altered.
fn altered(alter: &dyn Fn(&mut TxEip1559)) -> TxEip1559 {
    let mut tx = transfer(5, Address::ZERO, 1);
    alter(&mut tx);
    tx
}

/// A refusal by a pool that holds the plain transfer: its name, and both numbers in its sentence.
/// The account's nonce is 5 and its balance 1,000 LGN.
fn refused(alter: &dyn Fn(&mut TxEip1559), code: &str, numbers: &[&str]) {
    let (mut pool, rich) = (Pool::default(), account(5, 1_000 * LGN));
    let plain = Wallet::new(1).sign(altered(&|_| {}));
    pool.insert(&plain, Some(&rich), &CONTEXT, Source::Peer)
        .unwrap();
    let tx = Wallet::new(1).sign(altered(alter));
    let error = pool
        .insert(&tx, Some(&rich), &CONTEXT, Source::Peer)
        .expect_err(code);
    let text = error.to_string();
    assert_eq!(error.code(), code, "{text}");
    for number in numbers {
        assert!(text.contains(number), "{code}: {text:?} without {number}");
    }
    if let Some((want, got)) = error.numbers() {
        let has_both = text.contains(&want) && text.contains(&got);
        assert!(has_both, "{code}: {text:?}, {want}, {got}");
    }
    assert_eq!(pool.snapshot().len(), 1);
}

/// Rule T5 and Rule T7 at the pool's door: what no state can make right.
#[test]
fn t5_t7_refusals_without_state() {
    refused(&|_| {}, "already_known", &["0x"]);
    let low: &[&str] = &["20999", "21000"];
    refused(&|tx| tx.gas_limit = 20_999, "gas_limit_too_low", low);
    let high: &[&str] = &["16777217", "16777216"];
    refused(&|tx| tx.gas_limit = 16_777_217, "gas_limit_too_high", high);
    let initcode = |tx: &mut TxEip1559| {
        tx.to = TxKind::Create;
        tx.input = vec![0; 49_153].into();
        tx.gas_limit = 10_000_000;
    };
    refused(&initcode, "initcode_too_large", &["49153", "49152"]);
    let tip = |tx: &mut TxEip1559| tx.max_priority_fee_per_gas = 10_000_000_001;
    let both: &[&str] = &["10000000001", "10000000000"];
    refused(&tip, "priority_fee_above_max_fee", both);
    let fee = |tx: &mut TxEip1559| {
        (tx.max_fee_per_gas, tx.max_priority_fee_per_gas) = (999_999_999, 0);
    };
    refused(&fee, "fee_too_low", &["999999999", "1000000000"]);
    let small = PoolContext {
        gas_limit: 20_000,
        ..CONTEXT
    };
    let tx = Wallet::new(1).pay(5, Address::ZERO, 9);
    let error = Pool::default()
        .insert(&tx, Some(&account(5, LGN)), &small, Source::Peer)
        .unwrap_err();
    let (want, got) = (20_000, 21_000);
    assert_eq!(error, PoolError::BlockGas { want, got });
    assert_eq!(error.to_string(), "gas limit is 21000, a block has 20000");
    assert_eq!(error.code(), "gas_limit_too_high");
}

/// Rule T4 and Rule T6 at the pool's door: nonce, balance and code of the sender's account.
#[test]
fn t4_t6_refusals_by_the_account() {
    refused(&|tx| tx.nonce = 4, "nonce_too_low", &["4", "5"]);
    refused(&|tx| tx.nonce = 23, "nonce_too_high", &["23", "22"]);
    let last: &[&str] = &["18446744073709551615", "22"];
    refused(&|tx| tx.nonce = u64::MAX, "nonce_too_high", last);
    // 1,000 LGN, both gas limits at 10 gwei, and the wei of the first.
    let both: &[&str] = &["1000000420000000000001", "1000000000000000000000"];
    let much = |tx: &mut TxEip1559| (tx.nonce, tx.value) = (6, U256::from(1_000 * LGN));
    refused(&much, "balance_too_low", both);
    let overflow = |tx: &mut TxEip1559| (tx.nonce, tx.value) = (7, U256::MAX);
    refused(&overflow, "balance_too_low", &[&U256::MAX.to_string()]);
    let tx = Wallet::new(1).pay(5, Address::ZERO, 9);
    let contract = Account {
        code_hash: Some([1; 32]),
        ..account(5, LGN)
    };
    let mut pool = Pool::default();
    let error = pool
        .insert(&tx, Some(&contract), &CONTEXT, Source::Peer)
        .unwrap_err();
    assert_eq!(error, PoolError::SenderHasCode(tx.sender()));
    assert_eq!(error.code(), "sender_has_code");
    let error = pool.insert(&tx, None, &CONTEXT, Source::Peer).unwrap_err();
    assert!(
        matches!(error, PoolError::Balance { got: 0, .. }),
        "{error}"
    );
}

/// M4: a replacement raises both fees by a tenth, each is told with what it must reach.
#[test]
fn m4_replacements() {
    let code = "replacement_underpriced";
    let fees = |max_fee: u128, tip: u128| {
        move |tx: &mut TxEip1559| (tx.max_fee_per_gas, tx.max_priority_fee_per_gas) = (max_fee, tip)
    };
    refused(&|tx| tx.value = U256::MAX, code, &["5"]);
    let tip = fees(11 * GWEI, 1_099_999_999);
    refused(&tip, code, &["1099999999", "1100000000"]);
    let max_fee = fees(109 * GWEI / 10, 2 * GWEI);
    refused(&max_fee, code, &["10900000000", "11000000000"]);
}

/// M4: what a replacement must reach is rounded up, and even a fee of nothing rises.
#[test]
fn m4_the_bump_rounds_up() {
    let (mut pool, wallet, rich) = (Pool::default(), Wallet::new(1), account(0, LGN));
    let mut with = |tip: u128| {
        let mut tx = transfer(0, Address::ZERO, 1);
        (tx.max_fee_per_gas, tx.max_priority_fee_per_gas) = (10 * GWEI + 2 * tip, tip);
        pool.insert(&wallet.sign(tx), Some(&rich), &CONTEXT, Source::Peer)
    };
    with(0).unwrap();
    let (nonce, want, got) = (0, 11 * GWEI, 10 * GWEI + 2);
    assert_eq!(with(1), Err(PoolError::Underpriced { nonce, want, got }));
    with(GWEI + 1).unwrap();
    let (want, got) = (13_200_000_003, 13_200_000_002);
    assert_eq!(
        with(GWEI * 16 / 10 + 1),
        Err(PoolError::Underpriced { nonce, want, got })
    );
    // The tip of an old one that had none need only be more than nothing.
    let mut pool = Pool::default();
    let mut with = |max_fee: u128, tip: u128| {
        let mut tx = transfer(0, Address::ZERO, 1);
        (tx.max_fee_per_gas, tx.max_priority_fee_per_gas) = (max_fee, tip);
        pool.insert(&wallet.sign(tx), Some(&rich), &CONTEXT, Source::Peer)
    };
    with(10 * GWEI, 0).unwrap();
    let (want, got) = (1, 0);
    assert_eq!(
        with(11 * GWEI, 0),
        Err(PoolError::Underpriced { nonce, want, got })
    );
    with(11 * GWEI, 1).unwrap();
}

/// M1: a full pool lets go of the worst paying tail, and refuses what pays no more.
#[test]
fn m1_a_full_pool() {
    let mut pool = Pool::new(PoolLimits {
        count: 2,
        bytes: usize::MAX,
    });
    let wallets = [1, 2, 3].map(Wallet::new);
    let rich = account(0, LGN);
    let pay = |who: usize, gwei: u128| paying(&wallets[who], 0, gwei * GWEI, 1);
    pool.insert(&pay(0, 2), Some(&rich), &CONTEXT, Source::Peer)
        .unwrap();
    pool.insert(&pay(1, 3), Some(&rich), &CONTEXT, Source::Peer)
        .unwrap();
    let error = pool
        .insert(&pay(2, 1), Some(&rich), &CONTEXT, Source::Peer)
        .unwrap_err();
    assert_eq!(
        error,
        PoolError::Full {
            want: 3 * GWEI,
            got: 2 * GWEI
        }
    );
    assert!(error.to_string().contains("3000000000") && error.to_string().contains("2000000000"));
    pool.insert(&pay(2, 4), Some(&rich), &CONTEXT, Source::Peer)
        .unwrap();
    assert_eq!(pool.snapshot().candidates(0, 9), [pay(2, 4), pay(1, 3)]);
    // The same by bytes.
    let room = pay(0, 2).bytes().len() + pay(1, 3).bytes().len();
    let mut pool = Pool::new(PoolLimits {
        count: 9,
        bytes: room,
    });
    for (who, gwei) in [(0, 2), (1, 3), (2, 4)] {
        pool.insert(&pay(who, gwei), Some(&rich), &CONTEXT, Source::Peer)
            .unwrap();
    }
    assert_eq!(pool.snapshot().len(), 2);
    assert!(pool.snapshot().bytes() <= room);
}

/// M1: a sender has a bounded number of places; a replacement needs none.
#[test]
fn m1_places_of_a_sender() {
    let (mut pool, wallet, rich) = (Pool::default(), Wallet::new(1), account(0, 1_000 * LGN));
    for nonce in 0..POOL_PER_SENDER as u64 {
        pool.insert(
            &paying(&wallet, nonce, GWEI, 1),
            Some(&rich),
            &CONTEXT,
            Source::Peer,
        )
        .unwrap();
    }
    let next = paying(&wallet, POOL_PER_SENDER as u64, GWEI, 1);
    let error = pool
        .insert(&next, Some(&rich), &CONTEXT, Source::Peer)
        .unwrap_err();
    assert_eq!(error, PoolError::SenderFull { want: 64, got: 64 });
    assert_eq!(error.code(), "sender_full");
    pool.insert(
        &paying(&wallet, 3, 2 * GWEI, 1),
        Some(&rich),
        &CONTEXT,
        Source::Peer,
    )
    .unwrap();
    assert_eq!(pool.snapshot().len(), POOL_PER_SENDER);
}

/// M3: a sender whose places are all taken behind a gap can close it: the furthest one goes, and
/// its sender is told for which other.
#[test]
fn m3_a_gap_can_always_be_closed() {
    let (mut pool, wallet, rich) = (Pool::default(), Wallet::new(1), account(0, 1_000 * LGN));
    let pay = |nonce| paying(&wallet, nonce, GWEI, 1);
    let mut take = |tx: &CheckedTransaction, source| pool.insert(tx, Some(&rich), &CONTEXT, source);
    for nonce in (0..48).chain(49..65) {
        take(&pay(nonce), Source::User).unwrap();
    }
    let full = PoolError::SenderFull { want: 64, got: 64 };
    take(&pay(48), Source::Peer).unwrap();
    assert_eq!(take(&pay(64), Source::User), Err(full));
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.len(), snapshot.pending()), (64, 64));
    let gone = snapshot.departure(&pay(64).hash()).unwrap();
    let by = pay(48).hash();
    assert_eq!(gone.reason, Reason::Displaced { by });
    assert_eq!(gone.reason.code(), "displaced");
    let journal = pool.take_journal();
    assert!(journal[&pay(64).hash()].is_none() && journal[&pay(63).hash()].is_some());
}

/// Rule T4: the last nonce of all can still be mined, the one after it cannot.
#[test]
fn t4_the_last_nonce() {
    let (mut pool, wallet) = (Pool::default(), Wallet::new(1));
    let late = account(u64::MAX - 1, LGN);
    let last = paying(&wallet, u64::MAX - 1, GWEI, 1);
    pool.insert(&last, Some(&late), &CONTEXT, Source::Peer)
        .unwrap();
    assert_eq!(pool.snapshot().candidates(0, 9), [last]);
    let beyond = paying(&wallet, u64::MAX, GWEI, 1);
    let error = pool
        .insert(&beyond, Some(&late), &CONTEXT, Source::Peer)
        .unwrap_err();
    assert_eq!(
        error,
        PoolError::NonceTooHigh {
            want: u64::MAX - 1,
            got: u64::MAX
        }
    );
}
