//! Who is let in: loopback only on development networks, no unwanted peers, few from one place.
//!
//! A behaviour without a protocol, asked by libp2p before and after every handshake. A stranger
//! cannot fill the inbound places from one network: connections count by /24 and /48. Bans are by
//! peer id, end by themselves and are bounded in number; blocks last until they are lifted.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    net::IpAddr,
    task::{Context, Poll},
    time::Instant,
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm, dummy,
    },
};

use crate::{
    address::{ip, is_loopback},
    limits::{BAN_TIME, BANS_MAX},
};

/// Why a connection was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// A development network stays on this machine.
    #[error("this network is for this machine only, and {0} is not a loopback address")]
    NotLoopback(Multiaddr),
    /// We closed a connection to it a moment ago.
    #[error("peer {0} was disconnected a moment ago")]
    Banned(PeerId),
    /// The operator does not want it.
    #[error("peer {0} is blocked")]
    Blocked(PeerId),
    /// Its neighbourhood holds its share already.
    #[error("{max} inbound connections come from the same network already")]
    Crowded {
        /// The limit.
        max: usize,
    },
}

/// The network that an address belongs to: /24 or /48.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Group([u8; 6]);

/// The behaviour.
pub(crate) struct Gate {
    loopback_only: bool,
    per_group_max: usize,
    /// Bounded by the limit on inbound connections, which libp2p asks about in the same breath.
    inbound: HashMap<ConnectionId, Group>,
    bans: HashMap<PeerId, Instant>,
    blocked: HashSet<PeerId>,
}

impl Gate {
    /// A gate without bans.
    pub(crate) fn new(loopback_only: bool, per_group_max: usize) -> Self {
        let (inbound, bans, blocked) = Default::default();
        Self {
            loopback_only,
            per_group_max,
            inbound,
            bans,
            blocked,
        }
    }

    /// Keeps a peer out for a while, in both directions.
    pub(crate) fn ban(&mut self, peer: PeerId, now: Instant) {
        self.bans.retain(|_, until| *until > now);
        if self.bans.len() >= BANS_MAX && !self.bans.contains_key(&peer) {
            let first = self
                .bans
                .iter()
                .min_by_key(|(_, until)| **until)
                .map(|(peer, _)| *peer);
            first.map(|peer| self.bans.remove(&peer));
        }
        self.bans.insert(peer, now + BAN_TIME);
    }

    /// Refuses these from now on, and no others. Whether any was let in again.
    pub(crate) fn block(&mut self, ids: HashSet<PeerId>) -> bool {
        let lifted = self.blocked.difference(&ids).next().is_some();
        self.blocked = ids;
        lifted
    }

    /// Whether a peer would be let in or dialled.
    pub(crate) fn is_welcome(&self, peer: &PeerId) -> bool {
        self.check_peer(*peer).is_ok()
    }

    fn check_peer(&self, peer: PeerId) -> Result<(), Refusal> {
        if self.blocked.contains(&peer) {
            return Err(Refusal::Blocked(peer));
        }
        match self.bans.get(&peer) {
            Some(until) if *until > Instant::now() => Err(Refusal::Banned(peer)),
            _ => Ok(()),
        }
    }

    fn check_place(&self, address: &Multiaddr) -> Result<(), Refusal> {
        if self.loopback_only && !is_loopback(address) {
            return Err(Refusal::NotLoopback(address.clone()));
        }
        Ok(())
    }

    fn enter(&mut self, connection: ConnectionId, remote: &Multiaddr) -> Result<(), Refusal> {
        self.check_place(remote)?;
        let Some(group) = group(remote) else {
            return Ok(());
        };
        let there = self
            .inbound
            .values()
            .filter(|other| **other == group)
            .count();
        if there >= self.per_group_max {
            return Err(Refusal::Crowded {
                max: self.per_group_max,
            });
        }
        self.inbound.insert(connection, group);
        Ok(())
    }
}

/// Addresses of this machine belong to no group: they are its owner's own.
fn group(address: &Multiaddr) -> Option<Group> {
    let mut group = [0; 6];
    match ip(address)?.to_canonical() {
        ip if ip.is_loopback() => return None,
        IpAddr::V4(ip) => group[..3].copy_from_slice(&ip.octets()[..3]),
        IpAddr::V6(ip) => group.copy_from_slice(&ip.octets()[..6]),
    }
    Some(Group(group))
}

