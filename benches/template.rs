//! What a template costs with 60,000 transactions in the pool: choosing, and executing the chosen.
//!
//! `cargo bench -p lignum-state --bench template`. Medians of several runs, in wall time.
#![allow(
    clippy::disallowed_types,
    clippy::unwrap_used,
    dead_code,
    reason = "a bench measures time; the tests' support is for more than this"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use chain::{
    Address, BlockHash, CheckedTransaction, Execution, Time,
    params::{POOL_COUNT_MAX, TEMPLATE_CANDIDATES_MAX},
    pool::{Pool, PoolContext, Source},
    rules::{self, Parent},
    template::{self, TemplateOptions, TemplateParent},
};
use state::Evm;
use support::builder::{GWEI, Wallet, regtest, transfer};

const RUNS: usize = 9;

fn median(mut work: impl FnMut()) -> Duration {
    let mut times: Vec<_> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[RUNS / 2]
}

fn main() {
    let wallets: Vec<_> = (0..POOL_COUNT_MAX as u64 / 10).map(Wallet::new).collect();
    let spec = regtest(&wallets.iter().collect::<Vec<_>>());
    let evm = Evm::new();
    let state = evm.genesis(&spec);
    let genesis = spec.genesis(evm.root(&state)).header;
    let parent = TemplateParent {
        numbers: Parent::new(&genesis, genesis.hash()),
        skip: genesis.hash(),
    };
    let base_fee = rules::next_base_fee(&spec, &parent.numbers);
    let context = PoolContext {
        gas_limit: spec.at(1).gas_limit,
        base_fee_min: spec.at(1).base_fee_min,
        base_fee,
        now: Time::default(),
    };
    let mut pool = Pool::default();
    for number in 0..POOL_COUNT_MAX as u128 {
        let wallet = &wallets[number as usize % wallets.len()];
        let nonce = number as u64 / wallets.len() as u64;
        let mut tx = transfer(nonce, Address::repeat_byte(number as u8), 1);
        tx.max_priority_fee_per_gas = GWEI + number * 7_919 % 100_003;
        let tx: CheckedTransaction = wallet.sign(tx);
        let account = evm.account(&state, &tx.sender());
        pool.insert(&tx, account.as_ref(), &context, Source::Peer)
            .unwrap();
    }
    let snapshot = pool.snapshot();
    let options = TemplateOptions {
        beneficiary: Address::repeat_byte(1),
        extra_data: [0; 32],
        now_unix_secs: u64::from(genesis.pow.time) + 1,
    };
    let none = |_: u64| -> Option<BlockHash> { None };
    let mut candidates = Vec::new();
    let choosing = median(|| candidates = snapshot.candidates(base_fee, TEMPLATE_CANDIDATES_MAX));
    let mut mined = 0;
    let building = median(|| {
        let block = template::build(&spec, &evm, &parent, &state, &candidates, &none, &options);
        mined = block.unwrap().body.0.len();
    });
    println!(
        "choosing {} of {}: {choosing:?}",
        candidates.len(),
        snapshot.len()
    );
    println!("executing them into a template of {mined}: {building:?}");
}
