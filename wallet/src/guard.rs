//! What is refused before anything is signed: the payments that people regret.
//!
//! Pure functions of numbers; exact to the wei. Called by every verb that pays.

use alloy_primitives::Address;
use chain::BlockHash;

use crate::{
    amount::{Amount, WEI_PER_LGN},
    answers::Account,
    journal::Payment,
    sign::Transfer,
};

/// No fee above this is paid unasked: 0.1 LGN.
pub const FEE_MAX: u128 = WEI_PER_LGN / 10;
/// Up to this a fee may be any part of the amount: 0.001 LGN. Else small amounts could not be paid.
pub const FEE_ALWAYS: u128 = WEI_PER_LGN / 1000;
/// Beyond [`FEE_ALWAYS`] a fee is at most this part of the amount: a tenth.
pub const FEE_PART: u128 = 10;

/// A network, as far as a wallet tells it from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// What its nodes call it.
    pub name: String,
    /// What transactions are signed for.
    pub chain_id: u64,
    /// Its first block, which commits to all its rules.
    pub genesis: BlockHash,
    /// Whether it is a throw-away one.
    pub dev: bool,
}

/// Why a payment is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    /// The same account on both sides.
    #[error("{0} would pay itself: to send anyway, add --force")]
    ToSelf(Address),
    /// What is sent there is lost.
    #[error(
        "nobody has a key for the zero address, what is sent there is lost: to send anyway, add --force"
    )]
    ToZero,
    /// More than anybody means to pay.
    #[error(
        "the fee could be up to {}, the limit is {}: lower it with --max-fee, or add --allow-high-fee",
        Amount(*.fee), Amount(*.limit)
    )]
    HighFee {
        /// The most it can be, in wei.
        fee: u128,
        /// What is paid unasked, in wei.
        limit: u128,
    },
    /// Not that much there.
    #[error("{}", funds_message(*.balance, *.pending_cost, *.value, *.fee))]
    Funds {
        /// Wei the account has.
        balance: u128,
        /// Wei of it that waiting transactions can take.
        pending_cost: u128,
        /// Wei to be paid.
        value: u128,
        /// Wei that the fee can be.
        fee: u128,
    },
    /// Another network than last time.
    #[error(
        "this account last paid on network {} (chain id {}, genesis {}), the node is of {} (chain id {}, genesis {}): if that is meant, add --other-network",
        .last.0, .last.1, .last.2, .node.name, .node.chain_id, .node.genesis
    )]
    OtherNetwork {
        /// Name, chain id and genesis of the network it paid on.
        last: Box<(String, u64, String)>,
        /// The node's.
        node: Box<Network>,
    },
    /// What was built for one network is not sent on another.
    #[error(
        "the transaction is for {} (chain id {}, genesis {}), the node is of {} (chain id {}, genesis {}): name a node of the right network with --node",
        .want.name, .want.chain_id, .want.genesis, .got.name, .got.chain_id, .got.genesis
    )]
    WrongNetwork {
        /// What it was built for.
        want: Box<Network>,
        /// The node's.
        got: Box<Network>,
    },
}

impl GuardError {
    /// The process's exit code: 2 usage, 7 wrong network, 10 as if the pool had refused it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::ToSelf(_) | Self::ToZero | Self::HighFee { .. } => 2,
            Self::OtherNetwork { .. } | Self::WrongNetwork { .. } => 7,
            Self::Funds { .. } => 10,
        }
    }
}

/// Refuses to pay oneself or nobody.
pub fn check_recipient(from: Address, to: Address) -> Result<(), GuardError> {
    if to.is_zero() {
        return Err(GuardError::ToZero);
    }
    match to == from {
        true => Err(GuardError::ToSelf(to)),
        false => Ok(()),
    }
}

/// Refuses a fee that could be above [`FEE_MAX`], or above a tenth of the amount.
pub fn check_fee(transfer: &Transfer) -> Result<(), GuardError> {
    let fee = transfer.fee_max();
    let limit = match transfer.value {
        0 => FEE_MAX,
        value => (value / FEE_PART).clamp(FEE_ALWAYS, FEE_MAX),
    };
    match fee > limit {
        true => Err(GuardError::HighFee { fee, limit }),
        false => Ok(()),
    }
}

/// Wei that what waits beside a payment can take. What it replaces no longer takes anything; what
/// else waits then is not known apart.
pub fn pending_cost(account: &Account, transfer: &Transfer) -> u128 {
    match transfer.nonce < account.pool.nonce_next {
        true => 0,
        false => account.pool.pending_cost,
    }
}

/// All that an account can pay with this fee, beside what waits already, to the last wei.
pub fn everything(account: &Account, transfer: &Transfer) -> Result<u128, GuardError> {
    let (balance, pending_cost) = (account.chain.balance, pending_cost(account, transfer));
    let fee = transfer.fee_max();
    let value = balance
        .saturating_sub(pending_cost)
        .checked_sub(fee)
        .filter(|value| *value > 0);
    value.ok_or(GuardError::Funds {
        balance,
        pending_cost,
        value: 1,
        fee,
    })
}

/// Refuses to pay what is not there.
pub fn check_funds(
    balance: u128,
    pending_cost: u128,
    transfer: &Transfer,
) -> Result<(), GuardError> {
    let (value, fee) = (transfer.value, transfer.fee_max());
    let needed = value.checked_add(fee);
    if needed.is_some_and(|needed| needed <= balance.saturating_sub(pending_cost)) {
        return Ok(());
    }
    Err(GuardError::Funds {
        balance,
        pending_cost,
        value,
        fee,
    })
}

/// Refuses a network that is not the one of the account's last payment, unless both are for play.
pub fn check_last(last: Option<&Payment>, node: &Network) -> Result<(), GuardError> {
    let Some(last) = last else { return Ok(()) };
    let is_same = last.chain_id == node.chain_id && last.genesis == node.genesis.to_string();
    if is_same || (last.dev && node.dev) {
        return Ok(());
    }
    let name = crate::answers::printable(&last.network);
    Err(GuardError::OtherNetwork {
        last: Box::new((
            name,
            last.chain_id,
            crate::answers::printable(&last.genesis),
        )),
        node: Box::new(node.clone()),
    })
}

/// Refuses a node of another network than a transaction was built for.
pub fn check_network(want: &Network, got: &Network) -> Result<(), GuardError> {
    if (want.chain_id, want.genesis) == (got.chain_id, got.genesis) {
        return Ok(());
    }
    Err(GuardError::WrongNetwork {
        want: Box::new(want.clone()),
        got: Box::new(got.clone()),
    })
}

/// `balance is 3.2 LGN, needed 25.000021 (25 + fee 0.000021)`
fn funds_message(balance: u128, pending_cost: u128, value: u128, fee: u128) -> String {
    let bare = |wei| {
        let shown = Amount(wei).to_string();
        shown.trim_end_matches(" LGN").to_string()
    };
    let needed = value
        .checked_add(fee)
        .map_or("more than there can be".to_string(), bare);
    let mut text = format!("balance is {}", Amount(balance));
    if pending_cost > 0 {
        text += &format!(
            ", of which pending transactions can take {}",
            bare(pending_cost)
        );
    }
    text + &format!(", needed {needed} ({} + fee {})", bare(value), bare(fee))
}
