//! The pool: how full it is, and what is in it.

use chain::{
    Time,
    pool::{Class, Entry},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{HeadJson, next_base_fee};
use crate::View;

/// How full the pool is and what it asks for.
#[derive(Debug, Serialize, ToSchema)]
pub struct PoolJson {
    /// Transactions, pending and queued.
    count: usize,
    /// Those that could be mined, but for the base fee.
    pending: usize,
    /// Those that wait for a nonce before theirs, or for money.
    queued: usize,
    bytes: usize,
    limits: LimitsJson,
    /// The least effective priority fee that is taken now, wei per gas; 0 while there is room.
    floor: String,
    /// What the next block burns, wei per gas.
    base_fee: String,
    head: HeadJson,
}

#[derive(Debug, Serialize, ToSchema)]
struct LimitsJson {
    count: usize,
    bytes: usize,
}

impl PoolJson {
    /// The pool of a view at a time.
    pub fn new(view: &View, now: Time) -> Self {
        let pool = &view.pool;
        let limits = pool.limits();
        Self {
            count: pool.len(),
            pending: pool.pending(),
            queued: pool.len().saturating_sub(pool.pending()),
            bytes: pool.bytes(),
            limits: LimitsJson {
                count: limits.count,
                bytes: limits.bytes,
            },
            floor: pool.floor(now.monotonic_ms).to_string(),
            base_fee: next_base_fee(view).to_string(),
            head: HeadJson::new(view),
        }
    }
}

/// A page of the pool, in the order of hashes.
#[derive(Debug, Serialize, ToSchema)]
pub struct PoolPageJson {
    /// The transactions.
    pub transactions: Vec<PooledJson>,
    /// The hash after which the next page starts; absent after the last one.
    pub next_cursor: Option<String>,
    /// The head this was read at.
    pub head: HeadJson,
}

/// A transaction of the pool in a line.
#[derive(Debug, Serialize, ToSchema)]
pub struct PooledJson {
    hash: String,
    sender: String,
    nonce: u64,
    /// Nobody where a contract is made.
    to: Option<String>,
    value: String,
    max_fee: String,
    tip: String,
    gas: u64,
    bytes: usize,
    /// pending or queued.
    class: &'static str,
    /// When it came or last changed its class, Unix seconds.
    since: u64,
    /// Whether a restart of the node keeps it.
    durable: bool,
}

impl PooledJson {
    /// An entry of the pool, seen at a time.
    pub fn new(entry: &Entry, now: Time) -> Self {
        let transaction = &entry.transaction;
        Self {
            hash: transaction.hash().to_string(),
            sender: transaction.sender().to_string(),
            nonce: transaction.nonce(),
            to: transaction.to().map(|address| address.to_string()),
            value: transaction.value().to_string(),
            max_fee: transaction.max_fee().to_string(),
            tip: transaction.priority_fee().to_string(),
            gas: transaction.gas_limit(),
            bytes: entry.size(),
            class: class_name(entry.class),
            since: since(entry, now),
            durable: entry.is_durable,
        }
    }
}

/// A class as text.
pub(super) fn class_name(class: Class) -> &'static str {
    match class {
        Class::Pending => "pending",
        Class::Queued => "queued",
    }
}

/// When an entry came or last changed its class, in Unix seconds: the pool counts on a clock that
/// never runs back, so the answer follows the wall clock where that is set.
pub(super) fn since(entry: &Entry, now: Time) -> u64 {
    let waited_ms = now.monotonic_ms.saturating_sub(entry.since_ms);
    now.unix_secs.saturating_sub(waited_ms / 1_000)
}
