//! What only a store on disk can meet: other networks, other versions, damage.

use std::{fs, path::Path};

use chain::{
    Block, BlockHash,
    store::{Batch, BlockId, Reader, Stage, Store},
};

use super::{
    super::{RedbStore, Trouble, directory::Lock},
    Bench, Disk, assert_holds, changes, child, genesis,
    history::{accounts, history_of},
    id, joined, moved, receipts, transactions,
};

/// A store with three executed blocks; its directory and the blocks.
fn small(disk: &mut Disk) -> Vec<Block> {
    let mut store = disk.make(&genesis());
    let a = child(&genesis().header, 1, &[b"one", b"two"]);
    let b = child(&a.header, 2, &[b"three"]);
    store.commit(&joined(&[&a, &b])).unwrap();
    store.commit(&moved(&[], &[&a, &b])).unwrap();
    let waiting = transactions().remove(0);
    let batch = Batch {
        pooled: [(waiting.hash(), Some(waiting))].into(),
        ..Batch::default()
    };
    store.commit(&batch).unwrap();
    vec![genesis(), a, b]
}

fn open(disk: &Disk) -> Result<RedbStore, Trouble> {
    RedbStore::open(&disk.file())
}

#[test]
fn another_format_is_told_from_damage() {
    let mut disk = Disk::new();
    small(&mut disk);
    let label = open(&disk).unwrap().label().cloned().unwrap();
    assert_eq!(label.genesis, genesis().header.hash());
    assert_eq!(label.network, "devnet");
    {
        let database = ::redb::Database::open(disk.file()).unwrap();
        let transaction = database.begin_write().unwrap();
        let definition = ::redb::TableDefinition::<&str, &[u8]>::new("meta");
        let mut table = transaction.open_table(definition).unwrap();
        let version = 99_u32.to_le_bytes();
        table.insert("format", version.as_slice()).unwrap();
        drop(table);
        transaction.commit().unwrap();
    }
    let trouble = open(&disk).unwrap_err();
    assert!(matches!(trouble, Trouble::Format { got: 99, .. }));
    let text = trouble.at(&disk.file()).to_string();
    assert!(
        text.contains("format version 99, this program reads 1"),
        "{text}"
    );
}

/// Files of the time before the pool had a journal are opened as they are.
#[test]
fn a_missing_journal_is_made() {
    let mut disk = Disk::new();
    let blocks = small(&mut disk);
    {
        let database = ::redb::Database::open(disk.file()).unwrap();
        let transaction = database.begin_write().unwrap();
        let definition = ::redb::TableDefinition::<&[u8], &[u8]>::new("pool");
        assert!(transaction.delete_table(definition).unwrap());
        transaction.commit().unwrap();
    }
    let mut store = open(&disk).unwrap();
    let reader = store.snapshot().unwrap();
    assert_eq!(reader.pooled(), Ok(vec![]));
    assert_holds(&reader, &blocks[2], Stage::Executed);
    let next = child(&blocks[2].header, 3, &[b"four"]);
    store.commit(&joined(&[&next])).unwrap();
}

/// Threat S8.
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

/// A batch that does not fit is refused as a whole, and so is everything after it.
#[test]
fn a_failed_commit_changes_nothing_and_is_the_last() {
    let mut disk = Disk::new();
    let blocks = small(&mut disk);
    let mut store = open(&disk).unwrap();
    let next = child(&blocks[2].header, 3, &[b"four"]);
    let mut batch = joined(&[&next]);
    batch.invalid = vec![BlockId {
        height: 9,
        hash: BlockHash([9; 32]),
    }];
    assert!(store.commit(&batch).is_err());
    assert!(store.commit(&joined(&[&next])).is_err());
    let reader = store.snapshot().unwrap();
    assert_eq!(reader.header(&id(&next).hash), Ok(None));
    drop((reader, store));
    let mut store = open(&disk).unwrap();
    store.commit(&joined(&[&next])).unwrap();
    assert_holds(&store.snapshot().unwrap(), &next, Stage::Body);
}

fn overwrite(file: &Path, table: &str, key: &[u8], change: impl Fn(&[u8]) -> Vec<u8>) {
    use ::redb::ReadableTable;
    let database = ::redb::Database::open(file).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let definition = ::redb::TableDefinition::<&[u8], &[u8]>::new(table);
        let mut table = transaction.open_table(definition).unwrap();
        let value = table
            .get(key)
            .unwrap()
            .map(|value| value.value().to_vec())
            .unwrap();
        table.insert(key, change(&value).as_slice()).unwrap();
    }
    transaction.commit().unwrap();
}

fn keys(file: &Path, table: &str) -> Vec<Vec<u8>> {
    use ::redb::{ReadableDatabase, ReadableTable};
    let database = ::redb::Database::open(file).unwrap();
    let definition = ::redb::TableDefinition::<&[u8], &[u8]>::new(table);
    let table = database
        .begin_read()
        .unwrap()
        .open_table(definition)
        .unwrap();
    table
        .iter()
        .unwrap()
        .map(|item| item.unwrap().0.value().to_vec())
        .collect()
}

