//! What an operator may order over HTTP, and the token that tells an operator from others.
//!
//! Whoever can read the token in the data directory may command the node. Orders leave through a
//! bounded queue, each with a way back for its outcome; `node` carries them out.

use std::{fmt, hint::black_box, sync::Arc};

use chain::{Bits, BlockId, StoreError, U256};
use tokio::sync::{mpsc, oneshot};

/// Most blocks that one order makes, and the deepest reorg.
pub const BLOCKS_MAX: u64 = 1_000;
/// Longest delay of a message: gossip waits no more than 5 s for a verdict.
pub const DELAY_MS_MAX: u64 = 3_000;
/// Peers that one order may block.
pub const BLOCKED_MAX: usize = 64;

/// 32 random bytes in hex, made at each start.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl Token {
    /// The token of these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Self(text.into())
    }

    /// Its hex digits, for the file.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether `given` is this token, in a time that does not depend on where they differ.
    pub fn is(&self, given: &str) -> bool {
        let (mine, given) = (self.0.as_bytes(), given.as_bytes());
        let differ = mine.iter().zip(given).fold(0, |differ, (a, b)| {
            // Hidden from the optimiser, which might end the loop at the first difference.
            black_box(differ | (a ^ b))
        });
        mine.len() == given.len() && differ == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Refuse these peer ids and no others.
    Partition {
        /// Peer ids as text.
        blocked: Vec<String>,
    },
    /// Hold back what peers send for this long.
    Delay {
        /// 0 ends it.
        milliseconds: u64,
    },
    /// Make this many blocks on the head, at full speed.
    Mine {
        /// How many.
        blocks: u64,
    },
    /// Replace the last blocks by a branch of our own.
    Reorg {
        /// How many.
        depth: u64,
    },
}

/// An order on its way to the shell. The caller has gone where `reply` is closed.
#[derive(Debug)]
pub struct Command {
    /// What is to be done.
    pub order: Order,
    /// Where the outcome goes.
    pub reply: oneshot::Sender<Result<Outcome, Refusal>>,
}

/// An order carried out.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// With nothing to tell.
    Done,
    /// With blocks made.
    Made(Made),
}

/// Blocks made, and what they did.
#[derive(Clone, Debug)]
pub struct Made {
    /// The number asked for.
    pub asked: u64,
    /// The blocks, upwards.
    pub blocks: Vec<BlockId>,
    /// The head before.
    pub old_head: BlockId,
    /// The head after.
    pub new_head: BlockId,
    /// Blocks that left the best chain.
    pub depth: u64,
    /// The target of the next block before, and after.
    pub bits: (Bits, Bits),
    /// Hashes a second of the whole network, from the blocks before; none where they are too few.
    pub hash_rate: Option<U256>,
    /// Why there are fewer blocks than asked for.
    pub stopped: Option<String>,
}

/// An order not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It asks for what there is not.
    Invalid(String),
    /// Another one is under way.
    Busy(String),
    /// It was given up on the way.
    Unfinished(String),
    /// The node is stopping, or its store fails.
    Stopping(String),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Stopping(error.to_string())
    }
}

/// What the handlers have of the operator's side.
#[derive(Clone, Debug)]
pub struct Operator {
    /// What a request must carry.
    pub token: Token,
    /// To the shell.
    pub orders: mpsc::Sender<Command>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Threat A4.
    #[test]
    fn only_the_whole_token_is_the_token() {
        let token = Token::new([0xab; 32]);
        let text = "ab".repeat(32);
        assert!(token.is(&text));
        for wrong in [
            "",
            "ab",
            &text[1..],
            &text.to_uppercase(),
            &format!("{text}0"),
        ] {
            assert!(!token.is(wrong), "{wrong}");
        }
        for at in 0..text.len() {
            let mut wrong = text.clone();
            wrong.replace_range(at..=at, "0");
            assert!(!token.is(&wrong), "{wrong}");
        }
        assert_eq!(format!("{token:?}"), "Token(…)");
    }
}
