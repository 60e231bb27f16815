//! Transactions, mined or waiting, and what they did.

use chain::{Address, CheckedTransaction, StoreError, Time, TxHash, store::TransactionPlace};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    HeadJson, MinedBlock, confirmations, display_lgn, hex, mined::Mined, standing::WaitingJson,
};
use crate::View;

/// Where a mined transaction stands.
#[derive(Debug, Serialize, ToSchema)]
struct InclusionJson {
    height: u64,
    hash: String,
    index: u32,
    time: u32,
    confirmations: u64,
}

/// What a mined transaction did.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OutcomeJson {
    success: bool,
    gas_used: u64,
    effective_gas_price: String,
    /// Gas used times the price, in wei; the base fee's part of it is burnt.
    fee: String,
    fee_display: String,
    logs: Vec<LogJson>,
}

#[derive(Debug, Serialize, ToSchema)]
struct LogJson {
    address: String,
    topics: Vec<String>,
    data: String,
}

/// A transaction, mined or waiting.
#[derive(Debug, Serialize, ToSchema)]
pub struct TransactionJson {
    hash: String,
    /// mined or pending.
    status: &'static str,
    block: Option<InclusionJson>,
    success: Option<bool>,
    outcome: Option<OutcomeJson>,
    /// Why it is not mined yet; absent once it is.
    pool: Option<WaitingJson>,
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
    pub fn find(view: &View, hash: TxHash, now: Time) -> Result<Option<Self>, StoreError> {
        if let Some(place) = view.reader.transaction(&hash)? {
            return Self::mined(view, place).map(Some);
        }
        let Some((entry, waiting)) = WaitingJson::find(view, &hash, now) else {
            return Ok(None);
        };
        let found = Self::new(view, &entry.transaction, None);
        Ok(Some(Self {
            pool: Some(waiting),
            ..found
        }))
    }

    fn mined(view: &View, place: TransactionPlace) -> Result<Self, StoreError> {
        let block = MinedBlock::read(view, place.block)?;
        let mined = block.mined(view, place.index)?;
        let inclusion = InclusionJson {
            height: place.block.height,
            hash: place.block.hash.to_string(),
            index: place.index,
            time: block.header.pow.time,
            confirmations: confirmations(view, place.block.height),
        };
        let outcome = OutcomeJson::new(&mined);
        Ok(Self::new(
            view,
            &mined.transaction,
            Some((inclusion, outcome)),
        ))
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
            pool: None,
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

impl OutcomeJson {
    pub(super) fn new(mined: &Mined<'_>) -> Self {
        let logs = mined.receipt.logs.iter().map(|log| LogJson {
            address: Address::from(log.address).to_string(),
            topics: log.topics.iter().map(|topic| hex(topic)).collect(),
            data: hex(&log.data),
        });
        Self {
            success: mined.receipt.success,
            gas_used: mined.gas_used,
            effective_gas_price: mined.price.to_string(),
            fee: mined.fee.to_string(),
            fee_display: display_lgn(mined.fee),
            logs: logs.collect(),
        }
    }
}
