//! What libp2p runs for a node: transports, protocols and limits, put together.
//!
//! TCP with noise and yamux, and QUIC; names are resolved only where dialling them is allowed.
//! Built once by the start.

use std::time::Duration;

use chain::params::PROTOCOL_VERSION;
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, Transport,
    connection_limits::{self, ConnectionLimits},
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, timeout::TransportTimeout},
        upgrade::Version,
    },
    dns, identify,
    identity::Keypair,
    mdns, memory_connection_limits, noise, ping, quic,
    request_response::{self, ProtocolSupport},
    swarm::{
        NetworkBehaviour, behaviour::toggle::Toggle, dial_opts::DialOpts, dial_opts::PeerCondition,
    },
    tcp, yamux,
};

use crate::{
    Config, StartError,
    address::Target,
    bans::Bans,
    codec::{MessageCodec, SpecCodec},
    gate::Gate,
    gossip::{self, Gossipsub, Topics},
    limits::{
        CONNECT_TIMEOUT, CONNECTIONS_PER_PEER, IDLE_TIMEOUT, LEAVING_MAX, MUXER_STREAMS_MAX,
        PENDING_INBOUND_MAX, PENDING_OUTBOUND_MAX, PING_INTERVAL, QUIC_CONNECTION_BYTES_MAX,
        QUIC_STREAM_BYTES_MAX, REQUEST_TIMEOUT, SPECS_PER_PEER, STREAMS_PER_CONNECTION,
    },
    places::Places,
    reach::Reach,
};

/// The protocol that serves the chain spec; the same in all networks.
pub(crate) const SPEC_PROTOCOL: StreamProtocol = StreamProtocol::new("/lignum/spec/1");
/// What the names of all our protocols begin with.
pub(crate) const PREFIX: &str = "/lignum/";

/// All behaviours of a node. The gate comes first, so that it is asked first.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    pub gate: Gate,
    limits: connection_limits::Behaviour,
    memory: memory_connection_limits::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    lan: Toggle<mdns::tokio::Behaviour>,
    pub gossip: Gossipsub,
    pub messages: request_response::Behaviour<MessageCodec>,
    pub spec: request_response::Behaviour<SpecCodec>,
}

/// The protocol between nodes of the network with this tag.
pub(crate) fn network_name(tag: &str) -> String {
    format!("{PREFIX}{tag}/{PROTOCOL_VERSION}")
}

/// A swarm for a node, not yet listening, and warnings.
pub(crate) fn swarm(
    config: &Config,
    topics: &Topics,
) -> Result<(Swarm<Behaviour>, Vec<String>), StartError> {
    let key = config.identity.keypair();
    let name = network_name(&config.tag);
    let protocol = StreamProtocol::try_from_owned(name.clone()).expect("it begins with a slash");
    let version = concat!("lignum/", env!("CARGO_PKG_VERSION"));
    let identify = identify::Config::new(name, key.public())
        .with_agent_version(version.to_string())
        // What peers claim is for the book, which has its own limits.
        .with_cache_size(0);
    let seed = config.identity.seed();
    let places = Places::new(config.max_inbound, config.max_inbound_per_group, seed);
    let (lan, no_lan) = lan(config);
    let behaviour = Behaviour {
        gate: Gate::new(config.reach(), places, Bans::new(config.ban_secs())),
        limits: connection_limits::Behaviour::new(limits(config)),
        memory: memory_connection_limits::Behaviour::with_max_bytes(config.memory_bytes_max),
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::new(ping::Config::new().with_interval(PING_INTERVAL)),
        lan,
        gossip: gossip::behaviour(topics).map_err(StartError::Gossip)?,
        messages: request_response::Behaviour::new(
            [(protocol, ProtocolSupport::Full)],
            requests(REQUEST_TIMEOUT, STREAMS_PER_CONNECTION),
        ),
        spec: spec(ProtocolSupport::Inbound, REQUEST_TIMEOUT),
    };
    let (transport, no_names) = transport(key, !config.loopback_only)?;
    let id = key.public().to_peer_id();
    Ok((
        Swarm::new(transport, behaviour, id, swarm_config()),
        no_names.into_iter().chain(no_lan).collect(),
    ))
}

