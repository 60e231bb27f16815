//! A version of the store: the log's, the flat file's, and the blocks between the two.
//!
//! Invariant: all three belong to one head. A reader that holds it sees that head for as long as
//! it likes; what it cannot read any more is an error, never another version.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{SyncSender, sync_channel},
    },
    thread,
};

use chain::{
    Account, Address, BlockHash, BlockId, Body, ChangeSet, Header, Reader, Receipt, Stage,
    StoreError, TxHash,
    history::{Parties, Row},
    params::STATE_WINDOW,
    store::{Past, TransactionPlace},
    transaction::hash_of,
};

use super::{
    flat::ReadFlat,
    history::entries_of,
    merge::Reach,
    places::{places_of, prefix},
    recent::{Recent, body_of, changes_of},
    tables::{HeaderPage, ReadTables},
    trouble::{Trouble, guard},
};

/// Headers read at a time when all are visited.
const HEADERS_PER_PAGE: usize = 1_024;
/// Pages that wait to be visited.
const PAGES_AHEAD: usize = 4;

/// One version of the store.
#[derive(Clone)]
pub struct RedbSnapshot(pub(super) Arc<Version>);

/// What a version is made of.
pub(super) struct Version {
    /// The log.
    pub tables: Arc<ReadTables>,
    /// The state and the indexes up to the checkpoint.
    pub flat: Arc<ReadFlat>,
    /// The blocks since.
    pub recent: Arc<Recent>,
    /// Whether the past is kept.
    pub reach: Reach,
    /// Names for messages.
    pub log_path: PathBuf,
    /// The other file's.
    pub flat_path: PathBuf,
    /// The body in which a transaction was looked for last.
    pub last_body: LastBody,
}

/// A block and its body, if one was read.
pub(super) type LastBody = Mutex<Option<(BlockId, Arc<Body>)>>;

impl RedbSnapshot {
    fn read<V>(
        &self,
        read: impl FnOnce(&ReadTables) -> Result<V, Trouble>,
    ) -> Result<V, StoreError> {
        guard(|| read(&self.0.tables)).map_err(|trouble| trouble.at(&self.0.log_path))
    }

    pub(super) fn read_flat<V>(
        &self,
        read: impl FnOnce(&ReadFlat) -> Result<V, Trouble>,
    ) -> Result<V, StoreError> {
        guard(|| read(&self.0.flat)).map_err(|trouble| trouble.at(&self.0.flat_path))
    }

    /// Hands on all headers, page by page, until one cannot be read or nobody wants more.
    fn read_pages(&self, pages: &SyncSender<Result<HeaderPage, StoreError>>) {
        let mut last = None;
        loop {
            let page = self.read(|tables| tables.records_after(last, HEADERS_PER_PAGE));
            match page.as_ref().map(|page| page.last()) {
                Ok(None) => return,
                Ok(Some((id, _, _))) => last = Some(*id),
                Err(_) => {
                    let _ = pages.send(page);
                    return;
                }
            }
            if pages.send(page).is_err() {
                return;
            }
        }
    }

    /// The best chain's block at a height that it has.
    fn best_at(&self, height: u64) -> Result<BlockId, StoreError> {
        let hash = self.read(|tables| {
            let missing = || {
                let key = height.to_be_bytes();
                tables.canonical.damaged(&key, "it is missing")
            };
            tables.canonical(height)?.ok_or_else(missing)
        })?;
        Ok(BlockId { height, hash })
    }

    /// Heights and indices where a transaction of the blocks that the flat file has may stand.
    fn places(&self, hash: &TxHash) -> Result<Vec<(u64, u32)>, StoreError> {
        let merged = self.merged().height;
        self.read_flat(|flat| places_of(&flat.transactions, hash, merged))
    }

    /// Whether the index has a transaction of the best chain at its place.
    pub fn is_indexed(&self, hash: &TxHash, place: &TransactionPlace) -> Result<bool, StoreError> {
        if self.0.recent.place(hash).as_ref() == Some(place) {
            return Ok(true);
        }
        let height = place.block.height;
        let is_there = self.places(hash)?.contains(&(height, place.index));
        Ok(is_there && self.best_at(height)? == place.block)
    }

