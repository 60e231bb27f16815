//! Every limit and constant of the protocol and of what peers may make us keep.
//!
//! Invariant: a queue, cache, message or loop over remote data takes its bound from here.

/// Version of the wire protocol and of the chain, part of protocol names.
pub const PROTOCOL_VERSION: u32 = 1;

/// The header's version field without the bits a miner may roll (Rule H2).
pub const HEADER_VERSION: u32 = 0x2000_0000;
/// The bits of the version field that a miner may roll (BIP 320).
pub const VERSION_ROLL_MASK: u32 = 0x1fff_e000;
/// Bytes of the proof-of-work part of a header.
pub const HEADER_BYTES: usize = 80;
/// Bytes of an extension of version 1.
pub const EXTENSION_BYTES: usize = 276;
/// Bytes of a header on the wire: 80, a u16 length, the extension.
pub const HEADER_WIRE_BYTES: usize = HEADER_BYTES + 2 + EXTENSION_BYTES;

/// The furthest a block's time may lie ahead of ours, in seconds, whatever the spec (Rule H5).
pub const FUTURE_SECS_MAX: u64 = 7_200;
/// Bytes of one transaction's encoding (Rule T1).
pub const TRANSACTION_BYTES_MAX: usize = 128 * 1024;
/// Bytes that a decoded transaction takes in memory beside its encoding, about.
pub const TRANSACTION_MEMORY_BYTES: usize = 640;
/// Gas of one transaction (Rule T7, EIP-7825).
pub const TRANSACTION_GAS_MAX: u64 = 16_777_216;
/// Bytes of contract creation code (Rule T7, EIP-3860).
pub const INITCODE_BYTES_MAX: usize = 49_152;
/// A spec with larger blocks is refused.
pub const SPEC_BLOCK_BYTES_MAX: u32 = 2 * 1024 * 1024;
/// A spec with more gas in a block is refused.
pub const SPEC_GAS_LIMIT_MAX: u64 = 300_000_000;
/// A spec with less gas in a block is refused: no transfer would fit.
pub const SPEC_GAS_LIMIT_MIN: u64 = 21_000;
/// Bytes of a chain spec file, on disk or from a peer.
pub const SPEC_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a body without transactions: their count.
pub const EMPTY_BODY_BYTES: u32 = 8;
/// Smallest encoding of a transaction in a body: its length and one byte.
pub const BODY_ITEM_BYTES_MIN: usize = 9;

/// A reorganisation deeper than this raises an alarm (Rule F3 sets no limit).
pub const REORG_ALARM_DEPTH: u64 = 6;
/// Ancestors that BLOCKHASH reaches.
pub const BLOCKHASH_WINDOW: u64 = 256;
/// A gossiped block is forwarded if its work is at most this many head blocks behind the head.
pub const RELAY_DEPTH: u64 = 6;

/// Blocks after which the store's flat state follows in the background: each account is then
/// written once for all of them, and a start has no more than a few times as many to redo.
pub const CHECKPOINT_BLOCKS: usize = 64;
/// Blocks at the head that a checkpoint leaves out, so that an ordinary reorg undoes nothing that
/// is on the disk.
pub const CHECKPOINT_LAG: usize = 8;
/// State versions kept in memory below the head, in blocks.
pub const STATE_WINDOW: u64 = 128;
/// Bytes of memory for checked bodies until they are executed.
pub const READY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Blocks remembered that are to be announced by us.
pub const UNANNOUNCED_MAX: usize = 1_024;
/// Orphans kept for one peer.
pub const ORPHANS_PER_PEER: usize = 64;
/// Orphans kept in all.
pub const ORPHANS_MAX: usize = 1_024;
/// Bytes of memory for orphans in all.
pub const ORPHAN_BYTES_MAX: usize = 32 * 1024 * 1024;
/// An unsolicited orphan must stand for this fraction (one in …) of the head block's own work.
pub const ORPHAN_WORK_DIVISOR: u64 = 256;
/// Blocks ahead of their time that are kept aside (Rule H5).
pub const EARLY_MAX: usize = 64;
/// Bytes of memory for early blocks in all, as for orphans.
pub const EARLY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Headers and blocks of peers are kept if their chain work is at most this many head blocks
/// below the head's.
pub const UNSOLICITED_DEPTH: u64 = 144;
/// Unexecuted bodies off the path to a candidate that one peer may make us store, in bytes.
pub const SIDE_BYTES_PER_PEER: u64 = 32 * 1024 * 1024;
/// The same for all peers together.
pub const SIDE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Headers in one answer.
pub const HEADERS_MAX: usize = 1_024;
/// Headers of a chain that a peer shows before the chain has enough work: one bit is kept of every
/// so many of them.
pub const PRESYNC_INTERVAL: u64 = 64;
/// Headers that a chain may have which is shown first and delivered later; its bits take 32 KiB.
pub const PRESYNC_HEADERS_MAX: u64 = 16 * 1024 * 1024;
/// Hashes in one locator: 10 dense ones and one for each power of two.
pub const LOCATOR_MAX: usize = 64;
/// Blocks asked for in one request.
pub const BLOCKS_MAX: usize = 32;
/// Bytes of blocks in one answer; at least one block is always sent.
pub const BLOCKS_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Transactions asked for in one request.
pub const TRANSACTIONS_MAX: usize = 256;
/// Addresses of peers in one answer.
pub const PEER_ADDRESSES_MAX: usize = 64;
/// Bytes of one address of a peer: an IPv6 address, a port, QUIC and a peer id take 67.
pub const PEER_ADDRESS_BYTES_MAX: usize = 128;
/// Bytes of one encoded request.
pub const REQUEST_BYTES_MAX: usize = 16 * 1024;
/// Bytes of one encoded answer.
pub const RESPONSE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of one gossip message: the largest block and its header.
pub const GOSSIP_BYTES_MAX: usize = SPEC_BLOCK_BYTES_MAX as usize + 1_024;

