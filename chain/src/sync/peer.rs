//! One peer: what we know of it and what is under way with it.

use std::collections::BTreeSet;

use alloy_primitives::U256;

use super::{Presync, bodies::Wanted};
use crate::{
    effect::Time,
    hash::BlockHash,
    message::{Peer, Status},
    params::{REQUEST_BUDGET, REQUEST_BUDGET_SECS, REQUESTS_PER_PEER, STATUS_INTERVAL_SECS},
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
    /// What it is charged with, against [`Fault::LIMIT`].
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
    pub(super) headers_deadline_ms: Option<u64>,
    /// The chain work that its headers have led to since its last status.
    pub(super) headers_reach: U256,
    /// A chain it shows us before we keep it.
    pub(super) presync: Option<Box<Presync>>,
    pub(super) requests: usize,
    /// Blocks it answered without, until its next status.
    pub(super) lacks: BTreeSet<BlockHash>,
    pub(super) status_due_ms: u64,
    /// Not told of a new head before this.
    pub(super) quiet_until_ms: u64,
    /// Not asked for blocks before this: it failed to deliver.
    pub(super) rest_until_ms: u64,
    pub(super) budget: u32,
    pub(super) refill_due_ms: u64,
}

impl PeerState {
    /// A peer that has said nothing yet.
    pub(super) fn new(now: Time) -> Self {
        Self {
            status: None,
            clock_ahead_secs: None,
            chain_work: None,
            points: 0,
            headers_deadline_ms: None,
            headers_reach: U256::ZERO,
            presync: None,
            requests: 0,
            lacks: BTreeSet::new(),
            status_due_ms: now.monotonic_ms + STATUS_INTERVAL_SECS * 1000,
            quiet_until_ms: 0,
            rest_until_ms: 0,
            budget: REQUEST_BUDGET,
            refill_due_ms: now.monotonic_ms + REQUEST_BUDGET_SECS * 1000,
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
            requests: self.requests + usize::from(self.headers_deadline_ms.is_some()),
        }
    }

    pub(super) fn is_idle(&self, now: Time) -> bool {
        self.requests < REQUESTS_PER_PEER && self.rest_until_ms <= now.monotonic_ms
    }

    pub(super) fn may_have(&self, wanted: &Wanted) -> bool {
        self.chain_work
            .is_some_and(|chain_work| chain_work >= wanted.chain_work)
            && !self.lacks.contains(&wanted.hash)
    }
}
