//! What `lignum db import` takes beside the bare recovery of the same signatures.
//!
//! `cargo bench -p lignum-node --bench import`, with `-- --transfers N --rounds N --threads N`, and with
//! `--binary PATH` as often as there are builds to compare. In each round the bare recovery and the
//! imports come one after the other, so that what else the machine does meets all of them; what is
//! printed are medians, and medians of the ratios within a round. `--pass ARGUMENT` is handed to the import.
#![allow(
    clippy::unwrap_used,
    reason = "a bench ends where something is not as it should be"
)]

mod chain_file;
#[path = "../../tests/support/maker.rs"]
mod maker;
mod process;
mod stages;

use std::{
    env,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use chain::{Block, CheckedBlock};
use rayon::prelude::*;

use chain_file::ChainFile;
use process::{Run, cpu, import};
use stages::{Signed, recover, signatures};

/// What was asked for.
struct Options {
    transfers: usize,
    rounds: usize,
    threads: usize,
    binaries: Vec<PathBuf>,
    passed: Vec<String>,
}

impl Options {
    fn read() -> Self {
        let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
        let mut options = Self {
            transfers: 200_000,
            rounds: 5,
            threads: cores,
            binaries: Vec::new(),
            passed: Vec::new(),
        };
        let mut arguments = env::args().skip(1);
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().expect("a value");
            match name.as_str() {
                "--transfers" => options.transfers = value().parse().unwrap(),
                "--rounds" => options.rounds = value().parse().unwrap(),
                "--threads" => options.threads = value().parse().unwrap(),
                "--binary" => options.binaries.push(value().into()),
                "--pass" => options.passed.push(value()),
                // Cargo's own.
                "--bench" => {}
                other => panic!("{other} is not known here"),
            }
        }
        if options.binaries.is_empty() {
            options.binaries.push(env!("CARGO_BIN_EXE_lignum").into());
        }
        options
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

/// All signatures of the file.
fn signed(file: &ChainFile) -> Vec<Signed> {
    let check = |bytes: &Vec<u8>| {
        let block = CheckedBlock::check(Block::decode(bytes).unwrap(), &file.spec).unwrap();
        signatures(&[block])
    };
    file.records().par_iter().flat_map(check).collect()
}

/// Recovers them all on so many threads: wall and CPU.
fn bare(pool: &rayon::ThreadPool, signed: &[Signed]) -> (Duration, Duration) {
    let (before, started) = (cpu().1, Instant::now());
    pool.install(|| {
        signed.par_iter().for_each(|signed| {
            std::hint::black_box(recover(signed));
        });
    });
    (started.elapsed(), cpu().1 - before)
}

fn show(name: &str, runs: &[Run], bares: &[(Duration, Duration)], transfers: usize) {
    let of = |value: &dyn Fn(&Run) -> f64| median(runs.iter().map(value).collect());
    let ratio = |value: &dyn Fn(&Run, &(Duration, Duration)) -> f64| {
        let pairs = runs.iter().zip(bares);
        median(pairs.map(|(run, bare)| value(run, bare)).collect())
    };
    let count = transfers as f64;
    let wall = of(&|run| seconds(run.wall));
    let cpu = of(&|run| seconds(run.cpu));
    println!(
        "{name}: {:.0} transfers/s, {:.1} µs CPU each",
        count / wall,
        cpu * 1e6 / count
    );
    println!(
        "  of the bare rate {:.3} in wall time; CPU {:.3} of the bare; peak {:.0} MiB; {:.0} bytes on disk a transfer",
        ratio(&|run, bare| seconds(bare.0) / seconds(run.wall)),
        ratio(&|run, bare| seconds(run.cpu) / seconds(bare.1)),
        of(&|run| run.peak_kib as f64) / 1_024.0,
        of(&|run| run.disk_bytes as f64) / count,
    );
    let last = runs.last().unwrap();
    for (name, cpu) in &last.threads {
        println!(
            "  thread {name}: {:.2} µs CPU each",
            seconds(*cpu) * 1e6 / count
        );
    }
    for line in last.output.lines() {
        println!("  {line}");
    }
}

fn main() {
    let options = Options::read();
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/import-bench");
    let file = ChainFile::open(&target, options.transfers);
    println!("one thread, stage by stage:");
    for (name, ns) in stages::measure(&file) {
        println!("  {name}: {:.2} µs a transfer", ns / 1_000.0);
    }
    let signed = signed(&file);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads);
    let pool = pool.build().unwrap();
    let mut bares = Vec::new();
    let mut runs = vec![Vec::new(); options.binaries.len()];
    for round in 1..=options.rounds {
        bares.push(bare(&pool, &signed));
        for (binary, runs) in options.binaries.iter().zip(&mut runs) {
            let directory = target.join(format!("store-{}", std::process::id()));
            let run = import(binary, &file, &directory, &options.passed);
            println!(
                "round {round}: bare {:.2} s, {:.2} s CPU; import {:.2} s, {:.2} s CPU",
                seconds(bares[round - 1].0),
                seconds(bares[round - 1].1),
                seconds(run.wall),
                seconds(run.cpu)
            );
            runs.push(run);
        }
    }
    let wall = median(bares.iter().map(|bare| seconds(bare.0)).collect());
    let cpu = median(bares.iter().map(|bare| seconds(bare.1)).collect());
    let count = file.transfers as f64;
    println!(
        "bare recovery on {} threads: {:.0}/s, {:.1} µs CPU each",
        options.threads,
        count / wall,
        cpu * 1e6 / count
    );
    for (binary, runs) in options.binaries.iter().zip(&runs) {
        show(&binary.display().to_string(), runs, &bares, file.transfers);
    }
}
