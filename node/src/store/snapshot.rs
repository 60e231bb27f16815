//! A version of the store: the log's, the flat file's, and the blocks between the two.
//!
//! Invariant: all three belong to one head. A reader that holds it sees that head for as long as
//! it likes; what it cannot read any more is an error, never another version.

use std::{
    cmp::Reverse,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{SyncSender, sync_channel},
    },
    thread,
};

use chain::{
    Account, Address, BlockHash, BlockId, Body, ChangeSet, Header, Reader, Receipt, Stage,
    StoreError, TxHash,
    history::Row,
    params::STATE_WINDOW,
    store::{Past, TransactionPlace},
};

use super::{
    flat::ReadFlat,
    history::rows_of,
    merge::Reach,
    recent::{Recent, changes_of},
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
}

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
            let found = self.read(|tables| {
                let hash = tables.canonical(height)?;
                let key = height.to_be_bytes();
                let hash = hash.ok_or_else(|| tables.canonical.damaged(&key, "it is missing"))?;
                Ok(in_changes(&changes_of(tables, &BlockId { height, hash })?))
            })?;
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
        let Some(placed) = self.read_flat(|flat| flat.place(hash))? else {
            return Ok(None);
        };
        Ok(placed.on(self.canonical(placed.height)?))
    }

    fn rows(
        &self,
        address: &Address,
        below: Option<BlockId>,
        count: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let mut rows = self.read_flat(|flat| rows_of(&flat.history, address, below, count))?;
        rows.extend(self.0.recent.rows(address, below));
        // Blocks that left the best chain and came back may be in both.
        rows.sort_unstable_by_key(|row| Reverse(row.0));
        rows.dedup_by_key(|row| row.0);
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
