//! Why the pool refuses a transaction: a sentence for people, a name and two numbers for programs.

use alloy_primitives::{Address, U256};

use crate::{
    hash::TxHash,
    params::{INITCODE_BYTES_MAX, TRANSACTION_GAS_MAX},
    transaction::LimitError,
};

/// Why the pool refuses a transaction. Every variant carries both numbers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// It is here already.
    #[error("transaction {0} is already in the pool")]
    Known(TxHash),
    /// A limit that no state can lift.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// It could never fit a block.
    #[error("gas limit is {got}, a block has {want}")]
    BlockGas {
        /// A block's gas.
        want: u64,
        /// The transaction's.
        got: u64,
    },
    /// It could never pay the base fee.
    #[error("max fee is {got} wei per gas, the network's minimum is {want}")]
    FeeTooLow {
        /// The floor of the base fee.
        want: u64,
        /// The transaction's max fee.
        got: u128,
    },
    /// Its sender has code (EIP-3607).
    #[error("sender {0} is a contract and cannot send transactions")]
    SenderHasCode(Address),
    /// Its nonce was used.
    #[error("nonce is {got}, the account's next is {want}")]
    NonceTooLow {
        /// The account's nonce at the head.
        want: u64,
        /// The transaction's.
        got: u64,
    },
    /// Its nonce lies too far ahead.
    #[error("nonce is {got}, at most {want} can wait now")]
    NonceTooHigh {
        /// The highest that would be taken.
        want: u64,
        /// The transaction's.
        got: u64,
    },
    /// The account cannot pay for it and for what it has waiting.
    #[error(
        "balance is {got} wei, needed {want} with what is waiting (value + gas limit x max fee)"
    )]
    Balance {
        /// All waiting transactions of the sender and this one.
        want: U256,
        /// The account's balance at the head.
        got: u128,
    },
    /// Another transaction has its nonce, and it does not pay enough more.
    #[error("replacing nonce {nonce} needs fees of {want} wei or more, got {got}")]
    Underpriced {
        /// The nonce of both.
        nonce: u64,
        /// What the lower of its two fees must reach.
        want: u128,
        /// What it offers there.
        got: u128,
    },
    /// Its sender has all its places taken.
    #[error("sender has {got} transactions waiting, at most {want} are kept")]
    SenderFull {
        /// Places a sender has.
        want: usize,
        /// Those taken.
        got: usize,
    },
    /// The pool is full of better paying ones.
    #[error("the pool is full; a priority fee above {want} wei per gas is needed, got {got}")]
    Full {
        /// The cheapest one in the pool.
        want: u128,
        /// The transaction's.
        got: u128,
    },
}

impl PoolError {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Known(_) => "already_known",
            Self::Limit(LimitError::GasTooLow { .. }) => "gas_limit_too_low",
            Self::Limit(LimitError::GasTooHigh { .. }) | Self::BlockGas { .. } => {
                "gas_limit_too_high"
            }
            Self::Limit(LimitError::Initcode { .. }) => "initcode_too_large",
            Self::Limit(LimitError::Tip { .. }) => "priority_fee_above_max_fee",
            Self::FeeTooLow { .. } => "fee_too_low",
            Self::SenderHasCode(_) => "sender_has_code",
            Self::NonceTooLow { .. } => "nonce_too_low",
            Self::NonceTooHigh { .. } => "nonce_too_high",
            Self::Balance { .. } => "balance_too_low",
            Self::Underpriced { .. } => "replacement_underpriced",
            Self::SenderFull { .. } => "sender_full",
            Self::Full { .. } => "pool_full",
        }
    }

    /// What was wanted and what came, as text, where both are numbers.
    pub fn numbers(&self) -> Option<(String, String)> {
        let pair =
            |want: &dyn ToString, got: &dyn ToString| Some((want.to_string(), got.to_string()));
        match self {
            Self::Known(_) | Self::SenderHasCode(_) => None,
            Self::Limit(LimitError::GasTooLow { want, got }) | Self::BlockGas { want, got } => {
                pair(want, got)
            }
            Self::Limit(LimitError::GasTooHigh { got }) => pair(&TRANSACTION_GAS_MAX, got),
            Self::Limit(LimitError::Initcode { got }) => pair(&INITCODE_BYTES_MAX, got),
            Self::Limit(LimitError::Tip { max_fee, got }) => pair(max_fee, got),
            Self::FeeTooLow { want, got } => pair(want, got),
            Self::NonceTooLow { want, got } | Self::NonceTooHigh { want, got } => pair(want, got),
            Self::Balance { want, got } => pair(want, got),
            Self::Underpriced { want, got, .. } | Self::Full { want, got } => pair(want, got),
            Self::SenderFull { want, got } => pair(want, got),
        }
    }
}
