//! One conformance suite over every store, and what only a file can suffer.

use std::{fs, path::Path, sync::Arc};

use chain::{
    Address, Batch, BlockId, Body, ChangeSet, Extension, Header, Log, MemoryStore, PowHeader,
    Reader, Receipt, Stage, Store, StoreError,
    execution::{Account, AccountChange, CodeAdded, SlotChange},
    store::ExecutedBlock,
    transaction::hash_of,
};

use super::{RedbStore, directory::Lock};

fn header(height: u64, parent: BlockId, salt: u32) -> Arc<Header> {
    let pow = PowHeader {
        parent: parent.hash,
        nonce: salt,
        ..PowHeader::default()
    };
    Arc::new(Header::sealed(
        pow,
        Extension {
            height,
            ..Extension::default()
        },
    ))
}

fn id_of(header: &Header) -> BlockId {
    BlockId {
        height: header.extension.height,
        hash: header.hash(),
    }
}

fn changes(salt: u8) -> Arc<ChangeSet> {
    let account = Account {
        nonce: 1,
        balance: u128::from(salt),
        code_hash: None,
    };
    let address = Address::repeat_byte(salt).into();
    Arc::new(ChangeSet {
        accounts: vec![AccountChange {
            address,
            old: None,
            new: Some(account),
        }],
        ..ChangeSet::default()
    })
}

fn receipts(count: usize) -> Arc<Vec<Receipt>> {
    let receipt = Receipt {
        tx_type: 2,
        success: true,
        cumulative_gas: 21_000,
        logs: Vec::new(),
    };
    Arc::new(vec![receipt; count])
}

/// A block with one transaction on top of `parent`, executed, as the new head.
fn block(parent: BlockId, salt: u8) -> (BlockId, Batch, Vec<u8>) {
    let header = header(parent.height + 1, parent, u32::from(salt));
    let id = id_of(&header);
    let transaction = vec![salt; 40];
    let batch = Batch {
        headers: vec![header],
        bodies: vec![(id, Arc::new(Body(vec![transaction.clone()])))],
        executed: vec![ExecutedBlock {
            id,
            changes: changes(salt),
            receipts: receipts(1),
        }],
        canonical: vec![(id.height, Some(id.hash))],
        head: Some(id),
        ..Batch::default()
    };
    (id, batch, transaction)
}

fn found(store: &mut impl Store) -> BlockId {
    let header = header(0, BlockId::default(), 0);
    let id = id_of(&header);
    let batch = Batch {
        headers: vec![header],
        bodies: vec![(id, Arc::default())],
        executed: vec![ExecutedBlock {
            id,
            changes: Arc::default(),
            receipts: Arc::default(),
        }],
        canonical: vec![(0, Some(id.hash))],
        head: Some(id),
        ..Batch::default()
    };
    store.commit(&batch).unwrap();
    id
}

/// What every store must do. `reopen` closes and opens one that can.
fn conforms<S: Store>(mut store: S, reopen: impl Fn(S) -> S) {
    let genesis = found(&mut store);
    let (a1, batch, transaction) = block(genesis, 1);
    store.commit(&batch).unwrap();
    let old = store.snapshot().unwrap();
    reads_back(&old, &a1, &batch, &transaction);

    // A rival branch of two blocks replaces it; its transaction is the same one.
    let (b1, mut first, _) = block(genesis, 2);
    first.bodies[0].1 = Arc::new(Body(vec![transaction.clone(), vec![9; 9]]));
    let (b2, second, _) = block(b1, 3);
    first.append(second);
    store.commit(&first).unwrap();
    store = reopen(store);
    let new = store.snapshot().unwrap();
    assert_eq!(new.head().unwrap(), Some(b2));
    assert_eq!(new.canonical(1).unwrap(), Some(b1.hash));
    assert_eq!(
        new.transaction(&hash_of(&transaction))
            .unwrap()
            .unwrap()
            .block,
        b1
    );
    assert_eq!(new.stage(&a1.hash).unwrap(), Some(Stage::Executed));
    // The earlier snapshot has not moved.
    assert_eq!(old.head().unwrap(), Some(a1));
    assert_eq!(
        old.transaction(&hash_of(&transaction))
            .unwrap()
            .unwrap()
            .block,
        a1
    );
    drop(old);

    // Back to the shorter branch: heights above it are gone, and so are its transactions.
    let back = Batch {
        canonical: vec![(2, None), (1, Some(a1.hash))],
        head: Some(a1),
        ..Batch::default()
    };
    store.commit(&back).unwrap();
    store = reopen(store);
    let new = store.snapshot().unwrap();
    assert_eq!(
        (new.canonical(2).unwrap(), new.head().unwrap()),
        (None, Some(a1))
    );
    assert_eq!(new.transaction(&hash_of(&[9; 9])).unwrap(), None);
    assert_eq!(
        new.transaction(&hash_of(&transaction))
            .unwrap()
            .unwrap()
            .block,
        a1
    );
    stages_and_drops(store, genesis);
}

fn reads_back(db: &dyn Reader, id: &BlockId, batch: &Batch, transaction: &[u8]) {
    assert_eq!(db.head().unwrap(), Some(*id));
    assert_eq!(db.header(&id.hash).unwrap().as_ref(), batch.headers.first());
    assert_eq!(
        db.body(&id.hash).unwrap().as_ref(),
        batch.bodies.first().map(|(_, body)| body)
    );
    let executed = &batch.executed[0];
    assert_eq!(
        db.changes(&id.hash).unwrap().as_ref(),
        Some(&executed.changes)
    );
    assert_eq!(
        db.receipts(&id.hash).unwrap().as_ref(),
        Some(&executed.receipts)
    );
    let place = db.transaction(&hash_of(transaction)).unwrap().unwrap();
    assert_eq!((place.block, place.index), (*id, 0));
    let unknown = chain::BlockHash([0xee; 32]);
    assert!(db.header(&unknown).unwrap().is_none() && db.body(&unknown).unwrap().is_none());
    assert!(db.stage(&unknown).unwrap().is_none() && db.changes(&unknown).unwrap().is_none());
}

