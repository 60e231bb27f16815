//! The store through the command line: check, export, import, rebuild, and directories that are
//! damaged, old or cut off.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use chain::hash::sha256;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde_json::json;
use wallet::sign::{Transfer, sign_transfer};

use crate::harness::{Node, World, assert_absent, assert_fails, lignum, post, stderr, stdout};

/// Enough for a checkpoint.
const BLOCKS: u64 = 90;

/// A network with easy blocks.
fn world() -> World {
    let world = World::new();
    world.write_spec("network.json", &json!({ "genesis_bits": "0x207fffff" }));
    world
}

/// A directory with a chain that has transactions and a checkpoint; its head.
fn mined(world: &World) -> (PathBuf, String) {
    let command = world.node("node");
    let node = command
        .with(&["--mine", "--beneficiary", "dev:9", "--archive"])
        .start();
    for nonce in 0..20 {
        pay(&node, nonce);
    }
    node.wait_for("blocks", |node| node.height() >= BLOCKS);
    node.wait_for("the transactions", |node| {
        node.get("/v1/pool")["count"].as_u64().unwrap_or(0) == 0
    });
    assert_eq!(node.stop(), Some(0));
    let node = world.node("node").start();
    let head = node.get("/v1/status")["head"]["hash"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(node.stop(), Some(0));
    (world.path("node"), head)
}

/// Pays 1 wei from the first dev account to the one whose number is the nonce's next.
pub fn pay(node: &Node, nonce: u64) {
    let transfer = Transfer {
        chain_id: 1337,
        nonce,
        to: wallet::dev_key(u32::try_from(nonce).unwrap() + 1).address(),
        value: 1,
        gas_limit: 21_000,
        max_fee: 4_000_000_000,
        tip: 1_000_000_000,
        input: Vec::new(),
    };
    let raw = sign_transfer(&wallet::dev_key(0), &transfer);
    let raw: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
    let (status, taken) = post(&node.http(), "/v1/transactions", "text/plain", &raw);
    assert_eq!(status, 202, "{taken}");
}

fn db(directory: &Path, arguments: &[&str]) -> Output {
    let place = directory.to_str().unwrap();
    lignum(&[&["db", "--datadir", place], arguments].concat())
}

/// A check of a directory finds nothing.
pub fn assert_whole(directory: &Path) {
    let checked = db(directory, &["check"]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    assert!(
        stdout(&checked).contains("the store is whole"),
        "{checked:?}"
    );
}

#[test]
fn a_chain_goes_through_a_file() {
    let world = world();
    let (directory, head) = mined(&world);
    assert_whole(&directory);
    let file = world.path("blocks");
    let place = file.to_str().unwrap();
    let exported = db(&directory, &["export", place]);
    assert!(stdout(&exported).contains(&head), "{exported:?}");
    let spec = world.spec();
    let spec = spec.to_str().unwrap();
    let other = world.path("other");
    // Half of it, the rest, and all of it again.
    let bytes = fs::read(&file).unwrap();
    let half = world.path("half");
    fs::write(&half, &bytes[..bytes.len() / 2]).unwrap();
    let cut = db(
        &other,
        &["import", half.to_str().unwrap(), "--network", spec],
    );
    assert_fails(&cut, 1, &["it is cut off", "goes on where it was"]);
    let rest = db(&other, &["import", place]);
    assert!(stdout(&rest).contains(&head), "{rest:?}");
    assert!(!stdout(&rest).starts_with("0 blocks"), "{rest:?}");
    assert!(!stdout(&rest).contains(" 0 were there"), "{rest:?}");
    let again = db(&other, &["import", place]);
    assert!(stdout(&again).starts_with("0 blocks imported"), "{again:?}");
    assert_whole(&other);
    // A network of another name, and a block that does not stand where it stands.
    let regtest = world.path("regtest");
    let foreign = db(&regtest, &["import", place, "--network", "regtest"]);
    assert_fails(&foreign, 7, &["--network"]);
}

/// Threat S1: kill -9 at other moments of an import each time, until one comes to its end.
#[test]
fn an_import_goes_on_where_it_was_killed() {
    let world = world();
    let (directory, head) = mined(&world);
    let (file, other) = (world.path("blocks"), world.path("other"));
    let place = file.to_str().unwrap();
    assert!(db(&directory, &["export", place]).status.success());
    let spec = world.spec();
    let mut killed = 0;
    for round in 0..200_u64 {
        let mut child = Command::new(env!("CARGO_BIN_EXE_lignum"))
            .args(["db", "--datadir"])
            .arg(&other)
            .args(["import", place, "--commit", "3", "--network"])
            .arg(&spec)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(5 + round * 11));
        // Without effect on one that has come to its end.
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        if let Some(code) = output.status.code() {
            assert_eq!(code, 0, "{output:?}");
            assert!(stdout(&output).contains(&head), "{output:?}");
            break;
        }
        killed += 1;
    }
    assert!(killed > 0, "none was killed");
    assert_whole(&other);
}

type Table = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// Makes another key and value of a table's last ones, or nothing.
type Change = fn(&[u8], &[u8]) -> Option<(Vec<u8>, Vec<u8>)>;

/// Changes a table behind the store's back, with good checksums.
fn tamper(file: &Path, table: &'static str, change: Change) {
    let database = Database::open(file).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut open = transaction.open_table(Table::new(table)).unwrap();
        let item = open.iter().unwrap().last().unwrap().unwrap();
        let (key, value) = (item.0.value().to_vec(), item.1.value()[8..].to_vec());
        drop(item);
        match change(&key, &value) {
            None => drop(open.remove(key.as_slice()).unwrap()),
            Some((key, value)) => {
                let sum = sha256(&[table.as_bytes(), &[0], &key, &value].concat());
                let sealed = [&sum[..8], &value].concat();
                open.insert(key.as_slice(), sealed.as_slice()).unwrap();
            }
        }
    }
    transaction.commit().unwrap();
}

