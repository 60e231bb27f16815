//! Reorgs of every depth, what they do to the pool, and restarts at any point.

use chain::{
    BlockId, CheckedBlock, CheckedTransaction, Event, Execution, Input, Peer, Reader, Store,
    Ticket, params::STATE_WINDOW,
};

use crate::support::{
    builder::{Builder, LGN, Wallet, hash, regtest},
    ledger::Ledger,
    shell::Shell,
};

fn world() -> (Builder, Shell, Wallet, Wallet) {
    let (one, two) = (Wallet::new(1), Wallet::new(2));
    let builder = Builder::new(regtest(&[&one, &two]));
    let shell = Shell::new(&builder.spec);
    (builder, shell, one, two)
}

/// The tips, by height and hash, worst first.
fn tips(shell: &Shell) -> Vec<BlockId> {
    let forest = shell.node.forest();
    forest.tips().map(|tip| forest.tree()[tip].id()).collect()
}

/// The state by replaying the best chain from genesis, from its blocks alone.
fn replayed(builder: &Builder, shell: &Shell) -> <Ledger as Execution>::State {
    let db = shell.store.snapshot().unwrap();
    let ledger = Ledger::fresh();
    let mut state = ledger.genesis(&builder.spec);
    for height in 1..=shell.node.head().height {
        let hash = db.canonical(height).unwrap().unwrap();
        let header = db.header(&hash).unwrap().unwrap();
        let body = db.body(&hash).unwrap().unwrap();
        let check = |bytes: &Vec<u8>| CheckedTransaction::check(bytes, 1338).unwrap();
        let transactions: Vec<_> = body.0.iter().map(check).collect();
        let none = |_| None;
        let env = chain::template::env(&builder.spec, &header, &none);
        state = ledger.execute(&state, &env, &transactions).unwrap().state;
        assert_eq!(ledger.root(&state), header.extension.state_root);
    }
    state
}

/// A branch of `length` blocks with a payment in every third.
fn branch(builder: &mut Builder, wallet: &Wallet, length: usize) -> Vec<CheckedBlock> {
    let (mut at, mut nonce, mut out) = (builder.genesis, 0, Vec::new());
    for index in 0..length {
        let payment = wallet.pay(nonce, wallet.address, index as u128);
        let list: &[CheckedTransaction] = if index % 3 == 0 {
            std::slice::from_ref(&payment)
        } else {
            &[]
        };
        nonce += list.len() as u64;
        out.push(builder.mine_with(at, list));
        at = hash(out.last().unwrap());
    }
    out
}

/// Everything a reader may ask for is as in a node that never saw another branch: state, receipts,
/// the index by height, and the pool after it was offered what the reorg has undone.
fn assert_as_without_reorg(builder: &Builder, shell: &Shell, undone: &[CheckedBlock]) {
    let mut plain = Shell::new(&builder.spec);
    let db = shell.store.snapshot().unwrap();
    for height in 1..=shell.node.head().height {
        let hash = db.canonical(height).unwrap().unwrap();
        plain.own(&shell.load(&hash));
    }
    let want = plain.store.snapshot().unwrap();
    assert_eq!(plain.head(), shell.head());
    assert_eq!(plain.node.head_state(), shell.node.head_state());
    for height in 0..=shell.node.head().height + 1 {
        let hash = want.canonical(height).unwrap();
        assert_eq!(db.canonical(height).unwrap(), hash);
        let Some(hash) = hash else { break };
        assert_eq!(db.receipts(&hash).unwrap(), want.receipts(&hash).unwrap());
        assert_eq!(db.changes(&hash).unwrap(), want.changes(&hash).unwrap());
    }
    for transaction in undone.iter().flat_map(CheckedBlock::transactions) {
        let (ticket, transaction) = (Ticket(1), transaction.clone());
        plain.input(Input::Submitted {
            ticket,
            transaction,
        });
    }
    let candidates = |shell: &Shell| shell.node.pool().candidates(0, 1_000);
    assert_eq!(candidates(&plain), candidates(shell));
    let waits = !candidates(&plain).is_empty();
    assert_eq!(
        waits,
        undone.iter().any(|block| !block.transactions().is_empty())
    );
}

