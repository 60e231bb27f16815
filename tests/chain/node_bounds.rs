//! R1, C3: what others make us keep, execute and send is bounded.

use chain::{
    BlockHash, CheckedBlock, Fault, Input, Peer, Request, Stage, Ticket, Verdict,
    params::{
        BLOCKS_BYTES_MAX, HEADER_WIRE_BYTES, HEADERS_MAX, ORPHANS_PER_PEER, SERVED_BURST_BYTES,
        SERVED_BYTES, UNANNOUNCED_MAX,
    },
    sync::weight,
};

use crate::support::{
    builder::{Builder, Wallet, hash, headers, regtest},
    shell::Shell,
};

/// Blocks that wait to be announced by us are bounded, the oldest forgotten first.
#[test]
fn r1_unannounced_blocks_are_bounded() {
    let mut builder = Builder::new(regtest(&[]));
    let mut siblings: Vec<_> = (0..=UNANNOUNCED_MAX)
        .map(|_| builder.mine(builder.genesis))
        .collect();
    siblings.sort_by_key(|block| hash(block).number());
    for is_best_last in [false, true] {
        let mut shell = Shell::new(&builder.spec);
        for block in &siblings {
            let block = block.clone();
            // One step each: all are there before the best is executed.
            shell.step(Input::Block { from: None, block });
        }
        shell.settle();
        let best = hash(
            siblings
                .iter()
                .min_by_key(|block| hash(block).number())
                .unwrap(),
        );
        assert_eq!(shell.head(), best);
        assert_eq!(shell.out.blocks.len(), usize::from(is_best_last));
        siblings.reverse();
    }
}

/// Bodies in memory for a branch that is no candidate any more are let go, charged to their
/// senders, and loaded from the store when it is one again.
#[test]
fn r1_blocks_off_the_path_leave_memory() {
    let mut builder = Builder::new(regtest(&[]));
    let ours = builder.chain(builder.genesis, 12);
    let theirs = builder.chain(builder.genesis, 10);
    let mut shell = Shell::new(&builder.spec);
    shell.connect(1);
    for block in &ours[..8] {
        shell.own(block);
    }
    shell.headers(1, &theirs);
    // All but the lowest: they wait for it.
    for block in &theirs[1..] {
        shell.gossip(1, block);
    }
    for block in &ours[8..] {
        shell.own(block);
    }
    assert_eq!(shell.head(), hash(&ours[11]));
    let more = builder.chain(hash(&theirs[9]), 3);
    for block in theirs[..1].iter().chain(&more) {
        shell.gossip(1, block);
    }
    assert_eq!(shell.head(), hash(&more[2]));
    let loads = shell.out.loads;
    assert!(
        loads >= theirs.len(),
        "{loads}: none of the branch had stayed"
    );
    shell.assert_head_is_best_held();
}

/// A request costs what its answer weighs, as far as that is known.
#[test]
fn r1_weights_of_requests() {
    let wallet = Wallet::new(1);
    let mut builder = Builder::new(regtest(&[&wallet]));
    let payment = wallet.pay(0, wallet.address, 1);
    let mut chain = vec![builder.mine_with(builder.genesis, std::slice::from_ref(&payment))];
    chain.extend(builder.chain(hash(&chain[0]), HEADERS_MAX + 5));
    let mut shell = Shell::new(&builder.spec);
    for block in &chain {
        shell.own(block);
    }
    let side = builder.mine(builder.genesis);
    shell.connect(1);
    let waiting = wallet.pay(1, wallet.address, 1);
    let bytes = waiting.bytes().len() as u64;
    shell.input(Input::Submitted {
        ticket: Ticket(1),
        transaction: waiting.clone(),
    });
    let weigh = |request: &Request| weight(request, shell.node.forest(), &shell.node.pool());
    let wire = HEADER_WIRE_BYTES as u64;
    let full = HEADERS_MAX as u64 * wire;
    assert_eq!(weigh(&Request::Status(shell.node.status(shell.now))), 0);
    assert_eq!(weigh(&Request::Headers(vec![builder.genesis])), full);
    assert_eq!(
        weigh(&Request::Headers(vec![hash(&side)])),
        full,
        "as from genesis"
    );
    let near = vec![hash(&side), hash(&chain[HEADERS_MAX]), builder.genesis];
    assert_eq!(weigh(&Request::Headers(near)), 5 * wire);
    assert_eq!(weigh(&Request::Headers(vec![shell.head()])), 0);
    let sizes = chain[0].size() as u64 + chain[1].size() as u64;
    let blocks = vec![hash(&chain[0]), hash(&side), hash(&chain[1])];
    assert_eq!(weigh(&Request::Blocks(blocks)), sizes);
    let hashes = vec![waiting.hash(), payment.hash()];
    assert_eq!(weigh(&Request::Transactions(hashes)), bytes);
}

