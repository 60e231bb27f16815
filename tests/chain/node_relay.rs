//! What a node passes on: a block is news to others whatever way parts of it came here before.

use chain::Verdict;

use crate::support::{
    builder::{Builder, Plan, hash, regtest},
    shell::Shell,
};

fn world() -> (Builder, Shell) {
    let builder = Builder::new(regtest(&[]));
    let shell = Shell::new(&builder.spec);
    (builder, shell)
}

/// A block whose header came first by sync is forwarded like any other.
#[test]
fn a_gossiped_block_of_a_known_header_is_forwarded() {
    let (mut builder, mut shell) = world();
    let block = builder.mine(builder.genesis);
    shell.connect(1);
    shell.headers(1, std::slice::from_ref(&block));
    assert_eq!(shell.gossip(2, &block), Verdict::Accept);
    assert_eq!(shell.gossip(3, &block), Verdict::Ignore, "once");
    assert_eq!(shell.head(), hash(&block));
}

/// So is one that gossip brings from the very peer that has been asked for it. Found by the model
/// checker: on a line of three nodes the last one heard of no block whose status went ahead of it.
#[test]
fn a_gossiped_block_is_forwarded_though_its_sender_was_asked() {
    let (mut builder, mut shell) = world();
    let block = builder.mine(builder.genesis);
    shell.connect(1);
    shell.headers(1, std::slice::from_ref(&block));
    assert_eq!(shell.asked_blocks(1), [hash(&block)]);
    assert_eq!(shell.gossip(1, &block), Verdict::Accept);
    assert_eq!(shell.gossip(3, &block), Verdict::Ignore, "once");
}

/// A head that was not announced, because a block on it was to be executed first, is announced
/// when that block fails. Found by the model checker.
#[test]
fn an_invalid_child_does_not_silence_its_parent() {
    let (mut builder, mut shell) = world();
    let first = builder.mine(builder.genesis);
    let second = builder.mine(hash(&first));
    let spoil = |block: &mut chain::Block| block.header.extension.state_root.0[9] ^= 1;
    let plan = Plan {
        alter: &spoil,
        ..Plan::default()
    };
    let spoiled = builder.plan(hash(&second), &plan);
    // Both come as orphans, so gossip forwards neither.
    assert_eq!(shell.gossip(1, &spoiled), Verdict::Ignore);
    assert_eq!(shell.gossip(1, &second), Verdict::Ignore);
    assert_eq!(shell.gossip(1, &first), Verdict::Accept);
    assert_eq!(shell.head(), hash(&second));
    let announced: Vec<_> = shell.out.blocks.iter().map(hash).collect();
    assert_eq!(announced, [hash(&second)]);
    shell.assert_head_is_best_held();
}

/// A block that came before its time is announced once when its time has come, also where sync has
/// brought its header meanwhile: gossip did not forward it, and passes on nothing twice.
#[test]
fn an_early_block_is_announced_though_its_header_came_first() {
    let (mut builder, mut shell) = world();
    let time = u32::try_from(shell.now.unix_secs).unwrap() + 7_210;
    let block = builder.mine_at(builder.genesis, time);
    shell.connect(1);
    for has_header in [false, true] {
        let mut shell = shell.clone();
        assert_eq!(shell.gossip(2, &block), Verdict::Ignore, "too early");
        shell.now.unix_secs += 20;
        if has_header {
            shell.headers(1, std::slice::from_ref(&block));
            assert_eq!(shell.node.forest().tree().len(), 2);
        }
        assert!(shell.out.blocks.is_empty());
        shell.pass(3);
        assert_eq!(shell.head(), hash(&block));
        let announced: Vec<_> = shell.out.blocks.iter().map(hash).collect();
        assert_eq!(announced, [hash(&block)], "has its header: {has_header}");
    }
}

/// Where its body has come by gossip meanwhile, it has been forwarded, and is not announced again.
#[test]
fn an_early_block_that_came_again_is_not_announced_twice() {
    let (mut builder, mut shell) = world();
    let time = u32::try_from(shell.now.unix_secs).unwrap() + 7_210;
    let block = builder.mine_at(builder.genesis, time);
    assert_eq!(shell.gossip(2, &block), Verdict::Ignore, "too early");
    shell.now.unix_secs += 20;
    assert_eq!(shell.gossip(1, &block), Verdict::Accept);
    shell.pass(3);
    assert!(shell.out.blocks.is_empty());
    assert!(shell.node.early().is_empty());
}
