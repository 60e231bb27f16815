//! Rules T4 to T7: whether a transaction can stand at its place in a block.
//!
//! Checked here in full, before the machine runs, so that the rules can be read in one place and
//! hold even where the machine would be laxer. Called by `evm` for every transaction.

use alloy_primitives::U256;
use chain::{Account, CheckedTransaction, transaction::LimitError};

/// Why a transaction cannot stand where it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    /// Rule T4.
    #[error("nonce is {got}, the sender's next one is {want}")]
    Nonce {
        /// The sender's.
        want: u64,
        /// The transaction's.
        got: u64,
    },
    /// Rule T4: the sender would run out of nonces (EIP-2681).
    #[error("nonce is {}, the greatest possible one is {}", u64::MAX, u64::MAX - 1)]
    NonceMax,
    /// Rule T4: contracts send no transactions (EIP-3607).
    #[error("the sender is a contract (EIP-3607)")]
    SenderHasCode,
    /// Rule T5.
    #[error("max fee is {got} wei per gas, the base fee is {want}")]
    MaxFee {
        /// The block's base fee.
        want: u64,
        /// The transaction's max fee.
        got: u128,
    },
    /// Rule T6: value and the most that gas may cost.
    #[error("it may cost {want} wei, the sender has {got}")]
    Balance {
        /// What it may cost.
        want: U256,
        /// The sender's balance.
        got: u128,
    },
    /// Rule T6: no balance could pay for it.
    #[error("it may cost more than 2^256 wei")]
    CostOverflow,
    /// Rule T7: the block is too full for it.
    #[error("gas limit is {want}, the block has {got} left")]
    BlockGas {
        /// The transaction's gas limit.
        want: u64,
        /// The block's, without what was used.
        got: u64,
    },
    /// Rules T5 and T7, as far as no state can help.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The machine refused what the rules above let pass. None is known; whatever it may be,
    /// all nodes see it alike.
    #[error("refused by the machine: {0}")]
    Machine(String),
}

/// Checks a transaction against its sender's account, the base fee and the gas left.
pub(crate) fn check(
    transaction: &CheckedTransaction,
    sender: Option<&Account>,
    base_fee: u64,
    gas_left: u64,
) -> Result<(), Unfit> {
    let (nonce, balance) = sender.map_or((0, 0), |sender| (sender.nonce, sender.balance));
    check_sender(transaction, sender, nonce)?;
    // Rule T5: the base fee is met. That the tip fits under the max fee is among the limits.
    if transaction.effective_tip(base_fee).is_none() {
        return Err(Unfit::MaxFee {
            want: base_fee,
            got: transaction.max_fee(),
        });
    }
    // Rule T6: the sender can pay for the worst case.
    let cost = transaction.cost_max().ok_or(Unfit::CostOverflow)?;
    if U256::from(balance) < cost {
        return Err(Unfit::Balance {
            want: cost,
            got: balance,
        });
    }
    // Rule T7: enough gas for itself, not too much for a transaction or for the block.
    transaction.check_limits()?;
    if transaction.gas_limit() > gas_left {
        return Err(Unfit::BlockGas {
            want: transaction.gas_limit(),
            got: gas_left,
        });
    }
    Ok(())
}

/// Rule T4: the sender's next nonce, one that leaves another, and a sender without code.
fn check_sender(
    transaction: &CheckedTransaction,
    sender: Option<&Account>,
    nonce: u64,
) -> Result<(), Unfit> {
    if transaction.nonce() == u64::MAX {
        return Err(Unfit::NonceMax);
    }
    if transaction.nonce() != nonce {
        return Err(Unfit::Nonce {
            want: nonce,
            got: transaction.nonce(),
        });
    }
    if sender.is_some_and(|sender| sender.code_hash.is_some()) {
        return Err(Unfit::SenderHasCode);
    }
    Ok(())
}
