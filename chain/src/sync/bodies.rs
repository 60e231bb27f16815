//! Bodies: which are asked of whom, lowest first, several peers at a time.

use alloy_primitives::U256;

use super::{Sync, peer::PeerState};
use crate::{
    effect::{Effect, Time},
    forest::Forest,
    hash::BlockHash,
    message::{Peer, Request},
    params::{
        BLOCKS_BYTES_MAX, BLOCKS_MAX, DOWNLOAD_WINDOW, HEADER_WIRE_BYTES, REQUEST_TIMEOUT_SECS,
    },
    tree::EntryId,
};

/// A block whose body we want.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) hash: BlockHash,
    pub(super) chain_work: U256,
    pub(super) bytes: usize,
}

impl Wanted {
    fn new(forest: &Forest, id: EntryId) -> Self {
        let entry = &forest.tree()[id];
        let body_bytes = usize::try_from(entry.body_bytes).unwrap_or(BLOCKS_BYTES_MAX);
        Self {
            hash: entry.id().hash,
            chain_work: entry.chain_work(),
            bytes: HEADER_WIRE_BYTES + body_bytes,
        }
    }
}

/// A block asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    pub(super) peer: Peer,
    pub(super) deadline_ms: u64,
}

impl Sync {
    /// A peer sent something else in a block's place: it rests, and others are asked.
    pub fn failed(&mut self, peer: Peer, hash: &BlockHash, now: Time) {
        self.flights.remove(hash);
        if let Some(state) = self.peers.get_mut(&peer) {
            state.rest_until_ms = now.monotonic_ms + REQUEST_TIMEOUT_SECS * 1000;
        }
    }

    /// A block has come, from whomever.
    pub fn arrived(&mut self, hash: &BlockHash) {
        self.flights.remove(hash);
    }

    /// Whether a block was asked of this peer.
    pub fn asked(&self, peer: Peer, hash: &BlockHash) -> bool {
        self.flights
            .get(hash)
            .is_some_and(|flight| flight.peer == peer)
    }

    /// Asks for the bodies that the forest wants, of peers that claim to have them. What nobody
    /// can give now is left out and holds up nothing else (Rule F2).
    pub fn ask_blocks(&mut self, forest: &Forest, now: Time, out: &mut Vec<Effect>) {
        if !self.peers.values().any(|state| state.is_idle(now)) {
            return;
        }
        let can_come = |id| {
            let wanted = Wanted::new(forest, id);
            !self.flights.contains_key(&wanted.hash) && self.idlest_peer(&wanted, now).is_some()
        };
        let ids = forest.wanted_bodies(DOWNLOAD_WINDOW, can_come);
        let mut wanted: Vec<_> = ids.into_iter().map(|id| Wanted::new(forest, id)).collect();
        while let Some(first) = wanted.first() {
            let Some(peer) = self.idlest_peer(first, now) else {
                wanted.remove(0);
                continue;
            };
            let state = self.peers.get_mut(&peer).expect("just found");
            state.requests += 1;
            let hashes = take_request(&mut wanted, state);
            let deadline_ms = now.monotonic_ms + REQUEST_TIMEOUT_SECS * 1000;
            let flight = Flight { peer, deadline_ms };
            self.flights
                .extend(hashes.iter().map(|hash| (*hash, flight)));
            out.push(Effect::Send {
                to: peer,
                request: Request::Blocks(hashes),
            });
        }
    }

    fn idlest_peer(&self, wanted: &Wanted, now: Time) -> Option<Peer> {
        let able = self
            .peers
            .iter()
            .filter(|(_, state)| state.is_idle(now) && state.may_have(wanted));
        able.min_by_key(|(_, state)| state.requests)
            .map(|(peer, _)| *peer)
    }

    /// Bodies asked for and not here yet.
    pub fn bodies_under_way(&self) -> usize {
        self.flights.len()
    }
}

/// Takes out what one request to this peer asks for: as much as it may have and as fits, by
/// count and by the bytes of the answer, and the first one in any case.
fn take_request(wanted: &mut Vec<Wanted>, state: &PeerState) -> Vec<BlockHash> {
    let (mut bytes, mut hashes) = (0, Vec::new());
    wanted.retain(|wanted| {
        let fits = hashes.len() < BLOCKS_MAX / 2
            && state.may_have(wanted)
            && (hashes.is_empty() || bytes + wanted.bytes <= BLOCKS_BYTES_MAX);
        if fits {
            bytes += wanted.bytes;
            hashes.push(wanted.hash);
        }
        !fits
    });
    hashes
}
