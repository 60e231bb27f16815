//! Mined transactions as one of their accounts sees them.

use std::sync::Arc;

use chain::{
    Address, BlockId, Body, CheckedTransaction, Header, Receipt, StoreError, U256,
    transaction::hash_of,
};
use serde::Serialize;

use super::HeadJson;
use crate::View;

/// A page of an account's transactions, newest first.
#[derive(Debug, Serialize)]
pub struct HistoryJson {
    /// The transactions.
    pub transactions: Vec<HistoryEntryJson>,
    /// Where the next page starts; absent after the oldest.
    pub next_cursor: Option<String>,
    /// The head this was read at.
    pub head: HeadJson,
}

/// A mined transaction as one of its accounts sees it.
#[derive(Debug, Serialize)]
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

/// A block that some of an account's transactions are in.
pub struct HistoryBlock {
    id: BlockId,
    header: Arc<Header>,
    body: Arc<Body>,
    receipts: Arc<Vec<Receipt>>,
}

impl HistoryBlock {
    /// Reads an executed block.
    pub fn read(view: &View, id: BlockId) -> Result<Self, StoreError> {
        let missing = |what: &str| StoreError(format!("no {what} for block {}", id.hash));
        let (reader, hash) = (&view.reader, &id.hash);
        Ok(Self {
            id,
            header: reader.header(hash)?.ok_or_else(|| missing("header"))?,
            body: reader.body(hash)?.ok_or_else(|| missing("body"))?,
            receipts: reader.receipts(hash)?.ok_or_else(|| missing("receipts"))?,
        })
    }

    /// How many transactions it has.
    pub fn transaction_count(&self) -> usize {
        self.body.0.len()
    }

    /// About how many bytes were read for it.
    pub fn bytes(&self) -> usize {
        let bodies: usize = self.body.0.iter().map(Vec::len).sum();
        let logs = self.receipts.iter().flat_map(|receipt| &receipt.logs);
        bodies + logs.map(|log| 148 + log.data.len()).sum::<usize>()
    }

    /// One of its transactions, as an account sees it.
    pub fn entry(
        &self,
        view: &View,
        address: &Address,
        index: u32,
    ) -> Result<HistoryEntryJson, StoreError> {
        let missing = || StoreError(format!("no transaction {index} in block {}", self.id.hash));
        let at = usize::try_from(index).map_err(|_| missing())?;
        let bytes = self.body.0.get(at).ok_or_else(missing)?;
        let transaction =
            CheckedTransaction::check(bytes, view.spec.chain_id).map_err(|error| {
                StoreError(format!(
                    "transaction {} is damaged: {error}",
                    hash_of(bytes)
                ))
            })?;
        let receipt = self.receipts.get(at).ok_or_else(missing)?;
        // A receipt's own gas is the difference of two cumulative ones.
        let before = at.checked_sub(1).and_then(|at| self.receipts.get(at));
        let gas_before = before.map_or(0, |before| before.cumulative_gas);
        let gas_used = receipt.cumulative_gas.saturating_sub(gas_before);
        let base_fee = self.header.extension.base_fee;
        let price = u128::from(base_fee) + transaction.effective_tip(base_fee).unwrap_or(0);
        let (from, to) = (transaction.sender(), transaction.to());
        Ok(HistoryEntryJson {
            hash: transaction.hash().to_string(),
            block: HeadJson::of(self.id),
            index,
            from: from.to_string(),
            to: to.map(|to| to.to_string()),
            value: transaction.value().to_string(),
            fee: U256::from(price)
                .saturating_mul(U256::from(gas_used))
                .to_string(),
            nonce: transaction.nonce(),
            direction: match from == *address {
                true if to == Some(from) => "self",
                true => "out",
                false => "in",
            },
            status: if receipt.success { "success" } else { "failed" },
        })
    }
}
