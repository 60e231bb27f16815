//! `chain`'s store on redb: an append of body and change set, and the moves of the best chain, in
//! one durable transaction a batch.
//!
//! Bodies, change sets and receipts are keyed by height and hash, so a commit writes at the end
//! of each table. What is read back is decoded with the same care as bytes from a peer.

use std::{path::Path, sync::Arc};

use chain::{
    Batch, BlockHash, BlockId, Body, ChangeSet, Header, Reader, Receipt, Stage, Store, StoreError,
    TxHash, store::TransactionPlace,
};
use redb::{
    Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition,
    WriteTransaction,
};

use super::{
    directory::FORMAT,
    index::Index,
    pieces::{join_changes, join_receipts, split_changes, split_receipts},
};

const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
/// Block hash to header.
const HEADERS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("headers");
/// Height and hash to stage: parents come before children.
const STAGES: TableDefinition<&[u8; 40], u8> = TableDefinition::new("stages");
/// Height to the best chain's hash.
const CANONICAL: TableDefinition<u64, &[u8; 32]> = TableDefinition::new("canonical");
/// Height and hash to body.
const BODIES: TableDefinition<&[u8; 40], &[u8]> = TableDefinition::new("bodies");
/// Height, hash and number to a piece of a change set.
const CHANGES: TableDefinition<&[u8; 44], &[u8]> = TableDefinition::new("changes");
/// Height, hash and number to a piece of the receipts.
const RECEIPTS: TableDefinition<&[u8; 44], &[u8]> = TableDefinition::new("receipts");

/// Pieces of one value: far more than the largest block has.
const PIECES_MAX: u32 = 4_096;

/// The store of one data directory.
pub struct RedbStore {
    database: Database,
    index: Index,
}

/// One version of the store.
#[derive(Clone)]
pub struct RedbSnapshot(Arc<SnapshotInner>);

struct SnapshotInner {
    read: ReadTransaction,
    index: Index,
}

/// What a store says of itself before anything else of it is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Version of the format.
    pub format: u32,
    /// The network.
    pub genesis: BlockHash,
    /// The network's name.
    pub network: String,
}

fn engine(error: impl std::fmt::Display) -> StoreError {
    StoreError(error.to_string())
}

fn damaged(table: &str, what: impl std::fmt::Display) -> StoreError {
    StoreError(format!("table {table} is damaged: {what}"))
}

