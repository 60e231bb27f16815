//! Fork choice in whole nodes: order of arrival, ties, laziness, withheld bodies, orphans.

use chain::{CheckedBlock, Effect, Event, Fault, Input, Peer, Verdict};

use crate::support::{
    builder::{Builder, GWEI, Wallet, hash, headers, regtest},
    shell::Shell,
};

fn world() -> (Builder, Shell) {
    let builder = Builder::new(regtest(&[&Wallet::new(1), &Wallet::new(2)]));
    let shell = Shell::new(&builder.spec);
    (builder, shell)
}

/// Two branches from one parent: the first block with the lower hash, then the higher.
fn tie(builder: &mut Builder) -> (CheckedBlock, CheckedBlock) {
    let (a, b) = (builder.mine(builder.genesis), builder.mine(builder.genesis));
    if hash(&a).number() < hash(&b).number() {
        (a, b)
    } else {
        (b, a)
    }
}

/// A tree of seven blocks with side branches and transactions on both of them.
fn small_tree(builder: &mut Builder) -> Vec<CheckedBlock> {
    let (one, two) = (Wallet::new(1), Wallet::new(2));
    let a1 = builder.mine_with(builder.genesis, &[one.pay(0, two.address, 5)]);
    let a2 = builder.mine_with(hash(&a1), &[two.pay(0, one.address, 7)]);
    let b1 = builder.mine_with(builder.genesis, &[two.pay(0, one.address, 9)]);
    let b2 = builder.mine_with(hash(&b1), &[one.pay(0, two.address, 5)]);
    let b3 = builder.mine(hash(&b2));
    let c2 = builder.mine(hash(&a1));
    vec![a1, a2, b1, b2, b3, c2]
}

fn permutations(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    let mut out = Vec::new();
    for shorter in permutations(n - 1) {
        for at in 0..n {
            let mut order = shorter.clone();
            order.insert(at, n - 1);
            out.push(order);
        }
    }
    out
}

/// Rule F1: at equal work the numerically lower hash is the head, in either order of arrival.
#[test]
fn f1_tie_by_hash() {
    for _ in 0..20 {
        let (mut builder, mut first) = world();
        let mut second = Shell::new(&builder.spec);
        let (low, high) = tie(&mut builder);
        first.gossip(1, &low);
        first.gossip(1, &high);
        second.gossip(1, &high);
        second.gossip(1, &low);
        assert_eq!(first.head(), hash(&low));
        assert_eq!(second.head(), hash(&low));
    }
}

/// Rule F1: all 720 orders of six blocks, with orphans, end in the same head and state.
#[test]
fn f1_every_order_of_gossip() {
    let (mut builder, _) = world();
    let blocks = small_tree(&mut builder);
    let head = hash(&blocks[4]);
    for order in permutations(blocks.len()) {
        let mut shell = Shell::new(&builder.spec);
        for index in &order {
            shell.gossip(1, &blocks[*index]);
            shell.assert_head_is_best_held();
        }
        assert_eq!(shell.head(), head, "{order:?}");
        assert_eq!(shell.node.head_state(), builder.state(&head), "{order:?}");
        assert!(shell.node.orphans().is_empty(), "{order:?}");
    }
}

/// Rule F2: headers first, then the bodies in any order, end in the same head; a block that came
/// before its parent's header is remembered.
#[test]
fn f2_headers_then_bodies_in_every_order() {
    let (mut builder, _) = world();
    let blocks = small_tree(&mut builder);
    let head = hash(&blocks[4]);
    let branches: [&[usize]; 3] = [&[0, 1], &[2, 3, 4], &[0, 5]];
    for (round, order) in permutations(blocks.len()).into_iter().enumerate() {
        let mut shell = Shell::new(&builder.spec);
        shell.connect(1);
        // The headers come in the middle of the bodies, earlier or later.
        let (before, after) = order.split_at(round % 4);
        for index in before {
            shell.gossip(2, &blocks[*index]);
        }
        for branch in branches {
            let branch: Vec<_> = branch.iter().map(|index| blocks[*index].clone()).collect();
            shell.headers(1, &branch);
            shell.assert_head_is_best_held();
        }
        for index in after {
            shell.gossip(2, &blocks[*index]);
            shell.assert_head_is_best_held();
        }
        assert_eq!(shell.head(), head, "{order:?}");
        assert_eq!(shell.node.head_state(), builder.state(&head), "{order:?}");
        assert!(shell.node.orphans().is_empty(), "{order:?}");
    }
}

