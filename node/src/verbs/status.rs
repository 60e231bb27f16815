//! `lignum status`: where a node stands, in a few lines or as JSON.

use std::time::Duration;

use serde_json::Value;

use super::NodeUrl;
use crate::{
    devnet::client,
    failure::{Exit, Failure},
};

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
    let url = args.node.resolve()?;
    let status = client::get(&url, "/v1/status", Duration::from_secs(5)).map_err(|error| {
        let hint = "start one with `lignum devnet` or name it with --node";
        Failure::new(
            Exit::Unreachable,
            format!("node {url} is not reachable ({error}): {hint}"),
        )
    })?;
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
    let mining = if status["mining"] == Value::Bool(true) {
        "yes"
    } else {
        "no"
    };
    format!(
        "node     {url}   version {}\nnetwork  {}   chain id {}   genesis {}\nhead     #{}   {}\n\
         peers    {}\npool     {} transactions   base fee {} wei\nmining   {mining}\n",
        text("/version"),
        text("/network"),
        text("/chain_id"),
        text("/genesis"),
        text("/head/height"),
        text("/head/hash"),
        text("/peers"),
        text("/pool/count"),
        text("/base_fee"),
    )
}
