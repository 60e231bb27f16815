//! A store as it will be once a batch is committed.
//!
//! A shell may run several steps before it makes their writes durable as one; each step reads
//! what the steps before it wrote. Used by shells alone.

use std::{cell::OnceCell, collections::BTreeMap, sync::Arc};

use alloy_primitives::Address;

use crate::{
    block::Body,
    execution::{Account, ChangeSet},
    hash::{BlockHash, TxHash},
    header::Header,
    history::Row,
    receipt::Receipt,
    store::{Batch, BlockId, Past, Reader, Stage, StoreError, TransactionPlace},
    transaction::hash_of,
};

/// Where the transactions stand that a batch puts on the best chain.
type Places = BTreeMap<TxHash, TransactionPlace>;

/// A base version and the writes on top of it.
pub struct Overlay<'a> {
    /// What is durable.
    base: &'a dyn Reader,
    /// What is not, yet.
    batch: &'a Batch,
    /// Made when the first transaction is looked for: all of the batch's blocks are hashed for it.
    places: OnceCell<Result<Places, StoreError>>,
}

impl<'a> Overlay<'a> {
    /// What is durable, and what is not, yet.
    pub fn new(base: &'a dyn Reader, batch: &'a Batch) -> Self {
        Self {
            base,
            batch,
            places: OnceCell::new(),
        }
    }

    /// The transactions of those blocks that the batch leaves on the best chain.
    fn read_places(&self) -> Result<Places, StoreError> {
        let heights: BTreeMap<_, _> = self.batch.canonical.iter().copied().collect();
        let mut places = Places::new();
        for (height, hash) in heights {
            let Some(hash) = hash else { continue };
            let block = BlockId { height, hash };
            let body = self.body(&hash)?.unwrap_or_default();
            let hashes = body.0.iter().map(|bytes| hash_of(bytes));
            let of_block = |(index, hash)| (hash, TransactionPlace { block, index });
            places.extend((0..).zip(hashes).map(of_block));
        }
        Ok(places)
    }

    fn executed(&self, hash: &BlockHash) -> Option<&crate::store::ExecutedBlock> {
        self.batch
            .executed
            .iter()
            .rev()
            .find(|block| block.id.hash == *hash)
    }
}

impl Reader for Overlay<'_> {
    fn head(&self) -> Result<Option<BlockId>, StoreError> {
        match self.batch.head {
            Some(head) => Ok(Some(head)),
            None => self.base.head(),
        }
    }

    fn canonical(&self, height: u64) -> Result<Option<BlockHash>, StoreError> {
        let written = self
            .batch
            .canonical
            .iter()
            .rev()
            .find(|(at, _)| *at == height);
        match written {
            Some((_, hash)) => Ok(*hash),
            None => self.base.canonical(height),
        }
    }

    fn header(&self, hash: &BlockHash) -> Result<Option<Arc<Header>>, StoreError> {
        match self
            .batch
            .headers
            .iter()
            .find(|header| header.hash() == *hash)
        {
            Some(header) => Ok(Some(Arc::clone(header))),
            None => self.base.header(hash),
        }
    }

    fn stage(&self, hash: &BlockHash) -> Result<Option<Stage>, StoreError> {
        let has = |ids: &[BlockId]| ids.iter().any(|id| id.hash == *hash);
        if has(&self.batch.invalid) {
            return Ok(Some(Stage::Invalid));
        }
        if self.executed(hash).is_some() {
            return Ok(Some(Stage::Executed));
        }
        if has(&self.batch.dropped) {
            return Ok(Some(Stage::Header));
        }
        if self.batch.bodies.iter().any(|(id, _)| id.hash == *hash) {
            return Ok(Some(Stage::Body));
        }
        if self
            .batch
            .headers
            .iter()
            .any(|header| header.hash() == *hash)
        {
            return Ok(Some(Stage::Header));
        }
        self.base.stage(hash)
    }

    fn body(&self, hash: &BlockHash) -> Result<Option<Arc<Body>>, StoreError> {
        match self
            .batch
            .bodies
            .iter()
            .rev()
            .find(|(id, _)| id.hash == *hash)
        {
            Some((_, body)) => Ok(Some(Arc::clone(body))),
            None => self.base.body(hash),
        }
    }

    fn changes(&self, hash: &BlockHash) -> Result<Option<Arc<ChangeSet>>, StoreError> {
        match self.executed(hash) {
            Some(block) => Ok(Some(Arc::clone(&block.changes))),
            None => self.base.changes(hash),
        }
    }

    fn receipts(&self, hash: &BlockHash) -> Result<Option<Arc<Vec<Receipt>>>, StoreError> {
        match self.executed(hash) {
            Some(block) => Ok(Some(Arc::clone(&block.receipts))),
            None => self.base.receipts(hash),
        }
    }

    /// On the batch's part of the best chain, or on what it leaves of the rest.
    fn transaction(&self, hash: &TxHash) -> Result<Option<TransactionPlace>, StoreError> {
        if !self.batch.canonical.is_empty() {
            let places = self.places.get_or_init(|| self.read_places());
            if let Some(place) = places.as_ref().map_err(Clone::clone)?.get(hash) {
                return Ok(Some(*place));
            }
        }
        let is_left = |place: &TransactionPlace| {
            let mut moved = self.batch.canonical.iter();
            moved.all(|(height, _)| *height != place.block.height)
        };
        Ok(self.base.transaction(hash)?.filter(is_left))
    }

    /// Also what is not committed; which rows count, [`Reader::canonical`] says.
    fn rows(
        &self,
        address: &Address,
        below: Option<BlockId>,
        count: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let mut rows: BTreeMap<_, _> = self.base.rows(address, below, count)?.into_iter().collect();
        for block in &self.batch.executed {
            let is_below = below.is_none_or(|below| block.id < below);
            if let Some(indices) = block.parties.get(address).filter(|_| is_below) {
                rows.insert(block.id, indices.clone());
            }
        }
        Ok(rows.into_iter().rev().take(count).collect())
    }

    /// The past belongs to what is committed.
    fn past_account(&self, address: &Address, above: u64) -> Result<Past<Account>, StoreError> {
        self.base.past_account(address, above)
    }

    /// The past belongs to what is committed.
    fn past_slot(
        &self,
        address: &Address,
        slot: &[u8; 32],
        above: u64,
    ) -> Result<Past<[u8; 32]>, StoreError> {
        self.base.past_slot(address, slot, above)
    }

    /// Only what is committed: the journal is read once, when a node is opened.
    fn pooled(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        self.base.pooled()
    }

    /// Only what is committed, as above.
    fn departed(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        self.base.departed()
    }

    /// Only what is committed: nodes are opened on durable stores.
    fn for_each_header(&self, visit: &mut dyn FnMut(Arc<Header>, Stage)) -> Result<(), StoreError> {
        self.base.for_each_header(visit)
    }
}
