//! Runs seeds on two threads, adds up what happened, and says how to replay a failure.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use super::{
    chaos,
    tally::{FAULTS, REACHED, Tally},
};

/// Threads over seeds.
const THREADS: usize = 2;

/// A run's result.
pub struct Run {
    pub trace: u64,
    pub tally: Tally,
}

/// A number from the environment.
pub fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a whole number, got {text}")),
    )
}

/// Seeds that once failed.
pub fn kept_seeds() -> Vec<u64> {
    let lines = include_str!("seeds.txt").lines();
    let seeds = lines.filter_map(|line| line.split('#').next()?.split_whitespace().next());
    seeds
        .map(|seed| seed.parse().expect("a seed is a number"))
        .collect()
}

/// One seed, from start to agreement.
pub fn run(seed: u64) -> Run {
    let mut world = chaos::build(seed);
    world.trace.prints = number("SEED").is_some() && number("STEPS").is_some();
    world.run();
    Run {
        trace: world.trace.hash,
        tally: world.tally,
    }
}

/// The trace of everything that every node of a seed did, text and all.
pub fn whole_trace(seed: u64) -> u64 {
    let mut world = chaos::build(seed);
    world.trace.is_whole = true;
    world.run();
    world.trace.hash
}

/// Runs these seeds; panics after all of them if any failed.
pub fn run_all(seeds: &[u64]) -> Tally {
    let start = Instant::now();
    let next = AtomicUsize::new(0);
    let (total, failed) = (Mutex::new(Tally::default()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match catch_unwind(AssertUnwindSafe(|| run(*seed))) {
                        Ok(run) => total.lock().unwrap().add(&run.tally),
                        Err(_) => {
                            let replay = "cargo test -p lignum-chain --test sim";
                            eprintln!("seed {seed} failed; replay: SEED={seed} {replay}");
                            failed.lock().unwrap().push(*seed);
                        }
                    }
                }
            });
        }
    });
    let total = total.into_inner().unwrap();
    report(&total, start.elapsed().as_secs_f64());
    let mut failed = failed.into_inner().unwrap();
    failed.sort_unstable();
    assert!(
        failed.is_empty(),
        "seeds that failed: {failed:?}; keep them in tests/sim/seeds.txt"
    );
    total
}

fn report(total: &Tally, secs: f64) {
    let per_sec = |count: u64| count as f64 / secs;
    println!(
        "{} seeds in {secs:.1} s: {:.1} seeds/s, {:.0} steps/s, {} blocks, {} faults",
        total.seeds,
        per_sec(total.seeds),
        per_sec(total.steps),
        total.blocks,
        total.faults()
    );
    println!("faults by kind: {:?}", total.faults);
    println!("reached: {:?}", total.reached);
    println!("reorgs by depth: {:?}", total.reorgs);
    println!("rounds to agreement: {:?}", total.rounds);
}

/// Every kind of fault and every situation really happened, in seeds of every kind.
pub fn assert_coverage(total: &Tally) {
    let faults = FAULTS
        .iter()
        .filter(|fault| !total.faults.contains_key(fault));
    let reached = REACHED
        .iter()
        .filter(|what| !total.reached.contains_key(what));
    let (faults, reached): (Vec<_>, Vec<_>) = (faults.collect(), reached.collect());
    assert!(
        faults.is_empty() && reached.is_empty(),
        "never happened: {faults:?} {reached:?}"
    );
}
