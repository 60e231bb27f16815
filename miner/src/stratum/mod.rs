//! Stratum v1 for miners of SHA-256d: lines in, lines and found blocks out.
//!
//! Pure: no sockets, no clock, no chain. A shell makes [`Job`]s from block templates and gives each
//! connection a [`Session`], which it feeds with lines, jobs and the time. What the miners take for
//! a coinbase transaction is the header's extension: its last 16 bytes, the extra nonce, are the
//! connection's own 8 bytes and 8 that the miner varies, and the Merkle branch is empty, so the
//! "Merkle root" is the commitment. Called by `node`.
//!
//! There is no specification by a standards body; the messages are those of the mining pools' usual
//! documents, BIP 310 (`mining.configure`) and BIP 320 (the bits that may be rolled).

mod bucket;
mod difficulty;
mod job;
mod message;
mod seen;
mod session;
#[cfg(test)]
mod tests;
mod vardiff;

pub use difficulty::Difficulty;
pub use job::Job;
pub use message::{EXTRA_NONCE_1_BYTES, EXTRA_NONCE_2_BYTES, Refusal};
pub use session::{Closing, Deed, Found, Now, Payees, Session};
