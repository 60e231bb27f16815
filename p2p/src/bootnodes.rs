//! The addresses a node was told to begin with, dialled again and again while peers are few.
//!
//! The wait doubles with every failure and returns to its least when a peer has proved itself
//! there: a bootnode that accepts and hangs up at once is not dialled every second. Owned by the
//! swarm's task, which does the dialling.

use std::time::{Duration, Instant};

use libp2p::{PeerId, swarm::ConnectionId};

use crate::{
    address::Target,
    limits::{REDIAL_MAX, REDIAL_MIN},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// To be dialled at this time.
    Idle(Instant),
    /// Being dialled.
    Dialling(ConnectionId),
    /// Connected, to this peer.
    Connected(PeerId),
    /// It is ourselves.
    Own,
}

#[derive(Debug)]
struct Bootnode {
    target: Target,
    /// The peer last seen there.
    seen: Option<PeerId>,
    state: State,
    failures: u32,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Bootnodes(Vec<Bootnode>);

impl Bootnodes {
    /// All due at once.
    pub(crate) fn new(targets: Vec<Target>, now: Instant) -> Self {
        let bootnode = |target: Target| {
            let (seen, state) = (target.id, State::Idle(now));
            Bootnode {
                target,
                seen,
                state,
                failures: 0,
            }
        };
        Self(targets.into_iter().map(bootnode).collect())
    }

    /// All that wait are due now, as if none had failed.
    pub(crate) fn hurry(&mut self, now: Instant) {
        for bootnode in &mut self.0 {
            if let State::Idle(at) = &mut bootnode.state {
                *at = now;
                bootnode.failures = 0;
            }
        }
    }

    /// Those to be dialled now: index and target. One whose peer `is_served`, since it is
    /// connected otherwise or unwanted, waits.
    pub(crate) fn due(
        &self,
        now: Instant,
        is_served: impl Fn(&PeerId) -> bool,
    ) -> Vec<(usize, Target)> {
        let due = self.0.iter().enumerate().filter(|(_, bootnode)| {
            let is_due = matches!(bootnode.state, State::Idle(at) if at <= now);
            is_due && !bootnode.seen.as_ref().is_some_and(&is_served)
        });
        due.map(|(index, bootnode)| (index, bootnode.target.clone()))
            .collect()
    }

    /// Dialling has begun.
    pub(crate) fn dialled(&mut self, index: usize, connection: ConnectionId) {
        if let Some(bootnode) = self.0.get_mut(index) {
            bootnode.state = State::Dialling(connection);
        }
    }

    /// Dialling could not even begin.
    pub(crate) fn not_dialled(&mut self, index: usize, now: Instant) {
        if let Some(bootnode) = self.0.get_mut(index) {
            bootnode.retreat(now);
        }
    }

    /// A connection was made; whether it was to a bootnode.
    pub(crate) fn established(&mut self, connection: ConnectionId, peer: PeerId) -> bool {
        let Some(bootnode) = self.dialling(connection) else {
            return false;
        };
        bootnode.state = State::Connected(peer);
        bootnode.seen = Some(peer);
        true
    }

    /// A dial failed. Gives the address and how often in a row, if it was a bootnode's.
    pub(crate) fn failed(
        &mut self,
        connection: ConnectionId,
        now: Instant,
    ) -> Option<(String, u32)> {
        let bootnode = self.dialling(connection)?;
        bootnode.retreat(now);
        Some((bootnode.target.address.to_string(), bootnode.failures))
    }

    /// The address turned out to be our own: it is not dialled again.
    pub(crate) fn is_ourselves(&mut self, connection: ConnectionId) {
        if let Some(bootnode) = self.dialling(connection) {
            bootnode.state = State::Own;
        }
    }

    /// A peer has shown that it speaks our protocol.
    pub(crate) fn proved(&mut self, peer: &PeerId) {
        for bootnode in self
            .0
            .iter_mut()
            .filter(|bootnode| bootnode.seen.as_ref() == Some(peer))
        {
            bootnode.failures = 0;
        }
    }

