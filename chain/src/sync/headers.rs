//! Headers: asked for by locator, one answer at a time from each peer.

use alloy_primitives::U256;

use super::Sync;
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

    /// Whether a peer's answer with headers is awaited.
    pub fn awaits_headers(&self, peer: Peer) -> bool {
        self.peers
            .get(&peer)
            .is_some_and(|state| state.headers_deadline_ms.is_some())
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
}
