//! Requests under way: ours, by the shell's id, and peers', by ticket. All bounded.
//!
//! Each request of ours ends in exactly one answer or failure. A peer's is counted from its asking
//! until its answer is written, it is declined, it is out of time or its connection is gone: a
//! peer that asks and does not read has a few requests and a few mebibytes waiting, and no more.
//! Owned by the swarm's task.

use std::{collections::HashMap, hash::Hash};

use chain::message::{Peer, Response};
use libp2p::{
    PeerId,
    request_response::{InboundRequestId, OutboundRequestId, ResponseChannel},
};

use crate::{
    codec::Answer,
    limits::{ANSWER_BYTES_MAX, ANSWER_BYTES_PER_PEER, ASKED_MAX, ASKED_PER_PEER, SENT_PER_PEER},
};

/// A request of a peer, and the bytes of its answer that are not yet written.
#[derive(Clone, Copy, Debug)]
struct Asked {
    peer: Peer,
    ticket: u64,
    bytes: usize,
}

/// What peers have asked and not yet got, by the request's name.
#[derive(Debug)]
struct Load<K>(HashMap<K, Asked>);

/// The tables.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    sent: HashMap<OutboundRequestId, (Peer, u64)>,
    /// Requests for addresses: the network's own.
    addresses: HashMap<OutboundRequestId, PeerId>,
    load: Load<InboundRequestId>,
    channels: HashMap<u64, (InboundRequestId, ResponseChannel<Answer>)>,
    last_ticket: u64,
}

/// How a request of ours came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By the shell, under this name.
    Shell(Peer, u64),
    /// By the network itself, for addresses.
    Addresses(PeerId),
}

impl<K> Default for Load<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Load<K> {
    /// Whether one more request of a peer can be taken.
    fn has_room(&self, peer: Peer) -> bool {
        let asked = self.0.values().filter(|asked| asked.peer == peer);
        self.0.len() < ASKED_MAX && asked.count() < ASKED_PER_PEER
    }

    /// Whether an answer may wait to be written; it is counted then.
    fn answer(&mut self, request: &K, bytes: usize) -> bool {
        let Some(peer) = self.0.get(request).map(|asked| asked.peer) else {
            return false;
        };
        let (all, own) = self.0.values().fold((bytes, bytes), |(all, own), asked| {
            let of_peer = if asked.peer == peer { asked.bytes } else { 0 };
            (all + asked.bytes, own + of_peer)
        });
        let fits = all <= ANSWER_BYTES_MAX && own <= ANSWER_BYTES_PER_PEER;
        if let Some(asked) = self.0.get_mut(request).filter(|_| fits) {
            asked.bytes = bytes;
        }
        fits
    }
}

impl Requests {
    /// Whether one more request may be sent to a peer.
    pub(crate) fn has_room(&self, peer: Peer) -> bool {
        let under_way = self.sent.values().filter(|(to, _)| *to == peer).count();
        under_way < SENT_PER_PEER
    }

    /// A request was handed to libp2p.
    pub(crate) fn sent(&mut self, request: OutboundRequestId, peer: Peer, id: u64) {
        self.sent.insert(request, (peer, id));
    }

    /// A request for addresses was handed to libp2p.
    pub(crate) fn sent_addresses(&mut self, request: OutboundRequestId, id: PeerId) {
        self.addresses.insert(request, id);
    }

    /// A request of ours has ended.
    pub(crate) fn ended(&mut self, request: OutboundRequestId) -> Option<Ended> {
        if let Some((peer, id)) = self.sent.remove(&request) {
            return Some(Ended::Shell(peer, id));
        }
        self.addresses.remove(&request).map(Ended::Addresses)
    }

    /// A peer asked something: its ticket, or nothing if too many are under way. Then the channel
    /// is dropped, which declines the request.
    pub(crate) fn asked(
        &mut self,
        peer: Peer,
        request: InboundRequestId,
        channel: ResponseChannel<Answer>,
    ) -> Option<u64> {
        if !self.load.has_room(peer) {
            return None;
        }
        self.last_ticket += 1;
        let ticket = self.last_ticket;
        let bytes = 0;
        self.load.0.insert(
            request,
            Asked {
                peer,
                ticket,
                bytes,
            },
        );
        self.channels.insert(ticket, (request, channel));
        Some(ticket)
    }

