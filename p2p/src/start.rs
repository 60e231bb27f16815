//! Starting the network: configuration, listening, and the handle the shell keeps.
//!
//! Everything that can be wrong with a configuration is an error here, before the task runs.

use std::{
    collections::HashSet,
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
    path::PathBuf,
    time::Duration,
};

use chain::params::{NETWORK_QUEUE, SPEC_BYTES_MAX};
use futures::StreamExt;
use libp2p::{Multiaddr, Swarm, core::transport::ListenerId, swarm::SwarmEvent};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};

use crate::{
    Command, Event, Identity, Refused,
    address::{self, AddressError, Socket, Target},
    behaviour::{self, Behaviour, BehaviourEvent},
    book_file,
    clock::unix_secs,
    gossip::Topics,
    limits::{BAN_SECS, BAN_SECS_DEV, BOOTNODES_MAX, FEELER_INTERVAL, LISTEN_TIMEOUT},
    reach::Reach,
    swarm::{Begin, Task},
};

/// What a node is told on start.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node's key.
    pub identity: Identity,
    /// The network: the last 8 hex digits of the genesis hash's text.
    pub tag: String,
    /// The chain spec, given to whoever asks; at most 1 MiB.
    pub spec_json: String,
    /// Multiaddrs to listen on, TCP or QUIC; port 0 lets the system choose.
    pub listen: Vec<String>,
    /// Whom to dial and to dial again: `HOST:PORT` (TCP), `[V6]:PORT`, names, or multiaddrs with
    /// or without `/p2p/ID`. At most 64.
    pub bootnodes: Vec<String>,
    /// For development networks: neither listen, dial nor let in beyond this machine.
    pub loopback_only: bool,
    /// Lets a development network out of this machine: private addresses are listened on, dialled
    /// and let in too, never public ones, and nodes in the local network are found by mDNS.
    /// Without `loopback_only` it changes nothing.
    pub lan: bool,
    /// The file in which the addresses of peers, and bans, outlive the run; nothing to forget them.
    pub book: Option<PathBuf>,
    /// How long the first ban of a peer lasts, and the longest, in seconds. Nothing for 10 minutes
    /// doubling up to a day, and a minute each time with `loopback_only`.
    pub ban_secs: Option<(u64, u64)>,
    /// Bootnodes and known peers are dialled while fewer peers than this have been reached by us.
    pub wanted_peers: usize,
    /// Time between two peers that are met beyond the wanted number, each in the other's place.
    pub feeler: Duration,
    /// Inbound connections at a time.
    pub max_inbound: u32,
    /// Outbound connections at a time.
    pub max_outbound: u32,
    /// Inbound connections from one /24 or /48; this machine's own are not counted.
    pub max_inbound_per_group: usize,
    /// No new connections while the process holds more memory than this.
    pub memory_bytes_max: usize,
}

impl Config {
    /// A node on this machine alone, on ports of the system's choice, without bootnodes.
    pub fn new(identity: Identity, tag: String, spec_json: String) -> Self {
        Self {
            identity,
            tag,
            spec_json,
            listen: address::listen_addresses(std::net::Ipv4Addr::LOCALHOST.into(), 0),
            bootnodes: Vec::new(),
            loopback_only: true,
            lan: false,
            book: None,
            ban_secs: None,
            wanted_peers: 8,
            feeler: FEELER_INTERVAL,
            max_inbound: 48,
            max_outbound: 16,
            max_inbound_per_group: 8,
            memory_bytes_max: 4 << 30,
        }
    }

    /// How far the network may reach.
    pub(crate) fn reach(&self) -> Reach {
        match (self.loopback_only, self.lan) {
            (false, _) => Reach::World,
            (true, true) => Reach::Lan,
            (true, false) => Reach::Machine,
        }
    }

    /// The first ban of a peer and the longest.
    pub(crate) fn ban_secs(&self) -> (u64, u64) {
        let usual = if self.loopback_only {
            BAN_SECS_DEV
        } else {
            BAN_SECS
        };
        self.ban_secs.unwrap_or(usual)
    }
}

/// Why the network did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The tag is not 8 hex digits.
    #[error("a network's tag is 8 lower-case hex digits, got {0:?}")]
    Tag(String),
    /// The spec is too long to be served.
    #[error("a chain spec has at most {SPEC_BYTES_MAX} bytes, got {0}")]
    Spec(usize),
    /// An address in the configuration is wrong.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// More bootnodes than are ever needed.
    #[error("at most {BOOTNODES_MAX} bootnodes, got {0}")]
    Bootnodes(usize),
    /// The port is in use, by another program or another node.
    #[error("{address} is in use")]
    AddressTaken {
        /// The address.
        address: String,
    },
    /// Listening failed otherwise.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        reason: String,
    },
    /// The encrypted transports could not be set up.
    #[error("cannot set up the transports: {0}")]
    Transport(String),
    /// Gossip could not be set up.
    #[error("cannot set up gossip: {0}")]
    Gossip(String),
}

