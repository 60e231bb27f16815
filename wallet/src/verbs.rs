//! The verbs of `lignum wallet`: what they ask the node, what they refuse, what they show.
//!
//! A verb prints to standard output only what it was asked for, one line for people or one JSON
//! object with `--json`; everything that goes wrong is a [`VerbError`] with the process's exit
//! code. Called by the command line.

use std::{
    io::{self, Write},
    thread,
    time::{Duration, Instant},
};

use alloy_primitives::Address;
use chain::{
    CheckedTransaction, TxHash,
    transaction::{LimitError, TransactionError},
};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::{
    address::{AddressError, Party},
    amount::{Amount, parse_fee},
    answers::{Inclusion, Problem, Status, TransactionStatus},
    client::{Client, ClientError},
    derive::{Key, dev_key},
    sign::{TRANSFER_GAS, Transfer, sign_transfer},
};

/// Time between two looks at a transaction that is waited for.
const POLL: Duration = Duration::from_millis(250);
/// How long a node may not know a transaction that it took, until it is taken for lost.
const UNKNOWN_MAX: Duration = Duration::from_secs(30);

/// What a wallet can do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Send an amount to somebody
    Send(SendArgs),
    /// Show what an account has
    Balance(BalanceArgs),
}

/// What `send` takes.
#[derive(Clone, Debug, Args)]
pub struct SendArgs {
    /// Who is paid: 0x and 40 hex digits, or dev:N
    pub to: Party,
    /// How much: 25, 1.5, 1ether, 3gwei, 7wei (LGN without a unit)
    #[arg(allow_negative_numbers = true)]
    pub amount: Amount,
    /// Who pays: dev:N, a well-known account of development networks
    #[arg(long, value_name = "WALLET")]
    pub from: String,
    /// The miner's part of the fee, per gas, with its unit: 2gwei [default: what the node suggests]
    #[arg(long, value_name = "FEE", value_parser = parse_fee)]
    pub tip: Option<u128>,
    /// The most to pay per gas, with its unit [default: twice the base fee and the tip]
    #[arg(long, value_name = "FEE", value_parser = parse_fee)]
    pub max_fee: Option<u128>,
    /// Gas that the transaction may use [default: 21000]
    #[arg(long, value_name = "GAS")]
    pub gas_limit: Option<u64>,
    /// The transaction's number [default: the next that the node expects]
    #[arg(long)]
    pub nonce: Option<u64>,
    /// Wait until the transaction is this many blocks deep
    #[arg(long, value_name = "CONFIRMATIONS", value_parser = clap::value_parser!(u64).range(1..))]
    pub wait: Option<u64>,
    /// Seconds after which waiting is given up
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub timeout: u64,
    /// Send even to oneself or to the zero address
    #[arg(long)]
    pub force: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What `balance` takes.
#[derive(Clone, Debug, Args)]
pub struct BalanceArgs {
    /// Whose: 0x and 40 hex digits, or dev:N
    pub address: Party,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Why a verb did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum VerbError {
    /// The same account on both sides.
    #[error("{0} would pay itself: to send anyway, add --force")]
    ToSelf(Address),
    /// What is sent there is lost.
    #[error(
        "nobody has a key for the zero address, what is sent there is lost: to send anyway, add --force"
    )]
    ToZero,
    /// A transfer's gas does not pay for running code.
    #[error(
        "{0} is a contract, which needs more gas than a transfer: say how much with --gas-limit"
    )]
    ToContract(Address),
    /// The transaction would break a limit that no state can lift.
    #[error("{0}")]
    Limit(#[from] LimitError),
    /// A development account that does not exist.
    #[error("{0}")]
    Address(#[from] AddressError),
    /// No key of that name.
    #[error("no key for {0:?}: --from takes dev:0 to dev:99")]
    NoKey(String),
    /// Everybody knows the development keys.
    #[error(
        "{party} is a development account, whose key everybody knows, and network {network} is not a development network"
    )]
    DevKey {
        /// The account, as written.
        party: Party,
        /// The network's name.
        network: String,
    },
    /// The wallet's own transaction is not one for this chain: our defect, never sent.
    #[error("the signed transaction is not valid, it was not sent: {0}")]
    Signed(#[from] TransactionError),
    /// The node was not asked, or did not answer as it should.
    #[error("{0}")]
    Client(#[from] ClientError),
    /// The node refuses the transaction.
    #[error("the node refused the transaction: {0}")]
    Rejected(Problem),
    /// The node took another transaction than the one it was given.
    #[error("the node answered with transaction {got}, sent was {want}")]
    OtherHash {
        /// What was sent.
        want: TxHash,
        /// What the node answered.
        got: TxHash,
    },
    /// Sent, but not seen in a block.
    #[error("transaction {hash} was sent, but {reason}")]
    Wait {
        /// The transaction.
        hash: TxHash,
        /// Why waiting ended.
        reason: WaitError,
    },
    /// Standard output is closed.
    #[error("cannot print: {0}")]
    Output(#[from] io::Error),
}

/// Why waiting for confirmations ended without them.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// Time is up.
    #[error(
        "{confirmations} of {want} confirmations came within {secs} s; wait longer with --timeout"
    )]
    TimedOut {
        /// Confirmations that it has.
        confirmations: u64,
        /// Confirmations that were asked for.
        want: u64,
        /// Seconds waited.
        secs: u64,
    },
    /// Neither in the pool nor in a block.
    #[error("the node no longer knows it: its nonce or balance was used up, or the pool was full")]
    Lost,
    /// The node went away.
    #[error("then: {0}")]
    Client(#[from] ClientError),
}