    /// The last connection to a peer was closed.
    pub(crate) fn closed(&mut self, peer: &PeerId, now: Instant) {
        let connected = State::Connected(*peer);
        for bootnode in self
            .0
            .iter_mut()
            .filter(|bootnode| bootnode.state == connected)
        {
            bootnode.retreat(now);
        }
    }

    fn dialling(&mut self, connection: ConnectionId) -> Option<&mut Bootnode> {
        self.0
            .iter_mut()
            .find(|bootnode| bootnode.state == State::Dialling(connection))
    }
}

impl Bootnode {
    fn retreat(&mut self, now: Instant) {
        self.state = State::Idle(now + wait(self.failures));
        self.failures = self.failures.saturating_add(1);
    }
}

/// 1 s, 2 s, 4 s … 30 s.
fn wait(failures: u32) -> Duration {
    REDIAL_MIN
        .saturating_mul(2_u32.saturating_pow(failures))
        .min(REDIAL_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::parse;
    use crate::reach::Reach;

    fn one(now: Instant) -> Bootnodes {
        Bootnodes::new(vec![parse("127.0.0.1:7", Reach::Machine).unwrap()], now)
    }

    fn due(bootnodes: &Bootnodes, now: Instant) -> usize {
        bootnodes.due(now, |_| false).len()
    }

    #[test]
    fn the_wait_doubles_up_to_its_end() {
        let waits: Vec<u64> = (0..7).map(|failures| wait(failures).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(wait(u32::MAX), REDIAL_MAX);
    }

    #[test]
    fn a_failure_is_retried_later() {
        let (now, connection) = (Instant::now(), ConnectionId::new_unchecked(1));
        let mut bootnodes = one(now);
        assert_eq!(due(&bootnodes, now), 1);
        bootnodes.dialled(0, connection);
        assert_eq!(due(&bootnodes, now), 0);
        let (_, failures) = bootnodes.failed(connection, now).unwrap();
        assert_eq!(failures, 1);
        assert_eq!(bootnodes.failed(connection, now), None, "counted once");
        assert_eq!(due(&bootnodes, now), 0);
        assert_eq!(due(&bootnodes, now + REDIAL_MIN), 1);
    }

    #[test]
    fn only_a_proof_ends_the_back_off() {
        let (now, peer) = (Instant::now(), PeerId::random());
        let mut bootnodes = one(now);
        for round in 0..4 {
            let connection = ConnectionId::new_unchecked(round);
            bootnodes.dialled(0, connection);
            assert!(bootnodes.established(connection, peer));
            bootnodes.closed(&peer, now);
        }
        assert_eq!(due(&bootnodes, now + Duration::from_secs(7)), 0);
        bootnodes.proved(&peer);
        bootnodes.dialled(0, ConnectionId::new_unchecked(9));
        bootnodes.failed(ConnectionId::new_unchecked(9), now);
        assert_eq!(due(&bootnodes, now + REDIAL_MIN), 1);
        assert_eq!(
            bootnodes.due(now + REDIAL_MIN, |id| *id == peer),
            [],
            "connected otherwise"
        );
    }

    #[test]
    fn a_hurry_forgets_failures() {
        let (now, connection) = (Instant::now(), ConnectionId::new_unchecked(1));
        let mut bootnodes = one(now);
        bootnodes.0[0].failures = 9;
        bootnodes.dialled(0, connection);
        bootnodes.failed(connection, now);
        assert_eq!(due(&bootnodes, now), 0);
        bootnodes.hurry(now);
        assert_eq!((due(&bootnodes, now), bootnodes.0[0].failures), (1, 0));
    }

    #[test]
    fn our_own_address_is_left_alone() {
        let (now, connection) = (Instant::now(), ConnectionId::new_unchecked(1));
        let mut bootnodes = one(now);
        bootnodes.dialled(0, connection);
        bootnodes.is_ourselves(connection);
        assert_eq!(due(&bootnodes, now + REDIAL_MAX * 9), 0);
    }
}
