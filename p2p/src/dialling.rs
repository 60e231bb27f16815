//! Whom the task dials: bootnodes, the book, and whoever the shell names; and whom it refuses.
//!
//! Peers that dialled us do not count against the wanted number: whoever fills our inbound places
//! must not be all we know. Part of the swarm's task.

use std::{collections::HashSet, time::Instant};

use chain::{Fault, message::Peer};
use libp2p::{
    Multiaddr, PeerId,
    swarm::{ConnectionId, DialError},
};

use crate::{
    Event,
    address::{self, Target, ip},
    behaviour,
    book::group,
    clock::unix_secs,
    limits::{BLOCKED_MAX, BOOK_DIALS_MAX, LIFTED_DIALS_MAX},
    reach::Group,
    swarm::Task,
};

impl Task {
    /// Dials, and gives the attempt's name if it began. It does not where there is nothing to do:
    /// a peer that is connected, or an address of our own, which libp2p takes out before dialling.
    pub(crate) fn dial(&mut self, target: Target) -> Option<ConnectionId> {
        let options = behaviour::dial_options(target);
        let connection = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => Some(connection),
            Err(DialError::DialPeerConditionFalse(_) | DialError::NoAddresses) => None,
            Err(error) => {
                self.warn(&format!("not dialled: {}", behaviour::causes(&error)));
                None
            }
        }
    }

    /// Dials what is due, while too few peers were reached by us, and else feels its way on.
    pub(crate) fn dial_due(&mut self, now: Instant) {
        if self.peers.outbound().count() >= self.wanted_peers {
            return self.feel(now);
        }
        for (index, target) in self.bootnodes.due(now, |id| self.is_served(id)) {
            match self.dial(target) {
                Some(connection) => self.bootnodes.dialled(index, connection),
                None => self.bootnodes.not_dialled(index, now),
            }
        }
        let reached = self.peers.outbound().count();
        let room = self
            .wanted_peers
            .saturating_sub(reached)
            .min(BOOK_DIALS_MAX);
        // Each turn takes one address out of those that are due, so this ends, and at the first
        // that cannot be dialled: neither can the next where connections or memory are short.
        while self.book_dials.len() < room && self.dial_known() {}
    }

    /// Meets one more peer now and then, in the place of the one met last. Two parts of a network
    /// that were kept apart have peers enough each, and would not find each other again.
    fn feel(&mut self, now: Instant) {
        if self.wanted_peers == 0 || self.feeler_due > now {
            return;
        }
        self.feeler_due = now + self.feeler;
        if self.peers.outbound().count() > self.wanted_peers
            && let Some(last) = self.peers.last_reached()
        {
            self.hang_up(last);
            self.gone(last, now);
        }
        self.dial_known();
    }

    /// Dials one address of the book; whether one was due and dialling began.
    fn dial_known(&mut self) -> bool {
        let (now, in_use) = (unix_secs(), self.groups_in_use());
        let picked = self
            .book
            .pick(now, self.turn, &in_use, |id| self.is_served(id));
        let Some((id, address)) = picked else {
            return false;
        };
        self.turn += 1;
        self.dial_book(id, address)
    }

    /// Dials an address of the book; whether that began. Nobody asked for just this one, so that
    /// it did not is no warning.
    fn dial_book(&mut self, id: PeerId, address: Multiaddr) -> bool {
        self.book.attempted(&id, &address, unix_secs());
        let options = behaviour::dial_options(Target {
            address: address.clone(),
            id: Some(id),
        });
        let connection = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => drop(self.book_dials.insert(connection, (id, address))),
            Err(error) => {
                tracing::debug!(%id, error = behaviour::causes(&error), "a known peer not dialled");
                return false;
            }
        }
        true
    }

    /// Whether a peer is not to be dialled: connected, being dialled, or unwanted.
    fn is_served(&self, id: &PeerId) -> bool {
        let gate = &self.swarm.behaviour().gate;
        self.peers.is_connected(id)
            || self.book_dials.values().any(|(dialled, _)| dialled == id)
            || !gate.is_welcome(id, unix_secs())
    }

    /// The neighbourhoods of the peers that we dialled.
    fn groups_in_use(&self) -> Vec<Group> {
        let dialled = self.book_dials.values().map(|(_, address)| address);
        let all = self.peers.outbound().chain(dialled);
        all.filter_map(group).collect()
    }

    /// A dial did not come to a connection.
    pub(crate) fn dial_failed(
        &mut self,
        connection: ConnectionId,
        error: &DialError,
        now: Instant,
    ) {
        if self.book_dials.remove(&connection).is_some() {
            tracing::debug!(error = behaviour::causes(error), "a known peer not reached");
            return;
        }
        if let DialError::LocalPeerId { .. } = error {
            return self.bootnodes.is_ourselves(connection);
        }
        match self.bootnodes.failed(connection, now) {
            // At first, and then ever more rarely: a bootnode may be away for days.
            Some((address, failures)) if failures.is_power_of_two() => {
                self.warn(&format!(
                    "bootnode {address} not reached: {}",
                    behaviour::causes(error)
                ));
            }
            Some(_) => {}
            None => self.warn(&format!("not reached: {}", behaviour::causes(error))),
        }
    }

    /// A peer at this address, or from it, has shown that it speaks our protocol.
    pub(crate) fn met(&mut self, id: PeerId, at: &Multiaddr, inbound: bool) {
        self.bootnodes.proved(&id);
        let now = unix_secs();
        if !inbound {
            self.book.reached(id, at, now);
        }
        if let Some(ip) = ip(at) {
            self.book.met(&id, ip, now);
        }
    }

    /// A peer said where it listens.
    pub(crate) fn listens(&mut self, id: PeerId, listens: &[Multiaddr]) {
        let Some((at, inbound)) = self.peers.place(&id) else {
            return;
        };
        let at = at.clone();
        if let Some(ip) = ip(&at) {
            let kept = (!inbound).then_some(&at);
            self.book.identified(id, ip, listens, kept);
            self.book.met(&id, ip, unix_secs());
        }
    }

    /// Somebody in the local network was found.
    pub(crate) fn found(&mut self, id: PeerId, address: Multiaddr) {
        let (address, _) = address::split(address);
        if let Some(ip) = ip(&address)
            && self.book.add(id, address, ip)
        {
            tracing::debug!(%id, "found in the local network");
        }
    }

    /// The peer is gone for the shell at once: one that stops reading can hold up the end of its
    /// connection, and what it sends meanwhile must not be heard.
    pub(crate) fn disconnect(&mut self, peer: Peer, fault: Fault) {
        let (Some(id), now) = (self.peers.id(peer), Instant::now()) else {
            return;
        };
        if is_hostile(fault) {
            let at = self.peers.place(&id).and_then(|(at, _)| ip(at));
            let bans = &mut self.swarm.behaviour_mut().gate.bans;
            let ban = bans.ban(id, at, unix_secs());
            tracing::info!(%id, ip = ?ban.ip, until = ban.until, times = ban.times, "banned: it {fault}");
        }
        self.hang_up(id);
        self.gone(id, now);
    }

    /// Refuses these peer ids from now on, and no others.
    pub(crate) fn block(&mut self, texts: &[String]) {
        if texts.len() > BLOCKED_MAX {
            let got = texts.len();
            self.warn(&format!(
                "at most {BLOCKED_MAX} peers are blocked, got {got}"
            ));
        }
        let mut ids = HashSet::new();
        for text in texts.iter().take(BLOCKED_MAX) {
            match text.parse::<PeerId>() {
                Ok(id) => drop(ids.insert(id)),
                Err(error) => self.warn(&format!("{text:?} is no peer id: {error}")),
            }
        }
        let now = Instant::now();
        for id in ids.iter().copied() {
            self.hang_up(id);
            self.gone(id, now);
        }
        let lifted = self.swarm.behaviour_mut().gate.block(ids);
        if !lifted.is_empty() {
            self.bootnodes.hurry(now);
            self.book.hurry();
            self.dial_lifted(lifted);
            self.dial_due(now);
        }
    }

    /// Dials a few of those that are let in again, however many peers were reached: each side of
    /// a split has peers enough of its own. The order of a set is chance enough.
    fn dial_lifted(&mut self, lifted: Vec<PeerId>) {
        let known = lifted
            .into_iter()
            .filter_map(|id| Some((id, self.book.address(&id)?)));
        let few: Vec<_> = known.take(LIFTED_DIALS_MAX).collect();
        for (id, address) in few {
            self.dial_book(id, address);
        }
    }

    /// A peer is no longer connected, or not for the shell.
    pub(crate) fn gone(&mut self, id: PeerId, now: Instant) {
        if self.peers.has_settled(&id, now) {
            self.book.settled(&id);
        }
        self.bootnodes.closed(&id, now);
        let peer = self.peers.closed(&id);
        self.made
            .extend(peer.map(|peer| Event::Disconnected { peer }));
    }

    pub(crate) fn hang_up(&mut self, id: PeerId) {
        // The error means that it is not connected, which is what was wanted.
        let _ = self.swarm.disconnect_peer_id(id);
    }
}

/// Whether a fault is an attack or a broken node, and not bad luck or a mistake of its owner's.
fn is_hostile(fault: Fault) -> bool {
    match fault {
        Fault::InvalidWork
        | Fault::Mismatch
        | Fault::InvalidBlock
        | Fault::Contradiction
        | Fault::InvalidTransaction
        | Fault::Malformed
        | Fault::Unsolicited
        | Fault::TooManyRequests => true,
        Fault::WrongNetwork | Fault::NoProgress | Fault::Timeout | Fault::Full => false,
    }
}
