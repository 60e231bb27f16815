//! Blocks coming in: one admission path for gossip, sync, our miner and our store.
//!
//! Nothing here executes. A block joins the tree, its body is kept, and waiting orphans follow.

use std::sync::Arc;

use super::{Node, Step};
use crate::{
    check::{CheckedBlock, CheckedHeader},
    early::Early,
    effect::{Effect, Event, Fault, Verdict},
    execution::Execution,
    forest::{Insert, Origin},
    hash::BlockHash,
    message::Peer,
    params::UNANNOUNCED_MAX,
    store::Stage,
    tree::EntryId,
};

impl<E: Execution> Node<E> {
    /// Takes a block; the verdict is what gossip does with it (section 8 of the protocol).
    pub(super) fn admit_block(
        &mut self,
        from: Option<Peer>,
        block: CheckedBlock,
        step: &mut Step<'_>,
    ) -> Verdict {
        let hash = block.id().hash;
        let origin = match from {
            Some(peer) if !self.sync.asked(peer, &hash) => Origin::Unsolicited,
            _ => Origin::Solicited,
        };
        self.sync.arrived(&hash);
        let is_worth_relaying = self.forest.is_worth_relaying(block.header());
        // Sync may have brought the header first; the block is news all the same.
        let awaits_body = self.awaits_body(&hash);
        match self.insert(from, block, origin, step) {
            Insert::Joined(id) => {
                self.connect_orphans(id, step);
                self.forward(from, id, is_worth_relaying)
            }
            // Also where we had asked the same peer for it: then this is its gossip, or an answer,
            // of which nobody asks the verdict.
            Insert::Known(_) if awaits_body && is_worth_relaying && from.is_some() => {
                Verdict::Accept
            }
            Insert::Known(id) if awaits_body && origin == Origin::Unsolicited => {
                self.announce_later(id);
                Verdict::Ignore
            }
            Insert::Invalid(_) => Verdict::Reject,
            Insert::Known(_)
            | Insert::Orphan { .. }
            | Insert::Early
            | Insert::Condemned
            | Insert::TooLow => Verdict::Ignore,
        }
    }

    /// Takes the header of a gossiped block that is not worth a look at its signatures. Like a status it
    /// may lead to a question for headers, and nothing is kept: a chain that has the work after all
    /// comes that way. It costs its sender nothing: who forwards what is news to himself, as an honest
    /// node that catches up does, cannot know what we have.
    pub(super) fn take_announced(
        &mut self,
        from: Peer,
        header: &CheckedHeader,
        step: &mut Step<'_>,
    ) {
        let tree = self.forest.tree();
        let is_invalid = |id: EntryId| tree[id].stage == Stage::Invalid;
        match tree.find(&header.hash()) {
            Some(id) if is_invalid(id) => {}
            Some(id) => self.claimed_by(Some(from), id),
            None if tree
                .find(&header.header().pow.parent)
                .is_some_and(is_invalid) => {}
            None if self.forest.demands().are_met_by_chain_of(header) => {
                self.ask_headers(from, step);
            }
            None => {}
        }
    }

    /// Whether a block's header is in the tree and its body is not.
    fn awaits_body(&self, hash: &BlockHash) -> bool {
        let tree = self.forest.tree();
        tree.find(hash)
            .is_some_and(|id| tree[id].stage == Stage::Header)
    }

    /// Lets gossip forward a new block, or notes that it is to be announced by us.
    fn forward(&mut self, from: Option<Peer>, id: EntryId, is_worth_relaying: bool) -> Verdict {
        if from.is_some() && is_worth_relaying {
            return Verdict::Accept;
        }
        self.announce_later(id);
        Verdict::Ignore
    }

    /// Notes that a block is to be announced by us once it is the head; the oldest is forgotten
    /// when there are too many.
    fn announce_later(&mut self, id: EntryId) {
        self.unannounced.insert(id);
        if self.unannounced.len() > UNANNOUNCED_MAX {
            self.unannounced.pop_first();
        }
    }

    /// Offers a block to the forest and does what its answer asks for.
    fn insert(
        &mut self,
        from: Option<Peer>,
        block: CheckedBlock,
        origin: Origin,
        step: &mut Step<'_>,
    ) -> Insert {
        let unix_secs = step.now.unix_secs;
        let insert = self
            .forest
            .insert(&self.spec, block.header(), unix_secs, origin);
        match &insert {
            Insert::Joined(id) => {
                self.joined(*id, block.header(), step);
                self.claimed_by(from, *id);
                self.keep_body(from, *id, block, step);
            }
            Insert::Known(id) => {
                self.claimed_by(from, *id);
                self.known_block(from, *id, block, step);
            }
            Insert::Orphan { .. } => self.keep_orphan(from, block, origin, step),
            Insert::Early => self.early.insert(Early {
                block,
                from,
                origin,
            }),
            Insert::Invalid(_) => self.charge(from, Fault::InvalidBlock, step),
            Insert::Condemned | Insert::TooLow => {}
        }
        insert
    }

    /// A header has joined the tree: it is stored, and said if it begins a branch.
    pub(super) fn joined(&mut self, id: EntryId, header: &CheckedHeader, step: &mut Step<'_>) {
        step.batch.headers.push(Arc::clone(header.header()));
        if let Some(rival) = self.forest.rival_of(id) {
            let tree = self.forest.tree();
            let (block, rival) = (tree[id].id(), tree[rival].id());
            let behind = self.head().height.saturating_sub(rival.height);
            step.effects.push(Effect::Publish(Event::Fork {
                block,
                rival,
                behind,
            }));
        }
    }

