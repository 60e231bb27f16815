//! What condemns a block and whom it charges: transactions, execution, rewards.

use chain::{Block, CheckedBlock, Event, Fault, Input, Peer, Verdict, check::CheckError};

use crate::support::{
    builder::{Builder, Plan, Wallet, hash, regtest},
    shell::Shell,
};

/// A change to a block that makes the named field wrong.
type Alter<'a> = (&'a str, &'a dyn Fn(&mut Block));

fn world() -> (Builder, Shell) {
    let builder = Builder::new(regtest(&[&Wallet::new(1), &Wallet::new(2)]));
    let shell = Shell::new(&builder.spec);
    (builder, shell)
}

/// A block with one thing altered, as the stateless check sees it.
fn checked(builder: &mut Builder, alter: &dyn Fn(&mut Block)) -> Result<CheckedBlock, CheckError> {
    let plan = Plan {
        alter,
        ..Plan::default()
    };
    let block = builder.raw(builder.genesis, &plan);
    CheckedBlock::check(block, &builder.spec)
}

/// Rule T1: a block whose body matches and holds a transaction that is none is invalid; its
/// sender could have known.
#[test]
fn t1_in_a_block() {
    let (mut builder, mut shell) = world();
    let garbage = |block: &mut Block| {
        block.body.0 = vec![vec![1, 2, 3]];
        let extension = &mut block.header.extension;
        extension.transactions_root = chain::merkle::root(&block.body.0);
        extension.transaction_count = 1;
        extension.body_bytes = block.body.encoded_len() as u32;
    };
    let error = checked(&mut builder, &garbage).unwrap_err();
    assert!(
        matches!(error, CheckError::Transaction { index: 0, .. }),
        "{error:?}"
    );
    assert_eq!(error.fault(), Fault::InvalidBlock);
    // The same where its header is known already: the hash is condemned with its descendants.
    let plan = Plan {
        alter: &garbage,
        ..Plan::default()
    };
    let bad = builder.raw(builder.genesis, &plan).header;
    let bad_header = chain::CheckedHeader::check(bad.clone(), &builder.spec).unwrap();
    let child = builder.mine(bad.hash());
    shell.connect(1);
    shell.gossip(1, &child);
    let headers = vec![bad_header, child.header().clone()];
    shell.input(Input::Headers {
        from: Peer(1),
        headers,
    });
    let fault = Fault::InvalidBlock;
    shell.input(Input::Refused {
        from: Peer(1),
        hash: Some(bad.hash()),
        fault,
    });
    assert_eq!(shell.out.disconnected, [(Peer(1), fault)]);
    shell.connect(2);
    assert_eq!(shell.gossip(2, &child), Verdict::Ignore);
    assert_eq!(shell.head(), builder.genesis);
    assert_eq!(shell.ledger.executions(), 0);
    shell.assert_head_is_best_held();
}

/// A condemned block's parent is a tip again, and a candidate by itself.
#[test]
fn the_parent_of_a_condemned_block() {
    let (mut builder, mut shell) = world();
    let chain = builder.chain(builder.genesis, 2);
    shell.connect(1);
    shell.headers(1, &chain);
    let (hash_of_bad, fault) = (Some(hash(&chain[1])), Fault::InvalidBlock);
    let refused = Input::Refused {
        from: Peer(1),
        hash: hash_of_bad,
        fault,
    };
    shell.input(refused);
    let forest = shell.node.forest();
    let tips: Vec<_> = forest.tips().map(|tip| forest.tree()[tip].id()).collect();
    assert_eq!(tips, [chain[0].id()]);
    shell.gossip(2, &chain[0]);
    assert_eq!(shell.head(), hash(&chain[0]));
    assert_eq!(shell.restarted().head(), hash(&chain[0]));
}

