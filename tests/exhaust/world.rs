//! The worlds that are explored: which blocks there are, who makes them, who is joined with whom,
//! and what may go wrong. Blocks are known by small numbers, the genesis block by 0.

use std::{cmp::Reverse, sync::Arc};

use chain::{BlockHash, ChainSpec, CheckedBlock};

use crate::support::builder::{Builder, Plan, hash, regtest};

/// Nodes of every world.
pub const NODES: usize = 3;

/// The peer of all nodes that is none of them: it makes what no honest node makes.
pub const STRANGER: u8 = 9;

/// A block by its number; 0 is the genesis block.
pub type Number = u8;

/// A set of blocks, a bit for each number.
pub type Set = u16;

/// How a block comes to be.
#[derive(Clone, Copy, Debug)]
pub struct Birth {
    pub parent: Number,
    pub by: Maker,
}

/// Who makes a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// This node, on a parent that it has executed: its miner may be behind its head.
    Node(u8),
    /// The stranger, at any time; the block is valid and goes to everybody.
    Stranger,
    /// The stranger; the block has a wrong state root, which only execution shows.
    Forger,
}

/// What carries blocks from node to node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// Blocks are gossiped; no request ever arrives.
    Gossip,
    /// Requests and answers alone; gossip never arrives.
    Requests,
    /// Both.
    Both,
}

/// A world and its misfortunes.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub births: &'static [Birth],
    pub links: &'static [(u8, u8)],
    pub carrier: Carrier,
    /// Messages that may get lost.
    pub losses: u8,
    /// Messages that may come a second time.
    pub doubles: u8,
    /// Crashes, each of another node.
    pub crashes: u8,
    /// All of these together.
    pub troubles: u8,
    /// What must be reached, by the names of `sometimes` properties.
    pub reaches: &'static [&'static str],
}

/// The blocks of a scenario, made.
pub struct World {
    pub scenario: Scenario,
    pub spec: Arc<ChainSpec>,
    /// Block `n` is at `n - 1`.
    blocks: Vec<CheckedBlock>,
    hashes: Vec<BlockHash>,
    parents: Vec<Number>,
    /// Of each number, its place in the order of ranks, worst first.
    places: Vec<u8>,
    /// Blocks that are valid with all their ancestors.
    pub valid: Set,
}

impl World {
    pub fn new(scenario: Scenario) -> Self {
        let mut builder = Builder::new(regtest(&[]));
        let mut hashes = vec![builder.genesis];
        let mut parents = vec![0];
        let (mut blocks, mut valid) = (Vec::new(), 1);
        for birth in scenario.births {
            let forged = u8::from(birth.by == Maker::Forger);
            let alter = |block: &mut chain::Block| {
                block.header.extension.state_root.0[9] ^= forged;
            };
            let plan = Plan {
                alter: &alter,
                ..Plan::default()
            };
            let block = builder.plan(hashes[usize::from(birth.parent)], &plan);
            if forged == 0 && has(valid, birth.parent) {
                valid |= 1 << hashes.len();
            }
            hashes.push(hash(&block));
            parents.push(birth.parent);
            blocks.push(block);
        }
        // Rule F1 by its words, not by the core's own `Rank`, which is what is checked.
        let rank = |number: &usize| {
            let header = builder.header(&hashes[*number]);
            let hash = hashes[*number].display_bytes();
            (header.extension.chain_work, Reverse(hash))
        };
        let mut order: Vec<usize> = (0..hashes.len()).collect();
        order.sort_by_key(rank);
        let place = |number| order.iter().position(|other| *other == number).unwrap();
        let places = (0..hashes.len()).map(|number| place(number) as u8);
        Self {
            scenario,
            spec: Arc::clone(&builder.spec),
            places: places.collect(),
            blocks,
            hashes,
            parents,
            valid,
        }
    }

    pub fn block(&self, number: Number) -> &CheckedBlock {
        &self.blocks[usize::from(number) - 1]
    }

    pub fn hash(&self, number: Number) -> &BlockHash {
        &self.hashes[usize::from(number)]
    }

    pub fn parent(&self, number: Number) -> Number {
        self.parents[usize::from(number)]
    }

    /// Its place in the order of ranks, worst first.
    pub fn place(&self, number: Number) -> u8 {
        self.places[usize::from(number)]
    }

    pub fn numbers(&self) -> impl DoubleEndedIterator<Item = Number> + use<> {
        0..self.hashes.len() as Number
    }

    pub fn number(&self, hash: &BlockHash) -> Option<Number> {
        self.numbers().find(|number| self.hash(*number) == hash)
    }

    /// The block and its ancestors.
    pub fn path(&self, number: Number) -> Set {
        let (mut at, mut path) = (number, 1);
        while at != 0 {
            path |= 1 << at;
            at = self.parent(at);
        }
        path
    }

    /// The best block of a set that is there with all its ancestors.
    pub fn best_connected(&self, set: Set) -> Number {
        let connected = self.numbers().filter(|number| {
            let path = self.path(*number);
            path & (set | 1) == path
        });
        connected.max_by_key(|number| self.place(*number)).unwrap()
    }

    /// Nodes joined with this one.
    pub fn neighbours(&self, node: u8) -> impl Iterator<Item = u8> + use<> {
        let links = self.scenario.links.iter();
        links.filter_map(move |(a, b)| match node {
            node if node == *a => Some(*b),
            node if node == *b => Some(*a),
            _ => None,
        })
    }
}

/// Whether a set has a block.
pub fn has(set: Set, number: Number) -> bool {
    set >> number & 1 == 1
}
