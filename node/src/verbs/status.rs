//! `lignum status`: where a node stands, in a few lines or as JSON.

use serde_json::Value;

use super::{NodeUrl, table::ask};
use crate::failure::Failure;

/// Show where a node stands.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    node: NodeUrl,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

/// Asks a node for its status and prints it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let (url, status) = ask(&args.node, "/v1/status")?;
    if args.json {
        println!("{status:#}");
    } else {
        print!("{}", describe(&url, &status));
    }
    Ok(())
}

fn describe(url: &str, status: &Value) -> String {
    let text = |pointer: &str| match status.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "?".to_owned(),
    };
    let mining = match &status["miner"] {
        Value::Null if status["mining"] == Value::Bool(true) => "yes".to_owned(),
        Value::Null => "no".to_owned(),
        miner => format!("yes   {}", rate(miner)),
    };
    let stratum = match &status["stratum"] {
        Value::Null => String::new(),
        miners => stratum(miners),
    };
    let behind = match status["sync"]["blocks_behind"].as_u64() {
        Some(behind) if behind > 0 => format!("   {behind} blocks behind, catching up"),
        _ => String::new(),
    };
    format!(
        "node     {url}   version {}\nnetwork  {}   chain id {}   genesis {}\nhead     #{}   {}{}\n\
         peers    {}\npool     {} transactions   base fee {} wei\nmining   {mining}\n{stratum}",
        text("/version"),
        text("/network"),
        text("/chain_id"),
        text("/genesis"),
        text("/head/height"),
        text("/head/hash"),
        behind,
        text("/peers"),
        text("/pool/count"),
        text("/base_fee"),
    )
}

/// A hash rate, and what it means here.
fn rate(of: &Value) -> String {
    let hashes = of["hash_rate"].as_u64().unwrap_or(0);
    let (whole, part) = (hashes / 1_000_000, hashes / 10_000 % 100);
    let block = match of["block_secs"].as_u64() {
        Some(secs) => format!("   a block in about {secs} s"),
        None => String::new(),
    };
    format!("{whole}.{part:02} MH/s{block}")
}

/// The line of the miners over Stratum.
fn stratum(miners: &Value) -> String {
    let shares = &miners["shares"];
    format!(
        "stratum  {} connections   {}   shares: {} accepted, {} stale, {} duplicate, {} refused   blocks {}\n",
        miners["connections"],
        rate(miners),
        shares["accepted"],
        shares["stale"],
        shares["duplicate"],
        shares["refused"],
        miners["blocks"],
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn miners_have_a_line_where_there_are_any() {
        let idle = json!({"mining": false, "miner": null, "stratum": null});
        let text = describe("http://node", &idle);
        assert!(text.ends_with("\nmining   no\n"), "{text}");
        let busy = json!({
            "mining": true,
            "miner": {"hash_rate": 36_204_000, "block_secs": 12},
            "stratum": {
                "connections": 2, "hash_rate": 0, "block_secs": null, "blocks": 1,
                "shares": {"accepted": 7, "stale": 1, "duplicate": 0, "refused": 3},
            },
        });
        let text = describe("http://node", &busy);
        let lines = "\nmining   yes   36.20 MH/s   a block in about 12 s\nstratum  2 connections   \
                     0.00 MH/s   shares: 7 accepted, 1 stale, 0 duplicate, 3 refused   blocks 1\n";
        assert!(text.ends_with(lines), "{text}");
    }
}