/// An orphan joins when its parent's header comes by sync, not only when a block does.
#[test]
fn an_orphan_joins_after_headers() {
    let (mut builder, mut shell) = world();
    let chain = builder.chain(builder.genesis, 3);
    shell.connect(1);
    shell.connect(2);
    assert_eq!(shell.gossip(1, &chain[2]), Verdict::Ignore);
    assert_eq!(shell.node.orphans().len(), 1);
    // The other peer does not know the last one.
    shell.headers(2, &chain[..2]);
    assert!(shell.node.orphans().is_empty());
    shell.gossip(2, &chain[0]);
    shell.gossip(2, &chain[1]);
    assert_eq!(shell.head(), hash(&chain[2]));
    assert_eq!(shell.out.blocks.len(), 1, "and is announced by us");
}

/// Rule F2: a branch that never outranks the head is kept and not executed.
#[test]
fn f2_a_side_branch_is_not_executed() {
    let (mut builder, mut shell) = world();
    let main = builder.chain(builder.genesis, 6);
    let side = builder.chain(builder.genesis, 5);
    for block in &main {
        shell.gossip(1, block);
    }
    assert_eq!(shell.ledger.executions(), 6);
    for block in &side {
        assert_eq!(
            shell.gossip(1, block),
            Verdict::Accept,
            "near enough to be relayed"
        );
    }
    assert_eq!(shell.ledger.executions(), 6);
    // Two more and it is the best: all of it is executed, once.
    let more = builder.chain(hash(&side[4]), 2);
    for block in &more {
        shell.gossip(1, block);
    }
    assert_eq!(shell.head(), hash(&more[1]));
    assert_eq!(shell.ledger.executions(), 13);
    shell.assert_head_is_best_held();
}

/// C3, Rule F2: from an old branch point the difficulty is eased by legal gaps and hundreds of cheap
/// blocks follow. They are no candidates: nothing of them is executed or asked for.
#[test]
fn f2_c3_cheap_blocks_from_an_old_branch_point() {
    let mut spec = regtest(&[]);
    (spec.spacing_secs, spec.half_life_secs) = (10, 60);
    spec.genesis_bits.0 = 0x2000_ffff;
    let mut builder = Builder::new(spec);
    let mut shell = Shell::new(&builder.spec);
    shell.connect(1);
    let start = builder.spec.genesis_time;
    let (mut at, mut time) = (builder.genesis, start);
    let mut main = Vec::new();
    for _ in 0..30 {
        time += 8;
        main.push(builder.mine_at(at, time));
        at = hash(main.last().unwrap());
    }
    for block in &main {
        shell.gossip(2, block);
    }
    assert_eq!(shell.head(), at);
    let executed = shell.ledger.executions();
    // The attacker's stamps lie 2·hl apart until the target is at its limit, then follow.
    let (mut at, mut time) = (builder.genesis, start);
    let mut cheap = Vec::new();
    for index in 0..400 {
        time += if index < 10 { 120 } else { 10 };
        cheap.push(builder.mine_at(at, time));
        at = hash(cheap.last().unwrap());
    }
    let work = |block: &CheckedBlock| block.header().header().extension.chain_work;
    assert!(cheap.len() > 10 * main.len() && work(&cheap[399]) < work(&main[29]));
    for block in &cheap {
        shell.gossip(3, block);
    }
    shell.headers(1, &cheap);
    shell.pass(60);
    for block in &cheap {
        shell.gossip(1, block);
    }
    assert_eq!(
        shell.ledger.executions(),
        executed,
        "nothing of it is executed"
    );
    assert_eq!(shell.asked_blocks(1), [], "nor asked for");
    shell.assert_head_is_best_held();
    // The honest chain goes on as if nothing had been.
    let next = builder.mine(hash(&main[29]));
    assert_eq!(shell.gossip(2, &next), Verdict::Accept);
    assert_eq!(shell.head(), hash(&next));
}

