//! Reorgs to and from blocks that were executed long ago or before a restart: what is told of their
//! transactions, and what comes back into the pool.

use chain::{
    CheckedBlock, CheckedTransaction, Input, Reader, Stage, Store, Ticket,
    params::{POOL_NONCE_GAP, STATE_WINDOW},
    pool::Reason,
};

use crate::support::{
    builder::{Builder, LGN, Wallet, hash, regtest},
    shell::Shell,
};

fn world() -> (Builder, Shell, Wallet) {
    let one = Wallet::new(1);
    let builder = Builder::new(regtest(&[&one]));
    let shell = Shell::new(&builder.spec);
    (builder, shell, one)
}

/// Blocks of one's own: what gossip thinks of them does not matter here.
fn own(shell: &mut Shell, blocks: &[CheckedBlock]) {
    for block in blocks {
        shell.own(block);
    }
}

fn submit(shell: &mut Shell, transaction: &CheckedTransaction) {
    let (ticket, transaction) = (Ticket(1), transaction.clone());
    shell.input(Input::Submitted {
        ticket,
        transaction,
    });
}

fn reason(shell: &Shell, transaction: &CheckedTransaction) -> Option<Reason> {
    let pool = shell.node.pool();
    let departure = pool.departure(&transaction.hash());
    departure.map(|departure| departure.reason.clone())
}

/// A block with a payment and one without after it.
fn branch_with(builder: &mut Builder, payment: &CheckedTransaction) -> Vec<CheckedBlock> {
    let first = builder.mine_with(builder.genesis, std::slice::from_ref(payment));
    let second = builder.mine(hash(&first));
    vec![first, second]
}

/// M5: a transaction waits, its old branch wins again, and it is told as mined where it stands:
/// also where its block was executed before a restart, or so long ago that memory has let go of it.
#[test]
fn m5_mined_again_in_a_block_out_of_memory() {
    let lead = usize::try_from(STATE_WINDOW).unwrap() + 10;
    for (length, restarts) in [(3, false), (3, true), (lead, false), (lead, true)] {
        let (mut builder, mut shell, one) = world();
        let payment = one.pay(0, one.address, LGN);
        submit(&mut shell, &payment);
        let old = branch_with(&mut builder, &payment);
        own(&mut shell, &old);
        let place = Some(Reason::Mined(old[0].id()));
        assert_eq!(reason(&shell, &payment), place);
        let new = builder.chain(builder.genesis, length);
        own(&mut shell, &new);
        assert_eq!(shell.head(), hash(&new[length - 1]));
        assert!(shell.node.pool().get(&payment.hash()).is_some(), "undone");
        if restarts {
            shell = shell.restarted();
            shell.settle();
        }
        let more = builder.chain(hash(&old[1]), length);
        own(&mut shell, &more);
        assert_eq!(shell.head(), hash(&more[length - 1]));
        assert_eq!(reason(&shell, &payment), place, "{length}, {restarts}");
    }
}

/// The same where the branch that wins again was the best one when the node was stopped.
#[test]
fn m5_mined_again_on_the_branch_of_the_restart() {
    let (mut builder, mut shell, one) = world();
    let payment = one.pay(0, one.address, LGN);
    let old = branch_with(&mut builder, &payment);
    own(&mut shell, &old);
    let mut shell = shell.restarted();
    own(&mut shell, &builder.chain(builder.genesis, 3));
    assert!(shell.node.pool().get(&payment.hash()).is_some(), "undone");
    own(&mut shell, &builder.chain(hash(&old[1]), 2));
    assert_eq!(reason(&shell, &payment), Some(Reason::Mined(old[0].id())));
}

/// A transaction that stands on both branches is undone and mined by one reorg: nothing is told
/// of it, also where its block on the new branch was executed before a restart.
#[test]
fn m5_undone_and_mined_at_once() {
    let (mut builder, mut shell, one) = world();
    let payment = one.pay(0, one.address, LGN);
    let old = branch_with(&mut builder, &payment);
    own(&mut shell, &old);
    own(&mut shell, &builder.chain(builder.genesis, 3));
    let mut shell = shell.restarted();
    shell.settle();
    let first = builder.mine(builder.genesis);
    let second = builder.mine_with(hash(&first), std::slice::from_ref(&payment));
    own(&mut shell, &[first, second.clone()]);
    own(&mut shell, &builder.chain(hash(&second), 2));
    assert_eq!(reason(&shell, &payment), Some(Reason::Mined(second.id())));
    own(&mut shell, &builder.chain(hash(&old[1]), 3));
    assert_eq!(shell.node.head().height, 5);
    let told = reason(&shell, &payment);
    assert!(matches!(told, Some(Reason::Mined(_))), "{told:?}");
}

/// Takes what is pending in another order: this one of so many first, again and again.
fn settle_by(shell: &mut Shell, pick: impl Fn(usize) -> usize) {
    while !shell.pending.is_empty() {
        let input = shell.pending.remove(pick(shell.pending.len())).unwrap();
        shell.step(input);
    }
}

/// Lets a node execute all that it can; the undone blocks that it has asked for stay pending.
fn execute(shell: &mut Shell) {
    loop {
        let db = shell.store.snapshot().unwrap();
        let is_undone = |input: &Input| match input {
            Input::Block { block, .. } => db.stage(&hash(block)) == Ok(Some(Stage::Executed)),
            _ => false,
        };
        let Some(at) = shell.pending.iter().position(|input| !is_undone(input)) else {
            return;
        };
        let input = shell.pending.remove(at).unwrap();
        shell.step(input);
    }
}

/// M5: what many undone blocks held comes back as a whole in whatever order the store answers, though
/// the later nonces of one sender lie further ahead than those of new ones may. After a reorg, and
/// after a restart that came between it and the answers.
#[test]
fn m5_loads_come_back_in_any_order() {
    let (mut builder, mut shell, one) = world();
    let count = usize::try_from(POOL_NONCE_GAP).unwrap() + 8;
    let (mut at, mut paid) = (builder.genesis, Vec::new());
    for nonce in 0..count {
        let payment = one.pay(nonce as u64, one.address, LGN);
        let block = builder.mine_with(at, std::slice::from_ref(&payment));
        (at, _) = (hash(&block), paid.push(payment));
        shell.own(&block);
    }
    // None of their transactions are in memory.
    let shell = shell.restarted();
    let heavier = builder.chain(builder.genesis, count + 1);
    let orders: [&dyn Fn(usize) -> usize; 3] = [&|_| 0, &|len| len - 1, &|len| len / 2];
    for (order, pick) in orders.into_iter().enumerate() {
        for restarts in [false, true] {
            let mut shell = shell.clone();
            for block in &heavier {
                let block = block.clone();
                shell.step(Input::Block { from: None, block });
                execute(&mut shell);
            }
            assert_eq!(shell.head(), hash(&heavier[count]));
            if restarts {
                shell = shell.restarted();
                let (transactions, departed) = (Vec::new(), Vec::new());
                shell.step(Input::Journal {
                    transactions,
                    departed,
                });
            }
            settle_by(&mut shell, pick);
            let candidates = shell.node.pool().candidates(0, 100);
            assert_eq!(candidates, paid, "order {order}, {restarts}");
            assert_eq!(shell.node.pool().departures().count(), 0);
        }
    }
}
