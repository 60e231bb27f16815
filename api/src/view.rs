//! The shapes of the JSON answers. Core types are never serialised themselves.
//!
//! Amounts are decimal strings in wei, hashes and bytes 0x-hex, numbers below 2^53 JSON numbers.

use chain::{
    Address, BlockHash, CheckedTransaction, Header, Receipt, Stage, StoreError, TxHash, U256,
};
use serde::Serialize;

use crate::View;

/// Smallest tip that a wallet should offer, wei per gas.
const SUGGESTED_TIP: u64 = 1_000_000_000;

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
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::from("0x"), |mut out, byte| {
        for digit in [byte >> 4, byte & 15] {
            out.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
        out
    })
}

/// An amount in LGN, exact, without trailing zeros.
fn display_lgn(wei: U256) -> String {
    let (whole, fraction) = wei.div_rem(U256::from(1_000_000_000_000_000_000_u64));
    if fraction.is_zero() {
        return format!("{whole} LGN");
    }
    let digits = format!("{:0>18}", fraction.to_string());
    format!("{whole}.{} LGN", digits.trim_end_matches('0'))
}

/// The head that an answer was read at.
#[derive(Debug, Serialize)]
pub struct HeadJson {
    height: u64,
    hash: String,
}

impl HeadJson {
    /// The head of a view.
    pub fn new(view: &View) -> Self {
        Self {
            height: view.head.height,
            hash: view.head.hash.to_string(),
        }
    }
}

/// Where a node stands.
#[derive(Debug, Serialize)]
pub struct StatusJson {
    version: &'static str,
    network: String,
    dev: bool,
    chain_id: u64,
    genesis: String,
    head: HeadDetailJson,
    base_fee: String,
    suggested_tip: String,
    peers: usize,
    mining: bool,
    pool: PoolJson,
}

/// The head with what a status adds to it.
#[derive(Debug, Serialize)]
struct HeadDetailJson {
    height: u64,
    hash: String,
    time: u32,
    chain_work: String,
}

/// How full the pool is.
#[derive(Debug, Serialize)]
struct PoolJson {
    count: usize,
    bytes: usize,
}

impl StatusJson {
    /// The status of a view.
    pub fn new(view: &View) -> Self {
        let header = &view.head_header;
        let parent = chain::rules::Parent::new(header, view.head.hash);
        Self {
            version: view.version,
            network: view.network.clone(),
            dev: view.spec.dev,
            chain_id: view.spec.chain_id,
            genesis: view.genesis.to_string(),
            head: HeadDetailJson {
                height: view.head.height,
                hash: view.head.hash.to_string(),
                time: header.pow.time,
                chain_work: format!("{:#x}", header.extension.chain_work),
            },
            base_fee: chain::rules::next_base_fee(&view.spec, &parent).to_string(),
            suggested_tip: SUGGESTED_TIP.to_string(),
            peers: view.peers,
            mining: view.mining,
            pool: PoolJson {
                count: view.pool.len(),
                bytes: view.pool.bytes(),
            },
        }
    }
}

/// A page of blocks, downwards.
#[derive(Debug, Serialize)]
pub struct BlocksJson {
    /// The blocks.
    pub blocks: Vec<BlockJson>,
    /// Where the next page starts; absent after the genesis block.
    pub next_cursor: Option<u64>,
    /// The head this was read at.
    pub head: HeadJson,
}

/// A block of any branch.
#[derive(Debug, Serialize)]
pub struct BlockJson {
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
        let in_best_chain = view.reader.canonical(height)? == Some(hash);
        let stage = stage_name(view.reader.stage(&hash)?.unwrap_or(Stage::Header));
        let confirmations = if in_best_chain {
            confirmations(view, height)
        } else {
            0
        };
        let rest = (transactions, stage, in_best_chain, confirmations);
        Ok(Some(Self::new(view, hash, &header, rest)))
    }

    /// How far the block has come.
    pub fn stage(&self) -> &'static str {
        self.stage
    }

    /// Transaction hashes in the answer.
    pub fn transactions_named(&self) -> usize {
        self.transactions.as_ref().map_or(0, Vec::len)
    }

    fn new(
        view: &View,
        hash: BlockHash,
        header: &Header,
        rest: (Option<Vec<String>>, &'static str, bool, u64),
    ) -> Self {
        let (pow, extension) = (&header.pow, &header.extension);
        let (transactions, stage, in_best_chain, confirmations) = rest;
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
            transactions,
            stage,
            in_best_chain,
            confirmations,
            head: HeadJson::new(view),
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

fn confirmations(view: &View, height: u64) -> u64 {
    view.head.height.saturating_sub(height).saturating_add(1)
}

/// An account on the chain and in the pool.
#[derive(Debug, Serialize)]
pub struct AccountJson {
    address: String,
    head: HeadJson,
    chain: AccountInChainJson,
    pool: AccountInPoolJson,
}

#[derive(Debug, Serialize)]
struct AccountInChainJson {
    nonce: u64,
    balance: String,
    display: String,
    code_hash: Option<String>,
}

#[derive(Debug, Serialize)]
struct AccountInPoolJson {
    /// What the next transaction should carry.
    nonce_next: u64,
    pending: usize,
    /// The most that the waiting ones can take, in wei.
    pending_cost: String,
}

impl AccountJson {
    /// An account at a view's head.
    pub fn new(view: &View, address: Address) -> Self {
        let account = view.state.account(&address).unwrap_or_default();
        let costs = view
            .pool
            .of(&address)
            .map(|tx| tx.cost_max().unwrap_or(U256::MAX));
        let (pending, cost) = costs.fold((0, U256::ZERO), |(count, sum), cost| {
            (count + 1, sum.saturating_add(cost))
        });
        Self {
            address: address.to_string(),
            head: HeadJson::new(view),
            chain: AccountInChainJson {
                nonce: account.nonce,
                balance: account.balance.to_string(),
                display: display_lgn(U256::from(account.balance)),
                code_hash: account.code_hash.map(|hash| hex(&hash)),
            },
            pool: AccountInPoolJson {
                nonce_next: view.pool.nonce_next(&address, account.nonce),
                pending,
                pending_cost: cost.to_string(),
            },
        }
    }
}

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
