//! The rows of accounts' histories: written with a block's execution, read by falling height.
//!
//! A row's key is address ‖ height ‖ hash, its value the rising indices of the account's
//! transactions in that block (u32, little-endian). So a block has one row for each of its
//! accounts, however many transactions they share, and rows of branches that lost stay and are
//! told by their hash (`chain::history`).
//!
//! The fact `history` names the head up to which the table is whole. It moves with the head, and
//! only from the head before: once a program that does not know the table has moved the head, the
//! two differ until the table is made whole again. That is begun anew after a crash, since rows
//! that are there already are written again as they are.

use std::ops::Bound;

use chain::{
    Address, BlockId, CheckedTransaction, Stage,
    history::{Parties, Row, parties},
};
use redb::ReadableTable;

use super::{
    tables::{Tables, WriteTables, block_key, id_of},
    trouble::Trouble,
};

/// The name of the fact.
const WHOLE: &[u8] = b"history";
/// Headers that are looked at for one write.
const HEADERS_PER_WRITE: usize = 1_024;
/// Transactions after which a write is full.
const TRANSACTIONS_PER_WRITE: usize = 16_384;

type Bytes = &'static [u8];

/// Rows of some blocks, for one write.
#[derive(Debug)]
pub struct Part {
    /// Blocks and their accounts.
    pub rows: Vec<(BlockId, Parties)>,
    /// The block to go on after; none after the last.
    pub last: Option<BlockId>,
}

fn row_key(address: &Address, id: &BlockId) -> [u8; 60] {
    let mut key = [0; 60];
    key[..20].copy_from_slice(address.as_slice());
    key[20..].copy_from_slice(&block_key(id));
    key
}

/// Account and block of a row's key, if it is one.
pub fn split_row_key(key: &[u8]) -> Option<(Address, BlockId)> {
    let (address, id) = key.split_first_chunk::<20>()?;
    Some((Address::from(*address), id_of(id.try_into().ok()?)))
}

/// Writes a block's rows, in place of what may be there of the same block.
pub fn put_rows(
    tables: &mut WriteTables<'_>,
    id: &BlockId,
    parties: &Parties,
) -> Result<(), Trouble> {
    for (address, indices) in parties {
        let value: Vec<u8> = indices.iter().flat_map(|at| at.to_le_bytes()).collect();
        tables.history.put(&row_key(address, id), &value)?;
    }
    Ok(())
}

/// An account's rows, up to `count` of those below a block.
pub fn rows_of<T: ReadableTable<Bytes, Bytes>>(
    tables: &Tables<T>,
    address: &Address,
    below: Option<BlockId>,
    count: usize,
) -> Result<Vec<Row>, Trouble> {
    let from = row_key(address, &BlockId::default());
    let mut last = [0xff; 60];
    last[..20].copy_from_slice(address.as_slice());
    let below = below.map(|below| row_key(address, &below));
    let to = match &below {
        Some(below) => Bound::Excluded(below.as_slice()),
        None => Bound::Included(last.as_slice()),
    };
    let mut rows = Vec::new();
    for (key, value) in tables.history.last_before(&from, to, count)? {
        let damaged = |reason: &str| tables.history.damaged(&key, reason);
        let (_, id) = split_row_key(&key).ok_or_else(|| damaged("wrong key"))?;
        let (indices, rest) = value.as_chunks::<4>();
        if indices.is_empty() || !rest.is_empty() {
            return Err(damaged("a row has four bytes for each transaction"));
        }
        rows.push((
            id,
            indices.iter().map(|at| u32::from_le_bytes(*at)).collect(),
        ));
    }
    Ok(rows)
}

/// The table follows the head, unless it was behind before.
pub fn follow_head(tables: &mut WriteTables<'_>, head: &BlockId) -> Result<(), Trouble> {
    if is_whole(tables)? {
        tables.facts.put(WHOLE, &block_key(head))?;
    }
    Ok(())
}

/// Whether the table is whole up to the head; an empty store's is.
pub fn is_whole<T: ReadableTable<Bytes, Bytes>>(tables: &Tables<T>) -> Result<bool, Trouble> {
    let reached = tables.facts.get_array::<40>(WHOLE)?;
    Ok(reached.map(|key| id_of(&key)) == tables.head()?)
}

/// The last write of those that make the table whole.
pub fn mark_whole(tables: &mut WriteTables<'_>) -> Result<(), Trouble> {
    match tables.head()? {
        Some(head) => tables.facts.put(WHOLE, &block_key(&head)),
        None => Ok(()),
    }
}

/// Rows of executed blocks after one, of all branches: any may become the best again.
pub fn collect_rows<T: ReadableTable<Bytes, Bytes>>(
    tables: &Tables<T>,
    after: Option<BlockId>,
    chain_id: u64,
) -> Result<Part, Trouble> {
    let (mut rows, mut last, mut transactions) = (Vec::new(), None, 0);
    for (id, _, stage) in tables.records_after(after, HEADERS_PER_WRITE)? {
        last = Some(id);
        if stage != Stage::Executed {
            continue;
        }
        let damaged = |reason: &str| tables.bodies.damaged(&block_key(&id), reason);
        let body = tables.body(&id)?;
        let body = body.ok_or_else(|| damaged("its block has no body"))?;
        let check = |bytes: &Vec<u8>| CheckedTransaction::check(bytes, chain_id);
        let checked: Result<Vec<_>, _> = body.0.iter().map(check).collect();
        let checked = checked.map_err(|error| damaged(&error.to_string()))?;
        transactions += checked.len();
        rows.push((id, parties(&checked)));
        if transactions >= TRANSACTIONS_PER_WRITE {
            break;
        }
    }
    Ok(Part { rows, last })
}
