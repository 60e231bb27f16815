//! What the swarm reports, turned into events: connections, identities, gossip and requests.
//!
//! The other half of the task in `swarm`, which calls it. Nothing here waits.

use std::{sync::Arc, time::Instant};

use chain::{
    effect::Verdict,
    message::{Peer, Request, Response},
};
use libp2p::{
    PeerId, gossipsub, identify, ping, request_response as rr,
    swarm::{ConnectionId, DialError, SwarmEvent},
};

use crate::{
    Event, Failure, GossipToken,
    behaviour::{self, BehaviourEvent, PREFIX, SPEC_PROTOCOL},
    codec::{self, Asked},
    limits::TEXT_CHARS_MAX,
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
                let address = endpoint.get_remote_address().to_string();
                self.peers
                    .opened(peer_id, address, endpoint.is_listener(), now);
                self.bootnodes.established(connection_id, peer_id);
                if self.peers.number(&peer_id).is_some() {
                    self.bootnodes.proved(&peer_id);
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

    fn dial_failed(&mut self, connection: ConnectionId, error: &DialError, now: Instant) {
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

    fn behaviour(&mut self, event: BehaviourEvent, now: Instant) {
        match event {
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                self.identified(peer_id, &info.protocols, now);
            }
            BehaviourEvent::Ping(ping::Event {
                peer,
                result: Ok(rtt),
                ..
            }) => {
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
            tracing::debug!(%id, address = proved.address, "connected");
            self.bootnodes.proved(&id);
            self.made.push(Event::Connected {
                peer: proved.peer,
                id: id.to_string(),
                address: proved.address,
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

    fn message(&mut self, event: rr::Event<Asked, Response>) {
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
                let Some(peer) = self.prove(peer) else { return };
                match request {
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
                if let Some((peer, id)) = self.requests.ended(request_id) {
                    self.made.push(Event::Response { peer, id, response });
                }
            }
            rr::Event::OutboundFailure {
                request_id, error, ..
            } => {
                if let Some((peer, id)) = self.requests.ended(request_id) {
                    tracing::debug!(?peer, %error, "a request got no answer");
                    let reason = failure(&error);
                    self.made.push(Event::Failed { peer, id, reason });
                }
            }
            rr::Event::InboundFailure { request_id, .. } => self.requests.lapsed(request_id),
            rr::Event::ResponseSent { .. } => {}
        }
    }

    fn asked(
        &mut self,
        peer: Peer,
        id: rr::InboundRequestId,
        request: Request,
        channel: rr::ResponseChannel<Response>,
    ) {
        if let Some(ticket) = self.requests.asked(id, channel) {
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
