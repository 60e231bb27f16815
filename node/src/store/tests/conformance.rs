//! What every store must do, run against the one in memory and the one on disk.

use std::{collections::BTreeSet, sync::Arc};

use chain::{
    Address, BlockHash, ChangeSet, CheckedTransaction, Header, Log, Receipt, TxHash,
    execution::{CodeAdded, SlotChange},
    pool::{Departure, Reason},
    store::{Batch, BlockId, ExecutedBlock, Past, Reader, Stage, Store, TransactionPlace},
    transaction::hash_of,
};

use super::{
    Bench, Block, Disk, Memory, assert_holds, child, genesis, id, joined, moved, transactions,
};

/// All of it.
pub fn conforms<B: Bench>(mut new: impl FnMut() -> B) {
    starts_with_genesis(&mut new());
    keeps_what_is_committed(&mut new());
    snapshots_stay(&mut new());
    follows_a_reorg(&mut new());
    drops_and_condemns(&mut new());
    holds_a_worst_case_block(&mut new());
    visits_parents_first(&mut new());
    keeps_the_journal(&mut new());
    keeps_departures(&mut new());
    tells_the_past(&mut new());
}

#[test]
fn the_store_in_memory_conforms() {
    conforms(|| Memory);
}

#[test]
fn the_store_on_disk_conforms() {
    conforms(Disk::new);
}

fn assert_best_chain(reader: &impl Reader, blocks: &[&Block]) {
    assert_eq!(reader.head(), Ok(blocks.last().map(|block| id(block))));
    for (height, block) in (0..).zip(blocks) {
        assert_eq!(reader.canonical(height), Ok(Some(block.header.hash())));
        for (index, bytes) in (0..).zip(&block.body.0) {
            let place = TransactionPlace {
                block: id(block),
                index,
            };
            assert_eq!(reader.transaction(&hash_of(bytes)), Ok(Some(place)));
        }
        assert_holds(reader, block, Stage::Executed);
    }
    let above = u64::try_from(blocks.len()).unwrap();
    assert_eq!(reader.canonical(above), Ok(None));
    assert_eq!(reader.canonical(u64::MAX), Ok(None));
}

fn starts_with_genesis(bench: &mut impl Bench) {
    let genesis = genesis();
    let store = bench.make(&genesis);
    let store = bench.reopen(store);
    let reader = store.snapshot().unwrap();
    assert_best_chain(&reader, &[&genesis]);
    let unknown = BlockHash([9; 32]);
    assert_eq!(reader.header(&unknown), Ok(None));
    assert_eq!(reader.stage(&unknown), Ok(None));
    assert_eq!(reader.body(&unknown), Ok(None));
    assert_eq!(reader.changes(&unknown), Ok(None));
    assert_eq!(reader.receipts(&unknown), Ok(None));
    assert_eq!(reader.transaction(&TxHash([9; 32])), Ok(None));
}

fn keeps_what_is_committed(bench: &mut impl Bench) {
    let genesis = genesis();
    let mut store = bench.make(&genesis);
    let (a, b) = (
        child(&genesis.header, 1, &[b"one", b"two"]),
        child(&genesis.header, 2, &[]),
    );
    let c = child(&a.header, 3, &[b"three"]);
    store
        .commit(&Batch {
            headers: vec![Arc::new(b.header.clone())],
            ..Batch::default()
        })
        .unwrap();
    // Several steps in one batch.
    let mut batch = joined(&[&a]);
    batch.append(moved(&[], &[&a]));
    batch.append(joined(&[&c]));
    store.commit(&batch).unwrap();
    store.commit(&Batch::default()).unwrap();
    for _ in 0..2 {
        let reader = store.snapshot().unwrap();
        assert_best_chain(&reader, &[&genesis, &a]);
        assert_holds(&reader, &b, Stage::Header);
        assert_holds(&reader, &c, Stage::Body);
        assert_eq!(reader.changes(&id(&c).hash), Ok(None));
        assert_eq!(reader.transaction(&hash_of(b"three")), Ok(None));
        store = bench.reopen(store);
    }
}

