//! A store in memory: for simulated networks, tests and throw-away nodes.
//!
//! The same contract as the engines on disk; a snapshot is a pointer to an immutable version.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    ops::Bound,
    sync::Arc,
};

use alloy_primitives::Address;

use crate::{
    block::Body,
    execution::{Account, ChangeSet},
    hash::{BlockHash, TxHash},
    header::Header,
    history::Row,
    receipt::Receipt,
    store::{Batch, BlockId, Mended, Past, Reader, Stage, Store, StoreError, TransactionPlace},
    transaction::hash_of,
};

#[derive(Clone, Debug)]
struct Record {
    header: Arc<Header>,
    stage: Stage,
    body: Option<Arc<Body>>,
    changes: Option<Arc<ChangeSet>>,
    receipts: Option<Arc<Vec<Receipt>>>,
}

/// One version of the store.
#[derive(Clone, Debug, Default)]
pub struct MemorySnapshot(Arc<Inner>);

#[derive(Clone, Debug, Default)]
struct Inner {
    records: BTreeMap<BlockHash, Record>,
    order: Vec<BlockHash>,
    canonical: BTreeMap<u64, BlockHash>,
    transactions: BTreeMap<TxHash, TransactionPlace>,
    rows: BTreeMap<(Address, BlockId), Vec<u32>>,
    head: Option<BlockId>,
    pooled: BTreeMap<TxHash, Vec<u8>>,
    departed: BTreeMap<TxHash, Vec<u8>>,
}

/// The store.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Inner>);

impl Store for MemoryStore {
    type Snapshot = MemorySnapshot;

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let inner = Arc::make_mut(&mut self.0);
        for header in &batch.headers {
            inner.add_header(header);
        }
        for (id, body) in &batch.bodies {
            let record = inner.record(&id.hash)?;
            record.body = Some(Arc::clone(body));
            record.stage = record.stage.max(Stage::Body);
        }
        for id in &batch.dropped {
            let record = inner.record(&id.hash)?;
            (record.body, record.stage) = (None, Stage::Header);
        }
        for block in &batch.executed {
            let record = inner.record(&block.id.hash)?;
            record.stage = Stage::Executed;
            record.changes = Some(Arc::clone(&block.changes));
            record.receipts = Some(Arc::clone(&block.receipts));
            for (address, indices) in block.parties.iter() {
                inner.rows.insert((*address, block.id), indices.clone());
            }
        }
        for id in &batch.invalid {
            inner.record(&id.hash)?.stage = Stage::Invalid;
        }
        for (height, hash) in &batch.canonical {
            inner.set_canonical(*height, *hash)?;
        }
        inner.head = batch.head.or(inner.head);
        for (hash, change) in &batch.pooled {
            match change {
                Some(transaction) => inner.pooled.insert(*hash, transaction.bytes().to_vec()),
                None => inner.pooled.remove(hash),
            };
        }
        for (hash, change) in &batch.departed {
            match change {
                Some(departure) => inner.departed.insert(*hash, departure.encode()),
                None => inner.departed.remove(hash),
            };
        }
        Ok(())
    }

    fn mend(&mut self) -> Mended {
        Mended::Ready
    }

    fn snapshot(&self) -> Result<MemorySnapshot, StoreError> {
        Ok(MemorySnapshot(Arc::clone(&self.0)))
    }
}

impl Inner {
    fn add_header(&mut self, header: &Arc<Header>) {
        let hash = header.hash();
        let record = Record {
            header: Arc::clone(header),
            stage: Stage::Header,
            body: None,
            changes: None,
            receipts: None,
        };
        if let Entry::Vacant(place) = self.records.entry(hash) {
            place.insert(record);
            self.order.push(hash);
        }
    }

    fn record(&mut self, hash: &BlockHash) -> Result<&mut Record, StoreError> {
        self.records
            .get_mut(hash)
            .ok_or_else(|| StoreError(format!("no header for block {hash}")))
    }

