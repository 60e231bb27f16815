//! Limits of the HTTP server: what one client, and all of them together, may cost.

use std::time::Duration;

/// Bytes of a request's body.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Connections at a time.
pub const CONNECTIONS_MAX: usize = 256;
/// Connections of one address at a time; this machine's own are not counted.
pub const CONNECTIONS_PER_ADDRESS: usize = 16;
/// Bytes of a request's head that are kept until it is complete.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Time for a request's head to arrive, counted also between two requests of a connection.
pub const HEAD_TIME_OUT: Duration = Duration::from_secs(30);
/// Time for a request's body to arrive.
pub const BODY_TIME_OUT: Duration = Duration::from_secs(10);
/// Time for a client to take some bytes of its answer.
pub const WRITE_TIME_OUT: Duration = Duration::from_secs(30);
/// Time for open connections to finish their answers when the node stops.
pub const STOP_TIME_OUT: Duration = Duration::from_secs(5);
/// Transaction hashes after which a page of blocks ends: full blocks have thousands each.
pub const PAGE_TRANSACTIONS_MAX: usize = 10_000;
/// Items on a page.
pub const PAGE_MAX: u64 = 1_000;
/// Items on a page where the client names no number.
pub const PAGE_DEFAULT: u64 = 20;
/// Branches that a view holds.
pub const BRANCHES_MAX: usize = 256;
/// Time the core has to answer a submission.
pub const SUBMIT_TIME_OUT: Duration = Duration::from_secs(10);