fn snapshots_stay(bench: &mut impl Bench) {
    let genesis = genesis();
    let mut store = bench.make(&genesis);
    let mut chain = vec![genesis];
    let mut seen = vec![store.snapshot().unwrap()];
    for tag in 1..30 {
        let next = child(&chain[chain.len() - 1].header, tag, &[&[tag], &[tag, tag]]);
        let mut batch = joined(&[&next]);
        batch.append(moved(&[], &[&next]));
        store.commit(&batch).unwrap();
        chain.push(next);
        seen.push(store.snapshot().unwrap());
    }
    // From another thread: snapshots are given to readers.
    std::thread::scope(|scope| {
        for (height, snapshot) in seen.iter().enumerate() {
            let (below, above) = chain.split_at(height + 1);
            scope.spawn(move || {
                assert_best_chain(snapshot, &below.iter().collect::<Vec<_>>());
                for block in above {
                    assert_eq!(snapshot.header(&id(block).hash), Ok(None));
                    assert_eq!(snapshot.transaction(&hash_of(&block.body.0[0])), Ok(None));
                }
            });
        }
    });
}

/// Transactions move to another height, to another index, away, and back.
fn follows_a_reorg(bench: &mut impl Bench) {
    let genesis = genesis();
    let mut store = bench.make(&genesis);
    let a1 = child(&genesis.header, 1, &[b"same", b"lower", b"gone"]);
    let a2 = child(&a1.header, 2, &[b"higher"]);
    let a3 = child(&a2.header, 3, &[b"gone too"]);
    let b1 = child(&genesis.header, 4, &[b"same", b"higher"]);
    let b2 = child(&b1.header, 5, &[b"new", b"lower"]);
    store.commit(&joined(&[&a1, &a2, &a3, &b1, &b2])).unwrap();
    store.commit(&moved(&[], &[&a1, &a2, &a3])).unwrap();
    let before = store.snapshot().unwrap();
    // To a shorter branch with more work: once by undoing first, once by overwriting.
    let there = moved(&[&a1, &a2, &a3], &[&b1, &b2]);
    let mut overwriting = there.clone();
    let places = [(1, Some(id(&b1).hash)), (2, Some(id(&b2).hash)), (3, None)];
    overwriting.canonical = places.to_vec();
    for batch in [there, overwriting] {
        store.commit(&batch).unwrap();
        store = bench.reopen(store);
        let after = store.snapshot().unwrap();
        assert_best_chain(&after, &[&genesis, &b1, &b2]);
        for gone in [b"gone".as_slice(), b"gone too"] {
            assert_eq!(after.transaction(&hash_of(gone)), Ok(None));
        }
        assert_holds(&after, &a3, Stage::Executed);
        // And back, which finds the old index again.
        store.commit(&moved(&[&b1, &b2], &[&a1, &a2, &a3])).unwrap();
        let back = store.snapshot().unwrap();
        assert_best_chain(&back, &[&genesis, &a1, &a2, &a3]);
        assert_eq!(back.transaction(&hash_of(b"new")), Ok(None));
    }
    drop(before);
}

/// The pool's journal: what is to be kept, in one batch or several, and no longer.
fn keeps_the_journal(bench: &mut impl Bench) {
    let mut store = bench.make(&genesis());
    let all = transactions();
    let keep = |range: std::ops::Range<usize>| Batch {
        pooled: all[range]
            .iter()
            .map(|tx| (tx.hash(), Some(tx.clone())))
            .collect(),
        ..Batch::default()
    };
    let drop = |range: std::ops::Range<usize>| Batch {
        pooled: all[range].iter().map(|tx| (tx.hash(), None)).collect(),
        ..Batch::default()
    };
    let held = |list: &[&CheckedTransaction]| {
        let mut list = list.to_vec();
        list.sort_by_key(|tx| tx.hash());
        Ok(list
            .into_iter()
            .map(|tx| tx.bytes().to_vec())
            .collect::<Vec<_>>())
    };
    assert_eq!(store.snapshot().unwrap().pooled(), held(&[]));
    assert!(!keep(0..1).is_empty());
    store.commit(&keep(0..3)).unwrap();
    let before = store.snapshot().unwrap();
    // Taken, dropped and taken again within one commit; dropped without having been there.
    let mut batch = drop(0..2);
    batch.append(keep(1..2));
    batch.append(keep(3..4));
    batch.append(drop(3..5));
    store.commit(&batch).unwrap();
    let mut store = bench.reopen(store);
    assert_eq!(
        store.snapshot().unwrap().pooled(),
        held(&[&all[1], &all[2]])
    );
    assert_eq!(before.pooled(), held(&[&all[0], &all[1], &all[2]]));
    store.commit(&drop(0..5)).unwrap();
    assert_eq!(store.snapshot().unwrap().pooled(), held(&[]));
}

