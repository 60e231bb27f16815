//! F2, R1: limits at their very edge: the download window, the least work, and a body that is needed.

use std::collections::BTreeSet;

use chain::{
    BlockHash, CheckedBlock, Reader, Stage, Store, U256,
    params::{DOWNLOAD_WINDOW, SIDE_BYTES_PER_PEER, UNSOLICITED_DEPTH},
};

use crate::{
    node_store::heavy,
    support::{
        builder::{Builder, Wallet, hash, regtest},
        shell::Shell,
    },
};

/// Together they could be asked for more than the window.
const PEERS: u64 = 8;

/// What was asked of all peers since the last look, each once.
fn asked(shell: &mut Shell) -> BTreeSet<BlockHash> {
    let asked: Vec<_> = (1..=PEERS)
        .flat_map(|peer| shell.asked_blocks(peer))
        .collect();
    let once: BTreeSet<_> = asked.iter().copied().collect();
    assert_eq!(once.len(), asked.len(), "each of one peer");
    once
}

fn hashes(blocks: &[CheckedBlock]) -> BTreeSet<BlockHash> {
    blocks.iter().map(hash).collect()
}

/// R1: the window above the lowest block that is not executed, and not a block beyond it; it
/// moves up with what is executed.
#[test]
fn r1_bodies_are_asked_for_within_the_window() {
    let mut builder = Builder::new(regtest(&[]));
    let chain = builder.chain(builder.genesis, 2 * DOWNLOAD_WINDOW);
    let mut shell = Shell::new(&builder.spec);
    for peer in 1..=PEERS {
        shell.connect(peer);
        shell.claim(peer, &chain[chain.len() - 1]);
    }
    shell.headers(1, &chain);
    assert_eq!(asked(&mut shell), hashes(&chain[..DOWNLOAD_WINDOW]));
    for block in &chain[..10] {
        shell.own(block);
    }
    let next = &chain[DOWNLOAD_WINDOW..DOWNLOAD_WINDOW + 10];
    assert_eq!(asked(&mut shell), hashes(next));
}

fn work(block: &CheckedBlock) -> U256 {
    block.header().header().extension.chain_work
}

fn has(shell: &Shell, block: &CheckedBlock) -> bool {
    shell.node.forest().tree().find(&hash(block)).is_some()
}

/// F2: a chain with exactly the least work is taken, by depth and by the owner's minimum; one
/// with less is not.
#[test]
fn f2_the_least_work_is_enough() {
    let mut builder = Builder::new(regtest(&[]));
    let depth = usize::try_from(UNSOLICITED_DEPTH).unwrap();
    let chain = builder.chain(builder.genesis, depth + 2);
    let [low, least] = [builder.genesis, hash(&chain[0])].map(|parent| builder.mine(parent));
    let mut shell = Shell::new(&builder.spec);
    for block in &chain {
        shell.own(block);
    }
    let own = work(&chain[1]) - work(&chain[0]);
    assert_eq!(
        work(&least),
        work(&chain[depth + 1]) - own * U256::from(depth)
    );
    shell.gossip(1, &low);
    shell.gossip(1, &least);
    assert!(!has(&shell, &low) && has(&shell, &least));

    let rivals = [(), ()].map(|()| builder.mine(hash(&chain[depth])));
    shell
        .node
        .set_min_chain_work(work(&rivals[0]) + U256::from(1));
    shell.gossip(1, &rivals[0]);
    assert!(!has(&shell, &rivals[0]));
    shell.node.set_min_chain_work(work(&rivals[1]));
    shell.gossip(1, &rivals[1]);
    assert!(has(&shell, &rivals[1]));
}

/// R1: a body that lies on the way to a better header stays, however much its sender's others
/// take up.
#[test]
fn r1_a_needed_body_is_not_given_up() {
    let wallet = Wallet::new(1);
    let mut builder = Builder::new(regtest(&[&wallet]));
    let transactions = heavy(&wallet);
    let main = builder.chain(builder.genesis, 4);
    let first = builder.mine(builder.genesis);
    let needed = builder.mine_with(hash(&first), &transactions);
    let rest = builder.chain(hash(&needed), 4);
    let branch = [&[first, needed.clone()][..], &rest].concat();
    let mut shell = Shell::new(&builder.spec);
    shell.connect(1);
    for block in &main {
        shell.own(block);
    }
    let stage = |shell: &Shell, block: &CheckedBlock| {
        let db = shell.store.snapshot().unwrap();
        db.stage(&hash(block)).unwrap()
    };
    shell.headers(1, &branch[..2]);
    shell.gossip(1, &needed);
    assert_eq!(stage(&shell, &needed), Some(Stage::Body), "a side branch's");
    shell.headers(1, &branch);
    let room = SIDE_BYTES_PER_PEER as usize / (16 * 130_000);
    let others: Vec<_> = (0..room + 3)
        .map(|_| builder.mine_with(builder.genesis, &transactions))
        .collect();
    for block in &others {
        shell.gossip(1, block);
    }
    assert_eq!(stage(&shell, &others[0]), Some(Stage::Header), "given up");
    assert_eq!(stage(&shell, &needed), Some(Stage::Body));
}
