//! `lignum dev`: forks on demand: split a devnet, slow it down, make blocks at once, undo some. And
//! money out of the faucet.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use clap::{Subcommand, builder::RangedU64ValueParser};
use serde_json::{Value, json};
use wallet::{Amount, Party};

use super::devnet_directory;
use crate::{
    devnet::{
        client,
        place::{self, Member},
        split::{Sizes, Split},
    },
    failure::{Exit, Failure},
};

/// Time for an order that makes blocks: the node's own limit and some more.
const ORDER_TIME_OUT: Duration = Duration::from_secs(660);
/// Time for any other order.
const QUICK_TIME_OUT: Duration = Duration::from_secs(10);
/// Time for a payment: its turn among others, the node's own limits, and some more.
const PAYMENT_TIME_OUT: Duration = Duration::from_secs(30);
/// How often it is said that an order is still under way.
const PATIENCE: Duration = Duration::from_secs(5);
/// Blocks printed; of more, the first and last half of this.
const LINES_MAX: usize = 20;

/// Make forks and reorgs happen, and money.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
    /// Name of the devnet
    #[arg(long, global = true, value_name = "NAME")]
    name: Option<String>,
    /// Directory of the devnet; with --node URL, the data directory of that node
    #[arg(long, global = true, value_name = "DIR")]
    datadir: Option<PathBuf>,
    /// The node that is meant: its number in the devnet, or its URL
    #[arg(long, global = true, env = "LIGNUM_NODE", value_name = "NODE")]
    node: Option<String>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Verb {
    /// Split the devnet into groups that do not talk to each other
    Split {
        /// Sizes of the groups, in the order of the nodes: 2/2, 1/3, 1/1/2
        sizes: Sizes,
    },
    /// End a split: all nodes talk to each other again
    Heal,
    /// Hold back what peers send to each node, or to the one given with --node
    Delay {
        /// For how long; 0 ends it
        #[arg(value_name = "MILLISECONDS", value_parser = parse_delay)]
        milliseconds: u64,
    },
    /// Make blocks at once, at full speed
    ///
    /// The node does so even if it does not mine. Each block that comes faster than the spacing
    /// raises the difficulty of the next ones, where the network adjusts it.
    Mine {
        /// How many
        #[arg(value_parser = RangedU64ValueParser::<u64>::new().range(1..=1000))]
        blocks: u64,
    },
    /// Replace the last blocks by a heavier branch
    ///
    /// The node mines rivals of the last blocks in secret until it has more work than the others,
    /// and then shows them. They are empty: transactions of the blocks undone go back to the pool
    /// and are mined again later.
    Reorg {
        /// Blocks to undo
        #[arg(long, value_parser = RangedU64ValueParser::<u64>::new().range(1..=1000))]
        depth: u64,
    },
    /// Pay an account out of the faucet
    ///
    /// The dev account dev:9 pays; with one of the next blocks the money is there. Calls at once to one
    /// node do not get in each other's way. Two nodes know nothing of each other's payments: ask one.
    Faucet {
        /// Who is paid: 0x and 40 hex digits, or dev:N
        address: Party,
        /// How much, up to 1000 LGN: 25, 1.5, 3gwei, 7wei (LGN without a unit) [default: 100]
        #[arg(allow_negative_numbers = true)]
        amount: Option<Amount>,
    },
}

fn parse_delay(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|ms| *ms <= 3_000);
    number.ok_or_else(|| {
        format!(
            "wanted 0 to 3000 ms, since gossip waits no more than 5 s for a verdict, got {text:?}"
        )
    })
}

