//! The lemmas of "Mechanising Blockchain Consensus" (Toychain), and the difficulty's, as properties.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::U256;
use chain::{
    Address, Bits, BlockHash, CheckedBlock, CheckedHeader, Execution, Rank, Root, Stage,
    difficulty::{Anchor, forgiven, next_bits},
    forest::{Forest, Insert, Origin},
};
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest},
    test_runner::{Config, RngSeed},
};

use crate::support::{
    builder::{Builder, LGN, Plan, Wallet, hash, regtest},
    ledger::Accounts,
    shell::Shell,
};

fn config(cases: u32) -> Config {
    Config {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(7),
        ..Config::default()
    }
}

fn ranks() -> impl Strategy<Value = Rank> {
    // Few works and few distinct bytes, so that ties and near ties are common.
    let byte = prop_oneof![Just(0_u8), Just(1), Just(255)];
    (0_u64..3, byte.clone(), byte).prop_map(|(work, first, last)| {
        let mut hash = [0; 32];
        (hash[0], hash[31]) = (first, last);
        Rank::new(U256::from(work), &BlockHash(hash))
    })
}

proptest! {
    #![proptest_config(config(2_000))]

    /// Rule F1. Toychain's FCR_total, FCR_irreflexive (nobody outranks itself) and FCR_trans.
    #[test]
    fn fcr_is_a_strict_total_order(a in ranks(), b in ranks(), c in ranks()) {
        prop_assert_eq!(usize::from(a > b) + usize::from(b > a) + usize::from(a == b), 1);
        #[allow(clippy::eq_op, reason = "this is what irreflexive means")]
        let outranks_itself = a > a;
        prop_assert!(!outranks_itself);
        prop_assert!(!(a > b && b > c) || a > c);
    }

    /// Rule F1 against the words of the rule: more work, else the lower number in display order.
    #[test]
    fn fcr_by_the_words(work in 0_u64..3, other in 0_u64..3, a: [u8; 32], b: [u8; 32]) {
        let display = |bytes: [u8; 32]| BlockHash(bytes).display_bytes();
        let want = work > other || (work == other && display(a) < display(b));
        let rank = |work: u64, bytes| Rank::new(U256::from(work), &BlockHash(bytes));
        prop_assert_eq!(rank(work, a) > rank(other, b), want);
    }

    /// Rule F1. Toychain's FCR_ext: every target has positive work, so an extension is better.
    #[test]
    fn fcr_extension_is_better(work: u64, bits: u32, a: [u8; 32], b: [u8; 32]) {
        if let Some(target) = Bits(bits).target() {
            let parent = Rank::new(U256::from(work), &BlockHash(a));
            let child = Rank::new(U256::from(work) + target.work(), &BlockHash(b));
            prop_assert!(child > parent);
        }
    }

    /// Rule H3: a later parent never makes the target harder, a higher one never easier, and more
    /// forgiven seconds never easier.
    #[test]
    fn asert_is_monotone(
        time in any::<u32>(), later in 0_u32..1_000_000, height in 0_u64..1_000_000,
        higher in 0_u64..10_000, gone in 0_u64..1_000_000, more in 0_u64..1_000_000,
        half_life in 1_u32..200_000, spacing in 1_u32..1_000, mantissa in 0x8000_u32..0x7f_ffff,
        size in 4_u32..32,
    ) {
        let mut spec = regtest(&[]);
        (spec.half_life_secs, spec.spacing_secs) = (half_life, spacing);
        spec.genesis_bits = Bits(size << 24 | mantissa);
        let target = |time, height, forgiven| {
            let bits = next_bits(&spec, Anchor { time, height, forgiven });
            let target = bits.target().expect("always a target");
            assert!(target <= spec.pow_limit());
            assert_eq!(target.bits(), bits, "canonical");
            target
        };
        let base = target(time, height, gone);
        prop_assert!(target(time.saturating_add(later), height, gone) >= base);
        prop_assert!(target(time, height + higher, gone) <= base);
        prop_assert!(target(time, height, gone + more) <= base);
    }

    /// Rule H2: forgiven seconds are what a gap exceeds two half-lives by, never less than before.
    #[test]
    fn forgiven_seconds(time: u32, gap in 0_u32..1_000, gone: u64, half_life in 1_u32..300) {
        let mut spec = regtest(&[]);
        spec.half_life_secs = half_life;
        let parent = Anchor { time, height: 5, forgiven: gone };
        let child = time.saturating_add(gap);
        let excess = i128::from(child) - i128::from(time) - 2 * i128::from(half_life);
        let want = (i128::from(gone) + excess.max(0)).min(i128::from(u64::MAX));
        prop_assert_eq!(i128::from(forgiven(&spec, parent, child)), want);
    }
}

