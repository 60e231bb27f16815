//! Peers tell each other where others are: asked of those we dialled, answered from the book.
//!
//! The shell sees none of it. A peer is answered once in ten minutes, with addresses where others
//! were met within a day; what it tells goes into the book under its own neighbourhood's share.
//! Part of the swarm's task.

use std::{
    net::{IpAddr, Ipv6Addr},
    time::Instant,
};

use chain::message::{Request, Response};
use libp2p::{Multiaddr, PeerId, request_response::ResponseChannel};

use crate::{
    Event,
    address::{from_message, ip, to_message},
    clock::unix_secs,
    codec::{Answer, Asked},
    swarm::Task,
};

impl Task {
    /// Asks those peers we dialled that were not asked yet, and while there are too few of them
    /// those that were asked long ago.
    pub(crate) fn ask_addresses(&mut self, now: Instant) {
        let is_short = self.peers.outbound().count() < self.wanted_peers;
        for id in self.peers.due_for_addresses(is_short, now) {
            let asked = Asked::Request(Request::Addresses);
            let messages = &mut self.swarm.behaviour_mut().messages;
            let request = messages.send_request(&id, asked);
            self.requests.sent_addresses(request, id);
        }
    }

    /// Answers a peer. Dropping the channel declines.
    pub(crate) fn give_addresses(&mut self, id: PeerId, channel: ResponseChannel<Answer>) {
        let Some(asker) = self.peers.place(&id).map(|(at, _)| whereabouts(at)) else {
            return;
        };
        if !self.peers.take_addresses(&id, Instant::now()) {
            return;
        }
        self.turn += 1;
        let mut recent = self.book.recent(unix_secs(), asker, self.turn);
        recent.retain(|(known, _)| *known != id);
        let response = Response::Addresses(recent.into_iter().map(to_message).collect());
        let answer = Answer::Bytes(response.encode());
        // The error means that the request lapsed at this very moment.
        let messages = &mut self.swarm.behaviour_mut().messages;
        let _ = messages.send_response(channel, answer);
    }

    /// Takes a peer's answer; another kind of answer is no message.
    pub(crate) fn told(&mut self, id: PeerId, response: Response) {
        let Response::Addresses(addresses) = response else {
            return self.malformed_answer(&id);
        };
        let Some(teller) = self.peers.place(&id).map(|(at, _)| whereabouts(at)) else {
            return;
        };
        let told = addresses.into_iter().filter_map(from_message);
        let new = told.filter(|(id, at)| self.book.add(*id, at.clone(), teller));
        let new = new.count();
        tracing::debug!(%id, new, "told addresses");
    }

    /// An answer about addresses that is none.
    pub(crate) fn malformed_answer(&mut self, id: &PeerId) {
        let peer = self.peers.number(id);
        self.made.extend(peer.map(|peer| Event::Malformed { peer }));
    }
}

/// Where a peer is. Peers that the operator named by a name count together as one neighbourhood
/// of the internet, with an address that nobody has (RFC 3849).
fn whereabouts(at: &Multiaddr) -> IpAddr {
    ip(at).unwrap_or(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{book::Book, limits::BOOK_PER_SOURCE, reach::Reach};

    #[test]
    fn who_was_reached_by_name_tells_of_the_internet_and_no_more_than_others() {
        let mut book = Book::new(PeerId::random(), Reach::World, [7; 32]);
        let mut told = |address: &str, teller: &str| {
            let teller = whereabouts(&teller.parse().unwrap());
            book.add(PeerId::random(), address.parse().unwrap(), teller)
        };
        let (one, two) = ("/dns/a.example/tcp/7", "/dns6/b.example/udp/7/quic-v1");
        assert!(told("/ip4/9.1.1.1/tcp/7", one));
        assert!(!told("/ip4/10.1.1.1/tcp/7", one));
        for n in 0..200 {
            told(&format!("/ip4/9.{n}.1.1/tcp/7"), two);
        }
        assert_eq!(book.entries().len(), BOOK_PER_SOURCE);
        let at = "/ip4/9.1.1.1/tcp/7".parse().unwrap();
        assert_eq!(whereabouts(&at).to_string(), "9.1.1.1");
    }
}
