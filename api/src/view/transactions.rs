//! Transactions, mined or waiting, and what they did.

use chain::{Address, CheckedTransaction, Receipt, StoreError, TxHash, U256};
use serde::Serialize;

use super::{HeadJson, confirmations, display_lgn, hex};
use crate::View;

/// Where a mined transaction stands.
#[derive(Debug, Serialize)]
struct InclusionJson {
    height: u64,
    hash: String,
    index: u32,
    time: u32,
    confirmations: u64,
}

/// What a mined transaction did.
#[derive(Debug, Serialize)]
struct OutcomeJson {
    success: bool,
    gas_used: u64,
    effective_gas_price: String,
    /// Gas used times the price, in wei; the base fee's part of it is burnt.
    fee: String,
    fee_display: String,
    logs: Vec<LogJson>,
}

#[derive(Debug, Serialize)]
struct LogJson {
    address: String,
    topics: Vec<String>,
    data: String,
}

/// A transaction, mined or waiting.
#[derive(Debug, Serialize)]
pub struct TransactionJson {
    hash: String,
    /// mined or pending.
    status: &'static str,
    block: Option<InclusionJson>,
    success: Option<bool>,
    outcome: Option<OutcomeJson>,
    #[serde(rename = "type")]
    tx_type: u8,
    from: String,
    to: Option<String>,
    nonce: u64,
    value: String,
    value_display: String,
    gas_limit: u64,
    max_fee: String,
    priority_fee: String,
    input: String,
    raw: String,
    head: HeadJson,
}

impl TransactionJson {
    /// Looks on the best chain, then in the pool.
    pub fn find(view: &View, hash: TxHash) -> Result<Option<Self>, StoreError> {
        if let Some(place) = view.reader.transaction(&hash)? {
            return Self::mined(view, hash, place).map(Some);
        }
        Ok(view
            .pool
            .get(&hash)
            .map(|transaction| Self::new(view, transaction, None)))
    }

    fn mined(
        view: &View,
        hash: TxHash,
        place: chain::store::TransactionPlace,
    ) -> Result<Self, StoreError> {
        let block = place.block.hash;
        let missing = |what: &str| StoreError(format!("no {what} for block {block}"));
        let header = view
            .reader
            .header(&block)?
            .ok_or_else(|| missing("header"))?;
        let body = view.reader.body(&block)?.ok_or_else(|| missing("body"))?;
        let receipts = view
            .reader
            .receipts(&block)?
            .ok_or_else(|| missing("receipts"))?;
        let index = usize::try_from(place.index).map_err(|_| missing("such index"))?;
        let bytes = body
            .0
            .get(index)
            .ok_or_else(|| missing("such transaction"))?;
        let transaction = CheckedTransaction::check(bytes, view.spec.chain_id)
            .map_err(|error| StoreError(format!("transaction {hash} is damaged: {error}")))?;
        let outcome = outcome(&transaction, &receipts, index, header.extension.base_fee)
            .ok_or_else(|| missing("such receipt"))?;
        let inclusion = InclusionJson {
            height: place.block.height,
            hash: block.to_string(),
            index: place.index,
            time: header.pow.time,
            confirmations: confirmations(view, place.block.height),
        };
        Ok(Self::new(view, &transaction, Some((inclusion, outcome))))
    }

    fn new(
        view: &View,
        transaction: &CheckedTransaction,
        mined: Option<(InclusionJson, OutcomeJson)>,
    ) -> Self {
        let (block, outcome) = mined.unzip();
        Self {
            hash: transaction.hash().to_string(),
            status: if block.is_some() { "mined" } else { "pending" },
            block,
            success: outcome.as_ref().map(|outcome| outcome.success),
            outcome,
            tx_type: transaction.tx_type(),
            from: transaction.sender().to_string(),
            to: transaction.to().map(|address| address.to_string()),
            nonce: transaction.nonce(),
            value: transaction.value().to_string(),
            value_display: display_lgn(transaction.value()),
            gas_limit: transaction.gas_limit(),
            max_fee: transaction.max_fee().to_string(),
            priority_fee: transaction.priority_fee().to_string(),
            input: hex(transaction.input()),
            raw: hex(transaction.bytes()),
            head: HeadJson::new(view),
        }
    }
}

/// The receipt's own gas is the difference of two cumulative ones.
fn outcome(
    transaction: &CheckedTransaction,
    receipts: &[Receipt],
    index: usize,
    base_fee: u64,
) -> Option<OutcomeJson> {
    let receipt = receipts.get(index)?;
    let before = index.checked_sub(1).and_then(|index| receipts.get(index));
    let gas_before = before.map_or(0, |before| before.cumulative_gas);
    let gas_used = receipt.cumulative_gas.checked_sub(gas_before)?;
    let price = u128::from(base_fee) + transaction.effective_tip(base_fee).unwrap_or(0);
    let fee = U256::from(price).saturating_mul(U256::from(gas_used));
    let logs = receipt.logs.iter().map(|log| LogJson {
        address: Address::from(log.address).to_string(),
        topics: log.topics.iter().map(|topic| hex(topic)).collect(),
        data: hex(&log.data),
    });
    Some(OutcomeJson {
        success: receipt.success,
        gas_used,
        effective_gas_price: price.to_string(),
        fee: fee.to_string(),
        fee_display: display_lgn(fee),
        logs: logs.collect(),
    })
}
