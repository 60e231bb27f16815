//! Blocks from a file or an older store, through the node's own step: nothing is taken on trust.
//!
//! Signatures and roots are checked on all cores, then each block is executed, as if a peer had
//! sent it. Blocks that the store has already are passed over, so what was cut off goes on.

use std::collections::VecDeque;

use chain::{
    Batch, Block, BlockHash, CheckedBlock, CheckedTransaction, Effect, Event, Input, Node, Overlay,
    Reader, Stage, Store, StoreError,
};
use rayon::prelude::*;
use state::Evm;

use crate::{
    budget::Budget,
    failure::{Exit, Failure},
    shell::{check, clock::Clock},
    store::{RedbSnapshot, RedbStore},
};

/// Blocks that are checked at a time and committed as one.
pub const BLOCKS_PER_COMMIT: usize = 64;

/// A store that blocks are put into.
pub struct Importer {
    node: Node<Evm>,
    store: RedbStore,
    snapshot: RedbSnapshot,
    clock: Clock,
    budget: Budget,
}

/// What became of some blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Blocks that were new.
    pub new: u64,
    /// Blocks that were there.
    pub known: u64,
    /// Blocks that were passed over.
    pub refused: u64,
}

/// What to do about a block that is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// End there; the blocks before it are kept.
    Stops,
    /// Go on with those that do not descend from it.
    IsPassedOver,
}

impl Importer {
    /// For an open store; the state may take so much memory.
    pub fn new(node: Node<Evm>, store: RedbStore, budget: Budget) -> Result<Self, Failure> {
        let snapshot = store.snapshot().map_err(damaged)?;
        let clock = Clock::start();
        Ok(Self {
            node,
            store,
            snapshot,
            clock,
            budget,
        })
    }

    /// The store after it.
    pub fn into_store(self) -> RedbStore {
        self.store
    }

    /// The node as it is.
    pub fn node(&self) -> &Node<Evm> {
        &self.node
    }

    /// Puts transactions into the pool's journal.
    pub fn keep(&mut self, transactions: Vec<CheckedTransaction>) -> Result<(), Failure> {
        let pooled = transactions.into_iter().map(|tx| (tx.hash(), Some(tx)));
        let batch = Batch {
            pooled: pooled.collect(),
            ..Batch::default()
        };
        self.store.commit(&batch).map_err(damaged)
    }

    /// Whether the store has this block's body.
    pub fn holds(&self, hash: &BlockHash) -> Result<bool, Failure> {
        let stage = self.snapshot.stage(hash).map_err(damaged)?;
        Ok(matches!(stage, Some(Stage::Body | Stage::Executed)))
    }

    /// Takes blocks, parents before children, and commits them as one.
    ///
    /// # Errors
    /// Blocks that are not valid, as `refused` says; a failing store; a state beyond its budget. What
    /// was taken before is kept.
    pub fn take(&mut self, blocks: Vec<Block>, refused: Refused) -> Result<Taken, Failure> {
        let mut taken = Taken::default();
        let mut new = Vec::new();
        for block in blocks {
            if self.holds(&block.header.hash())? {
                taken.known += 1;
            } else {
                new.push(block);
            }
        }
        let spec = self.node.spec();
        let check = |block: Block| {
            let (height, hash) = (block.header.extension.height, block.header.hash());
            check::block(block, spec).map_err(|error| not_valid(height, &hash, &error))
        };
        let checked: Vec<_> = new.into_par_iter().map(check).collect();
        let mut batch = Batch::default();
        let mut outcome = Ok(());
        for block in checked {
            match block.and_then(|block| self.enter(block, &mut batch)) {
                Ok(()) => taken.new += 1,
                Err(failure) if failure.code() == Exit::Damaged as u8 => return Err(failure),
                Err(_) if refused == Refused::IsPassedOver => taken.refused += 1,
                Err(failure) => {
                    outcome = Err(failure);
                    break;
                }
            }
        }
        self.store.commit(&batch).map_err(damaged)?;
        self.snapshot = self.store.snapshot().map_err(damaged)?;
        outcome?;
        self.budget.check(&self.node)?;
        Ok(taken)
    }

    /// A checked block and its execution.
    fn enter(&mut self, block: CheckedBlock, batch: &mut Batch) -> Result<(), Failure> {
        let id = block.id();
        self.run(Input::Block { from: None, block }, batch)?;
        if self.node.forest().tree().find(&id.hash).is_some() {
            return Ok(());
        }
        let reason = "its parent is not there, or its time has not come";
        Err(not_valid(id.height, &id.hash, &reason))
    }

    /// One input and all that follows from it.
    fn run(&mut self, input: Input, batch: &mut Batch) -> Result<(), Failure> {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut effects = Vec::new();
            let db = Overlay::new(&self.snapshot, batch);
            let now = self.clock.now();
            let stepped = self.node.step(now, input, &db, &mut effects);
            stepped.map_err(damaged)?;
            for effect in effects {
                match effect {
                    Effect::Commit(more) => batch.append(more),
                    Effect::Continue => inputs.push_back(Input::Continue),
                    Effect::Load(hash) => inputs.extend(self.load(&hash, batch)?),
                    Effect::Publish(Event::Invalid { block, reason }) => {
                        return Err(not_valid(block.height, &block.hash, &reason));
                    }
                    // There is nobody to tell.
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn load(&self, hash: &BlockHash, batch: &Batch) -> Result<Option<Input>, Failure> {
        let db = Overlay::new(&self.snapshot, batch);
        let block = check::stored(hash, self.node.spec(), &db).map_err(damaged)?;
        Ok(block.map(|block| Input::Block { from: None, block }))
    }
}

fn not_valid(height: u64, hash: &BlockHash, reason: &dyn std::fmt::Display) -> Failure {
    Failure::new(
        Exit::Other,
        format!("block {height} {hash} is not valid: {reason}. The blocks before it are kept"),
    )
}

/// The store's own words.
pub fn damaged(error: StoreError) -> Failure {
    Failure::new(Exit::Damaged, error)
}