/// Why transactions left the pool: the last word in one batch or several.
fn keeps_departures(bench: &mut impl Bench) {
    let mut store = bench.make(&genesis());
    let departure = |byte: u8, unix_secs| Departure {
        hash: TxHash([byte; 32]),
        reason: Reason::Expired { secs: 7 },
        unix_secs,
    };
    let word = |byte: u8, unix_secs: Option<u64>| Batch {
        departed: [(
            TxHash([byte; 32]),
            unix_secs.map(|secs| departure(byte, secs)),
        )]
        .into(),
        ..Batch::default()
    };
    assert!(!word(1, None).is_empty());
    let mut batch = word(2, Some(1));
    for later in [word(1, Some(2)), word(2, Some(3)), word(3, Some(4))] {
        batch.append(later);
    }
    batch.append(word(3, None));
    store.commit(&batch).unwrap();
    let before = store.snapshot().unwrap();
    store.commit(&word(1, None)).unwrap();
    let store = bench.reopen(store);
    let after = store.snapshot().unwrap().departed();
    assert_eq!(after, Ok(vec![departure(2, 3).encode()]));
    assert_eq!(before.departed().unwrap().len(), 2);
}

fn drops_and_condemns(bench: &mut impl Bench) {
    let genesis = genesis();
    let mut store = bench.make(&genesis);
    let a = child(&genesis.header, 1, &[b"one"]);
    let b = child(&genesis.header, 2, &[b"two"]);
    store.commit(&joined(&[&a, &b])).unwrap();
    let batch = Batch {
        dropped: vec![id(&a)],
        invalid: vec![id(&b)],
        ..Batch::default()
    };
    store.commit(&batch).unwrap();
    for _ in 0..2 {
        let reader = store.snapshot().unwrap();
        assert_holds(&reader, &a, Stage::Header);
        assert_holds(&reader, &b, Stage::Invalid);
        store = bench.reopen(store);
    }
    // A body that was dropped may come again.
    store
        .commit(&Batch {
            headers: Vec::new(),
            ..joined(&[&a])
        })
        .unwrap();
    store.commit(&moved(&[], &[&a])).unwrap();
    let store = bench.reopen(store);
    assert_best_chain(&store.snapshot().unwrap(), &[&genesis, &a]);
    let mut store = store;
    let unknown = BlockId {
        height: 1,
        hash: BlockHash([7; 32]),
    };
    let batch = Batch {
        invalid: vec![unknown],
        ..Batch::default()
    };
    assert!(store.commit(&batch).is_err());
}

