//! Between the network and the core: bytes have become messages, here they become inputs.
//!
//! Each message is checked on rayon's threads before the core sees it, bounded by bytes; the
//! core's outgoing messages become commands. Runs as one task.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use chain::{
    ChainSpec, Fault, Gossip, Input, Peer, Request, Response, Ticket, params::PEERS_MAX, sync,
};
use p2p::{Command, Event, Failure, GossipToken};
use tokio::sync::{
    Semaphore,
    mpsc::{self, error::TrySendError},
    watch,
};
use tracing::{debug, info, warn};

use super::{
    check::Senders,
    core::{Message, Outgoing},
    delay::Delayed,
    gate::Gate,
    inputs,
    metrics::Metrics,
    peers::Introduction,
    view::View,
};

/// KiB of messages from the wire that are being checked or wait for the core. In memory a checked
/// block takes several times its bytes.
const CHECKS_KIB_MAX: u32 = 8 * 1024;
/// KiB that a small message counts.
const CHECK_KIB_MIN: u32 = 64;

/// What the bridge is given.
pub struct Bridge {
    /// The network's parameters.
    pub spec: Arc<ChainSpec>,
    /// To the core.
    pub inbox: mpsc::Sender<Message>,
    /// From the core.
    pub outgoing: mpsc::Receiver<Outgoing>,
    /// From the network.
    pub events: Delayed,
    /// To the network.
    pub network: mpsc::Sender<Command>,
    /// For answers to peers, and for what the pool knows.
    pub views: watch::Receiver<Arc<View>>,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

/// The bridge and the requests that are under way.
struct Running {
    bridge: Bridge,
    requests: BTreeMap<u64, Request>,
    next_request: u64,
    checks: Arc<Semaphore>,
    /// Disconnections that found the network's queue full: no hostile peer may stay for that.
    unsent: VecDeque<Command>,
}

impl Bridge {
    /// Runs until the core or the network is gone.
    pub async fn run(self) {
        let checks = Arc::new(Semaphore::new(CHECKS_KIB_MAX as usize));
        let mut running = Running {
            bridge: self,
            requests: BTreeMap::new(),
            next_request: 0,
            checks,
            unsent: VecDeque::new(),
        };
        loop {
            running.send_unsent();
            let goes_on = tokio::select! {
                event = running.bridge.events.next() => match event {
                    Some(event) => running.take_event(event).await,
                    None => false,
                },
                outgoing = running.bridge.outgoing.recv() => match outgoing {
                    Some(outgoing) => { running.take_outgoing(outgoing).await; true }
                    None => false,
                },
            };
            if !goes_on {
                return;
            }
        }
    }
}

impl Running {
    /// `false` when the core is gone.
    async fn take_event(&mut self, event: Event) -> bool {
        match event {
            Event::Connected {
                peer,
                id,
                address,
                inbound,
            } => return self.connected(peer, id, address, inbound).await,
            Event::Disconnected { peer } => {
                info!(peer = peer.0, "disconnected");
                return self.input(Input::Disconnected(peer)).await;
            }
            Event::Gossip {
                peer,
                token,
                message,
            } => self.take_gossip(peer, token, message).await,
            Event::Request {
                peer,
                ticket,
                request,
            } => {
                let (from, ticket) = (peer, Ticket(ticket));
                let asked = Input::Request {
                    from,
                    ticket,
                    request,
                };
                return self.input(asked).await;
            }
            Event::Response { peer, id, response } => {
                if let Some(request) = self.requests.remove(&id) {
                    self.take_response(peer, request, response).await;
                }
            }
            Event::Failed { peer, id, reason } => {
                debug!(peer = peer.0, "a request failed: {reason}");
                if let Some(request) = self.requests.remove(&id) {
                    return self.take_failure(peer, request, reason).await;
                }
            }
            Event::Malformed { peer } => return self.malformed(peer).await,
            Event::WrongNetwork {
                id,
                address,
                theirs,
            } => {
                warn!(
                    id,
                    address, theirs, "refused a peer of another network: its genesis differs"
                );
            }
            Event::Ping { peer, rtt } => {
                return self.message(Message::Ping { peer, rtt }).await;
            }
            Event::Warning(text) => warn!("{text}"),
        }
        true
    }

    async fn connected(&self, peer: Peer, id: String, address: String, inbound: bool) -> bool {
        info!(peer = peer.0, id, address, inbound, "connected");
        let (id, address) = (id.into(), address.into());
        let introduction = Introduction {
            peer,
            id,
            address,
            inbound,
        };
        self.message(Message::Connected(introduction)).await
    }

    /// `false` when the core is gone.
    async fn message(&self, message: Message) -> bool {
        self.bridge.inbox.send(message).await.is_ok()
    }

    async fn input(&self, input: Input) -> bool {
        self.message(Message::Input(input)).await
    }

    /// A peer has sent something that is no message.
    async fn malformed(&self, from: Peer) -> bool {
        let (hash, fault) = (None, Fault::Malformed);
        let refused = Input::Refused { from, hash, fault };
        self.input(refused).await
    }