/// The running network. Dropping it ends the task; [`Handle::shutdown`] also waits for the end.
#[derive(Debug)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    peer_id: String,
    addresses: Vec<String>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Handle {
    /// Gives a command without waiting. What is refused is lost.
    pub fn send(&self, command: Command) -> Result<(), Refused> {
        self.commands
            .try_send(command)
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => Refused::Full,
                mpsc::error::TrySendError::Closed(_) => Refused::Ended,
            })
    }

    /// A sender of commands of its own. It does not keep the task alive.
    pub fn commands(&self) -> mpsc::Sender<Command> {
        self.commands.clone()
    }

    /// This node's peer id.
    pub fn peer_id(&self) -> &str {
        &self.peer_id
    }

    /// The addresses listened on, with their real ports, as multiaddrs without the peer id.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// Closes listeners and connections and waits until the task has ended.
    pub async fn shutdown(self) {
        drop(self.stop);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the network task ended badly");
        }
    }
}

/// What the swarm reports.
pub(crate) type Report = SwarmEvent<BehaviourEvent>;

/// Listens, and starts the task on the current tokio runtime. Events go to `events`; when that
/// queue is full the task waits, but drops gossiped transactions.
pub async fn start(config: Config, events: mpsc::Sender<Event>) -> Result<Handle, StartError> {
    check(&config)?;
    let bootnodes = bootnodes(&config)?;
    let topics = Topics::new(&behaviour::network_name(&config.tag));
    let (mut swarm, mut warnings) = behaviour::swarm(&config, &topics)?;
    let (listeners, addresses, early) = listen(&mut swarm, &config).await?;
    let (commands, inbox) = mpsc::channel(NETWORK_QUEUE);
    let (stop, stopped) = oneshot::channel();
    let peer_id = swarm.local_peer_id().to_string();
    let (saved, damage) = config
        .book
        .as_deref()
        .map(book_file::load)
        .unwrap_or_default();
    warnings.extend(damage);
    let gate = &mut swarm.behaviour_mut().gate;
    gate.bans.restore(saved.bans, unix_secs());
    let task = Task::new(swarm, topics, &config, (events, inbox, stopped));
    let task = tokio::spawn(task.run(Begin {
        bootnodes,
        listeners,
        early,
        warnings,
        known: saved.entries,
    }));
    Ok(Handle {
        commands,
        peer_id,
        addresses,
        stop,
        task,
    })
}

fn check(config: &Config) -> Result<(), StartError> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if config.tag.len() != 8 || !config.tag.bytes().all(is_digit) {
        return Err(StartError::Tag(config.tag.chars().take(80).collect()));
    }
    if config.spec_json.len() > SPEC_BYTES_MAX {
        return Err(StartError::Spec(config.spec_json.len()));
    }
    Ok(())
}

fn bootnodes(config: &Config) -> Result<Vec<Target>, StartError> {
    if config.bootnodes.len() > BOOTNODES_MAX {
        return Err(StartError::Bootnodes(config.bootnodes.len()));
    }
    let targets = config
        .bootnodes
        .iter()
        .map(|text| address::parse(text, config.reach()));
    Ok(targets.collect::<Result<_, _>>()?)
}

/// Listens on every address and waits until each is bound. What else the swarm reports meanwhile
/// is kept for the task.
async fn listen(
    swarm: &mut Swarm<Behaviour>,
    config: &Config,
) -> Result<(Vec<ListenerId>, Vec<String>, Vec<Report>), StartError> {
    let mut listeners = Vec::new();
    for text in &config.listen {
        let address = address::parse_listen(text, config.reach())?;
        let failed = |reason: String| StartError::Listen {
            address: text.clone(),
            reason,
        };
        let socket = address::socket(&address);
        let socket = socket.ok_or_else(|| AddressError::Unsupported(text.clone()))?;
        probe(socket, text)?;
        let listener = swarm
            .listen_on(address)
            .map_err(|error| failed(error.to_string()))?;
        listeners.push(listener);
    }
    let mut waiting: HashSet<ListenerId> = listeners.iter().copied().collect();
    let (mut addresses, mut early) = (Vec::new(), Vec::new());
    while !waiting.is_empty() {
        let failed = |reason: &dyn ToString| StartError::Listen {
            address: config.listen.join(", "),
            reason: reason.to_string(),
        };
        let report = timeout(LISTEN_TIMEOUT, swarm.select_next_some()).await;
        match report.map_err(|_| failed(&"not bound in time"))? {
            SwarmEvent::NewListenAddr {
                listener_id,
                address,
            } => {
                waiting.remove(&listener_id);
                addresses.push(bound(&address));
            }
            SwarmEvent::ListenerClosed {
                reason: Err(error), ..
            } => return Err(failed(&error)),
            other => early.push(other),
        }
    }
    Ok((listeners, addresses, early))
}

fn bound(address: &Multiaddr) -> String {
    tracing::info!(%address, "listening");
    address.to_string()
}

/// Binds the socket as any program would and lets go of it. libp2p shares its TCP ports with
/// other sockets of the same user, so that a second node on the same port would start without an
/// error and take half of the first one's connections.
fn probe(socket: Socket, text: &str) -> Result<(), StartError> {
    let try_tcp = |address: SocketAddr| TcpListener::bind(address).map(drop);
    let try_udp = |address: SocketAddr| UdpSocket::bind(address).map(drop);
    let tried = match socket {
        Socket::Tcp(address) if address.port() != 0 => try_tcp(address),
        Socket::Udp(address) if address.port() != 0 => try_udp(address),
        Socket::Tcp(_) | Socket::Udp(_) => Ok(()),
    };
    tried.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => StartError::AddressTaken {
            address: text.to_string(),
        },
        _ => StartError::Listen {
            address: text.to_string(),
            reason: error.to_string(),
        },
    })
}