    /// Whose an executed block's transactions are, as the log has it: a checkpoint that undoes the
    /// block goes by that. None where the block is unknown or was not executed.
    pub fn parties(&self, hash: &BlockHash) -> Result<Option<Parties>, StoreError> {
        self.of(hash, |tables, id| match tables.changes(id)? {
            Some(changes) => tables.parties(id, &changes).map(Some),
            None => Ok(None),
        })
    }

    /// A block's body. The last one is kept: who looks many transactions up, such as those of a
    /// block that was undone, mostly finds one block's one after the other.
    fn body_at(&self, id: &BlockId) -> Result<Arc<Body>, StoreError> {
        let last = || {
            let last = self.0.last_body.lock();
            last.unwrap_or_else(PoisonError::into_inner)
        };
        if let Some((known, body)) = &*last()
            && known == id
        {
            return Ok(Arc::clone(body));
        }
        let body = Arc::new(self.read(|tables| body_of(tables, id))?);
        *last() = Some((*id, Arc::clone(&body)));
        Ok(body)
    }

    /// The hash of the transaction at a place that the index names, which begins as the key says.
    fn transaction_at(&self, place: &TransactionPlace, key: &TxHash) -> Result<TxHash, StoreError> {
        let body = self.body_at(&place.block)?;
        let index = usize::try_from(place.index).ok();
        let bytes = index.and_then(|index| body.0.get(index));
        let hash = bytes.map(|bytes| hash_of(bytes));
        let hash = hash.filter(|hash| prefix(hash) == prefix(key));
        hash.ok_or_else(|| {
            let reason = format!("block {} has it not at {}", place.block.height, place.index);
            let damaged = |flat: &ReadFlat| flat.transactions.damaged(&key.0, &reason);
            self.read_flat(|flat| Err::<TxHash, _>(damaged(flat)))
                .expect_err("it is one")
        })
    }

    /// Reads what belongs to a block, unless the block is unknown.
    fn of<V>(
        &self,
        hash: &BlockHash,
        read: impl FnOnce(&ReadTables, &BlockId) -> Result<Option<V>, Trouble>,
    ) -> Result<Option<V>, StoreError> {
        self.read(|tables| match tables.id(hash)? {
            Some(id) => read(tables, &id),
            None => Ok(None),
        })
    }

    /// What something was in the first best-chain block above a height that changed it: among the
    /// blocks that the flat file has, then among the others.
    fn past<V>(
        &self,
        above: u64,
        in_flat: impl FnOnce(&ReadFlat, u64, u64) -> Result<Past<V>, Trouble>,
        in_changes: impl Fn(&ChangeSet) -> Option<Option<V>>,
    ) -> Result<Past<V>, StoreError> {
        let recent = &self.0.recent;
        let from = above.saturating_add(1);
        let last = recent.ancestor.height;
        if from <= last {
            let found = if self.0.reach == Reach::Archive {
                self.read_flat(|flat| in_flat(flat, from, last))?
            } else {
                self.past_in_log(from, last, &in_changes)?
            };
            if !matches!(found, Past::AsInHead) {
                return Ok(found);
            }
        }
        let blocks = recent.blocks.iter().filter(|block| block.id.height >= from);
        let mut found = blocks.filter_map(|block| in_changes(&block.changes));
        Ok(found.next().map_or(Past::AsInHead, Past::Was))
    }

    /// Without an archive the change sets themselves are looked through, down to the window.
    fn past_in_log<V>(
        &self,
        from: u64,
        last: u64,
        in_changes: impl Fn(&ChangeSet) -> Option<Option<V>>,
    ) -> Result<Past<V>, StoreError> {
        let head = self.head()?.unwrap_or_default().height;
        let lowest = head.saturating_sub(STATE_WINDOW);
        if from <= lowest {
            return Ok(Past::Unknown { lowest });
        }
        for height in from..=last {
            let id = self.best_at(height)?;
            let found = self.read(|tables| Ok(in_changes(&changes_of(tables, &id)?)))?;
            if let Some(old) = found {
                return Ok(Past::Was(old));
            }
        }
        Ok(Past::AsInHead)
    }
}

