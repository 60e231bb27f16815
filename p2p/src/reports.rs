//! What the swarm reports, turned into events: connections, identities, gossip and requests.
//!
//! The other half of the task in `swarm`, which calls it. Nothing here waits.

use std::{sync::Arc, time::Instant};

use chain::{
    effect::Verdict,
    message::{Peer, Request},
};
use libp2p::{PeerId, gossipsub, identify, mdns, ping, request_response as rr, swarm::SwarmEvent};

use crate::{
    Event, Failure, GossipToken, address,
    behaviour::{self, BehaviourEvent, PREFIX, SPEC_PROTOCOL},
    codec::{self, Answer, Asked},
    gate::Evicted,
    limits::TEXT_CHARS_MAX,
    requests::Ended,
    start::Report,
    swarm::Task,
};

impl Task {
    /// Takes in whatever the swarm reports.
    pub(crate) fn report(&mut self, report: Report) {
        let now = Instant::now();
        match report {
            SwarmEvent::Behaviour(event) => self.behaviour(event, now),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => {
                let (address, _) = address::split(endpoint.get_remote_address().clone());
                let inbound = endpoint.is_listener();
                self.peers.opened(peer_id, address.clone(), inbound, now);
                self.bootnodes.established(connection_id, peer_id);
                self.book_dials.remove(&connection_id);
                if self.peers.number(&peer_id).is_some() {
                    self.met(peer_id, &address, inbound);
                }
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                num_established: 0,
                cause,
                ..
            } => {
                tracing::debug!(%peer_id, ?cause, "disconnected");
                self.gone(peer_id, now);
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                error,
                ..
            } => {
                self.dial_failed(connection_id, &error, now);
            }
            SwarmEvent::IncomingConnectionError {
                send_back_addr,
                error,
                ..
            } => {
                tracing::debug!(%send_back_addr, error = behaviour::causes(&error), "not let in");
            }
            SwarmEvent::ListenerClosed {
                addresses,
                reason: Err(error),
                ..
            } => {
                self.warn(&format!("no longer listening on {addresses:?}: {error}"));
            }
            SwarmEvent::ListenerError { error, .. } => {
                tracing::debug!(%error, "a listener failed to accept");
            }
            _ => {}
        }
    }

