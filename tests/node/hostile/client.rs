//! A peer of a real node that keeps to no rule but libp2p's, so that the node takes it for a peer.
//!
//! Runs in a thread of its own until it is dropped. A closure answers what the node asks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use chain::{Gossip, Request, Response, hash::sha256, params::PROTOCOL_VERSION};
use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder,
    gossipsub::{self, IdentTopic, MessageAuthenticity, ValidationMode},
    identify,
    identity::Keypair,
    noise,
    request_response::{self as rr, OutboundRequestId, ProtocolSupport},
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use tokio::sync::mpsc as queue;

use super::wire::{Answer, Ask, Raw};
use crate::harness::{PATIENCE, wait_for};

/// More than any node allows: what is sent here is the node's to refuse.
const STREAMS: usize = 4_000;
const FRAME_BYTES_MAX: usize = 16 << 20;
const LINGER: Duration = Duration::from_secs(600);

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    gossip: gossipsub::Behaviour,
    messages: rr::Behaviour<Raw>,
    /// Gossip's own protocol, as bare streams.
    bare_gossip: rr::Behaviour<Raw>,
}

/// What the client's thread is told.
enum Order {
    Ask(Ask, Option<mpsc::Sender<Vec<u8>>>),
    Gossip(IdentTopic, Vec<u8>),
    BareGossip(Vec<u8>),
}

/// What has happened so far.
#[derive(Default)]
struct Seen {
    connected: AtomicBool,
    closed: AtomicBool,
    subscriptions: AtomicUsize,
    requests: AtomicUsize,
    answers: AtomicUsize,
    published: AtomicUsize,
}

/// A hostile peer, connected.
pub struct Client {
    topics: [IdentTopic; 2],
    orders: Option<queue::UnboundedSender<Order>>,
    seen: Arc<Seen>,
    thread: Option<JoinHandle<()>>,
}

impl Client {
    /// Connects to the node that listens at `address`, in the network of this tag, and waits until
    /// the node takes it for a peer.
    pub fn connect(
        address: &str,
        tag: &str,
        answer: impl FnMut(Request) -> Answer + Send + 'static,
    ) -> Self {
        let network = format!("/lignum/{tag}/{PROTOCOL_VERSION}");
        let address: Multiaddr = address.parse().unwrap();
        let topic = |kind| IdentTopic::new(format!("{network}/{kind}"));
        let topics = [topic("blocks"), topic("transactions")];
        let (orders, inbox) = queue::unbounded_channel();
        let seen = Arc::new(Seen::default());
        let running = (network, topics.clone(), Arc::clone(&seen));
        let thread = thread::spawn(move || run(address, running, inbox, answer));
        let client = Self {
            topics,
            orders: Some(orders),
            seen,
            thread: Some(thread),
        };
        wait_for("a connection", || {
            client.seen.connected.load(Relaxed) || client.was_dropped()
        });
        client
    }

    /// Waits until the node asks it something and gossips with it.
    pub fn accepted(self) -> Self {
        wait_for("a node that takes this for a peer", || {
            let (asked, topics) = (self.requests() > 0, self.seen.subscriptions.load(Relaxed));
            (asked && topics >= 2) || self.was_dropped()
        });
        self
    }

    /// Asks; what comes is waited for: nothing if the stream failed.
    pub fn ask(&self, ask: Ask) -> Vec<u8> {
        let (sender, answer) = mpsc::channel();
        self.order(Order::Ask(ask, Some(sender)));
        answer.recv_timeout(PATIENCE).unwrap_or_default()
    }

    /// Asks as an honest node does; nothing but an answer of the protocol will do.
    pub fn request(&self, request: &Request) -> Response {
        let bytes = self.ask(request.into());
        Response::decode(bytes.get(4..).unwrap_or_default()).unwrap()
    }

    /// Asks without waiting.
    pub fn send(&self, ask: Ask) {
        self.order(Order::Ask(ask, None));
    }

    /// Publishes a message of the protocol.
    pub fn gossip(&self, message: &Gossip) {
        match message {
            Gossip::Block(_) => self.gossip_block(message.encode()),
            Gossip::Transaction(_) => self.gossip_transaction(message.encode()),
        }
    }

    /// Publishes bytes on the topic of blocks.
    pub fn gossip_block(&self, bytes: Vec<u8>) {
        self.order(Order::Gossip(self.topics[0].clone(), bytes));
    }

    /// Publishes bytes on the topic of transactions.
    pub fn gossip_transaction(&self, bytes: Vec<u8>) {
        self.order(Order::Gossip(self.topics[1].clone(), bytes));
    }

    /// Opens a stream of gossip's own protocol, writes bytes and leaves it open.
    pub fn bare_gossip(&self, bytes: Vec<u8>) {
        self.order(Order::BareGossip(bytes));
    }

    /// Whether the node has closed the connection.
    pub fn was_dropped(&self) -> bool {
        let has_ended = self.thread.as_ref().is_some_and(JoinHandle::is_finished);
        has_ended || self.seen.closed.load(Relaxed)
    }

    /// Requests that the node has sent.
    pub fn requests(&self) -> usize {
        self.seen.requests.load(Relaxed)
    }

    /// Requests of this client that have ended, well or not.
    pub fn answers(&self) -> usize {
        self.seen.answers.load(Relaxed)
    }

    /// Messages handed to gossip.
    pub fn published(&self) -> usize {
        self.seen.published.load(Relaxed)
    }

