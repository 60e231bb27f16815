//! Where a node stands.

use serde::Serialize;

use super::SUGGESTED_TIP;
use crate::View;

/// Where a node stands.
#[derive(Debug, Serialize)]
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
    pool: PoolJson,
}

/// The head with what a status adds to it.
#[derive(Debug, Serialize)]
struct HeadDetailJson {
    height: u64,
    hash: String,
    time: u32,
    chain_work: String,
}

/// How full the pool is.
#[derive(Debug, Serialize)]
struct PoolJson {
    count: usize,
    bytes: usize,
}

impl StatusJson {
    /// The status of a view.
    pub fn new(view: &View) -> Self {
        let header = &view.head_header;
        let parent = chain::rules::Parent::new(header, view.head.hash);
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
            base_fee: chain::rules::next_base_fee(&view.spec, &parent).to_string(),
            suggested_tip: SUGGESTED_TIP.to_string(),
            peers: view.peer_list.len(),
            mining: view.mining,
            pool: PoolJson {
                count: view.pool.len(),
                bytes: view.pool.bytes(),
            },
        }
    }
}
