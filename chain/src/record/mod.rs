//! What a step was given and what came of it, as bytes: to run a node again, and to compare runs.
//!
//! Inputs are written and read back; what was checked is kept as the bytes that came and is checked
//! anew, since a file is as much outside as a peer is. Verdicts and effects are only written, into a
//! running hash. Fixed-width little-endian with a count before every list, so that equal values alone
//! have equal bytes. Called by shells that record or replay, and by simulators that compare runs.

mod bytes;
mod effect;
mod input;
mod stored;

use std::fmt;

use alloy_primitives::hex;

use crate::{
    check::CheckError,
    effect::{Effect, Input, Time, Verdict},
    hash::sha256,
    spec::ChainSpec,
    transaction::TransactionError,
};
use bytes::{Reader, Writer};
pub use stored::Stored;

/// Why bytes are not a recorded step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not the encoding of any step.
    #[error("not a recorded step: {0}")]
    Malformed(String),
    /// A block or header in it breaks a rule, which no recorded one did.
    #[error("it holds an invalid block: {0}")]
    Block(#[from] CheckError),
    /// A transaction in it breaks a rule, which no recorded one did.
    #[error("it holds an invalid transaction: {0}")]
    Transaction(#[from] TransactionError),
}

/// A step's time and input as bytes.
pub fn encode_step(now: Time, input: &Input) -> Vec<u8> {
    let mut out = Writer::default();
    out.u64(now.unix_secs);
    out.u64(now.monotonic_ms);
    input::write(&mut out, input);
    out.finish()
}

/// Reads exactly one step; blocks, headers and transactions in it are checked for the chain of
/// `spec`. Every byte string that is read is what [`encode_step`] makes of the result.
pub fn decode_step(bytes: &[u8], spec: &ChainSpec) -> Result<(Time, Input), RecordError> {
    let mut reader = Reader::new(bytes);
    let now = Time {
        unix_secs: reader.u64()?,
        monotonic_ms: reader.u64()?,
    };
    let input = input::read(&mut reader, spec)?;
    reader.finish()?;
    Ok((now, input))
}

/// All that a run was given and gave, as one number: two runs with equal ones were the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TraceHash(pub [u8; 32]);

impl TraceHash {
    /// The first bytes: enough to find the first step in which two runs differ.
    pub fn prefix(&self) -> [u8; 8] {
        *self.0.first_chunk().expect("a hash has 32 bytes")
    }
}

impl fmt::Display for TraceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

/// The hash of a run so far. Each step's hash is that of the one before, the step's bytes, its
/// verdict and every effect, in order.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    hash: TraceHash,
    steps: u64,
}

impl Trace {
    /// Takes in a step, by the bytes of [`encode_step`] and what [`crate::Node::step`] gave.
    pub fn add(&mut self, step: &[u8], verdict: Verdict, effects: &[Effect]) -> TraceHash {
        let mut out = Writer::default();
        out.raw(&self.hash.0);
        out.raw(&sha256(step));
        out.u8(match verdict {
            Verdict::Accept => 0,
            Verdict::Ignore => 1,
            Verdict::Reject => 2,
        });
        out.list(effects, effect::write);
        self.hash = TraceHash(sha256(&out.finish()));
        self.steps = self.steps.saturating_add(1);
        self.hash
    }

    /// The hash of all steps so far; zero before the first.
    pub fn hash(&self) -> TraceHash {
        self.hash
    }

    /// How many steps that were.
    pub fn steps(&self) -> u64 {
        self.steps
    }
}