/// Threat C19: more than any block's gas can make, far beyond one value of the encoding.
fn holds_a_worst_case_block(bench: &mut impl Bench) {
    let genesis = genesis();
    let mut store = bench.make(&genesis);
    let transactions: Vec<_> = (0..16_u8).map(|tag| vec![tag; 128 * 1_024 - 16]).collect();
    let slices: Vec<_> = transactions.iter().map(Vec::as_slice).collect();
    let block = child(&genesis.header, 1, &slices);
    let slot = |n: u32| {
        let mut slot = [0; 32];
        slot[..4].copy_from_slice(&n.to_be_bytes());
        SlotChange {
            address: [1; 20],
            slot,
            old: [0; 32],
            new: [1; 32],
        }
    };
    let code = |n: u16| {
        let mut hash = [0; 32];
        hash[..2].copy_from_slice(&n.to_be_bytes());
        CodeAdded {
            hash,
            bytes: vec![0xfe; 24 * 1_024],
        }
    };
    let changes = ChangeSet {
        accounts: Vec::new(),
        slots: (0..13_000).map(slot).collect(),
        codes: (0..600).map(code).collect(),
    };
    let log = |data| Log {
        address: [1; 20],
        topics: vec![[2; 32]; 4],
        data: vec![3; data],
    };
    let receipt = |logs| Receipt {
        tx_type: 0,
        success: true,
        cumulative_gas: 1,
        logs,
    };
    let receipts = vec![
        receipt(vec![log(2 * 1_024 * 1_024)]),
        receipt(vec![log(0); 20_000]),
    ];
    let mut batch = joined(&[&block]);
    batch.append(moved(&[], &[&block]));
    batch.executed = vec![ExecutedBlock {
        id: id(&block),
        changes: Arc::new(changes.clone()),
        receipts: Arc::new(receipts.clone()),
        parties: Arc::default(),
    }];
    store.commit(&batch).unwrap();
    let store = bench.reopen(store);
    let reader = store.snapshot().unwrap();
    let hash = id(&block).hash;
    assert_eq!(reader.body(&hash).unwrap().as_deref(), Some(&block.body));
    assert_eq!(reader.changes(&hash).unwrap().as_deref(), Some(&changes));
    assert_eq!(reader.receipts(&hash).unwrap().as_deref(), Some(&receipts));
}

fn visits_parents_first(bench: &mut impl Bench) {
    let genesis = genesis();
    let mut store = bench.make(&genesis);
    let mut all = vec![genesis];
    for n in 0..2_500_usize {
        // Every block but the first few has its parent somewhere before it.
        let parent = all[n - n.min(n % 7)].header.clone();
        all.push(child(&parent, u8::try_from(n % 251).unwrap(), &[]));
    }
    let headers = all[1..]
        .iter()
        .map(|block| Arc::new(block.header.clone()))
        .collect();
    store
        .commit(&Batch {
            headers,
            ..Batch::default()
        })
        .unwrap();
    let store = bench.reopen(store);
    let mut seen = BTreeSet::from([BlockHash::default()]);
    let visit = &mut |header: Arc<Header>, stage| {
        assert!(seen.contains(&header.pow.parent));
        assert!(seen.insert(header.hash()), "{} twice", header.hash());
        let want = if header.extension.height == 0 {
            Stage::Executed
        } else {
            Stage::Header
        };
        assert_eq!(stage, want);
    };
    store.snapshot().unwrap().for_each_header(visit).unwrap();
    let distinct: BTreeSet<_> = all.iter().map(|block| block.header.hash()).collect();
    assert_eq!(seen.len(), distinct.len() + 1);
}

/// What a slot was before the first block above a height, through a reorg.
fn tells_the_past(bench: &mut impl Bench) {
    let genesis = genesis();
    let mut store = bench.make(&genesis);
    let a1 = child(&genesis.header, 1, &[]);
    let a2 = child(&a1.header, 2, &[]);
    let b1 = child(&genesis.header, 3, &[]);
    store.commit(&joined(&[&a1, &a2, &b1])).unwrap();
    let (address, slot) = (Address::repeat_byte(1), [2; 32]);
    for (batch, height) in [
        (moved(&[], &[&a1, &a2]), 2),
        (moved(&[&a1, &a2], &[&b1]), 1),
    ] {
        store.commit(&batch).unwrap();
        store = bench.reopen(store);
        let reader = store.snapshot().unwrap();
        for above in 0..4 {
            let past = reader.past_slot(&address, &slot, above).unwrap();
            let want = match above < height {
                true => Past::Was(Some([0; 32])),
                false => Past::AsInHead,
            };
            assert_eq!(past, want, "above {above}");
        }
        assert_eq!(reader.past_slot(&address, &[3; 32], 0), Ok(Past::AsInHead));
        assert_eq!(reader.past_account(&address, 0), Ok(Past::AsInHead));
    }
}
