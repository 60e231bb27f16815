//! `lignum mine`: a miner in a process of its own, which works for a node over HTTP.
//!
//! One thread keeps the newest template at hand by long polls, the miner's threads search it, and the
//! main thread brings what they find. A template is given up as soon as the node has another one, and
//! also when the node cannot be reached, so no work is done on a head that may be past.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use chain::{Address, Block, Header, Target, U256, merkle};
use clap::builder::RangedU64ValueParser;
use miner::{Job, Miner, Outcome};
use serde_json::Value;

use super::{NodeUrl, node::parse_percent, table::ask};
use crate::{
    config,
    devnet::{client, stop},
    failure::{Exit, Failure},
    feed::{Feed, Source, Template},
    random,
};

/// Time for the node to take a block and say what became of it.
const BRING_TIME_OUT: Duration = Duration::from_secs(15);
/// How often the rate is printed.
const REPORT_EVERY: Duration = Duration::from_secs(10);
/// How often the watch looks whether it is to stop.
const POLL: Duration = Duration::from_millis(50);

/// Mine for a node, as a process of its own.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    node: NodeUrl,
    /// Who is paid for mined blocks: an address, or dev:N on a dev network
    #[arg(long, env = "LIGNUM_BENEFICIARY", value_name = "ADDRESS")]
    beneficiary: String,
    /// Text that mined blocks carry, up to 32 bytes
    #[arg(long, env = "LIGNUM_TAG", default_value = "")]
    tag: String,
    /// Mining threads [default: one for each core]
    #[arg(long, env = "LIGNUM_THREADS", value_parser = RangedU64ValueParser::<usize>::new().range(1..=1024))]
    threads: Option<usize>,
    /// Share of its time that each thread works, in percent
    #[arg(long, env = "LIGNUM_THROTTLE", default_value = "100", value_parser = parse_percent)]
    throttle: u8,
    /// Loop that mines: avx512, sha-ni, avx2, sha2 or portable [default: the fastest here]
    #[arg(long, env = "LIGNUM_KERNEL", value_name = "NAME")]
    kernel: Option<String>,
    /// Stop after this many blocks that became the head [default: go on until Ctrl-C]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
    blocks: Option<u64>,
}

/// What has become of the blocks found.
#[derive(Debug, Default)]
struct Tally {
    accepted: AtomicU64,
    stale: AtomicU64,
}

/// Mines until the blocks asked for are made, or Ctrl-C.
pub fn run(args: &Args) -> Result<(), Failure> {
    let miner = Miner::new(miner::Config {
        threads: args.threads.unwrap_or_else(cores),
        throttle_percent: args.throttle,
        kernel: config::kernel(args.kernel.as_ref())?,
    })
    .map_err(|error| Failure::new(Exit::Usage, error))?;
    let (url, status) = ask(&args.node, "/v1/status")?;
    let beneficiary = beneficiary(&args.beneficiary, &status)?;
    let source = Source::new(&url, beneficiary, &args.tag);
    let stop = stop::on_signal()?;
    let mut out = io::stdout();
    let (name, threads) = (miner.kernel().name, miner.threads());
    writeln!(
        out,
        "mining for {url}, paid to {beneficiary}; {threads} thread(s) with kernel {name}"
    )?;
    let feed = Arc::new(Feed::default());
    let filled = Arc::clone(&feed);
    // Ends with the process: a long poll cannot be cut short.
    thread::spawn(move || source.fill(&filled));
    let (tally, is_over) = (Tally::default(), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| watch(&miner, &feed, &tally, &stop, &is_over));
        let result = work(args, &url, &miner, &feed, &tally, &stop);
        is_over.store(true, Ordering::Relaxed);
        result
    })?;
    let (accepted, stale) = tally.read();
    writeln!(out, "stopped: {accepted} accepted, {stale} stale")?;
    Ok(())
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Whom to pay. Everybody knows the dev keys.
fn beneficiary(text: &str, status: &Value) -> Result<Address, Failure> {
    let usage = |what: String| Failure::new(Exit::Usage, format!("--beneficiary {text}: {what}"));
    let party: wallet::Party = text.parse().map_err(|error| usage(format!("{error}")))?;
    if matches!(party, wallet::Party::Dev(_)) && status["dev"] != Value::Bool(true) {
        let what = "everybody knows the dev keys; they are for dev networks only";
        return Err(usage(what.to_owned()));
    }
    Ok(party.address())
}

