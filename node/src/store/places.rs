//! Where transactions stand: the index from hashes to places.
//!
//! A key is the first bytes of a transaction's hash ‖ its block's height (five bytes, big-endian);
//! the value has the indices in that block (LEB128) of all transactions whose hashes begin so: one,
//! but for accidents and mischief. So a place that is found here counts only once the block's own
//! transaction there has the hash that was asked for; reading sees to that (`snapshot`). The
//! places are those of the checkpoint's own chain: when its blocks are undone, so are theirs.

use std::ops::{Bound, ControlFlow};

use chain::TxHash;

use super::{
    kv::{Order, Put, Scan},
    named::Named,
    rest::{Rest, put_number},
    trouble::Trouble,
};

/// Bytes of a hash in a key: among a thousand million transactions, an accident in 280,000
/// questions, which then take two looks.
const PREFIX_BYTES: usize = 6;
/// Bytes of a height in a key: with a block a second, they last for 34,000 years.
const HEIGHT_BYTES: usize = 5;

/// A key of the index.
pub type PlaceKey = [u8; PREFIX_BYTES + HEIGHT_BYTES];

/// The first bytes of a transaction's hash.
pub fn prefix(hash: &TxHash) -> [u8; PREFIX_BYTES] {
    *hash.0.first_chunk().expect("a hash has 32 bytes")
}

fn place_key(hash: &TxHash, height: u64) -> PlaceKey {
    let height = height.to_be_bytes();
    let (high, low) = height.split_at(height.len() - HEIGHT_BYTES);
    assert!(
        high.iter().all(|byte| *byte == 0),
        "heights have five bytes"
    );
    let mut key = [0; PREFIX_BYTES + HEIGHT_BYTES];
    key[..PREFIX_BYTES].copy_from_slice(&prefix(hash));
    key[PREFIX_BYTES..].copy_from_slice(low);
    key
}

/// Writes where the transactions of some blocks stand.
pub fn put_places<'a>(
    table: &mut Named<impl Put>,
    blocks: impl Iterator<Item = (u64, &'a [(TxHash, u32)])>,
) -> Result<(), Trouble> {
    let mut places = Vec::new();
    for (height, block) in blocks {
        places.extend(
            block
                .iter()
                .map(|(hash, at)| (place_key(hash, height), *at)),
        );
    }
    // In the order of the keys the engine finds its pages sooner.
    places.sort_unstable();
    for same in places.chunk_by(|one, other| one.0 == other.0) {
        let mut value = Vec::new();
        same.iter().for_each(|(_, at)| put_number(&mut value, *at));
        table.put(&same[0].0, &value)?;
    }
    Ok(())
}

/// Removes those of a block.
pub fn remove_places<'a>(
    table: &mut Named<impl Put>,
    height: u64,
    hashes: impl Iterator<Item = &'a TxHash>,
) -> Result<(), Trouble> {
    for hash in hashes {
        table.remove(&place_key(hash, height))?;
    }
    Ok(())
}

/// Heights and indices where a transaction may stand, up to a height, the last one first.
pub fn places_of<T: Scan>(
    table: &Named<T>,
    hash: &TxHash,
    last: u64,
) -> Result<Vec<(u64, u32)>, Trouble> {
    let (from, to) = (place_key(hash, 0), place_key(hash, last));
    let range = (Bound::Included(&from[..]), Bound::Included(&to[..]));
    let mut places = Vec::new();
    table.visit(range, Order::Falling, |key, value| {
        let (height, indices) = read_places(key, value)?;
        places.extend(indices.into_iter().map(|index| (height, index)));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(places)
}

/// Height and indices of an entry.
pub fn read_places(key: &[u8], value: &[u8]) -> Result<(u64, Vec<u32>), String> {
    let key: &PlaceKey = key.try_into().map_err(|_| "wrong key")?;
    let height = key[PREFIX_BYTES..].iter();
    let height = height.fold(0, |height, byte| height << 8 | u64::from(*byte));
    let (mut rest, mut indices) = (Rest(value), Vec::new());
    while !rest.0.is_empty() {
        indices.push(rest.small()?);
    }
    if indices.is_empty() {
        return Err("an entry has a place".to_owned());
    }
    Ok((height, indices))
}

#[cfg(test)]
mod tests {
    use super::{super::tests::table::table, *};

    fn hash(first: u8, last: u8) -> TxHash {
        let mut hash = [first; 32];
        hash[31] = last;
        TxHash(hash)
    }

    /// Three hashes that begin alike, two of them in one block.
    #[test]
    fn hashes_that_begin_alike_are_all_found() {
        let mut table = table("transactions");
        let blocks = [
            (5, vec![(hash(1, 1), 300), (hash(1, 2), 2), (hash(2, 1), 0)]),
            (1 << 33, vec![(hash(1, 3), 7)]),
        ];
        let blocks = blocks.each_ref();
        let blocks = blocks
            .iter()
            .map(|(height, places)| (*height, places.as_slice()));
        put_places(&mut table, blocks).unwrap();
        let found = |table: &_, hash, last| places_of(table, &hash, last).unwrap();
        for last in [1, 2, 3, 9] {
            let places = found(&table, hash(1, last), (1 << 40) - 1);
            assert_eq!(places, [(1 << 33, 7), (5, 2), (5, 300)]);
            assert_eq!(found(&table, hash(1, last), 6), [(5, 2), (5, 300)]);
        }
        assert_eq!(found(&table, hash(2, 1), 5), [(5, 0)]);
        assert_eq!(found(&table, hash(2, 1), 4), []);
        remove_places(&mut table, 5, [hash(1, 1), hash(1, 2)].iter()).unwrap();
        assert_eq!(found(&table, hash(1, 1), 1 << 34), [(1 << 33, 7)]);
        assert_eq!(found(&table, hash(2, 9), 5), [(5, 0)]);
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        let key = place_key(&hash(1, 1), 9);
        assert_eq!(read_places(&key, &[4, 0x80, 1]), Ok((9, vec![4, 128])));
        assert!(read_places(&key, &[]).is_err());
        assert!(read_places(&key, &[4, 0x80]).is_err());
        assert!(read_places(&key, &[255, 255, 255, 255, 31]).is_err());
        assert!(read_places(&key[1..], &[4]).is_err());
    }
}
