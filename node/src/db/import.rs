//! Blocks from a file or an older store, through the node's own step: nothing is taken on trust.
//!
//! Signatures and roots are checked ahead on all cores (`ahead`) while earlier blocks are executed
//! and committed here, as if a peer had sent them. Blocks that the store has already are passed
//! over, so what was cut off goes on. Which blocks are committed as one, and how far ahead the
//! checks are, changes nothing in what the store holds in the end.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use chain::{
    Batch, Block, BlockHash, CheckedTransaction, Effect, Event, Input, Node, Overlay, Reader,
    Stage, Store, StoreError,
};
use state::Evm;

use super::ahead::{Ahead, Checked, Limits};
use crate::{
    budget::Budget,
    failure::{Exit, Failure},
    shell::{check, clock::Clock},
    store::{RedbSnapshot, RedbStore},
};

/// How an import goes about its work.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How far ahead blocks are checked.
    pub ahead: Limits,
    /// Blocks that are committed as one, at most.
    pub commit_blocks: usize,
    /// Bytes of their bodies, about: a commit is due when there are as many.
    pub commit_bytes: usize,
    /// State versions that are kept below the head, in blocks. What lies deeper is found through the
    /// store, which takes long where branches come in turns.
    pub window: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            ahead: Limits::default(),
            commit_blocks: 64,
            commit_bytes: 2 * 1024 * 1024,
            // A file has one chain.
            window: 2,
        }
    }
}

/// A store that blocks are put into.
pub struct Importer {
    node: Node<Evm>,
    store: RedbStore,
    snapshot: RedbSnapshot,
    clock: Clock,
    budget: Budget,
    pace: Pace,
    batch: Batch,
    batch_bytes: usize,
    given_up: u64,
    times: Times,
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
    /// Bodies of side branches that there was no room for, so far.
    pub given_up: u64,
}

/// Where the time of the thread that executes and commits went.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// Reading blocks.
    pub reading: Duration,
    /// Waiting for a block to be checked.
    pub waiting: Duration,
    /// Executing.
    pub executing: Duration,
    /// All commits together.
    pub committing: Duration,
    /// Each commit, until it was durable.
    pub commits: Vec<Duration>,
}

/// What to do about a block that is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// End there; the blocks before it are kept.
    Stops,
    /// Go on with those that do not descend from it.
    IsPassedOver,
}

/// Blocks, parents before children.
pub trait Source {
    /// The next one; none at the end.
    fn next(&mut self) -> Result<Option<Block>, Failure>;

    /// Told after each how many blocks were taken.
    fn taken(&mut self, _taken: &Taken) {}
}

