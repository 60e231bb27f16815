//! `send`: an amount to somebody.

use super::{
    VerbError,
    context::{Context, check_dev},
    payment::{Draft, FeeArgs, PayArgs, check_money, fees, network_of, pay},
};
use crate::{
    address::Who,
    amount::Sum,
    answers::Status,
    client::Client,
    guard,
    sign::{TRANSFER_GAS, Transfer},
};

/// What `send` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct SendArgs {
    #[command(flatten)]
    pub what: WhatArgs,
    #[command(flatten)]
    pub pay: PayArgs,
}

/// What a payment says.
#[derive(Clone, Debug, clap::Args)]
pub struct WhatArgs {
    /// Who is paid: 0x and 40 hex digits, a wallet's name, a label, or dev:N
    pub to: Who,
    /// How much: 25, 1.5, 1ether, 3gwei, 7wei (LGN without a unit), or all: the balance less what
    /// pending transactions can take and the highest possible fee; what the fee turns out to be lower
    /// is left
    #[arg(allow_negative_numbers = true)]
    pub amount: Sum,
    /// Who pays: a wallet's name or address, or dev:N, a well-known account of dev networks
    #[arg(long, value_name = "WALLET")]
    pub from: Who,
    #[command(flatten)]
    pub fees: FeeArgs,
    /// Gas that the transaction may use [default: 21000]
    #[arg(long, value_name = "GAS")]
    pub gas_limit: Option<u64>,
    /// The transaction's number [default: the next that the node expects]
    #[arg(long)]
    pub nonce: Option<u64>,
    /// Send even to oneself or to the zero address
    #[arg(long)]
    pub force: bool,
}

/// Sends an amount to somebody.
pub fn send(args: &SendArgs, context: &mut Context) -> Result<(), VerbError> {
    let client = context.client()?;
    let (draft, balance) = draft(&args.what, &client, context)?;
    pay(draft, balance, &args.pay, context)
}

/// A payment with everything filled in and checked, and the balance it is made from.
fn draft(
    args: &WhatArgs,
    client: &Client,
    context: &mut Context,
) -> Result<(Draft, u128), VerbError> {
    let account = context.account(&args.from)?;
    let to = context.address(&args.to)?;
    if !args.force {
        guard::check_recipient(account.address(), to)?;
    }
    let status = client.status()?;
    let network = network_of(&status);
    for who in [&args.from, &args.to] {
        check_dev(who, &network)?;
    }
    let transfer = transfer(args, account.address(), to, &status, client)?;
    let allow_high_fee = args.fees.allow_high_fee;
    let balance = check_money(account.address(), &transfer, allow_high_fee, client)?;
    let draft = Draft {
        network,
        account,
        transfer,
        is_nonce_fixed: args.nonce.is_some(),
    };
    Ok((draft, balance))
}

/// Fills in what was not said.
pub fn transfer(
    args: &WhatArgs,
    from: alloy_primitives::Address,
    to: alloy_primitives::Address,
    status: &Status,
    client: &Client,
) -> Result<Transfer, VerbError> {
    let gas_limit = match args.gas_limit {
        Some(gas_limit) => gas_limit,
        None if client.account(to)?.chain.code_hash.is_some() => {
            return Err(VerbError::ToContract(to));
        }
        None => TRANSFER_GAS,
    };
    let nonce = match args.nonce {
        Some(nonce) => nonce,
        None => client.account(from)?.pool.nonce_next,
    };
    let (max_fee, tip) = fees(&args.fees, status, client)?;
    let mut transfer = Transfer {
        chain_id: status.chain_id,
        nonce,
        to,
        value: 0,
        gas_limit,
        max_fee,
        tip,
        input: Vec::new(),
    };
    transfer.value = match args.amount {
        Sum::Exact(amount) => amount.wei(),
        Sum::All => guard::everything(&client.account(from)?, &transfer)?,
    };
    Ok(transfer)
}
