//! Who is connected: what the network says of a peer beside what the protocol knows of it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use api::network::PeerInfo;
use chain::{BlockId, Peer, sync::PeerSummary};

/// A peer that has come, as the network names it.
#[derive(Clone, Debug)]
pub struct Introduction {
    /// Its number.
    pub peer: Peer,
    /// Its peer id.
    pub id: Arc<str>,
    /// Where it is, as a multiaddr.
    pub address: Arc<str>,
    /// Whether it dialled us.
    pub inbound: bool,
}

/// What is known of a peer while it is connected.
struct Known {
    introduction: Introduction,
    since_unix_secs: u64,
    ping_ms: Option<u64>,
}

/// The connected peers. As many as the network lets in.
#[derive(Default)]
pub struct Peers {
    known: BTreeMap<Peer, Known>,
}

impl Peers {
    /// A peer has come.
    pub fn connected(&mut self, introduction: Introduction, now_unix_secs: u64) {
        let known = Known {
            since_unix_secs: now_unix_secs,
            ping_ms: None,
            introduction,
        };
        self.known.insert(known.introduction.peer, known);
    }

    /// A peer is gone; gives what was known of it.
    pub fn disconnected(&mut self, peer: Peer) -> Option<Introduction> {
        self.known.remove(&peer).map(|known| known.introduction)
    }

    /// A peer has answered a ping.
    pub fn pinged(&mut self, peer: Peer, rtt: Duration) {
        if let Some(known) = self.known.get_mut(&peer) {
            known.ping_ms = u64::try_from(rtt.as_millis()).ok();
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.known.len()
    }

    /// All peers by number, with what the protocol knows of them.
    pub fn list(&self, summaries: &[PeerSummary]) -> Vec<PeerInfo> {
        let info = |(peer, known): (&Peer, &Known)| {
            let summary = summaries.iter().find(|summary| summary.peer == *peer);
            let status = summary.and_then(|summary| summary.status.as_ref());
            PeerInfo {
                number: peer.0,
                id: Arc::clone(&known.introduction.id),
                address: Arc::clone(&known.introduction.address),
                inbound: known.introduction.inbound,
                connected_since: known.since_unix_secs,
                ping_ms: known.ping_ms,
                claims: status.map(|status| BlockId {
                    height: status.height,
                    hash: status.head,
                }),
                chain_work: summary.and_then(|summary| summary.chain_work),
                clock_ahead_secs: summary.and_then(|summary| summary.clock_ahead_secs),
                points: summary.map_or(0, |summary| summary.points),
                requests: summary.map_or(0, |summary| summary.requests),
            }
        };
        self.known.iter().map(info).collect()
    }
}
