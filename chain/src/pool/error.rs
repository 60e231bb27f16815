//! Why the pool refuses a transaction: a sentence for people, a name and two numbers for programs.

use alloy_primitives::{Address, U256};

use crate::{
    hash::TxHash,
    params::{INITCODE_BYTES_MAX, POOL_BUMP_PERCENT, TRANSACTION_GAS_MAX},
    transaction::{CheckedTransaction, LimitError},
};

/// A fee raised by the bump, rounded up, and by 1 wei at least.
pub(super) fn raised(fee: u128) -> u128 {
    let bump = u128::from(100_u64.saturating_add(POOL_BUMP_PERCENT));
    let bumped = fee.saturating_mul(bump).div_ceil(100);
    bumped.max(fee.saturating_add(1))
}

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
    /// It pays less than the pool asks for while it is nearly full.
    #[error(
        "the pool is nearly full; it takes {want} wei per gas and more (the lower of max fee and \
         base fee + priority fee), got {got}"
    )]
    Floor {
        /// The least gas price that is taken now, base fee included.
        want: u128,
        /// The transaction's at this base fee.
        got: u128,
    },
    /// The pool is full of better paying ones.
    #[error(
        "the pool is full; more than {want} wei per gas is needed (the lower of max fee and \
         base fee + priority fee), got {got}"
    )]
    Full {
        /// The lowest gas price in the pool, base fee included.
        want: u128,
        /// The transaction's at this base fee, or that of one before it which pays less.
        got: u128,
    },
    /// The pool is full, and this one could not be mined yet.
    #[error("the pool is full; only nonce {want}, which could be mined now, finds room, got {got}")]
    NoRoomToWait {
        /// The sender's next nonce.
        want: u64,
        /// The transaction's.
        got: u64,
    },
    /// The pool is full, and there are better uses of the room that this one needs.
    #[error(
        "the pool is full; {count} others make room only for more than their {want} wei of sure fees, got {got}"
    )]
    Displaces {
        /// Transactions that would have to go.
        count: usize,
        /// What they pay the miner in any case, in wei.
        want: U256,
        /// What this one pays in any case.
        got: U256,
    },
}

impl PoolError {
    /// Both fees must rise by the bump, or the replacement is spam.
    pub(super) fn check_replacement(
        old: &CheckedTransaction,
        new: &CheckedTransaction,
    ) -> Result<(), Self> {
        for (old_fee, got) in [
            (old.max_fee(), new.max_fee()),
            (old.priority_fee(), new.priority_fee()),
        ] {
            let want = raised(old_fee);
            if got < want {
                let nonce = new.nonce();
                return Err(Self::Underpriced { nonce, want, got });
            }
        }
        Ok(())
    }

    /// Whether the same transaction may be taken later, though nothing about it changes.
    pub fn is_for_now(&self) -> bool {
        matches!(
            self,
            Self::Floor { .. }
                | Self::Full { .. }
                | Self::NoRoomToWait { .. }
                | Self::Displaces { .. }
        )
    }

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
            Self::Floor { .. } => "fee_below_floor",
            Self::Full { .. } => "pool_full",
            Self::NoRoomToWait { .. } => "pool_full_for_queued",
            Self::Displaces { .. } => "pool_full_for_size",
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
            Self::NonceTooLow { want, got }
            | Self::NonceTooHigh { want, got }
            | Self::NoRoomToWait { want, got } => pair(want, got),
            Self::Balance { want, got } => pair(want, got),
            Self::Underpriced { want, got, .. }
            | Self::Floor { want, got }
            | Self::Full { want, got } => pair(want, got),
            Self::Displaces { want, got, .. } => pair(want, got),
            Self::SenderFull { want, got } => pair(want, got),
        }
    }
}
