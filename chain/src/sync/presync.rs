//! Presync: a chain is shown before it is kept, so that only one with enough work is.
//!
//! In the first pass a peer shows its headers one answer after the other. Each is checked on the
//! one before it and forgotten; what stays is one salted bit of every 64th. When the chain has
//! enough work, the peer delivers it again from the fork point, and the bits say whether it is
//! the same. A whole answer is compared before any of it is kept, so a chain made up anew gets
//! in with a chance of one in 2^16. Bitcoin Core guards its header index in this way. Called by
//! `node`.

use alloy_primitives::U256;

use crate::{
    check::CheckedHeader,
    hash::{BlockHash, sha256},
    params::{HEADERS_MAX, PRESYNC_HEADERS_MAX, PRESYNC_INTERVAL},
    rules::{self, Parent, RuleError},
    spec::ChainSpec,
    tree::EntryId,
};

/// What is kept of a chain that is not kept.
#[derive(Clone, Debug)]
pub struct Presync {
    fork: EntryId,
    fork_numbers: Parent,
    /// The last header of the pass.
    last: Parent,
    bits: Vec<u64>,
    /// Headers of the first pass.
    shown: u64,
    /// Headers of the second pass, once it has begun.
    delivered: Option<u64>,
    salt: u64,
}

/// Why a pass ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PassError {
    /// A header that breaks a rule.
    Invalid(RuleError),
    /// Rule H5: a header whose time has not come.
    Early,
    /// More headers than may be shown, or fewer than were.
    Length,
    /// Not the header that was shown in this place.
    Differs {
        /// Headers shown from this one to the end.
        to_end: u64,
    },
}

impl Presync {
    /// Nothing is shown yet of a chain that leaves the tree at `fork`.
    pub fn new(fork: EntryId, numbers: Parent, salt: u64) -> Self {
        Self {
            fork,
            fork_numbers: numbers,
            last: numbers,
            bits: Vec::new(),
            shown: 0,
            delivered: None,
            salt,
        }
    }

    /// Where the chain leaves the tree.
    pub fn fork(&self) -> EntryId {
        self.fork
    }

    /// The last header of the pass.
    pub fn last(&self) -> BlockHash {
        self.last.id.hash
    }

    /// Chain work of the last header of the pass.
    pub fn chain_work(&self) -> U256 {
        self.last.chain_work
    }

    /// Whether the chain was shown to the end and is being delivered.
    pub fn is_second_pass(&self) -> bool {
        self.delivered.is_some()
    }

    /// Whether everything shown has been delivered.
    pub fn is_complete(&self) -> bool {
        self.delivered.is_some_and(|count| count >= self.shown)
    }

    /// Bytes kept.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.bits.len() * size_of::<u64>()
    }

    /// Whether these headers go on where the pass has come to.
    pub fn goes_on_with(&self, headers: &[CheckedHeader]) -> bool {
        let first = headers.first();
        first.is_some_and(|first| first.header().pow.parent == self.last())
    }

    /// First pass: checks linked headers on the last one and notes their bits. The skip hash is
    /// compared in the second pass, when the ancestors are known.
    pub fn show(
        &mut self,
        spec: &ChainSpec,
        now_unix_secs: u64,
        headers: &[CheckedHeader],
    ) -> Result<(), PassError> {
        for header in headers {
            let skip = header.header().extension.skip;
            rules::check_child(spec, &self.last, skip, header).map_err(PassError::Invalid)?;
            if rules::is_early(spec, header.header().pow.time, now_unix_secs) {
                return Err(PassError::Early);
            }
            if self.shown >= PRESYNC_HEADERS_MAX {
                return Err(PassError::Length);
            }
            if let Some(place) = self.place(self.shown) {
                self.note(place, &header.hash());
            }
            self.shown += 1;
            self.last = Parent::new(header.header(), header.hash());
        }
        Ok(())
    }

    /// Begins the second pass.
    pub fn rewind(&mut self) {
        self.delivered = Some(0);
        self.last = self.fork_numbers;
    }

    /// Second pass: whether these linked headers are those that were shown. Beyond the end of
    /// what was shown any are.
    pub fn deliver(&mut self, headers: &[CheckedHeader]) -> Result<(), PassError> {
        let mut at = self.delivered.unwrap_or_default();
        let is_short = headers.len() < HEADERS_MAX;
        if is_short && at.saturating_add(headers.len() as u64) < self.shown {
            return Err(PassError::Length);
        }
        for header in headers {
            let place = self.place(at).filter(|_| at < self.shown);
            if place.is_some_and(|place| !self.is_noted(place, &header.hash())) {
                let to_end = self.shown - at;
                return Err(PassError::Differs { to_end });
            }
            at += 1;
            self.last = Parent::new(header.header(), header.hash());
        }
        self.delivered = Some(at);
        Ok(())
    }

    /// The bit of the header with this index, if it has one. Which of 64 have one is secret too.
    fn place(&self, index: u64) -> Option<u64> {
        let has_bit = index % PRESYNC_INTERVAL == self.salt % PRESYNC_INTERVAL;
        has_bit.then_some(index / PRESYNC_INTERVAL)
    }

    fn note(&mut self, place: u64, hash: &BlockHash) {
        let (word, shift) = split(place);
        if word >= self.bits.len() {
            self.bits.resize(word + 1, 0);
        }
        self.bits[word] |= self.bit(hash) << shift;
    }

    fn is_noted(&self, place: u64, hash: &BlockHash) -> bool {
        let (word, shift) = split(place);
        let noted = self.bits.get(word).map(|bits| bits >> shift & 1);
        noted == Some(self.bit(hash))
    }

    fn bit(&self, hash: &BlockHash) -> u64 {
        let mut salted = [0; 40];
        salted[..8].copy_from_slice(&self.salt.to_le_bytes());
        salted[8..].copy_from_slice(&hash.0);
        u64::from(sha256(&salted)[0] & 1)
    }
}

fn split(place: u64) -> (usize, u64) {
    let word = usize::try_from(place / 64).expect("at most 16 Mi headers are shown");
    (word, place % 64)
}
