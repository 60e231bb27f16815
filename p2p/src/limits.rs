//! Every bound of the network task that is not a rule of the protocol.
//!
//! Limits on messages themselves are `chain::params`. What a stranger can make this crate keep is
//! bounded here. Read by all modules of the crate.

use std::time::Duration;

use chain::params::GOSSIP_BYTES_MAX;

/// Bytes of one gossipsub frame: a message and its envelope (topic and field headers), and the 8 KiB
/// of the next frames that libp2p may have read with it and holds against this limit too.
pub const GOSSIP_FRAME_BYTES_MAX: usize = GOSSIP_BYTES_MAX + 4 * 1024 + 8 * 1024;
/// Messages waiting to be written to one peer by gossip.
pub const GOSSIP_QUEUE_PER_PEER: usize = 512;
/// Requests under way in both directions on one connection.
pub const STREAMS_PER_CONNECTION: usize = 32;
/// Requests of one peer that are under way, from its asking until its answer is written or given
/// up; more are declined. A node in sync asks four times for blocks and once for each other thing.
pub const ASKED_PER_PEER: usize = 8;
/// Our requests under way with one peer: one less than it takes, since we may know first that an
/// answer is here.
pub const SENT_PER_PEER: usize = ASKED_PER_PEER - 1;
/// Requests of peers that are under way, in all.
pub const ASKED_MAX: usize = 512;
/// Bytes of answers to one peer that wait to be written: four with blocks, and room to spare.
pub const ANSWER_BYTES_PER_PEER: usize = 16 * 1024 * 1024;
/// Bytes of answers to all peers that wait to be written.
pub const ANSWER_BYTES_MAX: usize = 128 * 1024 * 1024;
/// How long until a request without an answer is given up, on both sides: as long as the core may wait
/// for the slowest peer.
pub const REQUEST_TIMEOUT: Duration = Duration::from_millis(chain::params::PATIENCE_MAX_MS);
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
/// The first ban of a peer and the longest, in seconds.
pub const BAN_SECS: (u64, u64) = (600, 24 * 60 * 60);
/// The same on a development network, whose peers are its owner's own.
pub const BAN_SECS_DEV: (u64, u64) = (60, 60);
/// Seconds after its end for which a ban still makes the next one longer.
pub const BAN_MEMORY_SECS: u64 = 24 * 60 * 60;
/// Connections beyond the inbound places, for evicted peers that are slow to go.
pub const LEAVING_MAX: u32 = 8;
/// Peer ids that the operator refuses.
pub const BLOCKED_MAX: usize = 64;
/// Peers that are dialled when the operator lets them in again, though enough others were reached:
/// the two sides of a split that has ended must meet.
pub const LIFTED_DIALS_MAX: usize = 4;
/// Time between two pings on a connection.
pub const PING_INTERVAL: Duration = Duration::from_secs(15);

/// Bootnodes in the configuration.
pub const BOOTNODES_MAX: usize = 64;
/// The first wait before a bootnode is dialled again; it doubles up to [`REDIAL_MAX`].
pub const REDIAL_MIN: Duration = Duration::from_secs(1);
/// The longest wait before a bootnode is dialled again.
pub const REDIAL_MAX: Duration = Duration::from_secs(30);
/// Bytes of an address given as text.
pub const ADDRESS_TEXT_BYTES_MAX: usize = 512;

/// Addresses in the book.
pub const BOOK_MAX: usize = 1_024;
/// Addresses in the book that peers from one neighbourhood have told.
pub const BOOK_PER_SOURCE: usize = 64;
/// Addresses of one peer id in the book: TCP and QUIC.
pub const BOOK_PER_PEER: usize = 2;
/// Bytes of the book's file.
pub const BOOK_FILE_BYTES_MAX: u64 = 1024 * 1024;
/// The shortest time between two writings of the book.
pub const BOOK_SAVE_INTERVAL: Duration = Duration::from_secs(30);
/// Seconds for which an address is told to others after its peer was last met there.
pub const BOOK_RECENT_SECS: u64 = 24 * 60 * 60;
/// The longest wait before an address of the book is dialled again, in seconds, without the up
/// to a quarter that is added so that nodes do not dial in step.
pub const BOOK_REDIAL_SECS_MAX: u64 = 600;
/// Attempts in vain, within about twenty minutes, after which an address is forgotten that was
/// told and where nobody was ever reached.
pub const BOOK_HEARSAY_DIALS_MAX: u32 = 10;
/// Time between two peers that are met beyond the wanted number.
pub const FEELER_INTERVAL: Duration = Duration::from_secs(120);
/// Attempts to dial addresses of the book that are under way.
pub const BOOK_DIALS_MAX: usize = 8;
/// The least time between two answers with addresses to one peer.
pub const ADDRESSES_INTERVAL: Duration = Duration::from_secs(600);
/// How long after the first word of a peer it is asked for addresses: its status comes first.
pub const ADDRESSES_DELAY: Duration = Duration::from_secs(1);
/// A connection that has lasted this long ends the back-off of its address.
pub const SETTLED: Duration = Duration::from_secs(60);

/// Time between two looks at deadlines.
pub const TICK: Duration = Duration::from_millis(250);
/// How long the start waits for its listeners.
pub const LISTEN_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the end waits for connections to close.
pub const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
/// Characters of a text that a stranger chose, in an event.
pub const TEXT_CHARS_MAX: usize = 64;
/// Characters of a warning.
pub const WARNING_CHARS_MAX: usize = 400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_as_documented() {
        let text = include_str!("../../docs/network.md").replace(',', "");
        let connections = usize::try_from(CONNECTIONS_PER_PEER).unwrap();
        let pending = usize::try_from(PENDING_INBOUND_MAX).unwrap();
        for (name, value) in [
            ("ASKED_PER_PEER", ASKED_PER_PEER),
            ("ASKED_MAX", ASKED_MAX),
            ("ANSWER_BYTES_PER_PEER", ANSWER_BYTES_PER_PEER),
            ("ANSWER_BYTES_MAX", ANSWER_BYTES_MAX),
            ("STREAMS_PER_CONNECTION", STREAMS_PER_CONNECTION),
            ("MUXER_STREAMS_MAX", MUXER_STREAMS_MAX),
            ("CONNECTIONS_PER_PEER", connections),
            ("PENDING_INBOUND_MAX", pending),
            ("GOSSIP_QUEUE_PER_PEER", GOSSIP_QUEUE_PER_PEER),
            ("BANS_MAX", BANS_MAX),
            ("BOOK_MAX", BOOK_MAX),
            ("BOOK_PER_SOURCE", BOOK_PER_SOURCE),
            ("BOOK_PER_PEER", BOOK_PER_PEER),
            ("SPECS_PER_PEER", usize::from(SPECS_PER_PEER)),
        ] {
            let row = format!("| `{name}` | {value} |");
            assert!(text.contains(&row), "docs/network.md lacks: {row}");
        }
    }
}
