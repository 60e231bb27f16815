//! The addresses of peers that are known, and which of them to dial next.
//!
//! A fixed number of entries, few from whoever tells them: what one neighbourhood says can fill
//! its own share only and never pushes out an address where a peer was reached and still is. An
//! address is dialled again after a wait that doubles with each attempt in a row that came to
//! nothing. A pure structure: times come in as Unix seconds, chance as a secret seed. Owned by the
//! swarm's task; `book_file` keeps it on disk.

use std::{collections::BTreeMap, net::IpAddr};

use chain::{
    hash::sha256,
    params::{PEER_ADDRESS_BYTES_MAX, PEER_ADDRESSES_MAX},
};
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

use crate::{
    address::{self, ip},
    limits::{
        BOOK_HEARSAY_DIALS_MAX, BOOK_MAX, BOOK_PER_PEER, BOOK_PER_SOURCE, BOOK_RECENT_SECS,
        BOOK_REDIAL_SECS_MAX,
    },
    reach::{Group, Reach, Scope, is_single, scope},
};

/// Who told an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// The operator, or our own success there.
    Own,
    /// A peer from this neighbourhood.
    Group(Group),
}

/// An address of a peer, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// Without the peer id.
    pub address: Multiaddr,
    pub id: PeerId,
    pub source: Source,
    /// Whether we ever reached the peer there.
    pub tried: bool,
    /// When the peer was last met at this address, or dialled us from its IP; 0 for never.
    pub success: u64,
    /// When it was last dialled; 0 for never.
    pub attempt: u64,
    /// Attempts since a connection last lasted.
    pub failures: u32,
}

/// The book.
#[derive(Debug)]
pub(crate) struct Book {
    own: PeerId,
    reach: Reach,
    seed: [u8; 32],
    /// In the order in which they came.
    entries: Vec<Known>,
    changed: bool,
}

impl Known {
    fn new(id: PeerId, address: Multiaddr, source: Source) -> Self {
        Self {
            address,
            id,
            source,
            tried: false,
            success: 0,
            attempt: 0,
            failures: 0,
        }
    }

    /// The neighbourhood it lies in; none for this machine and for names.
    pub(crate) fn group(&self) -> Option<Group> {
        group(&self.address)
    }

    /// A tried address is given up only when dialling it has since failed.
    fn may_go(&self) -> bool {
        !self.tried || self.success < self.attempt
    }
}

/// The neighbourhood of an address; none for this machine and for names.
pub(crate) fn group(address: &Multiaddr) -> Option<Group> {
    let ip = ip(address)?;
    (scope(ip) != Scope::Loopback).then(|| Group::of(ip))
}

impl Book {
    /// An empty book. `own` is never in it; the seed orders choices and stays secret.
    pub(crate) fn new(own: PeerId, reach: Reach, seed: [u8; 32]) -> Self {
        let (entries, changed) = Default::default();
        Self {
            own,
            reach,
            seed,
            entries,
            changed,
        }
    }

    /// All entries, the oldest first.
    pub(crate) fn entries(&self) -> &[Known] {
        &self.entries
    }

    /// Whether anything changed since this was last asked.
    pub(crate) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Takes back an entry that was saved, if it is still within the limits.
    pub(crate) fn restore(&mut self, entry: Known) -> bool {
        let sound = is_dialable(&entry.address) && self.reach.covers(&entry.address);
        entry.id != self.own && sound && self.insert(entry)
    }

    /// Takes an address that the operator gave.
    pub(crate) fn add_own(&mut self, id: PeerId, address: Multiaddr) -> bool {
        self.restore(Known::new(id, address, Source::Own))
    }

    /// Takes an address that somebody at the IP `teller` told us, unless that is out of reach,
    /// nearer than the teller itself, or beyond a limit. Whether it is in the book now and was
    /// not before.
    pub(crate) fn add(&mut self, id: PeerId, address: Multiaddr, teller: IpAddr) -> bool {
        let Some(ip) = ip(&address) else {
            return false;
        };
        let is_near = scope(ip) < scope(teller)
            || scope(ip) == Scope::Loopback && self.reach != Reach::Machine;
        !is_near && self.restore(Known::new(id, address, Source::Group(Group::of(teller))))
    }

