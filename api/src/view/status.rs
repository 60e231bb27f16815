//! Where a node stands.

use chain::U256;
use serde::Serialize;
use utoipa::ToSchema;

use super::{BlockIdJson, SUGGESTED_TIP, next_base_fee};
use crate::{
    View,
    desk::{Miners, StratumMiners},
};

/// Where a node stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatusJson {
    version: &'static str,
    network: String,
    dev: bool,
    chain_id: u64,
    genesis: String,
    head: HeadDetailJson,
    base_fee: String,
    suggested_tip: String,
    peers: usize,
    mining: bool,
    /// The node's own search; null where it does not mine.
    miner: Option<MinerJson>,
    /// Miners over Stratum; null where there is no port for them.
    stratum: Option<StratumJson>,
    sync: SyncJson,
    pool: FillJson,
}

/// What a node's own threads do.
#[derive(Debug, Serialize, ToSchema)]
struct MinerJson {
    /// Hashes a second, over the latest half minute.
    hash_rate: u64,
    /// Seconds in which that rate finds a block as hard as the head, on average; null without a rate.
    block_secs: Option<u64>,
}

/// What miners over Stratum do, and what became of their shares since the start.
#[derive(Debug, Serialize, ToSchema)]
struct StratumJson {
    /// Open connections.
    connections: u64,
    /// Hashes a second that the accepted shares of the latest ten minutes stand for.
    hash_rate: u64,
    /// Seconds in which that rate finds a block as hard as the head, on average; null without a rate.
    block_secs: Option<u64>,
    /// Blocks found.
    blocks: u64,
    shares: SharesJson,
}

/// Shares by what became of them.
#[derive(Debug, Serialize, ToSchema)]
struct SharesJson {
    accepted: u64,
    /// Of an older head, or of a forgotten job.
    stale: u64,
    duplicate: u64,
    /// Refused for anything else.
    refused: u64,
}

/// How far a node is with catching up.
#[derive(Debug, Serialize, ToSchema)]
struct SyncJson {
    /// Whether a header better than the head waits for bodies or execution.
    syncing: bool,
    best_header: BlockIdJson,
    /// Blocks between the head's height and the best header's.
    blocks_behind: u64,
    bodies_under_way: usize,
}

/// The head with what a status adds to it.
#[derive(Debug, Serialize, ToSchema)]
struct HeadDetailJson {
    height: u64,
    hash: String,
    time: u32,
    chain_work: String,
}

/// How full the pool is.
#[derive(Debug, Serialize, ToSchema)]
struct FillJson {
    count: usize,
    bytes: usize,
}

impl StatusJson {
    /// The status of a view, while so much is mined.
    pub fn new(view: &View, miners: &Miners) -> Self {
        let header = &view.head_header;
        Self {
            version: view.version,
            network: view.network.clone(),
            dev: view.spec.dev,
            chain_id: view.spec.chain_id,
            genesis: view.genesis.to_string(),
            head: HeadDetailJson {
                height: view.head.height,
                hash: view.head.hash.to_string(),
                time: header.pow.time,
                chain_work: format!("{:#x}", header.extension.chain_work),
            },
            base_fee: next_base_fee(view).to_string(),
            suggested_tip: SUGGESTED_TIP.to_string(),
            peers: view.peer_list.len(),
            mining: view.mining,
            miner: view.mining.then(|| MinerJson {
                hash_rate: miners.hash_rate,
                block_secs: block_secs(view, miners.hash_rate),
            }),
            stratum: miners.stratum.map(|stratum| stratum_json(view, &stratum)),
            sync: SyncJson {
                syncing: view.sync.is_syncing,
                best_header: (&view.sync.best_header).into(),
                blocks_behind: view
                    .sync
                    .best_header
                    .height
                    .saturating_sub(view.head.height),
                bodies_under_way: view.sync.bodies_under_way,
            },
            pool: FillJson {
                count: view.pool.len(),
                bytes: view.pool.bytes(),
            },
        }
    }
}

/// In what time a rate finds a block as hard as the head.
fn block_secs(view: &View, hash_rate: u64) -> Option<u64> {
    let work = view.head_header.pow.bits.target()?.work();
    let secs = work.checked_div(U256::from(hash_rate))?;
    Some(u64::try_from(secs).unwrap_or(u64::MAX))
}

fn stratum_json(view: &View, miners: &StratumMiners) -> StratumJson {
    StratumJson {
        connections: miners.connections,
        hash_rate: miners.hash_rate,
        block_secs: block_secs(view, miners.hash_rate),
        blocks: miners.blocks,
        shares: SharesJson {
            accepted: miners.accepted,
            stale: miners.stale,
            duplicate: miners.duplicate,
            refused: miners.refused,
        },
    }
}
