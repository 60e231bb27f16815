//! `chain`'s store on redb: one durable transaction for each batch.
//!
//! Invariants: a commit is on the disk as a whole before [`Store::commit`] returns, or not at
//! all; after a commit that failed nothing more is written, since what the disk then holds is
//! uncertain until the file is opened again; a snapshot never changes, and is an error rather
//! than anything that was not written.

use std::{fmt, ops::Deref, path::Path, sync::Arc};

use chain::{
    Address, Batch, BlockHash, BlockId, Body, ChangeSet, Header, Reader, Receipt, Stage, Store,
    StoreError, TxHash, history::Row, store::TransactionPlace,
};
use redb::{
    Builder, Database, Durability, ReadTransaction, ReadableDatabase, TableDefinition, TableError,
    TableHandle, WriteTransaction,
};

use super::{
    apply::apply,
    directory::FORMAT,
    history::{collect_rows, is_whole, mark_whole, put_rows, rows_of},
    index::Index,
    tables::{ReadTables, WriteTables},
    trouble::{Trouble, engine, guard},
};

/// The table that every version of the format has, with the version in it.
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
/// The tables that were added later.
const ADDED: [&str; 2] = ["pool", "history"];
/// Memory for pages of the file. The system's own cache stands behind it.
const CACHE_BYTES: usize = 64 * 1024 * 1024;
/// Headers read at a time when all are visited.
const HEADERS_PER_PAGE: usize = 1_024;

/// The store of one data directory.
pub struct RedbStore {
    database: Engine,
    file: Arc<Path>,
    label: Option<Label>,
    index: Index,
    failed: Option<StoreError>,
}

/// The engine, closed under guard.
struct Engine(Option<Database>);

/// One version of the store, with the index that belongs to it.
#[derive(Clone)]
pub struct RedbSnapshot(Arc<Version>);

struct Version {
    tables: ReadTables,
    index: Index,
    file: Arc<Path>,
}

/// Which network a store belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The network.
    pub genesis: BlockHash,
    /// The network's name.
    pub network: String,
}

impl RedbStore {
    /// Opens the file, or makes an empty one, which has to be founded before anything else.
    ///
    /// Checks that the best chain is there with all its bodies, and builds the index of
    /// transactions from them.
    pub fn open(path: &Path) -> Result<Self, Trouble> {
        guard(|| {
            let mut store = Self {
                database: Engine(Some(builder().create(path).map_err(engine)?)),
                file: path.into(),
                label: None,
                index: Index::default(),
                failed: None,
            };
            let read = store.database.begin_read().map_err(engine)?;
            match format_of(&read)? {
                None => return Ok(store),
                Some(FORMAT) => {}
                Some(got) => return Err(Trouble::Format { want: FORMAT, got }),
            }
            store.add_missing_tables(&read)?;
            let read = store.database.begin_read().map_err(engine)?;
            let tables = ReadTables::read(&read)?;
            store.label = Some(label_of(&tables)?);
            store.index = load_index(&tables)?;
            // Damage to what says so is told now; whether it is whole, when that is asked.
            is_whole(&tables)?;
            Ok(store)
        })
    }

    /// Makes the tables that older programs of this format do not know, empty.
    fn add_missing_tables(&self, read: &ReadTransaction) -> Result<(), Trouble> {
        let names = read.list_tables().map_err(engine)?;
        let names: Vec<_> = names.map(|table| table.name().to_owned()).collect();
        if ADDED
            .iter()
            .all(|added| names.iter().any(|name| name == added))
        {
            return Ok(());
        }
        let transaction = self.database.begin_write().map_err(engine)?;
        for added in ADDED {
            let table = TableDefinition::<&[u8], &[u8]>::new(added);
            transaction.open_table(table).map_err(engine)?;
        }
        transaction.commit().map_err(engine)
    }