    /// A request without an answer is over. An unreadable answer is its sender's fault, and so is
    /// silence; that a request did not arrive or was declined is not.
    async fn take_failure(&self, peer: Peer, request: Request, reason: Failure) -> bool {
        let from = peer;
        let input = match reason {
            Failure::Malformed => {
                self.malformed(peer).await;
                Input::Answered { from, request }
            }
            Failure::Unsupported => Input::Answered { from, request },
            Failure::Timeout => Input::Unanswered { from, request },
            Failure::Declined | Failure::Closed | Failure::Busy => {
                Input::Unserved { to: peer, request }
            }
        };
        self.input(input).await
    }

    /// Runs a check on rayon's threads and hands what it gives to the core. A message takes room
    /// by its bytes until the core has taken it, so that a flood waits in its sender's memory.
    async fn check(
        &self,
        bytes: usize,
        token: Option<GossipToken>,
        check: impl FnOnce(&ChainSpec, &Senders, &Gate) -> Vec<Input> + Send + 'static,
    ) {
        let kib = u32::try_from(bytes / 1024).unwrap_or(u32::MAX);
        let kib = kib.clamp(CHECK_KIB_MIN, CHECKS_KIB_MAX);
        let Ok(room) = Arc::clone(&self.checks).acquire_many_owned(kib).await else {
            return;
        };
        let (spec, inbox) = (Arc::clone(&self.bridge.spec), self.bridge.inbox.clone());
        let view = Arc::clone(&self.bridge.views.borrow());
        let senders = Senders::of(&view.api.pool, &self.bridge.metrics.senders);
        let gate = Gate::of(&view);
        rayon::spawn(move || {
            let inputs = check(&spec, &senders, &gate);
            let checked = Message::Checked {
                inputs,
                token,
                room,
            };
            // The core is gone when the node stops.
            let _ = inbox.blocking_send(checked);
        });
    }

    async fn take_gossip(&self, peer: Peer, token: GossipToken, message: Gossip) {
        let bytes = inputs::gossip_bytes(&message);
        let input = move |spec: &ChainSpec, senders: &Senders, gate: &Gate| {
            vec![inputs::of_gossip(peer, message, spec, senders, gate)]
        };
        self.check(bytes, Some(token), input).await;
    }

    async fn take_response(&self, peer: Peer, request: Request, response: Response) {
        let bytes = inputs::response_bytes(&response);
        let inputs = move |spec: &ChainSpec, senders: &Senders, _: &Gate| {
            inputs::of_response(peer, request, response, spec, senders)
        };
        self.check(bytes, None, inputs).await;
    }

    async fn take_outgoing(&mut self, outgoing: Outgoing) {
        match outgoing {
            Outgoing::Send { to, request } => {
                self.next_request += 1;
                let id = self.next_request;
                let command = Command::Send {
                    peer: to,
                    id,
                    request: request.clone(),
                };
                if self.bridge.network.try_send(command).is_ok() {
                    self.requests.insert(id, request);
                } else {
                    self.input(Input::Unserved { to, request }).await;
                }
            }
            Outgoing::Serve { ticket, request } => self.serve(ticket, request),
            Outgoing::Decline { ticket } => {
                self.command(Command::Decline { ticket: ticket.0 });
            }
            Outgoing::Publish(gossip) => self.command(Command::Publish(gossip)),
            Outgoing::Verdict { token, verdict } => {
                self.command(Command::Verdict { token, verdict });
            }
            Outgoing::Disconnect { peer, fault } => {
                self.command(Command::Disconnect { peer, fault });
            }
        }
    }

    /// A command that finds the queue full is dropped: gossip repeats itself, requests time out.
    /// Disconnections are kept until there is room.
    fn command(&mut self, command: Command) {
        let Err(TrySendError::Full(command)) = self.bridge.network.try_send(command) else {
            return;
        };
        match command {
            Command::Disconnect { .. } if self.unsent.len() < PEERS_MAX => {
                self.unsent.push_back(command);
            }
            _ => debug!("the network's queue is full; a message is dropped"),
        }
    }

    /// Sends what is kept, as far as there is room.
    fn send_unsent(&mut self) {
        for command in std::mem::take(&mut self.unsent) {
            self.command(command);
        }
    }

    /// Reads the answer from the latest view, off this task.
    fn serve(&self, ticket: Ticket, request: Request) {
        let view = Arc::clone(&self.bridge.views.borrow());
        let network = self.bridge.network.clone();
        rayon::spawn(move || {
            let command = match sync::serve(&request, &view.status, &view.api.pool, view.reader()) {
                Ok(response) => Command::Respond {
                    ticket: ticket.0,
                    response,
                },
                Err(error) => {
                    warn!("cannot answer a peer: {error}");
                    Command::Decline { ticket: ticket.0 }
                }
            };
            // A full queue drops the answer; the peer asks again.
            let _ = network.try_send(command);
        });
    }
}
