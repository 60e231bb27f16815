//! Who is connected: one logical peer for each peer id, however many connections it has.
//!
//! A connection is first a stranger. It becomes a peer, and gets its number, when it has shown
//! that it speaks this network's protocol; a stranger that does not within its time is dropped.
//! Numbers are never used twice in a run. Owned by the swarm's task.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use chain::message::Peer;
use libp2p::{Multiaddr, PeerId};

use crate::limits::{
    ADDRESSES_DELAY, ADDRESSES_INTERVAL, FOREIGN_LINGER, PING_INTERVAL, PROVE_TIMEOUT, SETTLED,
    SPECS_PER_PEER,
};

/// What a connected peer id has shown so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Nothing yet; dropped at this time.
    Stranger(Instant),
    /// That it belongs to another network; dropped at this time.
    Foreign(Instant),
    /// That it speaks our protocol.
    Peer(Peer),
}

#[derive(Debug)]
struct Entry {
    standing: Standing,
    address: Multiaddr,
    inbound: bool,
    since: Instant,
    specs: u8,
    /// When it was last asked for addresses.
    asked: Option<Instant>,
    /// When it was last given addresses.
    given: Option<Instant>,
    /// The last ping that was told, and when.
    ping: Option<(Duration, Instant)>,
}

/// A peer that has just proved itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proved {
    pub peer: Peer,
    pub address: Multiaddr,
    pub inbound: bool,
    /// A ping that was answered before.
    pub rtt: Option<Duration>,
}

/// The table; as many entries as there are connections at most.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    by_id: HashMap<PeerId, Entry>,
    by_number: HashMap<Peer, PeerId>,
    last: u64,
}

impl Peers {
    /// A connection was opened; a second one changes nothing.
    pub(crate) fn opened(&mut self, id: PeerId, address: Multiaddr, inbound: bool, now: Instant) {
        let standing = Standing::Stranger(now + PROVE_TIMEOUT);
        self.by_id.entry(id).or_insert(Entry {
            standing,
            address,
            inbound,
            since: now,
            specs: 0,
            asked: None,
            given: None,
            ping: None,
        });
    }

    /// The last connection was closed. Gives the number, if it had one.
    pub(crate) fn closed(&mut self, id: &PeerId) -> Option<Peer> {
        match self.by_id.remove(id)?.standing {
            Standing::Peer(peer) => {
                self.by_number.remove(&peer);
                Some(peer)
            }
            Standing::Stranger(_) | Standing::Foreign(_) => None,
        }
    }

    /// It spoke our protocol. Gives something for a stranger only.
    pub(crate) fn prove(&mut self, id: &PeerId) -> Option<Proved> {
        let entry = self.by_id.get_mut(id)?;
        let Standing::Stranger(_) = entry.standing else {
            return None;
        };
        self.last += 1;
        let peer = Peer(self.last);
        entry.standing = Standing::Peer(peer);
        self.by_number.insert(peer, *id);
        Some(Proved {
            peer,
            address: entry.address.clone(),
            inbound: entry.inbound,
            rtt: entry.ping.map(|(rtt, _)| rtt),
        })
    }

    /// It answered a ping. Gives its number if it is a peer and the last ping is an interval ago:
    /// each of its connections has pings of its own.
    pub(crate) fn pinged(&mut self, id: &PeerId, rtt: Duration, now: Instant) -> Option<Peer> {
        let entry = self.by_id.get_mut(id)?;
        // Pings come a little early or late.
        let interval = PING_INTERVAL * 3 / 4;
        if entry.ping.is_some_and(|(_, last)| now < last + interval) {
            return None;
        }
        entry.ping = Some((rtt, now));
        self.number(id)
    }

    /// It spoke another network's protocol. Gives its address, for a stranger only.
    pub(crate) fn mark_foreign(&mut self, id: &PeerId, now: Instant) -> Option<Multiaddr> {
        let entry = self.by_id.get_mut(id)?;
        let Standing::Stranger(_) = entry.standing else {
            return None;
        };
        entry.standing = Standing::Foreign(now + FOREIGN_LINGER);
        Some(entry.address.clone())
    }

