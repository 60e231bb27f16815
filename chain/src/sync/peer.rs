//! One peer: what we know of it and what is under way with it.

use std::collections::BTreeSet;

use alloy_primitives::U256;

use super::{Presync, bodies::Wanted, budget::Budget, timer::Timer};
use crate::{
    effect::Time,
    hash::BlockHash,
    message::{Peer, Status},
    params::{BLOCKS_PER_REQUEST, REQUESTS_PER_PEER, STATUS_INTERVAL_SECS},
};

/// What we know of a peer, for those who look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerSummary {
    /// Which.
    pub peer: Peer,
    /// Its last status; none before the first.
    pub status: Option<Status>,
    /// Chain work that it claims or has shown.
    pub chain_work: Option<U256>,
    /// Seconds that its clock is ahead of ours, the way of the message included.
    pub clock_ahead_secs: Option<i64>,
    /// What it is charged with, against [`crate::effect::Fault::LIMIT`].
    pub points: u32,
    /// Requests of ours that it has not answered yet.
    pub requests: usize,
}

/// What we know of a peer, and what is under way with it.
#[derive(Clone, Debug)]
pub(super) struct PeerState {
    pub(super) status: Option<Status>,
    pub(super) clock_ahead_secs: Option<i64>,
    /// Chain work it claims; `None` before its first status.
    pub(super) chain_work: Option<U256>,
    pub(super) points: u32,
    /// For an answer with headers.
    pub(super) headers: Timer,
    /// Questions for headers that were given up and may yet be answered.
    pub(super) late_headers: u32,
    /// The chain work that its headers have led to since its last status.
    pub(super) headers_reach: U256,
    /// A chain it shows us before we keep it.
    pub(super) presync: Option<Box<Presync>>,
    /// For answers with blocks.
    pub(super) bodies: Timer,
    /// Requests for blocks under way.
    pub(super) requests: Vec<Vec<BlockHash>>,
    /// Blocks it is asked for at a time.
    pub(super) appetite: usize,
    /// Times that it let us wait since its last answer.
    pub(super) stalls: u32,
    /// Blocks it answered without, until its next status.
    pub(super) lacks: BTreeSet<BlockHash>,
    pub(super) status_due_ms: u64,
    /// Not told of a new head before this.
    pub(super) quiet_until_ms: u64,
    /// Not asked for blocks before this: it failed to deliver.
    pub(super) rest_until_ms: u64,
    pub(super) budget: Budget,
}

impl PeerState {
    /// A peer that has said nothing yet.
    pub(super) fn new(now: Time) -> Self {
        Self {
            status: None,
            clock_ahead_secs: None,
            chain_work: None,
            points: 0,
            headers: Timer::new(),
            late_headers: 0,
            headers_reach: U256::ZERO,
            presync: None,
            bodies: Timer::new(),
            requests: Vec::new(),
            appetite: BLOCKS_PER_REQUEST,
            stalls: 0,
            lacks: BTreeSet::new(),
            status_due_ms: now.monotonic_ms + STATUS_INTERVAL_SECS * 1000,
            quiet_until_ms: 0,
            rest_until_ms: 0,
            budget: Budget::new(now),
        }
    }

    /// What others may know of it.
    pub(super) fn summary(&self, peer: Peer) -> PeerSummary {
        PeerSummary {
            peer,
            status: self.status.clone(),
            chain_work: self.chain_work,
            clock_ahead_secs: self.clock_ahead_secs,
            points: self.points,
            requests: self.requests.len() + usize::from(self.headers.runs()),
        }
    }

    pub(super) fn is_idle(&self, now: Time) -> bool {
        // One that let us wait has to answer one question before it is asked several.
        let most = if self.stalls == 0 {
            REQUESTS_PER_PEER
        } else {
            1
        };
        self.requests.len() < most && self.rest_until_ms <= now.monotonic_ms
    }

    /// It has answered: it is not stalling, and is asked for more at a time.
    pub(super) fn delivered(&mut self) {
        self.stalls = 0;
        self.appetite = (self.appetite * 2).min(BLOCKS_PER_REQUEST);
    }

    pub(super) fn may_have(&self, wanted: &Wanted) -> bool {
        self.chain_work
            .is_some_and(|chain_work| chain_work >= wanted.chain_work)
            && !self.lacks.contains(&wanted.hash)
            && wanted
                .slowness
                .is_none_or(|slowness| self.bodies.slowness() < slowness)
    }

    /// A larger budget from time to time, and a point forgiven, unless it still lets us wait.
    pub(super) fn refill(&mut self, now: Time) {
        if self.budget.refill(now) && self.stalls == 0 {
            self.points = self.points.saturating_sub(1);
        }
    }
}