impl Importer {
    /// For an open store; the state may take so much memory.
    pub fn new(
        mut node: Node<Evm>,
        store: RedbStore,
        budget: Budget,
        pace: Pace,
    ) -> Result<Self, Failure> {
        node.set_state_window(pace.window);
        let snapshot = store.snapshot().map_err(damaged)?;
        Ok(Self {
            node,
            store,
            snapshot,
            clock: Clock::start(),
            budget,
            pace,
            batch: Batch::default(),
            batch_bytes: 0,
            given_up: 0,
            times: Times::default(),
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

    /// Where the time went.
    pub fn times(&self) -> &Times {
        &self.times
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

    /// Takes all blocks of a source.
    ///
    /// # Errors
    /// A block that is not valid, as `refused` says; a failing source or store; a state beyond its
    /// budget. What was taken before is kept.
    pub fn take(&mut self, source: &mut impl Source, refused: Refused) -> Result<Taken, Failure> {
        let mut ahead = Ahead::new(self.node.spec().clone(), self.pace.ahead)?;
        let mut taken = Taken::default();
        let mut end = None;
        loop {
            while end.is_none() && ahead.has_room() {
                end = self.push_next(source, &mut ahead, &mut taken);
            }
            let waited = Instant::now();
            let Some(checked) = ahead.pop() else { break };
            self.times.waiting += waited.elapsed();
            match self.enter(checked)? {
                None => taken.new += 1,
                Some(_) if refused == Refused::IsPassedOver => taken.refused += 1,
                Some(refusal) => {
                    end = Some(Err(refusal));
                    break;
                }
            }
            if self.is_commit_due() {
                self.commit()?;
            }
            source.taken(&taken);
        }
        self.commit()?;
        taken.given_up = self.given_up;
        source.taken(&taken);
        end.unwrap_or(Ok(())).map(|()| taken)
    }

    /// Reads a block and lets it be checked, unless it is here already; what the source ended with.
    fn push_next(
        &mut self,
        source: &mut impl Source,
        ahead: &mut Ahead,
        taken: &mut Taken,
    ) -> Option<Result<(), Failure>> {
        let started = Instant::now();
        let block = match source.next() {
            Ok(Some(block)) => block,
            Ok(None) => return Some(Ok(())),
            Err(failure) => return Some(Err(failure)),
        };
        let hash = block.header.hash();
        match self.holds(&hash) {
            Ok(true) => taken.known += 1,
            Ok(false) => ahead.push(hash, block),
            Err(failure) => return Some(Err(failure)),
        }
        self.times.reading += started.elapsed();
        None
    }

    /// Whether the store has this block's body.
    fn holds(&self, hash: &BlockHash) -> Result<bool, Failure> {
        let stage = self.snapshot.stage(hash).map_err(damaged)?;
        Ok(matches!(stage, Some(Stage::Body | Stage::Executed)))
    }

    /// A checked block and its execution; what there is against it, if anything. An error is none of
    /// the block's.
    fn enter(&mut self, checked: Checked) -> Result<Option<Failure>, Failure> {
        let started = Instant::now();
        let committing = self.times.committing;
        let Checked {
            height,
            hash,
            result,
        } = checked;
        let block = match result {
            Ok(block) => block,
            Err(error) => return Ok(Some(not_valid(height, &hash, &error))),
        };
        self.batch_bytes += block.body().encoded_len();
        let refusal = self.run(Input::Block { from: None, block })?;
        self.times.executing += started.elapsed() - (self.times.committing - committing);
        if refusal.is_some() {
            return Ok(refusal);
        }
        let tree = self.node.forest().tree();
        let reason = match tree.find(&hash).map(|id| tree[id].stage) {
            None => "its parent is not there, or its time has not come",
            Some(Stage::Invalid) => "it or a block before it was found invalid",
            Some(_) => return Ok(None),
        };
        Ok(Some(not_valid(height, &hash, &reason)))
    }

    /// One input and all that follows from it; the first block that was found invalid.
    fn run(&mut self, input: Input) -> Result<Option<Failure>, Failure> {
        let mut refusal = None;
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut effects = Vec::new();
            let db = Overlay::new(&self.snapshot, &self.batch);
            let now = self.clock.now();
            let stepped = self.node.step(now, input, &db, &mut effects);
            stepped.map_err(damaged)?;
            for effect in effects {
                match effect {
                    Effect::Commit(more) => {
                        self.given_up += u64::try_from(more.dropped.len()).unwrap_or(u64::MAX);
                        self.batch.append(more);
                    }
                    Effect::Continue => inputs.push_back(Input::Continue),
                    Effect::Load(hash) => inputs.extend(self.load(&hash)?),
                    Effect::Publish(Event::Invalid { block, reason }) => {
                        refusal
                            .get_or_insert_with(|| not_valid(block.height, &block.hash, &reason));
                    }
                    // There is nobody to tell.
                    _ => {}
                }
            }
            // One block may bring many to execution that have waited for it.
            if self.batch.executed.len() >= self.pace.commit_blocks {
                self.commit()?;
            }
        }
        Ok(refusal)
    }

    fn load(&self, hash: &BlockHash) -> Result<Option<Input>, Failure> {
        let db = Overlay::new(&self.snapshot, &self.batch);
        let block = check::stored(hash, self.node.spec(), &db).map_err(damaged)?;
        Ok(block.map(|block| Input::Block { from: None, block }))
    }

    fn is_commit_due(&self) -> bool {
        // Their headers may have been here before.
        let blocks = self.batch.bodies.len();
        blocks >= self.pace.commit_blocks || self.batch_bytes >= self.pace.commit_bytes
    }

    fn commit(&mut self) -> Result<(), Failure> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        self.store.commit(&batch).map_err(damaged)?;
        self.snapshot = self.store.snapshot().map_err(damaged)?;
        let took = started.elapsed();
        self.times.commits.push(took);
        self.times.committing += took;
        self.budget.check(&self.node)
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