    /// Whether it may have the chain spec once more.
    pub(crate) fn take_spec(&mut self, id: &PeerId) -> bool {
        let Some(entry) = self.by_id.get_mut(id) else {
            return false;
        };
        let allowed = entry.specs < SPECS_PER_PEER;
        entry.specs = entry.specs.saturating_add(1);
        allowed
    }

    /// Peers that we dialled and that are to be asked for addresses: once each, and where
    /// `is_short` again after a while. They count as asked.
    pub(crate) fn due_for_addresses(&mut self, is_short: bool, now: Instant) -> Vec<PeerId> {
        let mut ids = Vec::new();
        for (id, entry) in &mut self.by_id {
            let is_due = match entry.asked {
                None => entry.since + ADDRESSES_DELAY <= now,
                Some(asked) => is_short && asked + ADDRESSES_INTERVAL <= now,
            };
            if is_due && !entry.inbound && matches!(entry.standing, Standing::Peer(_)) {
                entry.asked = Some(now);
                ids.push(*id);
            }
        }
        ids
    }

    /// Whether it may have addresses once more.
    pub(crate) fn take_addresses(&mut self, id: &PeerId, now: Instant) -> bool {
        let Some(entry) = self.by_id.get_mut(id) else {
            return false;
        };
        let allowed = entry
            .given
            .is_none_or(|given| given + ADDRESSES_INTERVAL <= now);
        if allowed {
            entry.given = Some(now);
        }
        allowed
    }

    /// Those whose time is up.
    pub(crate) fn overdue(&self, now: Instant) -> Vec<PeerId> {
        let overdue = self.by_id.iter().filter(|(_, entry)| match entry.standing {
            Standing::Stranger(end) | Standing::Foreign(end) => end <= now,
            Standing::Peer(_) => false,
        });
        overdue.map(|(id, _)| *id).collect()
    }

    /// The number of a peer.
    pub(crate) fn number(&self, id: &PeerId) -> Option<Peer> {
        match self.by_id.get(id)?.standing {
            Standing::Peer(peer) => Some(peer),
            Standing::Stranger(_) | Standing::Foreign(_) => None,
        }
    }

    /// The id of a peer.
    pub(crate) fn id(&self, peer: Peer) -> Option<PeerId> {
        self.by_number.get(&peer).copied()
    }

    /// Whether there is any connection to it.
    pub(crate) fn is_connected(&self, id: &PeerId) -> bool {
        self.by_id.contains_key(id)
    }

    /// Where it is, and whether it dialled us.
    pub(crate) fn place(&self, id: &PeerId) -> Option<(&Multiaddr, bool)> {
        let entry = self.by_id.get(id)?;
        Some((&entry.address, entry.inbound))
    }

    /// Where those are that we dialled.
    pub(crate) fn outbound(&self) -> impl Iterator<Item = &Multiaddr> {
        let dialled = self.by_id.values().filter(|entry| !entry.inbound);
        dialled.map(|entry| &entry.address)
    }

    /// The one that we dialled last of those that are connected.
    pub(crate) fn last_reached(&self) -> Option<PeerId> {
        let dialled = self.by_id.iter().filter(|(_, entry)| !entry.inbound);
        let last = dialled.max_by_key(|(_, entry)| entry.since);
        last.map(|(id, _)| *id)
    }

    /// Whether it is a peer and has been for long enough to count as reliable.
    pub(crate) fn has_settled(&self, id: &PeerId, now: Instant) -> bool {
        let entry = self.by_id.get(id);
        entry.is_some_and(|entry| entry.since + SETTLED <= now) && self.number(id).is_some()
    }

