//! Commits that reach the log and fail afterwards. The indexes name blocks by their heights, so a
//! reader must never see a head that they are not of.

use chain::{Mended, Store};

use super::{
    super::{RedbStore, merge::Reach},
    Disk,
    checkpoints::Forest,
};

/// A store with three blocks that no checkpoint has, and the last one's place in its forest.
fn three(disk: &Disk) -> (Forest, RedbStore, usize) {
    let (mut forest, mut store, mut head) = (Forest::new(12), disk.open().unwrap(), 0);
    for _ in 0..3 {
        let next = forest.grow(head);
        store.commit(&forest.batch(head, next)).unwrap();
        head = next;
    }
    (forest, store, head)
}

fn check(forest: &Forest, store: &RedbStore, head: usize) {
    assert_eq!(forest.head_of(store), head);
    forest.check(store, Reach::Window);
}

#[test]
fn a_commit_that_fails_half_way_is_not_shown() {
    let disk = Disk::new();
    let (mut forest, mut store, head) = three(&disk);
    store.checkpoint_below(0).unwrap();
    let mut away = 0;
    for _ in 0..4 {
        away = forest.grow(away);
    }
    store.fail_checkpoint();
    let batch = forest.batch(head, away);
    store.commit(&batch).unwrap_err();
    check(&forest, &store, head);
    assert_eq!(store.mend(), Mended::Ready);
    check(&forest, &store, away);
}

/// The commit takes over a checkpoint, and then misses the body of a block.
#[test]
fn a_checkpoint_that_a_failed_commit_took_is_not_shown() {
    let disk = Disk::new();
    let (mut forest, mut store, head) = three(&disk);
    let (before, _) = store.state().unwrap();
    store.wait_for_checkpoint();
    let next = forest.grow(head);
    let mut batch = forest.batch(head, next);
    batch.bodies.clear();
    let error = store.commit(&batch).unwrap_err();
    assert!(error.0.contains("table bodies"), "{error}");
    check(&forest, &store, head);
    assert_eq!(store.state().unwrap().0, before);
}