/// A tree by its parents: the block at index i stands on the block at some lower index, or on
/// genesis; some blocks fail execution.
#[derive(Clone, Debug)]
struct Shape {
    parents: Vec<usize>,
    broken: Vec<bool>,
    order: Vec<usize>,
}

fn shapes(size: usize) -> impl Strategy<Value = Shape> {
    let picks = vec((any::<u32>(), 0_u8..8), 1..=size);
    picks.prop_flat_map(|picks| {
        let pick = |(at, (number, _)): (usize, &(u32, u8))| {
            // Mostly on one of the last, so that branches grow.
            let back = *number as usize % 4;
            at.saturating_sub(back)
        };
        let parents = picks.iter().enumerate().map(pick).collect();
        let broken = picks.iter().map(|(_, die)| *die == 0).collect();
        let order = Just((0..picks.len()).collect::<Vec<_>>()).prop_shuffle();
        (Just(parents), Just(broken), order).prop_map(|(parents, broken, order)| Shape {
            parents,
            broken,
            order,
        })
    })
}

fn build(shape: &Shape, builder: &mut Builder) -> Vec<CheckedBlock> {
    let mut blocks: Vec<CheckedBlock> = Vec::new();
    for (parent, broken) in shape.parents.iter().zip(&shape.broken) {
        let parent = parent
            .checked_sub(1)
            .map_or(builder.genesis, |at| hash(&blocks[at]));
        let alter = |block: &mut chain::Block| {
            block.header.extension.state_root.0[9] ^= u8::from(*broken);
        };
        let plan = Plan {
            alter: &alter,
            ..Plan::default()
        };
        blocks.push(builder.plan(parent, &plan));
    }
    blocks
}

/// The same with a few transfers in each block, from wallets that go on where the branch stands.
fn build_paying(
    shape: &Shape,
    paying: &[u64],
    wallets: &[Wallet],
    builder: &mut Builder,
) -> Vec<CheckedBlock> {
    let mut blocks: Vec<CheckedBlock> = Vec::new();
    for (at, parent) in shape.parents.iter().enumerate() {
        let parent = parent
            .checked_sub(1)
            .map_or(builder.genesis, |at| hash(&blocks[at]));
        let wallet = &wallets[at % wallets.len()];
        let nonce = builder.state(&parent)[&wallet.address].nonce;
        let pay = |nonce| wallet.pay(nonce, Address::repeat_byte(at as u8), LGN);
        let transactions: Vec<_> = (nonce..nonce + paying[at]).map(pay).collect();
        let broken = u8::from(shape.broken[at]);
        let alter = |block: &mut chain::Block| block.header.extension.state_root.0[9] ^= broken;
        let plan = Plan {
            transactions: &transactions,
            alter: &alter,
            ..Plan::default()
        };
        blocks.push(builder.plan(parent, &plan));
    }
    blocks
}