impl RedbStore {
    /// Opens the file, or makes an empty one.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let database = Database::create(path).map_err(engine)?;
        let mut store = Self {
            database,
            index: Index::default(),
        };
        store.make_tables()?;
        store.index = store.read_index()?;
        Ok(store)
    }

    /// The store's label; none in an empty one.
    pub fn label(&self) -> Result<Option<Label>, StoreError> {
        let read = self.database.begin_read().map_err(engine)?;
        let meta = read.open_table(META).map_err(engine)?;
        let get = |key: &str| -> Result<Option<Vec<u8>>, StoreError> {
            Ok(meta
                .get(key)
                .map_err(engine)?
                .map(|value| value.value().to_vec()))
        };
        let (Some(format), Some(genesis)) = (get("format")?, get("genesis")?) else {
            return Ok(None);
        };
        let format = format.try_into().map_err(|_| damaged("meta", "format"))?;
        let genesis = genesis.try_into().map_err(|_| damaged("meta", "genesis"))?;
        let network = String::from_utf8_lossy(&get("network")?.unwrap_or_default()).into_owned();
        let format = u32::from_le_bytes(format);
        Ok(Some(Label {
            format,
            genesis: BlockHash(genesis),
            network,
        }))
    }

    /// Writes the genesis block and the label into an empty store, in one transaction.
    pub fn found(
        &mut self,
        genesis: BlockHash,
        network: &str,
        batch: &Batch,
    ) -> Result<(), StoreError> {
        let write = self.begin()?;
        {
            let mut meta = write.open_table(META).map_err(engine)?;
            meta.insert("format", FORMAT.to_le_bytes().as_slice())
                .map_err(engine)?;
            meta.insert("genesis", genesis.0.as_slice())
                .map_err(engine)?;
            meta.insert("network", network.as_bytes()).map_err(engine)?;
        }
        apply(&write, batch)?;
        write.commit().map_err(engine)
    }

    fn begin(&self) -> Result<WriteTransaction, StoreError> {
        let mut write = self.database.begin_write().map_err(engine)?;
        write
            .set_durability(Durability::Immediate)
            .map_err(engine)?;
        // Costs a little on each commit and saves a scan of the file after a kill.
        write.set_quick_repair(true);
        Ok(write)
    }

    fn make_tables(&self) -> Result<(), StoreError> {
        let write = self.begin()?;
        write.open_table(META).map_err(engine)?;
        write.open_table(HEADERS).map_err(engine)?;
        write.open_table(STAGES).map_err(engine)?;
        write.open_table(CANONICAL).map_err(engine)?;
        write.open_table(BODIES).map_err(engine)?;
        write.open_table(CHANGES).map_err(engine)?;
        write.open_table(RECEIPTS).map_err(engine)?;
        write.commit().map_err(engine)
    }

    fn read_index(&self) -> Result<Index, StoreError> {
        let snapshot = self.snapshot()?;
        let canonical = snapshot.0.read.open_table(CANONICAL).map_err(engine)?;
        let mut index = Index::default();
        for entry in canonical.iter().map_err(engine)? {
            let (height, hash) = entry.map_err(engine)?;
            let id = BlockId {
                height: height.value(),
                hash: BlockHash(*hash.value()),
            };
            let body = snapshot.body_of(id)?.ok_or_else(|| {
                damaged(
                    "bodies",
                    format!("no body for block {} of the best chain", id.hash),
                )
            })?;
            index.add(id, &body);
        }
        Ok(index)
    }

    /// The index after a batch, computed before it is committed: reads must not fail afterwards.
    fn index_after(&self, batch: &Batch) -> Result<Index, StoreError> {
        let snapshot = self.snapshot()?;
        let mut index = self.index.clone();
        let body = |id: BlockId| -> Result<Arc<Body>, StoreError> {
            match batch.bodies.iter().rev().find(|(other, _)| *other == id) {
                Some((_, body)) => Ok(Arc::clone(body)),
                None => Ok(snapshot.body_of(id)?.unwrap_or_default()),
            }
        };
        // What stands at a height now, as the changes of this batch go by.
        let mut now = std::collections::BTreeMap::new();
        for (height, hash) in &batch.canonical {
            let old = match now.get(height) {
                Some(hash) => *hash,
                None => snapshot.canonical(*height)?,
            };
            if let Some(hash) = old {
                let id = BlockId {
                    height: *height,
                    hash,
                };
                index.remove(id, &*body(id)?);
            }
            if let Some(hash) = *hash {
                let id = BlockId {
                    height: *height,
                    hash,
                };
                index.add(id, &*body(id)?);
            }
            now.insert(*height, *hash);
        }
        Ok(index)
    }
}

impl Store for RedbStore {
    type Snapshot = RedbSnapshot;

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let index = self.index_after(batch)?;
        let write = self.begin()?;
        apply(&write, batch)?;
        write.commit().map_err(engine)?;
        self.index = index;
        Ok(())
    }

    fn snapshot(&self) -> Result<RedbSnapshot, StoreError> {
        let read = self.database.begin_read().map_err(engine)?;
        Ok(RedbSnapshot(Arc::new(SnapshotInner {
            read,
            index: self.index.clone(),
        })))
    }
}

fn apply(write: &WriteTransaction, batch: &Batch) -> Result<(), StoreError> {
    apply_headers(write, batch)?;
    apply_blocks(write, batch)?;
    let mut canonical = write.open_table(CANONICAL).map_err(engine)?;
    for (height, hash) in &batch.canonical {
        match hash {
            Some(hash) => drop(canonical.insert(height, &hash.0).map_err(engine)?),
            None => drop(canonical.remove(height).map_err(engine)?),
        }
    }
    if let Some(head) = &batch.head {
        let mut meta = write.open_table(META).map_err(engine)?;
        meta.insert("head", key(*head).as_slice()).map_err(engine)?;
    }
    Ok(())
}

