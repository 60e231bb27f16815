//! `history`: an account's transactions, newest first, a page at a time.

use alloy_primitives::Address;
use serde_json::{Value, json};

use super::{VerbError, context::Context};
use crate::{
    address::Who,
    amount::Amount,
    answers::{Direction, HistoryEntry, Outcome, printable},
};

/// What `history` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct HistoryArgs {
    /// Whose: a wallet's name, a label, an address, or dev:N
    who: Who,
    /// Transactions on a page
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Where the page begins: what the page before said
    #[arg(long)]
    cursor: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Shows a page of an account's transactions.
pub fn history(args: &HistoryArgs, context: &mut Context) -> Result<(), VerbError> {
    let client = context.client()?;
    let address = context.address(&args.who)?;
    let page = client.history(address, args.cursor.as_deref(), args.limit)?;
    let Some(page) = page else {
        return Err(VerbError::NotOffered {
            url: client.url().to_string(),
            what: "list an account's transactions",
            remedy: "ask a newer node; `lignum wallet balance` works with this one",
        });
    };
    let next = page.next_cursor.as_deref().map(printable);
    if args.json {
        let transactions: Vec<Value> = page.transactions.iter().map(entry_json).collect();
        return context.print_json(&json!({
            "address": address.to_string(),
            "transactions": transactions,
            "next_cursor": next,
            "head": { "height": page.head.height, "hash": page.head.hash.to_string() },
        }));
    }
    for entry in &page.transactions {
        let line = entry_line(entry, context)?;
        context.print(&line)?;
    }
    if page.transactions.is_empty() {
        context.say("no transactions here")?;
    }
    match next {
        Some(next) => context.say(&format!("there is more: --cursor {next}")),
        None => Ok(()),
    }
}

fn entry_line(entry: &HistoryEntry, context: &Context) -> Result<String, VerbError> {
    let show = |address: Option<Address>| match address {
        Some(address) => context.show(address),
        None => Ok("a new contract".to_string()),
    };
    let (way, other) = match entry.direction {
        Direction::In => ("in  ", format!("from {}", show(Some(entry.from))?)),
        Direction::Out => ("out ", format!("to {}", show(entry.to)?)),
        Direction::Own => ("self", String::new()),
    };
    let failed = match entry.status {
        Outcome::Success => "",
        Outcome::Failed => "  FAILED",
    };
    // Who is paid has no part in the fee.
    let fee = match entry.direction {
        Direction::In => String::new(),
        Direction::Out | Direction::Own => format!("  fee {}", Amount(entry.fee)),
    };
    let line = format!(
        "#{:<8} {way} {} {other}{fee}{failed}  {}",
        entry.block.height,
        Amount(entry.value),
        entry.hash
    );
    Ok(line)
}

fn entry_json(entry: &HistoryEntry) -> Value {
    json!({
        "hash": entry.hash.to_string(),
        "block": { "height": entry.block.height, "hash": entry.block.hash.to_string() },
        "index": entry.index,
        "from": entry.from.to_string(),
        "to": entry.to.map(|to| to.to_string()),
        "value": entry.value.to_string(),
        "display": Amount(entry.value).to_string(),
        "fee": entry.fee.to_string(),
        "nonce": entry.nonce,
        "direction": match entry.direction {
            Direction::In => "in",
            Direction::Out => "out",
            Direction::Own => "self",
        },
        "status": match entry.status {
            Outcome::Success => "success",
            Outcome::Failed => "failed",
        },
    })
}