/// Rule S1: a wrong state root, receipts root or gas used condemns the block and its descendants
/// and nobody else; the next best is tried.
#[test]
fn s1_failures_condemn_the_block_alone() {
    let gas = |block: &mut Block| block.header.extension.gas_used += 1;
    let state = |block: &mut Block| block.header.extension.state_root.0[0] ^= 1;
    let receipts = |block: &mut Block| block.header.extension.receipts_root.0[0] ^= 1;
    let alters: [Alter; 3] = [
        ("gas_used", &gas),
        ("state_root", &state),
        ("receipts_root", &receipts),
    ];
    for (field, alter) in alters {
        let (mut builder, mut shell) = world();
        shell.connect(1);
        let base = builder.mine(builder.genesis);
        let plan = Plan {
            alter,
            ..Plan::default()
        };
        let bad = builder.plan(hash(&base), &plan);
        let fee = if field == "gas_used" { 1 } else { 0 };
        let child = builder.mine(hash(&bad));
        let good = builder.mine(hash(&base));
        shell.gossip(1, &base);
        // All three are there before anything is executed.
        for block in [&good, &bad, &child] {
            let block = block.clone();
            let input = Input::Block {
                from: Some(Peer(1)),
                block,
            };
            assert_eq!(shell.step(input), Verdict::Accept, "{field}, {fee}");
        }
        shell.settle();
        assert_eq!(shell.head(), hash(&good), "{field}");
        assert_eq!(shell.out.disconnected, [], "{field}: no relayer could know");
        let reason = shell.out.events.iter().find_map(|event| match event {
            Event::Invalid { block, reason } => Some((*block, reason.clone())),
            _ => None,
        });
        let (block, reason) = reason.expect("it is told");
        assert_eq!(block, bad.id());
        assert!(reason.contains(field), "{reason}");
        // Descendants that come later are not taken either, and their sender is not charged.
        let late = builder.mine(hash(&child));
        assert_eq!(shell.gossip(2, &late), Verdict::Ignore);
        assert_eq!(shell.gossip(2, &bad), Verdict::Ignore);
        shell.assert_head_is_best_held();
        // Nor does a restart forget it.
        let again = shell.restarted();
        assert_eq!(again.head(), hash(&good));
        let before = shell.ledger.executions();
        shell.input(Input::Tick);
        assert_eq!(shell.ledger.executions(), before);
    }
}

/// Rule T4, Rule T5, Rule T6 and Rule T7 in a block: each fails execution and condemns the block.
#[test]
fn t4_to_t7_condemn_a_block() {
    use crate::support::builder::{GWEI, LGN, transfer};
    let wallet = Wallet::new(1);
    let to = Wallet::new(2).address;
    let mut low_fee = transfer(0, to, 1);
    (low_fee.max_fee_per_gas, low_fee.max_priority_fee_per_gas) = (GWEI / 2, 0);
    let mut tip = transfer(0, to, 1);
    tip.max_priority_fee_per_gas = tip.max_fee_per_gas + 1;
    let mut gas = transfer(0, to, 1);
    gas.gas_limit = 20_999;
    let mut cap = transfer(0, to, 1);
    cap.gas_limit = 16_777_217;
    let cases = [
        ("T4", transfer(1, to, 1)),
        ("T5", low_fee),
        ("T5", tip),
        ("T6", transfer(0, to, 1_000 * LGN)),
        ("T7", gas),
        ("T7", cap),
    ];
    for (rule, transaction) in cases {
        let mut builder = Builder::new(regtest(&[&wallet]));
        let mut shell = Shell::new(&builder.spec);
        let bytes = wallet.sign_bytes(transaction);
        let alter = |block: &mut Block| {
            block.body.0 = vec![bytes.clone()];
            let extension = &mut block.header.extension;
            extension.transactions_root = chain::merkle::root(&block.body.0);
            extension.transaction_count = 1;
            extension.body_bytes = block.body.encoded_len() as u32;
        };
        let plan = Plan {
            alter: &alter,
            ..Plan::default()
        };
        let bad = builder.plan(builder.genesis, &plan);
        shell.connect(1);
        shell.gossip(1, &bad);
        assert_eq!(shell.head(), builder.genesis);
        let told =
            shell.out.events.iter().any(
                |event| matches!(event, Event::Invalid { reason, .. } if reason.contains(rule)),
            );
        assert!(told, "{rule}: {:?}", shell.out.events);
        assert_eq!(shell.out.disconnected, []);
    }
}

/// Rule S2: each block pays the reward of its height, halvings and upgrades included.
#[test]
fn s2_rewards() {
    let mut spec = regtest(&[]);
    spec.halving_interval = 3;
    spec.base.reward_wei = 9;
    spec.upgrades.push(chain::spec::Upgrade {
        height: 7,
        gas_limit: None,
        block_bytes_max: None,
        base_fee_min: None,
        reward_wei: Some(1_000),
    });
    let mut builder = Builder::new(spec);
    let mut shell = Shell::new(&builder.spec);
    let mut paid = 0;
    let wants = [9, 9, 4, 4, 4, 2, 250, 250, 125, 125, 125, 62, 62, 62, 31];
    for (height, block) in (1_u64..).zip(builder.chain(builder.genesis, wants.len())) {
        shell.own(&block);
        paid += wants[height as usize - 1];
        let state = shell.node.head_state();
        let sum: u128 = state.values().map(|account| account.balance).sum();
        assert_eq!(sum, paid, "height {height}");
    }
    assert_eq!(builder.spec.reward(0), 0, "genesis pays none");
    assert_eq!(builder.spec.reward(3 * 255), 0);
    assert_eq!(builder.spec.reward(u64::MAX), 0);
}
