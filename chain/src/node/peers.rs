//! What peers say and ask: status, answers, refusals, requests, time-outs.
//!
//! Faults are charged to the peer that committed them, never to a hash.

use super::{Node, Step};
use crate::{
    effect::{Effect, Fault, Ticket},
    execution::Execution,
    fork_choice::Rank,
    hash::BlockHash,
    message::{Peer, Request, Status},
    params::PROTOCOL_VERSION,
    store::Stage,
    sync::{Spending, weight},
};

impl<E: Execution> Node<E> {
    pub(super) fn connected(&mut self, peer: Peer, step: &mut Step<'_>) {
        if !self.sync.connected(peer, step.now) {
            step.effects.push(Effect::Disconnect {
                peer,
                fault: Fault::Full,
            });
            return;
        }
        let request = Request::Status(self.status(step.now));
        step.effects.push(Effect::Send { to: peer, request });
        self.reminders.connected(step.now, self.salt);
    }

    pub(super) fn disconnected(&mut self, peer: Peer, step: &mut Step<'_>) {
        self.sync.disconnected(peer);
        self.orphans.forget(peer);
        self.sync
            .ask_blocks(&self.forest, step.now, &mut step.effects);
    }

    /// A peer of another network is let go; one that is ahead is asked for headers.
    pub(super) fn take_status(&mut self, from: Peer, status: &Status, step: &mut Step<'_>) {
        let height = self.head().height;
        let same = status.version == PROTOCOL_VERSION
            && status.genesis == self.genesis
            && self
                .spec
                .is_compatible(self.genesis, height, status.fork_id());
        if !same {
            self.charge(Some(from), Fault::WrongNetwork, step);
            return;
        }
        self.sync.claims(from, status, step.now);
        let theirs = Rank::new(status.chain_work(), &status.head);
        // Compared with the head: the best header's bodies may never come.
        let ours = self.forest.head_rank();
        if theirs > ours && self.forest.tree().find(&status.head).is_none() {
            self.ask_headers(from, step);
        }
        self.sync
            .ask_blocks(&self.forest, step.now, &mut step.effects);
    }

    /// Tells the peers that claim less than we have where we stand.
    pub(super) fn tell_status(&mut self, step: &mut Step<'_>) {
        let status = self.status(step.now);
        for to in self.sync.peers_to_tell(status.chain_work(), step.now) {
            let request = Request::Status(status.clone());
            step.effects.push(Effect::Send { to, request });
        }
    }

    pub(super) fn take_answered(&mut self, from: Peer, request: &Request, step: &mut Step<'_>) {
        self.sync.answered(from, request, step.now);
        self.sync
            .ask_blocks(&self.forest, step.now, &mut step.effects);
    }

    pub(super) fn take_unserved(&mut self, to: Peer, request: &Request, step: &mut Step<'_>) {
        self.sync.unserved(to, request, step.now);
        self.sync
            .ask_blocks(&self.forest, step.now, &mut step.effects);
    }

    pub(super) fn take_unanswered(&mut self, from: Peer, request: &Request, step: &mut Step<'_>) {
        if self.sync.unanswered(from, request, step.now) {
            self.charge(Some(from), Fault::Timeout, step);
        }
        self.sync
            .ask_blocks(&self.forest, step.now, &mut step.effects);
    }

    /// What failed the stateless check: its sender pays, and another peer is asked at once.
    pub(super) fn take_refused(
        &mut self,
        from: Peer,
        hash: Option<BlockHash>,
        fault: Fault,
        step: &mut Step<'_>,
    ) {
        if let Some(hash) = hash {
            let asked = self.sync.asked(from, &hash);
            if asked {
                self.sync.failed(from, &hash, step.now);
            }
            self.condemn_if_known(&hash, fault, step);
        }
        self.charge(Some(from), fault, step);
        self.sync
            .ask_blocks(&self.forest, step.now, &mut step.effects);
    }

    /// A body that matched its header and holds a transaction that breaks T1 to T3 condemns the
    /// block. Only such a block can be in the tree and be refused as invalid.
    fn condemn_if_known(&mut self, hash: &BlockHash, fault: Fault, step: &mut Step<'_>) {
        let Some(id) = self.forest.tree().find(hash) else {
            return;
        };
        let waits = self.forest.tree()[id].stage == Stage::Header;
        if fault == Fault::InvalidBlock && waits {
            self.condemn(id, "a transaction in it is invalid by itself".into(), step);
        }
    }

    /// A peer's request costs it budget and is answered from a snapshot, off the core.
    pub(super) fn take_request(
        &mut self,
        from: Peer,
        ticket: Ticket,
        request: Request,
        step: &mut Step<'_>,
    ) {
        let bytes = weight(&request, &self.forest, &self.pool.snapshot());
        let spending = self.sync.spend(from, bytes);
        if spending == Spending::Charged {
            self.charge(Some(from), Fault::TooManyRequests, step);
        }
        if spending != Spending::Served {
            step.effects.push(Effect::Decline { ticket });
            return;
        }
        if let Request::Status(status) = &request {
            self.take_status(from, status, step);
        }
        step.effects.push(Effect::Serve { ticket, request });
    }

    /// Time has passed: early blocks, time-outs, reminders, and a look at where the peers
    /// stand.
    pub(super) fn tick(&mut self, step: &mut Step<'_>) {
        self.retry_early(step);
        self.pool.expire(step.now);
        self.remind(step);
        let (due, late) = self.sync.tick(step.now);
        for peer in late {
            self.charge(Some(peer), Fault::Timeout, step);
        }
        let status = self.status(step.now);
        for peer in due {
            let request = Request::Status(status.clone());
            step.effects.push(Effect::Send { to: peer, request });
        }
        self.sync
            .ask_blocks(&self.forest, step.now, &mut step.effects);
    }
}
