//! One suite for every store, and what only a store on disk can get wrong: here their blocks,
//! batches and directories.

mod alike;
mod checkpoints;
mod conformance;
mod damage;
mod faults;
mod half_way;
mod history;
mod lookups;
#[cfg(feature = "sled")]
mod on_sled;
mod start;
pub(super) mod table;

use std::{path::PathBuf, sync::Arc};

use chain::{
    Address, Block, Body, ChangeSet, CheckedTransaction, Header, Receipt, U256,
    execution::SlotChange,
    header::{Extension, PowHeader},
    history::Parties,
    memory::MemoryStore,
    store::{Batch, BlockId, ExecutedBlock, Reader, Stage, Store},
};

use super::{
    RedbStore,
    disk::Directory,
    founding::{Founding, Located},
};

/// A block on a parent, told apart from its siblings by its tag and its transactions.
fn child(parent: &Header, tag: u8, transactions: &[&[u8]]) -> Block {
    let body = Body(transactions.iter().map(|bytes| bytes.to_vec()).collect());
    let extension = Extension {
        height: parent.extension.height + 1,
        chain_work: parent.extension.chain_work + U256::from(2),
        extra_data: [tag; 32],
        ..Extension::default()
    };
    let pow = PowHeader {
        parent: parent.hash(),
        time: u32::from(tag),
        ..PowHeader::default()
    };
    Block {
        header: Header::sealed(pow, extension),
        body,
    }
}

fn genesis() -> Block {
    let extension = Extension {
        extra_data: [0xee; 32],
        ..Extension::default()
    };
    Block {
        header: Header::sealed(PowHeader::default(), extension),
        body: Body::default(),
    }
}

fn id(block: &Block) -> BlockId {
    BlockId {
        height: block.header.extension.height,
        hash: block.header.hash(),
    }
}

fn receipts(block: &Block) -> Arc<Vec<Receipt>> {
    let receipt = |gas| Receipt {
        tx_type: 2,
        success: true,
        cumulative_gas: gas,
        logs: vec![],
    };
    Arc::new(
        (1..)
            .zip(&block.body.0)
            .map(|(gas, _)| receipt(gas))
            .collect(),
    )
}

fn changes(block: &Block) -> Arc<ChangeSet> {
    let slot = SlotChange {
        address: [1; 20],
        slot: [2; 32],
        old: [0; 32],
        new: id(block).hash.0,
    };
    Arc::new(ChangeSet {
        slots: vec![slot],
        ..ChangeSet::default()
    })
}

/// These transactions are from their first byte's account to their last byte's.
fn parties(block: &Block) -> Parties {
    let mut parties = Parties::new();
    for (index, bytes) in (0..).zip(&block.body.0) {
        let (from, to) = (bytes[0], bytes[bytes.len() - 1]);
        parties.entry(account(from)).or_default().push(index);
        if to != from {
            parties.entry(account(to)).or_default().push(index);
        }
    }
    parties
}

fn account(byte: u8) -> Address {
    Address::repeat_byte(byte)
}

fn executed(block: &Block) -> ExecutedBlock {
    ExecutedBlock {
        id: id(block),
        changes: changes(block),
        receipts: receipts(block),
        parties: Arc::new(parties(block)),
    }
}

/// Headers and bodies join, unexecuted.
fn joined(blocks: &[&Block]) -> Batch {
    Batch {
        headers: blocks
            .iter()
            .map(|block| Arc::new(block.header.clone()))
            .collect(),
        bodies: blocks
            .iter()
            .map(|block| (id(block), Arc::new(block.body.clone())))
            .collect(),
        ..Batch::default()
    }
}

/// The head moves from one branch to another, given upwards without their common ancestor.
fn moved(old: &[&Block], new: &[&Block]) -> Batch {
    let undone = old.iter().rev().map(|block| (id(block).height, None));
    let redone = new
        .iter()
        .map(|block| (id(block).height, Some(id(block).hash)));
    Batch {
        executed: new.iter().map(|block| executed(block)).collect(),
        canonical: undone.chain(redone).collect(),
        head: new.last().map(|block| id(block)),
        ..Batch::default()
    }
}

fn first_batch(genesis: &Block) -> Batch {
    let mut batch = joined(&[genesis]);
    batch.append(moved(&[], &[genesis]));
    batch
}

/// The valid transactions among the vectors.
fn transactions() -> Vec<CheckedTransaction> {
    let vectors = include_str!("../../../../tests/vectors/transactions.json");
    let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
    let check = |vector: &serde_json::Value| {
        let hex = vector["raw"].as_str().unwrap();
        let bytes = (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16));
        let bytes: Vec<_> = bytes.collect::<Result<_, _>>().unwrap();
        CheckedTransaction::check(&bytes, vector["chain_id"].as_u64().unwrap()).unwrap()
    };
    vectors["valid"]
        .as_array()
        .unwrap()
        .iter()
        .map(check)
        .collect()
}

/// Where a test gets its stores from: an empty one, and the same one opened again.
trait Bench {
    type Store: Store;
    fn make(&mut self, genesis: &Block) -> Self::Store;
    fn reopen(&mut self, store: Self::Store) -> Self::Store;
}

struct Memory;

impl Bench for Memory {
    type Store = MemoryStore;

    fn make(&mut self, genesis: &Block) -> MemoryStore {
        let mut store = MemoryStore::default();
        store.commit(&first_batch(genesis)).unwrap();
        store
    }

    fn reopen(&mut self, store: MemoryStore) -> MemoryStore {
        store
    }
}

/// A directory, and the log's name in it.
struct Disk(tempfile::TempDir, &'static str);

impl Disk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap(), "chain.redb")
    }

    /// One that sled keeps.
    #[cfg(feature = "sled")]
    fn on_sled() -> Self {
        Self(tempfile::tempdir().unwrap(), "chain.sled")
    }

    fn file(&self) -> PathBuf {
        self.0.path().join(self.1)
    }

    fn flat_file(&self) -> PathBuf {
        self.0.path().join("state.redb")
    }

    /// Opens its store, or founds it.
    fn open(&self) -> Result<RedbStore, Located> {
        let medium = Arc::new(Directory::of(&self.file()));
        RedbStore::open(medium, founding(), None)
    }
}

/// What these tests' stores begin with.
fn founding() -> Founding {
    Founding {
        genesis: genesis().header.hash(),
        network: "devnet".to_owned(),
        batch: first_batch(&genesis()),
        allocation: ChangeSet::default(),
    }
}

impl Bench for Disk {
    type Store = RedbStore;

    fn make(&mut self, _: &Block) -> RedbStore {
        self.open().unwrap()
    }

    fn reopen(&mut self, store: RedbStore) -> RedbStore {
        drop(store);
        self.open().unwrap()
    }
}

fn assert_holds(reader: &impl Reader, block: &Block, stage: Stage) {
    let hash = block.header.hash();
    assert_eq!(
        reader.header(&hash).unwrap().as_deref(),
        Some(&block.header)
    );
    assert_eq!(reader.stage(&hash), Ok(Some(stage)));
    let body = (stage != Stage::Header).then_some(&block.body);
    assert_eq!(reader.body(&hash).unwrap().as_deref(), body);
    let was_executed = stage == Stage::Executed && id(block).height > 0;
    if was_executed {
        assert_eq!(reader.changes(&hash), Ok(Some(changes(block))));
        assert_eq!(reader.receipts(&hash), Ok(Some(receipts(block))));
    }
}
