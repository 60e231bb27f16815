//! Each header and block rule at its edges, through the stateless check and a whole node.

use chain::{
    Block, ChainSpec, CheckedBlock, Fault, Input, Peer, Verdict,
    check::CheckError,
    rules::{Parent, next_base_fee},
};

use crate::support::{
    builder::{Builder, Plan, Wallet, hash, mined, mined_again, regtest},
    shell::Shell,
};

/// A change to a body that makes the named field differ.
type Alter<'a> = (&'a str, &'a dyn Fn(&mut Vec<Vec<u8>>));

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
        block.header.pow.version |= 0x1fff_e000;
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
    let result = checked(&mut builder, &|block| block.header.extension.gas_limit += 1);
    assert_eq!(result, limit("gas_limit", gas, gas + 1));
    let result = checked(&mut builder, &|block| {
        block.header.extension.gas_used = gas + 1;
    });
    assert_eq!(result, limit("gas_used", gas, gas + 1));
    let result = checked(&mut builder, &|block| block.header.extension.gas_used = gas);
    assert!(result.is_ok(), "execution will tell");
    let max = builder.spec.base.block_bytes_max;
    let result = checked(&mut builder, &|block| {
        block.header.extension.body_bytes = max + 1;
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
    let alters: [Alter; 3] = [
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