    /// How many peers there are, strangers not counted.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.by_number.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(peers: &mut Peers, now: Instant) -> PeerId {
        let id = PeerId::random();
        peers.opened(id, "/ip4/127.0.0.1/tcp/1".parse().unwrap(), true, now);
        id
    }

    #[test]
    fn a_stranger_gets_a_number_once() {
        let (mut peers, now) = (Peers::default(), Instant::now());
        let id = open(&mut peers, now);
        assert_eq!((peers.number(&id), peers.count()), (None, 0));
        let proved = peers.prove(&id).unwrap();
        assert_eq!(peers.prove(&id), None);
        assert_eq!(peers.number(&id), Some(proved.peer));
        assert_eq!(peers.id(proved.peer), Some(id));
        assert_eq!(peers.closed(&id), Some(proved.peer));
        assert_eq!((peers.id(proved.peer), peers.count()), (None, 0));
    }

    #[test]
    fn numbers_are_not_used_twice() {
        let (mut peers, now) = (Peers::default(), Instant::now());
        let id = open(&mut peers, now);
        let first = peers.prove(&id).unwrap().peer;
        peers.closed(&id);
        peers.opened(id, Multiaddr::empty(), false, now);
        assert_ne!(peers.prove(&id).unwrap().peer, first);
    }

    #[test]
    fn strangers_and_foreigners_run_out_of_time_and_peers_do_not() {
        let (mut peers, now) = (Peers::default(), Instant::now());
        let (stranger, foreign, peer) = (
            open(&mut peers, now),
            open(&mut peers, now),
            open(&mut peers, now),
        );
        peers.prove(&peer).unwrap();
        assert!(peers.mark_foreign(&foreign, now).is_some());
        assert_eq!(
            peers.mark_foreign(&foreign, now),
            None,
            "it is reported once"
        );
        assert_eq!(peers.mark_foreign(&peer, now), None);
        assert_eq!(peers.prove(&foreign), None);
        assert_eq!(peers.overdue(now), []);
        assert_eq!(peers.overdue(now + FOREIGN_LINGER), [foreign]);
        let late = peers.overdue(now + PROVE_TIMEOUT);
        assert!(late.contains(&stranger) && !late.contains(&peer));
    }

    #[test]
    fn a_ping_is_told_once_in_an_interval() {
        let (mut peers, now) = (Peers::default(), Instant::now());
        let (id, rtt) = (open(&mut peers, now), Duration::from_millis(3));
        assert_eq!(peers.pinged(&id, rtt, now), None, "a stranger's is kept");
        let proved = peers.prove(&id).unwrap();
        assert_eq!(proved.rtt, Some(rtt));
        assert_eq!(peers.pinged(&id, rtt, now), None);
        let later = now + PING_INTERVAL;
        assert_eq!(peers.pinged(&id, rtt, later), Some(proved.peer));
        assert_eq!(peers.pinged(&id, rtt, later), None);
    }

    #[test]
    fn addresses_are_asked_of_those_we_dialled_and_given_now_and_then() {
        let (mut peers, now) = (Peers::default(), Instant::now());
        let inbound = open(&mut peers, now);
        let (stranger, peer) = (PeerId::random(), PeerId::random());
        peers.opened(stranger, Multiaddr::empty(), false, now);
        peers.opened(peer, Multiaddr::empty(), false, now);
        for id in [inbound, peer] {
            peers.prove(&id).unwrap();
        }
        assert_eq!(peers.due_for_addresses(true, now), []);
        let (first, second) = (now + ADDRESSES_DELAY, now + ADDRESSES_INTERVAL * 2);
        assert_eq!(peers.due_for_addresses(true, first), [peer]);
        assert_eq!(peers.due_for_addresses(true, first), []);
        assert_eq!(peers.due_for_addresses(false, second), []);
        assert_eq!(peers.due_for_addresses(true, second), [peer]);
        assert_eq!(peers.outbound().count(), 2);

        assert!(peers.take_addresses(&inbound, now));
        assert!(!peers.take_addresses(&inbound, first));
        assert!(peers.take_addresses(&inbound, second));
        assert!(!peers.take_addresses(&PeerId::random(), now));
    }

    #[test]
    fn only_a_lasting_peer_has_settled() {
        let (mut peers, now) = (Peers::default(), Instant::now());
        let (stranger, peer) = (open(&mut peers, now), open(&mut peers, now));
        peers.prove(&peer).unwrap();
        assert!(!peers.has_settled(&peer, now));
        assert!(peers.has_settled(&peer, now + SETTLED));
        assert!(!peers.has_settled(&stranger, now + SETTLED));
    }

    #[test]
    fn the_spec_is_given_a_few_times() {
        let mut peers = Peers::default();
        let id = open(&mut peers, Instant::now());
        let given = (0..100).filter(|_| peers.take_spec(&id)).count();
        assert_eq!(given, usize::from(SPECS_PER_PEER));
        assert!(!peers.take_spec(&PeerId::random()));
    }
}