impl VerbError {
    /// The process's exit code: 2 usage, 8 wallet, 9 node unreachable, 10 rejected by the pool,
    /// 1 anything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::ToSelf(_)
            | Self::ToZero
            | Self::ToContract(_)
            | Self::Limit(_)
            | Self::Address(_) => 2,
            Self::NoKey(_) | Self::DevKey { .. } => 8,
            Self::Client(error)
            | Self::Wait {
                reason: WaitError::Client(error),
                ..
            } => client_exit_code(error),
            Self::Rejected(_) => 10,
            Self::Signed(_) | Self::OtherHash { .. } | Self::Wait { .. } | Self::Output(_) => 1,
        }
    }
}

fn client_exit_code(error: &ClientError) -> u8 {
    match error {
        ClientError::Url { .. } => 2,
        ClientError::Unreachable { .. } | ClientError::TimedOut { .. } => 9,
        ClientError::TooLarge { .. } | ClientError::Malformed { .. } | ClientError::Problem(_) => 1,
    }
}

/// Carries out a verb against the node at this URL; prints to standard output.
pub fn run(command: &Command, node_url: &str) -> Result<(), VerbError> {
    run_to(command, node_url, &mut io::stdout().lock())
}

/// Carries out a verb against the node at this URL; prints to `out`.
pub fn run_to(command: &Command, node_url: &str, out: &mut impl Write) -> Result<(), VerbError> {
    match command {
        Command::Send(args) => send(args, &Client::new(node_url)?, out),
        Command::Balance(args) => balance(args, &Client::new(node_url)?, out),
    }
}

fn balance(args: &BalanceArgs, client: &Client, out: &mut impl Write) -> Result<(), VerbError> {
    let account = client.account(args.address.address())?;
    let balance = Amount(account.chain.balance);
    let pending_cost = Amount(account.pool.pending_cost);
    if args.json {
        let shown = json!({
            "address": account.address.to_string(),
            "balance": balance.wei().to_string(),
            "display": balance.to_string(),
            "nonce": account.chain.nonce,
            "pending": account.pool.pending,
            "pending_cost": pending_cost.wei().to_string(),
            "head": { "height": account.head.height, "hash": account.head.hash.to_string() },
        });
        writeln!(out, "{shown}")?;
        return Ok(());
    }
    writeln!(out, "{balance}")?;
    if account.pool.pending > 0 {
        let count = count(account.pool.pending, "transaction");
        writeln!(out, "{count} pending, which can take {pending_cost}")?;
    }
    Ok(())
}

fn send(args: &SendArgs, client: &Client, out: &mut impl Write) -> Result<(), VerbError> {
    let (from, key) = signer(&args.from)?;
    let (sender, to) = (key.address(), args.to.address());
    if !args.force {
        check_recipient(sender, to)?;
    }
    let status = client.status()?;
    for party in [from, args.to] {
        check_dev(party, &status)?;
    }
    let transfer = build(args, &status, sender, client)?;
    let raw = sign_transfer(&key, &transfer);
    let checked = CheckedTransaction::check(&raw, status.chain_id)?;
    assert_eq!(checked.sender(), sender, "a key signs for its own address");
    checked.check_limits()?;

    submit(client, &checked)?;
    let sent = Sent {
        sender,
        transfer: &transfer,
        hash: checked.hash(),
    };
    if !args.json {
        writeln!(out, "{}", sent.line())?;
        out.flush()?;
    }
    let inclusion = match args.wait {
        Some(want) => Some(wait(client, sent.hash, want, args.timeout)?),
        None => None,
    };
    match (&inclusion, args.json) {
        (_, true) => writeln!(out, "{}", sent.json(inclusion.as_ref()))?,
        (Some(block), false) => writeln!(
            out,
            "mined in block #{} {} ({})",
            block.height,
            block.hash,
            count(block.confirmations, "confirmation")
        )?,
        (None, false) => {}
    }
    Ok(())
}

