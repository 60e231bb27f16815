//! Whose transactions are whose: as the log holds it for each block, and as rows by account.
//!
//! The log's value for a block names two accounts for each transaction, most of them by their
//! place in the block's change set: four bytes a transaction. A checkpoint merges what its blocks
//! say of an account into a row of the index. A row's key is address ‖ first height (big-endian);
//! its value says, for each of its blocks by rising height, how far above the one before it is (of
//! the first: zero) and which of its transactions are the account's: of each index how far above
//! the one before it is, doubled, and one more where another follows. All are LEB128.
//!
//! The rows are those of the checkpoint's own chain: when its blocks are undone, so are theirs.

use std::{
    collections::BTreeMap,
    ops::{Bound, ControlFlow},
};

use chain::{Address, ChangeSet, history::Parties};

use super::{
    kv::{Order, Put, Scan},
    named::Named,
    rest::{Rest, put_number},
    trouble::Trouble,
};

/// In place of a reference: the address itself follows.
const LITERAL: u16 = u16::MAX;
/// In place of a reference: there is no account.
const NOBODY: u16 = u16::MAX - 1;
/// Bytes from which on an account's next block begins a row of its own: some fit a page.
const ROW_BYTES: usize = 1_024;

/// An account's transactions in the block of a height: their rising indices.
pub type Entry = (u64, Vec<u32>);
/// A row's key.
pub type RowKey = [u8; 28];
/// Rows by their keys, and what becomes of them: nothing where they go.
pub type Rows = Vec<(RowKey, Option<Vec<u8>>)>;

/// The key of the row that begins with a block.
fn row_key(address: &Address, first: u64) -> RowKey {
    let mut key = [0; 28];
    key[..20].copy_from_slice(address.as_slice());
    key[20..].copy_from_slice(&first.to_be_bytes());
    key
}

/// Account and first height of a row's key.
pub fn split_row_key(key: &RowKey) -> (Address, u64) {
    let (address, first) = key.split_first_chunk::<20>().expect("28 bytes have 20");
    let first = first.try_into().expect("28 bytes without 20 are 8");
    (Address::from(*address), u64::from_be_bytes(first))
}

/// Writes what some blocks, by rising height, say of their accounts.
pub fn put_rows<'a>(
    table: &mut Named<impl Put>,
    blocks: impl Iterator<Item = (u64, &'a Parties)>,
) -> Result<(), Trouble> {
    let mut rows: BTreeMap<&Address, Vec<(u64, &[u32])>> = BTreeMap::new();
    for (height, parties) in blocks {
        for (address, indices) in parties {
            rows.entry(address).or_default().push((height, indices));
        }
    }
    for (address, entries) in rows {
        let mut entries = entries.as_slice();
        while let [(first, _), ..] = entries {
            let mut row = Row::new(*first);
            while let [(height, indices), rest @ ..] = entries {
                if row.bytes.len() >= ROW_BYTES {
                    break;
                }
                row.push(*height, indices);
                entries = rest;
            }
            table.put(&row_key(address, *first), &row.bytes)?;
        }
    }
    Ok(())
}

/// What becomes of an account's rows when the blocks from a height on are undone.
pub fn rows_below<T: Scan>(table: &Named<T>, address: &Address, end: u64) -> Result<Rows, Trouble> {
    let mut changed = Vec::new();
    visit_rows(table, address, u64::MAX, |first, entries| {
        let kept = entries.partition_point(|(height, _)| *height < end);
        if kept == entries.len() {
            return ControlFlow::Break(());
        }
        let mut row = Row::new(first);
        for (height, indices) in &entries[..kept] {
            row.push(*height, indices);
        }
        let left = (kept > 0).then_some(row.bytes);
        changed.push((row_key(address, first), left));
        ControlFlow::Continue(())
    })?;
    Ok(changed)
}