/// Every oracle of the check, each with the fault that it finds.
#[test]
fn a_check_finds_what_no_checksum_shows() {
    let world = world();
    let (directory, _) = mined(&world);
    // In an address, what gas was used, a length, or the first party's place.
    let log: [(&str, usize, &str); 4] = [
        ("bodies", 11, "is damaged"),
        ("changes", 11, "change set"),
        ("receipts", 11, "receipts"),
        ("parties", 12, "the log names other parties"),
    ];
    for (table, at, told) in log {
        let file = directory.join("chain.redb");
        let pristine = fs::read(&file).unwrap();
        // The head's own change set is applied by the start, so that of an earlier block is taken.
        tamper_earlier(&file, table, at);
        assert_fails(&db(&directory, &["check"]), 6, &[told]);
        fs::write(&file, pristine).unwrap();
    }
    let file = directory.join("state.redb");
    let pristine = fs::read(&file).unwrap();
    tamper(&file, "accounts", |key, value| {
        Some((key.to_vec(), flip_last(value)))
    });
    assert_fails(&db(&directory, &["check"]), 6, &["root"]);
    fs::write(&file, &pristine).unwrap();
    for table in ["transactions", "history", "past_accounts"] {
        tamper(&file, table, |_, _| None);
        assert_fails(&db(&directory, &["check"]), 6, &["--reindex"]);
        fs::write(&file, &pristine).unwrap();
    }
    assert_whole(&directory);
}

fn flip_last(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    bytes
}

/// What an index has beside all that it must have: only counting finds it.
#[test]
fn a_check_finds_what_an_index_has_too_much() {
    let world = world();
    let (directory, _) = mined(&world);
    let file = directory.join("state.redb");
    let pristine = fs::read(&file).unwrap();
    let more: [(&str, Change); 5] = [
        // The height after the row's last one, and a transaction there; then far above the head.
        ("history", |key, value| {
            Some((key.to_vec(), [value, &[1, 0]].concat()))
        }),
        ("history", |key, value| {
            Some((key.to_vec(), [value, &[127, 0]].concat()))
        }),
        // Another index in the block.
        ("transactions", |key, value| {
            Some((key.to_vec(), [value, &[5]].concat()))
        }),
        // The same hash in another block; then far above the head.
        ("transactions", |key, value| {
            Some((flip_last(key), value.to_vec()))
        }),
        ("transactions", |key, value| {
            Some(([&key[..6], &[1; 5]].concat(), value.to_vec()))
        }),
    ];
    for (table, change) in more {
        tamper(&file, table, change);
        assert_fails(&db(&directory, &["check"]), 6, &["the indexes have"]);
        fs::write(&file, &pristine).unwrap();
    }
    assert_whole(&directory);
}

