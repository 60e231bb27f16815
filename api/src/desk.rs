//! What miners outside of the node get and give: templates out, blocks in.
//!
//! A block is worth its proof of work whoever brings it, so nobody has to show a token; what a
//! request costs the node is bounded by a number of places.

use std::{fmt, sync::Arc};

use chain::{Address, Block, CheckedBlock};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::{Semaphore, mpsc};

use crate::limits::MINING_REQUESTS_MAX;

/// Builds a block on the newest head that pays this address and carries this tag, complete except
/// for its proof of work; or says why there is none.
pub type Build = dyn Fn(Address, [u8; 32]) -> Result<Block, String> + Send + Sync;

/// What is mined at this node, as its status tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Miners {
    /// Hashes a second of the node's own threads, of late.
    pub hash_rate: u64,
    /// Those that came over Stratum; `None` where there is no port for them.
    pub stratum: Option<StratumMiners>,
}

/// What miners over Stratum do, and what became of their shares since the node has started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StratumMiners {
    /// Open connections.
    pub connections: u64,
    /// Hashes a second that the accepted shares stand for, of late.
    pub hash_rate: u64,
    /// Shares that counted.
    pub accepted: u64,
    /// Shares of an older head or of a forgotten job.
    pub stale: u64,
    /// Shares that had come before.
    pub duplicate: u64,
    /// Shares refused for anything else.
    pub refused: u64,
    /// Blocks found.
    pub blocks: u64,
}

/// Where templates come from, and where blocks go.
#[derive(Clone)]
pub struct Desk {
    /// Makes templates; takes as long as their transactions do.
    pub build: Arc<Build>,
    /// To the core.
    pub blocks: mpsc::Sender<CheckedBlock>,
    /// Submitted blocks that became the head.
    pub accepted: Counter,
    /// Submitted blocks that were valid by themselves and did not become the head.
    pub stale: Counter,
    /// What is mined here at this moment.
    pub miners: Arc<dyn Fn() -> Miners + Send + Sync>,
    /// Templates under construction and blocks under examination.
    pub(crate) places: Arc<Semaphore>,
}

impl Desk {
    /// A desk that nobody stands at.
    pub fn new(build: Arc<Build>, blocks: mpsc::Sender<CheckedBlock>) -> Self {
        Self {
            build,
            blocks,
            accepted: Counter::default(),
            stale: Counter::default(),
            miners: Arc::new(Miners::default),
            places: Arc::new(Semaphore::new(MINING_REQUESTS_MAX)),
        }
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}
