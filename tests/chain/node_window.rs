//! R1: how far ahead bodies are asked for, however many peers could give them.

use std::collections::BTreeSet;

use chain::{BlockHash, CheckedBlock, params::DOWNLOAD_WINDOW};

use crate::support::{
    builder::{Builder, hash, regtest},
    shell::Shell,
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
