//! A store as it will be once a batch is committed.
//!
//! A shell may run several steps before it makes their writes durable as one; each step reads
//! what the steps before it wrote. Used by shells alone.

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::Address;

use crate::{
    block::Body,
    execution::ChangeSet,
    hash::{BlockHash, TxHash},
    header::Header,
    history::Row,
    receipt::Receipt,
    store::{Batch, BlockId, Reader, Stage, StoreError, TransactionPlace},
};

/// A base version and the writes on top of it.
pub struct Overlay<'a> {
    /// What is durable.
    pub base: &'a dyn Reader,
    /// What is not, yet.
    pub batch: &'a Batch,
}

impl Overlay<'_> {
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

    /// The index belongs to what is committed.
    fn transaction(&self, hash: &TxHash) -> Result<Option<TransactionPlace>, StoreError> {
        self.base.transaction(hash)
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

    /// Only what is committed: the journal is read once, when a node is opened.
    fn pooled(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        self.base.pooled()
    }

    /// Only what is committed: nodes are opened on durable stores.
    fn for_each_header(&self, visit: &mut dyn FnMut(Arc<Header>, Stage)) -> Result<(), StoreError> {
        self.base.for_each_header(visit)
    }
}
