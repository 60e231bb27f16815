//! Who is let in: within the network's reach, no unwanted peers, few from one place.
//!
//! A behaviour without a protocol, asked by libp2p before and after every handshake. A stranger
//! cannot fill the inbound places from one network, nor push out a peer that is worth more. Bans
//! are by peer id and IP, end by themselves and are bounded in number; blocks last until lifted.

use std::{
    collections::{HashSet, VecDeque},
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
    address::ip,
    bans::Bans,
    clock::unix_secs,
    places::{NoPlace, Places},
    reach::Reach,
};

/// Why a connection was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// A development network stays on this machine or in its local network.
    #[error("this network does not reach {0}")]
    OutOfReach(Multiaddr),
    /// It did something that is punished.
    #[error("peer {0} is banned")]
    Banned(PeerId),
    /// Somebody there did something that is punished.
    #[error("peers at {0} are banned")]
    BannedPlace(Multiaddr),
    /// The operator does not want it.
    #[error("peer {0} is blocked")]
    Blocked(PeerId),
    /// There is no room.
    #[error(transparent)]
    NoPlace(#[from] NoPlace),
}

/// A peer that has to make room; to be disconnected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Evicted(pub PeerId);

/// The behaviour.
pub(crate) struct Gate {
    reach: Reach,
    pub places: Places,
    pub bans: Bans,
    blocked: HashSet<PeerId>,
    /// Not yet told; no more than there are places.
    evicted: VecDeque<PeerId>,
}

impl Gate {
    /// A gate that blocks nobody.
    pub(crate) fn new(reach: Reach, places: Places, bans: Bans) -> Self {
        let (blocked, evicted) = Default::default();
        Self {
            reach,
            places,
            bans,
            blocked,
            evicted,
        }
    }

    /// Refuses these from now on, and no others. Gives those that are let in again.
    pub(crate) fn block(&mut self, ids: HashSet<PeerId>) -> Vec<PeerId> {
        let lifted = self.blocked.difference(&ids).copied().collect();
        self.blocked = ids;
        lifted
    }

    /// Whether a peer would be let in or dialled.
    pub(crate) fn is_welcome(&self, peer: &PeerId, now: u64) -> bool {
        self.check_peer(*peer, now).is_ok()
    }

    fn check_peer(&self, peer: PeerId, now: u64) -> Result<(), Refusal> {
        if self.blocked.contains(&peer) {
            return Err(Refusal::Blocked(peer));
        }
        if self.bans.has(&peer, now) {
            return Err(Refusal::Banned(peer));
        }
        Ok(())
    }

    fn check_reach(&self, address: &Multiaddr) -> Result<(), Refusal> {
        if self.reach.covers(address) {
            Ok(())
        } else {
            Err(Refusal::OutOfReach(address.clone()))
        }
    }

    /// An inbound connection begins.
    fn enter(
        &mut self,
        connection: ConnectionId,
        remote: &Multiaddr,
        now: u64,
    ) -> Result<(), Refusal> {
        self.check_reach(remote)?;
        if ip(remote).is_some_and(|ip| self.bans.has_ip(ip, now)) {
            return Err(Refusal::BannedPlace(remote.clone()));
        }
        Ok(self.places.enter(connection, remote)?)
    }

    /// An inbound connection's handshake is done.
    fn admit(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        remote: &Multiaddr,
    ) -> Result<(), Refusal> {
        self.check_peer(peer, unix_secs())?;
        let evicted = self.places.take(connection, peer, remote, Instant::now())?;
        self.evicted.extend(evicted);
        Ok(())
    }
}

impl NetworkBehaviour for Gate {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Evicted;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.enter(connection, remote, unix_secs())
            .map_err(ConnectionDenied::new)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.admit(connection, peer, remote)
            .map_err(ConnectionDenied::new)?;
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
            .try_for_each(|address| self.check_reach(address));
        places.map_err(ConnectionDenied::new)?;
        peer.map_or(Ok(()), |peer| self.check_peer(peer, unix_secs()))
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
        self.check_reach(address).map_err(ConnectionDenied::new)?;
        self.check_peer(peer, unix_secs())
            .map_err(ConnectionDenied::new)?;
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        let gone = match event {
            FromSwarm::ConnectionClosed(closed) => closed.connection_id,
            FromSwarm::ListenFailure(failure) => failure.connection_id,
            _ => return,
        };
        self.places.leave(gone);
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Evicted, THandlerInEvent<Self>>> {
        // What is queued here was queued in a callback of the swarm, which polls after it.
        match self.evicted.pop_front() {
            Some(peer) => Poll::Ready(ToSwarm::GenerateEvent(Evicted(peer))),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(reach: Reach) -> Gate {
        Gate::new(reach, Places::new(8, 8, [7; 32]), Bans::new((60, 60)))
    }

    fn enter(gate: &mut Gate, remote: &str, now: u64) -> Result<(), Refusal> {
        let connection = ConnectionId::new_unchecked(1);
        gate.enter(connection, &remote.parse().unwrap(), now)
    }

    #[test]
    fn a_blocked_peer_is_refused_until_it_is_named_no_more() {
        let mut gate = gate(Reach::World);
        let (one, two) = (PeerId::random(), PeerId::random());
        assert_eq!(gate.block(HashSet::from([one])), []);
        assert_eq!(gate.check_peer(one, 0), Err(Refusal::Blocked(one)));
        assert_eq!(gate.block(HashSet::from([one, two])), [], "none was lifted");
        assert_eq!(gate.block(HashSet::from([two])), [one]);
        assert!(gate.is_welcome(&one, 0) && !gate.is_welcome(&two, 0));
    }

    #[test]
    fn only_this_machine_comes_in_on_a_development_network() {
        let mut gate = gate(Reach::Machine);
        assert_eq!(enter(&mut gate, "/ip4/127.0.0.1/tcp/1", 0), Ok(()));
        let far = enter(&mut gate, "/ip4/192.168.0.9/tcp/1", 0);
        assert!(matches!(far, Err(Refusal::OutOfReach(_))));
    }

    #[test]
    fn only_neighbours_come_in_on_a_local_network() {
        let mut gate = gate(Reach::Lan);
        for near in ["127.0.0.1", "192.168.0.9", "10.1.1.1", "169.254.0.7"] {
            let entered = enter(&mut gate, &format!("/ip4/{near}/tcp/1"), 0);
            assert_eq!(entered, Ok(()), "{near}");
        }
        for far in ["8.8.8.8", "172.32.0.1"] {
            let entered = enter(&mut gate, &format!("/ip4/{far}/tcp/1"), 0);
            assert!(matches!(entered, Err(Refusal::OutOfReach(_))), "{far}");
        }
    }

    #[test]
    fn a_ban_closes_the_gate_to_a_peer_and_its_address() {
        let (mut gate, peer) = (gate(Reach::World), PeerId::random());
        let ip = "192.0.2.7".parse().ok();
        gate.bans.ban(peer, ip, 100);
        assert_eq!(gate.check_peer(peer, 159), Err(Refusal::Banned(peer)));
        let entered = enter(&mut gate, "/ip4/192.0.2.7/tcp/9", 159);
        assert!(matches!(entered, Err(Refusal::BannedPlace(_))));
        assert_eq!(enter(&mut gate, "/ip4/192.0.2.8/tcp/9", 159), Ok(()));
        assert_eq!(enter(&mut gate, "/ip4/192.0.2.7/tcp/9", 160), Ok(()));
        assert!(gate.is_welcome(&peer, 160));
    }
}