fn apply_headers(write: &WriteTransaction, batch: &Batch) -> Result<(), StoreError> {
    let mut headers = write.open_table(HEADERS).map_err(engine)?;
    let mut stages = write.open_table(STAGES).map_err(engine)?;
    for header in &batch.headers {
        let id = BlockId {
            height: header.extension.height,
            hash: header.hash(),
        };
        headers
            .insert(&id.hash.0, header.encode().as_slice())
            .map_err(engine)?;
        stages
            .insert(&key(id), stage_byte(Stage::Header))
            .map_err(engine)?;
    }
    let mut set = |id: BlockId, stage: Stage| -> Result<(), StoreError> {
        stages.insert(&key(id), stage_byte(stage)).map_err(engine)?;
        Ok(())
    };
    batch
        .bodies
        .iter()
        .try_for_each(|(id, _)| set(*id, Stage::Body))?;
    batch
        .dropped
        .iter()
        .try_for_each(|id| set(*id, Stage::Header))?;
    batch
        .executed
        .iter()
        .try_for_each(|block| set(block.id, Stage::Executed))?;
    batch
        .invalid
        .iter()
        .try_for_each(|id| set(*id, Stage::Invalid))
}

fn apply_blocks(write: &WriteTransaction, batch: &Batch) -> Result<(), StoreError> {
    let mut bodies = write.open_table(BODIES).map_err(engine)?;
    let mut changes = write.open_table(CHANGES).map_err(engine)?;
    let mut receipts = write.open_table(RECEIPTS).map_err(engine)?;
    for (id, body) in &batch.bodies {
        bodies
            .insert(&key(*id), body.encode().as_slice())
            .map_err(engine)?;
    }
    for id in &batch.dropped {
        bodies.remove(&key(*id)).map_err(engine)?;
    }
    for block in &batch.executed {
        for (number, piece) in (0..).zip(split_changes(&block.changes)) {
            changes
                .insert(&piece_key(block.id, number), piece.as_slice())
                .map_err(engine)?;
        }
        for (number, piece) in (0..).zip(split_receipts(&block.receipts)) {
            receipts
                .insert(&piece_key(block.id, number), piece.as_slice())
                .map_err(engine)?;
        }
    }
    Ok(())
}

/// Height, big-endian so that keys sort by it, and hash.
fn key(id: BlockId) -> [u8; 40] {
    let mut key = [0; 40];
    key[..8].copy_from_slice(&id.height.to_be_bytes());
    key[8..].copy_from_slice(&id.hash.0);
    key
}

fn id_of(key: &[u8; 40]) -> BlockId {
    let (height, hash) = key.split_at(8);
    let height = u64::from_be_bytes(height.try_into().expect("split at 8"));
    BlockId {
        height,
        hash: BlockHash(hash.try_into().expect("40 - 8 is 32")),
    }
}

fn piece_key(id: BlockId, number: u32) -> [u8; 44] {
    let mut out = [0; 44];
    out[..40].copy_from_slice(&key(id));
    out[40..].copy_from_slice(&number.to_be_bytes());
    out
}

fn stage_byte(stage: Stage) -> u8 {
    match stage {
        Stage::Header => 0,
        Stage::Body => 1,
        Stage::Executed => 2,
        Stage::Invalid => 3,
    }
}

fn stage_of(byte: u8) -> Result<Stage, StoreError> {
    match byte {
        0 => Ok(Stage::Header),
        1 => Ok(Stage::Body),
        2 => Ok(Stage::Executed),
        3 => Ok(Stage::Invalid),
        other => Err(damaged("stages", format!("stage {other}"))),
    }
}

impl RedbSnapshot {
    fn id(&self, hash: &BlockHash) -> Result<Option<BlockId>, StoreError> {
        let header = self.header(hash)?;
        Ok(header.map(|header| BlockId {
            height: header.extension.height,
            hash: *hash,
        }))
    }

    fn body_of(&self, id: BlockId) -> Result<Option<Arc<Body>>, StoreError> {
        let table = self.0.read.open_table(BODIES).map_err(engine)?;
        let Some(bytes) = table.get(&key(id)).map_err(engine)? else {
            return Ok(None);
        };
        let body = Body::decode(bytes.value()).map_err(|error| damaged("bodies", error))?;
        Ok(Some(Arc::new(body)))
    }