/// Gives the order and prints what it did.
pub fn run(args: &Args) -> Result<(), Failure> {
    match &args.verb {
        Verb::Split { sizes } => split(args, sizes),
        Verb::Heal => heal(args),
        Verb::Delay { milliseconds } => delay(args, *milliseconds),
        Verb::Mine { blocks } => {
            let made = make(args, "mine", &json!({ "blocks": blocks }))?;
            print(args, &made, || describe_mined(&made))?;
            complain_if_stopped(&made)
        }
        Verb::Reorg { depth } => {
            let made = make(args, "reorg", &json!({ "depth": depth }))?;
            print(args, &made, || describe_reorg(&made))
        }
        Verb::Faucet { address, amount } => faucet(args, address, *amount),
    }
}

fn print(args: &Args, answer: &Value, text: impl Fn() -> String) -> Result<(), Failure> {
    let out = if args.json {
        format!("{answer:#}\n")
    } else {
        text()
    };
    Ok(io::stdout().write_all(out.as_bytes())?)
}

fn split(args: &Args, sizes: &Sizes) -> Result<(), Failure> {
    let devnet = args.devnet()?;
    let members = place::members(&devnet)?;
    let split = Split::new(sizes, &members)?;
    // Kept first, so that a node that comes back meanwhile is told too.
    split.write(&devnet)?;
    tell_all(&split, &members)?;
    print(args, &json!({ "groups": split.groups() }), || {
        let rest = "they refuse each other until `lignum dev heal`";
        format!("split: {split}; {rest}\n")
    })
}

fn heal(args: &Args) -> Result<(), Failure> {
    let devnet = args.devnet()?;
    let members = place::members(&devnet)?;
    Split::remove(&devnet);
    tell_all(&Split::default(), &members)?;
    print(args, &json!({ "groups": [] }), || {
        format!(
            "healed: all {} nodes talk to each other again\n",
            members.len()
        )
    })
}

/// Tells every node, and only then complains of one that did not answer.
fn tell_all(split: &Split, members: &[Member]) -> Result<(), Failure> {
    let told: Vec<_> = members.iter().map(|member| split.tell(member)).collect();
    told.into_iter().collect()
}

fn delay(args: &Args, milliseconds: u64) -> Result<(), Failure> {
    let members = match args.node {
        Some(_) => vec![args.member()?],
        None => place::members(&args.devnet()?)?,
    };
    let body = json!({ "milliseconds": milliseconds });
    for member in &members {
        give(member, "delay", &body, QUICK_TIME_OUT)?;
    }
    let urls: Vec<_> = members
        .iter()
        .map(|member| &member.endpoints.http)
        .collect();
    print(
        args,
        &json!({ "milliseconds": milliseconds, "nodes": urls }),
        || {
            let count = members.len();
            let nodes = if count == 1 {
                "1 node"
            } else {
                &format!("each of {count} nodes")
            };
            match milliseconds {
                0 => format!("no delay any more: {nodes} hears its peers at once\n"),
                ms => format!("{nodes} hears its peers {ms} ms late until `lignum dev delay 0`\n"),
            }
        },
    )
}

fn faucet(args: &Args, to: &Party, amount: Option<Amount>) -> Result<(), Failure> {
    let amount = amount.map(|amount| amount.wei().to_string());
    let body = json!({ "address": to.address().to_string(), "amount": amount });
    let paid = give(&args.member()?, "faucet", &body, PAYMENT_TIME_OUT)?;
    print(args, &paid, || describe_paid(&paid))
}

fn describe_paid(paid: &Value) -> String {
    let text = |field: &str| paid[field].as_str().unwrap_or("?").to_owned();
    let (what, from, to, hash) = (text("display"), text("from"), text("to"), text("hash"));
    let nonce = &paid["nonce"];
    format!("sent {what} from the faucet {from} to {to}  nonce {nonce}  tx {hash}\n")
}

fn give(member: &Member, verb: &str, body: &Value, time_out: Duration) -> Result<Value, Failure> {
    let (url, token) = (&member.endpoints.http, member.token()?);
    client::post(url, &format!("/v1/dev/{verb}"), &token, body, time_out)
}

