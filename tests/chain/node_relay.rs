//! What a node passes on: a block is news to others whatever way parts of it came here before.

use chain::{CheckedBlock, Input, Peer, Request, Ticket, U256, Verdict, params::REQUEST_BUDGET};

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

/// The header alone of a block that a peer gossips.
fn announce(shell: &mut Shell, from: u64, block: &CheckedBlock) -> Verdict {
    let (from, header) = (Peer(from), block.header().clone());
    shell.input(Input::Announced { from, header })
}

/// How often a peer was asked for headers; forgets it.
fn asked_headers(shell: &mut Shell, of: u64) -> usize {
    let sent = std::mem::take(&mut shell.out.sent);
    let is_question =
        |(to, request): &&(Peer, Request)| to.0 == of && matches!(request, Request::Headers(_));
    sent.iter().filter(is_question).count()
}

/// P7: a gossiped block of which no more than the header is looked at is not kept, not passed on
/// and not punished: its sender is asked for headers, and followed if they have the work.
#[test]
fn p7_the_header_of_a_gossiped_block_leads_to_headers() {
    let (mut builder, mut shell) = world();
    let chain = builder.chain(builder.genesis, 3);
    shell.connect(1);
    assert_eq!(announce(&mut shell, 1, &chain[2]), Verdict::Ignore);
    assert_eq!(asked_headers(&mut shell, 1), 1);
    assert!(shell.node.orphans().is_empty());
    assert_eq!(shell.node.forest().tree().find(&hash(&chain[2])), None);
    let headers = chain.iter().map(|block| block.header().clone()).collect();
    let from = Peer(1);
    shell.input(Input::Headers { from, headers });
    assert_eq!(shell.asked_blocks(1).len(), 3);
    assert_eq!(shell.node.sync().summaries()[0].points, 0);
}

/// That of a block that is here says where its sender stands, and no more.
#[test]
fn the_header_of_a_known_block_is_a_claim() {
    let (mut builder, mut shell) = world();
    let block = builder.mine(builder.genesis);
    shell.own(&block);
    shell.connect(1);
    assert_eq!(announce(&mut shell, 1, &block), Verdict::Ignore);
    assert_eq!(asked_headers(&mut shell, 1), 0);
    let claimed = block.header().rank().chain_work();
    assert_eq!(shell.node.sync().summaries()[0].chain_work, Some(claimed));
}

/// Threat C2: that of a chain which does not even claim the work to be kept leads to nothing.
#[test]
fn c2_the_header_of_a_chain_of_little_work_leads_to_nothing() {
    let (mut builder, mut shell) = world();
    let block = builder.mine(builder.genesis);
    shell.connect(1);
    shell.node.set_min_chain_work(U256::MAX >> 1);
    assert_eq!(announce(&mut shell, 1, &block), Verdict::Ignore);
    assert_eq!(asked_headers(&mut shell, 1), 0);
    let work = block.header().rank().chain_work();
    shell.node.set_min_chain_work(work);
    announce(&mut shell, 1, &block);
    assert_eq!(asked_headers(&mut shell, 1), 1, "just enough");
}

/// P2: an honest node that catches up forwards what is news to it and old to us, as fast as a third
/// one sends it: that takes nothing from its credit, nor from what it may ask us.
#[test]
fn p2_headers_of_gossip_cost_an_honest_relay_nothing() {
    let (mut builder, mut shell) = world();
    let block = builder.mine(builder.genesis);
    shell.own(&block);
    shell.connect(1);
    for _ in 0..3 * REQUEST_BUDGET {
        announce(&mut shell, 1, &block);
    }
    assert_eq!(shell.node.sync().summaries()[0].points, 0);
    let request = Request::Headers(vec![builder.genesis]);
    let (from, ticket) = (Peer(1), Ticket(7));
    shell.input(Input::Request {
        from,
        ticket,
        request,
    });
    assert_eq!(shell.out.declined, []);
    assert_eq!(shell.out.disconnected, []);
}

/// Those of children of a block that has failed lead to no question.
#[test]
fn the_header_of_a_child_of_an_invalid_block_leads_to_nothing() {
    let (mut builder, mut shell) = world();
    let spoil = |block: &mut chain::Block| block.header.extension.state_root.0[9] ^= 1;
    let plan = Plan {
        alter: &spoil,
        ..Plan::default()
    };
    let bad = builder.plan(builder.genesis, &plan);
    let child = builder.mine(hash(&bad));
    shell.connect(1);
    shell.gossip(2, &bad);
    assert_eq!(announce(&mut shell, 1, &bad), Verdict::Ignore);
    assert_eq!(announce(&mut shell, 1, &child), Verdict::Ignore);
    assert_eq!(asked_headers(&mut shell, 1), 0);
}
