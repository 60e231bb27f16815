//! Parts of a block: its header, its transactions, where it stands.

use chain::{BlockHash, Body, CheckedTransaction, Header, Receipt, Stage, StoreError};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    HeadJson,
    blocks::{HeaderJson, depth},
    display_lgn, hex,
    mined::Mined,
    stage_name,
    transactions::OutcomeJson,
};
use crate::View;

/// A header: its fields and its bytes. It never changes and names no head.
#[derive(Debug, Serialize, ToSchema)]
pub struct HeaderAnswerJson {
    #[serde(flatten)]
    fields: HeaderJson,
    /// The canonical encoding; the first 80 bytes are what is hashed.
    raw: String,
}

impl HeaderAnswerJson {
    /// A header.
    pub fn new(hash: BlockHash, header: &Header) -> Self {
        Self {
            fields: HeaderJson::new(hash, header),
            raw: hex(&header.encode()),
        }
    }
}

/// A page of a block's transactions. It names no head: once the block is executed nothing in it
/// changes.
#[derive(Debug, Serialize, ToSchema)]
pub struct BlockTransactionsJson {
    block: HeadJson,
    stage: &'static str,
    transactions: Vec<BlockTransactionJson>,
    /// Index of the next page's first transaction; absent after the last.
    next_cursor: Option<usize>,
}

#[derive(Debug, Serialize, ToSchema)]
struct BlockTransactionJson {
    index: usize,
    hash: String,
    #[serde(rename = "type")]
    tx_type: u8,
    from: String,
    /// Absent where a contract is created.
    to: Option<String>,
    nonce: u64,
    value: String,
    value_display: String,
    gas_limit: u64,
    max_fee: String,
    priority_fee: String,
    input: String,
    /// What it did; absent while the block is not executed.
    outcome: Option<OutcomeJson>,
}

impl BlockTransactionsJson {
    /// Up to so many from an index on; none while the body is not here.
    pub fn read(
        view: &View,
        hash: BlockHash,
        header: &Header,
        (first, limit): (u32, usize),
    ) -> Result<Option<Self>, StoreError> {
        let Some(body) = view.reader.body(&hash)? else {
            return Ok(None);
        };
        let stage = view.reader.stage(&hash)?.unwrap_or(Stage::Header);
        let receipts = match stage {
            Stage::Executed => view.reader.receipts(&hash)?,
            _ => None,
        };
        let receipts = receipts.as_deref().map(Vec::as_slice);
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        let end = first.saturating_add(limit).min(body.0.len());
        let entries = (first..end).map(|index| entry(view, header, &body, receipts, index));
        Ok(Some(Self {
            block: HeadJson::of(chain::BlockId {
                height: header.extension.height,
                hash,
            }),
            stage: stage_name(stage),
            transactions: entries.collect::<Result<_, _>>()?,
            next_cursor: (end < body.0.len()).then_some(end),
        }))
    }

    /// The block's hash.
    pub fn block(&self) -> &str {
        &self.block.hash
    }
}

fn entry(
    view: &View,
    header: &Header,
    body: &Body,
    receipts: Option<&[Receipt]>,
    index: usize,
) -> Result<BlockTransactionJson, StoreError> {
    let bytes = &body.0[index];
    let damaged = |error| StoreError(format!("transaction {index} is damaged: {error}"));
    let transaction = CheckedTransaction::check(bytes, view.spec.chain_id).map_err(damaged)?;
    let mut json = BlockTransactionJson::new(index, &transaction);
    if let Some(receipts) = receipts {
        let mined = Mined::new(header, receipts, index, transaction)?;
        json.outcome = Some(OutcomeJson::new(&mined));
    }
    Ok(json)
}

impl BlockTransactionJson {
    fn new(index: usize, transaction: &CheckedTransaction) -> Self {
        Self {
            index,
            hash: transaction.hash().to_string(),
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
            outcome: None,
        }
    }
}

/// Where a block stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct BlockStatusJson {
    hash: String,
    height: u64,
    /// header, body, executed or invalid.
    stage: &'static str,
    in_best_chain: bool,
    /// Blocks of the best chain from this one to the head; 0 off the best chain.
    confirmations: u64,
    /// The best chain's block above this one; absent for the head and off the best chain.
    next: Option<String>,
    head: HeadJson,
}

impl BlockStatusJson {
    /// Reads where a known block stands.
    pub fn read(view: &View, hash: BlockHash, header: &Header) -> Result<Self, StoreError> {
        let height = header.extension.height;
        let (in_best_chain, confirmations) = depth(view, hash, height)?;
        let above = height.checked_add(1).filter(|_| in_best_chain);
        let next = above
            .map(|above| view.reader.canonical(above))
            .transpose()?;
        Ok(Self {
            hash: hash.to_string(),
            height,
            stage: stage_name(view.reader.stage(&hash)?.unwrap_or(Stage::Header)),
            in_best_chain,
            confirmations,
            next: next.flatten().map(|hash| hash.to_string()),
            head: HeadJson::new(view),
        })
    }
}
