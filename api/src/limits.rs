//! Limits of the HTTP server: what one client, and all of them together, may cost.

use std::time::Duration;

/// Bytes of a request's body.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Connections at a time.
pub const CONNECTIONS_MAX: usize = 256;
/// Connections at a time of one address, or of one IPv6 network of 64 bits; this machine's own are
/// not counted.
pub const CONNECTIONS_PER_ADDRESS: usize = 16;
/// Bytes of a request's head that are kept until it is complete.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Time for a request's head to arrive, from its first byte.
pub const HEAD_TIME_OUT: Duration = Duration::from_secs(5);
/// Time that a connection stays open without a request.
pub const IDLE_TIME_OUT: Duration = Duration::from_secs(30);
/// Time for a request's body to arrive.
pub const BODY_TIME_OUT: Duration = Duration::from_secs(10);
/// Time for a client to take some bytes of its answer.
pub const WRITE_TIME_OUT: Duration = Duration::from_secs(30);
/// Time for open connections to finish their answers when the node stops.
pub const STOP_TIME_OUT: Duration = Duration::from_secs(5);
/// Characters of a problem's sentence: what a client sent comes back in some, and could be long.
pub const DETAIL_CHARS_MAX: usize = 500;
/// Arrays and objects of a request's JSON within each other: a call needs four, and what reads them
/// calls itself for each.
pub const JSON_DEPTH_MAX: usize = 64;
/// Queries over many blocks at a time: each may hold tens of megabytes, a core and the disk.
pub const QUERIES_MAX: usize = 4;
/// Time that such a query waits for a place.
pub const QUERY_WAIT: Duration = Duration::from_secs(1);
/// Time after which such a query ends with what it has.
pub const QUERY_WORK_TIME: Duration = Duration::from_secs(2);
/// Time for such a query to answer at all, where a disk hangs.
pub const QUERY_TIME_OUT: Duration = Duration::from_secs(10);
/// Blocks that a node may be behind what it knows of and still be ready: those under way.
pub const READY_BLOCKS_MAX: u64 = 3;
/// Transaction hashes after which a page of blocks ends: full blocks have thousands each.
pub const PAGE_TRANSACTIONS_MAX: usize = 10_000;
/// Bytes of an answer from which it is compressed: below it fits a packet anyhow.
pub const COMPRESS_BYTES_MIN: u64 = 1_400;
/// Items on a page.
pub const PAGE_MAX: u64 = 1_000;
/// Items on a page where the client names no number.
pub const PAGE_DEFAULT: u64 = 20;
/// Transactions on a page of a history where the client names no number.
pub const HISTORY_DEFAULT: u64 = 50;
/// Bytes of blocks and receipts after which a page of a history ends.
pub const HISTORY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Event streams at a time, each of which holds a connection too.
pub const STREAMS_MAX: usize = 64;
/// Silence after which a stream shows that it lives.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Entries that a stream takes from the journal at a time.
pub const STREAM_ENTRIES_MAX: usize = 64;
/// Bytes of events after which a stream hands them to the connection.
pub const STREAM_CHUNK_BYTES: usize = 16 * 1024;
/// Entries of the journal.
pub const JOURNAL_ENTRIES_MAX: usize = 4_096;
/// Blocks and hashes in all of the journal's entries.
pub const JOURNAL_ITEMS_MAX: usize = 131_072;
/// Blocks that a listener is told one by one when it comes back, or when the head moves far.
pub const WALK_MAX: usize = 1_000;
/// Transactions that a reorg's event names of each branch.
pub const REORG_TRANSACTIONS_MAX: usize = 10_000;
/// Bytes of bodies that are read for a reorg's event, of each branch.
pub const REORG_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Branches that a view holds.
pub const BRANCHES_MAX: usize = 256;
/// Time the core has to answer a submission.
pub const SUBMIT_TIME_OUT: Duration = Duration::from_secs(10);
/// Milliseconds for which estimates of fees are kept, unless the head moves.
pub const FEES_FRESH_MS: u64 = 1_000;
/// Blocks that estimates of fees look back on.
pub const FEES_BLOCKS: u64 = 20;
/// Transactions of one block that estimates of fees decode, 2 µs each; of more every second, third…
pub const FEES_SAMPLES_MAX: usize = 1_000;
/// Transactions of the pool that estimates of fees look at: ten blocks of transfers at 30,000,000 gas.
pub const FEES_CANDIDATES_MAX: usize = 15_000;
/// Time that a payment of the faucet waits for those before it.
pub const FAUCET_TIME_OUT: Duration = Duration::from_secs(10);
/// What the faucet pays where nothing else is asked for, in wei: 100 LGN.
pub const FAUCET_DEFAULT: u128 = 100_000_000_000_000_000_000;
/// The most that it pays at once, in wei: 1,000 LGN.
pub const FAUCET_MAX: u128 = 1_000_000_000_000_000_000_000;
/// Templates and submitted blocks that are worked on at a time.
pub const MINING_REQUESTS_MAX: usize = 8;
/// Longest wait for another head before a template is given anyway.
pub const TEMPLATE_WAIT_SECS_MAX: u64 = 25;
/// Time for a submitted block to become the head.
pub const HEAD_CHANGE_TIME_OUT: Duration = Duration::from_secs(5);
/// Accounts that one request may name: wallets have tens, and each costs a few microseconds.
pub const BATCH_MAX: usize = 100;
/// Blocks that one request adds to the ledger, a header each: about half a second's reading.
pub const LEDGER_BLOCKS_MAX: usize = 50_000;
/// Changed accounts that one request adds to the ledger, besides: about half a second's reading.
pub const LEDGER_CHANGES_MAX: usize = 500_000;
/// Accounts of the ledger, at about 30 bytes each. Beyond them there is no list of the top ones.
pub const LEDGER_ACCOUNTS_MAX: usize = 4_000_000;
/// Accounts of the list of the top ones.
pub const TOP_MAX: usize = 1_000;
/// Accounts for which the list of the top ones rests a millisecond after it was made: it takes
/// about a tenth of that to make, so that no more than a tenth of a core goes into it.
pub const TOP_ACCOUNTS_PER_MS: usize = 100;
