//! `build`, `sign` and `broadcast`: paying with a key that never meets a network.

use std::path::{Path, PathBuf};

use alloy_primitives::hex;
use chain::{CheckedTransaction, TxHash};

use super::{
    VerbError,
    context::{Context, PasswordArgs, check_dev},
    payment::{Draft, WaitArgs, check_money, confirm, network_of, report, submit},
    send::{WhatArgs, transfer},
};
use crate::{
    files::{self, Place},
    guard, journal,
    offline::{Document, FILE_BYTES_MAX},
    sign::{Transfer, sign_transfer},
};

/// Where a result goes.
#[derive(Clone, Debug, clap::Args)]
struct OutArgs {
    /// File to write, which must not exist [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What `build` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct BuildArgs {
    #[command(flatten)]
    what: WhatArgs,
    #[command(flatten)]
    out: OutArgs,
}

/// What `sign` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct SignArgs {
    /// The file that `build` wrote [default: standard input]
    file: Option<PathBuf>,
    #[command(flatten)]
    password: PasswordArgs,
    /// Do not ask whether to go on
    #[arg(long)]
    yes: bool,
    /// Sign even a fee that `send` would not pay unasked
    #[arg(long)]
    allow_high_fee: bool,
    #[command(flatten)]
    out: OutArgs,
}

/// What `broadcast` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct BroadcastArgs {
    /// The file that `sign` wrote, or the hash of a payment that was sent from here
    /// [default: standard input]
    file: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Writes a transaction into a file; needs a node and no key.
pub fn build(args: &BuildArgs, context: &mut Context) -> Result<(), VerbError> {
    let client = context.client()?;
    let from = context.address(&args.what.from)?;
    let to = context.address(&args.what.to)?;
    if !args.what.force {
        guard::check_recipient(from, to)?;
    }
    let status = client.status()?;
    let network = network_of(&status);
    for who in [&args.what.from, &args.what.to] {
        check_dev(who, &network)?;
    }
    let transfer = transfer(&args.what, from, to, &status, &client)?;
    check_money(from, &transfer, args.what.fees.allow_high_fee, &client)?;
    let document = Document {
        network,
        from,
        transfer,
    };
    write(&args.out, &document.unsigned(), context)
}

/// Signs a transaction file; needs a key and no node.
pub fn sign(args: &SignArgs, context: &mut Context) -> Result<(), VerbError> {
    let text = match &args.file {
        Some(path) => read(path)?,
        None => context.document("Transaction:")?.to_string(),
    };
    let document = Document::parse_unsigned(&text)?;
    let Document {
        network,
        from,
        transfer,
    } = document.clone();
    if !args.allow_high_fee {
        guard::check_fee(&transfer)?;
    }
    let account = context.account_of(from, network.dev)?;
    let draft = Draft {
        network,
        account,
        transfer,
        is_nonce_fixed: true,
    };
    confirm(
        &draft,
        None,
        "none: signing needs no network",
        args.yes,
        context,
    )?;
    let key = context.open(&draft.account, &args.password)?;
    let raw = sign_transfer(&key, &draft.transfer);
    let checked = CheckedTransaction::check(&raw, draft.network.chain_id)?;
    checked.check_limits()?;
    document.compare(&checked)?;
    write(&args.out, &document.signed(&checked), context)
}

/// Sends a signed transaction file, or a payment from this machine's journal again.
pub fn broadcast(args: &BroadcastArgs, context: &mut Context) -> Result<(), VerbError> {
    let client = context.client()?;
    let status = client.status()?;
    let node = network_of(&status);
    let (transfer, checked) = match args.file.as_deref() {
        Some(hash) if hash.parse::<TxHash>().is_ok() => sent_before(hash, &node, context)?,
        file => {
            let text = match file {
                Some(path) => read(Path::new(path))?,
                None => context.document("Signed transaction:")?.to_string(),
            };
            let (document, checked) = Document::parse_signed(&text)?;
            guard::check_network(&document.network, &node)?;
            (document.transfer, checked)
        }
    };
    submit(&client, &checked)?;
    report(&transfer, &checked, &args.wait, args.json, context)
}

/// A payment that was written down here.
fn sent_before(
    hash: &str,
    node: &guard::Network,
    context: &Context,
) -> Result<(Transfer, CheckedTransaction), VerbError> {
    let Some(payment) = journal::find(&context.wallets.sent(), hash)? else {
        return Err(VerbError::Usage(format!(
            "no payment {hash} was sent from here: give the file that `lignum wallet sign` wrote"
        )));
    };
    if payment.genesis != node.genesis.to_string() {
        guard::check_last(
            Some(&journal::Payment {
                dev: false,
                ..payment
            }),
            node,
        )?;
        return Err(VerbError::Usage(
            "the payment is of another network".to_string(),
        ));
    }
    let bytes = hex::decode(&payment.raw).unwrap_or_default();
    let checked = CheckedTransaction::check(&bytes, node.chain_id)?;
    let transfer = Transfer {
        chain_id: node.chain_id,
        nonce: checked.nonce(),
        to: checked.to().unwrap_or_default(),
        value: checked.value().try_into().unwrap_or(u128::MAX),
        gas_limit: checked.gas_limit(),
        max_fee: checked.max_fee(),
        tip: checked.priority_fee(),
        input: checked.input().to_vec(),
    };
    Ok((transfer, checked))
}

fn read(path: &Path) -> Result<String, VerbError> {
    let bytes = files::read(path, FILE_BYTES_MAX)?;
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| {
        let shown = path.display();
        VerbError::Usage(format!("there is no text file {shown} with a transaction"))
    })
}

fn write(args: &OutArgs, text: &str, context: &mut Context) -> Result<(), VerbError> {
    match &args.out {
        None => context.print(text.trim_end()),
        Some(path) => {
            files::write(path, text.as_bytes(), Place::New)?;
            context.say(&format!("written to {}", path.display()))
        }
    }
}
