//! P7, R2: who is charged with what, and that nobody is who could not know; P8: one admission
//! path for what is pushed and what is pulled.

use std::collections::BTreeMap;

use chain::{
    Bits, Block, BlockHash, CheckedBlock, Fault, Input, Peer, Request, Stage, Verdict,
    check::CheckError, transaction::TransactionError,
};
use proptest::{
    collection::vec,
    prelude::{any, prop_assert_eq, proptest},
};

use crate::{
    codec::config,
    support::{
        builder::{Builder, Plan, Wallet, hash, regtest},
        shell::Shell,
    },
};

fn world() -> (Builder, Shell) {
    let builder = Builder::new(regtest(&[&Wallet::new(1)]));
    let mut shell = Shell::new(&builder.spec);
    shell.connect(1);
    (builder, shell)
}

fn points(shell: &Shell, peer: u64) -> u32 {
    let summaries = shell.node.sync().summaries();
    let summary = summaries.iter().find(|summary| summary.peer == Peer(peer));
    summary.map_or(0, |summary| summary.points)
}

/// P7: what every fault costs, and the name it is told by.
#[test]
fn p7_points_of_every_fault() {
    use Fault::*;
    let all = [
        (InvalidWork, 100),
        (Mismatch, 50),
        (InvalidBlock, 100),
        (InvalidTransaction, 25),
        (Malformed, 50),
        (WrongNetwork, 100),
        (Unsolicited, 25),
        (Contradiction, 50),
        (NoProgress, 10),
        (Timeout, 10),
        (TooManyRequests, 1),
        (Full, 100),
    ];
    for (fault, want) in all {
        // A new variant must be put into the table above.
        match fault {
            InvalidWork | Mismatch | InvalidBlock | InvalidTransaction | Malformed
            | WrongNetwork | Unsolicited | Contradiction | NoProgress | Timeout
            | TooManyRequests | Full => assert_eq!(fault.points(), want, "{fault:?}"),
        }
        let (_, mut shell) = world();
        let refused = Input::Refused {
            from: Peer(1),
            hash: None,
            fault,
        };
        for _ in 0..Fault::LIMIT.div_ceil(want) {
            assert_eq!(shell.out.disconnected, [], "{fault:?}");
            assert_eq!(shell.input(refused.clone()), Verdict::Reject);
        }
        assert_eq!(shell.out.disconnected, [(Peer(1), fault)]);
    }
    assert_eq!(Fault::LIMIT, 100);
}

/// P7: the fault of every error of the stateless check.
#[test]
fn p7_faults_of_every_check_error() {
    let block = BlockHash::default();
    let text = String::new;
    let all = [
        (CheckError::Bits(Bits(0)), Fault::InvalidWork),
        (
            CheckError::Work {
                hash: block,
                bits: Bits(0),
            },
            Fault::InvalidWork,
        ),
        (CheckError::Version(0), Fault::InvalidBlock),
        (CheckError::Commitment(block), Fault::Mismatch),
        (
            CheckError::Limit {
                field: "gas_used",
                want: 0,
                got: 0,
            },
            Fault::InvalidBlock,
        ),
        (
            CheckError::Body {
                field: "body_bytes",
                want: text(),
                got: text(),
            },
            Fault::Mismatch,
        ),
        (
            CheckError::Transaction {
                index: 0,
                error: TransactionError::TooLarge(0),
            },
            Fault::InvalidBlock,
        ),
    ];
    for (error, want) in all {
        match error {
            CheckError::Bits(_)
            | CheckError::Work { .. }
            | CheckError::Version(_)
            | CheckError::Commitment(_)
            | CheckError::Limit { .. }
            | CheckError::Body { .. }
            | CheckError::Transaction { .. } => assert_eq!(error.fault(), want, "{error}"),
        }
    }
}

/// A change to a header that breaks the named rule.
type Alter<'a> = (&'a str, &'a dyn Fn(&mut Block));

