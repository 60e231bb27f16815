//! The inbound places: how many come from one network, and who leaves for a newcomer.
//!
//! A connection takes part in its network's share from its first byte, and takes a place when its
//! handshake has shown its peer id. Owned by the gate, which tells what the peers are worth.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId, swarm::ConnectionId};

use crate::{
    address::ip,
    evict::{Merits, evict},
    reach::Group,
};

/// The network that an address belongs to: /24 or /48.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network([u8; 6]);

#[derive(Debug)]
struct Place {
    /// None for this machine.
    network: Option<Network>,
    /// Who it is and what speaks for it, once the handshake is done.
    holder: Option<(PeerId, Merits)>,
    /// Evicted, and not yet closed.
    is_leaving: bool,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoPlace {
    /// Its neighbourhood holds its share already.
    #[error("{max} inbound connections come from the same network already")]
    Crowded {
        /// The limit.
        max: usize,
    },
    /// All places are taken by peers that are worth more than a newcomer.
    #[error("all {max} inbound places are taken")]
    Full {
        /// The limit.
        max: usize,
    },
}

/// All inbound connections, those in their handshake too: bounded by libp2p's limits on both.
#[derive(Debug)]
pub(crate) struct Places {
    max: usize,
    per_network_max: usize,
    seed: [u8; 32],
    by_connection: HashMap<ConnectionId, Place>,
}

impl Places {
    /// None taken. The seed, which is secret, decides which neighbourhoods are protected.
    pub(crate) fn new(max: u32, per_network_max: usize, seed: [u8; 32]) -> Self {
        Self {
            max: usize::try_from(max).unwrap_or(usize::MAX),
            per_network_max,
            seed,
            by_connection: HashMap::new(),
        }
    }

    /// A connection begins.
    pub(crate) fn enter(
        &mut self,
        connection: ConnectionId,
        remote: &Multiaddr,
    ) -> Result<(), NoPlace> {
        let network = network(remote);
        let places = self.by_connection.values();
        let there = places.filter(|place| network.is_some() && place.network == network);
        if there.count() >= self.per_network_max && network.is_some() {
            let max = self.per_network_max;
            return Err(NoPlace::Crowded { max });
        }
        let place = Place {
            network,
            holder: None,
            is_leaving: false,
        };
        self.by_connection.insert(connection, place);
        Ok(())
    }

    /// Its handshake is done. Gives the peer that has to go for it, if any has.
    pub(crate) fn take(
        &mut self,
        connection: ConnectionId,
        id: PeerId,
        remote: &Multiaddr,
        now: Instant,
    ) -> Result<Option<PeerId>, NoPlace> {
        let holders = self
            .by_connection
            .values()
            .filter(|place| !place.is_leaving);
        let (ids, merits): (Vec<PeerId>, Vec<Merits>) =
            holders.filter_map(|place| place.holder).unzip();
        let mut evicted = None;
        if merits.len() >= self.max {
            // A second connection is worth nobody's place.
            if ids.contains(&id) {
                return Err(NoPlace::Full { max: self.max });
            }
            let goes = evict(&merits, &self.seed).and_then(|index| ids.get(index));
            evicted = Some(*goes.ok_or(NoPlace::Full { max: self.max })?);
        }
        for place in self.by_connection.values_mut() {
            place.is_leaving |= place.holder.map(|(id, _)| id) == evicted && evicted.is_some();
        }
        let from = ip(remote).unwrap_or(IpAddr::from([0, 0, 0, 0]));
        let merits = Merits {
            group: Group::of(from),
            since: now,
            rtt: None,
            block: None,
            transaction: None,
        };
        if let Some(place) = self.by_connection.get_mut(&connection) {
            place.holder = Some((id, merits));
        }
        Ok(evicted)
    }

    /// A connection is closed, or did not come about.
    pub(crate) fn leave(&mut self, connection: ConnectionId) {
        self.by_connection.remove(&connection);
    }

    /// A peer answered a ping.
    pub(crate) fn pinged(&mut self, id: &PeerId, rtt: Duration) {
        for merits in self.merits(id) {
            merits.rtt = Some(merits.rtt.map_or(rtt, |before| before.min(rtt)));
        }
    }

    /// A peer gossiped a block that was accepted.
    pub(crate) fn gave_block(&mut self, id: &PeerId, now: Instant) {
        self.merits(id).for_each(|merits| merits.block = Some(now));
    }

    /// A peer gossiped a transaction that was accepted.
    pub(crate) fn gave_transaction(&mut self, id: &PeerId, now: Instant) {
        self.merits(id)
            .for_each(|merits| merits.transaction = Some(now));
    }