/// C11, Rule F3: a reorg of 1, 10, 100 and 1,000 blocks, the last two through change sets in part,
/// ends as a replay from genesis does, and so does the way back.
#[test]
fn f3_c11_reorg_equals_replay() {
    for depth in [1, 10, 100, 140, 1_000] {
        let (mut builder, mut shell, one, two) = world();
        let old = branch(&mut builder, &one, depth);
        let new = branch(&mut builder, &two, depth + 1);
        for block in &old {
            shell.own(block);
        }
        assert_eq!(shell.head(), hash(old.last().unwrap()));
        // Solicited: the branch point may lie far below.
        shell.connect(1);
        shell.headers(1, &new);
        for block in &new {
            shell.gossip(1, block);
        }
        assert_eq!(shell.head(), hash(new.last().unwrap()), "depth {depth}");
        assert_eq!(*shell.node.head_state(), replayed(&builder, &shell));
        shell.assert_head_is_best_held();
        assert_as_without_reorg(&builder, &shell, &old);
        let told = shell.out.events.iter().any(|event| match event {
            Event::Head { undone, redone, .. } => {
                // At equal work already, if the lower hash is on the new branch.
                undone.len() == depth && redone.len() >= depth
            }
            _ => false,
        });
        assert!(told, "depth {depth}");
        let moves = shell.ledger.moves();
        assert!(
            moves <= depth as u64,
            "undone once, not for every block: {moves}"
        );
        // And back again, two blocks more.
        for block in builder.chain(hash(old.last().unwrap()), 2) {
            shell.own(&block);
        }
        assert_eq!(shell.node.head().height, depth as u64 + 2);
        assert_as_without_reorg(&builder, &shell, &new);
        assert_eq!(*shell.node.head_state(), replayed(&builder, &shell));
        assert_eq!(shell.restarted().node.head_state(), shell.node.head_state());
    }
}

/// Rule F3: an executed branch whose states are gone, by age or by a restart, is gone on with: undo
/// to the common ancestor, redo up the branch.
#[test]
fn f3_back_to_a_branch_without_states() {
    for (lead, restart) in [(140, false), (5, true), (140, true)] {
        let (mut builder, mut shell, one, two) = world();
        let old = branch(&mut builder, &one, 4);
        let new = branch(&mut builder, &two, lead);
        for block in &old {
            shell.own(block);
        }
        shell.connect(1);
        shell.headers(1, &new);
        for block in &new {
            shell.gossip(1, block);
        }
        assert_eq!(shell.head(), hash(new.last().unwrap()));
        if restart {
            shell = shell.restarted();
        }
        let more = builder.chain(hash(&old[3]), lead);
        for block in &more {
            shell.own(block);
        }
        assert_eq!(shell.head(), hash(more.last().unwrap()));
        assert_eq!(shell.node.head_state(), builder.state(&shell.head()));
        shell.assert_head_is_best_held();
    }
}

/// Rule F3: opened from the state of any executed block, as from a checkpoint, a node undoes that block
/// too when a branch from below it wins.
#[test]
fn f3_reorg_below_a_checkpoint() {
    let (mut builder, mut shell, one, two) = world();
    let rival = branch(&mut builder, &one, 3);
    let best = branch(&mut builder, &two, 6);
    for block in rival.iter().chain(&best) {
        shell.own(block);
    }
    assert_eq!(shell.head(), hash(&best[5]));
    for checkpoint in rival.iter().chain(&best) {
        for fork in [&rival[1], &rival[2], &best[0], &best[2], &best[4]] {
            let state = builder.state(&hash(checkpoint));
            let mut again = shell.restarted_at(hash(checkpoint), state);
            assert_eq!(again.node.head_state(), builder.state(&shell.head()));
            let heavier = builder.chain(hash(fork), 7);
            for block in &heavier {
                again.own(block);
            }
            assert_eq!(again.head(), hash(&heavier[6]));
            assert_eq!(again.node.head_state(), builder.state(&again.head()));
            again.assert_head_is_best_held();
        }
    }
}

