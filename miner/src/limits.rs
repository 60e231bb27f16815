//! Limits of the Stratum server: what one miner, and all of them together, may cost.
//!
//! Used by `stratum` and by the sockets around it in `node`.

use std::time::Duration;

/// Connections at a time. Each is a task and some 100 KiB; a farm of more stands behind a proxy.
pub const CONNECTIONS_MAX: usize = 256;
/// Connections of one address at a time: a rack behind one router. This machine's own are not
/// counted.
pub const CONNECTIONS_PER_ADDRESS: usize = 64;
/// Bytes of one line: the longest of any known miner has less than 600.
pub const LINE_BYTES_MAX: usize = 4 * 1024;
/// Bytes of a worker's name, which comes back in each of its shares.
pub const NAME_BYTES_MAX: usize = 128;
/// Workers of one connection.
pub const WORKERS_MAX: usize = 16;
/// Addresses that are paid at a time: each costs one execution of the transactions for each head.
pub const BENEFICIARIES_MAX: usize = 64;
/// Time from the connection to an accepted authorisation.
pub const GREETING_TIME_OUT: Duration = Duration::from_secs(30);
/// Time without a line after which a miner is thought dead; a live one sends a share a minute.
pub const IDLE_TIME_OUT: Duration = Duration::from_secs(600);
/// Time for a miner to take the lines that are written to it.
pub const WRITE_TIME_OUT: Duration = Duration::from_secs(10);
/// Lines read at once before reading slows down: a fast miner's first shares, before its
/// difficulty has risen.
pub const LINES_BURST: u32 = 2_000;
/// Lines read each second after that; the rest waits in the miner's own socket. A share each five
/// seconds is wanted.
pub const LINES_PER_SEC: u32 = 50;
/// Refusals (of lines, and of shares that are wrong at any time) before a connection is closed.
pub const FAULTS_BURST: u32 = 100;
/// Refusals forgiven each minute: a miner with a few failing chips stays.
pub const FAULTS_PER_MINUTE: u32 = 30;
/// Jobs of one head whose shares are taken; at one in 30 s these are the last four minutes.
pub const JOBS_KEPT: usize = 8;
/// Shares of one head that are remembered to refuse them a second time, 8 bytes of each.
pub const SHARES_REMEMBERED: usize = 8_192;
/// Seconds that a share's time may be after its job's; a job is replaced after 30.
pub const TIME_ROLL_SECS: u32 = 120;
/// Mean time between two shares that a connection's difficulty aims for.
pub const SHARE_INTERVAL: Duration = Duration::from_secs(5);
/// A difficulty is looked at after so many shares …
pub const RETARGET_SHARES: u32 = 16;
/// … or after this time, whichever comes first.
pub const RETARGET_INTERVAL: Duration = Duration::from_secs(60);
