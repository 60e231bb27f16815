//! Where a node stands.

use serde::Serialize;
use utoipa::ToSchema;

use super::{BlockIdJson, SUGGESTED_TIP, next_base_fee};
use crate::View;

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
    sync: SyncJson,
    pool: FillJson,
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
    /// The status of a view.
    pub fn new(view: &View) -> Self {
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
