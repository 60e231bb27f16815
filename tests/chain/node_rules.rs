//! Each header and block rule at its edges, through the stateless check and a whole node.

use chain::{
    Block, ChainSpec, CheckedBlock, Event, Fault, Input, Peer, Verdict,
    check::CheckError,
    rules::{Parent, next_base_fee},
};

use crate::support::{
    builder::{Builder, Plan, Wallet, hash, mined, mined_again, regtest},
    shell::Shell,
};

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

/// A block with one thing altered, as a node sees it: refused, its sender charged.
fn refused(alter: &dyn Fn(&mut Block)) {
    let (mut builder, mut shell) = world();
    let parent = builder.mine(builder.genesis);
    shell.own(&parent);
    shell.connect(7);
    let plan = Plan {
        alter,
        ..Plan::default()
    };
    let bad = builder.plan(hash(&parent), &plan);
    assert_eq!(shell.gossip(7, &bad), Verdict::Reject);
    assert_eq!(shell.out.disconnected, [(Peer(7), Fault::InvalidBlock)]);
    assert_eq!(shell.head(), hash(&parent));
    let good = builder.mine(hash(&parent));
    assert_eq!(
        shell.gossip(8, &good),
        Verdict::Accept,
        "a sibling is welcome"
    );
    assert_eq!(shell.head(), hash(&good));
}

/// Rule H1: bits beyond the limit, bits that are no target, and a hash above the target.
#[test]
fn h1_proof_of_work() {
    let (mut builder, _) = world();
    let fault = |result: Result<CheckedBlock, CheckError>| result.unwrap_err().fault();
    for bits in [0x2100_ffff, 0x207f_ffff + 1, 0x2080_0000, 0, 0x2200_ffff] {
        let mut block = builder.mine(builder.genesis).to_block();
        block.header.pow.bits.0 = bits;
        let result = CheckedBlock::check(block, &builder.spec);
        assert!(
            matches!(result, Err(CheckError::Bits(_))),
            "{bits:08x}: {result:?}"
        );
        assert_eq!(fault(result), Fault::InvalidWork);
    }
    let mut block = builder.mine(builder.genesis).to_block();
    while block
        .header
        .pow
        .bits
        .target()
        .unwrap()
        .is_met_by(&block.header.hash())
    {
        block.header.pow.nonce += 1;
    }
    // The very first check: an extension that matches nothing is not looked at.
    block.header.extension.height = 99;
    let result = CheckedBlock::check(block, &builder.spec);
    assert!(matches!(result, Err(CheckError::Work { .. })), "{result:?}");
    assert_eq!(fault(result), Fault::InvalidWork);
}

/// Rule H2: the version's free bits are free, the others are not; the commitment is that of the
/// extension.
#[test]
fn h2_version_and_commitment() {
    let (mut builder, _) = world();
    let rolled = checked(&mut builder, &|block| {
        block.header.pow.version |= 0x1fff_e000
    });
    assert!(rolled.is_ok());
    for version in [0, 1, 0x2000_0001, 0x6000_0000, 0x2000_1000] {
        let result = checked(&mut builder, &|block| block.header.pow.version = version);
        assert_eq!(result, Err(CheckError::Version(version)));
        assert_eq!(result.unwrap_err().fault(), Fault::InvalidBlock);
    }
    let mut block = builder.mine(builder.genesis).to_block();
    block.header.extension.extra_nonce[15] ^= 1;
    let result = CheckedBlock::check(block, &builder.spec);
    assert!(matches!(result, Err(CheckError::Commitment(_))));
    assert_eq!(result.unwrap_err().fault(), Fault::Mismatch);
}

/// Rule H2: height, chain work, forgiven seconds and skip are the computed ones, each alone.
#[test]
fn h2_computed_fields() {
    refused(&|block| block.header.extension.height += 1);
    refused(&|block| block.header.extension.height = 0);
    refused(&|block| block.header.extension.chain_work += chain::U256::from(1));
    refused(&|block| block.header.extension.chain_work -= chain::U256::from(1));
    refused(&|block| block.header.extension.forgiven = 1);
    refused(&|block| block.header.extension.skip.0[31] ^= 1);
    refused(&|block| block.header.extension.skip = chain::BlockHash::default());
}