    /// Replaces the best chain's block at a height, and the index of its transactions.
    fn set_canonical(&mut self, height: u64, hash: Option<BlockHash>) -> Result<(), StoreError> {
        if let Some(old) = self.canonical.remove(&height) {
            let body = self.record(&old)?.body.clone().unwrap_or_default();
            for bytes in &body.0 {
                let key = hash_of(bytes);
                // The same transaction may stand elsewhere on the new branch already.
                if self
                    .transactions
                    .get(&key)
                    .is_some_and(|place| place.block.hash == old)
                {
                    self.transactions.remove(&key);
                }
            }
        }
        let Some(hash) = hash else { return Ok(()) };
        let body = self.record(&hash)?.body.clone().unwrap_or_default();
        let block = BlockId { height, hash };
        for (index, bytes) in (0..).zip(&body.0) {
            self.transactions
                .insert(hash_of(bytes), TransactionPlace { block, index });
        }
        self.canonical.insert(height, hash);
        Ok(())
    }
}

impl MemorySnapshot {
    /// What the first best-chain block above a height that changed something found.
    fn first_above<V>(&self, above: u64, old: impl Fn(&ChangeSet) -> Option<Option<V>>) -> Past<V> {
        let blocks = self.0.canonical.range(above.saturating_add(1)..);
        let mut changes = blocks.filter_map(|(_, hash)| self.0.records[hash].changes.as_deref());
        changes.find_map(old).map_or(Past::AsInHead, Past::Was)
    }
}

impl Reader for MemorySnapshot {
    fn head(&self) -> Result<Option<BlockId>, StoreError> {
        Ok(self.0.head)
    }

    fn canonical(&self, height: u64) -> Result<Option<BlockHash>, StoreError> {
        Ok(self.0.canonical.get(&height).copied())
    }

    fn header(&self, hash: &BlockHash) -> Result<Option<Arc<Header>>, StoreError> {
        Ok(self
            .0
            .records
            .get(hash)
            .map(|record| Arc::clone(&record.header)))
    }

    fn stage(&self, hash: &BlockHash) -> Result<Option<Stage>, StoreError> {
        Ok(self.0.records.get(hash).map(|record| record.stage))
    }

    fn body(&self, hash: &BlockHash) -> Result<Option<Arc<Body>>, StoreError> {
        Ok(self
            .0
            .records
            .get(hash)
            .and_then(|record| record.body.clone()))
    }

    fn changes(&self, hash: &BlockHash) -> Result<Option<Arc<ChangeSet>>, StoreError> {
        Ok(self
            .0
            .records
            .get(hash)
            .and_then(|record| record.changes.clone()))
    }

    fn receipts(&self, hash: &BlockHash) -> Result<Option<Arc<Vec<Receipt>>>, StoreError> {
        Ok(self
            .0
            .records
            .get(hash)
            .and_then(|record| record.receipts.clone()))
    }

    fn transaction(&self, hash: &TxHash) -> Result<Option<TransactionPlace>, StoreError> {
        Ok(self.0.transactions.get(hash).copied())
    }

    fn rows(
        &self,
        address: &Address,
        below: Option<BlockId>,
        count: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let from = Bound::Included((*address, BlockId::default()));
        let to = match below {
            Some(below) => Bound::Excluded((*address, below)),
            None => Bound::Included((
                *address,
                BlockId {
                    height: u64::MAX,
                    hash: BlockHash([0xff; 32]),
                },
            )),
        };
        let rows = self.0.rows.range((from, to)).rev().take(count);
        Ok(rows
            .map(|((_, block), indices)| (*block, indices.clone()))
            .collect())
    }

    fn past_account(&self, address: &Address, above: u64) -> Result<Past<Account>, StoreError> {
        let old = |changes: &ChangeSet| Some(changes.account(&address.0)?.old.clone());
        Ok(self.first_above(above, old))
    }

    fn past_slot(
        &self,
        address: &Address,
        slot: &[u8; 32],
        above: u64,
    ) -> Result<Past<[u8; 32]>, StoreError> {
        let old = |changes: &ChangeSet| Some(Some(changes.slot(&address.0, slot)?.old));
        Ok(self.first_above(above, old))
    }

    fn pooled(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        Ok(self.0.pooled.values().cloned().collect())
    }

    fn departed(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        Ok(self.0.departed.values().cloned().collect())
    }

    fn for_each_header(&self, visit: &mut dyn FnMut(Arc<Header>, Stage)) -> Result<(), StoreError> {
        for hash in &self.0.order {
            let record = &self.0.records[hash];
            visit(Arc::clone(&record.header), record.stage);
        }
        Ok(())
    }
}