    /// A peer at the IP `at` said where it listens. Its word is taken for the ports, not for the
    /// IP, so it can send nobody elsewhere; what it said before and no longer says is forgotten,
    /// but for the address `kept` at which we have it.
    pub(crate) fn identified(
        &mut self,
        id: PeerId,
        at: IpAddr,
        listens: &[Multiaddr],
        kept: Option<&Multiaddr>,
    ) {
        let mut wanted: Vec<Multiaddr> = Vec::new();
        for listened in listens {
            let moved = address::at(listened, at);
            if is_dialable(&moved) && !wanted.contains(&moved) && wanted.len() < BOOK_PER_PEER {
                wanted.push(moved);
            }
        }
        let before = self.entries.len();
        self.entries.retain(|entry| {
            let is_gone = entry.id == id
                && ip(&entry.address) == Some(at)
                && !wanted.contains(&entry.address)
                && Some(&entry.address) != kept;
            !is_gone
        });
        self.changed |= self.entries.len() != before;
        for address in wanted {
            self.add(id, address, at);
        }
    }

    /// An address is being dialled: for the last time if somebody told it and nobody was ever
    /// reached there. It may be a third party's, which would be dialled for ever.
    pub(crate) fn attempted(&mut self, id: &PeerId, address: &Multiaddr, now: u64) {
        let found = |entry: &Known| entry.id == *id && entry.address == *address;
        let Some(index) = self.entries.iter().position(found) else {
            return;
        };
        let entry = &mut self.entries[index];
        entry.attempt = now;
        entry.failures = entry.failures.saturating_add(1);
        let is_hearsay = !entry.tried && entry.source != Source::Own;
        if is_hearsay && entry.failures >= BOOK_HEARSAY_DIALS_MAX {
            self.entries.remove(index);
        }
        self.changed = true;
    }

    /// A peer that we dialled has shown there that it speaks our protocol.
    pub(crate) fn reached(&mut self, id: PeerId, address: &Multiaddr, now: u64) {
        let found = |entry: &&mut Known| entry.id == id && entry.address == *address;
        if let Some(entry) = self.entries.iter_mut().find(found) {
            (entry.tried, entry.success) = (true, now);
            self.changed = true;
            return;
        }
        let (tried, success) = (true, now);
        self.restore(Known {
            tried,
            success,
            ..Known::new(id, address.clone(), Source::Own)
        });
    }

    /// A peer has shown, from this IP, that it speaks our protocol.
    pub(crate) fn met(&mut self, id: &PeerId, at: IpAddr, now: u64) {
        for entry in self.entries.iter_mut() {
            if entry.id == *id && ip(&entry.address) == Some(at) {
                entry.success = now;
                self.changed = true;
            }
        }
    }

    /// A connection to a peer has lasted.
    pub(crate) fn settled(&mut self, id: &PeerId) {
        for entry in self.entries.iter_mut().filter(|entry| entry.id == *id) {
            entry.failures = 0;
        }
    }

    /// All may be dialled at once, as if none had failed.
    pub(crate) fn hurry(&mut self) {
        for entry in &mut self.entries {
            (entry.attempt, entry.failures) = (0, 0);
        }
    }

    /// Whom to dial next: of those whose wait is over and whose peer is not served otherwise, in
    /// a neighbourhood of its own while there are such, one of the tried, and every fourth turn
    /// one of the new, those with fewer failures first.
    pub(crate) fn pick(
        &self,
        now: u64,
        turn: u64,
        in_use: &[Group],
        is_served: impl Fn(&PeerId) -> bool,
    ) -> Option<(PeerId, Multiaddr)> {
        let due = self.entries.iter().filter(|entry| self.is_due(entry, now));
        let due: Vec<&Known> = due.filter(|entry| !is_served(&entry.id)).collect();
        let wants_new = turn % 4 == 3;
        let picked = due.iter().min_by_key(|entry| {
            let is_close = entry.group().is_some_and(|group| in_use.contains(&group));
            let lot = self.lot(&entry.id, turn);
            (is_close, entry.tried == wants_new, entry.failures, lot)
        })?;
        Some((picked.id, picked.address.clone()))
    }

    /// Where a peer may be: the address with the fewest attempts in vain.
    pub(crate) fn address(&self, id: &PeerId) -> Option<Multiaddr> {
        let known = self.entries.iter().filter(|entry| entry.id == *id);
        let best = known.min_by_key(|entry| (entry.failures, !entry.tried))?;
        Some(best.address.clone())
    }

