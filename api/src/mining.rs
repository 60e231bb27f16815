//! What miners ask over HTTP, on its way to the shell that makes templates.
//!
//! The API knows no templates. It reads and writes the JSON and hands questions on through a
//! bounded queue, each with a way back for its answer; `node` answers them.

use std::time::Duration;

use chain::{BlockHash, Header};
use tokio::sync::oneshot;

/// Questions waiting for the shell.
pub const QUESTIONS_MAX: usize = 64;
/// How long a long poll waits for another head: then there is a fresher template all the same.
pub const LONG_POLL_MAX: Duration = Duration::from_secs(30);

/// A question.
#[derive(Debug)]
pub enum Question {
    /// What to work on.
    Template {
        /// Who is to be paid, as a miner names it; none for whom the node pays.
        name: Option<String>,
        /// A head to wait for the end of, no longer than [`LONG_POLL_MAX`].
        known: Option<BlockHash>,
        /// Where the answer goes: a template, or why there is none.
        reply: oneshot::Sender<Result<Offer, String>>,
    },
    /// A template that was worked on.
    Block {
        /// Its header as it came.
        header: Box<Header>,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<(), Rejection>>,
    },
}

/// A template as it is offered.
#[derive(Clone, Debug)]
pub struct Offer {
    /// A header that lacks its nonce alone. Its extension is nobody else's.
    pub header: Header,
    /// The latest time that a block of it may bear, Unix seconds.
    pub time_max: u32,
}

/// Why a block is refused, in the words of BIP 22.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// It is known already.
    Duplicate,
    /// Its hash is above the target.
    HighHash,
    /// It stands on another block than the head.
    StalePrevious,
    /// It is of no template of ours, or of one that was forgotten.
    UnknownWork,
    /// Its time is before its template's, too late, or not one at which its transactions hold.
    Time,
    /// Something else, which the node's log names.
    Rejected,
}

impl Rejection {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::HighHash => "high-hash",
            Self::StalePrevious => "stale-prevblk",
            Self::UnknownWork => "unknown-work",
            Self::Time => "time-invalid",
            Self::Rejected => "rejected",
        }
    }
}
