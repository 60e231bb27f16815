//! Connected peers.

use serde::Serialize;
use utoipa::ToSchema;

use super::{BlockIdJson, HeadJson};
use crate::{View, network::PeerInfo};

/// All connected peers.
#[derive(Debug, Serialize, ToSchema)]
pub struct PeersJson {
    peers: Vec<PeerJson>,
    head: HeadJson,
}

#[derive(Debug, Serialize, ToSchema)]
struct PeerJson {
    number: u64,
    id: String,
    address: String,
    inbound: bool,
    /// Unix seconds.
    connected_since: u64,
    ping_ms: Option<u64>,
    /// The head that it claims.
    claims: Option<BlockIdJson>,
    chain_work: Option<String>,
    clock_ahead_secs: Option<i64>,
    points: u32,
    requests: usize,
}

impl PeersJson {
    /// The peers of a view.
    pub fn new(view: &View) -> Self {
        Self {
            peers: view.peer_list.iter().map(PeerJson::new).collect(),
            head: HeadJson::new(view),
        }
    }
}

impl PeerJson {
    fn new(peer: &PeerInfo) -> Self {
        Self {
            number: peer.number,
            id: peer.id.to_string(),
            address: peer.address.to_string(),
            inbound: peer.inbound,
            connected_since: peer.connected_since,
            ping_ms: peer.ping_ms,
            claims: peer.claims.as_ref().map(BlockIdJson::from),
            chain_work: peer.chain_work.map(|work| format!("{work:#x}")),
            clock_ahead_secs: peer.clock_ahead_secs,
            points: peer.points,
            requests: peer.requests,
        }
    }
}