/// Rule F2: a better header whose body never comes holds up no other branch, whoever sent what.
#[test]
fn f2_a_withheld_body_holds_up_nobody() {
    let (mut builder, mut shell) = world();
    let base = builder.mine(builder.genesis);
    let withheld = builder.chain(hash(&base), 300);
    let too = builder.chain(hash(&base), 299);
    let honest = builder.chain(hash(&base), 5);
    shell.gossip(2, &base);
    shell.connect(1);
    shell.headers(1, &withheld);
    shell.headers(1, &too);
    // Its peer claims to have it, does not answer, and is gone.
    assert!(!shell.asked_blocks(1).is_empty());
    shell.input(Input::Disconnected(Peer(1)));
    shell.connect(2);
    shell.claim(2, &honest[4]);
    let asked = shell
        .out
        .sent
        .iter()
        .any(|(to, request)| *to == Peer(2) && matches!(request, chain::Request::Headers(_)));
    assert!(
        asked,
        "a peer ahead of our head is asked, whatever headers we have seen"
    );
    let input = Input::Headers {
        from: Peer(2),
        headers: headers(&honest),
    };
    shell.input(input);
    let asked = shell.asked_blocks(2);
    assert!(
        honest.iter().all(|block| asked.contains(&hash(block))),
        "and for its bodies"
    );
    // It lacks the others, which costs it nothing, and is not asked for them again and again.
    let request = chain::Request::Blocks(asked);
    shell.input(Input::Answered {
        from: Peer(2),
        request,
    });
    let again = shell.asked_blocks(2);
    assert!(withheld.iter().all(|block| !again.contains(&hash(block))));
    assert_eq!(shell.out.disconnected, []);
    for block in &honest {
        shell.gossip(2, block);
    }
    assert_eq!(shell.head(), hash(&honest[4]));
    let own = builder.mine(hash(&honest[4]));
    shell.out.blocks.clear();
    shell.own(&own);
    assert_eq!(shell.head(), hash(&own));
    assert_eq!(
        shell.out.blocks.len(),
        1,
        "our own block is announced all the same"
    );
    shell.assert_head_is_best_held();
}

/// Gossip forwards blocks down to six head blocks' work below the head, and no older ones.
#[test]
fn relay_depth() {
    let (mut builder, mut shell) = world();
    let main = builder.chain(builder.genesis, 10);
    for block in &main {
        shell.gossip(1, block);
    }
    let verdicts: Vec<_> = (1..10)
        .map(|height: usize| {
            let parent = if height == 1 {
                builder.genesis
            } else {
                hash(&main[height - 2])
            };
            let side = builder.mine(parent);
            shell.gossip(1, &side)
        })
        .collect();
    let accepted = verdicts
        .iter()
        .filter(|verdict| **verdict == Verdict::Accept)
        .count();
    assert_eq!(accepted, 6, "{verdicts:?}");
    assert!(
        verdicts[..3]
            .iter()
            .all(|verdict| *verdict == Verdict::Ignore)
    );
}

/// A side branch from more than 144 blocks below the head is not kept, asked for or not, unless
/// it has grown to that height.
#[test]
fn an_old_side_branch_is_kept_only_with_its_work() {
    let (mut builder, mut shell) = world();
    let main = builder.chain(builder.genesis, 150);
    for block in &main {
        shell.own(block);
    }
    let old = builder.mine(hash(&main[2]));
    let near = builder.mine(hash(&main[8]));
    let known = |shell: &Shell, block| shell.node.forest().tree().find(&hash(block)).is_some();
    shell.gossip(1, &old);
    assert!(!known(&shell, &old));
    shell.gossip(1, &near);
    assert!(known(&shell, &near));
    shell.connect(2);
    let mut branch = vec![old.clone()];
    branch.push(builder.mine(hash(&old)));
    shell.headers(2, &branch);
    assert!(!known(&shell, &old));
    branch.push(builder.mine(hash(&branch[1])));
    // Height 6 of 150.
    shell.headers(2, &branch);
    assert!(known(&shell, &old));
    assert_eq!(shell.out.disconnected, []);
}