    /// Addresses for somebody at the IP `asker`: where peers were met within a day, by lot, none
    /// nearer than the asker itself.
    pub(crate) fn recent(&self, now: u64, asker: IpAddr, turn: u64) -> Vec<(PeerId, Multiaddr)> {
        let mut recent: Vec<&Known> = self
            .entries
            .iter()
            .filter(|entry| {
                let is_fit = ip(&entry.address).is_some_and(|ip| scope(ip) >= scope(asker));
                is_fit && entry.success > 0 && now < entry.success.saturating_add(BOOK_RECENT_SECS)
            })
            .collect();
        recent.sort_by_cached_key(|entry| (self.lot(&entry.id, turn), !entry.tried));
        let recent = recent.into_iter().take(PEER_ADDRESSES_MAX);
        recent
            .map(|entry| (entry.id, entry.address.clone()))
            .collect()
    }

    fn is_due(&self, entry: &Known, now: u64) -> bool {
        let least = entry.failures.min(20).checked_sub(1).map_or(1, |n| 1 << n);
        let least = least.min(BOOK_REDIAL_SECS_MAX);
        let lot = u64::from(self.lot(&entry.id, u64::from(entry.failures))[0]);
        let wait = least + least * lot / 1_024;
        // A clock that was set back must not keep anybody waiting.
        now < entry.attempt || now >= entry.attempt.saturating_add(wait)
    }

    fn lot(&self, id: &PeerId, turn: u64) -> [u8; 32] {
        sha256(&[&self.seed[..], &turn.to_le_bytes(), &id.to_bytes()].concat())
    }

    fn insert(&mut self, entry: Known) -> bool {
        let is_same = |old: &Known| old.id == entry.id && old.address == entry.address;
        if self.entries.iter().any(is_same) {
            return false;
        }
        while let Some(crowd) = self.crowd(&entry) {
            let Some(index) = self.victim(&crowd, &entry) else {
                return false;
            };
            self.entries.remove(index);
        }
        self.entries.push(entry);
        self.changed = true;
        true
    }

    /// The entries of which one has to go if this one comes; nothing where there is room.
    fn crowd(&self, entry: &Known) -> Option<Vec<usize>> {
        let of = |is_in: &dyn Fn(&Known) -> bool| {
            let all = self.entries.iter().enumerate();
            let within = all.filter(|(_, old)| is_in(old));
            within.map(|(index, _)| index).collect::<Vec<_>>()
        };
        let same_id = of(&|old| old.id == entry.id);
        if same_id.len() >= BOOK_PER_PEER {
            return Some(same_id);
        }
        let same_source = of(&|old| old.source == entry.source);
        if entry.source != Source::Own && same_source.len() >= BOOK_PER_SOURCE {
            return Some(same_source);
        }
        (self.entries.len() >= BOOK_MAX).then(|| (0..self.entries.len()).collect())
    }

    /// Who goes: new ones before tried ones, most failures first, then whose source has told the
    /// most, then the oldest. An address that was not even dialled yields only to one where its
    /// peer was reached, or that the same neighbourhood told.
    fn victim(&self, crowd: &[usize], newcomer: &Known) -> Option<usize> {
        let mut told: BTreeMap<Source, usize> = BTreeMap::new();
        for entry in &self.entries {
            *told.entry(entry.source).or_default() += 1;
        }
        let yields = |old: &Known| {
            let is_fresh = old.failures == 0 && old.id == newcomer.id;
            old.may_go() && (!is_fresh || newcomer.tried || old.source == newcomer.source)
        };
        let found = crowd.iter().filter_map(|index| {
            let old = self.entries.get(*index).filter(|old| yields(old))?;
            let population = told.get(&old.source).copied().unwrap_or(0);
            let last = (!old.tried, old.failures, population);
            Some((std::cmp::Reverse(last), *index))
        });
        found.min().map(|(_, index)| index)
    }
}

/// Whether a machine can be dialled there, and others told so.
fn is_dialable(address: &Multiaddr) -> bool {
    let has_port = address
        .iter()
        .any(|part| matches!(part, Protocol::Tcp(port) | Protocol::Udp(port) if port != 0));
    let names_nobody = !address.iter().any(|part| matches!(part, Protocol::P2p(_)));
    let fits = address.len() + PEER_ID_BYTES <= PEER_ADDRESS_BYTES_MAX;
    let is_single = ip(address).is_none_or(is_single);
    address::is_supported(address) && has_port && names_nobody && fits && is_single
}

/// Bytes of a `/p2p/ID` part with an ed25519 id; other keys have shorter ids.
const PEER_ID_BYTES: usize = 42;

#[cfg(test)]
mod tests;
