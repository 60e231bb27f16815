//! `lignum bench`: what this machine can do.

use std::{io::Write, thread, time::Duration};

use clap::{Subcommand, builder::RangedU64ValueParser};
use miner::{
    Miner,
    kernel::{self, Kernel},
};

use crate::failure::{Exit, Failure};

/// What measuring one stop takes, about.
const STOP_MILLIS: u128 = 5;
/// Stops measured at least, and at most.
const STOPS_MIN: u128 = 5;
const STOPS_MAX: u128 = 1_000;

/// Measure what this machine can do.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Hash rate of one thread with each mining kernel, each checked against the specification, and
    /// how soon all threads turn to a new job
    Mine {
        /// Milliseconds for each measurement, 10 to 60000
        #[arg(long, default_value = "500", value_parser = RangedU64ValueParser::<u64>::new().range(10..=60_000))]
        millis: u64,
    },
}

/// Measures and prints a table.
pub fn run(args: &Args) -> Result<(), Failure> {
    match args.what {
        What::Mine { millis } => mine(Duration::from_millis(millis), &mut std::io::stdout()),
    }
}

/// Every kernel's rates; a failure if one does not agree with the specification.
fn mine(duration: Duration, out: &mut impl Write) -> Result<(), Failure> {
    let kernels = kernel::all();
    writeln!(out, "kernel    nonce only  with rolled versions   check")?;
    let mut wrong = Vec::new();
    for name in kernel::NAMES {
        match kernels.iter().find(|kernel| kernel.name == name) {
            None => writeln!(out, "{name:9} not on this machine")?,
            Some(kernel) => {
                let agrees = kernel.agrees();
                if !agrees {
                    wrong.push(name);
                }
                writeln!(out, "{}", line(*kernel, agrees, duration))?;
            }
        }
    }
    writeln!(out, "chosen    {}", kernel::best().name)?;
    writeln!(out, "{}", stops(duration)?)?;
    if wrong.is_empty() {
        return Ok(());
    }
    let what = format!("wrong results of {}: do not mine with it", wrong.join(", "));
    Err(Failure::new(Exit::Other, what))
}

/// How soon all threads leave a search that is over, measured as often as there is time for.
fn stops(duration: Duration) -> Result<String, Failure> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let config = miner::Config {
        threads,
        throttle_percent: 100,
        kernel: None,
    };
    let miner = Miner::new(config).map_err(|error| Failure::new(Exit::Other, error))?;
    let times = (duration.as_millis() / STOP_MILLIS).clamp(STOPS_MIN, STOPS_MAX);
    let mut stops = miner.stop_times(times as u32);
    stops.sort_unstable();
    let at = |percent: usize| {
        let stop = stops[(stops.len() - 1) * percent / 100];
        let micros = stop.as_micros();
        format!("{}.{:02} ms", micros / 1_000, micros / 10 % 100)
    };
    Ok(format!(
        "new job   {threads} thread(s) leave the old one after {} in the median, {} in 99 of 100, of {} times",
        at(50),
        at(99),
        stops.len()
    ))
}

fn line(kernel: Kernel, agrees: bool, duration: Duration) -> String {
    let rate = |versions| {
        let hashes = kernel::rate(kernel, versions, duration);
        format!("{}.{:02} MH/s", hashes / 1_000_000, hashes / 10_000 % 100)
    };
    let rolled = match kernel.versions {
        1 => "-".to_owned(),
        versions => format!("{} of {versions}", rate(versions)),
    };
    let check = if agrees { "ok" } else { "WRONG" };
    format!("{:9} {:>10}  {rolled:>20}   {check}", kernel.name, rate(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_has_its_line_and_is_checked() {
        let mut out = Vec::new();
        mine(Duration::from_millis(1), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        for name in kernel::NAMES {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            let is_here = kernel::all().iter().any(|kernel| kernel.name == name);
            let end = if is_here {
                " ok"
            } else {
                "not on this machine"
            };
            assert!(line.ends_with(end), "{line}");
        }
        assert!(text.contains("\nchosen    "), "{text}");
        assert!(text.contains("\nnew job   "), "{text}");
    }
}