impl Reader for RedbSnapshot {
    fn head(&self) -> Result<Option<BlockId>, StoreError> {
        self.read(ReadTables::head)
    }

    fn canonical(&self, height: u64) -> Result<Option<BlockHash>, StoreError> {
        self.read(|tables| tables.canonical(height))
    }

    fn header(&self, hash: &BlockHash) -> Result<Option<Arc<Header>>, StoreError> {
        self.of(hash, |tables, id| Ok(Some(Arc::new(tables.record(id)?.0))))
    }

    fn stage(&self, hash: &BlockHash) -> Result<Option<Stage>, StoreError> {
        self.of(hash, |tables, id| Ok(Some(tables.record(id)?.1)))
    }

    fn body(&self, hash: &BlockHash) -> Result<Option<Arc<Body>>, StoreError> {
        self.of(hash, |tables, id| Ok(tables.body(id)?.map(Arc::new)))
    }

    fn changes(&self, hash: &BlockHash) -> Result<Option<Arc<ChangeSet>>, StoreError> {
        self.of(hash, |tables, id| Ok(tables.changes(id)?.map(Arc::new)))
    }

    fn receipts(&self, hash: &BlockHash) -> Result<Option<Arc<Vec<Receipt>>>, StoreError> {
        self.of(hash, |tables, id| Ok(tables.receipts(id)?.map(Arc::new)))
    }

    fn transaction(&self, hash: &TxHash) -> Result<Option<TransactionPlace>, StoreError> {
        if let Some(place) = self.0.recent.place(hash) {
            return Ok(Some(place));
        }
        for (height, index) in self.places(hash)? {
            let block = self.best_at(height)?;
            let place = TransactionPlace { block, index };
            if self.transaction_at(&place, hash)? == *hash {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    fn rows(
        &self,
        address: &Address,
        below: Option<BlockId>,
        count: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let mut rows: Vec<Row> = self.0.recent.rows(address, below).take(count).collect();
        let left = count - rows.len();
        if left == 0 {
            return Ok(rows);
        }
        let merged = self.merged().height;
        let last = below.map_or(merged, |below| below.height.min(merged));
        // One more, since the block of the last height may not be below the one that was given.
        let wanted = left.saturating_add(1);
        let entries = self.read_flat(|flat| entries_of(&flat.history, address, last, wanted))?;
        for (height, indices) in entries {
            let id = self.best_at(height)?;
            if below.is_none_or(|below| id < below) {
                rows.push((id, indices));
            }
        }
        rows.truncate(count);
        Ok(rows)
    }

    fn past_account(&self, address: &Address, above: u64) -> Result<Past<Account>, StoreError> {
        let address = &address.0.0;
        self.past(
            above,
            |flat, from, to| flat.past_account(address, from, to),
            |changes| Some(changes.account(address)?.old.clone()),
        )
    }

    fn past_slot(
        &self,
        address: &Address,
        slot: &[u8; 32],
        above: u64,
    ) -> Result<Past<[u8; 32]>, StoreError> {
        self.past(
            above,
            |flat, from, to| flat.past_slot(address, slot, from, to),
            |changes| Some(Some(changes.slot(&address.0.0, slot)?.old)),
        )
    }

    fn pooled(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        self.read(ReadTables::pooled)
    }

    fn departed(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        self.read(ReadTables::departed)
    }

    /// One page is read and decoded while another is visited.
    fn for_each_header(&self, visit: &mut dyn FnMut(Arc<Header>, Stage)) -> Result<(), StoreError> {
        thread::scope(|scope| {
            let (pages, ready) = sync_channel(PAGES_AHEAD);
            scope.spawn(move || self.read_pages(&pages));
            for page in ready {
                // The visitor runs outside the guard: its mistakes are not the store's.
                for (_, header, stage) in page? {
                    visit(Arc::new(header), stage);
                }
            }
            Ok(())
        })
    }
}
