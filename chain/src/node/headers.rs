//! Headers in answer to our locators: what joins the tree, and what is only shown (threats C2, C3).
//!
//! Nothing joins unless the work done for its chain reaches the forest's threshold. A longer
//! chain below it is shown first, see [`Presync`]; a short one is forgotten, and blames nobody:
//! an honest peer may be on a lighter fork.

use super::{Node, Step};
use crate::{
    check::CheckedHeader,
    effect::Fault,
    execution::Execution,
    forest::{Insert, Origin},
    message::Peer,
    params::{HEADERS_MAX, UNSOLICITED_DEPTH},
    store::Stage,
    sync::{Answered, PassError, Presync},
    tree::EntryId,
};

impl<E: Execution> Node<E> {
    /// Asks a peer for what lies between our best header and its own, or for more of the chain
    /// that it is showing us.
    pub(super) fn ask_headers(&mut self, peer: Peer, step: &mut Step<'_>) {
        let locator = match self.sync.presync(peer) {
            None => self.forest.locator(self.forest.best_header()),
            Some(presync) => match self.forest.tree().find(&presync.last()) {
                Some(last) => self.forest.locator(last),
                None => {
                    let mut locator = vec![presync.last()];
                    locator.extend(self.forest.locator(presync.fork()));
                    locator
                }
            },
        };
        self.sync
            .ask_headers(peer, locator, step.now, &mut step.effects);
    }

    /// An answer with headers.
    pub(super) fn take_headers(
        &mut self,
        from: Peer,
        headers: &[CheckedHeader],
        step: &mut Step<'_>,
    ) {
        let Some(answered) = self.sync.headers_came(from, step.now) else {
            self.charge(Some(from), Fault::Unsolicited, step);
            return;
        };
        let linked = headers
            .windows(2)
            .all(|pair| pair[1].header().pow.parent == pair[0].hash());
        if !linked || headers.len() > HEADERS_MAX {
            self.charge(Some(from), Fault::Malformed, step);
            return;
        }
        match self.sync.take_presync(from) {
            Some(presync) if presync.is_second_pass() => {
                self.take_delivered(from, presync, headers, answered, step);
            }
            Some(presync) if !self.is_last_known(headers) => {
                self.take_shown(from, presync, headers, answered, step);
            }
            // What it shows has come from somebody else.
            _ => self.take_fresh(from, headers, answered, step),
        }
        self.sync
            .ask_blocks(&self.forest, step.now, &mut step.effects);
    }

    fn is_last_known(&self, headers: &[CheckedHeader]) -> bool {
        let last = headers.last();
        last.is_some_and(|last| self.forest.tree().find(&last.hash()).is_some())
    }

    /// Headers that grow from our tree: they join if their chain has enough work, and are shown
    /// only if it may have.
    fn take_fresh(
        &mut self,
        from: Peer,
        headers: &[CheckedHeader],
        answered: Answered,
        step: &mut Step<'_>,
    ) {
        let tree = self.forest.tree();
        let is_new = |header: &CheckedHeader| tree.find(&header.hash()).is_none();
        let known = headers.iter().position(is_new).unwrap_or(headers.len());
        let (known, new) = headers.split_at(known);
        let Some(first) = new.first() else {
            let last = self.join_headers(from, known, step);
            self.ask_on(from, headers, last, step);
            return;
        };
        let Some(fork) = tree.find(&first.header().pow.parent) else {
            // They may go on with what the peer showed us when we asked, and is forgotten.
            if !self.sync.were_late(from, answered, step.now) {
                self.charge(Some(from), Fault::Unsolicited, step);
            }
            return;
        };
        let numbers = tree[fork].numbers;
        let is_condemned = tree[fork].stage == Stage::Invalid;
        // Proof of work has been checked: this work is done, whatever the headers claim.
        let work = new.iter().fold(numbers.chain_work, |sum, header| {
            sum.saturating_add(header.work())
        });
        if work >= self.forest.threshold() {
            let last = self.join_headers(from, headers, step);
            self.ask_on(from, headers, last, step);
        } else if headers.len() == HEADERS_MAX && !is_condemned {
            let presync = Presync::new(fork, numbers, self.salt);
            if let Some(presync) = self.show(from, presync, new, step) {
                self.shown(from, presync, headers, step);
            }
        }
    }

    /// A full answer that led further up asks for the next one.
    fn ask_on(
        &mut self,
        from: Peer,
        headers: &[CheckedHeader],
        last: Option<EntryId>,
        step: &mut Step<'_>,
    ) {
        let Some(last) = last.filter(|_| headers.len() == HEADERS_MAX) else {
            return;
        };
        let chain_work = self.forest.tree()[last].chain_work();
        if self.sync.made_progress(from, chain_work) {
            let locator = self.forest.locator(last);
            self.sync
                .ask_headers(from, locator, step.now, &mut step.effects);
        }
    }

