//! Blocks whose parent is not known yet, bounded by count and bytes, each charged to its sender.
//!
//! What a peer makes us keep is evicted from that peer first: a flood pushes out only its own
//! sender's orphans, until the total is full, and then those of the peer with the most.

use std::collections::BTreeMap;

use crate::{
    check::CheckedBlock,
    forest::Origin,
    hash::BlockHash,
    message::Peer,
    params::{ORPHAN_BYTES_MAX, ORPHANS_MAX, ORPHANS_PER_PEER},
};

/// A block that waits for its parent.
#[derive(Clone, Debug)]
pub struct Orphan {
    /// The block.
    pub block: CheckedBlock,
    /// Who sent it.
    pub from: Option<Peer>,
    /// Whether we had asked for it.
    pub origin: Origin,
    sequence: u64,
}

/// All orphans.
#[derive(Clone, Debug, Default)]
pub struct Orphans {
    by_hash: BTreeMap<BlockHash, Orphan>,
    bytes: usize,
    sequence: u64,
}

impl Orphans {
    /// Keeps a block, and evicts others while a limit is exceeded.
    pub fn insert(&mut self, block: CheckedBlock, from: Option<Peer>, origin: Origin) {
        let hash = block.id().hash;
        if self.by_hash.contains_key(&hash) {
            return;
        }
        self.bytes += block.memory();
        self.sequence += 1;
        self.by_hash.insert(
            hash,
            Orphan {
                block,
                from,
                origin,
                sequence: self.sequence,
            },
        );
        while self.count_of(from) > ORPHANS_PER_PEER {
            self.evict_oldest_of(from);
        }
        while self.by_hash.len() > ORPHANS_MAX || self.bytes > ORPHAN_BYTES_MAX {
            let held = self.by_hash.values();
            let greediest = greediest(held.map(|orphan| (orphan.from, &orphan.block)));
            self.evict_oldest_of(greediest);
        }
    }

    /// Takes out the children of a block that has become known.
    pub fn take_children(&mut self, parent: &BlockHash) -> Vec<Orphan> {
        let children = self
            .by_hash
            .iter()
            .filter(|(_, orphan)| orphan.block.header().header().pow.parent == *parent);
        let hashes: Vec<_> = children.map(|(hash, _)| *hash).collect();
        hashes.iter().filter_map(|hash| self.remove(hash)).collect()
    }

    /// Forgets what a peer sent.
    pub fn forget(&mut self, peer: Peer) {
        while self.count_of(Some(peer)) > 0 {
            self.evict_oldest_of(Some(peer));
        }
    }

    /// The unknown ancestor of an orphan: the parent of the lowest orphan below it.
    pub fn root_of(&self, hash: &BlockHash) -> Option<BlockHash> {
        let mut missing = self.by_hash.get(hash)?.block.header().header().pow.parent;
        while let Some(orphan) = self.by_hash.get(&missing) {
            missing = orphan.block.header().header().pow.parent;
        }
        Some(missing)
    }

    /// Number of orphans.
    pub fn len(&self) -> usize {
        self.by_hash.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }

    /// Bytes of all orphans.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn remove(&mut self, hash: &BlockHash) -> Option<Orphan> {
        let orphan = self.by_hash.remove(hash)?;
        self.bytes -= orphan.block.memory();
        Some(orphan)
    }

    fn count_of(&self, peer: Option<Peer>) -> usize {
        self.by_hash
            .values()
            .filter(|orphan| orphan.from == peer)
            .count()
    }

    fn evict_oldest_of(&mut self, peer: Option<Peer>) {
        let of_peer = self
            .by_hash
            .iter()
            .filter(|(_, orphan)| orphan.from == peer);
        let oldest = of_peer
            .min_by_key(|(_, orphan)| orphan.sequence)
            .map(|(hash, _)| *hash);
        if let Some(hash) = oldest {
            self.remove(&hash);
        }
    }
}

/// The peer whose blocks take the most memory of all that are held.
pub(crate) fn greediest<'a>(
    held: impl Iterator<Item = (Option<Peer>, &'a CheckedBlock)>,
) -> Option<Peer> {
    let mut bytes: BTreeMap<Option<Peer>, usize> = BTreeMap::new();
    for (from, block) in held {
        *bytes.entry(from).or_default() += block.memory();
    }
    let greediest = bytes.into_iter().max_by_key(|(_, bytes)| *bytes);
    greediest.and_then(|(peer, _)| peer)
}