/// The key that a name stands for.
fn signer(name: &str) -> Result<(Party, Key), VerbError> {
    if !name.starts_with("dev:") {
        return Err(VerbError::NoKey(name.chars().take(80).collect()));
    }
    match name.parse()? {
        Party::Dev(n) => Ok((Party::Dev(n), dev_key(n))),
        Party::Address(_) => Err(VerbError::NoKey(name.to_string())),
    }
}

fn check_recipient(sender: Address, to: Address) -> Result<(), VerbError> {
    if to.is_zero() {
        return Err(VerbError::ToZero);
    }
    if to == sender {
        return Err(VerbError::ToSelf(to));
    }
    Ok(())
}

/// Development accounts neither pay nor are paid where money is worth something.
fn check_dev(party: Party, status: &Status) -> Result<(), VerbError> {
    match party {
        Party::Dev(_) if !status.dev => Err(VerbError::DevKey {
            party,
            network: status.network.chars().filter(|c| !c.is_control()).collect(),
        }),
        _ => Ok(()),
    }
}

/// Fills in what was not said.
fn build(
    args: &SendArgs,
    status: &Status,
    sender: Address,
    client: &Client,
) -> Result<Transfer, VerbError> {
    let to = args.to.address();
    let gas_limit = match args.gas_limit {
        Some(gas_limit) => gas_limit,
        None if client.account(to)?.chain.code_hash.is_some() => {
            return Err(VerbError::ToContract(to));
        }
        None => TRANSFER_GAS,
    };
    let nonce = match args.nonce {
        Some(nonce) => nonce,
        None => client.account(sender)?.pool.nonce_next,
    };
    // A ceiling that was asked for also bounds a tip that was not.
    let tip = args
        .tip
        .unwrap_or_else(|| status.suggested_tip.min(args.max_fee.unwrap_or(u128::MAX)));
    // The base fee can double in six full blocks; what is not needed is not taken.
    let max_fee = args
        .max_fee
        .unwrap_or_else(|| (2 * u128::from(status.base_fee)).saturating_add(tip));
    Ok(Transfer {
        chain_id: status.chain_id,
        nonce,
        to,
        value: args.amount.wei(),
        gas_limit,
        max_fee,
        tip,
        input: Vec::new(),
    })
}

fn submit(client: &Client, checked: &CheckedTransaction) -> Result<(), VerbError> {
    let want = checked.hash();
    match client.submit(checked.bytes()) {
        Ok(answer) if answer.hash == want => Ok(()),
        Ok(answer) => Err(VerbError::OtherHash {
            want,
            got: answer.hash,
        }),
        Err(ClientError::Problem(problem)) if problem.status < 500 => {
            Err(VerbError::Rejected(problem))
        }
        Err(error) => Err(error.into()),
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

/// A transaction that the node took.
struct Sent<'a> {
    sender: Address,
    transfer: &'a Transfer,
    hash: TxHash,
}

impl Sent<'_> {
    fn line(&self) -> String {
        format!(
            "sent {} from {} to {}  nonce {}  fee at most {}  tx {}",
            Amount(self.transfer.value),
            self.sender,
            self.transfer.to,
            self.transfer.nonce,
            Amount(self.transfer.fee_max()),
            self.hash
        )
    }

    fn json(&self, inclusion: Option<&Inclusion>) -> Value {
        let block = inclusion.map(|block| {
            json!({
                "height": block.height,
                "hash": block.hash.to_string(),
                "confirmations": block.confirmations,
            })
        });
        json!({
            "hash": self.hash.to_string(),
            "from": self.sender.to_string(),
            "to": self.transfer.to.to_string(),
            "value": self.transfer.value.to_string(),
            "display": Amount(self.transfer.value).to_string(),
            "nonce": self.transfer.nonce,
            "gas_limit": self.transfer.gas_limit,
            "max_fee": self.transfer.max_fee.to_string(),
            "tip": self.transfer.tip.to_string(),
            "fee_max": self.transfer.fee_max().to_string(),
            "block": block,
        })
    }
}

/// `1 confirmation`, `2 confirmations`.
fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