fn stages_and_drops(mut store: impl Store, genesis: BlockId) {
    let side = header(1, genesis, 77);
    let id = id_of(&side);
    let body = Arc::new(Body(vec![vec![5; 5]]));
    let add = Batch {
        headers: vec![side],
        ..Batch::default()
    };
    store.commit(&add).unwrap();
    fn stage(store: &impl Store, id: BlockId) -> Option<Stage> {
        store.snapshot().unwrap().stage(&id.hash).unwrap()
    }
    assert_eq!(stage(&store, id), Some(Stage::Header));
    store
        .commit(&Batch {
            bodies: vec![(id, body)],
            ..Batch::default()
        })
        .unwrap();
    assert_eq!(stage(&store, id), Some(Stage::Body));
    store
        .commit(&Batch {
            dropped: vec![id],
            ..Batch::default()
        })
        .unwrap();
    assert_eq!(stage(&store, id), Some(Stage::Header));
    assert!(store.snapshot().unwrap().body(&id.hash).unwrap().is_none());
    store
        .commit(&Batch {
            invalid: vec![id],
            ..Batch::default()
        })
        .unwrap();
    assert_eq!(stage(&store, id), Some(Stage::Invalid));
    let mut heights = Vec::new();
    let snapshot = store.snapshot().unwrap();
    snapshot
        .for_each_header(&mut |header, _| heights.push(header.extension.height))
        .unwrap();
    assert_eq!(heights.len(), 5);
    assert_eq!(heights[0], 0);
    // The side branches' second block comes after both first ones, or at least after its parent.
    assert!(heights.iter().position(|height| *height == 2) > Some(1));
}

fn redb(directory: &Path) -> RedbStore {
    RedbStore::open(&directory.join("chain.redb")).unwrap()
}

#[test]
fn the_memory_store_conforms() {
    conforms(MemoryStore::default(), |store| store);
}

#[test]
fn the_store_on_disk_conforms_and_reopens() {
    let directory = tempfile::tempdir().unwrap();
    conforms(redb(directory.path()), |store| {
        // A snapshot of another test step may still hold the file open.
        drop(store);
        redb(directory.path())
    });
}

/// Threat C19: what consensus allows, the engine must store.
#[test]
fn the_largest_block_is_stored_in_pieces_and_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = redb(directory.path());
    let genesis = found(&mut store);
    let (id, mut batch, _) = block(genesis, 1);
    let address = [7; 20];
    let word = |n: u32| {
        let mut word = [0; 32];
        word[..4].copy_from_slice(&n.to_be_bytes());
        word
    };
    let slots = (0..60_000).map(|n| SlotChange {
        address,
        slot: word(n),
        old: [0; 32],
        new: [1; 32],
    });
    let codes = (0..400).map(|n| CodeAdded {
        hash: word(n),
        bytes: vec![1; 24_576],
    });
    let log = Log {
        address,
        topics: vec![[3; 32]; 4],
        data: vec![5; 2 << 20],
    };
    let receipt = Receipt {
        tx_type: 0,
        success: true,
        cumulative_gas: 1,
        logs: vec![log],
    };
    batch.executed[0].changes = Arc::new(ChangeSet {
        accounts: changes(1).accounts.clone(),
        slots: slots.collect(),
        codes: codes.collect(),
    });
    batch.executed[0].receipts = Arc::new(vec![receipt; 12]);
    batch.bodies[0].1 = Arc::new(Body(vec![vec![1; 131_072]; 15]));
    store.commit(&batch).unwrap();
    drop(store);
    let snapshot = redb(directory.path()).snapshot().unwrap();
    assert_eq!(
        snapshot.changes(&id.hash).unwrap().as_ref(),
        Some(&batch.executed[0].changes)
    );
    assert_eq!(
        snapshot.receipts(&id.hash).unwrap().as_ref(),
        Some(&batch.executed[0].receipts)
    );
    assert_eq!(
        snapshot.body(&id.hash).unwrap().as_ref(),
        Some(&batch.bodies[0].1)
    );
}

#[test]
fn a_batch_that_names_an_unknown_body_leaves_no_trace() {
    let mut store = MemoryStore::default();
    found(&mut store);
    let batch = Batch {
        invalid: vec![BlockId::default()],
        ..Batch::default()
    };
    let error: StoreError = store.commit(&batch).unwrap_err();
    assert!(error.to_string().contains("no header"), "{error}");
}

#[test]
fn a_file_that_is_no_store_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chain.redb");
    {
        let mut store = redb(directory.path());
        found(&mut store);
    }
    let whole = fs::read(&path).unwrap();
    for damaged in [
        b"not a store".to_vec(),
        vec![0xff; 10_000],
        whole[..whole.len() / 2].to_vec(),
        whole[..100].to_vec(),
    ] {
        fs::write(&path, &damaged).unwrap();
        let opened = RedbStore::open(&path);
        assert!(
            opened.is_err(),
            "{} bytes were taken for a store",
            damaged.len()
        );
    }
}

#[test]
fn a_directory_is_locked_until_the_lock_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let lock = Lock::take(directory.path()).unwrap();
    let second = Lock::take(directory.path()).unwrap_err().to_string();
    assert!(
        second.contains("in use by another lignum process"),
        "{second}"
    );
    drop(lock);
    Lock::take(directory.path()).unwrap();
}
