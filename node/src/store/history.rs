//! Whose transactions are whose: as the log holds it for each block, and as rows by account.
//!
//! The log's value for a block names two accounts for each transaction, most of them by their
//! place in the block's change set: four bytes a transaction. Rows are merged into the index at
//! checkpoints. A row's key is address ‖ height ‖ hash, its value the rising indices of the
//! account's transactions in that block (u32, little-endian). Rows of branches that were left
//! stay, and are told by their hash (`chain::history`).

use std::ops::Bound;

use chain::{
    Address, BlockId, ChangeSet,
    history::{Parties, Row},
};

use super::{
    kv::{Put, Scan},
    named::Named,
    tables::{block_key, id_of},
    trouble::Trouble,
};

/// In place of a reference: the address itself follows.
const LITERAL: u16 = u16::MAX;
/// In place of a reference: there is no account.
const NOBODY: u16 = u16::MAX - 1;

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

/// Writes an account's row of a block, in place of what may be there.
pub fn put_row(
    table: &mut Named<impl Put>,
    address: &Address,
    id: &BlockId,
    indices: &[u32],
) -> Result<(), Trouble> {
    let value: Vec<u8> = indices.iter().flat_map(|at| at.to_le_bytes()).collect();
    table.put(&row_key(address, id), &value)
}

/// An account's rows, up to `count` of those below a block.
pub fn rows_of<T: Scan>(
    table: &Named<T>,
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
    for (key, value) in table.last_before(&from, to, count)? {
        let damaged = |reason: &str| table.damaged(&key, reason);
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

    use super::*;

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
}
