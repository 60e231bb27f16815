//! Shapes of the bodies that requests send, for the API's description alone: what is wrong with a
//! body is said in words of ours, so that handlers read it as any JSON first.

#![allow(dead_code, reason = "descriptions are never made")]

use serde_json::Value;
use utoipa::ToSchema;

/// A signed transaction.
#[derive(ToSchema)]
#[schema(as = RawTransaction)]
pub struct RawJson {
    /// The bytes in hex, with or without 0x.
    raw: String,
}

/// Peers to refuse, and no others.
#[derive(ToSchema)]
#[schema(as = Partition)]
pub struct BlockedJson {
    /// Peer ids.
    #[schema(max_items = 64)]
    blocked: Vec<String>,
}

/// How long to hold back what peers send.
#[derive(ToSchema)]
#[schema(as = Delay)]
pub struct DelayJson {
    /// No more: gossip waits 5 s for a verdict.
    #[schema(maximum = 3000)]
    milliseconds: u64,
}

/// Blocks to make at once.
#[derive(ToSchema)]
#[schema(as = Mine)]
pub struct MineJson {
    /// How many.
    #[schema(minimum = 1, maximum = 1000)]
    blocks: u64,
}

/// Blocks to replace by others.
#[derive(ToSchema)]
#[schema(as = Reorg)]
pub struct ReorgJson {
    /// How many of the last.
    #[schema(minimum = 1, maximum = 1000)]
    depth: u64,
}

/// Whom to pay.
#[derive(ToSchema)]
#[schema(as = Payment)]
pub struct FaucetJson {
    /// 0x and 40 hex digits.
    address: String,
    /// Wei as a decimal string, up to 1,000 LGN; 100 LGN without it.
    amount: Option<String>,
}

/// A call of JSON-RPC.
#[derive(ToSchema)]
#[schema(as = Call)]
pub struct CallJson {
    /// getblocktemplate or submitblock.
    method: String,
    /// What the method takes.
    params: Option<Vec<Value>>,
    /// Sent back.
    id: Option<Value>,
}

/// The answer to a call: one of result and error is null.
#[derive(ToSchema)]
#[schema(as = Answer)]
pub struct AnswerJson {
    /// What the method gives.
    result: Option<Value>,
    /// Why it failed.
    error: Option<FailureJson>,
    /// The call's.
    id: Option<Value>,
}

/// Why a call failed.
#[derive(ToSchema)]
#[schema(as = Failure)]
pub struct FailureJson {
    /// JSON-RPC's number.
    code: i32,
    /// One sentence.
    message: String,
}
