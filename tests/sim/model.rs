//! The omniscient model: every block that anybody made, and whether it is valid.
//!
//! Whoever makes a block says what is wrong with it, if anything; no node is asked. The model
//! knows the state and the supply after each valid block by its own account.

use std::{collections::BTreeMap, sync::Arc};

use chain::{Block, BlockHash, BlockId, ChainSpec, CheckedTransaction, Rank, U256, header::Header};

use super::support::{
    builder::{Builder, Plan},
    ledger::Accounts,
};

/// What is right and wrong with a block that was made on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// Nothing is wrong.
    Valid,
    /// Its header breaks a rule, so it never joins a tree.
    BadHeader,
    /// Its header is fine and its execution fails, or a transaction in it is garbage.
    BadBody,
}

/// A block that somebody made.
#[derive(Clone)]
pub struct Known {
    pub id: BlockId,
    pub parent: usize,
    pub children: Vec<usize>,
    pub rank: Rank,
    pub time: u32,
    /// The header may join the tree of a node that knows its parent.
    pub header_fits: bool,
    /// It and all its ancestors are valid.
    pub is_valid: bool,
    /// Wei in existence after it, if it is valid.
    pub supply: u128,
    /// The whole block's encoding.
    pub bytes: Arc<[u8]>,
    pub header: Header,
}

/// All blocks.
#[derive(Clone)]
pub struct Model {
    pub spec: Arc<ChainSpec>,
    pub builder: Builder,
    pub blocks: Vec<Known>,
    by_hash: BTreeMap<BlockHash, usize>,
    /// The best valid block that any honest node holds with all its ancestors.
    pub best: usize,
}

impl Model {
    pub const GENESIS: usize = 0;

    pub fn new(spec: ChainSpec) -> Self {
        let builder = Builder::new(spec);
        let spec = Arc::clone(&builder.spec);
        let header = builder.header(&builder.genesis).clone();
        let id = BlockId {
            height: 0,
            hash: builder.genesis,
        };
        let supply = sum(builder.state(&builder.genesis));
        let genesis = Known {
            id,
            parent: 0,
            children: Vec::new(),
            rank: Rank::new(header.extension.chain_work, &id.hash),
            time: header.pow.time,
            header_fits: true,
            is_valid: true,
            supply,
            bytes: Arc::from([]),
            header,
        };
        Self {
            spec,
            builder,
            blocks: vec![genesis],
            by_hash: BTreeMap::from([(id.hash, 0)]),
            best: 0,
        }
    }

    /// The block of this hash, if it was made.
    pub fn find(&self, hash: &BlockHash) -> Option<usize> {
        self.by_hash.get(hash).copied()
    }

    pub fn hash(&self, block: usize) -> BlockHash {
        self.blocks[block].id.hash
    }

    pub fn state(&self, block: usize) -> &Accounts {
        self.builder.state(&self.hash(block))
    }

    /// The decoded block.
    pub fn block(&self, block: usize) -> Block {
        Block::decode(&self.blocks[block].bytes).expect("encoded by the model")
    }

    /// The ancestor so many blocks below, genesis at most.
    pub fn below(&self, block: usize, depth: u64) -> usize {
        (0..depth).fold(block, |at, _| self.blocks[at].parent)
    }

    /// Makes a block on a parent and adds it.
    pub fn mine(&mut self, parent: usize, plan: &Plan<'_>, truth: Truth) -> usize {
        let block = self.builder.raw(self.hash(parent), plan);
        self.add(&block, truth)
    }

    /// Adds a block that a node's own template became. The model executes it anew: a template
    /// that is no valid block is a bug, of the template or of the pool (threat M7).
    pub fn adopt(&mut self, block: &Block, transactions: &[CheckedTransaction]) -> usize {
        self.builder.adopt(block, transactions);
        self.add(block, Truth::Valid)
    }

    fn add(&mut self, block: &Block, truth: Truth) -> usize {
        let (header, extension) = (&block.header, &block.header.extension);
        let parent = self.find(&header.pow.parent).expect("made on a known one");
        let above = &self.blocks[parent];
        let (height, hash) = (above.id.height + 1, header.hash());
        let burnt = u128::from(extension.gas_used) * u128::from(extension.base_fee);
        let supply = (above.supply + self.spec.reward(height)).saturating_sub(burnt);
        let known = Known {
            id: BlockId { height, hash },
            parent,
            children: Vec::new(),
            rank: Rank::new(extension.chain_work, &hash),
            time: header.pow.time,
            header_fits: truth != Truth::BadHeader,
            is_valid: truth == Truth::Valid && above.is_valid,
            supply,
            bytes: block.encode().into(),
            header: header.clone(),
        };
        let index = self.blocks.len();
        self.by_hash.insert(hash, index);
        self.blocks.push(known);
        self.blocks[parent].children.push(index);
        index
    }

    /// An honest node holds a valid block with all its ancestors.
    pub fn shown(&mut self, block: usize) {
        let known = &self.blocks[block];
        if known.is_valid && known.rank > self.blocks[self.best].rank {
            self.best = block;
        }
    }

    /// Whether `ancestor` is `block` or an ancestor of it.
    pub fn is_ancestor(&self, ancestor: usize, block: usize) -> bool {
        let mut at = block;
        while self.blocks[at].id.height > self.blocks[ancestor].id.height {
            at = self.blocks[at].parent;
        }
        at == ancestor
    }

    pub fn chain_work(&self, block: usize) -> U256 {
        self.blocks[block].rank.chain_work()
    }
}

/// The wei of all accounts together.
pub fn sum(accounts: &Accounts) -> u128 {
    accounts.values().map(|account| account.balance).sum()
}
