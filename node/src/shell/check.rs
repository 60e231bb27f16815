//! The stateless check on all cores: transactions of a block in parallel, headers too.
//!
//! Runs on rayon's threads, never on the core thread or the network task.

use std::sync::Arc;

use chain::{
    Block, ChainSpec, CheckedBlock, CheckedHeader, CheckedTransaction, Header, MatchedBlock,
    Reader, Stage, StoreError, check::CheckError, hash::BlockHash, transaction::TransactionError,
};
use rayon::prelude::*;

/// Checks a block, its transactions in parallel.
pub fn block(block: Block, spec: &ChainSpec) -> Result<CheckedBlock, CheckError> {
    let matched = MatchedBlock::check(block, spec)?;
    let results = matched
        .transactions()
        .par_iter()
        .with_min_len(16)
        .map(|bytes| CheckedTransaction::check(bytes, spec.chain_id))
        .collect();
    matched.assemble(results)
}

/// Checks headers in parallel; the first failure in their order is the result.
pub fn headers(headers: Vec<Header>, spec: &ChainSpec) -> Result<Vec<CheckedHeader>, CheckError> {
    headers
        .into_par_iter()
        .map(|header| CheckedHeader::check(header, spec))
        .collect()
}

/// Checks transactions in parallel, in their order.
pub fn transactions(
    items: &[Vec<u8>],
    spec: &ChainSpec,
) -> Result<Vec<CheckedTransaction>, TransactionError> {
    items
        .par_iter()
        .map(|bytes| CheckedTransaction::check(bytes, spec.chain_id))
        .collect()
}

/// Reads a stored block and checks it again: what the disk gives is outside bytes too. `None` if
/// the body was given up after it was asked for; then it comes from a peer again.
pub fn stored(
    hash: &BlockHash,
    spec: &ChainSpec,
    db: &dyn Reader,
) -> Result<Option<CheckedBlock>, StoreError> {
    let missing = |what: &str| StoreError(format!("no {what} for block {hash}"));
    let header = db.header(hash)?.ok_or_else(|| missing("header"))?;
    if db.stage(hash)? == Some(Stage::Header) {
        return Ok(None);
    }
    let body = db.body(hash)?.ok_or_else(|| missing("body"))?;
    let decoded = Block {
        header: Arc::unwrap_or_clone(header),
        body: Arc::unwrap_or_clone(body),
    };
    block(decoded, spec)
        .map(Some)
        .map_err(|error| StoreError(format!("block {hash} is damaged: {error}")))
}