    /// Drops the channel of a ticket, which declines the request.
    pub(crate) fn decline(&mut self, ticket: u64) {
        if let Some((request, _)) = self.channels.remove(&ticket) {
            self.load.0.remove(&request);
        }
    }

    /// The name, channel and bytes of an answer, if its request still waits and there is room for it;
    /// without room the request is declined.
    pub(crate) fn answer(
        &mut self,
        ticket: u64,
        response: &Response,
    ) -> Option<(InboundRequestId, ResponseChannel<Answer>, Answer)> {
        let (request, channel) = self.channels.remove(&ticket)?;
        let bytes = response.encode();
        if !self.load.answer(&request, bytes.len()) {
            tracing::debug!(bytes = bytes.len(), "declined: too many answers wait");
            self.load.0.remove(&request);
            return None;
        }
        Some((request, channel, Answer::Bytes(bytes)))
    }

    /// A peer's request is over: its answer is written, or can no longer be.
    pub(crate) fn over(&mut self, request: InboundRequestId) {
        if let Some(asked) = self.load.0.remove(&request) {
            self.channels.remove(&asked.ticket);
        }
    }
}

#[cfg(test)]
mod tests {
    use chain::params::{BLOCKS_BYTES_MAX, REQUESTS_PER_PEER};

    use super::*;

    fn ask(load: &mut Load<u64>, peer: u64) -> Option<u64> {
        let (peer, ticket) = (Peer(peer), load.0.keys().max().map_or(0, |last| last + 1));
        let bytes = 0;
        load.has_room(peer).then(|| {
            load.0.insert(
                ticket,
                Asked {
                    peer,
                    ticket,
                    bytes,
                },
            );
            ticket
        })
    }

    #[test]
    fn a_peer_has_few_requests_under_way() {
        let mut load = Load::default();
        let taken = (0..100).filter_map(|_| ask(&mut load, 1)).count();
        assert_eq!(taken, ASKED_PER_PEER);
        let first = ask(&mut load, 2).unwrap();
        load.0.remove(&first);
        for peer in 2..200 {
            let taken = (0..100).filter_map(|_| ask(&mut load, peer)).count();
            assert!(taken <= ASKED_PER_PEER);
        }
        assert_eq!(load.0.len(), ASKED_MAX);
    }

    /// Four answers with as many blocks as an answer holds, and one of each other kind.
    #[test]
    fn a_node_in_sync_is_never_declined() {
        let mut load = Load::default();
        let peers = ANSWER_BYTES_MAX / ANSWER_BYTES_PER_PEER;
        for peer in 0..u64::try_from(peers).unwrap() {
            for _ in 0..REQUESTS_PER_PEER {
                let request = ask(&mut load, peer).unwrap();
                assert!(load.answer(&request, BLOCKS_BYTES_MAX + 1_000));
            }
            for _ in 0..3 {
                let request = ask(&mut load, peer).unwrap();
                assert!(load.answer(&request, 400_000));
            }
        }
    }

    #[test]
    fn answers_are_bounded_by_peer_and_in_all() {
        let mut load = Load::default();
        let size = ANSWER_BYTES_PER_PEER / 2;
        let mut waiting = 0;
        for peer in 0..100 {
            let asked: Vec<u64> = (0..3).map(|_| ask(&mut load, peer).unwrap()).collect();
            let answered: Vec<bool> = asked
                .iter()
                .map(|request| load.answer(request, size))
                .collect();
            if waiting + ANSWER_BYTES_PER_PEER <= ANSWER_BYTES_MAX {
                assert_eq!(answered, [true, true, false]);
                waiting += ANSWER_BYTES_PER_PEER;
            } else {
                assert_eq!(answered, [false; 3]);
            }
        }
        let held: usize = load.0.values().map(|asked| asked.bytes).sum();
        assert_eq!(held, ANSWER_BYTES_MAX);
        assert!(!load.answer(&1_000_000, 1), "nobody asked");
    }
}