/// A peer that asks for far more bytes than its budget is declined, then charged, then let go;
/// the budget grows again with time.
#[test]
fn r1_bytes_are_budgeted() {
    let mut builder = Builder::new(regtest(&[]));
    let chain = builder.chain(builder.genesis, HEADERS_MAX);
    let mut shell = Shell::new(&builder.spec);
    for block in &chain {
        shell.own(block);
    }
    shell.connect(1);
    let from = Peer(1);
    let answer = (HEADERS_MAX * HEADER_WIRE_BYTES) as u64;
    let ask = |shell: &mut Shell| {
        let ticket = Ticket(0);
        let request = Request::Headers(vec![builder.genesis]);
        shell.step(Input::Request {
            from,
            ticket,
            request,
        });
    };
    let (served, free) = (SERVED_BURST_BYTES / answer, SERVED_BYTES / answer);
    for _ in 0..served + free {
        ask(&mut shell);
    }
    assert_eq!(shell.out.served.len() as u64, served);
    assert_eq!(shell.out.declined.len() as u64, free);
    let points = |shell: &Shell| shell.node.sync().summaries()[0].points;
    assert_eq!(points(&shell), 0);
    for _ in 0..Fault::LIMIT - 1 {
        ask(&mut shell);
    }
    assert_eq!(points(&shell), Fault::LIMIT - 1);
    assert_eq!(shell.out.disconnected, []);
    shell.pass(10);
    for _ in 0..free {
        ask(&mut shell);
    }
    assert_eq!(shell.out.served.len() as u64, served + free);
    assert_eq!(points(&shell), Fault::LIMIT - 2, "one is forgiven");
    assert!(SERVED_BYTES / BLOCKS_BYTES_MAX as u64 > 20);
}

/// A chain of blocks at 256 hashes each, and from its first block thousands that are made cheap
/// by legal gaps: less work together than the head has.
fn old_branch(main: usize, cheap: usize) -> (Builder, Vec<CheckedBlock>, Vec<CheckedBlock>) {
    let mut spec = regtest(&[]);
    (spec.spacing_secs, spec.half_life_secs) = (10, 60);
    spec.genesis_bits.0 = 0x2000_ffff;
    let mut builder = Builder::new(spec);
    let (genesis, start) = (builder.genesis, builder.spec.genesis_time);
    let mut grow = |parent, from, gaps: &mut dyn Iterator<Item = u32>| {
        let (mut at, mut time, mut out) = (parent, from, Vec::new());
        for gap in gaps {
            time += gap;
            out.push(builder.mine_at(at, time));
            at = hash(out.last().unwrap());
        }
        out
    };
    let main = grow(genesis, start, &mut (0..main).map(|_| 10));
    let gaps = |index| if index < 10 { 120 } else { 10 };
    let cheap = grow(hash(&main[0]), start + 10, &mut (0..cheap).map(gaps));
    (builder, main, cheap)
}