/// Changes a byte of the value of the first block that has so many: the checkpoint has it.
fn tamper_earlier(file: &Path, table: &'static str, at: usize) {
    let database = Database::open(file).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut open = transaction.open_table(Table::new(table)).unwrap();
        let items = open.iter().unwrap().map(Result::unwrap);
        let has_content = |key: &[u8], value: &[u8]| key[..8] > [0; 8][..] && value.len() > at;
        let found = items.map(|item| (item.0.value().to_vec(), item.1.value()[8..].to_vec()));
        let mut found = found.filter(|(key, value)| has_content(key, value));
        let (key, mut value) = found.next().unwrap();
        value[at] ^= 1;
        let sum = sha256(&[table.as_bytes(), &[0], &key, &value].concat());
        let sealed = [&sum[..8], &value].concat();
        open.insert(key.as_slice(), sealed.as_slice()).unwrap();
    }
    transaction.commit().unwrap();
}

fn head_of(world: &World, arguments: &[&str]) -> String {
    let node = world.node("node").with(arguments).start();
    let head = node.get("/v1/status")["head"]["hash"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(node.stop(), Some(0));
    head
}

/// A directory stays with the engine that it was made with.
#[test]
fn another_engine_is_refused() {
    let world = world();
    assert_eq!(world.node("node").start().stop(), Some(0));
    let (place, file) = (world.path("node"), world.path("blocks"));
    let export = ["export", file.to_str().unwrap()];
    let other = db(&place, &[&export[..], &["--store", "sled"]].concat());
    assert_fails(
        &other,
        3,
        &["has a store of redb, sled was wanted", "--store"],
    );
    let unknown = db(&place, &[&export[..], &["--store", "paper"]].concat());
    assert_fails(&unknown, 2, &["redb or sled", "paper"]);
    let same = db(&place, &[&export[..], &["--store", "redb"]].concat());
    assert_eq!(same.status.code(), Some(0), "{same:?}");
    fs::create_dir(world.path("other")).unwrap();
    fs::copy(world.spec(), world.path("other").join("genesis.json")).unwrap();
    let import = ["import", file.to_str().unwrap(), "--store", "sled"];
    let made = db(&world.path("other"), &import);
    if cfg!(feature = "sled") {
        assert_eq!(made.status.code(), Some(0), "{made:?}");
        assert_whole(&world.path("other"));
        let again = db(&world.path("other"), &["check"]);
        assert!(stderr(&again).contains("kept by sled, which may lose blocks"));
    } else {
        assert_fails(
            &made,
            3,
            &["built without sled", "--features lignum-node/sled"],
        );
    }
}

fn refuses(directory: &Path, words: &[&str]) {
    let place = directory.to_str().unwrap();
    let ports = ["--port", "0", "--http.port", "0"];
    let output = lignum(&[&["node", "--datadir", place], &ports[..]].concat());
    assert_fails(&output, 6, words);
}

/// Threats S7 and X5: a directory of an older program, one whose rebuild was cut off, an empty
/// file, and files that are gone.
#[test]
fn a_store_is_rebuilt_from_its_blocks() {
    let world = world();
    let (directory, head) = mined(&world);
    let log = directory.join("chain.redb");
    let old = directory.join("chain.old.redb");
    // What follows from the log is made again in silence.
    fs::remove_file(directory.join("state.redb")).unwrap();
    assert_eq!(head_of(&world, &[]), head);
    // Version 1 had no table of parties, and another one of histories.
    make_old(&log);
    refuses(
        &directory,
        &["format version 1", "lignum node --reindex --datadir"],
    );
    assert_eq!(head_of(&world, &["--reindex"]), head);
    assert_absent(&old);
    assert_whole(&directory);
    fs::rename(&log, &old).unwrap();
    fs::remove_file(directory.join("state.redb")).unwrap();
    refuses(&directory, &["was cut off", "lignum node --reindex"]);
    assert_eq!(head_of(&world, &["--reindex"]), head);
    assert_whole(&directory);
    // Of one that a program of another format began, or whose file was spoilt, nothing is used.
    for file in ["chain.redb", "state.redb"].map(|name| directory.join(name)) {
        let spoils: [fn(&Path); 2] = [
            |file| set_version(file, 2),
            |file| {
                fs::write(file, b"").unwrap();
            },
        ];
        for spoil in spoils {
            fs::copy(&log, &old).unwrap();
            spoil(&file);
            refuses(&directory, &["was cut off", "lignum node --reindex"]);
            assert_eq!(head_of(&world, &["--reindex"]), head);
            assert_absent(&old);
            assert_whole(&directory);
        }
    }
    the_old_log_outlives_mistakes(&world, &directory, &head);
    fs::write(&log, b"").unwrap();
    refuses(&directory, &["no byte left", "remove it to sync again"]);
    assert_eq!(
        fs::metadata(&log).unwrap().len(),
        0,
        "nothing was founded anew"
    );
}

/// Nothing is removed that may be all there is.
fn the_old_log_outlives_mistakes(world: &World, directory: &Path, head: &str) {
    let names = [
        "chain.redb",
        "chain.old.redb",
        "chain.kept-1.redb",
        "chain.kept-2.redb",
    ];
    let [log, old, first, second] = names.map(|name| directory.join(name));
    // A program of an older format had begun to rebuild: what it made is put away, not removed.
    assert!(first.exists(), "by the rebuilds before");
    for number in 1..=9 {
        let _ = fs::remove_file(directory.join(format!("chain.kept-{number}.redb")));
    }
    // Another network is asked for while a rebuild is under way.
    fs::copy(&log, &old).unwrap();
    set_version(&log, 2);
    let place = directory.to_str().unwrap();
    let ports = ["--port", "0", "--http.port", "0"];
    let other = [
        "node",
        "--datadir",
        place,
        "--reindex",
        "--network",
        "regtest",
    ];
    let pinned = directory.join("genesis.json");
    let spec = fs::read(&pinned).unwrap();
    fs::remove_file(&pinned).unwrap();
    let output = lignum(&[&other[..], &ports].concat());
    assert_fails(
        &output,
        7,
        &["holds the network of genesis", "leave --network out"],
    );
    fs::write(&pinned, spec).unwrap();
    assert!(old.exists() && log.exists());
    assert_eq!(head_of(world, &["--reindex"]), head);
    assert_absent(&old);
    fs::remove_file(&first).unwrap();
    // One body is lost: what stands on it is, too. Peers may have it, or not.
    tamper_unsealed(&log, "bodies");
    let kept = head_of(world, &["--reindex"]);
    assert_ne!(kept, head);
    assert_whole(directory);
    assert_absent(&old);
    assert!(first.exists() && !second.exists());
    // Read once more it gives what it gave, whatever has come since.
    fs::rename(&first, &old).unwrap();
    assert_eq!(head_of(world, &["--reindex"]), kept);
    assert_absent(&old);
    assert!(first.exists() && !second.exists());
}

fn set_version(file: &Path, version: u32) {
    let database = Database::open(file).unwrap();
    let transaction = database.begin_write().unwrap();
    let meta = TableDefinition::<&str, &[u8]>::new("meta");
    let version = version.to_le_bytes();
    let mut open = transaction.open_table(meta).unwrap();
    open.insert("format", version.as_slice()).unwrap();
    drop(open);
    transaction.commit().unwrap();
}

fn make_old(file: &Path) {
    set_version(file, 1);
    let database = Database::open(file).unwrap();
    let transaction = database.begin_write().unwrap();
    assert!(transaction.delete_table(Table::new("parties")).unwrap());
    transaction.open_table(Table::new("history")).unwrap();
    transaction.commit().unwrap();
}

fn tamper_unsealed(file: &Path, table: &'static str) {
    let database = Database::open(file).unwrap();
    let read = database.begin_read().unwrap();
    let key = {
        let open = read.open_table(Table::new(table)).unwrap();
        let item = open.iter().unwrap().nth(50).unwrap().unwrap();
        item.0.value().to_vec()
    };
    drop(read);
    let transaction = database.begin_write().unwrap();
    let mut open = transaction.open_table(Table::new(table)).unwrap();
    open.insert(key.as_slice(), b"damaged".as_slice()).unwrap();
    drop(open);
    transaction.commit().unwrap();
}