/// Rule H3: the bits are ASERT's to the bit; a harder target or another spelling is refused.
#[test]
fn h3_bits() {
    refused(&|block| block.header.pow.bits.0 = 0x207f_fffe);
    refused(&|block| block.header.pow.bits.0 = 0x2000_ffff);
    refused(&|block| block.header.pow.bits.0 = 0x2100_7fff);
}

/// Rule H4: not before the parent; the same second is fine.
#[test]
fn h4_time_of_the_parent() {
    refused(&|block| block.header.pow.time -= 2);
    let (mut builder, mut shell) = world();
    let time = builder.header(&builder.genesis).pow.time;
    let equal = builder.mine_at(builder.genesis, time);
    assert_eq!(shell.gossip(1, &equal), Verdict::Accept);
    assert_eq!(shell.head(), hash(&equal));
}

/// Rule H5: at the limit a block is taken, one second beyond it is kept and taken later; nobody
/// is charged.
#[test]
fn h5_early_blocks_wait() {
    for (half_life, slack) in [(1_000_000_000, 7_200), (120, 20), (7, 1)] {
        let mut spec = regtest(&[]);
        spec.half_life_secs = half_life;
        let mut builder = Builder::new(spec);
        let mut shell = Shell::new(&builder.spec);
        shell.connect(1);
        shell.now.unix_secs = u64::from(builder.spec.genesis_time);
        let now = builder.spec.genesis_time;
        let just = builder.mine_at(builder.genesis, now + slack);
        let early = builder.mine_at(hash(&just), now + slack + 1);
        let child = builder.mine_at(hash(&early), now + slack + 1);
        assert_eq!(shell.gossip(1, &just), Verdict::Accept);
        assert_eq!(shell.gossip(1, &early), Verdict::Ignore);
        assert_eq!(
            shell.gossip(1, &child),
            Verdict::Ignore,
            "an orphan for now"
        );
        assert_eq!(shell.head(), hash(&just));
        shell.input(Input::Tick);
        assert_eq!(shell.head(), hash(&just), "its time has not come");
        shell.pass(1);
        assert_eq!(shell.head(), hash(&child));
        let announced: Vec<_> = shell.out.blocks.iter().map(hash).collect();
        assert_eq!(
            announced,
            [hash(&child)],
            "we announce the new head ourselves"
        );
        assert_eq!(shell.out.disconnected, []);
        shell.assert_head_is_best_held();
    }
}

/// Rule B1, header part, and body part at its edges.
#[test]
fn b1_limits() {
    let (mut builder, _) = world();
    let limit = |field, want, got| Err(CheckError::Limit { field, want, got });
    let gas = builder.spec.base.gas_limit;
    let result = checked(&mut builder, &|block| block.header.extension.gas_limit -= 1);
    assert_eq!(result, limit("gas_limit", gas, gas - 1));
    let result = checked(&mut builder, &|block| {
        block.header.extension.gas_used = gas + 1
    });
    assert_eq!(result, limit("gas_used", gas, gas + 1));
    let result = checked(&mut builder, &|block| block.header.extension.gas_used = gas);
    assert!(result.is_ok(), "execution will tell");
    let max = builder.spec.base.block_bytes_max;
    let result = checked(&mut builder, &|block| {
        block.header.extension.body_bytes = max + 1
    });
    assert_eq!(
        result,
        limit("body_bytes", u64::from(max), u64::from(max) + 1)
    );
}