/// Rule F1: a shorter branch of more work wins; the height index ends where it ends.
#[test]
fn f1_a_shorter_branch_with_more_work() {
    let mut spec = regtest(&[]);
    (spec.spacing_secs, spec.half_life_secs) = (10, 60);
    spec.genesis_bits.0 = 0x2000_ffff;
    let mut builder = Builder::new(spec);
    let mut shell = Shell::new(&builder.spec);
    let start = builder.spec.genesis_time;
    // Stamps two half-lives apart, and then none apart.
    for (count, gap) in [(8, 120), (4, 0)] {
        let mut at = builder.genesis;
        for index in 1..=count {
            let block = builder.mine_at(at, start + gap * index);
            at = hash(&block);
            shell.own(&block);
        }
        assert_eq!(shell.head(), at);
        assert_eq!(shell.node.head().height, u64::from(count));
        shell.assert_head_is_best_held();
        assert_eq!(shell.restarted().head(), at);
    }
}

/// Rule F3: blocks without any change set (no reward, no transactions) can be undone as well.
#[test]
fn f3_reorg_of_blocks_that_change_nothing() {
    let mut spec = regtest(&[]);
    spec.base.reward_wei = 0;
    let mut builder = Builder::new(spec);
    let mut shell = Shell::new(&builder.spec);
    let old = builder.chain(builder.genesis, 3);
    let new = builder.chain(builder.genesis, 4);
    for block in old.iter().chain(&new) {
        shell.own(block);
    }
    assert_eq!(shell.head(), hash(&new[3]));
    assert_eq!(shell.restarted().head(), hash(&new[3]));
}

/// M5: transactions of undone blocks go back to the pool unless the new branch has them, and can be
/// mined again; also where the blocks must be loaded first.
#[test]
fn m5_undone_transactions_return() {
    for restart in [false, true] {
        let (mut builder, mut shell, one, two) = world();
        let three = Wallet::new(3);
        let paid = [
            one.pay(0, three.address, LGN),
            one.pay(1, three.address, LGN),
            two.pay(0, three.address, LGN),
        ];
        let a1 = builder.mine_with(builder.genesis, &paid[..1]);
        let a2 = builder.mine_with(hash(&a1), &paid[1..]);
        let rival = two.pay(0, one.address, LGN);
        let b1 = builder.mine_with(builder.genesis, &[rival]);
        let b2 = builder.mine_with(hash(&b1), &paid[..1]);
        let b3 = builder.mine(hash(&b2));
        for transaction in &paid {
            let (ticket, transaction) = (Ticket(1), transaction.clone());
            shell.input(Input::Submitted {
                ticket,
                transaction,
            });
        }
        assert_eq!(shell.node.pool().len(), 3);
        for block in [&a1, &a2] {
            shell.own(block);
        }
        assert!(shell.node.pool().is_empty(), "all are mined");
        if restart {
            shell = shell.restarted();
        }
        for block in [&b1, &b2, &b3] {
            shell.gossip(1, block);
        }
        assert_eq!(shell.head(), hash(&b3));
        let pool = shell.node.pool();
        let waiting = pool.candidates(0, 10);
        assert_eq!(
            waiting,
            paid[1..2],
            "one is mined there, one has lost its nonce"
        );
        let b4 = builder.mine_with(hash(&b3), &waiting);
        shell.own(&b4);
        assert_eq!(shell.head(), hash(&b4));
        assert!(shell.node.pool().is_empty());
        assert!(!restart || shell.out.loads > 1, "{} loads", shell.out.loads);
        let db = shell.store.snapshot().unwrap();
        let place = db.transaction(&paid[1].hash()).unwrap().unwrap();
        assert_eq!(place.block, b4.id(), "the index follows the best chain");
        assert_eq!(db.transaction(&paid[2].hash()).unwrap(), None);
        let moved = db.transaction(&paid[0].hash()).unwrap().unwrap();
        assert_eq!(
            moved.block,
            BlockId {
                height: 2,
                hash: hash(&b2)
            }
        );
    }
}

