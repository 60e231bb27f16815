//! Headers: asked for by locator, one answer at a time from each peer.

use alloy_primitives::U256;

use super::{Presync, Sync};
use crate::{
    effect::{Effect, Time},
    hash::BlockHash,
    message::{Peer, Request},
    params::REQUEST_TIMEOUT_SECS,
};

impl Sync {
    /// Notes where a peer's headers led; `false` unless that is further up than before, so that
    /// nobody keeps us busy with the same headers for ever.
    pub fn made_progress(&mut self, peer: Peer, chain_work: U256) -> bool {
        let Some(state) = self.peers.get_mut(&peer) else {
            return false;
        };
        let better = chain_work > state.headers_reach;
        state.headers_reach = state.headers_reach.max(chain_work);
        better
    }

    /// Asks a peer for headers after the locator, unless it is busy with that.
    pub fn ask_headers(
        &mut self,
        peer: Peer,
        locator: Vec<BlockHash>,
        now: Time,
        out: &mut Vec<Effect>,
    ) {
        let Some(state) = self.peers.get_mut(&peer) else {
            return;
        };
        if state.headers_deadline_ms.is_none() {
            state.headers_deadline_ms = Some(now.monotonic_ms + REQUEST_TIMEOUT_SECS * 1000);
            out.push(Effect::Send {
                to: peer,
                request: Request::Headers(locator),
            });
        }
    }

    /// Headers came from a peer; `false` if it owed us none.
    pub fn headers_came(&mut self, peer: Peer, _now: Time) -> bool {
        let Some(state) = self.peers.get_mut(&peer) else {
            return false;
        };
        state.headers_deadline_ms.take().is_some()
    }

    /// Whether an answer to an older question may still come from a peer; if so, it has.
    pub fn owes_old_headers(&mut self, _peer: Peer) -> bool {
        false
    }

    /// The chain that a peer is showing us.
    pub fn presync(&self, peer: Peer) -> Option<&Presync> {
        self.peers.get(&peer)?.presync.as_deref()
    }

    /// Takes out the chain that a peer is showing us.
    pub fn take_presync(&mut self, peer: Peer) -> Option<Presync> {
        let state = self.peers.get_mut(&peer)?;
        state.presync.take().map(|presync| *presync)
    }

    /// Keeps the chain that a peer is showing us, for as long as it is connected.
    pub fn keep_presync(&mut self, peer: Peer, presync: Presync) {
        if let Some(state) = self.peers.get_mut(&peer) {
            state.presync = Some(Box::new(presync));
        }
    }
}