    /// A block whose header is in the tree: its body may be what we wait for.
    fn known_block(
        &mut self,
        from: Option<Peer>,
        id: EntryId,
        block: CheckedBlock,
        step: &mut Step<'_>,
    ) {
        let is_loaded = self.loading.remove(&id);
        match self.forest.tree()[id].stage {
            Stage::Header => self.keep_body(from, id, block, step),
            Stage::Body if is_loaded => self.ready.insert(id, None, block),
            // Loaded to be announced late, or after a reorg undid it: its transactions go back into
            // the pool.
            Stage::Executed if from.is_none() => {
                if id == self.forest.head() {
                    self.announce(id, &block, step);
                }
                self.undone_loaded(id, &block, step);
            }
            Stage::Body | Stage::Executed | Stage::Invalid => {}
        }
    }

    /// Who sends a block or header has it, and claims at least its work.
    pub(super) fn claimed_by(&mut self, from: Option<Peer>, id: EntryId) {
        if let Some(peer) = from {
            let chain_work = self.forest.tree()[id].chain_work();
            self.sync.claims_at_least(peer, chain_work);
        }
    }

    /// Stores a body. One off every candidate's path is charged to its sender.
    fn keep_body(
        &mut self,
        from: Option<Peer>,
        id: EntryId,
        block: CheckedBlock,
        step: &mut Step<'_>,
    ) {
        step.batch
            .bodies
            .push((block.id(), Arc::clone(block.body())));
        self.forest.body_stored(id);
        step.effects.push(Effect::Publish(Event::Block {
            block: block.id(),
            parent: block.header().header().pow.parent,
        }));
        if self.forest.is_on_candidate_path(id) {
            self.ready.insert(id, from, block);
        } else {
            self.charge_body(from, id, block.size(), step);
        }
    }

    /// Charges a side branch's body to its sender, and gives up what is too much.
    fn charge_body(&mut self, from: Option<Peer>, id: EntryId, bytes: usize, step: &mut Step<'_>) {
        let bytes = u64::try_from(bytes).expect("a length fits 64 bits");
        for dropped in self.side.charge(from, id, bytes) {
            self.give_up_body(dropped, step);
        }
    }

    /// The head has moved: blocks that lie on no candidate's path any more are let go from
    /// memory, and charged to their senders like others of side branches.
    pub(super) fn release_ready(&mut self, step: &mut Step<'_>) {
        let forest = &self.forest;
        let stale = self
            .ready
            .ids()
            .filter(|id| !forest.is_on_candidate_path(*id));
        for id in stale.collect::<Vec<_>>() {
            let released = self.ready.release(id);
            if let Some((Some(peer), block)) = released {
                self.charge_body(Some(peer), id, block.size(), step);
            }
        }
    }

    /// Gives up a side branch's body; it may be asked for again. Executed blocks keep theirs.
    fn give_up_body(&mut self, id: EntryId, step: &mut Step<'_>) {
        let waits = self.forest.tree()[id].stage == Stage::Body;
        if waits && !self.forest.is_on_candidate_path(id) {
            self.ready.take(id);
            self.forest.body_dropped(id);
            step.batch.dropped.push(self.forest.tree()[id].id());
        }
    }

    /// Children that waited for a block join after it, and theirs after them.
    pub(super) fn connect_orphans(&mut self, id: EntryId, step: &mut Step<'_>) {
        let mut joined = vec![id];
        while let Some(parent) = joined.pop() {
            let hash = self.forest.tree()[parent].id().hash;
            for orphan in self.orphans.take_children(&hash) {
                let insert = self.insert(orphan.from, orphan.block, orphan.origin, step);
                if let Insert::Joined(child) = insert {
                    self.announce_later(child);
                    joined.push(child);
                }
            }
        }
    }

    /// Keeps an orphan that is worth it, and asks its sender for the way to it. Asked again each
    /// time, since the answer to an earlier question may have been lost.
    fn keep_orphan(
        &mut self,
        from: Option<Peer>,
        block: CheckedBlock,
        origin: Origin,
        step: &mut Step<'_>,
    ) {
        if origin == Origin::Solicited || self.forest.demands().are_met_by_orphan(block.header()) {
            self.orphans.insert(block, from, origin);
        }
        if let Some(peer) = from {
            self.ask_headers(peer, step);
        }
    }

    /// Offers the early blocks again.
    pub(super) fn retry_early(&mut self, step: &mut Step<'_>) {
        for early in self.early.take() {
            let awaits_body = self.awaits_body(&early.block.id().hash);
            match self.insert(early.from, early.block, early.origin, step) {
                Insert::Joined(id) => {
                    self.announce_later(id);
                    self.connect_orphans(id, step);
                }
                // Sync has brought the header meanwhile; gossip has still not forwarded the block.
                Insert::Known(id) if awaits_body => self.announce_later(id),
                _ => {}
            }
        }
    }

    /// Charges a peer, and disconnects it when its credit is used up.
    pub(super) fn charge(&mut self, from: Option<Peer>, fault: Fault, step: &mut Step<'_>) {
        if let Some(peer) = from
            && self.sync.charge(peer, fault)
        {
            step.effects.push(Effect::Disconnect { peer, fault });
        }
    }
}
