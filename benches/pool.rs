//! What the pool costs with 60,000 transactions in it: admission, selection, head moves, snapshots.
//!
//! `cargo bench -p lignum-chain --bench pool`. Each line is the median of several runs, in CPU time
//! of this thread where the system tells it (Linux), else in wall time.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    dead_code,
    reason = "a bench measures time; the tests' support is for more than this"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    fs,
    hint::black_box,
    time::{Duration, Instant},
};

use alloy_consensus::{TxEip1559, TxLegacy, TypedTransaction};
use chain::{
    Account, Address, CheckedTransaction, Time, U256,
    params::POOL_COUNT_MAX,
    pool::{Pool, PoolContext, Source},
};
use support::builder::{GWEI, LGN, Wallet};

const CONTEXT: PoolContext = PoolContext {
    gas_limit: 30_000_000,
    base_fee_min: 1_000_000_000,
    base_fee: 7_000_000_000,
    now: Time {
        unix_secs: 0,
        monotonic_ms: 0,
    },
};
const RUNS: usize = 7;
/// Transfers that fill a block of 30,000,000 gas, and of 300,000,000.
const BLOCKS: [usize; 2] = [1_428, 14_285];

/// How the transactions of a bench are spread.
#[derive(Clone, Copy)]
enum Spread {
    /// 6,000 senders with ten each.
    Ten,
    /// A sender for each.
    One,
    /// A sender for each; every second one is of the old type, with a gas price alone.
    Legacy,
    /// A sender for each; every second one promises a high priority fee that its max fee holds
    /// down, near the base fee at which this changes, so that a search passes over many.
    Held,
}

/// A number that looks random and is the same in every run.
fn mixed(number: u64) -> u128 {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    u128::from((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40)
}

fn transactions(spread: Spread, count: usize) -> Vec<CheckedTransaction> {
    let senders = match spread {
        Spread::Ten => count / 10,
        Spread::One | Spread::Legacy | Spread::Held => count,
    };
    let wallets: Vec<_> = (0..senders as u64).map(Wallet::new).collect();
    let make = |number: usize| {
        let (wallet, nonce) = (&wallets[number % senders], (number / senders) as u64);
        let tip = GWEI / 10 + mixed(number as u64) * 100;
        let fees = match (spread, number.is_multiple_of(2)) {
            (Spread::Legacy, true) => (7 * GWEI + tip / 2, None),
            (Spread::Held, true) => (7 * GWEI + tip, Some(tip + 5 * GWEI / 2)),
            (Spread::Held, false) => (8 * GWEI + tip, Some(tip)),
            _ => (20 * GWEI, Some(tip)),
        };
        let bytes = wallet.sign_bytes(envelope(nonce, fees));
        CheckedTransaction::check(&bytes, 1338).unwrap()
    };
    (0..count).map(make).collect()
}

fn envelope(nonce: u64, (max_fee, tip): (u128, Option<u128>)) -> TypedTransaction {
    let (chain_id, gas_limit, to) = (1338, 21_000, Address::ZERO.into());
    match tip {
        Some(tip) => TypedTransaction::Eip1559(TxEip1559 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas: max_fee,
            max_priority_fee_per_gas: tip,
            to,
            value: U256::from(1),
            ..TxEip1559::default()
        }),
        None => TypedTransaction::Legacy(TxLegacy {
            chain_id: Some(chain_id),
            nonce,
            gas_limit,
            gas_price: max_fee,
            to,
            value: U256::from(1),
            ..TxLegacy::default()
        }),
    }
}

fn rich(nonce: u64) -> Account {
    Account {
        nonce,
        balance: 1_000 * LGN,
        code_hash: None,
    }
}

fn take(pool: &mut Pool, transaction: &CheckedTransaction) {
    let account = rich(0);
    let taken = pool.insert(transaction, Some(&account), &CONTEXT, Source::Peer);
    taken.unwrap();
}

fn filled(transactions: &[CheckedTransaction]) -> Pool {
    let mut pool = Pool::default();
    transactions.iter().for_each(|tx| take(&mut pool, tx));
    pool
}

/// Nanoseconds of CPU that this thread has used.
fn cpu_ns() -> Option<u64> {
    // The system counts up to the last time that the thread was put aside.
    std::thread::sleep(Duration::from_micros(50));
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok()
}