    /// Makes the histories of accounts whole, if a program that does not know them has written
    /// to the file; `started` is called first then. Tells how many blocks were read.
    pub fn complete_history(
        &mut self,
        chain_id: u64,
        started: impl FnOnce(),
    ) -> Result<u64, Trouble> {
        guard(|| {
            let read = self.database.begin_read().map_err(engine)?;
            let tables = ReadTables::read(&read)?;
            if is_whole(&tables)? {
                return Ok(0);
            }
            started();
            let (mut last, mut count) = (None, 0);
            loop {
                let part = collect_rows(&tables, last, chain_id)?;
                let is_end = part.last.is_none();
                self.write_with(|written| {
                    for (id, parties) in &part.rows {
                        put_rows(written, id, parties)?;
                    }
                    if is_end { mark_whole(written) } else { Ok(()) }
                })?;
                count += u64::try_from(part.rows.len()).unwrap_or(u64::MAX);
                if is_end {
                    return Ok(count);
                }
                last = part.last;
            }
        })
    }

    /// Writes to the tables in a transaction of its own.
    fn write_with(
        &self,
        write: impl FnOnce(&mut WriteTables<'_>) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        let transaction = self.begin_write()?;
        write(&mut WriteTables::write(&transaction)?)?;
        transaction.commit().map_err(engine)
    }

    /// A transaction that is on the disk once it is committed.
    fn begin_write(&self) -> Result<WriteTransaction, Trouble> {
        let mut transaction = self.database.begin_write().map_err(engine)?;
        transaction
            .set_durability(Durability::Immediate)
            .map_err(engine)?;
        // Costs a little on each commit and saves a scan of the file after a kill.
        transaction.set_quick_repair(true);
        Ok(transaction)
    }

    /// The store's label; none in an empty one.
    pub fn label(&self) -> Option<&Label> {
        self.label.as_ref()
    }

    /// Writes the genesis block and the label into an empty store, in one transaction.
    pub fn found(
        &mut self,
        genesis: BlockHash,
        network: &str,
        batch: &Batch,
    ) -> Result<(), Trouble> {
        assert!(self.label.is_none(), "only an empty store is founded");
        let label = Label {
            genesis,
            network: network.to_owned(),
        };
        self.index = guard(|| self.write(batch, Some(&label)))?;
        self.label = Some(label);
        Ok(())
    }

    /// Writes a batch, and the label of a store that is being founded; gives the index after it.
    fn write(&self, batch: &Batch, label: Option<&Label>) -> Result<Index, Trouble> {
        let transaction = self.begin_write()?;
        let mut tables = WriteTables::write(&transaction)?;
        if let Some(label) = label {
            let mut meta = transaction.open_table(META).map_err(engine)?;
            meta.insert("format", FORMAT.to_le_bytes().as_slice())
                .map_err(engine)?;
            tables.facts.put(b"genesis", &label.genesis.0)?;
            tables.facts.put(b"network", label.network.as_bytes())?;
        }
        let mut index = self.index.clone();
        apply(&mut tables, &mut index, batch)?;
        drop(tables);
        transaction.commit().map_err(engine)?;
        Ok(index)
    }
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("RedbStore");
        shown.field("file", &self.file).finish_non_exhaustive()
    }
}

impl Deref for Engine {
    type Target = Database;

    fn deref(&self) -> &Database {
        self.0.as_ref().expect("taken only when it is dropped")
    }
}

impl Drop for Engine {
    /// Closing writes to the file too, and gives up over a damaged one. Nothing is lost by that:
    /// every commit was durable before.
    fn drop(&mut self) {
        let database = self.0.take();
        let _ = guard(|| {
            drop(database);
            Ok(())
        });
    }
}

impl Store for RedbStore {
    type Snapshot = RedbSnapshot;

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if batch.is_empty() {
            return Ok(());
        }
        match guard(|| self.write(batch, None)) {
            Ok(index) => {
                self.index = index;
                Ok(())
            }
            Err(trouble) => {
                let error = trouble.at(&self.file);
                self.failed = Some(error.clone());
                Err(error)
            }
        }
    }

    fn snapshot(&self) -> Result<RedbSnapshot, StoreError> {
        let read = || ReadTables::read(&self.database.begin_read().map_err(engine)?);
        let tables = guard(read).map_err(|trouble| trouble.at(&self.file))?;
        let (index, file) = (self.index.clone(), Arc::clone(&self.file));
        Ok(RedbSnapshot(Arc::new(Version {
            tables,
            index,
            file,
        })))
    }
}

