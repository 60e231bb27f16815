//! What only a store on disk can meet: other networks, other versions, damage.

use std::{fs, path::Path, sync::Arc};

use chain::{
    Account, Address, Block, BlockHash, ChangeSet, Mended,
    execution::{AccountChange, CodeAdded},
    store::{Batch, BlockId, Past, Reader, Stage, Store},
    transaction::hash_of,
};

use super::{
    super::{
        RedbStore, Trouble,
        directory::{FORMAT, Lock},
        founding::{Founding, Located},
        merge::Reach,
        seal::seal,
        tables::{block_key, piece_key},
    },
    Directory, Disk, assert_holds, changes, child, founding, genesis,
    history::{accounts, history_of},
    id, joined, moved, receipts, transactions,
};

/// An account, a slot and code, so that every table has something.
fn full_changes(block: &Block) -> Arc<ChangeSet> {
    let account = Account {
        nonce: id(block).height,
        ..Account::default()
    };
    let accounts = vec![AccountChange {
        address: [3; 20],
        old: None,
        new: Some(account),
    }];
    let codes = vec![CodeAdded {
        hash: [5; 32],
        bytes: vec![6; 50],
    }];
    let slots = changes(block).slots.clone();
    Arc::new(ChangeSet {
        accounts,
        slots,
        codes,
    })
}

/// A store with three executed blocks, of which the flat file has the first two; its directory
/// and the blocks.
fn small(disk: &mut Disk) -> Vec<Block> {
    let medium = Arc::new(Directory::of(&disk.file()));
    let mut store = RedbStore::open(medium, founding(), Some(Reach::Archive)).unwrap();
    let a = child(&genesis().header, 1, &[b"one", b"two"]);
    let b = child(&a.header, 2, &[b"three"]);
    store.commit(&joined(&[&a, &b])).unwrap();
    let mut batch = moved(&[], &[&a, &b]);
    batch.executed[0].changes = full_changes(&a);
    batch.executed[1].changes = full_changes(&b);
    store.commit(&batch).unwrap();
    store.checkpoint_below(1).unwrap();
    let waiting = transactions().remove(0);
    let batch = Batch {
        pooled: [(waiting.hash(), Some(waiting))].into(),
        ..Batch::default()
    };
    store.commit(&batch).unwrap();
    vec![genesis(), a, b]
}

fn open(disk: &Disk) -> Result<RedbStore, Trouble> {
    disk.open().map_err(|located| located.1)
}

/// What a user is told.
fn told(located: &Located, disk: &Disk) -> String {
    located.failure(&disk.file()).to_string()
}

/// Whoever raises the number leaves a directory of the format that was (`tests/node/golden.rs`).
#[test]
fn every_format_has_a_golden_directory() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/stores");
    for format in 1..=FORMAT {
        let file = vectors.join(format!("format-{format}/expected.json"));
        assert!(file.exists(), "{}", file.display());
    }
}

#[test]
fn another_format_is_told_from_damage() {
    let mut disk = Disk::new();
    small(&mut disk);
    for file in [disk.file(), disk.flat_file()] {
        for (version, remedy) in [
            (1, "lignum node --reindex"),
            (99, "the lignum that wrote it"),
        ] {
            let pristine = fs::read(&file).unwrap();
            set_format(&file, version);
            let located = disk.open().unwrap_err();
            assert!(matches!(located.1, Trouble::Format { got, .. } if got == version));
            let text = told(&located, &disk);
            let versions = format!("has format version {version}, this program reads 3");
            assert!(text.contains(&versions) && text.contains(remedy), "{text}");
            assert_eq!(located.failure(disk.0.path()).code(), 6);
            fs::write(&file, pristine).unwrap();
        }
    }
}

fn set_format(file: &Path, version: u32) {
    let database = ::redb::Database::open(file).unwrap();
    let transaction = database.begin_write().unwrap();
    let definition = ::redb::TableDefinition::<&str, &[u8]>::new("meta");
    let mut table = transaction.open_table(definition).unwrap();
    let version = version.to_le_bytes();
    table.insert("format", version.as_slice()).unwrap();
    drop(table);
    transaction.commit().unwrap();
}