/// The search for nodes in the local network, where the configuration asks for it. A machine on
/// which that does not work can still dial, so that is no error but the text of a warning.
fn lan(config: &Config) -> (Toggle<mdns::tokio::Behaviour>, Option<String>) {
    if config.reach() != Reach::Lan {
        return (None.into(), None);
    }
    let id = config.identity.keypair().public().to_peer_id();
    match mdns::tokio::Behaviour::new(mdns::Config::default(), id) {
        Ok(lan) => (Some(lan).into(), None),
        Err(error) => {
            let warning = format!("nodes in the local network are not found: {error}");
            (None.into(), Some(warning))
        }
    }
}

/// The protocol for the chain spec, on one side of it.
pub(crate) fn spec(
    side: ProtocolSupport,
    timeout: Duration,
) -> request_response::Behaviour<SpecCodec> {
    let config = requests(timeout, usize::from(SPECS_PER_PEER));
    request_response::Behaviour::new([(SPEC_PROTOCOL, side)], config)
}

/// How any swarm of ours treats its connections.
pub(crate) fn swarm_config() -> libp2p::swarm::Config {
    libp2p::swarm::Config::with_tokio_executor()
        .with_idle_connection_timeout(IDLE_TIMEOUT)
        .with_max_negotiating_inbound_streams(STREAMS_PER_CONNECTION)
}

fn requests(timeout: Duration, streams: usize) -> request_response::Config {
    request_response::Config::default()
        .with_request_timeout(timeout)
        .with_max_concurrent_streams(streams)
}

fn limits(config: &Config) -> ConnectionLimits {
    ConnectionLimits::default()
        .with_max_pending_incoming(Some(PENDING_INBOUND_MAX))
        .with_max_pending_outgoing(Some(PENDING_OUTBOUND_MAX))
        // The gate counts the places; those who leave them need a moment.
        .with_max_established_incoming(Some(config.max_inbound.saturating_add(LEAVING_MAX)))
        .with_max_established_outgoing(Some(config.max_outbound))
        .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER))
}

/// What all connections run over.
type Connections = Boxed<(PeerId, StreamMuxerBox)>;

/// TCP and QUIC, with names where `resolve` allows them. A machine without a resolver can still
/// dial addresses, so that is no error but the text of a warning.
pub(crate) fn transport(
    key: &Keypair,
    resolve: bool,
) -> Result<(Connections, Option<String>), StartError> {
    let timed = |transport| TransportTimeout::new(transport, CONNECT_TIMEOUT).boxed();
    if !resolve {
        return Ok((timed(by_address(key)?), None));
    }
    match dns::tokio::Transport::system(by_address(key)?) {
        Ok(by_name) => Ok((timed(by_name.boxed()), None)),
        Err(error) => {
            let warning = format!("names cannot be dialled, there is no resolver: {error}");
            Ok((timed(by_address(key)?), Some(warning)))
        }
    }
}

fn by_address(key: &Keypair) -> Result<Connections, StartError> {
    let noise =
        noise::Config::new(key).map_err(|error| StartError::Transport(error.to_string()))?;
    let mut yamux = yamux::Config::default();
    yamux.set_max_num_streams(MUXER_STREAMS_MAX);
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux)
        .map(|(id, muxer), _| (id, StreamMuxerBox::new(muxer)));
    let mut config = quic::Config::new(key);
    config.max_stream_data = QUIC_STREAM_BYTES_MAX;
    config.max_connection_data = QUIC_CONNECTION_BYTES_MAX;
    config.max_concurrent_stream_limit = u32::try_from(MUXER_STREAMS_MAX).expect("128 fits");
    let quic =
        quic::tokio::Transport::new(config).map(|(id, muxer), _| (id, StreamMuxerBox::new(muxer)));
    Ok(tcp
        .or_transport(quic)
        .map(|either, _| either.into_inner())
        .boxed())
}

/// How to dial a target. The port is a fresh one: two nodes that dial each other from the ports
/// they listen on meet in one TCP connection where both speak first, and both fail.
pub(crate) fn dial_options(target: Target) -> DialOpts {
    let address: Multiaddr = target.address;
    match target.id {
        Some(id) => DialOpts::peer_id(id)
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .addresses(vec![address])
            .allocate_new_port()
            .build(),
        None => DialOpts::unknown_peer_id()
            .address(address)
            .allocate_new_port()
            .build(),
    }
}

/// An error with its causes: libp2p's own texts leave them out.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let line = error.to_string();
        if !text.contains(&line) {
            text.push_str(": ");
            text.push_str(&line);
        }
        cause = error.source();
    }
    text
}