impl RedbSnapshot {
    fn read<V>(
        &self,
        read: impl FnOnce(&ReadTables) -> Result<V, Trouble>,
    ) -> Result<V, StoreError> {
        guard(|| read(&self.0.tables)).map_err(|trouble| trouble.at(&self.0.file))
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
        Ok(self.0.index.get(hash))
    }

    fn rows(
        &self,
        address: &Address,
        below: Option<BlockId>,
        count: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.read(|tables| rows_of(tables, address, below, count))
    }

    fn pooled(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        self.read(ReadTables::pooled)
    }

    fn for_each_header(&self, visit: &mut dyn FnMut(Arc<Header>, Stage)) -> Result<(), StoreError> {
        let mut last = None;
        loop {
            // The visitor runs outside the guard: its mistakes are not the store's.
            let page = self.read(|tables| tables.records_after(last, HEADERS_PER_PAGE))?;
            let Some((id, _, _)) = page.last() else {
                return Ok(());
            };
            last = Some(*id);
            for (_, header, stage) in page {
                visit(Arc::new(header), stage);
            }
        }
    }
}

fn builder() -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// The version of the format; none in a file that is still empty.
fn format_of(read: &ReadTransaction) -> Result<Option<u32>, Trouble> {
    let no_format = || Trouble::Damaged("table meta has no format version".into());
    let meta = match read.open_table(META) {
        Ok(meta) => meta,
        Err(TableError::TableDoesNotExist(_)) => {
            // All tables are made in one transaction: where there is one, all should be.
            let is_empty = read.list_tables().map_err(engine)?.next().is_none();
            return if is_empty { Ok(None) } else { Err(no_format()) };
        }
        Err(error) => return Err(engine(error)),
    };
    let value = meta.get("format").map_err(engine)?.ok_or_else(no_format)?;
    let bytes = value.value().try_into().map_err(|_| no_format())?;
    Ok(Some(u32::from_le_bytes(bytes)))
}

fn label_of(tables: &ReadTables) -> Result<Label, Trouble> {
    let genesis = present(tables.facts.get_array(b"genesis")?, "genesis")?;
    let network = present(tables.facts.get(b"network")?, "network")?;
    let network = String::from_utf8(network)
        .map_err(|error| tables.facts.damaged(b"network", &error.to_string()))?;
    Ok(Label {
        genesis: BlockHash(genesis),
        network,
    })
}

fn present<V>(value: Option<V>, name: &str) -> Result<V, Trouble> {
    value.ok_or_else(|| Trouble::Damaged(format!("table facts has no {name}")))
}

/// Reads the best chain from the genesis block to the head.
fn load_index(tables: &ReadTables) -> Result<Index, Trouble> {
    let head = present(tables.head()?, "head")?;
    let mut index = Index::default();
    let mut parent = BlockHash::default();
    for height in 0..=head.height {
        let damaged = |reason: &str| tables.canonical.damaged(&height.to_be_bytes(), reason);
        let hash = tables.canonical(height)?;
        let hash = hash.ok_or_else(|| damaged("it is missing"))?;
        let id = BlockId { height, hash };
        if tables.id(&hash)? != Some(id) {
            return Err(damaged("its block is not known at this height"));
        }
        let (header, stage) = tables.record(&id)?;
        if header.pow.parent != parent || stage != Stage::Executed {
            return Err(damaged(
                "its block is not executed, or not a child of the one below",
            ));
        }
        let body = tables.body(&id)?;
        index.add(id, &body.ok_or_else(|| damaged("its block has no body"))?);
        parent = hash;
    }
    if parent == head.hash {
        Ok(index)
    } else {
        let reason = format!("it is {}, the best chain ends in {parent}", head.hash);
        Err(tables.facts.damaged(b"head", &reason))
    }
}
