//! Change sets and receipts in pieces: the encoding refuses lists above 4 MiB in memory, and a
//! worst-case block has more. Each piece stays below about 1 MiB.
//!
//! A piece is the number of pieces (u32, little-endian) and the encoding of its part, so that a
//! missing one is noticed.

use std::mem::size_of_val;

use chain::{ChangeSet, Log, Receipt, codec, execution::CodeAdded};

/// A piece is closed when its parts have this many bytes in memory. A single part may be larger:
/// the gas limit of a transaction keeps it below the encoding's limit.
const PIECE_BYTES: usize = 1024 * 1024;

/// The pieces of a change set; at least one.
pub fn split_changes(changes: &ChangeSet) -> Vec<Vec<u8>> {
    let mut pieces = vec![ChangeSet::default()];
    let mut room = Room::default();
    for change in &changes.accounts {
        let piece = room.piece(&mut pieces, size_of_val(change));
        piece.accounts.push(change.clone());
    }
    for change in &changes.slots {
        let piece = room.piece(&mut pieces, size_of_val(change));
        piece.slots.push(change.clone());
    }
    for code in &changes.codes {
        let piece = room.piece(&mut pieces, code_size(code));
        piece.codes.push(code.clone());
    }
    number(pieces.iter().map(codec::encode).collect())
}

/// The change set of these pieces, in order.
pub fn join_changes(pieces: &[Vec<u8>]) -> Result<ChangeSet, String> {
    let mut whole = ChangeSet::default();
    for part in denumber(pieces)? {
        let part: ChangeSet = codec::decode(part)?;
        whole.accounts.extend(part.accounts);
        whole.slots.extend(part.slots);
        whole.codes.extend(part.codes);
    }
    Ok(whole)
}

/// The pieces of a block's receipts; at least one.
pub fn split_receipts(receipts: &[Receipt]) -> Vec<Vec<u8>> {
    let mut pieces = vec![Vec::new()];
    let mut room = Room::default();
    for receipt in receipts {
        room.piece(&mut pieces, receipt_size(receipt))
            .push(receipt.clone());
    }
    number(pieces.iter().map(codec::encode).collect())
}

/// The receipts of these pieces, in order.
pub fn join_receipts(pieces: &[Vec<u8>]) -> Result<Vec<Receipt>, String> {
    let mut whole = Vec::new();
    for part in denumber(pieces)? {
        let part: Vec<Receipt> = codec::decode(part)?;
        whole.extend(part);
    }
    Ok(whole)
}

/// How full the last piece is.
#[derive(Default)]
struct Room(usize);

impl Room {
    /// The piece that takes a part of this size.
    fn piece<'a, P: Default>(&mut self, pieces: &'a mut Vec<P>, size: usize) -> &'a mut P {
        if self.0 > 0 && self.0 + size > PIECE_BYTES {
            pieces.push(P::default());
            self.0 = 0;
        }
        self.0 += size;
        pieces.last_mut().expect("there is always one piece")
    }
}

fn code_size(code: &CodeAdded) -> usize {
    size_of_val(code) + code.bytes.len()
}

fn receipt_size(receipt: &Receipt) -> usize {
    let log_size =
        |log: &Log| size_of_val(log) + size_of_val(log.topics.as_slice()) + log.data.len();
    size_of_val(receipt) + receipt.logs.iter().map(log_size).sum::<usize>()
}

fn number(parts: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let count = u32::try_from(parts.len()).expect("a block has fewer than 2^32 pieces");
    let with_count = |part: Vec<u8>| [count.to_le_bytes().as_slice(), &part].concat();
    parts.into_iter().map(with_count).collect()
}

fn denumber(pieces: &[Vec<u8>]) -> Result<Vec<&[u8]>, String> {
    let mut parts = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let (count, part) = piece
            .split_first_chunk()
            .ok_or("a piece without its number")?;
        let want = u32::from_le_bytes(*count);
        if usize::try_from(want) != Ok(pieces.len()) {
            return Err(format!(
                "{want} pieces were written, {} are there",
                pieces.len()
            ));
        }
        parts.push(part);
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use chain::{
        Account,
        execution::{AccountChange, SlotChange},
    };

    use super::*;

    #[test]
    fn a_worst_case_block_comes_back() {
        let account = Account {
            nonce: 1,
            balance: u128::MAX,
            code_hash: Some([7; 32]),
        };
        let account_change = AccountChange {
            address: [1; 20],
            old: Some(account.clone()),
            new: Some(account),
        };
        let slot = SlotChange {
            address: [1; 20],
            slot: [2; 32],
            old: [3; 32],
            new: [4; 32],
        };
        let changes = ChangeSet {
            accounts: vec![account_change; 40_000],
            slots: vec![slot; 60_000],
            codes: vec![
                CodeAdded {
                    hash: [5; 32],
                    bytes: vec![0xfe; 24_576]
                };
                600
            ],
        };
        let pieces = split_changes(&changes);
        assert!(pieces.len() > 20);
        assert!(
            pieces
                .iter()
                .all(|piece| piece.len() <= PIECE_BYTES + 1_024)
        );
        assert_eq!(join_changes(&pieces), Ok(changes));
    }

    #[test]
    fn receipts_of_large_logs_and_of_many_logs_come_back() {
        let log = |topics, data| Log {
            address: [1; 20],
            topics,
            data: vec![9; data],
        };
        let receipt = |logs| Receipt {
            tx_type: 2,
            success: true,
            cumulative_gas: 1,
            logs,
        };
        let receipts = vec![
            receipt(vec![log(Vec::new(), 2 * 1024 * 1024)]),
            // As many empty logs as a transaction's gas can buy at 375 each.
            receipt(vec![log(Vec::new(), 0); 44_739]),
            receipt(vec![log(vec![[1; 32]; 4], 10); 8_000]),
        ];
        let pieces = split_receipts(&receipts);
        assert_eq!(pieces.len(), 3);
        assert_eq!(join_receipts(&pieces), Ok(receipts));
        let many = vec![receipt(Vec::new()); 100_000];
        assert_eq!(join_receipts(&split_receipts(&many)), Ok(many));
    }

    #[test]
    fn nothing_makes_one_piece_and_missing_pieces_are_noticed() {
        assert_eq!(join_receipts(&split_receipts(&[])), Ok(Vec::new()));
        assert_eq!(
            join_changes(&split_changes(&ChangeSet::default())),
            Ok(ChangeSet::default())
        );
        let bytes = vec![0; 900_000];
        let codes = vec![
            CodeAdded {
                hash: [0; 32],
                bytes
            };
            3
        ];
        let pieces = split_changes(&ChangeSet {
            codes,
            ..ChangeSet::default()
        });
        assert_eq!(pieces.len(), 3);
        assert!(join_changes(&pieces[..2]).is_err());
        assert!(join_changes(&[Vec::new()]).is_err());
        assert!(join_changes(&[vec![1, 0, 0, 0, 255]]).is_err());
    }
}