impl NetworkBehaviour for Gate {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.enter(connection, remote)
            .map_err(ConnectionDenied::new)
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.check_peer(peer).map_err(ConnectionDenied::new)?;
        Ok(dummy::ConnectionHandler)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        let places = addresses
            .iter()
            .try_for_each(|address| self.check_place(address));
        places.map_err(ConnectionDenied::new)?;
        peer.map_or(Ok(()), |peer| self.check_peer(peer))
            .map_err(ConnectionDenied::new)?;
        Ok(Vec::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.check_place(address).map_err(ConnectionDenied::new)?;
        self.check_peer(peer).map_err(ConnectionDenied::new)?;
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        let gone = match event {
            FromSwarm::ConnectionClosed(closed) => closed.connection_id,
            FromSwarm::ListenFailure(failure) => failure.connection_id,
            _ => return,
        };
        self.inbound.remove(&gone);
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(gate: &mut Gate, connection: usize, remote: &str) -> Result<(), Refusal> {
        gate.enter(
            ConnectionId::new_unchecked(connection),
            &remote.parse().unwrap(),
        )
    }

    #[test]
    fn a_neighbourhood_gets_its_share_only() {
        let mut gate = Gate::new(false, 2);
        assert_eq!(enter(&mut gate, 1, "/ip4/10.0.0.1/tcp/1"), Ok(()));
        assert_eq!(enter(&mut gate, 2, "/ip4/10.0.0.2/udp/1/quic-v1"), Ok(()));
        let crowded = Err(Refusal::Crowded { max: 2 });
        assert_eq!(enter(&mut gate, 3, "/ip4/10.0.0.3/tcp/1"), crowded);
        assert_eq!(enter(&mut gate, 3, "/ip6/::ffff:10.0.0.3/tcp/1"), crowded);
        assert_eq!(enter(&mut gate, 4, "/ip4/10.0.1.3/tcp/1"), Ok(()));
        for connection in 5..20 {
            assert_eq!(enter(&mut gate, connection, "/ip4/127.0.0.1/tcp/1"), Ok(()));
        }
    }

    #[test]
    fn a_place_is_given_back() {
        let mut gate = Gate::new(false, 1);
        assert_eq!(enter(&mut gate, 1, "/ip6/2001:db8:1::1/tcp/1"), Ok(()));
        assert!(enter(&mut gate, 2, "/ip6/2001:db8:1:ffff::1/tcp/1").is_err());
        gate.inbound.remove(&ConnectionId::new_unchecked(1));
        assert_eq!(enter(&mut gate, 2, "/ip6/2001:db8:1:ffff::1/tcp/1"), Ok(()));
    }

    #[test]
    fn only_this_machine_comes_in_on_a_development_network() {
        let mut gate = Gate::new(true, 8);
        assert_eq!(enter(&mut gate, 1, "/ip4/127.0.0.1/tcp/1"), Ok(()));
        assert!(matches!(
            enter(&mut gate, 2, "/ip4/192.168.0.9/tcp/1"),
            Err(Refusal::NotLoopback(_))
        ));
    }

    #[test]
    fn a_blocked_peer_is_refused_until_it_is_named_no_more() {
        let mut gate = Gate::new(false, 8);
        let (one, two) = (PeerId::random(), PeerId::random());
        assert!(!gate.block(HashSet::from([one])));
        assert_eq!(gate.check_peer(one), Err(Refusal::Blocked(one)));
        assert!(!gate.block(HashSet::from([one, two])), "none was lifted");
        assert!(gate.block(HashSet::from([two])));
        assert!(gate.is_welcome(&one) && !gate.is_welcome(&two));
    }

    #[test]
    fn bans_hold_end_and_are_bounded() {
        let mut gate = Gate::new(false, 8);
        let (now, peer) = (Instant::now(), PeerId::random());
        gate.ban(peer, now);
        assert_eq!(gate.check_peer(peer), Err(Refusal::Banned(peer)));
        for _ in 0..BANS_MAX {
            gate.ban(PeerId::random(), now + BAN_TIME / 2);
        }
        assert_eq!(gate.bans.len(), BANS_MAX);
        assert_eq!(gate.check_peer(peer), Ok(()), "the oldest ban made room");
        gate.ban(peer, now + BAN_TIME * 2);
        assert_eq!(gate.bans.len(), 1, "ended bans are forgotten");
    }
}
