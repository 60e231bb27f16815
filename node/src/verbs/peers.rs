//! `lignum peers`: who a node is connected with.

use serde_json::Value;

use super::{
    NodeUrl,
    table::{ask, cell, json, shortened, table},
};
use crate::failure::Failure;

/// Show the peers of a node.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    node: NodeUrl,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

/// Asks a node for its peers and prints them.
pub fn run(args: &Args) -> Result<(), Failure> {
    let (_, answer) = ask(&args.node, "/v1/peers")?;
    if args.json {
        println!("{}", json(&answer));
    } else {
        print!("{}", describe(&answer));
    }
    Ok(())
}

fn describe(answer: &Value) -> String {
    let peers = answer["peers"].as_array().map_or(&[][..], Vec::as_slice);
    if peers.is_empty() {
        return "no peers: name some with --bootnodes, or look whether a firewall is in the way\n"
            .to_owned();
    }
    let rows: Vec<_> = peers.iter().map(row).collect();
    let heading = [
        "peer", "address", "way", "ping", "height", "head", "clock", "points",
    ];
    table(heading, &rows)
}

fn row(peer: &Value) -> [String; 8] {
    let way = if peer["inbound"] == true { "in" } else { "out" };
    [
        shortened(&peer["id"]),
        cell(&peer["address"]),
        way.to_owned(),
        with_unit(&peer["ping_ms"], " ms"),
        cell(&peer["claims"]["height"]),
        shortened(&peer["claims"]["hash"]),
        with_unit(&peer["clock_ahead_secs"], " s"),
        cell(&peer["points"]),
    ]
}

fn with_unit(value: &Value, unit: &str) -> String {
    if value.is_null() {
        return cell(value);
    }
    format!("{}{unit}", cell(value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn peers_are_a_table_and_none_is_a_hint() {
        assert!(describe(&json!({ "peers": [] })).starts_with("no peers: "));
        let peer = json!({
            "id": "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp",
            "address": "/ip4/127.0.0.1/tcp/30777", "inbound": true, "ping_ms": 3,
            "claims": null, "clock_ahead_secs": -2, "points": 0,
        });
        let text = describe(&json!({ "peers": [peer] }));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[1],
            "12D3KooWEy..iDEp  /ip4/127.0.0.1/tcp/30777  in   3 ms  -       -     -2 s   0"
        );
        assert_eq!(lines[0].find("address"), lines[1].find("/ip4"));
    }
}