#[test]
fn another_network_is_told_from_damage() {
    let mut disk = Disk::new();
    small(&mut disk);
    let medium = Arc::new(Directory::of(&disk.file()));
    let other = Founding {
        genesis: BlockHash([9; 32]),
        ..founding()
    };
    let located = RedbStore::open(medium, other, None).unwrap_err();
    let holds = genesis().header.hash();
    assert_eq!(located.1, Trouble::Network { holds });
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

/// What opening the files does not read is met by a commit: then opening them again mends nothing.
#[test]
fn damage_that_a_commit_meets_is_final() {
    let mut disk = Disk::new();
    let blocks = small(&mut disk);
    let next = child(&blocks[2].header, 3, &[b"four"]);
    let mut store = open(&disk).unwrap();
    let header = Batch {
        headers: vec![Arc::new(next.header.clone())],
        ..Batch::default()
    };
    store.commit(&header).unwrap();
    drop(store);
    let pristine = fs::read(disk.file()).unwrap();
    let flip = |value: &[u8]| [&[value[0] ^ 1], &value[1..]].concat();
    let hash = id(&next).hash.0;
    for (table, key) in [("headers", &block_key(&id(&next))[..]), ("heights", &hash)] {
        overwrite(&disk.file(), table, key, flip);
        let mut store = open(&disk).unwrap();
        let error = store.commit(&joined(&[&next])).unwrap_err();
        assert!(error.0.contains("chain.redb is damaged"), "{error}");
        assert!(error.0.contains(&format!("table {table}")), "{error}");
        assert!(error.0.contains("lignum node --reindex"), "{error}");
        assert_eq!(store.mend(), Mended::Never(error));
        drop(store);
        fs::write(disk.file(), &pristine).unwrap();
    }
    // A batch without a header that it needs is damage too: it was here when the block was asked for.
    let mut store = open(&disk).unwrap();
    let unknown = child(&next.header, 4, &[]);
    let batch = Batch {
        headers: Vec::new(),
        ..joined(&[&unknown])
    };
    assert!(store.commit(&batch).is_err());
    assert!(matches!(store.mend(), Mended::Never(_)));
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

/// A checkpoint that undoes blocks reads the log: what is damaged there is not the flat file's.
#[test]
fn damage_that_a_checkpoint_meets_in_the_log_is_told_as_the_logs() {
    let mut disk = Disk::new();
    let blocks = small(&mut disk);
    let first = piece_key(&id(&blocks[1]), 0);
    overwrite(&disk.file(), "parties", &first, |value| value[1..].to_vec());
    let mut store = open(&disk).unwrap();
    let other = child(&blocks[0].header, 3, &[b"four"]);
    store.commit(&joined(&[&other])).unwrap();
    store
        .commit(&moved(&[&blocks[1], &blocks[2]], &[&other]))
        .unwrap();
    let text = told(&store.checkpoint_below(0).unwrap_err(), &disk);
    assert!(text.contains("chain.redb is damaged"), "{text}");
    assert!(text.contains("table parties"), "{text}");
}

#[test]
fn damage_that_an_archive_begins_with_is_told_as_the_logs() {
    let mut disk = Disk::new();
    let blocks = small(&mut disk);
    let open_as = |reach| {
        let medium = Arc::new(Directory::of(&disk.file()));
        RedbStore::open(medium, founding(), Some(reach))
    };
    drop(open_as(Reach::Window).unwrap());
    let first = piece_key(&id(&blocks[1]), 0);
    overwrite(&disk.file(), "changes", &first, |value| value[1..].to_vec());
    let text = told(&open_as(Reach::Archive).unwrap_err(), &disk);
    assert!(text.contains("chain.redb is damaged"), "{text}");
}

/// Threats S4 and S7: every value of every table, damaged in several ways.
#[test]
fn damaged_values_are_errors_that_say_where() {
    let mut disk = Disk::new();
    let blocks = small(&mut disk);
    let ways: [Way; 4] = [
        |_| Vec::new(),
        |value| value[..value.len() - 1].to_vec(),
        |value| [value, &[0]].concat(),
        |value| {
            value
                .iter()
                .enumerate()
                .map(|(at, b)| if at + 1 == value.len() { b ^ 4 } else { *b })
                .collect()
        },
    ];
    let log = [
        "facts",
        "heights",
        "headers",
        "canonical",
        "bodies",
        "changes",
        "receipts",
        "parties",
        "pool",
    ];
    let flat = [
        "facts",
        "accounts",
        "slots",
        "codes",
        "transactions",
        "history",
        "past_accounts",
        "past_slots",
    ];
    damage_values(&disk, &blocks, &disk.file(), &log, &ways);
    damage_values(&disk, &blocks, &disk.flat_file(), &flat, &ways);
    read_all(&disk, &blocks).unwrap();
}

/// An entry that is sealed and names another transaction of the block, or none.
#[test]
fn a_place_of_another_transaction_is_damage() {
    let mut disk = Disk::new();
    let blocks = small(&mut disk);
    let file = disk.flat_file();
    let pristine = fs::read(&file).unwrap();
    for (text, wrong) in [(b"one", [1, 2]), (b"two", [0, 2])] {
        let prefix = &hash_of(text).0[..6];
        let keys = keys(&file, "transactions");
        let key = keys.iter().find(|key| key.starts_with(prefix)).unwrap();
        for index in wrong {
            overwrite(&file, "transactions", key, |_| {
                seal("transactions", key, &[index])
            });
            let error = read_all(&disk, &blocks).unwrap_err();
            assert!(
                error.contains("state.redb is damaged: table transactions"),
                "{error}"
            );
            fs::write(&file, &pristine).unwrap();
        }
    }
}

type Way = fn(&[u8]) -> Vec<u8>;

fn damage_values(disk: &Disk, blocks: &[Block], file: &Path, tables: &[&str], ways: &[Way]) {
    let pristine = fs::read(file).unwrap();
    for table in tables {
        let mut keys = keys(file, table);
        if *table == "parties" {
            // Those of blocks that the flat file has are read to make it anew, or to undo them, and
            // by `db check`.
            keys.drain(..2);
        }
        assert!(!keys.is_empty(), "table {table} has nothing to damage");
        for key in keys {
            for way in ways {
                overwrite(file, table, &key, way);
                let read = read_all(disk, blocks);
                let error = read.expect_err(&format!("{table} {key:?} was damaged"));
                let name = file.file_name().unwrap().to_str().unwrap();
                assert!(error.contains(&format!("{name} is damaged")), "{error}");
                assert!(error.contains(&format!("table {table}")), "{error}");
                assert!(error.contains("lignum node --reindex"), "{error}");
                fs::write(file, &pristine).unwrap();
            }
        }
    }
}

/// Opens the store and reads all of these blocks; what is read is right, or this panics.
fn read_all(disk: &Disk, blocks: &[Block]) -> Result<(), String> {
    let store = disk.open().map_err(|located| told(&located, disk))?;
    let read = || {
        let reader = store.snapshot()?;
        let mut count = 0;
        reader.for_each_header(&mut |_, _| count += 1)?;
        for block in blocks {
            read_block(&reader, block)?;
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
        let address = Address::from([3; 20]);
        assert_eq!(reader.past_account(&address, 0)?, Past::Was(None));
        let slot = reader.past_slot(&Address::from([1; 20]), &[2; 32], 0)?;
        assert_eq!(slot, Past::Was(Some([0; 32])));
        let (checkpoint, state) = store.state()?;
        assert_eq!(checkpoint, id(&blocks[1]));
        assert_eq!(state.account(&address).map(|found| found.nonce), Some(1));
        Ok(())
    };
    read().map_err(|error: chain::store::StoreError| error.to_string())
}

fn read_block(reader: &impl Reader, block: &Block) -> Result<(), chain::store::StoreError> {
    let hash = id(block).hash;
    assert_eq!(reader.header(&hash)?.as_deref(), Some(&block.header));
    assert_eq!(reader.body(&hash)?.as_deref(), Some(&block.body));
    assert_eq!(reader.stage(&hash)?, Some(Stage::Executed));
    assert_eq!(reader.canonical(id(block).height)?, Some(hash));
    let (changes, got) = (reader.changes(&hash)?, reader.receipts(&hash)?);
    if id(block).height > 0 {
        assert_eq!(changes, Some(full_changes(block)));
        assert_eq!(got, Some(receipts(block)));
    }
    for bytes in &block.body.0 {
        let place = reader.transaction(&hash_of(bytes))?;
        assert_eq!(place.map(|place| place.block), Some(id(block)));
    }
    Ok(())
}

/// Threat S7: files that are no store at all, or only a part of one.
#[test]
fn garbage_and_truncated_files_are_errors() {
    let mut disk = Disk::new();
    let blocks = small(&mut disk);
    for file in [disk.file(), disk.flat_file()] {
        let pristine = fs::read(&file).unwrap();
        spoil(&disk, &file, &pristine);
        fs::write(&file, &pristine).unwrap();
        read_all(&disk, &blocks).unwrap();
    }
}

fn spoil(disk: &Disk, file: &Path, pristine: &[u8]) {
    let lengths = [
        0,
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
    let mut garbage = pristine.to_vec();
    garbage[512..]
        .iter_mut()
        .enumerate()
        .for_each(|(at, byte)| *byte ^= (at % 251) as u8);
    broken.push(garbage);
    for bytes in broken {
        let length = bytes.len();
        fs::write(file, bytes).unwrap();
        let located = disk
            .open()
            .expect_err(&format!("{length} bytes were taken for a store"));
        assert!(
            matches!(located.1, Trouble::Damaged(_)),
            "{length}: {located:?}"
        );
        let text = told(&located, disk);
        assert!(text.contains("lignum node --reindex"), "{text}");
    }
}

/// Threat S4: flipped bits all over the file; what is still read is right.
#[test]
fn flipped_bits_are_never_served() {
    let mut disk = Disk::new();
    let blocks = small(&mut disk);
    for file in [disk.file(), disk.flat_file()] {
        let pristine = fs::read(&file).unwrap();
        let used = pristine.iter().rposition(|byte| *byte != 0).unwrap();
        let mut noticed = 0;
        // Every flip costs some syncs of the disk, so not every byte has its turn.
        for at in (0..used).step_by((used / 150) | 1) {
            let mut flipped = pristine.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(&file, &flipped).unwrap();
            noticed += usize::from(read_all(&disk, &blocks).is_err());
        }
        assert!(noticed > 0);
        fs::write(&file, &pristine).unwrap();
    }
    read_all(&disk, &blocks).unwrap();
}
