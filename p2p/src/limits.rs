//! Every bound of the network task that is not a rule of the protocol.
//!
//! Limits on messages themselves are `chain::params`. What a stranger can make this crate keep is
//! bounded here. Read by all modules of the crate.

use std::time::Duration;

use chain::params::GOSSIP_BYTES_MAX;

/// Bytes of one gossipsub frame: a message and its envelope (topic and field headers).
pub const GOSSIP_FRAME_BYTES_MAX: usize = GOSSIP_BYTES_MAX + 4 * 1024;
/// Messages waiting to be written to one peer by gossip.
pub const GOSSIP_QUEUE_PER_PEER: usize = 512;
/// Requests under way in both directions on one connection.
pub const STREAMS_PER_CONNECTION: usize = 32;
/// Our requests under way with one peer: half of the streams, so that its own find room.
pub const SENT_PER_PEER: usize = STREAMS_PER_CONNECTION / 2;
/// Requests of peers that wait for an answer of ours, in all.
pub const TICKETS_MAX: usize = 1_024;
/// Seconds until a request without an answer is given up, on both sides.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Answers with the chain spec that one connected stranger gets.
pub const SPECS_PER_PEER: u8 = 4;

/// Connections to one peer: TCP and QUIC, or one dialled from either side.
pub const CONNECTIONS_PER_PEER: u32 = 2;
/// Inbound connections in their handshake.
pub const PENDING_INBOUND_MAX: u32 = 32;
/// Outbound connections in their handshake.
pub const PENDING_OUTBOUND_MAX: u32 = 32;
/// How long dialling and the handshake may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may stay that has not shown that it speaks our protocol. A joiner that
/// fetches the chain spec is such a stranger, and has this long.
pub const PROVE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a peer of another network is kept, so that it too learns why it is dropped.
pub const FOREIGN_LINGER: Duration = Duration::from_millis(500);
/// How long a connection without streams is kept. Peers exchange their status far more often.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(3_600);
/// Streams of one connection, all protocols.
pub const MUXER_STREAMS_MAX: usize = 128;
/// Bytes in flight on one QUIC stream.
pub const QUIC_STREAM_BYTES_MAX: u32 = 1024 * 1024;
/// Bytes in flight on one QUIC connection.
pub const QUIC_CONNECTION_BYTES_MAX: u32 = 4 * 1024 * 1024;

/// Peers remembered as banned; beyond it the ban that ends first is forgotten.
pub const BANS_MAX: usize = 1_024;
/// How long a peer that we disconnected is not let in nor dialled.
pub const BAN_TIME: Duration = Duration::from_secs(60);
/// Peer ids that the operator refuses.
pub const BLOCKED_MAX: usize = 64;
/// Time between two pings on a connection.
pub const PING_INTERVAL: Duration = Duration::from_secs(15);

/// Bootnodes in the configuration.
pub const BOOTNODES_MAX: usize = 64;
/// The first wait before a bootnode is dialled again; it doubles up to [`REDIAL_MAX`].
pub const REDIAL_MIN: Duration = Duration::from_secs(1);
/// The longest wait before a bootnode is dialled again.
pub const REDIAL_MAX: Duration = Duration::from_secs(30);
/// Bytes of an address given as text.
pub const ADDRESS_BYTES_MAX: usize = 512;

/// Time between two looks at deadlines.
pub const TICK: Duration = Duration::from_millis(250);
/// How long the start waits for its listeners.
pub const LISTEN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the end waits for connections to close.
pub const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
/// Characters of a text that a stranger chose, in an event.
pub const TEXT_CHARS_MAX: usize = 64;
/// Characters of a warning.
pub const WARNING_CHARS_MAX: usize = 400;