/// Blocks ahead of the first missing one that are asked for at a time.
pub const DOWNLOAD_WINDOW: usize = 256;
/// Requests for blocks under way with one peer.
pub const REQUESTS_PER_PEER: usize = 4;
/// Blocks in one of our own requests, of a peer that has not stalled.
pub const BLOCKS_PER_REQUEST: usize = BLOCKS_MAX / 2;
/// Milliseconds that a peer may owe us an answer before it has shown how quick it is.
pub const PATIENCE_MIN_MS: u64 = 2_000;
/// Milliseconds that the slowest peer may owe us an answer.
pub const PATIENCE_MAX_MS: u64 = 64_000;
/// Milliseconds in which a peer that let us wait is not asked for blocks.
pub const STALL_REST_MS: u64 = 10_000;
/// Milliseconds in which a peer is not asked again after it declined, or our own queue was full.
pub const UNSERVED_REST_MS: u64 = 2_000;
/// Milliseconds between two ticks; what is more was a sleep or work of ours, in which nobody let
/// us wait.
pub const TICK_GAP_MS: u64 = 1_000;
/// Milliseconds between two ticks after which all peers are asked at once where they stand.
pub const CLOCK_JUMP_MS: u64 = 5_000;
/// Seconds between two looks at a peer's status.
pub const STATUS_INTERVAL_SECS: u64 = 10;
/// Requests a peer may make in one refill of its budget; as many again are declined for free.
pub const REQUEST_BUDGET: u32 = 4_000;
/// Seconds in which a peer's budget is refilled, and a point forgiven.
pub const REQUEST_BUDGET_SECS: u64 = 10;
/// Bytes of answers by which a peer's budget grows in one refill; as many again are declined for
/// free.
pub const SERVED_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes of answers that a new or quiet peer may have at once: months of an ordinary chain.
pub const SERVED_BURST_BYTES: u64 = 1024 * 1024 * 1024;
/// Peers known to the core at a time.
pub const PEERS_MAX: usize = 64;

/// Transactions in the pool.
pub const POOL_COUNT_MAX: usize = 60_000;
/// Encoded bytes in the pool.
pub const POOL_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Transactions of one sender in the pool.
pub const POOL_PER_SENDER: usize = 64;
/// How far a transaction's nonce may lie ahead of the next one that would be mined.
pub const POOL_NONCE_GAP: u64 = 16;
/// A replacement raises both fees by at least this percentage.
pub const POOL_BUMP_PERCENT: u64 = 10;
/// Seconds after which a transaction that could be mined is given up.
pub const POOL_PENDING_SECS: u64 = 24 * 3_600;
/// Seconds after which a transaction that waits for a nonce or for funds is given up.
pub const POOL_QUEUED_SECS: u64 = 3 * 3_600;
/// A pool with less than this part (one in …) of its room left has a least fee.
pub const POOL_ROOM_DIVISOR: usize = 4;
/// Seconds in which the least fee that a nearly full pool takes falls to half.
pub const POOL_FLOOR_HALF_LIFE_SECS: u64 = 600;
/// Senders whose expired transactions are given up in one step.
pub const POOL_EXPIRE_SENDERS: usize = 256;
/// Transactions of which it is remembered why they left the pool.
pub const POOL_DEPARTURES: usize = 4_096;
/// Transactions that one block's undoing has announced again.
pub const REANNOUNCED_MAX: usize = 256;
/// Milliseconds from a peer's coming to a pass over what our users sent and no block has: gossip
/// has learnt by then what the peer listens to.
pub const REMINDER_AFTER_PEER_MS: u64 = 5_000;
/// Milliseconds between the beginnings of two passes, at least. Gossip knows a message for a minute
/// and drops it when it comes again within that.
pub const REMINDER_AGAIN_MS: u64 = 75_000;
/// Milliseconds between the beginnings of two passes while no peer comes: rarer than blocks, so that
/// most of what is sent is mined before it would be announced again.
pub const REMINDER_MS: u64 = 600_000;
/// Milliseconds between two rounds of one pass.
pub const REMINDER_ROUND_MS: u64 = 1_000;
/// Transactions announced again in a round: a peer that has them all spends two thousandths of a
/// core on their signatures.
pub const REMINDED_COUNT: usize = 32;
/// Their bytes, at least one transaction: each of our peers is sent as much.
pub const REMINDED_BYTES: usize = 256 * 1024;
/// Candidates that a template passes over because they do not fit: each takes about a microsecond of
/// the ten milliseconds that a template may take. Who wants the rest of a block to stay empty must
/// outbid all others with as many that ask for more gas than is left, and pay for those that do fit.
pub const TEMPLATE_MISSES_MAX: usize = 3_000;
/// Transactions counted before one of which somebody asks when its turn comes: the answer's cost.
pub const TURNS_COUNTED_MAX: usize = 3_000;

/// Inputs waiting for the core.
pub const CORE_QUEUE: usize = 1_024;
/// Messages from the wire that wait to be checked.
pub const UNCHECKED_QUEUE: usize = 16;
/// Commands waiting for the network task.
pub const NETWORK_QUEUE: usize = 1_024;
/// Steps whose batches are committed as one.
pub const STEPS_PER_COMMIT: usize = 64;