/// Rule B1, body part: a body that is not the header's condemns its sender and never the hash,
/// which is taken afterwards.
#[test]
fn b1_mismatch_charges_the_sender_alone() {
    let wallet = Wallet::new(1);
    let mut builder = Builder::new(regtest(&[&wallet]));
    let mut shell = Shell::new(&builder.spec);
    let (first, second) = (
        wallet.pay(0, wallet.address, 1),
        wallet.pay(1, wallet.address, 2),
    );
    let good = builder.mine_with(builder.genesis, &[first, second]);
    let swap = |body: &mut Vec<Vec<u8>>| body.swap(0, 1);
    let shorter = |body: &mut Vec<Vec<u8>>| drop(body.pop());
    let longer = |body: &mut Vec<Vec<u8>>| body[1].push(0);
    let alters: [(&str, &dyn Fn(&mut Vec<Vec<u8>>)); 3] = [
        ("transactions_root", &swap),
        ("transaction_count", &shorter),
        ("body_bytes", &longer),
    ];
    for (peer, (wanted_field, alter)) in (1..).zip(alters) {
        let mut block = good.to_block();
        alter(&mut block.body.0);
        let error = CheckedBlock::check(block, &builder.spec).unwrap_err();
        let is_it = matches!(&error, CheckError::Body { field, .. } if *field == wanted_field);
        assert!(is_it, "{wanted_field}: {error:?}");
        shell.connect(peer);
        let refused = Input::Refused {
            from: Peer(peer),
            hash: Some(hash(&good)),
            fault: error.fault(),
        };
        assert_eq!(shell.input(refused.clone()), Verdict::Reject);
        assert_eq!(shell.out.disconnected, [], "once may be an accident");
        shell.input(refused);
        assert_eq!(shell.out.disconnected, [(Peer(peer), Fault::Mismatch)]);
        shell.out.disconnected.clear();
    }
    shell.connect(9);
    assert_eq!(shell.gossip(9, &good), Verdict::Accept);
    assert_eq!(shell.head(), hash(&good));
    assert_eq!(shell.out.disconnected, []);
}

/// Rule B2: the base fee against the text's formula, at the middle, both ends and both clamps.
#[test]
fn b2_base_fee() {
    let mut spec: ChainSpec = regtest(&[]);
    let genesis = Builder::new(spec.clone());
    let header = genesis.header(&genesis.genesis).clone();
    let mut parent = Parent::new(&header, genesis.genesis);
    let gas = spec.base.gas_limit;
    let t = u128::from(gas / 2);
    for floor in [0, 7, 1_000_000_000] {
        spec.base.base_fee_min = floor;
        for fee in [
            0,
            1,
            7,
            8,
            1_000_000_000,
            u64::MAX / 9 * 8,
            u64::MAX - 1,
            u64::MAX,
        ] {
            for used in [
                0,
                1,
                gas / 4,
                gas / 2 - 1,
                gas / 2,
                gas / 2 + 1,
                gas - 1,
                gas,
            ] {
                (parent.base_fee, parent.gas_used) = (fee, used);
                let (f, u) = (u128::from(fee), u128::from(used));
                let next = if u == t {
                    f
                } else if u > t {
                    f + std::cmp::max(1, f * (u - t) / t / 8)
                } else {
                    f - f * (t - u) / t / 8
                };
                let want = next.clamp(u128::from(floor), u128::from(u64::MAX));
                let got = u128::from(next_base_fee(&spec, &parent));
                assert_eq!(got, want, "fee {fee}, used {used}, floor {floor}");
            }
        }
    }
    refused(&|block| block.header.extension.base_fee += 1);
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

/// Rule S1: a wrong state root, receipts root or gas used condemns the block and its descendants
/// and nobody else; the next best is tried.
#[test]
fn s1_failures_condemn_the_block_alone() {
    let gas = |block: &mut Block| block.header.extension.gas_used += 1;
    let state = |block: &mut Block| block.header.extension.state_root.0[0] ^= 1;
    let receipts = |block: &mut Block| block.header.extension.receipts_root.0[0] ^= 1;
    let alters: [(&str, &dyn Fn(&mut Block)); 3] = [
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

/// Rules T4 to T7 in a block: each fails execution and condemns the block.
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

/// A header's hash changes with its nonce alone, and both are valid siblings.
#[test]
fn siblings_by_nonce() {
    let (mut builder, mut shell) = world();
    let one = builder.mine(builder.genesis).to_block();
    let other = Block {
        header: mined_again(one.header.clone()),
        body: one.body.clone(),
    };
    assert_eq!(mined(other.header.clone()), other.header);
    let check = |block| CheckedBlock::check(block, &builder.spec).unwrap();
    let (one, other) = (check(one), check(other));
    shell.gossip(1, &one);
    shell.gossip(1, &other);
    assert_eq!(shell.head(), hash(&one).min_by_number(hash(&other)));
}

trait Lower {
    fn min_by_number(self, other: Self) -> Self;
}

impl Lower for chain::BlockHash {
    fn min_by_number(self, other: Self) -> Self {
        if self.number() < other.number() {
            self
        } else {
            other
        }
    }
}
