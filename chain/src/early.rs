//! Blocks whose time has not come (Rule H5): kept aside, bounded by count and bytes, offered again.
//!
//! Like orphans each is charged to its sender: a flood pushes out the blocks of the peer with the
//! most bytes first, the oldest before others. Called by `node`.

use crate::{
    check::CheckedBlock,
    forest::Origin,
    message::Peer,
    orphans::greediest,
    params::{EARLY_BYTES_MAX, EARLY_MAX},
};

/// A block whose time has not come.
#[derive(Clone, Debug)]
pub struct Early {
    /// The block.
    pub block: CheckedBlock,
    /// Who sent it.
    pub from: Option<Peer>,
    /// Whether we had asked for it.
    pub origin: Origin,
}

/// All of them, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct EarlyBlocks {
    blocks: Vec<Early>,
}

impl EarlyBlocks {
    /// Keeps a block, and evicts others while a limit is exceeded.
    pub fn insert(&mut self, early: Early) {
        let id = early.block.id();
        if self.blocks.iter().any(|known| known.block.id() == id) {
            return;
        }
        self.blocks.push(early);
        while self.len() > EARLY_MAX || self.bytes() > EARLY_BYTES_MAX {
            let held = self.blocks.iter().map(|early| (early.from, &early.block));
            let greediest = greediest(held);
            let oldest = self.blocks.iter().position(|one| one.from == greediest);
            self.blocks.remove(oldest.expect("it has one at least"));
        }
    }

    /// Takes all out, to be offered again.
    pub fn take(&mut self) -> Vec<Early> {
        std::mem::take(&mut self.blocks)
    }

    /// Number of blocks.
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Bytes of memory of all blocks.
    pub fn bytes(&self) -> usize {
        self.blocks.iter().map(|early| early.block.memory()).sum()
    }
}
