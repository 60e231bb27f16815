//! What a view says of the peers, and of catching up with them.

use std::sync::Arc;

use chain::{BlockId, StoreError, U256};

use crate::View;

/// Blocks below the head whose times and work give the network's hash rate.
const RATE_WINDOW: u64 = 60;

/// A connected peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// Its number, not used before by another connection.
    pub number: u64,
    /// Its peer id. Text from a stranger.
    pub id: Arc<str>,
    /// Where it is, as a multiaddr. Text from a stranger.
    pub address: Arc<str>,
    /// Whether it dialled us.
    pub inbound: bool,
    /// When it connected, in Unix seconds.
    pub connected_since: u64,
    /// The time of its last answered ping, in milliseconds.
    pub ping_ms: Option<u64>,
    /// The head that it claims; none before its first status.
    pub claims: Option<BlockId>,
    /// Chain work that it claims or has shown.
    pub chain_work: Option<U256>,
    /// Seconds that its clock is ahead of ours.
    pub clock_ahead_secs: Option<i64>,
    /// What it is charged with; at 100 it is disconnected.
    pub points: u32,
    /// Requests of ours that it has not answered yet.
    pub requests: usize,
}

/// How far a node is with catching up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncInfo {
    /// Whether a header better than the head waits for bodies or execution.
    pub is_syncing: bool,
    /// The best header that is not known to be invalid.
    pub best_header: BlockId,
    /// Bodies asked of peers and not here yet.
    pub bodies_under_way: usize,
}

/// Hashes a second of the whole network, from the last blocks; none where no time lies between
/// them. The genesis block is no one's work.
pub fn hash_rate(view: &View) -> Result<Option<U256>, StoreError> {
    let head = &view.head_header;
    let from = view.head.height.saturating_sub(RATE_WINDOW).max(1);
    let first = match view.reader.canonical(from)? {
        Some(hash) => view.reader.header(&hash)?,
        None => None,
    };
    let Some(first) = first else { return Ok(None) };
    let work = head
        .extension
        .chain_work
        .saturating_sub(first.extension.chain_work);
    let seconds = head.pow.time.saturating_sub(first.pow.time);
    Ok((seconds > 0).then(|| work / U256::from(seconds)))
}
