//! Sync: headers first by locator, then bodies from several peers within budgets.
//!
//! Bookkeeping of what was asked of whom, and when; decides what to ask next. Serving others is
//! here too, as a pure function of a store snapshot. Called by `node`, and `serve` by shells.

mod bodies;
mod budget;
mod headers;
mod peer;
mod presync;
mod serve;
mod timer;

use std::collections::BTreeMap;

use alloy_primitives::U256;

pub use self::{
    budget::{Spending, weight},
    headers::Answered,
    peer::PeerSummary,
    presync::{PassError, Presync},
    serve::serve,
};

use self::{bodies::Flight, peer::PeerState, timer::Timer};
use crate::{
    effect::{Fault, Time},
    hash::BlockHash,
    message::{Peer, Request, Status},
    params::{CLOCK_JUMP_MS, PEERS_MAX, STATUS_INTERVAL_SECS, TICK_GAP_MS, UNSERVED_REST_MS},
};

/// What is under way with all peers.
#[derive(Clone, Debug, Default)]
pub struct Sync {
    peers: BTreeMap<Peer, PeerState>,
    flights: BTreeMap<BlockHash, Flight>,
    last_tick_ms: Option<u64>,
}

impl Sync {
    /// A new peer; `false` if there is no place for it.
    pub fn connected(&mut self, peer: Peer, now: Time) -> bool {
        if self.peers.len() >= PEERS_MAX && !self.peers.contains_key(&peer) {
            return false;
        }
        self.peers.insert(peer, PeerState::new(now));
        true
    }

    /// Whether there are no peers.
    pub fn is_alone(&self) -> bool {
        self.peers.is_empty()
    }

    /// A peer is gone; what was asked of it may be asked of others.
    pub fn disconnected(&mut self, peer: Peer) {
        self.peers.remove(&peer);
        self.flights.retain(|_, flight| flight.peer != peer);
    }

    /// Charges a peer. Returns whether it has used up its credit.
    pub fn charge(&mut self, peer: Peer, fault: Fault) -> bool {
        let Some(state) = self.peers.get_mut(&peer) else {
            return false;
        };
        state.points = state.points.saturating_add(fault.points());
        state.points >= Fault::LIMIT
    }

    /// Takes one request with an answer of so many bytes from a peer's budget.
    pub fn spend(&mut self, peer: Peer, bytes: u64) -> Spending {
        let state = self.peers.get_mut(&peer);
        state.map_or(Spending::Declined, |state| state.budget.spend(bytes))
    }

    /// Notes what a peer claims.
    pub fn claims(&mut self, peer: Peer, status: &Status, now: Time) {
        if let Some(state) = self.peers.get_mut(&peer) {
            state.status = Some(status.clone());
            state.clock_ahead_secs = status.time.checked_signed_diff(now.unix_secs);
            state.chain_work = Some(status.chain_work());
            state.lacks.clear();
            state.headers_reach = U256::ZERO;
        }
    }

    /// Notes that a peer has shown a header of this chain work, and so claims at least that.
    pub fn claims_at_least(&mut self, peer: Peer, chain_work: U256) {
        if let Some(state) = self.peers.get_mut(&peer) {
            state.chain_work = Some(state.chain_work.unwrap_or_default().max(chain_work));
        }
    }

    /// A request is over: answered, or given up by the peer. Blocks that did not come will be
    /// asked of others.
    pub fn answered(&mut self, peer: Peer, request: &Request, now: Time) {
        match request {
            Request::Headers(_) => self.headers_ended(peer),
            Request::Blocks(hashes) => self.blocks_answered(peer, hashes, now),
            Request::Status(_) | Request::Transactions(_) | Request::Addresses => {}
        }
    }

    /// A request did not reach the peer, or it had too much to do: it says nothing about what the
    /// peer has, and is made again after a while.
    pub fn unserved(&mut self, peer: Peer, request: &Request, now: Time) {
        match request {
            Request::Headers(_) => self.headers_ended(peer),
            Request::Blocks(hashes) => {
                self.end_request(peer, hashes);
            }
            Request::Status(_) => {}
            Request::Transactions(_) | Request::Addresses => return,
        }
        let its_own = self.flights.values().filter(|flight| flight.peer == peer);
        let oldest_ms = its_own.map(|flight| flight.since_ms).min();
        let Some(state) = self.peers.get_mut(&peer) else {
            return;
        };
        let again_ms = now.monotonic_ms.saturating_add(UNSERVED_REST_MS);
        if let Request::Blocks(_) = request {
            state.rest_until_ms = state.rest_until_ms.max(again_ms);
            if state.requests.is_empty() {
                state.bodies.stop();
            } else if let Some(oldest_ms) = oldest_ms {
                state.bodies.not_before(oldest_ms);
            }
        } else {
            // Headers are asked for by what its status says.
            state.status_due_ms = state.status_due_ms.min(again_ms);
        }
    }

