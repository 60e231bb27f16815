//! Accounts' histories: what every store must answer, and how the one on disk makes them whole.

use std::collections::BTreeSet;

use chain::{
    Address, Block, Overlay,
    history::parties as parties_of,
    store::{Batch, Reader, Store, TransactionPlace},
};

use super::{
    Bench, Disk, Memory, account, child, executed, genesis, id, joined, moved, parties,
    transactions,
};

#[test]
fn the_store_in_memory_keeps_histories() {
    keeps_histories(&mut Memory);
    pages_across_blocks(&mut Memory);
}

#[test]
fn the_store_on_disk_keeps_histories() {
    keeps_histories(&mut Disk::new());
    pages_across_blocks(&mut Disk::new());
}

/// All accounts of these blocks.
pub fn accounts(blocks: &[Block]) -> BTreeSet<Address> {
    blocks.iter().flat_map(|b| parties(b).into_keys()).collect()
}

/// What an account's history is when these blocks are the best chain.
pub fn history_of(blocks: &[&Block], address: Address) -> Vec<TransactionPlace> {
    let mut places = Vec::new();
    for block in blocks {
        for index in parties(block).remove(&address).unwrap_or_default() {
            let block = id(block);
            places.push(TransactionPlace { block, index });
        }
    }
    places.reverse();
    places
}

/// Every account's history, whole and in pages of every small size, of a reader whose best chain
/// these blocks are.
fn assert_histories(reader: &impl Reader, blocks: &[&Block], accounts: &BTreeSet<Address>) {
    for address in accounts {
        let want = history_of(blocks, *address);
        assert_eq!(reader.history(address, None, 1_000).unwrap(), want);
        for limit in 1..4 {
            let (mut got, mut before) = (Vec::new(), None);
            loop {
                let page = reader.history(address, before, limit).unwrap();
                assert!(page.len() <= limit);
                let Some(last) = page.last() else { break };
                before = Some((last.block.height, last.index));
                got.extend(page);
            }
            assert_eq!(got, want);
        }
        assert_eq!(reader.history(address, None, 0), Ok(Vec::new()));
        assert_eq!(reader.history(address, Some((0, 0)), 9), Ok(Vec::new()));
        let end = reader.history(address, Some((u64::MAX, 0)), 1_000);
        assert_eq!(end.unwrap(), want);
    }
    let nobody = account(0);
    assert_eq!(reader.history(&nobody, None, 9), Ok(Vec::new()));
}

/// Several rows in a block, transfers to oneself, and reorgs to a longer and a shorter branch
/// and back, committed and not, in one batch and in several.
pub fn keeps_histories(bench: &mut impl Bench) {
    let genesis = genesis();
    let mut store = bench.make(&genesis);
    let a1 = child(&genesis.header, 1, &[b"ab", b"aa", b"ba", b"c"]);
    let a2 = child(&a1.header, 2, &[b"ca"]);
    let a3 = child(&a2.header, 3, &[b"bc", b"ac"]);
    let b1 = child(&genesis.header, 4, &[b"ba", b"ab"]);
    let b2 = child(&b1.header, 5, &[]);
    let all = accounts(&[a1.clone(), a2.clone(), a3.clone()]);
    let count = |reader: &dyn Reader, address| reader.history(address, None, 9).unwrap().len();
    assert_histories(&store.snapshot().unwrap(), &[&genesis], &all);
    store.commit(&joined(&[&a1, &a2, &a3, &b1, &b2])).unwrap();
    let there = moved(&[], &[&a1, &a2, &a3]);
    let base = store.snapshot().unwrap();
    let above = Overlay::new(&base, &there);
    assert_histories(&above, &[&genesis, &a1, &a2, &a3], &all);
    assert_histories(&base, &[&genesis], &all);
    // One row for a transfer to oneself; three of this account's are in the first block.
    assert_eq!(count(&above, &account(b'a')), 5);
    store.commit(&there).unwrap();
    store = bench.reopen(store);
    let before = store.snapshot().unwrap();
    assert_histories(&before, &[&genesis, &a1, &a2, &a3], &all);
    let back = |mut batch: Batch| {
        // Executed already: its rows are there since then.
        batch.executed.clear();
        batch
    };
    for round in 0..2 {
        let away = moved(&[&a1, &a2, &a3], &[&b1, &b2]);
        let away = if round == 0 { away } else { back(away) };
        let base = store.snapshot().unwrap();
        let above = Overlay::new(&base, &away);
        // What was executed before and is not on the best chain, the index need not have.
        if round == 0 {
            assert_histories(&above, &[&genesis, &b1, &b2], &all);
        }
        store.commit(&away).unwrap();
        store = bench.reopen(store);
        assert_histories(&store.snapshot().unwrap(), &[&genesis, &b1, &b2], &all);
        store
            .commit(&back(moved(&[&b1, &b2], &[&a1, &a2, &a3])))
            .unwrap();
        let now = store.snapshot().unwrap();
        assert_histories(&now, &[&genesis, &a1, &a2, &a3], &all);
    }
    // There and back within one batch, and from below the branch.
    let mut both = back(moved(&[&a1, &a2, &a3], &[&b1, &b2]));
    both.append(back(moved(&[&b1, &b2], &[&a1])));
    store.commit(&both).unwrap();
    store = bench.reopen(store);
    assert_histories(&store.snapshot().unwrap(), &[&genesis, &a1], &all);
    assert_histories(&before, &[&genesis, &a1, &a2, &a3], &all);
}