/// P7: a header that breaks a rule in its chain's context charges who sent it, as gossip or in
/// an answer, and nobody else who comes after.
#[test]
fn p7_rule_errors_charge_the_sender() {
    let alters: [Alter; 7] = [
        ("H2 height", &|block| block.header.extension.height += 1),
        ("H2 chain_work", &|block| {
            block.header.extension.chain_work += chain::U256::from(1);
        }),
        ("H2 forgiven", &|block| block.header.extension.forgiven += 1),
        ("H2 skip", &|block| block.header.extension.skip.0[3] ^= 1),
        ("H3 bits", &|block| {
            block.header.pow.bits = Bits(0x207f_fffe);
        }),
        ("H4 time", &|block| block.header.pow.time -= 2),
        ("B2 base_fee", &|block| block.header.extension.base_fee += 1),
    ];
    for (rule, alter) in alters {
        for is_gossip in [true, false] {
            let (mut builder, mut shell) = world();
            let base = builder.mine(builder.genesis);
            let plan = Plan {
                alter,
                ..Plan::default()
            };
            let bad = builder.plan(hash(&base), &plan);
            shell.own(&base);
            if is_gossip {
                assert_eq!(shell.gossip(1, &bad), Verdict::Reject, "{rule}");
            } else {
                shell.headers(1, std::slice::from_ref(&bad));
            }
            let fault = Fault::InvalidBlock;
            assert_eq!(shell.out.disconnected, [(Peer(1), fault)], "{rule}");
            assert_eq!(shell.node.forest().tree().len(), 2, "{rule}");
            shell.connect(2);
            let next = builder.mine(hash(&base));
            assert_eq!(shell.gossip(2, &next), Verdict::Accept);
            assert_eq!(points(&shell, 2), 0);
        }
    }
}

/// P7, R2: what an honest peer may send without knowing better is charged to nobody.
#[test]
fn p7_nobody_is_charged_who_could_not_know() {
    let (mut builder, mut shell) = world();
    let main = builder.chain(builder.genesis, 200);
    for block in &main {
        shell.own(block);
    }
    let ignored = |shell: &mut Shell, block: &CheckedBlock, what: &str| {
        assert_eq!(shell.gossip(1, block), Verdict::Ignore, "{what}");
        assert_eq!(points(shell, 1), 0, "{what}");
    };
    let missing = builder.mine(hash(&main[199]));
    let orphan = builder.mine(hash(&missing));
    ignored(&mut shell, &orphan, "an orphan");
    ignored(&mut shell, &main[199], "a block known already");
    let early = shell.now.unix_secs + 8_000;
    let early = builder.mine_at(hash(&main[199]), early as u32);
    ignored(&mut shell, &early, "an early block");
    let low = builder.mine(builder.genesis);
    ignored(&mut shell, &low, "a block far below the head");
    shell.headers(1, std::slice::from_ref(&low));
    assert_eq!(points(&shell, 1), 0, "headers of a lighter fork");
    shell.headers(1, std::slice::from_ref(&early));
    assert_eq!(points(&shell, 1), 0, "early headers");
    let alter = |block: &mut Block| block.header.extension.state_root.0[0] ^= 1;
    let plan = Plan {
        alter: &alter,
        ..Plan::default()
    };
    let bad = builder.plan(hash(&main[199]), &plan);
    let child = builder.mine(hash(&bad));
    let grandchild = builder.mine(hash(&child));
    assert_eq!(
        shell.gossip(1, &bad),
        Verdict::Accept,
        "before it is executed"
    );
    assert_eq!(shell.head(), hash(&main[199]));
    ignored(&mut shell, &bad, "an invalid block again");
    ignored(&mut shell, &child, "its child");
    shell.headers(1, &[bad, child, grandchild]);
    assert_eq!(points(&shell, 1), 0, "headers of invalid blocks");
    let from = Peer(1);
    let request = Request::Blocks(vec![hash(&low)]);
    shell.input(Input::Answered { from, request });
    assert_eq!(points(&shell, 1), 0, "an answer without the blocks");
    assert_eq!(shell.out.disconnected, []);
}

