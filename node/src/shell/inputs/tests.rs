//! What a gossiped block costs: no signature, unless its header is worth it.
//!
//! The chain is a genesis block of 4,096 hashes; an orphan is worth its signatures from 16 on.

use std::sync::Arc;

use chain::{
    Batch, Bits, Body, Header, MemoryStore, Node, Store, U256,
    rules::{self, Parent},
};
use state::Evm;

use super::{
    super::check::{
        SenderCounts,
        tests::{mined, transfers},
    },
    *,
};

/// Who sends all this.
const SENDER: Peer = Peer(7);
/// Two hashes.
const EASIEST: Bits = Bits(0x207f_ffff);
/// 15 hashes, one less than an orphan takes.
const JUST_TOO_EASY: Bits = Bits(0x2011_1111);
/// 16 hashes.
const JUST_ENOUGH: Bits = Bits(0x200f_ffff);
/// Transactions in each block.
const TRANSACTIONS: u64 = 3;

/// A node's chain as the bridge sees it.
struct World {
    spec: ChainSpec,
    store: MemoryStore,
    genesis: Header,
    min_chain_work: U256,
    counts: SenderCounts,
}

impl World {
    fn new() -> Self {
        let text = ChainSpec::builtin("regtest").unwrap();
        let mut spec = ChainSpec::parse(text).unwrap().spec;
        spec.genesis_bits = Bits(0x1f0f_ffff);
        let (genesis, batch) = Node::genesis(&spec, &Evm::new());
        let mut store = MemoryStore::default();
        store.commit(&batch).unwrap();
        Self {
            spec,
            store,
            genesis: genesis.header,
            min_chain_work: U256::ZERO,
            counts: SenderCounts::default(),
        }
    }

    /// A good child of a header.
    fn child(&self, parent: &Header) -> Header {
        let numbers = Parent::new(parent, parent.hash());
        let time = parent.pow.time + 1;
        rules::child(&self.spec, &numbers, self.genesis.hash(), time).unwrap()
    }

    /// A block whose parent nobody has; it claims more work than there is.
    fn orphan(&self, bits: Bits) -> Block {
        let mut header = self.child(&self.genesis);
        header.pow.parent = BlockHash([9; 32]);
        header.pow.bits = bits;
        header.extension.chain_work = U256::MAX >> 1;
        mined(&header, &transfers(TRANSACTIONS))
    }

    /// A good block after genesis.
    fn block(&self) -> Block {
        mined(&self.child(&self.genesis), &transfers(TRANSACTIONS))
    }

    fn commit(&mut self, batch: &Batch) {
        self.store.commit(batch).unwrap();
    }

    fn senders(&self) -> Senders {
        Senders::of(&Arc::default(), &self.counts)
    }

    fn gossip(&self, block: &Block) -> Input {
        let reader = self.store.snapshot().unwrap();
        let mut node = Node::open(Arc::new(self.spec.clone()), Evm::new(), &reader).unwrap();
        node.set_min_chain_work(self.min_chain_work);
        let gate = Gate::new(node.forest().demands(), Arc::new(reader));
        let message = Gossip::Block(block.clone());
        of_gossip(SENDER, message, &self.spec, &self.senders(), &gate)
    }

    /// The block is looked at, signatures and all.
    fn is_checked(&self, block: &Block) {
        let before = self.counts.recovered.get();
        let input = self.gossip(block);
        assert!(
            matches!(
                input,
                Input::Block {
                    from: Some(SENDER),
                    ..
                }
            ),
            "{input:?}"
        );
        assert_eq!(self.counts.recovered.get(), before + TRANSACTIONS);
    }