/// More rows than are read at a time, most of them of branches that lost.
pub fn pages_across_blocks(bench: &mut impl Bench) {
    let genesis = genesis();
    let mut store = bench.make(&genesis);
    let (mut best, mut lost) = (vec![genesis], Vec::new());
    for height in 0..200_usize {
        let parent = best[height].header.clone();
        best.push(child(&parent, 1, &[b"ab", b"cd", b"ba"]));
        for tag in 2..5 {
            lost.push(child(&parent, tag, &[b"ab", b"ac"]));
        }
    }
    let blocks: Vec<&Block> = best[1..].iter().collect();
    let mut batch = joined(&blocks);
    let others: Vec<&Block> = lost.iter().collect();
    batch.append(joined(&others));
    batch.append(moved(&[], &blocks));
    batch
        .executed
        .extend(others.iter().map(|block| executed(block)));
    store.commit(&batch).unwrap();
    let reader = bench.reopen(store).snapshot().unwrap();
    let a = account(b'a');
    let want = history_of(&blocks, a);
    assert_eq!(reader.history(&a, None, 1_000).unwrap(), want);
    assert_eq!(reader.history(&a, None, 7).unwrap(), want[..7]);
    let at = want[211];
    let before = Some((at.block.height, at.index));
    assert_eq!(reader.history(&a, before, 50).unwrap(), want[212..262]);
    let c = history_of(&blocks, account(b'c'));
    assert_eq!(reader.history(&account(b'c'), None, 1_000).unwrap(), c);
}

/// Rows below every block, above and below the checkpoint, are those of all blocks below it.
#[test]
fn rows_end_below_a_block() {
    let mut disk = Disk::new();
    let mut store = disk.open().unwrap();
    let mut blocks = vec![genesis()];
    for height in 0..9 {
        blocks.push(child(&blocks[height].header, 1, &[b"ab", b"cd", b"ba"]));
    }
    let all: Vec<&Block> = blocks[1..].iter().collect();
    store.commit(&joined(&all)).unwrap();
    store.commit(&moved(&[], &all)).unwrap();
    store.checkpoint_below(3).unwrap();
    store = disk.reopen(store);
    let reader = store.snapshot().unwrap();
    let bounds = blocks.iter().map(|block| Some(id(block))).chain([None]);
    for below in bounds {
        let is_below = |block: &&&Block| below.is_none_or(|below| id(block) < below);
        let mut want: Vec<_> = all.iter().filter(is_below).map(|block| id(block)).collect();
        want.reverse();
        for count in 0..11 {
            let rows = reader.rows(&account(b'a'), below, count).unwrap();
            let (found, indices): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
            assert_eq!(found, want[..count.min(want.len())]);
            assert!(indices.iter().all(|indices| *indices == [0, 2]));
        }
    }
}

/// Whose transactions are: senders, payees, and contracts that are created.
#[test]
fn parties_are_senders_payees_and_new_contracts() {
    let all = transactions();
    for (index, transaction) in (0_u32..).zip(&all) {
        let parties = parties_of(&all);
        let created = transaction.sender().create(transaction.nonce());
        let other = transaction.to().unwrap_or(created);
        for address in [transaction.sender(), other] {
            let indices = &parties[&address];
            assert!(indices.contains(&index) && indices.is_sorted());
        }
    }
    assert_eq!(parties_of(&[]), Default::default());
}
