//! Sync: headers first by locator, then bodies from several peers within budgets.
//!
//! Bookkeeping of what was asked of whom, and when; decides what to ask next. Serving others is
//! here too, as a pure function of a store snapshot. Called by `node`, and `serve` by shells.

mod bodies;
mod headers;
mod peer;
mod presync;
mod serve;

use std::collections::BTreeMap;

use alloy_primitives::U256;

pub use self::{
    peer::PeerSummary,
    presync::{PassError, Presync},
    serve::serve,
};

use self::{bodies::Flight, peer::PeerState};
use crate::{
    effect::{Fault, Time},
    hash::BlockHash,
    message::{Peer, Request, Status},
    params::{
        DOWNLOAD_WINDOW, PEERS_MAX, REQUEST_BUDGET, REQUEST_BUDGET_SECS, REQUEST_TIMEOUT_SECS,
        STATUS_INTERVAL_SECS,
    },
};

/// What is under way with all peers.
#[derive(Clone, Debug, Default)]
pub struct Sync {
    peers: BTreeMap<Peer, PeerState>,
    flights: BTreeMap<BlockHash, Flight>,
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

    /// Takes one request from a peer's budget; `false` if it is used up.
    pub fn spend(&mut self, peer: Peer) -> bool {
        let Some(state) = self.peers.get_mut(&peer) else {
            return false;
        };
        let affordable = state.budget > 0;
        state.budget = state.budget.saturating_sub(1);
        affordable
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

    /// A request is over. Blocks that did not come will be asked of others.
    pub fn answered(&mut self, peer: Peer, request: &Request, now: Time) {
        let Some(state) = self.peers.get_mut(&peer) else {
            return;
        };
        match request {
            Request::Headers(_) => state.headers_deadline_ms = None,
            Request::Blocks(hashes) => {
                state.requests = state.requests.saturating_sub(1);
                for hash in hashes {
                    if self
                        .flights
                        .get(hash)
                        .is_some_and(|flight| flight.peer == peer)
                    {
                        self.flights.remove(hash);
                        state.lacks.insert(*hash);
                    }
                }
                if state.lacks.len() > DOWNLOAD_WINDOW {
                    state.lacks.clear();
                    state.rest_until_ms = now.monotonic_ms + REQUEST_TIMEOUT_SECS * 1000;
                }
            }
            Request::Status(_) | Request::Transactions(_) | Request::Addresses => {}
        }
    }

    /// Time-outs, refills, and a point forgiven from time to time. Returns peers whose status is
    /// due, and peers that let us wait.
    pub fn tick(&mut self, now: Time) -> (Vec<Peer>, Vec<Peer>) {
        let mut late: Vec<Peer> = Vec::new();
        self.flights.retain(|_, flight| {
            let in_time = flight.deadline_ms > now.monotonic_ms;
            if !in_time && !late.contains(&flight.peer) {
                late.push(flight.peer);
            }
            in_time
        });
        let mut due = Vec::new();
        for (peer, state) in &mut self.peers {
            if late.contains(peer) {
                state.rest_until_ms = now.monotonic_ms + REQUEST_TIMEOUT_SECS * 1000;
            }
            if state
                .headers_deadline_ms
                .is_some_and(|deadline| deadline <= now.monotonic_ms)
            {
                state.headers_deadline_ms = None;
                late.push(*peer);
            }
            if state.status_due_ms <= now.monotonic_ms {
                state.status_due_ms = now.monotonic_ms + STATUS_INTERVAL_SECS * 1000;
                due.push(*peer);
            }
            if state.refill_due_ms <= now.monotonic_ms {
                state.refill_due_ms = now.monotonic_ms + REQUEST_BUDGET_SECS * 1000;
                state.budget = REQUEST_BUDGET;
                state.points = state.points.saturating_sub(1);
            }
        }
        (due, late)
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