/// Threats S4 and S7: every value of every table, damaged in several ways.
#[test]
fn damaged_values_are_errors_that_say_where() {
    let mut disk = Disk::new();
    let blocks = small(&mut disk);
    let file = disk.file();
    let pristine = fs::read(&file).unwrap();
    type Way = fn(&[u8]) -> Vec<u8>;
    let ways: [Way; 4] = [
        |_| Vec::new(),
        |value| value[..value.len() - 1].to_vec(),
        |value| [value, &[0]].concat(),
        |value| {
            value
                .iter()
                .enumerate()
                .map(|(at, b)| if at == 9 { b ^ 4 } else { *b })
                .collect()
        },
    ];
    for table in [
        "facts",
        "heights",
        "headers",
        "canonical",
        "bodies",
        "changes",
        "receipts",
        "pool",
        "history",
    ] {
        for key in keys(&file, table) {
            for way in ways {
                overwrite(&file, table, &key, way);
                let error = read_all(&disk, &blocks).unwrap_err();
                assert!(error.contains("chain.redb is damaged"), "{error}");
                assert!(error.contains(&format!("table {table}")), "{error}");
                assert!(error.contains("remove it to sync again"), "{error}");
                fs::write(&file, &pristine).unwrap();
            }
        }
    }
    read_all(&disk, &blocks).unwrap();
}

/// Opens the store and reads all of these blocks; what is read is right, or this panics.
fn read_all(disk: &Disk, blocks: &[Block]) -> Result<(), String> {
    let store = open(disk).map_err(|trouble| trouble.at(&disk.file()).to_string())?;
    let read = || {
        let reader = store.snapshot()?;
        let mut count = 0;
        reader.for_each_header(&mut |_, _| count += 1)?;
        for block in blocks {
            let hash = id(block).hash;
            assert_eq!(reader.header(&hash)?.as_deref(), Some(&block.header));
            assert_eq!(reader.body(&hash)?.as_deref(), Some(&block.body));
            assert_eq!(reader.stage(&hash)?, Some(Stage::Executed));
            assert_eq!(reader.canonical(id(block).height)?, Some(hash));
            if id(block).height > 0 {
                assert_eq!(reader.changes(&hash)?, Some(changes(block)));
                assert_eq!(reader.receipts(&hash)?, Some(receipts(block)));
            } else {
                reader.changes(&hash)?;
                reader.receipts(&hash)?;
            }
        }
        assert_eq!(count, blocks.len());
        assert_eq!(reader.pooled()?, [transactions()[0].bytes()]);
        for address in accounts(blocks) {
            let all: Vec<_> = blocks.iter().collect();
            assert_eq!(
                reader.history(&address, None, 100)?,
                history_of(&all, address)
            );
        }
        Ok(())
    };
    read().map_err(|error: chain::store::StoreError| error.to_string())
}

/// Threat S7: files that are no store at all, or only a part of one.
#[test]
fn garbage_and_truncated_files_are_errors() {
    let mut disk = Disk::new();
    let blocks = small(&mut disk);
    let file = disk.file();
    let pristine = fs::read(&file).unwrap();
    let lengths = [
        1,
        8,
        9,
        64,
        319,
        320,
        4_095,
        4_096,
        8_192,
        65_536,
        pristine.len() / 2,
    ];
    let mut broken: Vec<_> = lengths
        .iter()
        .map(|length| pristine[..*length].to_vec())
        .collect();
    broken.push(b"not a store".repeat(1_000));
    broken.push(vec![0; pristine.len()]);
    let mut garbage = pristine.clone();
    garbage[512..]
        .iter_mut()
        .enumerate()
        .for_each(|(at, byte)| *byte ^= (at % 251) as u8);
    broken.push(garbage);
    for bytes in broken {
        let length = bytes.len();
        fs::write(&file, bytes).unwrap();
        let trouble = open(&disk).expect_err(&format!("{length} bytes were taken for a store"));
        assert!(
            matches!(trouble, Trouble::Damaged(_)),
            "{length}: {trouble:?}"
        );
    }
    // Left by a crash on the very first start: nothing is lost by starting anew.
    fs::write(&file, b"").unwrap();
    assert_eq!(open(&disk).unwrap().label(), None);
    fs::write(&file, &pristine).unwrap();
    read_all(&disk, &blocks).unwrap();
}

/// Threat S4: flipped bits all over the file; what is still read is right.
#[test]
fn flipped_bits_are_never_served() {
    let mut disk = Disk::new();
    let blocks = small(&mut disk);
    let file = disk.file();
    let pristine = fs::read(&file).unwrap();
    let used = pristine.iter().rposition(|byte| *byte != 0).unwrap();
    let mut noticed = 0;
    // Every flip costs two syncs of the disk, so not every byte has its turn.
    for at in (0..used).step_by((used / 200) | 1) {
        let mut flipped = pristine.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(&file, &flipped).unwrap();
        noticed += usize::from(read_all(&disk, &blocks).is_err());
    }
    assert!(noticed > 0);
}
