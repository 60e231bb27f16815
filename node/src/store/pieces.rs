//! Large values in pieces: change sets and receipts are split before they are encoded.
//!
//! The encoding refuses lists above 4 MiB in memory, on writing too, so no piece comes near that.

use chain::{ChangeSet, Receipt, codec};

/// A piece is closed once it holds about this many bytes.
const PIECE_BYTES: usize = 1 << 20;

/// The pieces of a change set, at least one.
pub fn split_changes(changes: &ChangeSet) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    let mut open = ChangeSet::default();
    let mut bytes = 0;
    let mut close_if_full = |open: &mut ChangeSet, bytes: &mut usize, more: usize| {
        *bytes += more;
        if *bytes >= PIECE_BYTES {
            pieces.push(codec::encode(&std::mem::take(open)));
            *bytes = 0;
        }
    };
    for account in &changes.accounts {
        open.accounts.push(account.clone());
        close_if_full(&mut open, &mut bytes, size_of_val(account));
    }
    for slot in &changes.slots {
        open.slots.push(slot.clone());
        close_if_full(&mut open, &mut bytes, size_of_val(slot));
    }
    for code in &changes.codes {
        open.codes.push(code.clone());
        close_if_full(&mut open, &mut bytes, size_of_val(code) + code.bytes.len());
    }
    if bytes > 0 || pieces.is_empty() {
        pieces.push(codec::encode(&open));
    }
    pieces
}

/// Joins the pieces of a change set.
pub fn join_changes(pieces: &[Vec<u8>]) -> Result<ChangeSet, String> {
    let mut whole = ChangeSet::default();
    for piece in pieces {
        let piece: ChangeSet = codec::decode(piece)?;
        whole.accounts.extend(piece.accounts);
        whole.slots.extend(piece.slots);
        whole.codes.extend(piece.codes);
    }
    Ok(whole)
}

/// The pieces of a block's receipts, at least one.
pub fn split_receipts(receipts: &[Receipt]) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    let mut open: Vec<Receipt> = Vec::new();
    let mut bytes = 0;
    for receipt in receipts {
        bytes += receipt_bytes(receipt);
        open.push(receipt.clone());
        if bytes >= PIECE_BYTES {
            pieces.push(codec::encode(&std::mem::take(&mut open)));
            bytes = 0;
        }
    }
    if !open.is_empty() || pieces.is_empty() {
        pieces.push(codec::encode(&open));
    }
    pieces
}

/// Joins the pieces of a block's receipts.
pub fn join_receipts(pieces: &[Vec<u8>]) -> Result<Vec<Receipt>, String> {
    let mut whole = Vec::new();
    for piece in pieces {
        whole.extend(codec::decode::<Vec<Receipt>>(piece)?);
    }
    Ok(whole)
}

fn receipt_bytes(receipt: &Receipt) -> usize {
    let logs = receipt.logs.iter();
    64 + logs
        .map(|log| 128 + 32 * log.topics.len() + log.data.len())
        .sum::<usize>()
}