/// M5, S1: a node that stops between a deep reorg and the loading of the blocks that it undid takes
/// all their transactions back when it starts again, also those from below the window of states.
#[test]
fn m5_a_crash_after_a_deep_reorg_loses_no_transactions() {
    let (mut builder, mut shell, one, two) = world();
    let depth = usize::try_from(STATE_WINDOW).unwrap() + 20;
    let old = branch(&mut builder, &one, depth);
    let new = branch(&mut builder, &two, depth + 1);
    for block in &old {
        shell.own(block);
    }
    shell.connect(1);
    shell.headers(1, &new);
    let (most, mut last) = (&new[..depth - 1], new[depth - 1..].iter());
    for block in most {
        shell.gossip(1, block);
    }
    // Until it asks for the first of them.
    while shell.out.loads == 0 {
        let next = shell.pending.pop_front().unwrap_or_else(|| {
            let (from, block) = (Some(Peer(1)), last.next().unwrap().clone());
            Input::Block { from, block }
        });
        shell.step(next);
    }
    let mut again = shell.restarted();
    let (transactions, departed) = (Vec::new(), Vec::new());
    again.input(Input::Journal {
        transactions,
        departed,
    });
    let pool = again.node.pool();
    for transaction in old.iter().flat_map(CheckedBlock::transactions) {
        let nonce = transaction.nonce();
        assert!(pool.get(&transaction.hash()).is_some(), "nonce {nonce}");
    }
}

/// Threat S1: stopped after any input and opened again, a node has the same head, state and tips, and goes on to
/// the same end.
#[test]
fn a_restart_at_any_point_changes_nothing() {
    let (mut builder, _, one, two) = world();
    let a = branch(&mut builder, &one, 5);
    let b = branch(&mut builder, &two, 6);
    let mut blocks: Vec<_> = a
        .iter()
        .zip(&b)
        .flat_map(|(a, b)| [b.clone(), a.clone()])
        .collect();
    blocks.push(b[5].clone());
    for stop in 0..=blocks.len() {
        for settled in [true, false] {
            let mut shell = Shell::new(&builder.spec);
            for block in &blocks[..stop] {
                if settled {
                    shell.gossip(1, block);
                } else {
                    let block = block.clone();
                    shell.step(Input::Block {
                        from: Some(Peer(1)),
                        block,
                    });
                }
            }
            let mut again = shell.restarted();
            assert_eq!(again.head(), shell.head());
            assert_eq!(again.node.head_state(), shell.node.head_state());
            assert_eq!(tips(&again), tips(&shell), "stopped after {stop}");
            again.input(Input::Tick);
            again.assert_head_is_best_held();
            for block in &blocks[stop..] {
                again.gossip(1, block);
            }
            assert_eq!(again.head(), hash(&b[5]), "stopped after {stop}");
            assert_eq!(again.node.head_state(), builder.state(&hash(&b[5])));
        }
    }
}

