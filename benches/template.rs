//! What a template costs with 60,000 transactions in the pool, from the snapshot to the sealed body.
//!
//! `cargo bench -p lignum-state --bench template`. Medians of several runs, in CPU time of this thread
//! where the system tells it (Linux), else in wall time. Finding the transactions is measured alone too:
//! the rest is their execution, the state's new root and the block's.
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
    time::{Duration, Instant},
};

use chain::{
    Address, BlockHash, ChainSpec, CheckedTransaction, Execution, Time,
    params::POOL_COUNT_MAX,
    pool::{Pool, PoolContext, Source},
    rules::{self, Parent},
    template::{self, TemplateOptions, TemplateParent},
};
use state::Evm;
use support::builder::{GWEI, LGN, Wallet, regtest, transfer};

const RUNS: usize = 9;

/// What is in the pool.
#[derive(Clone, Copy, Debug)]
enum Mix {
    /// Transfers of 6,000 senders.
    Plain,
    /// A sender for each; every second one promises a high priority fee that its max fee holds down,
    /// near the base fee at which this changes.
    Held,
    /// The best 12,000 ask for so much gas that a block soon has no room for more of them, though
    /// they use as little as the others.
    Greedy,
}

/// Nanoseconds of CPU that this thread has used.
fn cpu_ns() -> Option<u64> {
    // The system counts up to the last time that the thread was put aside.
    std::thread::sleep(Duration::from_micros(50));
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok()
}

fn median(mut work: impl FnMut()) -> Duration {
    let mut times: Vec<_> = (0..RUNS)
        .map(|_| {
            let (cpu, wall) = (cpu_ns(), Instant::now());
            work();
            match (cpu, cpu_ns()) {
                (Some(before), Some(after)) => Duration::from_nanos(after.saturating_sub(before)),
                _ => wall.elapsed(),
            }
        })
        .collect();
    times.sort();
    times[RUNS / 2]
}

fn sign(mix: Mix, wallets: &[Wallet], number: usize, base_fee: u64) -> CheckedTransaction {
    let wallet = &wallets[number % wallets.len()];
    let nonce = (number / wallets.len()) as u64;
    let mut tx = transfer(nonce, Address::repeat_byte(number as u8), 1);
    tx.max_priority_fee_per_gas = GWEI + number as u128 * 7_919 % 100_003;
    match mix {
        Mix::Held if number.is_multiple_of(2) => {
            tx.max_priority_fee_per_gas += GWEI;
            tx.max_fee_per_gas = tx.max_priority_fee_per_gas + u128::from(base_fee) * 3 / 4;
        }
        Mix::Greedy if number < 12_000 => {
            tx.gas_limit = 16_000_000;
            tx.max_priority_fee_per_gas += GWEI;
        }
        _ => {}
    }
    wallet.sign(tx)
}

fn fund(spec: &mut ChainSpec) {
    for entry in &mut spec.alloc {
        entry.account.balance = 100_000 * LGN;
    }
}

fn measure(mix: Mix, gas_limit: u64) {
    let senders = match mix {
        Mix::Plain => POOL_COUNT_MAX / 10,
        Mix::Held | Mix::Greedy => POOL_COUNT_MAX,
    };
    let wallets: Vec<_> = (0..senders as u64).map(Wallet::new).collect();
    let mut spec = regtest(&wallets.iter().collect::<Vec<_>>());
    spec.base.gas_limit = gas_limit;
    fund(&mut spec);
    let evm = Evm::new();
    let state = evm.genesis(&spec);
    let genesis = spec.genesis(evm.root(&state)).header;
    let parent = TemplateParent {
        numbers: Parent::new(&genesis, genesis.hash()),
        skip: genesis.hash(),
    };
    let base_fee = rules::next_base_fee(&spec, &parent.numbers);
    let context = PoolContext {
        gas_limit,
        base_fee_min: spec.at(1).base_fee_min,
        base_fee,
        now: Time::default(),
    };
    let mut pool = Pool::default();
    for number in 0..POOL_COUNT_MAX {
        let tx = sign(mix, &wallets, number, base_fee);
        let account = evm.account(&state, &tx.sender());
        let taken = pool.insert(&tx, account.as_ref(), &context, Source::Reorg);
        taken.unwrap();
    }
    let snapshot = pool.snapshot();
    let options = TemplateOptions {
        beneficiary: Address::repeat_byte(1),
        extra_data: [0; 32],
        now_unix_secs: u64::from(genesis.pow.time) + 1,
    };
    let none = |_: u64| -> Option<BlockHash> { None };
    let mut mined = 0;
    let whole = median(|| {
        let ready = snapshot.ready(base_fee);
        let block = template::build(&spec, &evm, &parent, &state, ready, &none, &options);
        mined = block.unwrap().body.0.len();
    });
    let finding = median(|| {
        let found = snapshot.ready(base_fee).take(mined).count();
        assert_eq!(found, mined);
    });
    println!(
        "{mix:?}, {gas_limit} gas: a template of {mined} in {whole:?}, finding them {finding:?}"
    );
}

fn main() {
    for mix in [Mix::Plain, Mix::Held, Mix::Greedy] {
        measure(mix, 30_000_000);
    }
    measure(Mix::Plain, 300_000_000);
}
