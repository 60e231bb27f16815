//! Why transactions left the pool: the latest of them, for those who ask where theirs has gone.

use rpds::RedBlackTreeMapSync;

use super::PoolError;
use crate::{hash::TxHash, params::POOL_DEPARTURES, store::BlockId};

/// A transaction that the pool had taken and no longer has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    /// Which.
    pub hash: TxHash,
    /// Why.
    pub reason: Reason,
    /// When, in Unix seconds by the node's clock.
    pub unix_secs: u64,
}

/// Why a transaction left the pool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// It is in a block of the best chain.
    #[error("mined in block {} {}", .0.height, .0.hash)]
    Mined(BlockId),
    /// Another one with its nonce paid more.
    #[error("replaced by {by}")]
    Replaced {
        /// That one.
        by: TxHash,
    },
    /// All places of its sender were taken, and one came that fills a gap before it.
    #[error("made room for {by}, which was missing before it: its sender had no place left")]
    Displaced {
        /// That one.
        by: TxHash,
    },
    /// The pool was full, and it, or one before it, paid least.
    #[error("evicted from a full pool; a priority fee of {floor} wei is the minimum since")]
    Evicted {
        /// The least effective priority fee that the pool took after that, in wei per gas.
        floor: u128,
    },
    /// It waited too long.
    #[error("expired after {secs} seconds")]
    Expired {
        /// How long it had been waiting as it was.
        secs: u64,
    },
    /// Its nonce was used by another one.
    #[error("nonce {got} was used, the account's next is {want}")]
    NonceUsed {
        /// The account's nonce.
        want: u64,
        /// The transaction's.
        got: u64,
    },
    /// Its sender has code now (EIP-3607).
    #[error("its sender has become a contract")]
    SenderHasCode,
    /// A reorg undid its block, or the node was restarted, and the pool did not take it again.
    #[error("not taken back: {0}")]
    NotTakenBack(PoolError),
}

impl Reason {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Mined(_) => "mined",
            Self::Replaced { .. } => "replaced",
            Self::Displaced { .. } => "displaced",
            Self::Evicted { .. } => "evicted",
            Self::Expired { .. } => "expired",
            Self::NonceUsed { .. } => "nonce_used",
            Self::SenderHasCode => "sender_has_code",
            Self::NotTakenBack(_) => "not_taken_back",
        }
    }
}

/// The latest departures, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Departures {
    ring: RedBlackTreeMapSync<u64, Departure>,
    next: u64,
}

impl Departures {
    /// Notes one, and forgets the oldest beyond the limit.
    pub(super) fn push(&mut self, departure: Departure) {
        self.ring.insert_mut(self.next, departure);
        self.next = self.next.saturating_add(1);
        if self.ring.size() > POOL_DEPARTURES {
            let first = self.ring.first().map(|(number, _)| *number);
            first.map(|number| self.ring.remove_mut(&number));
        }
    }

    /// All that are remembered, the latest first.
    pub(super) fn latest(&self) -> impl Iterator<Item = &Departure> {
        self.ring.values().rev()
    }
}