fn timed(work: impl FnOnce()) -> Duration {
    let (cpu, wall) = (cpu_ns(), Instant::now());
    work();
    match (cpu, cpu_ns()) {
        (Some(before), Some(after)) => Duration::from_nanos(after.saturating_sub(before)),
        _ => wall.elapsed(),
    }
}

/// The median of runs, each with its own preparation.
fn median<P>(mut prepare: impl FnMut() -> P, mut work: impl FnMut(&mut P)) -> Duration {
    let mut times: Vec<_> = (0..RUNS)
        .map(|_| {
            let mut prepared = prepare();
            timed(|| work(&mut prepared))
        })
        .collect();
    times.sort();
    times[RUNS / 2]
}

fn show(name: &str, time: Duration, count: usize) {
    let each = time.as_nanos() as f64 / count as f64 / 1_000.0;
    let rate = count as f64 / time.as_secs_f64();
    println!(
        "{name:<58} {:>9.3} ms {each:>9.3} µs each {rate:>11.0}/s",
        time.as_secs_f64() * 1e3
    );
}

fn admissions(all: &[CheckedTransaction]) {
    let count = all.len();
    let plain = median(Pool::default, |pool| {
        all.iter().for_each(|tx| take(pool, tx));
    });
    show("admission of 60,000 from 6,000 senders", plain, count);
    for every in [64, 1] {
        let published = median(Pool::default, |pool| {
            let mut held = pool.snapshot();
            for (number, tx) in all.iter().enumerate() {
                take(pool, tx);
                if number % every == 0 {
                    held = pool.snapshot();
                }
            }
            black_box(held);
        });
        show(
            &format!("the same, a snapshot held every {every}"),
            published,
            count,
        );
    }
    let newcomer = |number: u64| {
        let tip = 5 * GWEI + u128::from(number) * GWEI;
        let bytes = Wallet::new(1_000_000 + number).sign_bytes(envelope(0, (10 * tip, Some(tip))));
        CheckedTransaction::check(&bytes, 1338).unwrap()
    };
    let newcomers: Vec<_> = (0..2_000).map(newcomer).collect();
    let full = filled(all);
    let evicting = median(
        || full.clone(),
        |pool| {
            newcomers.iter().for_each(|tx| take(pool, tx));
        },
    );
    show(
        "admission into a full pool, one evicted each",
        evicting,
        newcomers.len(),
    );
}

fn selections(name: &str, all: &[CheckedTransaction]) {
    let pool = filled(all);
    for count in BLOCKS {
        let select = median(
            || pool.snapshot(),
            |snapshot| {
                let chosen = snapshot.ready(CONTEXT.base_fee).take(count);
                assert_eq!(black_box(chosen.count()), count);
            },
        );
        show(&format!("selection of {count}, {name}"), select, count);
    }
}

fn head_moves(all: &[CheckedTransaction]) {
    let full = filled(all);
    let senders: Vec<_> = all[..1_000]
        .iter()
        .map(CheckedTransaction::sender)
        .collect();
    let moved = |pool: &mut Pool| {
        let account = rich(1);
        for sender in &senders {
            pool.account_changed(sender, Some(&account), &|_| None, CONTEXT.now);
        }
    };
    let time = median(|| full.clone(), moved);
    show(
        "head move that mines one of 1,000 senders each",
        time,
        1_000,
    );
    let held = median(
        || {
            let pool = full.clone();
            (pool.snapshot(), pool)
        },
        |(_, pool)| moved(pool),
    );
    show("the same, with a snapshot held", held, 1_000);
}

fn publishing(all: &[CheckedTransaction]) {
    let full = filled(&all[..all.len() - 1_000]);
    let rest = &all[all.len() - 1_000..];
    let time = median(
        || full.clone(),
        |pool| {
            for tx in rest {
                let held = pool.snapshot();
                take(pool, tx);
                black_box(held);
            }
        },
    );
    show("snapshot, then one admission", time, rest.len());
}

fn main() {
    let ten = transactions(Spread::Ten, POOL_COUNT_MAX);
    admissions(&ten);
    publishing(&ten);
    head_moves(&ten);
    selections("6,000 senders", &ten);
    let one = transactions(Spread::One, POOL_COUNT_MAX);
    selections("60,000 senders", &one);
    let legacy = transactions(Spread::Legacy, POOL_COUNT_MAX);
    selections("60,000 senders, half of the old type", &legacy);
    let held = transactions(Spread::Held, POOL_COUNT_MAX);
    selections("60,000 senders, every second held down", &held);
}
