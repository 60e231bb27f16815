//! What all verbs that pay have in common: fees, the question, the lock, sending, waiting.
//!
//! A payment is drafted, checked and shown without a lock, since a person may take long to
//! answer. Then, under the account's lock, the nonce is asked for again, and the transaction
//! signed, written down, and sent; the lock is kept until the node shows the transaction.

use std::{
    thread,
    time::{Duration, Instant},
};

use alloy_primitives::{Address, hex};
use chain::{CheckedTransaction, TxHash};
use serde_json::{Value, json};

use super::{
    VerbError, WaitError,
    context::{Account, Context, PasswordArgs},
    count,
};
use crate::{
    amount::{Amount, parse_fee},
    answers::{Inclusion, Status, TransactionStatus},
    client::{Client, ClientError},
    guard::{self, Network},
    journal::{Journal, Payment, now},
    sign::{Transfer, sign_transfer},
};

/// Time between two looks at a transaction that is waited for.
const POLL: Duration = Duration::from_millis(250);
/// How long a node may not know a transaction that it took, until it is taken for lost.
const UNKNOWN_MAX: Duration = Duration::from_secs(30);
/// Looks at a transaction just sent, until the next payment may ask for its nonce.
const SHOWN_LOOKS: u32 = 40;
/// Time between two of those looks.
const SHOWN_POLL: Duration = Duration::from_millis(50);

/// What a payment may cost.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct FeeArgs {
    /// The miner's part of the fee, per gas, with its unit: 2gwei [default: what the node suggests]
    #[arg(long, value_name = "FEE", value_parser = parse_fee)]
    pub tip: Option<u128>,
    /// The most to pay per gas, with its unit [default: what the node suggests]
    #[arg(long, value_name = "FEE", value_parser = parse_fee)]
    pub max_fee: Option<u128>,
    /// Blocks within which it should be mined, for the node's suggestion
    #[arg(long, value_name = "BLOCKS", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    pub within: u64,
    /// Pay even a fee above 0.1 LGN, or above 0.001 LGN and a tenth of the amount
    #[arg(long)]
    pub allow_high_fee: bool,
}

/// How a payment is made.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct PayArgs {
    #[command(flatten)]
    pub password: PasswordArgs,
    /// Do not ask whether to go on
    #[arg(long)]
    pub yes: bool,
    /// Pay on another network than this account last did
    #[arg(long)]
    pub other_network: bool,
    #[command(flatten)]
    pub wait: WaitArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Whether to wait for a block.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct WaitArgs {
    /// Wait until the transaction is this many blocks deep
    #[arg(long, value_name = "CONFIRMATIONS", value_parser = clap::value_parser!(u64).range(1..))]
    pub wait: Option<u64>,
    /// Seconds after which waiting is given up
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub timeout: u64,
}

/// A payment about to be made.
#[derive(Debug)]
pub struct Draft {
    /// Where.
    pub network: Network,
    /// Who pays.
    pub account: Account,
    /// What is signed.
    pub transfer: Transfer,
    /// Whether the nonce stands, or is the node's next.
    pub is_nonce_fixed: bool,
}

/// The node's network.
pub fn network_of(status: &Status) -> Network {
    Network {
        name: status.network.clone(),
        chain_id: status.chain_id,
        genesis: status.genesis,
        dev: status.dev,
    }
}

/// The most to pay per gas, and the miner's part of it: what was said, or what the node suggests.
pub fn fees(args: &FeeArgs, status: &Status, client: &Client) -> Result<(u128, u128), VerbError> {
    let usual_tip = status.suggested_tip;
    // The base fee can double in six full blocks; what is not needed is not taken.
    let usual = (2 * u128::from(status.base_fee)).saturating_add(usual_tip);
    let is_asked = args.tip.is_none() || args.max_fee.is_none();
    let estimates = match is_asked {
        true => client.fees()?.map_or_else(Vec::new, |fees| fees.estimates),
        false => Vec::new(),
    };
    // The slowest that is soon enough, else the fastest there is.
    let soon = estimates.iter().filter(|e| e.blocks <= args.within);
    let best = soon
        .max_by_key(|e| e.blocks)
        .or_else(|| estimates.iter().min_by_key(|e| e.blocks));
    let (max_fee, tip) = best.map_or((usual, usual_tip), |best| (best.max_fee, best.tip));
    // A ceiling that was asked for also bounds a tip that was not.
    let ceiling = args.max_fee.unwrap_or(u128::MAX);
    let chosen_tip = args.tip.unwrap_or_else(|| tip.min(ceiling));
    let raised = max_fee.saturating_add(chosen_tip.saturating_sub(tip));
    Ok((args.max_fee.unwrap_or(raised), chosen_tip))
}

