//! Bodies that wait for execution: in memory where they fit, else in the store alone.
//!
//! `Ready` holds checked blocks within a budget; what falls out is loaded again when its turn
//! comes. `SideBodies` keeps the account of bodies off every candidate's path, each charged to
//! its sender and given up oldest first.

use std::collections::{BTreeMap, VecDeque};

use crate::{
    check::CheckedBlock,
    message::Peer,
    params::{READY_BYTES_MAX, SIDE_BYTES_MAX, SIDE_BYTES_PER_PEER},
    tree::EntryId,
};

/// Checked blocks in memory, ready to be executed.
#[derive(Clone, Debug, Default)]
pub(super) struct Ready {
    blocks: BTreeMap<EntryId, (Option<Peer>, CheckedBlock)>,
    bytes: usize,
}

impl Ready {
    /// Which blocks are here.
    pub(super) fn ids(&self) -> impl Iterator<Item = EntryId> {
        self.blocks.keys().copied()
    }

    /// Keeps a block and who sent it; over the budget, those that joined the tree last are let go.
    pub(super) fn insert(&mut self, id: EntryId, from: Option<Peer>, block: CheckedBlock) {
        self.take(id);
        self.bytes += block.memory();
        self.blocks.insert(id, (from, block));
        while self.bytes > READY_BYTES_MAX {
            let Some(last) = self
                .blocks
                .keys()
                .rev()
                .find(|other| **other != id)
                .copied()
            else {
                return;
            };
            self.take(last);
        }
    }

    /// Takes a block out.
    pub(super) fn take(&mut self, id: EntryId) -> Option<CheckedBlock> {
        self.release(id).map(|(_, block)| block)
    }

    /// Takes a block out, with who sent it.
    pub(super) fn release(&mut self, id: EntryId) -> Option<(Option<Peer>, CheckedBlock)> {
        let (from, block) = self.blocks.remove(&id)?;
        self.bytes -= block.memory();
        Some((from, block))
    }
}

/// One sender's bodies, oldest first, and their bytes together.
type Account = (VecDeque<(EntryId, u64)>, u64);

/// Stored bodies of side branches, by who sent them.
#[derive(Clone, Debug, Default)]
pub(super) struct SideBodies {
    by_peer: BTreeMap<Option<Peer>, Account>,
    total: u64,
}

impl SideBodies {
    /// Charges a body to its sender. Returns the bodies to give up, that sender's first.
    pub(super) fn charge(&mut self, peer: Option<Peer>, id: EntryId, bytes: u64) -> Vec<EntryId> {
        let (queue, used) = self.by_peer.entry(peer).or_default();
        queue.push_back((id, bytes));
        *used += bytes;
        self.total += bytes;
        let mut dropped = Vec::new();
        while self
            .by_peer
            .get(&peer)
            .is_some_and(|(_, used)| *used > SIDE_BYTES_PER_PEER)
        {
            dropped.extend(self.drop_oldest_of(peer));
        }
        while self.total > SIDE_BYTES_MAX {
            let greediest = self.by_peer.iter().max_by_key(|(_, (_, used))| *used);
            let Some(greediest) = greediest.map(|(peer, _)| *peer) else {
                break;
            };
            dropped.extend(self.drop_oldest_of(greediest));
        }
        dropped
    }

    fn drop_oldest_of(&mut self, peer: Option<Peer>) -> Option<EntryId> {
        let (queue, used) = self.by_peer.get_mut(&peer)?;
        let (id, bytes) = queue.pop_front()?;
        *used -= bytes;
        self.total -= bytes;
        if queue.is_empty() {
            self.by_peer.remove(&peer);
        }
        Some(id)
    }
}
