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
/// for its proof of work; `None` if the chain is at its end.
pub type Build = dyn Fn(Address, [u8; 32]) -> Option<Block> + Send + Sync;

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
            places: Arc::new(Semaphore::new(MINING_REQUESTS_MAX)),
        }
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}
