//! The blocks since the checkpoint, indexed in memory: what the flat file does not have yet.
//!
//! A reader takes the flat file's version and the blocks that belong to it together, so its
//! answers are those of one head, wherever the checkpoint is. Where the checkpoint's block left
//! the best chain, `undone` is the way from it down to the common ancestor.

use std::sync::Arc;

use chain::{
    Address, Batch, BlockId, Body, ChangeSet, TxHash,
    history::{Parties, Row},
    store::TransactionPlace,
    transaction::hash_of,
};

use super::{
    kv::{Get, Scan},
    tables::{Tables, block_key},
    trouble::Trouble,
};

/// A block of the best chain that the flat file does not have yet.
#[derive(Debug)]
pub struct RecentBlock {
    /// Which.
    pub id: BlockId,
    /// Its transactions' hashes in rising order, and where they stand.
    pub places: Vec<(TxHash, u32)>,
    /// Whose they are.
    pub parties: Arc<Parties>,
    /// What it changed.
    pub changes: Arc<ChangeSet>,
}

/// The way from the checkpoint to the head.
#[derive(Clone, Debug, Default)]
pub struct Recent {
    /// Blocks of the checkpoint's own branch, downwards from it.
    pub undone: Vec<BlockId>,
    /// The last block that the checkpoint and the head have in common.
    pub ancestor: BlockId,
    /// Blocks of the best chain upwards from the common ancestor, without it.
    pub blocks: Vec<Arc<RecentBlock>>,
}

impl RecentBlock {
    /// Out of the batch that executed it or the log, whichever has it.
    pub fn find<T: Scan>(tables: &Tables<T>, batch: &Batch, id: BlockId) -> Result<Self, Trouble> {
        let body = batch.bodies.iter().find(|(other, _)| *other == id);
        let body = match body {
            Some((_, body)) => Arc::clone(body),
            None => Arc::new(body_of(tables, &id)?),
        };
        let executed = batch.executed.iter().find(|block| block.id == id);
        let (changes, parties) = match executed {
            Some(block) => (Arc::clone(&block.changes), Arc::clone(&block.parties)),
            None => {
                let changes = changes_of(tables, &id)?;
                let parties = tables.parties(&id, &changes)?;
                (Arc::new(changes), Arc::new(parties))
            }
        };
        let mut places: Vec<_> = body.0.iter().map(|bytes| hash_of(bytes)).zip(0..).collect();
        places.sort_unstable();
        Ok(Self {
            id,
            places,
            parties,
            changes,
        })
    }

    fn place(&self, hash: &TxHash) -> Option<TransactionPlace> {
        let at = self.places.binary_search_by_key(hash, |(hash, _)| *hash);
        at.ok().map(|at| TransactionPlace {
            block: self.id,
            index: self.places[at].1,
        })
    }
}

impl Recent {
    /// No way at all: the head is the checkpoint's block.
    pub fn at(checkpoint: BlockId) -> Self {
        Self {
            ancestor: checkpoint,
            ..Self::default()
        }
    }

    /// Blocks on the way.
    pub fn len(&self) -> usize {
        self.undone.len() + self.blocks.len()
    }

    /// Where one of these blocks' transactions stands.
    pub fn place(&self, hash: &TxHash) -> Option<TransactionPlace> {
        self.blocks.iter().rev().find_map(|block| block.place(hash))
    }

    /// An account's rows in these blocks that are below one.
    pub fn rows<'a>(
        &'a self,
        address: &'a Address,
        below: Option<BlockId>,
    ) -> impl Iterator<Item = Row> + 'a {
        let blocks = self.blocks.iter().rev();
        let is_below = move |block: &BlockId| below.is_none_or(|below| *block < below);
        blocks
            .filter(move |block| is_below(&block.id))
            .filter_map(|block| Some((block.id, block.parties.get(address)?.clone())))
    }

    /// Whether a block is among these, and where.
    pub fn position(&self, id: &BlockId) -> Option<usize> {
        let first = self.blocks.first()?.id.height;
        let at = usize::try_from(id.height.checked_sub(first)?).ok()?;
        (self.blocks.get(at)?.id == *id).then_some(at)
    }
}

/// The way between two known blocks, without their common ancestor: down from the first, and up
/// to the second.
#[derive(Debug, Default)]
pub struct Way {
    /// To be undone, in this order.
    pub down: Vec<BlockId>,
    /// The common ancestor.
    pub ancestor: BlockId,
    /// To be redone, in this order.
    pub up: Vec<BlockId>,
}

impl Way {
    /// Follows both to where they meet.
    pub fn between<T: Get>(
        tables: &Tables<T>,
        mut from: BlockId,
        mut to: BlockId,
    ) -> Result<Self, Trouble> {
        let mut way = Self::default();
        while from != to {
            if to.height >= from.height {
                way.up.push(to);
                to = parent_of(tables, &to)?;
            } else {
                way.down.push(from);
                from = parent_of(tables, &from)?;
            }
        }
        way.ancestor = from;
        way.up.reverse();
        Ok(way)
    }
}

/// The block before one.
pub fn parent_of<T: Get>(tables: &Tables<T>, id: &BlockId) -> Result<BlockId, Trouble> {
    let (header, _) = tables.record(id)?;
    let damaged = || tables.headers.damaged(&block_key(id), "it has no parent");
    Ok(BlockId {
        height: id.height.checked_sub(1).ok_or_else(damaged)?,
        hash: header.pow.parent,
    })
}

/// What an executed block changed.
pub fn changes_of<T: Scan>(tables: &Tables<T>, id: &BlockId) -> Result<ChangeSet, Trouble> {
    let missing = || tables.changes.damaged(&block_key(id), "it is missing");
    tables.changes(id)?.ok_or_else(missing)
}

/// A block's body, which is known to be here.
pub fn body_of<T: Scan>(tables: &Tables<T>, id: &BlockId) -> Result<Body, Trouble> {
    let missing = || tables.bodies.damaged(&block_key(id), "it is missing");
    tables.body(id)?.ok_or_else(missing)
}
