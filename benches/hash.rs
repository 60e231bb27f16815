//! What a hash costs: all kernels of the miner beside the sha2 crate, in alternating bursts.
//!
//! `cargo bench -p lignum-miner --bench hash`. A cycle is half the time of one step of a chain of
//! dependent rotations and additions, which take one cycle each on every processor with these
//! kernels, measured before and after each burst: so the clock's frequency does not matter, as long
//! as it stays the same within a burst. Each line is the lower quartile of many bursts that are
//! shorter than a scheduler's time slice, which leaves out those that were interrupted. The ratios
//! are to the sha2 crate's compression function with a midstate, the best that crate can do. A
//! processor that shares its core with another thread shares its vector units too: quiet machines
//! alone give figures that can be compared with those of other machines.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench measures time"
)]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use chain::{PowHeader, Target, U256};
use miner::kernel::{self, INITIAL, Kernel, Work};
use sha2::{Digest, Sha256, block_api::compress256};

/// How long a burst of one contender takes, about.
const BURST: Duration = Duration::from_micros(400);
/// How often each contender has its turn.
const ROUNDS: usize = 2_000;
/// Rotations and additions in one measurement of the clock.
const STEPS: u32 = 10_000;

/// One line of the table.
struct Contender {
    name: String,
    /// Hashes for some nonces from this one on; gives how many hashes that were.
    run: Box<dyn Fn(u32) -> u32>,
    /// Cycles for a hash, in each round.
    cycles: Vec<f64>,
    /// Nanoseconds for a hash, in each round.
    nanos: Vec<f64>,
}

fn contender(name: &str, run: impl Fn(u32) -> u32 + 'static) -> Contender {
    Contender {
        name: name.to_owned(),
        run: Box::new(run),
        cycles: Vec::new(),
        nanos: Vec::new(),
    }
}

/// A header whose every byte matters.
fn header() -> PowHeader {
    PowHeader::decode(&std::array::from_fn(|at| at as u8))
}

fn impossible() -> Target {
    Target::new(U256::from(1)).expect("one is not zero")
}

/// Nonces that a kernel searches in one call.
const CALL: u32 = 64;

fn of_kernel(kernel: Kernel, versions: u32) -> Contender {
    let work = Work::new(&header(), versions, impossible());
    let name = format!("{}, {versions} version(s)", kernel.name);
    contender(&name, move |nonce| {
        black_box((kernel.search)(
            black_box(&work),
            nonce..=nonce + (CALL - 1),
        ));
        CALL * versions
    })
}

fn two_digests() -> Contender {
    let bytes = header().encode();
    contender("sha2 crate, two digests", move |nonce| {
        for nonce in nonce..nonce + CALL {
            let mut bytes = bytes;
            bytes[76..].copy_from_slice(&nonce.to_le_bytes());
            black_box(Sha256::digest(Sha256::digest(black_box(bytes))));
        }
        CALL
    })
}

fn midstate() -> Contender {
    let bytes = header().encode();
    let (first, last) = bytes.split_first_chunk::<64>().expect("80 bytes");
    let mut state = INITIAL;
    compress256(&mut state, &[*first]);
    let mut block = [0; 64];
    block[..16].copy_from_slice(last);
    block[16] = 0x80;
    block[56..].copy_from_slice(&(80_u64 * 8).to_be_bytes());
    let mut padded = [0; 64];
    padded[32] = 0x80;
    padded[56..].copy_from_slice(&(32_u64 * 8).to_be_bytes());
    contender("sha2 crate, midstate", move |nonce| {
        let (mut block, mut padded) = (block, padded);
        for nonce in nonce..nonce + CALL {
            block[12..16].copy_from_slice(&nonce.to_le_bytes());
            let mut inner = state;
            compress256(&mut inner, &[block]);
            for (bytes, word) in padded.as_chunks_mut::<4>().0.iter_mut().zip(inner) {
                *bytes = word.to_be_bytes();
            }
            let mut outer = INITIAL;
            compress256(&mut outer, &[padded]);
            black_box(outer);
        }
        CALL
    })
}

/// Nanoseconds of a cycle, now.
fn cycle_nanos() -> f64 {
    let start = Instant::now();
    let mut chain = black_box(1_u32);
    for _ in 0..STEPS {
        // One after the other: neither can begin before the other has ended, and no compiler can
        // join them.
        chain = chain.rotate_left(13).wrapping_add(0x9e37_79b9);
    }
    black_box(chain);
    start.elapsed().as_nanos() as f64 / f64::from(2 * STEPS)
}

/// Hashes for about a burst's time, and keeps what a hash took.
fn burst(contender: &mut Contender, first: u32) {
    let before = cycle_nanos();
    let start = Instant::now();
    let (mut nonce, mut hashes) = (first, 0_u64);
    while start.elapsed() < BURST {
        hashes += u64::from((contender.run)(nonce));
        nonce = nonce.wrapping_add(CALL);
    }
    let nanos = start.elapsed().as_nanos() as f64;
    let cycle = before.midpoint(cycle_nanos());
    contender.cycles.push(nanos / cycle / hashes as f64);
    contender.nanos.push(nanos / hashes as f64);
}

/// A quarter of the values are lower.
fn lower_quartile(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 4).copied().unwrap_or(f64::NAN)
}

fn main() {
    let mut contenders = vec![midstate(), two_digests()];
    let kernels = kernel::all();
    for name in kernel::NAMES {
        if !kernels.iter().any(|kernel| kernel.name == name) {
            println!("this machine cannot run the kernel {name}");
        }
    }
    for kernel in kernels {
        let versions = [1, 4, 8, 16].into_iter();
        let useful = versions.filter(|&count| count <= kernel.versions);
        contenders.extend(useful.map(|count| of_kernel(kernel, count)));
    }
    // `cargo test --benches` runs every bench once.
    let rounds = if std::env::args().any(|arg| arg == "--bench") {
        ROUNDS
    } else {
        1
    };
    for round in 0..rounds {
        let first = (round as u32) << 20;
        for contender in &mut contenders {
            burst(contender, first);
        }
    }
    println!(
        "{:28} {:>12} {:>10} {:>7}",
        "", "cycles/hash", "MH/s", "ratio"
    );
    let baseline = lower_quartile(&contenders[0].cycles);
    for contender in &contenders {
        let cycles = lower_quartile(&contender.cycles);
        println!(
            "{:28} {cycles:12.1} {:10.2} {:7.2}",
            contender.name,
            1e3 / lower_quartile(&contender.nanos),
            baseline / cycles,
        );
    }
}