/// C12: a branch with an invalid block at each height: the head is the best valid executed block, and the
/// blocks below the bad one count if they outrank the old head.
#[test]
fn c12_a_branch_that_is_invalid_in_the_middle() {
    use crate::support::builder::Plan;
    for bad_at in 0..6 {
        let (mut builder, mut shell, _, _) = world();
        let old = builder.chain(builder.genesis, 3);
        let (mut at, mut branch) = (builder.genesis, Vec::new());
        for index in 0..6 {
            let alter = |block: &mut chain::Block| {
                block.header.extension.state_root.0[5] ^= u8::from(index == bad_at);
            };
            let plan = Plan {
                alter: &alter,
                ..Plan::default()
            };
            branch.push(builder.plan(at, &plan));
            at = hash(branch.last().unwrap());
        }
        shell.connect(1);
        for block in &old {
            shell.gossip(2, block);
        }
        shell.headers(1, &branch);
        for block in &branch {
            shell.gossip(1, block);
        }
        let best = if bad_at > 3 {
            hash(&branch[bad_at - 1])
        } else {
            hash(&old[2])
        };
        let is_tie = bad_at == 3 && hash(&branch[2]).number() < hash(&old[2]).number();
        let best = if is_tie { hash(&branch[2]) } else { best };
        assert_eq!(shell.head(), best, "invalid at {bad_at}");
        assert_eq!(shell.out.disconnected, [], "nobody could know");
        shell.assert_head_is_best_held();
        assert_eq!(shell.restarted().head(), best);
        assert_eq!(tips(&shell.restarted()), tips(&shell));
        assert!(
            !shell.restarted().node.is_syncing(),
            "the invalid ones are forgotten"
        );
        let next = builder.mine(best);
        shell.own(&next);
        assert_eq!(shell.head(), hash(&next), "and the chain goes on");
    }
}

/// C12: a deep reorg to a branch whose k-th block is invalid ends on the best valid block, whether
/// the branch outranks the old head before that block or after.
#[test]
fn c12_a_deep_branch_with_an_invalid_block() {
    use crate::support::builder::Plan;
    for bad_at in [0, 1, 140, 149, 151, 170, 199] {
        let (mut builder, mut shell, one, _) = world();
        let old = branch(&mut builder, &one, 150);
        let (mut at, mut new) = (builder.genesis, Vec::new());
        for index in 0..200 {
            let alter = |block: &mut chain::Block| {
                block.header.extension.receipts_root.0[5] ^= u8::from(index == bad_at);
            };
            let plan = Plan {
                alter: &alter,
                ..Plan::default()
            };
            new.push(builder.plan(at, &plan));
            at = hash(new.last().unwrap());
        }
        for block in &old {
            shell.own(block);
        }
        shell.connect(1);
        shell.headers(1, &new);
        for block in &new {
            shell.gossip(1, block);
        }
        let best = if bad_at > 150 {
            &new[bad_at - 1]
        } else {
            &old[149]
        };
        assert_eq!(shell.head(), hash(best), "invalid at {bad_at}");
        let undone: &[CheckedBlock] = if bad_at > 150 { &old } else { &[] };
        assert_as_without_reorg(&builder, &shell, undone);
        assert_eq!(shell.out.disconnected, [], "nobody could know");
        shell.assert_head_is_best_held();
    }
}

/// Rule H2: the skip pointers are those of the text's formula and table.
#[test]
fn skips_are_ancestors() {
    let (mut builder, mut shell, _, _) = world();
    let chain = builder.chain(builder.genesis, 70);
    let clear = |n: u64| if n == 0 { 0 } else { n & (n - 1) };
    let table = [0, 1, 0, 1, 4, 1, 0, 1, 8, 1, 8, 1, 12, 9, 0, 1];
    for (height, block) in (1_u64..).zip(&chain) {
        shell.own(block);
        let want = match height {
            1 => 0,
            2..=17 => table[usize::try_from(height).unwrap() - 2],
            even if even % 2 == 0 => clear(even),
            odd => clear(clear(odd - 1)) + 1,
        };
        let ancestor = match usize::try_from(want).unwrap() {
            0 => builder.genesis,
            at => hash(&chain[at - 1]),
        };
        let skip = block.header().header().extension.skip;
        assert_eq!(skip, ancestor, "height {height}");
    }
    assert_eq!(shell.node.head().height, 70);
}
