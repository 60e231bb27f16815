//! Bodies: which are asked of whom, lowest first, several peers at a time.
//!
//! A block is under way with one peer at most. Quick peers are asked before slow ones, for more
//! at a time, and take over what a slower one has had for a while (threat P2).

use alloy_primitives::U256;

use super::{Sync, peer::PeerState};
use crate::{
    effect::{Effect, Time},
    forest::Forest,
    hash::BlockHash,
    message::{Peer, Request},
    params::{
        BLOCKS_BYTES_MAX, BLOCKS_PER_REQUEST, DOWNLOAD_WINDOW, HEADER_WIRE_BYTES, PATIENCE_MIN_MS,
        STALL_REST_MS,
    },
    tree::EntryId,
};

/// A block whose body we want.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) hash: BlockHash,
    pub(super) chain_work: U256,
    pub(super) bytes: usize,
    /// The slowness of the peer that has been asked for it; only a quicker one is asked too.
    pub(super) slowness: Option<u32>,
}

/// A block asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    pub(super) peer: Peer,
    pub(super) since_ms: u64,
}

impl Flight {
    fn is_old(&self, now: Time) -> bool {
        self.since_ms.saturating_add(PATIENCE_MIN_MS) <= now.monotonic_ms
    }
}

impl Sync {
    /// A peer sent something else in a block's place: it rests, and others are asked.
    pub fn failed(&mut self, peer: Peer, hash: &BlockHash, now: Time) {
        self.flights.remove(hash);
        if let Some(state) = self.peers.get_mut(&peer) {
            state.rest_until_ms = now.monotonic_ms.saturating_add(STALL_REST_MS);
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
            let wanted = self.wanted(forest, id, now);
            wanted.is_some_and(|wanted| self.best_peer(&wanted, now).is_some())
        };
        let ids = forest.wanted_bodies(DOWNLOAD_WINDOW, can_come);
        let wanted = ids
            .into_iter()
            .filter_map(|id| self.wanted(forest, id, now));
        let mut wanted: Vec<_> = wanted.collect();
        while let Some(first) = wanted.first() {
            let Some(peer) = self.best_peer(first, now) else {
                wanted.remove(0);
                continue;
            };
            let state = self.peers.get_mut(&peer).expect("just found");
            let hashes = take_request(&mut wanted, state);
            state.bodies.start(now);
            state.requests.push(hashes.clone());
            let since_ms = now.monotonic_ms;
            let flight = Flight { peer, since_ms };
            self.flights
                .extend(hashes.iter().map(|hash| (*hash, flight)));
            out.push(Effect::Send {
                to: peer,
                request: Request::Blocks(hashes),
            });
        }
    }

    /// A block of the tree, unless it was asked for just now.
    fn wanted(&self, forest: &Forest, id: EntryId, now: Time) -> Option<Wanted> {
        let entry = &forest.tree()[id];
        let hash = entry.id().hash;
        let flight = self.flights.get(&hash);
        if flight.is_some_and(|flight| !flight.is_old(now)) {
            return None;
        }
        let holder = flight.and_then(|flight| self.peers.get(&flight.peer));
        let body_bytes = usize::try_from(entry.body_bytes).unwrap_or(BLOCKS_BYTES_MAX);
        Some(Wanted {
            hash,
            chain_work: entry.chain_work(),
            bytes: HEADER_WIRE_BYTES + body_bytes,
            slowness: holder.map(|state| state.bodies.slowness()),
        })
    }

    /// The quickest peer that may be asked, and of equally quick ones the idlest.
    fn best_peer(&self, wanted: &Wanted, now: Time) -> Option<Peer> {
        let able = self
            .peers
            .iter()
            .filter(|(_, state)| state.is_idle(now) && state.may_have(wanted));
        able.min_by_key(|(_, state)| (state.bodies.slowness(), state.requests.len()))
            .map(|(peer, _)| *peer)
    }

    /// A request for blocks is over. Blocks that did not come will be asked of others.
    pub(super) fn blocks_answered(&mut self, peer: Peer, hashes: &[BlockHash], now: Time) {
        let missing = self.end_request(peer, hashes);
        let Some(state) = self.peers.get_mut(&peer) else {
            return;
        };
        state.bodies.answered(now);
        state.delivered();
        if !state.requests.is_empty() {
            state.bodies.start(now);
        }
        state.lacks.extend(missing);
        if state.lacks.len() > DOWNLOAD_WINDOW {
            state.lacks.clear();
            state.rest_until_ms = now.monotonic_ms.saturating_add(STALL_REST_MS);
        }
    }

    /// Takes a request off the list; returns its blocks that are still under way with the peer.
    pub(super) fn end_request(&mut self, peer: Peer, hashes: &[BlockHash]) -> Vec<BlockHash> {
        if let Some(state) = self.peers.get_mut(&peer) {
            let place = state.requests.iter().position(|asked| asked == hashes);
            place.map(|place| state.requests.remove(place));
        }
        let under_way = hashes.iter().filter(|hash| self.asked(peer, hash));
        let under_way: Vec<_> = under_way.copied().collect();
        for hash in &under_way {
            self.flights.remove(hash);
        }
        under_way
    }

    /// A peer owes blocks for too long: others are asked for all of them, and it rests.
    pub(super) fn bodies_stalled(&mut self, peer: Peer, now: Time) {
        self.flights.retain(|_, flight| flight.peer != peer);
        if let Some(state) = self.peers.get_mut(&peer) {
            state.requests.clear();
            state.bodies.stalled();
            state.stalls = state.stalls.saturating_add(1);
            state.appetite = (state.appetite / 2).max(1);
            state.rest_until_ms = now.monotonic_ms.saturating_add(STALL_REST_MS);
        }
    }

    /// Bodies asked for and not here yet.
    pub fn bodies_under_way(&self) -> usize {
        self.flights.len()
    }
}

/// Takes out what one request to this peer asks for: as much as it may have and as fits, by
/// count and by the bytes of the answer, and the first one in any case.
fn take_request(wanted: &mut Vec<Wanted>, state: &PeerState) -> Vec<BlockHash> {
    let bytes_max = BLOCKS_BYTES_MAX / BLOCKS_PER_REQUEST * state.appetite;
    let (mut bytes, mut hashes) = (0, Vec::new());
    wanted.retain(|wanted| {
        let fits = hashes.len() < state.appetite
            && state.may_have(wanted)
            && (hashes.is_empty() || bytes + wanted.bytes <= bytes_max);
        if fits {
            bytes += wanted.bytes;
            hashes.push(wanted.hash);
        }
        !fits
    });
    hashes
}
