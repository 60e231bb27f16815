//! What looking a transaction up costs: reads of the log's tables, counted.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use chain::{
    Reader, Store,
    store::{BlockId, TransactionPlace},
    transaction::hash_of,
};

use super::{
    super::{
        RedbSnapshot,
        disk::{Medium, Part},
        engine::Engine,
        founding::{read_flat, read_log},
        kv::{Get, Order, Range, ReadTable, Scan, Visit},
        merge::Reach,
        named::Named,
        recent::Recent,
        snapshot::{LastBody, Version},
        tables::ReadTables,
        trouble::Trouble,
    },
    Directory, Disk,
    alike::ALIKE,
    child, genesis, id, joined, moved,
};

/// A table that counts how often it is asked.
struct Counted(ReadTable, Arc<AtomicUsize>);

impl Get for Counted {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Trouble> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.get(key)
    }
}

impl Scan for Counted {
    fn scan(&self, range: Range<'_>, order: Order, visit: Visit<'_>) -> Result<(), Trouble> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.scan(range, order, visit)
    }

    fn count(&self) -> Result<u64, Trouble> {
        self.0.count()
    }
}

/// A closed store whose checkpoint is at its head, and a counter of the reads of one of its log's
/// tables.
fn counted(
    disk: &Disk,
    name: &'static str,
    table: fn(&mut ReadTables) -> &mut Named<ReadTable>,
) -> (RedbSnapshot, Arc<AtomicUsize>) {
    let medium = Directory::of(&disk.file());
    let [log, flat] = [Part::Log, Part::Flat].map(|part| Engine::open(&medium, part).unwrap());
    let (mut tables, reads) = (read_log(&log).unwrap(), Arc::default());
    let version = log.read().unwrap();
    *table(&mut tables) = Named::open(name, |name| {
        let counted = Counted(version.table(name)?, Arc::clone(&reads));
        Ok(Box::new(counted) as ReadTable)
    })
    .unwrap();
    let flat = read_flat(&flat).unwrap();
    let head: BlockId = tables.head().unwrap().unwrap();
    assert_eq!(flat.checkpoint(), Ok(head));
    let version = Version {
        tables: Arc::new(tables),
        flat: Arc::new(flat),
        recent: Arc::new(Recent::at(head)),
        reach: Reach::Window,
        log_path: medium.path(Part::Log),
        flat_path: medium.path(Part::Flat),
        last_body: LastBody::default(),
    };
    (RedbSnapshot(Arc::new(version)), reads)
}

/// The core asks for every transaction of an undone block within one step.
#[test]
fn a_body_is_read_once_for_all_its_transactions() {
    let disk = Disk::new();
    let mut store = disk.open().unwrap();
    let a = child(&genesis().header, 1, &[b"one", b"two", b"three"]);
    let b = child(&a.header, 2, &[b"four", b"five"]);
    store.commit(&joined(&[&a, &b])).unwrap();
    store.commit(&moved(&[], &[&a, &b])).unwrap();
    store.checkpoint_below(0).unwrap();
    drop(store);
    let (reader, reads) = counted(&disk, "bodies", |tables| &mut tables.bodies);
    for block in [&a, &b, &a] {
        let before = reads.load(Ordering::Relaxed);
        for (index, text) in (0..).zip(&block.body.0) {
            let place = reader.transaction(&hash_of(text)).unwrap().unwrap();
            assert_eq!((place.block, place.index), (id(block), index));
        }
        assert_eq!(reads.load(Ordering::Relaxed) - before, 1);
    }
}

/// Somebody may have put many transactions into blocks whose hashes begin as another one's.
#[test]
fn places_of_hashes_that_begin_alike_cost_nothing_until_they_are_looked_at() {
    let [one, other] = ALIKE[0];
    let disk = Disk::new();
    let mut store = disk.open().unwrap();
    let a = child(&genesis().header, 1, &[one]);
    let b = child(&a.header, 2, &[b"between"]);
    let c = child(&b.header, 3, &[other]);
    store.commit(&joined(&[&a, &b, &c])).unwrap();
    store.commit(&moved(&[], &[&a, &b, &c])).unwrap();
    store.checkpoint_below(0).unwrap();
    drop(store);
    let (reader, reads) = counted(&disk, "canonical", |tables| &mut tables.canonical);
    let place = |block| TransactionPlace {
        block: id(block),
        index: 0,
    };
    let mut before = 0;
    let mut assert_reads = |want| {
        let now = reads.load(Ordering::Relaxed);
        assert_eq!(now - before, want);
        before = now;
    };
    // The last one comes first.
    assert_eq!(reader.transaction(&hash_of(other)), Ok(Some(place(&c))));
    assert_reads(1);
    assert_eq!(reader.transaction(&hash_of(one)), Ok(Some(place(&a))));
    assert_reads(2);
    assert_eq!(reader.is_indexed(&hash_of(one), &place(&a)), Ok(true));
    assert_reads(1);
    assert_eq!(reader.is_indexed(&hash_of(one), &place(&b)), Ok(false));
    assert_reads(0);
    let elsewhere = TransactionPlace {
        block: BlockId {
            height: 1,
            ..id(&b)
        },
        index: 0,
    };
    assert_eq!(reader.is_indexed(&hash_of(one), &elsewhere), Ok(false));
    assert_reads(1);
}
