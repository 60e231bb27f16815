//! The suite of every store on sled, and the versions that its own engine does not have.

use std::{
    collections::BTreeMap,
    ops::{Bound, ControlFlow},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use super::{
    super::{
        kv::{Kv, Order, Transaction, Version},
        merge::Reach,
        on_sled,
    },
    Disk,
    checkpoints::wander,
    conformance::conforms,
    history::{keeps_histories, pages_across_blocks},
};

#[test]
fn the_store_on_sled_conforms() {
    conforms(Disk::on_sled);
    keeps_histories(&mut Disk::on_sled());
    pages_across_blocks(&mut Disk::on_sled());
}

#[test]
fn every_answer_on_sled_is_the_heads() {
    for seed in 0..3 {
        wander(Disk::on_sled(), seed, Reach::Window);
        wander(Disk::on_sled(), 100 + seed, Reach::Archive);
    }
}

/// Its remedies are others: it is not rebuilt in place, and another format is not exported.
#[test]
fn an_older_directory_of_sled_is_told_how_to_go_on() {
    let disk = Disk::on_sled();
    drop(disk.open().unwrap());
    let mut older = |transaction: &dyn Transaction| transaction.set_format(2);
    open(&disk.file()).write(&mut older).unwrap();
    let failure = disk.open().unwrap_err().failure(&disk.file());
    let text = failure.to_string();
    assert_eq!(failure.code(), 6);
    assert!(text.contains("with the lignum that wrote it"), "{text}");
    assert!(!text.contains("--reindex"), "{text}");
}

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// Everything in a table, in an order.
fn entries(version: &dyn Version, name: &'static str, order: Order) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    let table = version.table(name).unwrap();
    let everything = (Bound::Unbounded, Bound::Unbounded);
    let mut take = |key: &[u8], value: &[u8]| {
        found.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    };
    table.scan(everything, order, &mut take).unwrap();
    found
}

fn assert_is(version: &dyn Version, want: &Model) {
    let mut want: Vec<_> = want.clone().into_iter().collect();
    assert_eq!(entries(version, "a", Order::Rising), want);
    for (key, value) in &want {
        let got = version.table("a").unwrap().get(key).unwrap();
        assert_eq!(got.as_ref(), Some(value));
    }
    want.reverse();
    assert_eq!(entries(version, "a", Order::Falling), want);
}

fn open(path: &Path) -> Box<dyn Kv> {
    on_sled::open(path).unwrap()
}

/// Versions of some hundred commits, some kept for long, against a map each; the tables beside
/// are not mixed up with it, and a start finds the last.
#[test]
fn versions_stay_as_they_were() {
    let directory = tempfile::tempdir().unwrap();
    let kv = open(directory.path());
    let (mut model, mut kept) = (Model::new(), Vec::new());
    let mut random = 3_u64;
    for round in 0..150_u64 {
        kv.write(&mut |transaction| {
            let mut table = transaction.table("a")?;
            let mut beside = transaction.table("aa")?;
            for _ in 0..40 {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let key = (random >> 33).to_be_bytes()[6..].to_vec();
                let key = vec![key[0] % 8, key[1]];
                let value = random.to_be_bytes().to_vec();
                beside.put(&key, b"beside")?;
                if random % 5 < 2 {
                    table.remove(&key)?;
                    model.remove(&key);
                } else {
                    table.put(&key, &value)?;
                    assert_eq!(table.get(&key)?, Some(value.clone()), "its own writes");
                    model.insert(key, value);
                }
            }
            Ok(())
        })
        .unwrap();
        if round % 10 == 3 {
            kept.push((kv.version().unwrap(), model.clone()));
        }
        if round % 37 == 0 && !kept.is_empty() {
            kept.remove(0);
        }
        if round % 25 == 0 {
            kept.iter()
                .for_each(|(version, want)| assert_is(&**version, want));
        }
    }
    assert!(
        model.len() > 600,
        "{} entries: more than a page",
        model.len()
    );
    kv.write(&mut |transaction| transaction.remove_table("a"))
        .unwrap();
    kept.iter()
        .for_each(|(version, want)| assert_is(&**version, want));
    assert_is(&*kv.version().unwrap(), &Model::new());
    assert!(entries(&*kv.version().unwrap(), "aa", Order::Rising).len() > 600);
    drop((kept, kv));
    assert_is(&*open(directory.path()).version().unwrap(), &Model::new());
}

/// A reader never sees half of a commit.
#[test]
fn a_commit_is_seen_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let kv: Arc<dyn Kv> = Arc::from(open(directory.path()));
    let write = |kv: &dyn Kv, number: u64| {
        kv.write(&mut |transaction| {
            let mut table = transaction.table("a")?;
            (0..600_u16).try_for_each(|key| table.put(&key.to_be_bytes(), &number.to_be_bytes()))
        })
        .unwrap();
    };
    write(&*kv, 0);
    let stop = Arc::new(AtomicBool::new(false));
    let reader = {
        let (kv, stop) = (Arc::clone(&kv), Arc::clone(&stop));
        thread::spawn(move || {
            let mut seen = 0_u64;
            while !stop.load(Ordering::Relaxed) || seen == 0 {
                let all = entries(&*kv.version().unwrap(), "a", Order::Rising);
                assert_eq!(all.len(), 600);
                assert!(
                    all.iter().all(|(_, value)| *value == all[0].1),
                    "half a commit"
                );
                seen += 1;
            }
        })
    };
    (1..60).for_each(|number| write(&*kv, number));
    stop.store(true, Ordering::Relaxed);
    reader.join().unwrap();
}
