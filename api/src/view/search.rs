//! What a search has found.

use chain::{Address, BlockId, TxHash};
use serde::Serialize;
use utoipa::ToSchema;

use super::HeadJson;

/// What a text stands for.
#[derive(Debug, Serialize, ToSchema)]
pub struct SearchJson {
    /// Nothing, or what has that name.
    pub found: Vec<FoundJson>,
    /// The head this was read at.
    pub head: HeadJson,
}

/// One thing found.
#[derive(Debug, Serialize, ToSchema)]
pub struct FoundJson {
    /// block, transaction or account.
    kind: &'static str,
    /// Its name.
    id: String,
    /// Height of a block.
    height: Option<u64>,
    /// Where more of it is.
    path: String,
}

impl FoundJson {
    /// A block of any branch.
    pub fn block(block: &BlockId) -> Self {
        Self {
            height: Some(block.height),
            ..Self::new("block", "blocks", block.hash.to_string())
        }
    }

    /// A transaction, mined, waiting or lately gone.
    pub fn transaction(hash: &TxHash) -> Self {
        Self::new("transaction", "transactions", hash.to_string())
    }

    /// An account, also one that nobody has used.
    pub fn account(address: &Address) -> Self {
        Self::new("account", "accounts", address.to_string())
    }

    fn new(kind: &'static str, noun: &str, id: String) -> Self {
        Self {
            kind,
            path: format!("/v1/{noun}/{id}"),
            id,
            height: None,
        }
    }
}
