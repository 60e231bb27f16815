//! Blocks that a reorg undid, whose transactions are on their way back into the pool: together, so
//! that a full pool makes room once.
//!
//! What follows on an undone transaction cannot be mined while that is away, and a full pool drops
//! such ones first. One block after the other would make the pool lose its best payers to their own
//! predecessors. Blocks that have to be loaded come in steps of their own, in any order; the others
//! wait here for them.
//!
//! Invariants: after each step, blocks are here only while others are still to come. What has been
//! loaded is no more than a pool holds, beside blocks that the window of states has in memory.
//! Called by `pooled`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{pool::PoolLimits, transaction::CheckedTransaction, tree::EntryId};

/// Undone blocks, by their place in the tree: a parent comes before its children.
#[derive(Clone, Debug, Default)]
pub(super) struct Returning {
    /// Those asked of our own store.
    asked: BTreeSet<EntryId>,
    /// The transactions of those that are here.
    here: BTreeMap<EntryId, Arc<Vec<CheckedTransaction>>>,
    count: usize,
    bytes: usize,
}

impl Returning {
    /// Notes that a block was asked of the store.
    pub(super) fn ask(&mut self, id: EntryId) {
        self.asked.insert(id);
    }

    /// Whether a block that came from the store had been asked for; it is not any more.
    pub(super) fn has_come(&mut self, id: EntryId) -> bool {
        self.asked.remove(&id)
    }

    /// Keeps a block's transactions until all are here.
    pub(super) fn hold(&mut self, id: EntryId, transactions: Arc<Vec<CheckedTransaction>>) {
        let bytes: usize = transactions.iter().map(|one| one.bytes().len()).sum();
        let count = transactions.len();
        if self.here.insert(id, transactions).is_none() {
            self.count += count;
            self.bytes += bytes;
        }
    }

    /// Whether all are here.
    pub(super) fn is_whole(&self) -> bool {
        self.asked.is_empty()
    }

    /// Whether they are more than the pool holds: of more than that, some would have to go in any
    /// case, and no reorg has a limit of its own (Rule F3).
    pub(super) fn is_beyond(&self, limits: PoolLimits) -> bool {
        self.count > limits.count || self.bytes > limits.bytes
    }

    /// Gives all that are here, the oldest first.
    pub(super) fn take(&mut self) -> BTreeMap<EntryId, Arc<Vec<CheckedTransaction>>> {
        (self.count, self.bytes) = (0, 0);
        std::mem::take(&mut self.here)
    }
}
