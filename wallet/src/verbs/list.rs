//! `list`, `address`, `balance`, `watch` and `label`: what there is, and what it is called.

use alloy_primitives::Address;
use serde_json::{Value, json};

use super::{
    VerbError,
    context::{Context, PasswordArgs},
    count,
};
use crate::{address::Who, amount::Amount, answers::Account, book::Book, client::Client};

/// What `list` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct ListArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `address` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct AddressArgs {
    /// A wallet's name, or a label
    name: Who,
    #[command(flatten)]
    password: PasswordArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `balance` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct BalanceArgs {
    /// Whose: a wallet's name, a label, an address, or dev:N [default: all that `list` shows]
    who: Option<Who>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `watch` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct WatchArgs {
    /// The address
    address: Who,
    /// What to call it
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
}

/// What `label` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct LabelArgs {
    /// A wallet's name, an address, or the label it has now
    who: Who,
    /// The label; an empty one takes it away
    text: String,
}

/// A line of the list.
struct Row {
    name: String,
    address: Option<Address>,
    kind: &'static str,
    label: String,
}

impl Row {
    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "address": self.address.map(|address| address.to_string()),
            "kind": self.kind,
            "label": self.label,
        })
    }

    fn line(&self) -> String {
        let address = match self.address {
            Some(address) => address.to_string(),
            None => "?".to_string(),
        };
        let line = format!(
            "{:<16} {address:<42} {:<8} {}",
            self.name, self.kind, self.label
        );
        line.trim_end().to_string()
    }
}

/// Wallets, then addresses that are only watched. What cannot be read is shown as such.
fn rows(context: &Context) -> Result<Vec<Row>, VerbError> {
    let book = context.book()?;
    let label = |book: &Book, address: Option<Address>| {
        let known = address.and_then(|address| book.label(address));
        known.unwrap_or_default().to_string()
    };
    let mut rows = Vec::new();
    for name in context.wallets.names()? {
        let entry = context.wallets.entry(&name).ok();
        let address = entry.as_ref().and_then(|entry| entry.address);
        let kind = match &entry {
            Some(entry) if entry.has_words => "words",
            Some(_) => "key",
            None => "damaged",
        };
        rows.push(Row {
            label: label(&book, address),
            name,
            address,
            kind,
        });
    }
    let known: Vec<_> = rows.iter().filter_map(|row| row.address).collect();
    let watched = book.watched().filter(|address| !known.contains(address));
    rows.extend(watched.map(|address| Row {
        name: "-".to_string(),
        address: Some(address),
        kind: "watched",
        label: label(&book, Some(address)),
    }));
    Ok(rows)
}

/// Shows all wallets and watched addresses.
pub fn list(args: &ListArgs, context: &mut Context) -> Result<(), VerbError> {
    let rows = rows(context)?;
    if args.json {
        let wallets: Vec<Value> = rows.iter().map(Row::json).collect();
        let directory = context.wallets.directory().display().to_string();
        return context.print_json(&json!({ "directory": directory, "wallets": wallets }));
    }
    for row in &rows {
        context.print(&row.line())?;
    }
    if rows.is_empty() {
        let directory = context.wallets.directory().display().to_string();
        context.say(&format!(
            "no wallets in {directory}: make one with `lignum wallet new`"
        ))?;
    }
    Ok(())
}

/// Shows a wallet's address; where its file does not say it, the key does.
pub fn address(args: &AddressArgs, context: &mut Context) -> Result<(), VerbError> {
    let address = match &args.name {
        Who::Name(name)
            if context.wallets.is_taken(name)?
                && context.wallets.entry(name)?.address.is_none() =>
        {
            context.open_wallet(name, &args.password)?.address()
        }
        who => context.address(who)?,
    };
    match args.json {
        true => context.print_json(&json!({ "address": address.to_string() })),
        false => context.print(&address.to_string()),
    }
}

/// Shows what an account has, or all accounts of the list.
pub fn balance(args: &BalanceArgs, context: &mut Context) -> Result<(), VerbError> {
    let client = context.client()?;
    match &args.who {
        Some(who) => {
            let address = context.address(who)?;
            let account = client.account(address)?;
            match args.json {
                true => context.print_json(&balance_json(&account)),
                false => print_balance(&account, context),
            }
        }
        None => balances(args.json, &client, context),
    }
}

fn print_balance(account: &Account, context: &mut Context) -> Result<(), VerbError> {
    context.print(&Amount(account.chain.balance).to_string())?;
    let (pending, queued) = (account.pool.pending, account.pool.queued);
    let cost = Amount(account.pool.pending_cost);
    let waiting = match (pending, queued) {
        (0, 0) => return Ok(()),
        (_, 0) => format!("{} pending", count(pending, "transaction")),
        (0, _) => format!("{} queued", count(queued, "transaction")),
        (_, _) => format!(
            "{} pending and {queued} queued",
            count(pending, "transaction")
        ),
    };
    context.print(&format!("{waiting}, which can take {cost}"))?;
    Ok(())
}

fn balance_json(account: &Account) -> Value {
    let balance = Amount(account.chain.balance);
    json!({
        "address": account.address.to_string(),
        "balance": balance.wei().to_string(),
        "display": balance.to_string(),
        "nonce": account.chain.nonce,
        "pending": account.pool.pending,
        "queued": account.pool.queued,
        "pending_cost": account.pool.pending_cost.to_string(),
        "head": { "height": account.head.height, "hash": account.head.hash.to_string() },
    })
}

fn balances(json: bool, client: &Client, context: &mut Context) -> Result<(), VerbError> {
    let mut answers = Vec::new();
    let mut total = 0_u128;
    for row in rows(context)? {
        let Some(address) = row.address else { continue };
        let account = client.account(address)?;
        total = total.saturating_add(account.chain.balance);
        if json {
            let mut answer = balance_json(&account);
            answer["name"] = Value::String(row.name);
            answers.push(answer);
        } else {
            let balance = Amount(account.chain.balance);
            context.print(&format!("{:<16} {address} {balance}", row.name))?;
        }
    }
    match json {
        true => context.print_json(&json!({
            "balances": answers,
            "total": total.to_string(),
            "display": Amount(total).to_string(),
        })),
        false => context.print(&format!("{:<16} {:<42} {}", "total", "", Amount(total))),
    }
}

/// Keeps an address in the list.
pub fn watch(args: &WatchArgs, context: &mut Context) -> Result<(), VerbError> {
    let address = context.address(&args.address)?;
    let mut book = context.book()?;
    book.watch(address);
    if let Some(label) = &args.label {
        context.set_label(&mut book, address, label)?;
    }
    book.write(&context.wallets)?;
    context.say(&format!("watching {address}"))
}

/// Gives an address a label.
pub fn label(args: &LabelArgs, context: &mut Context) -> Result<(), VerbError> {
    let address = context.address(&args.who)?;
    let mut book = context.book()?;
    context.set_label(&mut book, address, &args.text)?;
    book.write(&context.wallets)?;
    context.say(&format!("{address} is now labelled {:?}", args.text))
}