    fn behaviour(&mut self, event: BehaviourEvent, now: Instant) {
        match event {
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                self.identified(peer_id, &info.protocols, now);
                if self.peers.number(&peer_id).is_some() {
                    self.listens(peer_id, &info.listen_addrs);
                }
            }
            BehaviourEvent::Ping(ping::Event {
                peer,
                result: Ok(rtt),
                ..
            }) => {
                self.swarm.behaviour_mut().gate.places.pinged(&peer, rtt);
                let peer = self.peers.pinged(&peer, rtt, now);
                self.made.extend(peer.map(|peer| Event::Ping { peer, rtt }));
            }
            // A joiner that only fetches the spec does not know pings, and needs not.
            BehaviourEvent::Ping(ping::Event {
                result: Err(ping::Failure::Unsupported),
                ..
            }) => {}
            BehaviourEvent::Ping(ping::Event {
                peer,
                result: Err(error),
                ..
            }) => {
                // Gone at once: a dead connection may take a quarter of an hour to end.
                tracing::debug!(%peer, %error, "closed: no answer to a ping");
                self.hang_up(peer);
                self.gone(peer, now);
            }
            BehaviourEvent::Gate(Evicted(id)) => {
                tracing::debug!(%id, "evicted for a newcomer");
                self.hang_up(id);
                self.gone(id, now);
            }
            BehaviourEvent::Lan(mdns::Event::Discovered(found)) => {
                for (id, address) in found {
                    self.found(id, address);
                }
            }
            BehaviourEvent::Gossip(gossipsub::Event::Message {
                propagation_source,
                message_id,
                message,
            }) => self.gossiped(propagation_source, message_id, &message),
            BehaviourEvent::Messages(event) => self.message(event),
            BehaviourEvent::Spec(rr::Event::Message {
                peer,
                message: rr::Message::Request { channel, .. },
                ..
            }) => self.give_spec(peer, channel),
            _ => {}
        }
    }

    /// Dropping the channel declines: nobody needs the spec that often.
    fn give_spec(&mut self, id: PeerId, channel: rr::ResponseChannel<Arc<str>>) {
        if self.peers.take_spec(&id) {
            let spec = self.spec.clone();
            // The error means that the stranger has gone.
            let _ = self.swarm.behaviour_mut().spec.send_response(channel, spec);
        }
    }

    /// Makes a stranger that spoke our protocol a peer. Gives its number; nothing for one that
    /// belongs to another network or is gone.
    fn prove(&mut self, id: PeerId) -> Option<Peer> {
        if let Some(proved) = self.peers.prove(&id) {
            tracing::debug!(%id, address = %proved.address, "connected");
            self.met(id, &proved.address, proved.inbound);
            self.made.push(Event::Connected {
                peer: proved.peer,
                id: id.to_string(),
                address: proved.address.to_string(),
                inbound: proved.inbound,
            });
            let (peer, rtt) = (proved.peer, proved.rtt);
            self.made.extend(rtt.map(|rtt| Event::Ping { peer, rtt }));
        }
        self.peers.number(&id)
    }

    fn identified(&mut self, id: PeerId, protocols: &[libp2p::StreamProtocol], now: Instant) {
        if protocols
            .iter()
            .any(|protocol| protocol.as_ref() == self.name)
        {
            self.prove(id);
            return;
        }
        let foreign = protocols
            .iter()
            .filter(|protocol| **protocol != SPEC_PROTOCOL);
        let foreign = foreign
            .filter_map(|protocol| protocol.as_ref().strip_prefix(PREFIX))
            .next();
        let Some(theirs) = foreign.map(network_text) else {
            return;
        };
        if let Some(address) = self.peers.mark_foreign(&id, now) {
            let address = address.to_string();
            tracing::debug!(%id, address, theirs, ours = self.name, "a node of another network");
            self.made.push(Event::WrongNetwork {
                id: id.to_string(),
                address,
                theirs,
            });
        }
    }

    fn gossiped(&mut self, source: PeerId, id: gossipsub::MessageId, message: &gossipsub::Message) {
        let token = GossipToken { id, source };
        // The topic carries our tag, so this proves as much as a request does.
        let Some(peer) = self.prove(source) else {
            return self.verdict(&token, Verdict::Ignore);
        };
        match self.topics.decode(message) {
            Ok(message) => self.made.push(Event::Gossip {
                peer,
                token,
                message,
            }),
            Err(error) => {
                tracing::debug!(?peer, %error, "gossiped what is no message");
                self.verdict(&token, Verdict::Reject);
                self.made.push(Event::Malformed { peer });
            }
        }
    }

    fn message(&mut self, event: rr::Event<Asked, Answer>) {
        match event {
            rr::Event::Message {
                peer,
                message:
                    rr::Message::Request {
                        request_id,
                        request,
                        channel,
                    },
                ..
            } => {
                let (id, Some(peer)) = (peer, self.prove(peer)) else {
                    return;
                };
                match request {
                    Asked::Request(Request::Addresses) => self.give_addresses(id, channel),
                    Asked::Request(request) => self.asked(peer, request_id, request, channel),
                    Asked::Malformed(error) => {
                        tracing::debug!(?peer, error, "asked what is no message");
                        self.made.push(Event::Malformed { peer });
                    }
                }
            }
            rr::Event::Message {
                message:
                    rr::Message::Response {
                        request_id,
                        response,
                    },
                ..
            } => {
                self.answered(request_id, response);
            }
            rr::Event::OutboundFailure {
                request_id, error, ..
            } => {
                self.unanswered(request_id, &error);
            }
            rr::Event::InboundFailure { request_id, .. }
            | rr::Event::ResponseSent { request_id, .. } => self.requests.over(request_id),
        }
    }

    fn answered(&mut self, request: rr::OutboundRequestId, answer: Answer) {
        let Answer::Response(response) = answer else {
            unreachable!("what is read is decoded");
        };
        match self.requests.ended(request) {
            Some(Ended::Shell(peer, id)) => {
                self.made.push(Event::Response { peer, id, response });
            }
            Some(Ended::Addresses(id)) => self.told(id, response),
            None => {}
        }
    }

    fn unanswered(&mut self, request: rr::OutboundRequestId, error: &rr::OutboundFailure) {
        let reason = failure(error);
        match self.requests.ended(request) {
            Some(Ended::Shell(peer, id)) => {
                tracing::debug!(?peer, %error, "a request got no answer");
                self.made.push(Event::Failed { peer, id, reason });
            }
            Some(Ended::Addresses(id)) if reason == Failure::Malformed => {
                self.malformed_answer(&id);
            }
            Some(Ended::Addresses(_)) | None => {}
        }
    }

    fn asked(
        &mut self,
        peer: Peer,
        id: rr::InboundRequestId,
        request: Request,
        channel: rr::ResponseChannel<Answer>,
    ) {
        if let Some(ticket) = self.requests.asked(peer, id, channel) {
            self.made.push(Event::Request {
                peer,
                ticket,
                request,
            });
        }
    }
}

fn failure(error: &rr::OutboundFailure) -> Failure {
    match error {
        rr::OutboundFailure::Timeout => Failure::Timeout,
        rr::OutboundFailure::UnsupportedProtocols => Failure::Unsupported,
        rr::OutboundFailure::Io(error) if codec::is_malformed(error) => Failure::Malformed,
        rr::OutboundFailure::Io(error) if codec::is_declined(error) => Failure::Declined,
        rr::OutboundFailure::DialFailure
        | rr::OutboundFailure::ConnectionClosed
        | rr::OutboundFailure::Io(_) => Failure::Closed,
    }
}

/// `TAG/VERSION` of another network as an operator reads it: only the tag where the version is
/// ours, and nothing that a terminal would act on.
fn network_text(theirs: &str) -> String {
    let version = format!("/{}", chain::params::PROTOCOL_VERSION);
    let theirs = theirs.strip_suffix(&version).unwrap_or(theirs);
    let printable = |c: &char| c.is_ascii_graphic();
    theirs
        .chars()
        .filter(printable)
        .take(TEXT_CHARS_MAX)
        .collect()
}