    /// The pieces of a value in order; none if there is no such value.
    fn pieces(
        &self,
        definition: TableDefinition<&'static [u8; 44], &'static [u8]>,
        id: BlockId,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let table = self.0.read.open_table(definition).map_err(engine)?;
        let (first, last) = (piece_key(id, 0), piece_key(id, PIECES_MAX));
        let mut pieces = Vec::new();
        for entry in table.range::<&[u8; 44]>(&first..=&last).map_err(engine)? {
            let (_, piece) = entry.map_err(engine)?;
            pieces.push(piece.value().to_vec());
        }
        Ok(pieces)
    }
}

impl Reader for RedbSnapshot {
    fn head(&self) -> Result<Option<BlockId>, StoreError> {
        let meta = self.0.read.open_table(META).map_err(engine)?;
        let Some(bytes) = meta.get("head").map_err(engine)? else {
            return Ok(None);
        };
        let key = bytes
            .value()
            .try_into()
            .map_err(|_| damaged("meta", "head"))?;
        Ok(Some(id_of(key)))
    }

    fn canonical(&self, height: u64) -> Result<Option<BlockHash>, StoreError> {
        let table = self.0.read.open_table(CANONICAL).map_err(engine)?;
        let hash = table.get(height).map_err(engine)?;
        Ok(hash.map(|hash| BlockHash(*hash.value())))
    }

    fn header(&self, hash: &BlockHash) -> Result<Option<Arc<Header>>, StoreError> {
        let table = self.0.read.open_table(HEADERS).map_err(engine)?;
        let Some(bytes) = table.get(&hash.0).map_err(engine)? else {
            return Ok(None);
        };
        let header = Header::decode(bytes.value()).map_err(|error| damaged("headers", error))?;
        if header.hash() != *hash {
            return Err(damaged("headers", format!("block {hash} has another hash")));
        }
        Ok(Some(Arc::new(header)))
    }

    fn stage(&self, hash: &BlockHash) -> Result<Option<Stage>, StoreError> {
        let Some(id) = self.id(hash)? else {
            return Ok(None);
        };
        let table = self.0.read.open_table(STAGES).map_err(engine)?;
        let byte = table.get(&key(id)).map_err(engine)?;
        byte.map(|byte| stage_of(byte.value())).transpose()
    }

    fn body(&self, hash: &BlockHash) -> Result<Option<Arc<Body>>, StoreError> {
        match self.id(hash)? {
            Some(id) => self.body_of(id),
            None => Ok(None),
        }
    }

    fn changes(&self, hash: &BlockHash) -> Result<Option<Arc<ChangeSet>>, StoreError> {
        let Some(id) = self.id(hash)? else {
            return Ok(None);
        };
        let pieces = self.pieces(CHANGES, id)?;
        if pieces.is_empty() {
            return Ok(None);
        }
        let changes = join_changes(&pieces).map_err(|error| damaged("changes", error))?;
        Ok(Some(Arc::new(changes)))
    }

    fn receipts(&self, hash: &BlockHash) -> Result<Option<Arc<Vec<Receipt>>>, StoreError> {
        let Some(id) = self.id(hash)? else {
            return Ok(None);
        };
        let pieces = self.pieces(RECEIPTS, id)?;
        if pieces.is_empty() {
            return Ok(None);
        }
        let receipts = join_receipts(&pieces).map_err(|error| damaged("receipts", error))?;
        Ok(Some(Arc::new(receipts)))
    }

    fn transaction(&self, hash: &TxHash) -> Result<Option<TransactionPlace>, StoreError> {
        Ok(self.0.index.get(hash))
    }

    fn for_each_header(&self, visit: &mut dyn FnMut(Arc<Header>, Stage)) -> Result<(), StoreError> {
        let stages = self.0.read.open_table(STAGES).map_err(engine)?;
        for entry in stages.iter().map_err(engine)? {
            let (key, stage) = entry.map_err(engine)?;
            let id = id_of(key.value());
            let header = self.header(&id.hash)?;
            let missing = || damaged("headers", format!("no header for block {}", id.hash));
            visit(header.ok_or_else(missing)?, stage_of(stage.value())?);
        }
        Ok(())
    }
}