/// Gives an order that takes its time, and says now and then that it does.
fn make(args: &Args, verb: &str, body: &Value) -> Result<Value, Failure> {
    let member = args.member()?;
    let start = Instant::now();
    let (sender, outcome) = mpsc::sync_channel(1);
    let url = member.endpoints.http.clone();
    let body = body.clone();
    let verb = verb.to_owned();
    thread::spawn(move || {
        // Nobody waits where this process is ending.
        let _ = sender.send(give(&member, &verb, &body, ORDER_TIME_OUT));
    });
    loop {
        match outcome.recv_timeout(PATIENCE) {
            Ok(outcome) => return outcome,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let status = client::get(&url, "/v1/status", QUICK_TIME_OUT).unwrap_or_default();
                let (seconds, head) = (start.elapsed().as_secs(), &status["head"]["height"]);
                eprintln!("… {seconds} s, head #{head}; Ctrl-C gives up");
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Err(Failure::new(
                    Exit::Other,
                    "the order failed: please try again",
                ));
            }
        }
    }
}

fn complain_if_stopped(made: &Value) -> Result<(), Failure> {
    match made["stopped"].as_str() {
        Some(why) => Err(Failure::new(Exit::Other, why)),
        None => Ok(()),
    }
}

impl Args {
    fn devnet(&self) -> Result<PathBuf, Failure> {
        devnet_directory(self.datadir.as_deref(), self.name.as_deref())
    }

    /// The node that is meant: by its URL or number, the only one of a data directory, or the
    /// devnet's first.
    fn member(&self) -> Result<Member, Failure> {
        let number = match self.node.as_deref().map(|node| (node, node.parse())) {
            Some((url, Err(_))) => return self.member_at(url.trim_end_matches('/')),
            Some((_, Ok(number))) => number,
            None => 1,
        };
        let place = self.devnet()?;
        let own = self.datadir.as_deref().filter(|_| self.node.is_none());
        if let Some(member) = own.and_then(|own| Member::read(0, own.to_owned())) {
            return Ok(member);
        }
        let members = place::members(&place)?;
        let count = members.len();
        let found = members.into_iter().find(|member| member.number == number);
        found.ok_or_else(|| super::missing(number, count))
    }

    fn member_at(&self, url: &str) -> Result<Member, Failure> {
        let is_there = |member: &Member| member.endpoints.http == url;
        let given = self.datadir.as_deref().map(Path::to_owned);
        if let Some(member) = given.and_then(|directory| Member::read(0, directory)) {
            let endpoints = member.endpoints.clone();
            let http = url.to_owned();
            return Ok(Member {
                endpoints: crate::devnet::endpoints::Endpoints { http, ..endpoints },
                ..member
            });
        }
        let members = place::members(&self.devnet()?).unwrap_or_default();
        members.into_iter().find(is_there).ok_or_else(|| {
            let what = "is no node of the devnet: give its data directory with --datadir, where \
                        its operator.token is";
            Failure::new(Exit::Usage, format!("{url} {what}"))
        })
    }
}

fn describe_mined(made: &Value) -> String {
    let (old, new) = (&made["old_head"]["height"], &made["new_head"]["height"]);
    let mut out = block_lines(made);
    let count = made["blocks"].as_array().map_or(0, Vec::len);
    let blocks = if count == 1 { "block" } else { "blocks" };
    out.push_str(&format!("{count} {blocks} made: head #{old} -> #{new}\n"));
    out + &describe_difficulty(made)
}

fn describe_reorg(made: &Value) -> String {
    let id = |id: &Value| format!("#{} {}", id["height"], id["hash"].as_str().unwrap_or("?"));
    let (depth, count) = (
        &made["depth"],
        made["blocks"].as_array().map_or(0, Vec::len),
    );
    let (old, new) = (id(&made["old_head"]), id(&made["new_head"]));
    let mut out = block_lines(made);
    out.push_str(&format!(
        "reorg: {depth} blocks left, {count} joined\n  old head {old}\n  new head {new}\n"
    ));
    out + &describe_difficulty(made)
}

