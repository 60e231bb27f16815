//! Whole networks of the real node in virtual time, each from one seed.
//!
//! `SEED=7 cargo test -p lignum-chain --test sim` replays one run; `SEEDS=1000` makes so many.
//! `STEPS=1` with `SEED` prints every step of every node.
//! How it works, and how to add a fault or a checker: docs/testing.md.
#![allow(clippy::unwrap_used, reason = "a panic is how a checker fails")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the runner is a shell: it has threads and measures time"
)]

mod asked;
mod carry;
mod chaos;
mod checks;
mod host;
mod hostile;
mod lies;
mod mining;
mod model;
mod net;
mod passes;
mod promise;
mod rare;
mod record;
mod rng;
mod runner;
mod said;
#[path = "../support/mod.rs"]
mod support;
mod tally;
mod told;
mod trace;
mod users;
mod wire;
mod world;

/// Seeds in a plain `cargo test`.
const SEEDS: u64 = 24;

#[test]
fn networks_keep_their_promises() {
    if let Some(seed) = runner::number("SEED") {
        let run = runner::run(seed);
        println!("seed {seed}: trace {:016x}, {:?}", run.trace, run.tally);
        return;
    }
    let kept = runner::kept_seeds();
    let count = runner::number("SEEDS").unwrap_or(SEEDS);
    let first = runner::number("FIRST").unwrap_or(1);
    let seeds: Vec<_> = kept.into_iter().chain(first..first + count).collect();
    let total = runner::run_all(&seeds);
    if count >= rare::CYCLE {
        runner::assert_coverage(&total);
    }
}

#[test]
fn two_runs_of_a_seed_are_equal() {
    for seed in [3, 4, 5, 11] {
        assert_eq!(
            runner::whole_trace(seed),
            runner::whole_trace(seed),
            "seed {seed}"
        );
    }
    assert_ne!(runner::whole_trace(3), runner::whole_trace(4));
}