/// The naive model: every chain from genesis of blocks held, cut at the first broken one; the best
/// end of all. Forty lines with no tree, no stages and no order.
fn naive_head(builder: &Builder, held: &[(&CheckedBlock, bool)]) -> BlockHash {
    let by_hash: BTreeMap<_, _> = held
        .iter()
        .map(|(block, broken)| (hash(block), (*block, *broken)))
        .collect();
    let chain_of = |end: &CheckedBlock| -> Option<Vec<BlockHash>> {
        let (mut at, mut chain) = (hash(end), Vec::new());
        while at != builder.genesis {
            let (block, broken) = by_hash.get(&at)?;
            if *broken {
                return None;
            }
            chain.push(at);
            at = block.header().header().pow.parent;
        }
        Some(chain)
    };
    let better = |a: &BlockHash, b: &BlockHash| {
        let length = |end: &BlockHash| {
            by_hash
                .get(end)
                .map_or(0, |(block, _)| chain_of(block).unwrap().len())
        };
        let (a_len, b_len) = (length(a), length(b));
        a_len > b_len || (a_len == b_len && a.display_bytes() < b.display_bytes())
    };
    let mut best = builder.genesis;
    for (block, _) in held {
        if chain_of(block).is_some() && better(&hash(block), &best) {
            best = hash(block);
        }
    }
    best
}