    /// The connection gave up waiting for an answer. Whether that is a stall, and not known
    /// already.
    pub fn unanswered(&mut self, peer: Peer, request: &Request, now: Time) -> bool {
        let Some(state) = self.peers.get(&peer) else {
            return false;
        };
        match request {
            // Questions are given up in their order: one that has stalled already comes first.
            Request::Headers(_) if state.late_headers > 0 => {
                self.late_headers_ended(peer);
                false
            }
            Request::Headers(_) => {
                let is_stall = state.headers.runs();
                if is_stall {
                    self.headers_stalled(peer);
                }
                self.headers_ended(peer);
                is_stall
            }
            Request::Blocks(hashes) => {
                let is_stall = state.requests.contains(hashes);
                if is_stall {
                    self.bodies_stalled(peer, now);
                }
                is_stall
            }
            Request::Status(_) | Request::Transactions(_) | Request::Addresses => false,
        }
    }

    /// Stalls, refills, and a point forgiven from time to time. Returns peers whose status is
    /// due, and peers that let us wait.
    pub fn tick(&mut self, now: Time) -> (Vec<Peer>, Vec<Peer>) {
        let last_ms = self.last_tick_ms.replace(now.monotonic_ms);
        let gap_ms = now
            .monotonic_ms
            .saturating_sub(last_ms.unwrap_or(now.monotonic_ms));
        if gap_ms > TICK_GAP_MS {
            self.extend(gap_ms - TICK_GAP_MS, now);
        }
        if gap_ms > CLOCK_JUMP_MS {
            // Much may have happened.
            for state in self.peers.values_mut() {
                state.status_due_ms = now.monotonic_ms;
            }
        }
        let late = self.stalled(now);
        let mut due = Vec::new();
        for (peer, state) in &mut self.peers {
            if state.status_due_ms <= now.monotonic_ms {
                state.status_due_ms = now.monotonic_ms + STATUS_INTERVAL_SECS * 1000;
                // What it lacked it may have by now.
                state.lacks.clear();
                due.push(*peer);
            }
            state.refill(now);
        }
        (due, late)
    }

    /// Threat X1: nobody let us wait while we were asleep, or had too much to do to listen.
    fn extend(&mut self, ms: u64, now: Time) {
        for state in self.peers.values_mut() {
            state.headers.extend(ms, now);
            state.bodies.extend(ms, now);
        }
        for flight in self.flights.values_mut() {
            flight.since_ms = flight.since_ms.saturating_add(ms).min(now.monotonic_ms);
        }
    }

    /// Ends what peers owe for too long; returns these peers.
    fn stalled(&mut self, now: Time) -> Vec<Peer> {
        let over = |timer: fn(&PeerState) -> &Timer| -> Vec<Peer> {
            let late = self
                .peers
                .iter()
                .filter(|(_, state)| timer(state).is_over(now));
            late.map(|(peer, _)| *peer).collect()
        };
        let (headers, bodies) = (over(|state| &state.headers), over(|state| &state.bodies));
        for peer in &headers {
            self.headers_stalled(*peer);
        }
        for peer in &bodies {
            self.bodies_stalled(*peer, now);
        }
        let mut late = headers;
        late.extend(bodies);
        late.sort_unstable();
        late.dedup();
        late
    }

    /// What is known of every peer.
    pub fn summaries(&self) -> Vec<PeerSummary> {
        let summary = |(peer, state): (&Peer, &PeerState)| state.summary(*peer);
        self.peers.iter().map(summary).collect()
    }

    /// Peers that claim less chain work than this and have not been told for a second.
    pub fn peers_to_tell(&mut self, chain_work: U256, now: Time) -> Vec<Peer> {
        let mut out = Vec::new();
        for (peer, state) in &mut self.peers {
            let is_behind = state.chain_work.is_some_and(|claimed| claimed < chain_work);
            if is_behind && state.quiet_until_ms <= now.monotonic_ms {
                state.quiet_until_ms = now.monotonic_ms + 1_000;
                out.push(*peer);
            }
        }
        out
    }
}