    fn order(&self, order: Order) {
        // The thread is gone once the node has closed the connection.
        let _ = self.orders.as_ref().unwrap().send(order);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.orders.take());
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(
            thread::panicking() || ended.is_none_or(|ended| ended.is_ok()),
            "a hostile client failed"
        );
    }
}

type Network = (String, [IdentTopic; 2], Arc<Seen>);

fn run(
    address: Multiaddr,
    (network, topics, seen): Network,
    orders: queue::UnboundedReceiver<Order>,
    answer: impl FnMut(Request) -> Answer,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut swarm = swarm(&network, &topics);
        swarm.dial(address).unwrap();
        let attack = Attack {
            swarm,
            seen: &seen,
            node: None,
            asked: Vec::new(),
            answer,
        };
        attack.run(orders).await;
    });
    seen.closed.store(true, Relaxed);
}

fn swarm(network: &str, topics: &[IdentTopic]) -> Swarm<Behaviour> {
    let key = Keypair::generate_ed25519();
    let raw = |name: String, side| {
        let config = rr::Config::default()
            .with_request_timeout(LINGER)
            .with_max_concurrent_streams(STREAMS);
        let name = StreamProtocol::try_from_owned(name).unwrap();
        rr::Behaviour::<Raw>::new([(name, side)], config)
    };
    let config = gossipsub::ConfigBuilder::default()
        .validation_mode(ValidationMode::Anonymous)
        .message_id_fn(|message| sha256(&message.data).to_vec().into())
        .max_transmit_size(FRAME_BYTES_MAX)
        .connection_handler_queue_len(STREAMS)
        .publish_queue_duration(LINGER)
        .build()
        .unwrap();
    let mut gossip = gossipsub::Behaviour::new(MessageAuthenticity::Anonymous, config).unwrap();
    for topic in topics {
        gossip.subscribe(topic).unwrap();
    }
    let behaviour = Behaviour {
        identify: identify::Behaviour::new(identify::Config::new(network.into(), key.public())),
        gossip,
        messages: raw(network.into(), ProtocolSupport::Full),
        bare_gossip: raw("/meshsub/1.1.0".into(), ProtocolSupport::Outbound),
    };
    SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, || {
            let mut config = yamux::Config::default();
            config.set_max_num_streams(STREAMS);
            config
        })
        .unwrap()
        .with_behaviour(|_| behaviour)
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(LINGER))
        .build()
}

/// The client's thread.
struct Attack<'a, F> {
    swarm: Swarm<Behaviour>,
    seen: &'a Seen,
    node: Option<PeerId>,
    asked: Vec<(OutboundRequestId, mpsc::Sender<Vec<u8>>)>,
    answer: F,
}

impl<F: FnMut(Request) -> Answer> Attack<'_, F> {
    /// Runs until the node closes the connection or the test has had enough.
    async fn run(mut self, mut orders: queue::UnboundedReceiver<Order>) {
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => match event {
                    SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                        self.node = Some(peer_id);
                        self.seen.connected.store(true, Relaxed);
                    }
                    SwarmEvent::ConnectionClosed { .. }
                    | SwarmEvent::OutgoingConnectionError { .. } => return,
                    SwarmEvent::Behaviour(event) => self.behaviour(event),
                    _ => {}
                },
                order = orders.recv(), if self.node.is_some() => match order {
                    Some(order) => self.carry_out(order),
                    None => return,
                },
            }
        }
    }

    fn carry_out(&mut self, order: Order) {
        let Some(node) = self.node else { return };
        let behaviour = self.swarm.behaviour_mut();
        match order {
            Order::Ask(ask, reply) => {
                let id = behaviour.messages.send_request(&node, ask);
                self.asked.extend(reply.map(|reply| (id, reply)));
            }
            Order::Gossip(topic, bytes) => match behaviour.gossip.publish(topic, bytes) {
                Ok(_) => drop(self.seen.published.fetch_add(1, Relaxed)),
                Err(error) => eprintln!("not published: {error}"),
            },
            Order::BareGossip(bytes) => {
                let ask = Ask::Unfinished(bytes);
                behaviour.bare_gossip.send_request(&node, ask);
            }
        }
    }

    fn behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Gossip(gossipsub::Event::Subscribed { .. }) => {
                self.seen.subscriptions.fetch_add(1, Relaxed);
            }
            BehaviourEvent::Messages(rr::Event::Message { message, .. }) => match message {
                rr::Message::Request {
                    request: Ask::Read(bytes),
                    channel,
                    ..
                } => {
                    let answer = (self.answer)(Request::decode(&bytes).unwrap());
                    self.seen.requests.fetch_add(1, Relaxed);
                    // The error means that the node has given the request up.
                    let messages = &mut self.swarm.behaviour_mut().messages;
                    let _ = messages.send_response(channel, answer);
                }
                rr::Message::Response {
                    request_id,
                    response: Answer::Bytes(bytes),
                } => self.answered(request_id, bytes),
                _ => {}
            },
            BehaviourEvent::Messages(rr::Event::OutboundFailure { request_id, .. }) => {
                self.answered(request_id, Vec::new());
            }
            _ => {}
        }
    }

    fn answered(&mut self, id: OutboundRequestId, bytes: Vec<u8>) {
        self.seen.answers.fetch_add(1, Relaxed);
        if let Some(at) = self.asked.iter().position(|(asked, _)| *asked == id) {
            // Whoever asked may have lost patience.
            let _ = self.asked.swap_remove(at).1.send(bytes);
        }
    }
}