/// C3, Rule F2: 5,000 cheap blocks from a branch point 1,199 below the head, by gossip from one
/// end and the other, as headers, and as what was asked for: nothing is executed, kept or
/// charged, and the head stays.
#[test]
fn f2_c3_thousands_of_cheap_blocks_from_far_below() {
    let (mut builder, main, cheap) = old_branch(1_200, 5_000);
    let work = |block: &CheckedBlock| block.header().header().extension.chain_work;
    assert!(work(&cheap[4_999]) < work(&main[1_199]) / chain::U256::from(4));
    let mut shell = Shell::new(&builder.spec);
    shell.connect(1);
    for block in &main {
        shell.own(block);
    }
    let (head, executed) = (shell.head(), shell.ledger.executions());
    for block in &cheap {
        assert_eq!(shell.gossip(2, block), Verdict::Ignore);
    }
    for block in cheap.iter().rev() {
        assert_eq!(shell.gossip(3, block), Verdict::Ignore);
        assert!(shell.node.orphans().len() <= 2 * ORPHANS_PER_PEER);
    }
    for answer in cheap.chunks(HEADERS_MAX) {
        shell.headers(1, answer);
    }
    shell.pass(60);
    for block in &cheap[..600] {
        shell.gossip(1, block);
    }
    assert_eq!(shell.ledger.executions(), executed, "nothing is executed");
    assert_eq!(shell.head(), head);
    assert_eq!(shell.node.forest().tree().len(), 1_201, "nothing is kept");
    assert_eq!(shell.asked_blocks(1), [], "nor asked for");
    assert!(shell.node.orphans().len() <= 3 * ORPHANS_PER_PEER);
    shell.assert_head_is_best_held();
    let next = builder.mine(head);
    assert_eq!(shell.gossip(2, &next), Verdict::Accept);
    assert_eq!(shell.head(), hash(&next), "the chain goes on");
}

/// C3, Rule F2: the same from a branch point within reach of the threshold: the blocks are kept,
/// within their senders' budgets, and not executed.
#[test]
fn f2_c3_cheap_blocks_from_a_near_branch_point() {
    let (builder, main, cheap) = old_branch(100, 2_000);
    let mut shell = Shell::new(&builder.spec);
    shell.connect(1);
    for block in &main {
        shell.own(block);
    }
    let executed = shell.ledger.executions();
    shell.input(Input::Headers {
        from: Peer(1),
        headers: headers(&cheap[..1]),
    });
    for block in &cheap {
        shell.gossip(1, block);
    }
    assert_eq!(shell.ledger.executions(), executed);
    let forest = shell.node.forest();
    let held = forest.branches(10);
    let side = held
        .iter()
        .find(|branch| branch.tip.hash == hash(&cheap[1_999]));
    assert_eq!(side.map(|side| side.stage), Some(Stage::Body));
    assert_eq!(shell.head(), hash(&main[99]));
    shell.assert_head_is_best_held();
}

/// C3: thousands of cheap branches from the path to a better header, as anybody can make while a
/// new node is far below, cost no second look at what they share: looking again takes minutes here.
#[test]
fn c3_many_tips_share_one_walk() {
    let mut builder = Builder::new(regtest(&[]));
    let chain = builder.chain(builder.genesis, 300);
    let mut shell = Shell::new(&builder.spec);
    shell.connect(1);
    shell.headers(1, &chain);
    let base = headers(&chain);
    for tip in 0..3_000 {
        let gaps = std::iter::once(2 + tip);
        let branch = builder.headers_after(builder.genesis, &base[..250], gaps, 7);
        let mut status = shell.node.status(shell.now);
        (status.head, status.chain_work) = (BlockHash([0xee; 32]), [0xff; 32]);
        let from = Peer(1);
        shell.input(Input::Status { from, status });
        let headers = branch[250..].to_vec();
        shell.input(Input::Headers { from, headers });
    }
    assert_eq!(shell.node.forest().tips().count(), 3_001);
    // An idle peer that has nothing of all that: every look goes through all tips.
    shell.connect(2);
    for _ in 0..1_000 {
        shell.step(Input::Tick);
    }
    let asked = shell.node.sync().bodies_under_way();
    assert_eq!(asked, 64, "all of the first peer");
}
