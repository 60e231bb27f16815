//! Which accounts a block's transactions belong to: what the index behind an account's history
//! is made of.
//!
//! A row is named by its block's hash, so a store may keep the rows of a block that left the best
//! chain: they are told by its height's hash on the best chain, and are right again when it comes
//! back. A reorg of any depth so costs such an index nothing, and the histories move in the batch
//! that moves the head. A store that shows but the best chain's rows may as well forget the others.

use std::collections::BTreeMap;

use alloy_primitives::Address;

use crate::{
    hash::BlockHash,
    store::{BlockId, Reader, StoreError, TransactionPlace},
    transaction::CheckedTransaction,
};

/// Rows that are read at a time.
const ROWS_PER_LOOK: usize = 256;

/// Of each account that is a party to some of a block's transactions, their rising indices.
pub type Parties = BTreeMap<Address, Vec<u32>>;

/// One account's transactions in an executed block of any branch: their rising indices.
pub type Row = (BlockId, Vec<u32>);

/// The accounts of a block's transactions: who signed, who is paid or called, what is created.
///
/// A transaction to oneself is there once. A reward is no transaction, and what contracts send to
/// each other leaves no trace here.
pub fn parties(transactions: &[CheckedTransaction]) -> Parties {
    let mut parties = Parties::new();
    for (index, transaction) in (0..).zip(transactions) {
        let sender = transaction.sender();
        let other = counterparty(transaction);
        parties.entry(sender).or_default().push(index);
        if other != sender {
            parties.entry(other).or_default().push(index);
        }
    }
    parties
}

/// Who is paid or called; of a creation, the address that the contract gets if it succeeds.
fn counterparty(transaction: &CheckedTransaction) -> Address {
    let created = || transaction.sender().create(transaction.nonce());
    transaction.to().unwrap_or_else(created)
}

/// The first block after all those of these heights, in the order of rows.
fn end_of(height: u64) -> BlockId {
    BlockId {
        height: height.saturating_add(1),
        hash: BlockHash::default(),
    }
}

/// Where an account's transactions stand on the best chain, newest first: up to `limit`, before
/// a height and an index in its block.
pub fn read<R: Reader + ?Sized>(
    reader: &R,
    address: &Address,
    before: Option<(u64, u32)>,
    limit: usize,
) -> Result<Vec<TransactionPlace>, StoreError> {
    let mut places = Vec::new();
    // The cursor's own block may have some of the rest.
    let mut below = before.map(|(height, _)| end_of(height));
    let count = limit.min(ROWS_PER_LOOK);
    while places.len() < limit {
        let rows = reader.rows(address, below, count)?;
        for (block, indices) in &rows {
            if places.len() >= limit {
                break;
            }
            if reader.canonical(block.height)? != Some(block.hash) {
                continue;
            }
            let is_wanted = |index| before.is_none_or(|before| (block.height, index) < before);
            let wanted = indices.iter().rev().copied().filter(|at| is_wanted(*at));
            places.extend(wanted.map(|index| TransactionPlace {
                block: *block,
                index,
            }));
        }
        match rows.last() {
            Some((last, _)) if rows.len() == count => below = Some(*last),
            _ => break,
        }
    }
    places.truncate(limit);
    Ok(places)
}