    /// The core learns of its header, and nobody of its signatures.
    fn is_announced(&self, block: &Block) {
        let before = self.counts.recovered.get();
        match self.gossip(block) {
            Input::Announced {
                from: SENDER,
                header,
            } => {
                assert_eq!(header.hash(), block.header.hash());
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(self.counts.recovered.get(), before, "signatures");
    }
}

fn header_batch(block: &Block) -> Batch {
    Batch {
        headers: vec![Arc::new(block.header.clone())],
        ..Batch::default()
    }
}

fn id(block: &Block) -> chain::BlockId {
    chain::BlockId {
        height: block.header.extension.height,
        hash: block.header.hash(),
    }
}

/// Threat P1: an orphan of two hashes does not make us recover a block full of signatures.
#[test]
fn p1_an_orphan_of_little_work_costs_no_signature() {
    let world = World::new();
    world.is_announced(&world.orphan(EASIEST));
    world.is_announced(&world.orphan(JUST_TOO_EASY));
    world.is_checked(&world.orphan(JUST_ENOUGH));
}

/// P7: a body that is not the header's is held against its sender, however little work the header
/// stands for: nobody can flood us with copies of a known block that differ in their bodies.
#[test]
fn p7_a_body_that_is_another_is_its_senders_fault() {
    let mut world = World::new();
    let known = world.block();
    world.commit(&header_batch(&known));
    let bodies = vec![(id(&known), Arc::new(known.body.clone()))];
    world.commit(&Batch {
        bodies,
        ..Batch::default()
    });
    for header in [world.orphan(EASIEST).header, known.header] {
        let hash = header.hash();
        let body = Body(vec![vec![0; 100]]);
        let input = world.gossip(&Block { header, body });
        let Input::Refused {
            from,
            hash: told,
            fault,
        } = input
        else {
            panic!("{input:?}");
        };
        assert_eq!((from, told, fault), (SENDER, Some(hash), Fault::Mismatch));
    }
    assert_eq!(world.counts.recovered.get(), 0, "signatures");
}

#[test]
fn a_block_that_was_asked_for_is_checked_whatever_its_work() {
    let world = World::new();
    let block = world.orphan(EASIEST);
    let request = Request::Blocks(vec![block.header.hash()]);
    let response = Response::Blocks(vec![block]);
    let inputs = of_response(SENDER, request, response, &world.spec, &world.senders());
    assert!(matches!(inputs[0], Input::Block { .. }));
    assert_eq!(world.counts.recovered.get(), TRANSACTIONS);
}

/// Rule H3: bits that are easier than the parent's child must have cost no signature either, and
/// their sender what any broken rule costs.
#[test]
fn h3_wrong_bits_on_a_known_parent_cost_no_signature() {
    let world = World::new();
    world.is_checked(&world.block());
    let mut header = world.child(&world.genesis);
    header.pow.bits = EASIEST;
    let input = world.gossip(&mined(&header, &transfers(TRANSACTIONS)));
    let fault = Fault::InvalidBlock;
    let refused = matches!(
        input,
        Input::Refused { from: SENDER, hash: None, fault: charged } if charged == fault
    );
    assert!(refused, "{input:?}");
    assert_eq!(world.counts.recovered.get(), TRANSACTIONS);
}

/// Threat C2: a child of an old block is true to its parent and still stands for next to nothing.
#[test]
fn c2_a_chain_of_too_little_work_costs_no_signature() {
    let mut world = World::new();
    let block = world.block();
    world.min_chain_work = block.header.extension.chain_work;
    world.is_checked(&block);
    world.min_chain_work += U256::from(1);
    world.is_announced(&block);
}

/// Nor does a block that is here, however often it is sent; but one whose header alone is here is
/// what we wait for.
#[test]
fn a_block_that_is_here_costs_no_signature() {
    let mut world = World::new();
    let block = world.block();
    world.commit(&header_batch(&block));
    world.is_checked(&block);
    let bodies = vec![(id(&block), Arc::new(block.body.clone()))];
    world.commit(&Batch {
        bodies,
        ..Batch::default()
    });
    world.is_announced(&block);
}

/// Nor does a child of a block that has failed.
#[test]
fn a_child_of_an_invalid_block_costs_no_signature() {
    let mut world = World::new();
    let block = world.block();
    let child = mined(&world.child(&block.header), &transfers(TRANSACTIONS));
    world.commit(&header_batch(&block));
    world.is_checked(&child);
    world.commit(&Batch {
        invalid: vec![id(&block)],
        ..Batch::default()
    });
    world.is_announced(&block);
    world.is_announced(&child);
}