/// P7, R2: a body that is not its header's charges its sender, and the block is taken from the
/// next one; also where the first had been asked for it.
#[test]
fn p7_a_mismatch_never_condemns_the_hash() {
    for is_asked in [false, true] {
        let (mut builder, mut shell) = world();
        let block = builder.mine(builder.genesis);
        if is_asked {
            shell.headers(1, std::slice::from_ref(&block));
        }
        let (hash_of_block, fault) = (Some(hash(&block)), Fault::Mismatch);
        shell.input(Input::Refused {
            from: Peer(1),
            hash: hash_of_block,
            fault,
        });
        assert_eq!(points(&shell, 1), fault.points());
        shell.connect(2);
        shell.gossip(2, &block);
        assert_eq!(shell.head(), hash(&block));
        assert_eq!(points(&shell, 2), 0);
    }
}

/// How blocks come to a node.
fn deliver(builder: &Builder, blocks: &[CheckedBlock], order: &[usize], by_request: u16) -> Shell {
    let mut shell = Shell::new(&builder.spec);
    shell.connect(1);
    shell.connect(2);
    for index in order {
        let block = &blocks[*index];
        if by_request >> index & 1 == 1 {
            let mut path = vec![block.clone()];
            while let Some(parent) = blocks
                .iter()
                .find(|other| hash(other) == path[0].header().header().pow.parent)
            {
                path.insert(0, parent.clone());
            }
            shell.headers(1, &path);
            shell.gossip(1, block);
        } else {
            shell.gossip(2, block);
        }
    }
    shell
}

/// What a node has of some blocks.
fn stages(shell: &Shell, blocks: &[CheckedBlock]) -> BTreeMap<BlockHash, Stage> {
    let tree = shell.node.forest().tree();
    let stage = |block: &CheckedBlock| {
        let id = tree.find(&hash(block))?;
        Some((hash(block), tree[id].stage))
    };
    blocks.iter().filter_map(stage).collect()
}

proptest! {
    #![proptest_config(config(200))]

    /// P8: the same blocks in the same order, each pushed or pulled, end in the same head, state
    /// and stages, with the same executions; also where some fail execution.
    #[test]
    fn p8_push_and_pull_end_alike(
        plan in vec((any::<u8>(), 0_u8..12, any::<u16>()), 1..12),
        by_request: u16,
    ) {
        let (mut builder, _) = world();
        let mut blocks: Vec<CheckedBlock> = Vec::new();
        for (parent, fails, _) in &plan {
            let parent = match usize::from(*parent) % (blocks.len() + 1) {
                0 => builder.genesis,
                above => hash(&blocks[above - 1]),
            };
            let alter = |block: &mut Block| {
                block.header.extension.state_root.0[0] ^= u8::from(*fails == 0);
            };
            blocks.push(builder.plan(parent, &Plan { alter: &alter, ..Plan::default() }));
        }
        let mut order: Vec<_> = (0..blocks.len()).collect();
        order.sort_by_key(|index| plan[*index].2);
        let pushed = deliver(&builder, &blocks, &order, 0);
        for by_request in [by_request, u16::MAX] {
            let other = deliver(&builder, &blocks, &order, by_request);
            prop_assert_eq!(other.head(), pushed.head());
            prop_assert_eq!(other.node.head_state(), pushed.node.head_state());
            prop_assert_eq!(other.ledger.executions(), pushed.ledger.executions());
            // Of a failed block's descendants, pulled headers are known and pushed ones are not.
            let valid = |shell: &Shell| {
                let mut stages = stages(shell, &blocks);
                stages.retain(|_, stage| *stage != Stage::Invalid);
                stages
            };
            prop_assert_eq!(valid(&other), valid(&pushed));
        }
    }
}
