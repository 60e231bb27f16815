//! Blocks that are checked ahead of their turn, on all cores, and given back in their order.
//!
//! Bounded by blocks and by bytes: a source that is quicker than the checks waits. Whoever takes
//! blocks executes and commits them meanwhile, so that the cores always have signatures to recover.
//! Called by `import`.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
};

use chain::{Block, BlockHash, ChainSpec, CheckedBlock, check::CheckError};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::{
    failure::{Exit, Failure},
    shell::check::{self, Senders},
};

/// How far ahead blocks are checked.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Blocks, one at least.
    pub blocks: usize,
    /// Bytes of their bodies as on the wire; a single block may have more. In memory a checked
    /// transfer takes about eight times as much.
    pub bytes: usize,
    /// Threads; zero stands for as many as there are cores.
    pub threads: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            blocks: 64,
            bytes: 2 * 1024 * 1024,
            threads: 0,
        }
    }
}

/// A block and what its check found.
pub struct Checked {
    /// Its height, as it says itself.
    pub height: u64,
    /// Its hash.
    pub hash: BlockHash,
    /// The outcome.
    pub result: Result<CheckedBlock, CheckError>,
}

/// A block under way.
struct Pending {
    height: u64,
    hash: BlockHash,
    bytes: usize,
    outcome: Receiver<Result<CheckedBlock, CheckError>>,
}

/// The blocks under way, in their order.
pub struct Ahead {
    spec: Arc<ChainSpec>,
    pool: ThreadPool,
    limits: Limits,
    pending: VecDeque<Pending>,
    bytes: usize,
}

impl Ahead {
    /// None under way yet.
    pub fn new(spec: Arc<ChainSpec>, limits: Limits) -> Result<Self, Failure> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(limits.threads)
            .thread_name(|number| format!("check-{number}"));
        let failed = |error| {
            let what = format!("cannot start the threads that check blocks: {error}");
            Failure::new(Exit::Other, what)
        };
        Ok(Self {
            spec,
            pool: pool.build().map_err(failed)?,
            limits,
            pending: VecDeque::new(),
            bytes: 0,
        })
    }

    /// Whether another block may be pushed.
    pub fn has_room(&self) -> bool {
        let is_within = self.pending.len() < self.limits.blocks && self.bytes < self.limits.bytes;
        self.pending.is_empty() || is_within
    }

    /// Begins to check a block whose hash is known.
    pub fn push(&mut self, hash: BlockHash, block: Block) {
        let (sender, outcome) = sync_channel(1);
        let bytes = block.body.encoded_len();
        self.bytes += bytes;
        self.pending.push_back(Pending {
            height: block.header.extension.height,
            hash,
            bytes,
            outcome,
        });
        let spec = Arc::clone(&self.spec);
        self.pool.spawn(move || {
            // Nobody waits for it any more where an earlier block was refused.
            let _ = sender.send(check::block(block, &spec, &Senders::default()));
        });
    }

    /// The next block in their order, as soon as it is checked; none where none is under way.
    pub fn pop(&mut self) -> Option<Checked> {
        let next = self.pending.pop_front()?;
        self.bytes -= next.bytes;
        let result = next.outcome.recv();
        Some(Checked {
            height: next.height,
            hash: next.hash,
            result: result.expect("a check ends with an outcome"),
        })
    }
}
