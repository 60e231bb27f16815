//! Blocks of any branch.

use chain::{BlockHash, Header, Stage, StoreError};
use serde::Serialize;
use utoipa::ToSchema;

use super::{HeadJson, confirmations, hex, stage_name};
use crate::View;

/// A page of blocks, downwards.
#[derive(Debug, Serialize, ToSchema)]
pub struct BlocksJson {
    /// The blocks.
    pub blocks: Vec<BlockJson>,
    /// Where the next page starts; absent after the genesis block.
    pub next_cursor: Option<u64>,
    /// The head this was read at.
    pub head: HeadJson,
}

/// The fields of a block's header.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HeaderJson {
    hash: String,
    height: u64,
    parent: String,
    time: u32,
    version: String,
    bits: String,
    nonce: u32,
    commitment: String,
    chain_work: String,
    forgiven: u64,
    skip: String,
    beneficiary: String,
    state_root: String,
    transactions_root: String,
    receipts_root: String,
    gas_limit: u64,
    gas_used: u64,
    base_fee: String,
    transaction_count: u32,
    body_bytes: u32,
    extra_data: String,
    extra_nonce: String,
}

/// A block of any branch.
#[derive(Debug, Serialize, ToSchema)]
pub struct BlockJson {
    #[serde(flatten)]
    header: HeaderJson,
    /// Hashes in order; absent while the body is not here.
    transactions: Option<Vec<String>>,
    /// header, body, executed or invalid.
    stage: &'static str,
    in_best_chain: bool,
    /// Blocks of the best chain from this one to the head; 0 off the best chain.
    confirmations: u64,
    head: HeadJson,
}

impl BlockJson {
    /// Reads a block; `None` if it is not known.
    pub fn read(view: &View, hash: BlockHash) -> Result<Option<Self>, StoreError> {
        let Some(header) = view.reader.header(&hash)? else {
            return Ok(None);
        };
        let body = view.reader.body(&hash)?;
        let transactions = body.map(|body| {
            body.0
                .iter()
                .map(|bytes| chain::transaction::hash_of(bytes).to_string())
                .collect()
        });
        let height = header.extension.height;
        let (in_best_chain, confirmations) = depth(view, hash, height)?;
        let stage = stage_name(view.reader.stage(&hash)?.unwrap_or(Stage::Header));
        Ok(Some(Self {
            header: HeaderJson::new(hash, &header),
            transactions,
            stage,
            in_best_chain,
            confirmations,
            head: HeadJson::new(view),
        }))
    }

    /// How far the block has come.
    pub fn stage(&self) -> &'static str {
        self.stage
    }

    /// Transaction hashes in the answer.
    pub fn transactions_named(&self) -> usize {
        self.transactions.as_ref().map_or(0, Vec::len)
    }
}

impl HeaderJson {
    pub(super) fn new(hash: BlockHash, header: &Header) -> Self {
        let (pow, extension) = (&header.pow, &header.extension);
        Self {
            hash: hash.to_string(),
            height: extension.height,
            parent: pow.parent.to_string(),
            time: pow.time,
            version: format!("0x{:08x}", pow.version),
            bits: pow.bits.to_string(),
            nonce: pow.nonce,
            commitment: hex(&pow.commitment),
            chain_work: format!("{:#x}", extension.chain_work),
            forgiven: extension.forgiven,
            skip: extension.skip.to_string(),
            beneficiary: extension.beneficiary.to_string(),
            state_root: extension.state_root.to_string(),
            transactions_root: extension.transactions_root.to_string(),
            receipts_root: extension.receipts_root.to_string(),
            gas_limit: extension.gas_limit,
            gas_used: extension.gas_used,
            base_fee: extension.base_fee.to_string(),
            transaction_count: extension.transaction_count,
            body_bytes: extension.body_bytes,
            extra_data: hex(&extension.extra_data),
            extra_nonce: hex(&extension.extra_nonce),
        }
    }
}

/// Whether a block is on the best chain, and how many blocks from it to the head there are.
pub(super) fn depth(view: &View, hash: BlockHash, height: u64) -> Result<(bool, u64), StoreError> {
    let is_on = view.reader.canonical(height)? == Some(hash);
    Ok((
        is_on,
        if is_on {
            confirmations(view, height)
        } else {
            0
        },
    ))
}
