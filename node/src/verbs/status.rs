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
    let mining = if status["mining"] == Value::Bool(true) {
        "yes"
    } else {
        "no"
    };
    let behind = match status["sync"]["blocks_behind"].as_u64() {
        Some(behind) if behind > 0 => format!("   {behind} blocks behind, catching up"),
        _ => String::new(),
    };
    format!(
        "node     {url}   version {}\nnetwork  {}   chain id {}   genesis {}\nhead     #{}   {}{}\n\
         peers    {}\npool     {} transactions   base fee {} wei\nmining   {mining}\n",
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
