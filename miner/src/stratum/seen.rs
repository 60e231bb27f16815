//! The shares of one head that a connection has had accepted, so that none counts twice.
//!
//! Eight bytes of a hash tell shares apart: nobody gains by making two that agree in them. The
//! oldest are forgotten where there are too many; whoever sends one again gains nothing either,
//! since nobody is paid for shares. Used by `session`.

use std::collections::{BTreeSet, VecDeque};

use chain::BlockHash;

use crate::limits::SHARES_REMEMBERED;

/// Remembers the latest shares.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    known: BTreeSet<[u8; 8]>,
    order: VecDeque<[u8; 8]>,
}

/// The bytes that differ most: a share's other end is zeros.
fn mark(hash: &BlockHash) -> [u8; 8] {
    *hash.0.first_chunk().expect("a hash has 32 bytes")
}

impl Seen {
    /// Whether a share has come before.
    pub fn has(&self, hash: &BlockHash) -> bool {
        self.known.contains(&mark(hash))
    }

    /// Remembers a share.
    pub fn insert(&mut self, hash: &BlockHash) {
        if !self.known.insert(mark(hash)) {
            return;
        }
        self.order.push_back(mark(hash));
        if self.order.len() > SHARES_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: usize) -> BlockHash {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&(number as u64).to_le_bytes());
        BlockHash(bytes)
    }

    #[test]
    fn the_latest_shares_are_remembered_and_no_more() {
        let mut seen = Seen::default();
        for number in 0..SHARES_REMEMBERED + 10 {
            assert!(!seen.has(&hash(number)));
            seen.insert(&hash(number));
            seen.insert(&hash(number));
        }
        assert_eq!(seen.known.len(), SHARES_REMEMBERED);
        assert_eq!(seen.order.len(), SHARES_REMEMBERED);
        assert!(!seen.has(&hash(9)) && seen.has(&hash(10)));
        seen.clear();
        assert!(!seen.has(&hash(10)));
    }
}