    /// First pass: the headers are checked, and forgotten.
    fn take_shown(
        &mut self,
        from: Peer,
        presync: Presync,
        headers: &[CheckedHeader],
        answered: Answered,
        step: &mut Step<'_>,
    ) {
        if headers.is_empty() {
            return;
        }
        if !presync.goes_on_with(headers) {
            self.take_other(from, presync, answered, step);
        } else if let Some(presync) = self.show(from, presync, headers, step) {
            self.shown(from, presync, headers, step);
        }
    }

    /// Shows headers to a pass; `None` if they end it.
    fn show(
        &mut self,
        from: Peer,
        mut presync: Presync,
        headers: &[CheckedHeader],
        step: &mut Step<'_>,
    ) -> Option<Presync> {
        match presync.show(&self.spec, step.now.unix_secs, headers) {
            Ok(()) => Some(presync),
            // Those before the early one may be enough.
            Err(PassError::Early) if presync.chain_work() >= self.forest.threshold() => {
                Some(presync)
            }
            Err(error) => {
                self.charge_pass(from, &error, step);
                None
            }
        }
    }

    /// What follows from an answer that was shown: the second pass if the chain has enough work,
    /// the next answer if there may be one, else nothing.
    fn shown(
        &mut self,
        from: Peer,
        mut presync: Presync,
        headers: &[CheckedHeader],
        step: &mut Step<'_>,
    ) {
        if presync.chain_work() >= self.forest.threshold() {
            presync.rewind();
        } else if headers.len() < HEADERS_MAX {
            return;
        }
        self.sync.keep_presync(from, presync);
        self.ask_headers(from, step);
    }

    /// Second pass: an answer that is what was shown joins the tree.
    fn take_delivered(
        &mut self,
        from: Peer,
        mut presync: Presync,
        headers: &[CheckedHeader],
        answered: Answered,
        step: &mut Step<'_>,
    ) {
        if !presync.goes_on_with(headers) {
            self.take_other(from, presync, answered, step);
            return;
        }
        if let Err(error) = presync.deliver(headers) {
            self.charge_pass(from, &error, step);
            return;
        }
        let last = self.join_headers(from, headers, step);
        if presync.is_complete() {
            self.ask_on(from, headers, last, step);
        } else if last.is_some() {
            self.sync.keep_presync(from, presync);
            self.ask_headers(from, step);
        }
    }

    /// An answer that does not go on where the last one ended: to an older question, or the peer
    /// has changed its chain, or it leads us round in circles.
    fn take_other(
        &mut self,
        from: Peer,
        presync: Presync,
        answered: Answered,
        step: &mut Step<'_>,
    ) {
        if self.sync.were_late(from, answered, step.now) {
            self.sync.keep_presync(from, presync);
        } else {
            self.charge(Some(from), Fault::NoProgress, step);
        }
    }

    fn charge_pass(&mut self, from: Peer, error: &PassError, step: &mut Step<'_>) {
        let fault = match error {
            PassError::Early => return,
            PassError::Invalid(_) => Fault::InvalidBlock,
            // So near the end an honest peer's chain may have changed between the two passes.
            PassError::Differs { to_end } if *to_end <= UNSOLICITED_DEPTH => Fault::NoProgress,
            PassError::Differs { .. } => Fault::Contradiction,
            PassError::Length => Fault::NoProgress,
        };
        self.charge(Some(from), fault, step);
    }

    /// Adds headers until one does not fit; the last entry if all did.
    fn join_headers(
        &mut self,
        from: Peer,
        headers: &[CheckedHeader],
        step: &mut Step<'_>,
    ) -> Option<EntryId> {
        let mut last = None;
        for header in headers {
            let unix_secs = step.now.unix_secs;
            match self
                .forest
                .insert(&self.spec, header, unix_secs, Origin::Solicited)
            {
                Insert::Joined(id) => {
                    self.joined(id, header, step);
                    self.claimed_by(Some(from), id);
                    self.connect_orphans(id, step);
                    last = Some(id);
                }
                Insert::Known(id) => {
                    self.claimed_by(Some(from), id);
                    last = Some(id);
                }
                Insert::Invalid(_) => {
                    self.charge(Some(from), Fault::InvalidBlock, step);
                    return None;
                }
                Insert::Orphan { .. } => {
                    self.charge(Some(from), Fault::Unsolicited, step);
                    return None;
                }
                Insert::Early | Insert::Condemned | Insert::TooLow => return None,
            }
        }
        last
    }
}
