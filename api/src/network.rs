//! What a view says of the peers, and of catching up with them.

use std::{fmt, sync::Arc};

use chain::{BlockId, StoreError, U256};

use crate::{View, limits::READY_BLOCKS_MAX};

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

/// Why a node is not up with its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unready {
    /// It hears of nobody's blocks, and makes none.
    Alone,
    /// Its head is too far below.
    Behind {
        /// The least height that would do.
        want: u64,
        /// The head's.
        got: u64,
    },
}

impl fmt::Display for Unready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alone => f.write_str(
                "no peer has said where it stands, and this node does not mine: wait, or give it \
                 --bootnodes",
            ),
            Self::Behind { want, got } => write!(
                f,
                "the node is catching up: wanted a head of height {want} or more, got {got}; wait"
            ),
        }
    }
}

/// Whether a node is up with its network, as far as it knows.
///
/// Nothing shows what peers claim before their headers come, so that most of them must claim more
/// for it to count: of three peers one liar makes no node unready.
///
/// # Errors
/// Why it is not.
pub fn readiness(view: &View) -> Result<(), Unready> {
    let claims = view.peer_list.iter().filter_map(|peer| peer.claims);
    let mut claimed: Vec<u64> = claims.map(|claim| claim.height).collect();
    claimed.sort_unstable();
    let middle = claimed.len().saturating_sub(1) / 2;
    let claimed = claimed.get(middle).copied();
    if claimed.is_none() && !view.mining && !view.spec.dev {
        return Err(Unready::Alone);
    }
    let best = view.sync.best_header.height.max(claimed.unwrap_or(0));
    let (want, got) = (best.saturating_sub(READY_BLOCKS_MAX), view.head.height);
    if got < want {
        return Err(Unready::Behind { want, got });
    }
    Ok(())
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
