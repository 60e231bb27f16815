//! Transactions that the index cannot tell apart: somebody looked for hashes that begin alike.

use chain::{Block, Reader, Store, transaction::hash_of};

use super::{super::RedbStore, Bench, Disk, child, genesis, id, joined, moved};

/// Pairs of texts whose hashes begin with the same six bytes: the index cannot tell them apart.
pub const ALIKE: [[&[u8]; 2]; 3] = [
    [b"a7448365b", b"a35837861b"],
    [b"a17507724b", b"a33929717b"],
    [b"a3072939b", b"a43816354b"],
];

/// A text, and where it stands.
type Place<'a> = (&'a [u8], Option<(&'a Block, u32)>);

fn assert_places(store: &RedbStore, want: &[Place<'_>]) {
    let reader = store.snapshot().unwrap();
    for (text, place) in want {
        let found = reader.transaction(&hash_of(text)).unwrap();
        let found = found.map(|place| (place.block, place.index));
        assert_eq!(found, place.map(|(block, index)| (id(block), index)));
    }
}

#[test]
fn transactions_whose_hashes_begin_alike_are_told_apart() {
    for [one, other] in ALIKE {
        assert_eq!(hash_of(one).0[..6], hash_of(other).0[..6]);
    }
    let [[a, b], [c, d], [e, f]] = ALIKE;
    let mut disk = Disk::new();
    let mut store = disk.open().unwrap();
    let genesis = genesis();
    let a1 = child(&genesis.header, 1, &[a, b, c]);
    let a2 = child(&a1.header, 2, &[d, e]);
    let b1 = child(&genesis.header, 3, &[f, d]);
    store.commit(&joined(&[&a1, &a2, &b1])).unwrap();
    let there = [(a, 0), (b, 1), (c, 2)].map(|(text, at)| (text, Some((&a1, at))));
    let there = [
        &there[..],
        &[(d, Some((&a2, 0))), (e, Some((&a2, 1))), (f, None)],
    ]
    .concat();
    store.commit(&moved(&[], &[&a1, &a2])).unwrap();
    assert_places(&store, &there);
    store.checkpoint_below(0).unwrap();
    assert_places(&store, &there);
    store.commit(&moved(&[&a1, &a2], &[&b1])).unwrap();
    let away = [a, b, c, e].map(|text| (text, None));
    let away = [&away[..], &[(f, Some((&b1, 0))), (d, Some((&b1, 1)))]].concat();
    assert_places(&store, &away);
    store.checkpoint_below(0).unwrap();
    assert_places(&store, &away);
    store = disk.reopen(store);
    assert_places(&store, &away);
}