proptest! {
    #![proptest_config(config(150))]

    /// Rules F1 and F2, Toychain's quiescent consistency: after every insertion the node's head is
    /// the naive model's, whatever the order, with orphans and invalid blocks.
    #[test]
    fn node_against_the_naive_model(shape in shapes(14)) {
        let mut builder = Builder::new(regtest(&[]));
        let blocks = build(&shape, &mut builder);
        let mut shell = Shell::new(&builder.spec);
        let mut held = Vec::new();
        for index in &shape.order {
            shell.gossip(1, &blocks[*index]);
            held.push((&blocks[*index], shape.broken[*index]));
            prop_assert_eq!(shell.head(), naive_head(&builder, &held));
            shell.assert_head_is_best_held();
        }
        // A second time nothing changes (Toychain's idempotence of bfExtend).
        let executions = shell.ledger.executions();
        for block in &blocks {
            shell.gossip(2, block);
        }
        prop_assert_eq!(shell.head(), naive_head(&builder, &held));
        prop_assert_eq!(shell.ledger.executions(), executions);
    }

    /// Toychain: the head never worsens, and minting on the head improves it.
    #[test]
    fn head_never_worsens(shape in shapes(12)) {
        let mut builder = Builder::new(regtest(&[]));
        let blocks = build(&shape, &mut builder);
        let mut shell = Shell::new(&builder.spec);
        for (at, index) in shape.order.iter().enumerate() {
            let before = shell.node.forest().head_rank();
            shell.gossip(1, &blocks[*index]);
            prop_assert!(shell.node.forest().head_rank() >= before);
            if at % 4 == 3 {
                let before = shell.node.forest().head_rank();
                let minted = builder.mine(shell.head());
                shell.own(&minted);
                prop_assert_eq!(shell.head(), hash(&minted));
                prop_assert!(shell.node.forest().head_rank() > before);
            }
        }
    }

    /// Toychain's bfExtendC and bfExtendI for whole nodes: whatever the order in which gossip brings
    /// valid blocks, orphans too, and however often, the node has the same tree, tips, wishes, head
    /// and state, and no orphan is left.
    #[test]
    fn node_insertion_commutes(shape in shapes(14), keys in vec(any::<u32>(), 14)) {
        let mut builder = Builder::new(regtest(&[]));
        let sound = Shape { broken: vec![false; shape.broken.len()], ..shape.clone() };
        let blocks = build(&sound, &mut builder);
        let mut other: Vec<usize> = (0..blocks.len()).collect();
        other.sort_by_key(|index| keys[*index]);
        let mut seen = Vec::new();
        for order in [&shape.order, &other] {
            let mut shell = Shell::new(&builder.spec);
            for index in order {
                shell.gossip(1, &blocks[*index]);
            }
            let once = whole(&shell);
            for index in order.iter().rev() {
                shell.gossip(2, &blocks[*index]);
            }
            prop_assert_eq!(&once, &whole(&shell), "idempotent");
            prop_assert!(shell.node.orphans().is_empty());
            seen.push(once);
        }
        prop_assert_eq!(&seen[0], &seen[1]);
    }

    /// Rule S2: after any blocks in any order, reorgs and failed ones among them, the wei of all
    /// accounts are those of the genesis block and the rewards, less the base fees burnt, of the
    /// best chain alone.
    #[test]
    fn supply(shape in shapes(10), paying in vec(0_u64..3, 10)) {
        let wallets = [Wallet::new(1), Wallet::new(2)];
        let mut builder = Builder::new(regtest(&[&wallets[0], &wallets[1]]));
        let blocks = build_paying(&shape, &paying, &wallets, &mut builder);
        let mut shell = Shell::new(&builder.spec);
        for index in &shape.order {
            shell.gossip(1, &blocks[*index]);
            let wei = |accounts: &Accounts| -> u128 {
                accounts.values().map(|account| account.balance).sum()
            };
            let (mut at, mut want) = (shell.head(), wei(builder.state(&builder.genesis)));
            while at != builder.genesis {
                let header = builder.header(&at);
                let extension = &header.extension;
                want += builder.spec.reward(extension.height);
                want -= u128::from(extension.base_fee) * u128::from(extension.gas_used);
                at = header.pow.parent;
            }
            prop_assert_eq!(wei(shell.node.head_state()), want);
        }
    }

    /// Rule F2, Toychain's bfExtendC: insertion into the forest commutes and is idempotent. Two
    /// orders that keep parents first give the same tree, tips, best header and wishes.
    #[test]
    fn forest_insertion_commutes(shape in shapes(16), keys in vec(any::<u32>(), 16)) {
        let mut builder = Builder::new(regtest(&[]));
        let blocks = build(&shape, &mut builder);
        let genesis = builder.header(&builder.genesis).clone();
        let mut other: Vec<usize> = (0..blocks.len()).collect();
        other.sort_by_key(|index| keys[*index]);
        let mut seen = Vec::new();
        for order in [(0..blocks.len()).collect::<Vec<_>>(), other] {
            let mut forest = Forest::new(&genesis);
            // Offered until all are in: what has no parent yet is an orphan and comes again.
            let mut rest: Vec<CheckedHeader> =
                order.iter().map(|index| blocks[*index].header().clone()).collect();
            while !rest.is_empty() {
                rest.retain(|header| {
                    let insert = offer(&mut forest, &builder, header);
                    matches!(insert, Insert::Orphan { .. })
                });
            }
            for block in &blocks {
                let again = offer(&mut forest, &builder, block.header());
                prop_assert!(matches!(again, Insert::Known(_)));
            }
            seen.push(picture(&forest));
        }
        prop_assert_eq!(&seen[0], &seen[1]);
    }
}

fn offer(forest: &mut Forest, builder: &Builder, header: &CheckedHeader) -> Insert {
    forest.insert(
        &builder.spec,
        header,
        u64::from(u32::MAX),
        Origin::Solicited,
    )
}

/// All that may be seen of a node but the order of arrival.
fn whole(shell: &Shell) -> (Picture, BlockHash, Root) {
    let state = shell.node.head_state();
    let root = shell.ledger.root(state);
    (picture(shell.node.forest()), shell.head(), root)
}

type Picture = (usize, Vec<BlockHash>, BlockHash, BTreeSet<BlockHash>);

/// All that may be seen of a forest, by hashes.
fn picture(forest: &Forest) -> Picture {
    let tree = forest.tree();
    let name = |id| tree[id].id().hash;
    let wanted = forest.wanted_bodies(usize::MAX, |_| true);
    assert!(wanted.iter().all(|id| tree[*id].stage == Stage::Header));
    let tips = forest.tips().map(name).collect();
    (
        tree.len(),
        tips,
        name(forest.best_header()),
        wanted.into_iter().map(name).collect(),
    )
}