/// An account's entries by falling height: up to `count` of those up to a height.
pub fn entries_of<T: Scan>(
    table: &Named<T>,
    address: &Address,
    last: u64,
    count: usize,
) -> Result<Vec<Entry>, Trouble> {
    let mut found = Vec::new();
    visit_rows(table, address, last, |_, entries| {
        let entries = entries.into_iter().rev();
        found.extend(entries.filter(|(height, _)| *height <= last));
        match found.len() < count {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    })?;
    found.truncate(count);
    Ok(found)
}

/// Shows an account's rows that begin up to a height, the last one first.
fn visit_rows<T: Scan>(
    table: &Named<T>,
    address: &Address,
    last: u64,
    mut visit: impl FnMut(u64, Vec<Entry>) -> ControlFlow<()>,
) -> Result<(), Trouble> {
    let (from, to) = (row_key(address, 0), row_key(address, last));
    let range = (Bound::Included(&from[..]), Bound::Included(&to[..]));
    table.visit(range, Order::Falling, |key, value| {
        let (first, entries) = read_row(key, value)?;
        Ok(visit(first, entries))
    })
}

/// First height and entries of a row.
pub fn read_row(key: &[u8], value: &[u8]) -> Result<(u64, Vec<Entry>), String> {
    let key = key.try_into().map_err(|_| "wrong key")?;
    let (_, first) = split_row_key(key);
    let mut rest = Rest(value);
    let (mut entries, mut height) = (Vec::new(), first);
    while !rest.0.is_empty() {
        height = height.checked_add(rest.small()?).ok_or("wrong height")?;
        let (mut indices, mut index) = (Vec::new(), 0_u32);
        loop {
            let next: u64 = rest.small()?;
            let step = u32::try_from(next >> 1).map_err(|_| "wrong index")?;
            index = index.checked_add(step).ok_or("wrong index")?;
            indices.push(index);
            if next & 1 == 0 {
                break;
            }
        }
        entries.push((height, indices));
    }
    if entries.is_empty() {
        return Err("a row has a block".to_owned());
    }
    Ok((first, entries))
}

/// A row in the making.
struct Row {
    last: u64,
    bytes: Vec<u8>,
}

impl Row {
    fn new(first: u64) -> Self {
        let bytes = Vec::new();
        Self { last: first, bytes }
    }

    fn push(&mut self, height: u64, indices: &[u32]) {
        put_number(&mut self.bytes, height - self.last);
        self.last = height;
        let mut before = 0;
        for (left, index) in (0..indices.len()).rev().zip(indices) {
            let more = u64::from(left > 0);
            put_number(&mut self.bytes, u64::from(index - before) << 1 | more);
            before = *index;
        }
    }
}

/// The log's value for a block's parties.
pub fn encode_parties(parties: &Parties, changes: &ChangeSet) -> Vec<u8> {
    let last = parties.values().filter_map(|indices| indices.last()).max();
    let count = last.map_or(0, |last| last + 1);
    let mut pairs = vec![[None; 2]; usize::try_from(count).expect("a block is in memory")];
    for (address, indices) in parties {
        for index in indices {
            let pair = &mut pairs[usize::try_from(*index).expect("below the count")];
            let place = usize::from(pair[0].is_some());
            assert!(pair[place].is_none(), "a transaction has two parties");
            pair[place] = Some(*address);
        }
    }
    let mut bytes = count.to_le_bytes().to_vec();
    for party in pairs.into_iter().flatten() {
        put_party(&mut bytes, party, changes);
    }
    bytes
}

fn put_party(bytes: &mut Vec<u8>, party: Option<Address>, changes: &ChangeSet) {
    let Some(address) = party else {
        return bytes.extend(NOBODY.to_le_bytes());
    };
    let key = |change: &chain::execution::AccountChange| change.address;
    let place = changes.accounts.binary_search_by_key(&address.0.0, key);
    match place.ok().and_then(|at| u16::try_from(at).ok()) {
        Some(at) if at < NOBODY => bytes.extend(at.to_le_bytes()),
        _ => {
            bytes.extend(LITERAL.to_le_bytes());
            bytes.extend(address);
        }
    }
}

/// The parties that such a value names.
pub fn decode_parties(bytes: &[u8], changes: &ChangeSet) -> Result<Parties, String> {
    let short = || "the value is too short".to_owned();
    let (count, mut rest) = bytes.split_first_chunk::<4>().ok_or_else(short)?;
    let mut parties = Parties::new();
    for index in 0..u32::from_le_bytes(*count) {
        for _ in 0..2 {
            let (place, after) = rest.split_first_chunk::<2>().ok_or_else(short)?;
            rest = after;
            let address = match u16::from_le_bytes(*place) {
                NOBODY => continue,
                LITERAL => {
                    let (address, after) = rest.split_first_chunk::<20>().ok_or_else(short)?;
                    rest = after;
                    *address
                }
                place => {
                    let change = changes.accounts.get(usize::from(place));
                    change.ok_or("a party is not among the changes")?.address
                }
            };
            parties.entry(address.into()).or_default().push(index);
        }
    }
    match rest {
        [] => Ok(parties),
        _ => Err(format!("{} bytes are left over", rest.len())),
    }
}

#[cfg(test)]
mod tests {
    use chain::execution::AccountChange;

    use super::{super::tests::table::table, *};

    #[test]
    fn parties_come_back_by_reference_and_by_address() {
        let change = |byte| AccountChange {
            address: [byte; 20],
            old: None,
            new: None,
        };
        let changes = ChangeSet {
            accounts: vec![change(1), change(3)],
            ..ChangeSet::default()
        };
        let account = Address::repeat_byte;
        let parties = Parties::from([
            (account(1), vec![0, 1, 3]),
            (account(2), vec![0]),
            (account(3), vec![1, 4]),
        ]);
        let bytes = encode_parties(&parties, &changes);
        assert_eq!(bytes.len(), 4 + 5 * 4 + 20);
        assert_eq!(decode_parties(&bytes, &changes), Ok(parties));
        for length in 0..bytes.len() {
            assert!(decode_parties(&bytes[..length], &changes).is_err());
        }
        assert!(decode_parties(&[bytes, vec![0]].concat(), &changes).is_err());
        let none = encode_parties(&Parties::new(), &changes);
        assert_eq!(decode_parties(&none, &changes), Ok(Parties::new()));
    }

    /// A row for every few blocks: what it says of each, from any height on, and without the last.
    #[test]
    fn entries_come_back_from_any_height() {
        let busy = Address::repeat_byte(7);
        let entries: Vec<Entry> = (0..900_u32)
            .map(|at| (u64::from(at) * 3 + 5, vec![at % 5, 300 + at, 70_000 + at]))
            .collect();
        let other = Parties::from([
            (Address::repeat_byte(6), vec![1]),
            (Address::repeat_byte(8), vec![2]),
        ]);
        let mut table = table("history");
        for some in entries.chunks(450) {
            let blocks: Vec<(u64, Parties)> = some
                .iter()
                .map(|(height, indices)| {
                    let mut parties = other.clone();
                    parties.insert(busy, indices.clone());
                    (*height, parties)
                })
                .collect();
            put_rows(
                &mut table,
                blocks.iter().map(|(height, parties)| (*height, parties)),
            )
            .unwrap();
        }
        assert!(table.count().unwrap() > 8, "some rows are full");
        let newest: Vec<Entry> = entries.iter().rev().cloned().collect();
        assert_eq!(
            entries_of(&table, &busy, u64::MAX, 1_000),
            Ok(newest.clone())
        );
        for (at, (height, _)) in newest.iter().enumerate() {
            let some = &newest[at..newest.len().min(at + 7)];
            for last in [*height, height + 1] {
                assert_eq!(entries_of(&table, &busy, last, 7).unwrap(), some);
            }
        }
        assert_eq!(entries_of(&table, &busy, 4, 9), Ok(Vec::new()));
        // Undone from the end, some blocks at a time, also between the heights of two.
        for kept in [899, 890, 450, 449, 100, 1, 0] {
            let end = entries.get(kept).map_or(0, |(height, _)| height - 1);
            for (key, row) in rows_below(&table, &busy, end).unwrap() {
                match row {
                    Some(row) => table.put(&key, &row).unwrap(),
                    None => table.remove(&key).unwrap(),
                }
            }
            let want: Vec<Entry> = entries[..kept].iter().rev().cloned().collect();
            assert_eq!(entries_of(&table, &busy, u64::MAX, 1_000), Ok(want));
        }
        let found = entries_of(&table, &Address::repeat_byte(8), u64::MAX, 1_000);
        assert_eq!(found.unwrap().len(), entries.len());
    }

    #[test]
    fn what_is_no_row_is_refused() {
        let key = row_key(&Address::repeat_byte(1), 9);
        let read = |value: &[u8]| read_row(&key, value).map(|(_, entries)| entries);
        assert_eq!(
            read(&[0, 7, 4, 1, 0]),
            Ok(vec![(9, vec![3, 5]), (10, vec![0])])
        );
        assert!(read(&[]).is_err());
        assert!(read(&[0, 7]).is_err());
        assert!(read(&[0]).is_err());
        assert!(read(&[0, 255, 255, 255, 255, 31]).is_err());
        assert!(read_row(&key[1..], &[0, 0]).is_err());
        let last = row_key(&Address::repeat_byte(1), u64::MAX);
        assert!(read_row(&last, &[1, 0]).is_err());
    }
}