/// Searches one template after the other and brings what it finds.
fn work(
    args: &Args,
    url: &str,
    miner: &Miner,
    feed: &Feed,
    tally: &Tally,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    let extra_nonce = random::bytes()?;
    let is_done = || {
        let accepted = tally.accepted.load(Ordering::Relaxed);
        stop.load(Ordering::Relaxed) || args.blocks.is_some_and(|wanted| accepted >= wanted)
    };
    while !is_done() {
        let Some(template) = feed.next(POLL) else {
            continue;
        };
        let mut header = template.block.header.clone();
        header.extension.extra_nonce = extra_nonce;
        let job = Job {
            header,
            target: template.target,
        };
        let Outcome::Found(header) = miner.search(&job, feed.is_past()) else {
            continue;
        };
        let line = match bring(url, *header, &template) {
            Ok((line, true)) => {
                tally.accepted.fetch_add(1, Ordering::Relaxed);
                feed.succeed(&template);
                line
            }
            Ok((line, false)) => {
                tally.stale.fetch_add(1, Ordering::Relaxed);
                line
            }
            Err(reason) => format!("the node does not take a block: {reason}"),
        };
        writeln!(io::stdout(), "{line}")?;
        feed.give_up(&template);
    }
    Ok(())
}

/// Brings a block, once it has passed what can be checked here; what to print, and whether it
/// became the head.
fn bring(url: &str, header: Header, template: &Template) -> Result<(String, bool), String> {
    let hash = header.hash();
    let body = template.block.body.clone();
    let is_sound = template.target.is_met_by(&hash)
        && header.pow.commitment == header.extension.commitment()
        && header.extension.transactions_root == merkle::root(&body.0);
    if !is_sound {
        return Err("it fails this miner's own check".into());
    }
    let height = header.extension.height;
    let block = Block { header, body };
    let answer = client::bring(url, "/v1/mining/blocks", &block.encode(), BRING_TIME_OUT)?;
    let is_head = answer["is_head"] == Value::Bool(true);
    let what = if is_head { "accepted" } else { "stale" };
    Ok((format!("block #{height} {hash} {what}"), is_head))
}

/// Prints the rate from time to time, and ends the search when the process is to stop.
fn watch(miner: &Miner, feed: &Feed, tally: &Tally, stop: &AtomicBool, is_over: &AtomicBool) {
    let mut since = Instant::now();
    let mut before = miner.hashes();
    while !is_over.load(Ordering::Relaxed) {
        if stop.load(Ordering::Relaxed) {
            feed.close();
            return;
        }
        let elapsed = since.elapsed();
        if elapsed >= REPORT_EVERY {
            let hashes = miner.hashes();
            let rate = u128::from(hashes - before) * 1_000 / elapsed.as_millis().max(1);
            (since, before) = (Instant::now(), hashes);
            let line = report(rate, feed.target(), tally);
            if writeln!(io::stdout(), "{line}").is_err() {
                stop.store(true, Ordering::Relaxed);
            }
        }
        thread::sleep(POLL);
    }
}

/// A line for people: the rate, what it means here, and what came of it.
fn report(rate: u128, target: Option<Target>, tally: &Tally) -> String {
    let (accepted, stale) = tally.read();
    let expected = match target.map(|target| target.work() / U256::from(rate.max(1))) {
        Some(secs) if rate > 0 => format!("a block in about {secs} s"),
        Some(_) => "no hash yet".to_owned(),
        None => "waiting for the node".to_owned(),
    };
    let (whole, part) = (rate / 1_000_000, rate / 10_000 % 100);
    format!("{whole}.{part:02} MH/s, {expected}, {accepted} accepted, {stale} stale")
}

impl Tally {
    fn read(&self) -> (u64, u64) {
        let (accepted, stale) = (&self.accepted, &self.stale);
        (
            accepted.load(Ordering::Relaxed),
            stale.load(Ordering::Relaxed),
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_report_tells_rate_time_and_counts() {
        let tally = Tally::default();
        tally.accepted.store(3, Ordering::Relaxed);
        let target = Target::new(U256::MAX >> 24);
        assert_eq!(
            report(4_194_304, target, &tally),
            "4.19 MH/s, a block in about 4 s, 3 accepted, 0 stale"
        );
        assert!(report(5, None, &tally).contains("waiting for the node"));
        assert!(report(0, target, &tally).contains("no hash yet"));
    }

    #[test]
    fn dev_keys_are_paid_on_dev_networks_alone() {
        assert!(beneficiary("dev:1", &json!({"dev": true})).is_ok());
        assert!(beneficiary("dev:1", &json!({"dev": false})).is_err());
        assert!(beneficiary("dev:1", &json!({})).is_err());
    }
}
