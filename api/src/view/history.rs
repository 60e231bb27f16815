//! Mined transactions as one of their accounts sees them.

use chain::{Address, StoreError};
use serde::Serialize;
use utoipa::ToSchema;

use super::{HeadJson, MinedBlock};
use crate::View;

/// A page of an account's transactions, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct HistoryJson {
    /// The transactions.
    pub transactions: Vec<HistoryEntryJson>,
    /// Where the next page starts; absent after the oldest.
    pub next_cursor: Option<String>,
    /// The head this was read at.
    pub head: HeadJson,
}

/// A mined transaction as one of its accounts sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct HistoryEntryJson {
    hash: String,
    block: HeadJson,
    index: u32,
    from: String,
    /// Absent where a contract is created.
    to: Option<String>,
    value: String,
    /// Gas used times the price that was paid for it, in wei.
    fee: String,
    nonce: u64,
    /// in, out or self.
    direction: &'static str,
    /// success or failed.
    status: &'static str,
}

impl MinedBlock {
    /// One of its transactions, as an account sees it.
    pub fn entry(
        &self,
        view: &View,
        address: &Address,
        index: u32,
    ) -> Result<HistoryEntryJson, StoreError> {
        let mined = self.mined(view, index)?;
        let transaction = &mined.transaction;
        let (from, to) = (transaction.sender(), transaction.to());
        Ok(HistoryEntryJson {
            hash: transaction.hash().to_string(),
            block: HeadJson::of(self.id),
            index,
            from: from.to_string(),
            to: to.map(|to| to.to_string()),
            value: transaction.value().to_string(),
            fee: mined.fee.to_string(),
            nonce: transaction.nonce(),
            direction: match from == *address {
                true if to == Some(from) => "self",
                true => "out",
                false => "in",
            },
            status: if mined.receipt.success {
                "success"
            } else {
                "failed"
            },
        })
    }
}
