//! Long values in pieces that fill the engine's pages.
//!
//! redb gives a value that is longer than a page a run of pages, a power of two of them: an
//! ordinary full block's body would take half as much again. So a value is cut into pieces that
//! fill such runs, the largest first; the last one fills its run too, or is shorter than a page.
//! Every piece has a seal of its own, and the first begins with the length of the whole (u64,
//! little-endian), so that a piece that is missing, or one too many, is noticed. Used by `apply`
//! for all that the log has by block, and by whoever reads it.

use std::ops::{Bound, ControlFlow};

use chain::store::BlockId;

use super::{
    kv::{Order, Put, Scan},
    named::Named,
    seal::CHECKSUM_BYTES,
    tables::{PIECE_KEY_BYTES, block_key, piece_key},
    trouble::Trouble,
};

/// Bytes of redb's page.
const PAGE_BYTES: usize = 4_096;
/// What redb keeps beside key and value on a page with one entry: a header and where both end.
const ENTRY_BYTES: usize = 12;
/// What of a piece's pages is not the value's.
const OVERHEAD_BYTES: usize = ENTRY_BYTES + PIECE_KEY_BYTES + CHECKSUM_BYTES;
/// Pages of the longest piece (1 MiB): a hole for a longer one is hard to find in a file.
const PAGES_MAX: usize = 256;

/// Writes a block's value. As often as one likes, since all that is written here follows from the
/// block and is the same each time: a shorter one would leave pieces of the longer.
pub fn put_long(table: &mut Named<impl Put>, id: &BlockId, value: &[u8]) -> Result<(), Trouble> {
    let length = u64::try_from(value.len()).expect("a value is in memory");
    let whole = [length.to_le_bytes().as_slice(), value].concat();
    for (number, piece) in (0..).zip(cut(&whole)) {
        table.put(&piece_key(id, number), piece)?;
    }
    Ok(())
}

/// A block's value, if there is one.
pub fn get_long<T: Scan>(table: &Named<T>, id: &BlockId) -> Result<Option<Vec<u8>>, Trouble> {
    let (first, last) = (piece_key(id, 0), piece_key(id, u32::MAX));
    let range = (Bound::Included(&first[..]), Bound::Included(&last[..]));
    let (mut whole, mut next) = (Vec::new(), 0);
    table.visit(range, Order::Rising, |key, piece| {
        if key != piece_key(id, next) {
            return Err(format!("piece {next} is missing"));
        }
        next += 1;
        whole.extend_from_slice(piece);
        Ok(ControlFlow::Continue(()))
    })?;
    if next == 0 {
        return Ok(None);
    }
    let damaged = |reason: &str| table.damaged(&block_key(id), reason);
    let Some(length) = whole.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)) else {
        return Err(damaged("it has no length"));
    };
    whole.drain(..size_of::<u64>());
    if u64::try_from(whole.len()) != Ok(length) {
        let reason = format!("{length} bytes were written, {} are there", whole.len());
        return Err(damaged(&reason));
    }
    Ok(Some(whole))
}

/// Removes a block's value, if there is one.
pub fn remove_long(table: &mut Named<impl Put>, id: &BlockId) -> Result<(), Trouble> {
    for number in 0.. {
        let key = piece_key(id, number);
        if !table.has(&key)? {
            break;
        }
        table.remove(&key)?;
    }
    Ok(())
}

/// The pieces of some bytes; at least one.
fn cut(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    loop {
        let (piece, rest) = bytes.split_at(piece_bytes(bytes.len()));
        pieces.push(piece);
        if rest.is_empty() {
            return pieces;
        }
        bytes = rest;
    }
}

/// How much of what is left the next piece takes.
fn piece_bytes(left: usize) -> usize {
    let pages = (left + OVERHEAD_BYTES) / PAGE_BYTES;
    match pages.min(PAGES_MAX).checked_ilog2() {
        Some(exponent) => (PAGE_BYTES << exponent) - OVERHEAD_BYTES,
        None => left,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::table::table, *};

    fn id(height: u64) -> BlockId {
        BlockId {
            height,
            ..BlockId::default()
        }
    }

    /// Lengths around what one, two and more pages take.
    fn lengths() -> Vec<usize> {
        let full = |pages: usize| pages * PAGE_BYTES - OVERHEAD_BYTES - size_of::<u64>();
        let ends = [1, 2, 3, 4, 256, 257].map(full);
        let around = ends.into_iter().flat_map(|end| [end - 1, end, end + 1]);
        [0, 1, 5_700, 171_234, 3_000_000]
            .into_iter()
            .chain(around)
            .collect()
    }

    #[test]
    fn values_come_back_and_go_as_a_whole() {
        for length in lengths() {
            let mut table = table("bodies");
            let value: Vec<u8> = (0..=250).cycle().take(length).collect();
            for (height, value) in [(6, &b"before"[..]), (7, &value), (8, b"after")] {
                put_long(&mut table, &id(height), value).unwrap();
            }
            assert_eq!(get_long(&table, &id(7)), Ok(Some(value.clone())));
            put_long(&mut table, &id(7), &value).unwrap();
            assert_eq!(get_long(&table, &id(7)), Ok(Some(value)));
            remove_long(&mut table, &id(7)).unwrap();
            assert_eq!(get_long(&table, &id(7)), Ok(None));
            assert_eq!(get_long(&table, &id(6)), Ok(Some(b"before".to_vec())));
            assert_eq!(get_long(&table, &id(8)), Ok(Some(b"after".to_vec())));
            assert_eq!(table.count(), Ok(2));
        }
    }

    /// All but the last fill their pages to the last byte, and no more are needed than with pages
    /// of one size.
    #[test]
    fn pieces_fill_their_pages() {
        for length in lengths() {
            let bytes = vec![1; length];
            let pieces = cut(&bytes);
            assert_eq!(pieces.concat(), bytes);
            let (last, full) = pieces.split_last().unwrap();
            assert!(last.len() + OVERHEAD_BYTES <= PAGE_BYTES * PAGES_MAX);
            for piece in full {
                let used = piece.len() + OVERHEAD_BYTES;
                assert!(used.is_multiple_of(PAGE_BYTES) && (used / PAGE_BYTES).is_power_of_two());
            }
            assert!(full.len() <= 8 + length / (PAGES_MAX * PAGE_BYTES - OVERHEAD_BYTES));
        }
    }

    #[test]
    fn a_piece_that_is_missing_or_too_many_is_noticed() {
        let value = vec![3; 30_000];
        let mut whole = table("bodies");
        put_long(&mut whole, &id(7), &value).unwrap();
        let keys = whole.keys_after(None, 9).unwrap();
        assert!(keys.len() > 2);
        for key in &keys {
            let piece = whole.get(key).unwrap().unwrap();
            whole.remove(key).unwrap();
            let error = get_long(&whole, &id(7)).unwrap_err();
            assert!(matches!(error, Trouble::Damaged(text) if text.contains("table bodies")));
            whole.put(key, &piece).unwrap();
        }
        assert_eq!(get_long(&whole, &id(7)), Ok(Some(value)));
        let next = u32::try_from(keys.len()).unwrap();
        whole.put(&piece_key(&id(7), next), b"more").unwrap();
        assert!(get_long(&whole, &id(7)).is_err());
        // As many bytes as there were, one of the pieces in another's place.
        let piece = whole.get(&keys[1]).unwrap().unwrap();
        whole.remove(&keys[1]).unwrap();
        whole.put(&piece_key(&id(7), next), &piece).unwrap();
        assert!(get_long(&whole, &id(7)).is_err());
    }
}
