//! `replace` and `cancel`: another transaction of the same nonce, at higher fees.

use alloy_primitives::Address;
use chain::{TxHash, params::POOL_BUMP_PERCENT};

use super::{
    VerbError,
    context::{Account, Context, check_dev},
    payment::{Draft, FeeArgs, PayArgs, check_money, fees, network_of, pay},
};
use crate::{
    address::Who,
    amount::Amount,
    answers::{Status, TransactionDetails, TransactionStatus},
    client::Client,
    guard,
    sign::{TRANSFER_GAS, Transfer},
};

/// What `replace` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct ReplaceArgs {
    #[command(flatten)]
    which: WhichArgs,
    /// Another amount
    #[arg(long)]
    amount: Option<Amount>,
    /// Another recipient
    #[arg(long)]
    to: Option<Who>,
    /// Send even to oneself or to the zero address
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    fees: FeeArgs,
    #[command(flatten)]
    pay: PayArgs,
}

/// What `cancel` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct CancelArgs {
    #[command(flatten)]
    which: WhichArgs,
    #[command(flatten)]
    fees: FeeArgs,
    #[command(flatten)]
    pay: PayArgs,
}

/// A transaction and its sender.
#[derive(Clone, Debug, clap::Args)]
struct WhichArgs {
    /// The hash of a transaction that waits in the pool
    hash: TxHash,
    /// Who sent it [default: the wallet of its sender's address]
    #[arg(long, value_name = "WALLET")]
    from: Option<Who>,
}

/// What is to be replaced.
struct Waiting {
    client: Client,
    status: Status,
    account: Account,
    old: TransactionDetails,
}

/// Sends a waiting transaction again with higher fees, or another amount or recipient.
pub fn replace(args: &ReplaceArgs, context: &mut Context) -> Result<(), VerbError> {
    let waiting = find(&args.which, context)?;
    let to = match (&args.to, waiting.old.to) {
        (Some(who), _) => {
            check_dev(who, &network_of(&waiting.status))?;
            context.address(who)?
        }
        (None, Some(to)) => to,
        (None, None) => {
            let reason = "makes a contract, which this verb does not do: cancel it instead";
            return Err(not_waiting(&args.which, reason.to_string()));
        }
    };
    if !args.force {
        guard::check_recipient(waiting.account.address(), to)?;
    }
    let value = args.amount.map_or(waiting.old.value, Amount::wei);
    let (gas_limit, input) = (waiting.old.gas_limit, waiting.old.input.to_vec());
    let transfer = (to, value, gas_limit, input);
    again(waiting, transfer, &args.fees, &args.pay, context)
}

/// Puts a payment of nothing to oneself in place of a waiting transaction.
pub fn cancel(args: &CancelArgs, context: &mut Context) -> Result<(), VerbError> {
    let waiting = find(&args.which, context)?;
    let to = waiting.account.address();
    let transfer = (to, 0, TRANSFER_GAS, Vec::new());
    again(waiting, transfer, &args.fees, &args.pay, context)
}

fn find(which: &WhichArgs, context: &mut Context) -> Result<Waiting, VerbError> {
    let client = context.client()?;
    let status = client.status()?;
    let Some(old) = client.transaction_details(which.hash)? else {
        let reason = format!(
            "is not known to the node: send it again with `lignum wallet broadcast {}`, if it was sent from here",
            which.hash
        );
        return Err(not_waiting(which, reason));
    };
    if old.status != TransactionStatus::Pending {
        let block = old.block.as_ref();
        let place = block.map_or(String::new(), |block| format!(" #{}", block.height));
        return Err(not_waiting(which, format!("is in block{place} already")));
    }
    let account = match &which.from {
        Some(who) => {
            check_dev(who, &network_of(&status))?;
            context.account(who)?
        }
        None => context.account_of(old.from, status.dev)?,
    };
    if account.address() != old.from {
        let reason = format!("was sent by {}, not by {}", old.from, account.address());
        return Err(not_waiting(which, reason));
    }
    Ok(Waiting {
        client,
        status,
        account,
        old,
    })
}

/// Pays with the nonce of what waits, and fees that the pool takes instead of its.
fn again(
    waiting: Waiting,
    (to, value, gas_limit, input): (Address, u128, u64, Vec<u8>),
    fee_args: &FeeArgs,
    pay_args: &PayArgs,
    context: &mut Context,
) -> Result<(), VerbError> {
    let old = &waiting.old;
    let (max_fee, tip) = fees(fee_args, &waiting.status, &waiting.client)?;
    let least = (raised(old.max_fee), raised(old.priority_fee));
    let tip = match fee_args.tip {
        Some(tip) => enough("--tip", tip, least.1)?,
        None => tip.max(least.1),
    };
    let max_fee = match fee_args.max_fee {
        Some(max_fee) => enough("--max-fee", max_fee, least.0)?,
        None => max_fee.max(least.0).max(tip),
    };
    let draft = Draft {
        network: network_of(&waiting.status),
        transfer: Transfer {
            chain_id: waiting.status.chain_id,
            nonce: old.nonce,
            to,
            value,
            gas_limit,
            max_fee,
            tip,
            input,
        },
        account: waiting.account,
        is_nonce_fixed: true,
    };
    let (from, client) = (draft.account.address(), &waiting.client);
    let balance = check_money(from, &draft.transfer, fee_args.allow_high_fee, client)?;
    pay(draft, balance, pay_args, context)
}

/// The least fee that the pool takes in place of another.
fn raised(fee: u128) -> u128 {
    let percent = u128::from(100 + POOL_BUMP_PERCENT);
    let raised = fee.saturating_mul(percent).div_ceil(100);
    raised.max(fee.saturating_add(1))
}

fn enough(flag: &str, fee: u128, least: u128) -> Result<u128, VerbError> {
    match fee >= least {
        true => Ok(fee),
        false => Err(VerbError::Usage(format!(
            "{flag} is {fee} wei, a replacement needs at least {least} wei: a tenth more than before"
        ))),
    }
}

fn not_waiting(which: &WhichArgs, reason: String) -> VerbError {
    let hash = which.hash;
    VerbError::NotWaiting { hash, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replacement_pays_a_tenth_more_rounded_up() {
        for (fee, least) in [(0, 1), (1, 2), (9, 10), (10, 11), (11, 13), (1_000, 1_100)] {
            assert_eq!(raised(fee), least, "{fee}");
        }
        assert_eq!(raised(u128::MAX), u128::MAX);
    }
}
