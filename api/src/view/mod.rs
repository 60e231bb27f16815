//! The shapes of the JSON answers. Core types are never serialised themselves.
//!
//! Amounts are decimal strings in wei, hashes and bytes 0x-hex, numbers below 2^53 JSON numbers.

mod accounts;
mod block_parts;
mod blocks;
mod events;
mod fees;
mod forest;
mod history;
mod mined;
mod network;
mod peers;
mod pool;
mod search;
mod standing;
mod status;
mod supply;
mod transactions;

use chain::{BlockId, Stage, U256};
use serde::Serialize;
use utoipa::ToSchema;

pub use accounts::{AccountJson, AccountsJson, TopAccountJson, TopAccountsJson};
pub use block_parts::{BlockStatusJson, BlockTransactionsJson, HeaderAnswerJson};
pub use blocks::{BlockJson, BlocksJson};
pub use events::{
    BlockEventJson, BlockIdJson, ForkEventJson, GapEventJson, HeadEventJson, PeerEventJson,
    ReorgEventJson, ReorgTransactions, ResetEventJson, TransactionEventJson,
};
pub use fees::FeesJson;
pub use forest::{BranchBlockJson, BranchBlocksJson, BranchJson, ForestJson};
pub use history::HistoryJson;
pub use mined::MinedBlock;
pub use network::NetworkJson;
pub use peers::PeersJson;
pub use pool::{PoolJson, PoolPageJson, PooledJson};
pub use search::{FoundJson, SearchJson};
pub use standing::StandingJson;
pub use status::StatusJson;
pub use supply::SupplyJson;
pub use transactions::TransactionJson;

use crate::View;

/// Smallest tip that a wallet should offer, wei per gas.
pub(crate) const SUGGESTED_TIP: u64 = 1_000_000_000;

/// The bytes that hex digits stand for, with or without `0x`.
pub(crate) fn hex_bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let value = |digit: u8| {
        char::from(digit)
            .to_digit(16)
            .and_then(|v| u8::try_from(v).ok())
    };
    digits
        .chunks_exact(2)
        .map(|pair| Some(value(pair[0])? << 4 | value(pair[1])?))
        .collect()
}

/// Bytes as 0x-hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::from("0x"), |mut out, byte| {
        for digit in [byte >> 4, byte & 15] {
            out.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
        out
    })
}

/// An amount in LGN, exact, without trailing zeros.
pub(crate) fn display_lgn(wei: U256) -> String {
    let (whole, fraction) = wei.div_rem(U256::from(1_000_000_000_000_000_000_u64));
    if fraction.is_zero() {
        return format!("{whole} LGN");
    }
    let digits = format!("{:0>18}", fraction.to_string());
    format!("{whole}.{} LGN", digits.trim_end_matches('0'))
}

/// The head that an answer was read at.
#[derive(Debug, Serialize, ToSchema)]
pub struct HeadJson {
    height: u64,
    hash: String,
}

impl HeadJson {
    /// The head of a view.
    pub fn new(view: &View) -> Self {
        Self::of(view.head)
    }

    /// This head.
    pub fn of(head: BlockId) -> Self {
        Self {
            height: head.height,
            hash: head.hash.to_string(),
        }
    }
}

fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Header => "header",
        Stage::Body => "body",
        Stage::Executed => "executed",
        Stage::Invalid => "invalid",
    }
}

/// The base fee of the block after the head, wei per gas.
pub(crate) fn next_base_fee(view: &View) -> u64 {
    let parent = chain::rules::Parent::new(&view.head_header, view.head.hash);
    chain::rules::next_base_fee(&view.spec, &parent)
}

fn confirmations(view: &View, height: u64) -> u64 {
    view.head.height.saturating_sub(height).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_reads_what_it_writes_and_refuses_the_rest() {
        assert_eq!(hex_bytes(&hex(&[0, 1, 0xfe])), Some(vec![0, 1, 0xfe]));
        for bad in ["0x0", "0xzz", "0x+1", "é"] {
            assert_eq!(hex_bytes(bad), None, "{bad}");
        }
    }

    #[test]
    fn amounts_are_exact() {
        assert_eq!(display_lgn(U256::from(0_u128)), "0 LGN");
        assert_eq!(
            display_lgn(U256::from(25_000_021_000_000_000_000_u128)),
            "25.000021 LGN"
        );
        assert_eq!(display_lgn(U256::from(1_u128)), "0.000000000000000001 LGN");
    }
}