/// Refuses a fee that is too high or money that is not there; gives the balance.
pub fn check_money(
    from: Address,
    transfer: &Transfer,
    allow_high_fee: bool,
    client: &Client,
) -> Result<u128, VerbError> {
    if !allow_high_fee {
        guard::check_fee(transfer)?;
    }
    let account = client.account(from)?;
    let pending_cost = guard::pending_cost(&account, transfer);
    let balance = account.chain.balance;
    guard::check_funds(balance, pending_cost, transfer)?;
    Ok(balance)
}

/// Shows all numbers of a payment and asks whether to go on, if there is somebody to ask.
pub fn confirm(
    draft: &Draft,
    balance: Option<u128>,
    node: &str,
    yes: bool,
    context: &mut Context,
) -> Result<(), VerbError> {
    if yes || !context.console.is_terminal() {
        return Ok(());
    }
    let transfer = &draft.transfer;
    let total = transfer.value.saturating_add(transfer.fee_max());
    let of = balance.map_or(String::new(), |balance| format!(" of {}", Amount(balance)));
    let from = context.show(draft.account.address())?;
    let to = context.show(transfer.to)?;
    context.say(&format!(
        "  from     {from}\n  to       {to}\n  amount   {}\n  \
         fee      at most {} ({} gas, at most {} wei each, of it {} wei to the miner)\n  \
         total    at most {}{of}\n  nonce    {}\n  \
         network  {}   chain id {}   genesis {}\n  node     {node}",
        Amount(transfer.value),
        Amount(transfer.fee_max()),
        transfer.gas_limit,
        transfer.max_fee,
        transfer.tip,
        Amount(total),
        transfer.nonce,
        draft.network.name,
        draft.network.chain_id,
        draft.network.genesis,
    ))?;
    let answer = context.ask("Go on? [y/N]")?;
    match ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
        true => Ok(()),
        false => Err(VerbError::Usage(
            "not sent: answer y, or add --yes".to_string(),
        )),
    }
}

/// Confirms, signs, sends and shows a payment.
pub fn pay(
    mut draft: Draft,
    balance: u128,
    args: &PayArgs,
    context: &mut Context,
) -> Result<(), VerbError> {
    let client = context.client()?;
    let sender = draft.account.address();
    let sent_directory = context.wallets.sent();
    let mut journal = Journal::lock(&sent_directory, sender)?;
    let payments = journal.payments()?;
    drop(journal);
    if !args.other_network {
        guard::check_last(payments.last(), &draft.network)?;
    }
    confirm(&draft, Some(balance), client.url(), args.yes, context)?;
    let key = context.open(&draft.account, &args.password)?;
    if key.address() != sender {
        let got = key.address();
        return Err(VerbError::Usage(format!(
            "the wallet's file says {sender}, but its key is that of {got}"
        )));
    }

    let mut journal = Journal::lock(&sent_directory, sender)?;
    if !draft.is_nonce_fixed {
        draft.transfer.nonce = next_nonce(&draft, &mut journal, &client)?;
    }
    let raw = sign_transfer(&key, &draft.transfer);
    drop(key);
    let checked = CheckedTransaction::check(&raw, draft.network.chain_id)?;
    assert_eq!(checked.sender(), sender, "a key signs for its own address");
    checked.check_limits()?;
    journal.signed(payment(&draft, &checked))?;
    let submitted = submit(&client, &checked);
    if let Err(VerbError::Rejected(_)) = &submitted {
        journal.refused(checked.hash().to_string())?;
    }
    submitted?;
    await_shown(&client, checked.hash());
    drop(journal);
    report(&draft.transfer, &checked, &args.wait, args.json, context)
}

/// The node's next nonce, unless an earlier payment took it which the node has forgotten.
fn next_nonce(draft: &Draft, journal: &mut Journal, client: &Client) -> Result<u64, VerbError> {
    let next = client.account(draft.account.address())?.pool.nonce_next;
    if draft.network.dev {
        // Dev networks begin anew all the time, with the same first block.
        return Ok(next);
    }
    let genesis = draft.network.genesis.to_string();
    let payments = journal.payments()?;
    let open = payments
        .iter()
        .filter(|payment| payment.genesis == genesis && payment.nonce >= next);
    for payment in open {
        let hash = payment.hash.parse::<TxHash>().ok();
        let is_known = match hash {
            Some(hash) => client.transaction(hash)?.is_some(),
            None => true,
        };
        if !is_known {
            return Err(VerbError::Forgotten {
                hash: payment.hash.clone(),
                nonce: payment.nonce,
            });
        }
    }
    Ok(next)
}