/// A step before its `Continue` does not execute, and there is one `Continue` under way exactly
/// while there is something to execute.
#[test]
fn continue_is_asked_for_once() {
    let (mut builder, shell) = world();
    let chain = builder.chain(builder.genesis, 3);
    let mut node = shell;
    let count = |node: &mut Shell, input| {
        node.step(input);
        node.pending.len()
    };
    let block = |at: usize| Input::Block {
        from: Some(Peer(1)),
        block: chain[at].clone(),
    };
    assert_eq!(count(&mut node, Input::Tick), 0);
    assert_eq!(count(&mut node, block(1)), 0, "an orphan");
    assert_eq!(count(&mut node, block(0)), 1);
    assert_eq!(count(&mut node, block(2)), 1, "one is under way");
    assert_eq!(node.ledger.executions(), 0);
    for left in [1, 1, 0] {
        let input = node.pending.pop_front().unwrap();
        assert_eq!(count(&mut node, input), left);
    }
    assert_eq!(node.ledger.executions(), 3);
    assert_eq!(
        count(&mut node, Input::Continue),
        0,
        "a spurious one is harmless"
    );
    assert_eq!(node.head(), hash(&chain[2]));
}

/// Equal inputs give equal effects, to the byte of their text.
#[test]
fn equal_inputs_give_equal_effects() {
    let (mut builder, _) = world();
    let blocks = small_tree(&mut builder);
    let wallet = Wallet::new(1);
    let run = || {
        let mut shell = Shell::new(&builder.spec);
        shell.trace = Some(String::new());
        shell.connect(1);
        for index in [5, 3, 1, 0, 2, 4] {
            shell.gossip(1, &blocks[index]);
            let ticket = chain::Ticket(index as u64);
            let transaction = wallet.pay(index as u64, wallet.address, GWEI);
            shell.input(Input::Submitted {
                ticket,
                transaction,
            });
            shell.pass(4);
        }
        shell.trace.unwrap()
    };
    let first = run();
    assert!(first.len() > 5_000);
    assert!(first == run(), "two runs differ");
}

/// Rule F3: a reorg of six blocks is silent, one of seven raises the alarm, both are made.
#[test]
fn f3_deep_reorgs_raise_an_alarm() {
    for depth in [6, 7] {
        let (mut builder, mut shell) = world();
        let old = builder.chain(builder.genesis, depth);
        let new = builder.chain(builder.genesis, depth + 1);
        for block in old.iter().chain(&new) {
            shell.own(block);
        }
        assert_eq!(shell.head(), hash(&new[depth]));
        let alarms = shell.out.events.iter().filter(
            |event| matches!(event, Event::DeepReorg { depth: told } if *told == depth as u64),
        );
        assert_eq!(alarms.count(), usize::from(depth > 6));
    }
}

/// A peer of another genesis, version or set of upgrades is let go at once.
#[test]
fn a_wrong_network_is_disconnected() {
    let alters: [&dyn Fn(&mut chain::Status); 3] = [
        &|status| status.genesis.0[0] ^= 1,
        &|status| status.version = 2,
        &|status| status.fork_digest ^= 1,
    ];
    for alter in alters {
        let (_, mut shell) = world();
        shell.connect(1);
        let mut status = shell.node.status(shell.now);
        shell.input(Input::Status {
            from: Peer(1),
            status: status.clone(),
        });
        assert_eq!(shell.out.disconnected, []);
        alter(&mut status);
        shell.input(Input::Status {
            from: Peer(1),
            status,
        });
        assert_eq!(shell.out.disconnected, [(Peer(1), Fault::WrongNetwork)]);
    }
}

/// The batch comes first among a step's effects.
#[test]
fn a_commit_comes_before_what_depends_on_it() {
    let (mut builder, mut shell) = world();
    let block = builder.mine(builder.genesis);
    let db = chain::Store::snapshot(&shell.store).unwrap();
    let mut effects = Vec::new();
    let input = Input::Block { from: None, block };
    shell
        .node
        .step(shell.now, input, &db, &mut effects)
        .unwrap();
    let is_expected = matches!(
        effects[..],
        [
            Effect::Commit(_),
            Effect::Publish(Event::Block { .. }),
            Effect::Continue
        ]
    );
    assert!(is_expected, "{effects:?}");
}
