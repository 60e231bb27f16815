//! Why transactions left the pool: the latest of them, for those who ask where theirs has gone.
//!
//! Those that users of this node were told to be kept are told also after a restart: the pool writes
//! their departures into its journal, and [`Departure::decode`] reads them back.

use rpds::RedBlackTreeMapSync;
use wincode::{SchemaRead, SchemaWrite};

use super::PoolError;
use crate::{codec, hash::TxHash, params::POOL_DEPARTURES, store::BlockId};

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
    /// What was told of it before the node was restarted.
    #[error("{text}")]
    Told {
        /// The stable name.
        code: &'static str,
        /// The sentence.
        text: String,
    },
}

/// The stable names of all reasons.
const CODES: [&str; 8] = [
    "mined",
    "replaced",
    "displaced",
    "evicted",
    "expired",
    "nonce_used",
    "sender_has_code",
    "not_taken_back",
];

/// A departure in the journal.
#[derive(SchemaRead, SchemaWrite)]
struct Stored {
    hash: TxHash,
    unix_secs: u64,
    code: String,
    text: String,
}

impl Departure {
    /// Its bytes in the journal.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(&Stored {
            hash: self.hash,
            unix_secs: self.unix_secs,
            code: self.reason.code().to_owned(),
            text: self.reason.to_string(),
        })
    }

    /// Reads one from the journal; the error says what is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let stored: Stored = codec::decode(bytes)?;
        let code = CODES.into_iter().find(|code| *code == stored.code);
        let code = code.ok_or_else(|| format!("no reason is called {:?}", stored.code))?;
        Ok(Self {
            hash: stored.hash,
            reason: Reason::Told {
                code,
                text: stored.text,
            },
            unix_secs: stored.unix_secs,
        })
    }
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
            Self::Told { code, .. } => code,
        }
    }
}

/// The latest departures, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Departures {
    ring: RedBlackTreeMapSync<u64, Departure>,
    /// The number of each transaction's last one.
    last: RedBlackTreeMapSync<TxHash, u64>,
    next: u64,
}

impl Departures {
    /// Notes one. Beyond the limit the oldest is forgotten, and returned if nothing later is known
    /// of that transaction.
    pub(super) fn push(&mut self, departure: Departure) -> Option<TxHash> {
        self.last.insert_mut(departure.hash, self.next);
        self.ring.insert_mut(self.next, departure);
        self.next = self.next.saturating_add(1);
        if self.ring.size() <= POOL_DEPARTURES {
            return None;
        }
        let (number, hash) = self.ring.first().map(|(number, one)| (*number, one.hash))?;
        self.ring.remove_mut(&number);
        let is_last = self.last.get(&hash) == Some(&number);
        is_last.then(|| {
            self.last.remove_mut(&hash);
            hash
        })
    }

    /// All that are remembered, the latest first.
    pub(super) fn latest(&self) -> impl Iterator<Item = &Departure> {
        self.ring.values().rev()
    }

    /// The last one of a transaction.
    pub(super) fn of(&self, hash: &TxHash) -> Option<&Departure> {
        self.ring.get(self.last.get(hash)?)
    }
}