fn payment(draft: &Draft, checked: &CheckedTransaction) -> Payment {
    Payment {
        time: now(),
        network: draft.network.name.clone(),
        dev: draft.network.dev,
        chain_id: draft.network.chain_id,
        genesis: draft.network.genesis.to_string(),
        nonce: draft.transfer.nonce,
        to: draft.transfer.to.to_string(),
        value: draft.transfer.value.to_string(),
        hash: checked.hash().to_string(),
        raw: hex::encode_prefixed(checked.bytes()),
    }
}

/// Hands a transaction to the node's pool.
pub fn submit(client: &Client, checked: &CheckedTransaction) -> Result<(), VerbError> {
    let hash = checked.hash();
    match client.submit(checked.bytes()) {
        Ok(answer) if answer.hash == hash => Ok(()),
        Ok(answer) => Err(VerbError::OtherHash {
            want: hash,
            got: answer.hash,
        }),
        Err(ClientError::Problem(problem)) if problem.status < 500 => {
            Err(VerbError::Rejected(problem))
        }
        Err(error @ ClientError::Problem(_)) => Err(error.into()),
        Err(error) => Err(VerbError::Unsure { hash, error }),
    }
}

/// Waits a little until the node shows what it took: from then on its nonce counts.
fn await_shown(client: &Client, hash: TxHash) {
    for _ in 0..SHOWN_LOOKS {
        if matches!(client.transaction(hash), Ok(Some(_))) {
            return;
        }
        thread::sleep(SHOWN_POLL);
    }
}

/// Shows what was sent, and, if that was asked for, where it was mined.
pub fn report(
    transfer: &Transfer,
    checked: &CheckedTransaction,
    args: &WaitArgs,
    json: bool,
    context: &mut Context,
) -> Result<(), VerbError> {
    if !json {
        context.print(&sent_line(checked.sender(), transfer, checked.hash()))?;
    }
    let inclusion = match args.wait {
        Some(want) => Some(wait(
            &context.client()?,
            checked.hash(),
            want,
            args.timeout,
        )?),
        None => None,
    };
    match (&inclusion, json) {
        (_, true) => {
            let json = sent_json(
                checked.sender(),
                transfer,
                checked.hash(),
                inclusion.as_ref(),
            );
            context.print_json(&json)
        }
        (Some(block), false) => context.print(&format!(
            "mined in block #{} {} ({})",
            block.height,
            block.hash,
            count(block.confirmations, "confirmation")
        )),
        (None, false) => Ok(()),
    }
}

/// Waits until the transaction has this many confirmations.
fn wait(client: &Client, hash: TxHash, want: u64, secs: u64) -> Result<Inclusion, VerbError> {
    let start = Instant::now();
    let mut known = start;
    let failed = |reason| VerbError::Wait { hash, reason };
    loop {
        let answer = client
            .transaction(hash)
            .map_err(|error| failed(error.into()))?;
        let mut confirmations = 0;
        if let Some(transaction) = answer {
            known = Instant::now();
            let mined = transaction.status == TransactionStatus::Mined;
            if let Some(block) = transaction.block.filter(|_| mined) {
                confirmations = block.confirmations;
                if confirmations >= want {
                    return Ok(block);
                }
            }
        } else if let Some(why) = client
            .departure(hash)
            .map_err(|error| failed(error.into()))?
        {
            return Err(failed(WaitError::Departed(why)));
        }
        if known.elapsed() > UNKNOWN_MAX {
            return Err(failed(WaitError::Lost));
        }
        if start.elapsed() >= Duration::from_secs(secs) {
            return Err(failed(WaitError::TimedOut {
                confirmations,
                want,
                secs,
            }));
        }
        thread::sleep(POLL);
    }
}

fn sent_line(sender: Address, transfer: &Transfer, hash: TxHash) -> String {
    format!(
        "sent {} from {sender} to {}  nonce {}  fee at most {}  tx {hash}",
        Amount(transfer.value),
        transfer.to,
        transfer.nonce,
        Amount(transfer.fee_max()),
    )
}

fn sent_json(
    sender: Address,
    transfer: &Transfer,
    hash: TxHash,
    inclusion: Option<&Inclusion>,
) -> Value {
    let block = inclusion.map(|block| {
        json!({
            "height": block.height,
            "hash": block.hash.to_string(),
            "confirmations": block.confirmations,
        })
    });
    json!({
        "hash": hash.to_string(),
        "from": sender.to_string(),
        "to": transfer.to.to_string(),
        "value": transfer.value.to_string(),
        "display": Amount(transfer.value).to_string(),
        "nonce": transfer.nonce,
        "gas_limit": transfer.gas_limit,
        "max_fee": transfer.max_fee.to_string(),
        "tip": transfer.tip.to_string(),
        "fee_max": transfer.fee_max().to_string(),
        "block": block,
    })
}