/// A line a block; of many, the first and the last ones.
fn block_lines(made: &Value) -> String {
    let blocks = made["blocks"].as_array().map_or(&[][..], Vec::as_slice);
    let line = |id: &Value| format!("#{} {}\n", id["height"], id["hash"].as_str().unwrap_or("?"));
    if blocks.len() <= LINES_MAX {
        return blocks.iter().map(line).collect();
    }
    let (first, rest) = blocks.split_at(LINES_MAX / 2);
    let (between, last) = rest.split_at(rest.len() - LINES_MAX / 2);
    let lines = |ids: &[Value]| ids.iter().map(line).collect::<String>();
    format!(
        "{}… {} blocks\n{}",
        lines(first),
        between.len(),
        lines(last)
    )
}

/// What the order did to the difficulty.
fn describe_difficulty(made: &Value) -> String {
    let (before, after) = (&made["difficulty_before"], &made["difficulty_after"]);
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let change = if before["bits"] == after["bits"] {
        let (hashes, bits) = (text(&after["hashes"]), text(&after["bits"]));
        format!("difficulty unchanged at {hashes} hashes a block (bits {bits})")
    } else {
        let (from, to) = (text(&before["hashes"]), text(&after["hashes"]));
        let bits = (text(&before["bits"]), text(&after["bits"]));
        format!(
            "difficulty {from} -> {to} hashes a block (bits {} -> {})",
            bits.0, bits.1
        )
    };
    let seconds = |difficulty: &Value| {
        let ms = difficulty["expected_ms"].as_u64();
        ms.map(|ms| format!("{}.{} s", ms / 1_000, ms % 1_000 / 100))
    };
    let next = match (seconds(before), seconds(after)) {
        (Some(from), Some(to)) => {
            let rate = text(&made["hashes_per_second"]);
            format!("; at the network's {rate} hashes/s the next takes {to}, was {from}")
        }
        _ => String::new(),
    };
    format!("{change}{next}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(count: usize) -> Value {
        let ids: Vec<_> = (1..=count)
            .map(|height| json!({ "height": height, "hash": format!("0x{height}") }))
            .collect();
        let difficulty = |bits: &str, hashes: &str, ms: u64| json!({ "bits": bits, "hashes": hashes, "expected_ms": ms });
        json!({
            "blocks": ids, "depth": 2, "hashes_per_second": "50",
            "old_head": { "height": 0, "hash": "0xa" },
            "new_head": { "height": count, "hash": "0xb" },
            "difficulty_before": difficulty("0x1", "100", 2_000),
            "difficulty_after": difficulty("0x2", "125", 2_540),
        })
    }

    #[test]
    fn what_was_mined_is_told_in_few_lines() {
        assert_eq!(
            describe_mined(&made(2)),
            "#1 0x1\n#2 0x2\n2 blocks made: head #0 -> #2\ndifficulty 100 -> 125 hashes a block \
             (bits 0x1 -> 0x2); at the network's 50 hashes/s the next takes 2.5 s, was 2.0 s\n"
        );
        let many = describe_mined(&made(1_000));
        assert_eq!(many.lines().count(), LINES_MAX + 3);
        assert!(
            many.contains("\n#10 0x10\n… 980 blocks\n#991 0x991\n"),
            "{many}"
        );
    }

    #[test]
    fn a_reorg_names_both_heads() {
        let text = describe_reorg(&made(3));
        let wanted = "reorg: 2 blocks left, 3 joined\n  old head #0 0xa\n  new head #3 0xb\n";
        assert!(text.contains(wanted), "{text}");
    }

    #[test]
    fn a_delay_has_its_limit_and_says_why() {
        assert_eq!(parse_delay("3000"), Ok(3_000));
        for text in ["3001", "-1", "1s"] {
            assert!(parse_delay(text).unwrap_err().contains("5 s"), "{text}");
        }
    }
}
