//! Headers: asked for by locator, one answer at a time from each peer.

use alloy_primitives::U256;

use super::{Presync, Sync};
use crate::{
    effect::{Effect, Time},
    hash::BlockHash,
    message::{Peer, Request},
};

/// Which of our questions headers answer, as far as one can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// The last one, unless an answer to an earlier one comes in its place.
    Last,
    /// One that was given up.
    Late,
}

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
        if !state.headers.runs() {
            state.headers.start(now);
            out.push(Effect::Send {
                to: peer,
                request: Request::Headers(locator),
            });
        }
    }

    /// Headers came from a peer; none if it owed us none, not even late ones.
    pub fn headers_came(&mut self, peer: Peer, now: Time) -> Option<Answered> {
        let state = self.peers.get_mut(&peer)?;
        if state.headers.runs() {
            state.headers.answered(now);
            state.delivered();
            return Some(Answered::Last);
        }
        let left = state.late_headers.checked_sub(1)?;
        state.late_headers = left;
        Some(Answered::Late)
    }

    /// Headers came that do not fit what we know by now. Whether they may be the answer to a
    /// question that was given up; if they came in place of the last one's answer, that is still
    /// owed. Each question that was given up excuses one answer.
    pub fn were_late(&mut self, peer: Peer, answered: Answered, now: Time) -> bool {
        let Some(state) = self.peers.get_mut(&peer) else {
            return false;
        };
        if answered == Answered::Late {
            return true;
        }
        let were_late = state.late_headers > 0;
        if were_late {
            state.late_headers -= 1;
            state.headers.start(now);
        }
        were_late
    }

    /// A question for headers is over without headers.
    pub(super) fn headers_ended(&mut self, peer: Peer) {
        if let Some(state) = self.peers.get_mut(&peer) {
            if state.headers.runs() {
                state.headers.stop();
            } else {
                state.late_headers = state.late_headers.saturating_sub(1);
            }
        }
    }

    /// A question that was given up before will not be answered any more.
    pub(super) fn late_headers_ended(&mut self, peer: Peer) {
        if let Some(state) = self.peers.get_mut(&peer) {
            state.late_headers = state.late_headers.saturating_sub(1);
        }
    }

    /// A peer owes headers for too long. They are welcome when they come.
    pub(super) fn headers_stalled(&mut self, peer: Peer) {
        if let Some(state) = self.peers.get_mut(&peer) {
            state.headers.stalled();
            state.stalls = state.stalls.saturating_add(1);
            state.late_headers = state.late_headers.saturating_add(1);
        }
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
