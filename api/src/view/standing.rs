//! Where a transaction stands: in a block, in the pool and why, or gone from it and why.

use chain::{StoreError, Time, TxHash, pool::Entry};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    HeadJson, confirmations, next_base_fee,
    pool::{class_name, since},
};
use crate::View;

/// Where a transaction stands; one of the three parts is there.
#[derive(Debug, Serialize, ToSchema)]
pub struct StandingJson {
    hash: String,
    /// mined, pending or departed.
    status: &'static str,
    block: Option<PlaceJson>,
    pool: Option<WaitingJson>,
    departed: Option<DepartedJson>,
    head: HeadJson,
}

#[derive(Debug, Serialize, ToSchema)]
struct PlaceJson {
    height: u64,
    hash: String,
    index: u32,
    confirmations: u64,
}

/// Why a transaction of the pool is not mined yet.
#[derive(Debug, Serialize, ToSchema)]
pub struct WaitingJson {
    /// pending or queued.
    class: &'static str,
    /// A name for programs.
    code: &'static str,
    /// The same for people, with its numbers.
    text: String,
    /// Whether a restart of the node keeps it.
    durable: bool,
    /// When it came or last changed its class, Unix seconds.
    since: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct DepartedJson {
    code: &'static str,
    text: String,
    /// Unix seconds.
    when: u64,
}

impl StandingJson {
    /// Asks the best chain first: after a restart the pool takes a mined one for a used nonce.
    pub fn find(view: &View, hash: TxHash, now: Time) -> Result<Option<Self>, StoreError> {
        let mut standing = Self {
            hash: hash.to_string(),
            status: "mined",
            block: None,
            pool: None,
            departed: None,
            head: HeadJson::new(view),
        };
        if let Some(place) = view.reader.transaction(&hash)? {
            standing.block = Some(PlaceJson {
                height: place.block.height,
                hash: place.block.hash.to_string(),
                index: place.index,
                confirmations: confirmations(view, place.block.height),
            });
            return Ok(Some(standing));
        }
        if let Some((_, waiting)) = WaitingJson::find(view, &hash, now) {
            standing.status = "pending";
            standing.pool = Some(waiting);
            return Ok(Some(standing));
        }
        Ok(view.pool.departure(&hash).map(|departure| {
            standing.status = "departed";
            standing.departed = Some(DepartedJson {
                code: departure.reason.code(),
                text: departure.reason.to_string(),
                when: departure.unix_secs,
            });
            standing
        }))
    }
}

impl WaitingJson {
    /// An entry of the pool, and why it waits.
    pub(super) fn find<'a>(view: &'a View, hash: &TxHash, now: Time) -> Option<(&'a Entry, Self)> {
        let entry = view.pool.entry(hash)?;
        let why = view.pool.why_waiting(hash, next_base_fee(view))?;
        let waiting = Self {
            class: class_name(entry.class),
            code: why.code(),
            text: why.to_string(),
            durable: entry.is_durable,
            since: since(entry, now),
        };
        Some((entry, waiting))
    }
}