    fn merits<'a>(&'a mut self, id: &'a PeerId) -> impl Iterator<Item = &'a mut Merits> {
        let holders = self.by_connection.values_mut();
        let holders = holders.filter_map(|place| place.holder.as_mut());
        holders
            .filter(move |(holder, _)| holder == id)
            .map(|(_, merits)| merits)
    }
}

/// Addresses of this machine belong to no network: they are its owner's own.
fn network(address: &Multiaddr) -> Option<Network> {
    let mut network = [0; 6];
    match ip(address)?.to_canonical() {
        ip if ip.is_loopback() => return None,
        IpAddr::V4(ip) => network[..3].copy_from_slice(&ip.octets()[..3]),
        IpAddr::V6(ip) => network.copy_from_slice(&ip.octets()[..6]),
    }
    Some(Network(network))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(max: u32, per_network_max: usize) -> Places {
        Places::new(max, per_network_max, [7; 32])
    }

    fn connection(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    fn enter(places: &mut Places, number: usize, remote: &str) -> Result<(), NoPlace> {
        places.enter(connection(number), &remote.parse().unwrap())
    }

    /// A connection from a network of its own.
    fn take(places: &mut Places, n: u8, now: Instant) -> (PeerId, Result<Option<PeerId>, NoPlace>) {
        let (id, remote) = (
            PeerId::random(),
            format!("/ip4/{}.{n}.0.1/tcp/1", n % 8 + 1),
        );
        enter(places, n.into(), &remote).unwrap();
        let taken = places.take(connection(n.into()), id, &remote.parse().unwrap(), now);
        (id, taken)
    }

    #[test]
    fn a_network_gets_its_share_only() {
        let mut places = places(48, 2);
        assert_eq!(enter(&mut places, 1, "/ip4/10.0.0.1/tcp/1"), Ok(()));
        assert_eq!(enter(&mut places, 2, "/ip4/10.0.0.2/udp/1/quic-v1"), Ok(()));
        let crowded = Err(NoPlace::Crowded { max: 2 });
        assert_eq!(enter(&mut places, 3, "/ip4/10.0.0.3/tcp/1"), crowded);
        assert_eq!(enter(&mut places, 3, "/ip6/::ffff:10.0.0.3/tcp/1"), crowded);
        assert_eq!(enter(&mut places, 4, "/ip4/10.0.1.3/tcp/1"), Ok(()));
        for connection in 5..20 {
            let entered = enter(&mut places, connection, "/ip4/127.0.0.1/tcp/1");
            assert_eq!(entered, Ok(()));
        }
    }

    #[test]
    fn a_share_is_given_back() {
        let mut places = places(48, 1);
        assert_eq!(enter(&mut places, 1, "/ip6/2001:db8:1::1/tcp/1"), Ok(()));
        assert!(enter(&mut places, 2, "/ip6/2001:db8:1:ffff::1/tcp/1").is_err());
        places.leave(connection(1));
        let again = enter(&mut places, 2, "/ip6/2001:db8:1:ffff::1/tcp/1");
        assert_eq!(again, Ok(()));
    }

    #[test]
    fn a_full_house_evicts_one_for_each_newcomer_and_not_the_useful() {
        let (mut places, start) = (places(20, 8), Instant::now());
        let after = |n: u8| start + Duration::from_secs(n.into());
        let mut ids = Vec::new();
        for n in 0..20 {
            let (id, taken) = take(&mut places, n, after(n));
            assert_eq!(taken, Ok(None));
            ids.push(id);
        }
        places.gave_block(&ids[19], after(30));
        places.gave_transaction(&ids[18], after(30));
        places.pinged(&ids[17], Duration::from_millis(1));
        let mut evicted = Vec::new();
        for n in 40..50 {
            let (_, taken) = take(&mut places, n, after(n));
            evicted.push(taken.unwrap().unwrap());
            let holders = places.by_connection.values();
            assert_eq!(holders.filter(|place| !place.is_leaving).count(), 20);
        }
        assert!(!ids[17..].iter().any(|id| evicted.contains(id)));
        let mut once = evicted.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), evicted.len());
    }

    #[test]
    fn a_small_house_of_protected_peers_takes_nobody() {
        let (mut places, now) = (places(2, 8), Instant::now());
        for n in 0..2 {
            assert_eq!(take(&mut places, n, now).1, Ok(None));
        }
        let full = Err(NoPlace::Full { max: 2 });
        assert_eq!(take(&mut places, 2, now).1, full);
        places.leave(connection(0));
        assert_eq!(take(&mut places, 3, now).1, Ok(None));
    }

    #[test]
    fn a_second_connection_evicts_nobody() {
        let (mut places, now) = (places(20, 30), Instant::now());
        let remote = "/ip4/10.0.0.1/tcp/1".parse().unwrap();
        let mut last = PeerId::random();
        for n in 0..20 {
            last = PeerId::random();
            places.enter(connection(n), &remote).unwrap();
            places.take(connection(n), last, &remote, now).unwrap();
        }
        places.enter(connection(20), &remote).unwrap();
        let again = places.take(connection(20), last, &remote, now);
        assert_eq!(again, Err(NoPlace::Full { max: 20 }));
        let newcomer = places.take(connection(20), PeerId::random(), &remote, now);
        assert!(matches!(newcomer, Ok(Some(_))));
    }
}
