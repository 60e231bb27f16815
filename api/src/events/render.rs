//! Events as text: the frames of `text/event-stream`.

use std::collections::BTreeSet;

use chain::{BlockHash, BlockId, Reader, StoreError, transaction::hash_of};
use serde::Serialize;

use super::{
    id::Id,
    journal::{Entry, Event, Move},
    kinds::{Kind, Kinds},
};
use crate::{
    limits::{REORG_BYTES_MAX, REORG_TRANSACTIONS_MAX},
    view::{
        BlockEventJson, ForkEventJson, GapEventJson, HeadEventJson, HeadJson, PeerEventJson,
        ReorgEventJson, ReorgTransactions, ResetEventJson, TransactionEventJson,
    },
};

/// Why a listener has to read again.
#[derive(Clone, Copy, Debug)]
pub enum Reset {
    /// Its id is not one of ours, or names a block that is not known.
    UnknownId,
    /// More blocks lie between than are told one by one.
    TooLong,
    /// It did not read for so long that the journal has forgotten what comes next.
    TooSlow,
}

/// A frame that only moves the listener's id, and keeps the connection in use.
pub fn quiet(id: &Id) -> String {
    format!(": here\nid: {id}\n\n")
}

/// The first frame: how soon to come back after a break, and where the stream begins.
pub fn greeting(id: &Id) -> String {
    format!("retry: 1000\nid: {id}\n\n")
}

/// A frame that says to read again.
pub fn reset(reason: Reset, head: BlockId, id: &Id) -> String {
    let data = ResetEventJson {
        reason: match reason {
            Reset::UnknownId => "unknown_id",
            Reset::TooLong => "too_long",
            Reset::TooSlow => "too_slow",
        },
        reread: ["/v1/status", "/v1/blocks", "/v1/forest"],
        head: HeadJson::of(head),
    };
    frame("reset", &data, id)
}

/// A frame that says which events may be missing.
pub fn gap(lost: Vec<&'static str>, head: BlockId, id: &Id) -> String {
    let head = HeadJson::of(head);
    frame("gap", &GapEventJson { lost, head }, id)
}

/// One part of an entry, unless its kind is not wanted.
pub fn part(
    entry: &Entry,
    part: usize,
    kinds: Kinds,
    id: &Id,
    reader: &dyn Reader,
) -> Result<Option<String>, StoreError> {
    let head = entry.head;
    let wanted = |kind: Kind| kinds.has(kind).then_some(kind.name());
    let text = match &entry.event {
        Event::Moved(moved) => return part_of_move(moved, part, kinds, (head, id), reader),
        Event::Block { block, parent } => wanted(Kind::Block)
            .map(|name| frame(name, &BlockEventJson::new(*block, *parent, head), id)),
        Event::Transactions { hashes, arrival } => wanted(Kind::Transaction)
            .zip(hashes.get(part))
            .map(|(name, hash)| frame(name, &TransactionEventJson::new(*hash, *arrival, head), id)),
        Event::Fork {
            block,
            rival,
            behind,
        } => wanted(Kind::Fork).map(|name| {
            let data = ForkEventJson::new(*block, *rival, *behind, head);
            frame(name, &data, id)
        }),
        Event::Peer {
            id: peer,
            address,
            inbound,
            change,
        } => wanted(Kind::Peer).map(|name| {
            let data = PeerEventJson::new((peer, address), *inbound, *change, head);
            frame(name, &data, id)
        }),
    };
    Ok(text)
}

/// One part of a move: the reorg, or one of the blocks that joined.
pub fn part_of_move(
    moved: &Move,
    part: usize,
    kinds: Kinds,
    (head, id): (BlockId, &Id),
    reader: &dyn Reader,
) -> Result<Option<String>, StoreError> {
    let Some(at) = part.checked_sub(usize::from(moved.is_reorg())) else {
        if !kinds.has(Kind::ChainReorg) {
            return Ok(None);
        }
        let transactions = reorg_transactions(moved, reader)?;
        let data = ReorgEventJson::new(moved, &transactions, head);
        return Ok(Some(frame(Kind::ChainReorg.name(), &data, id)));
    };
    if !moved.is_whole() {
        return Ok(Some(reset(Reset::TooLong, head, id)));
    }
    let joined = moved.joined.get(at).filter(|_| kinds.has(Kind::Head));
    Ok(joined.map(|joined| {
        let data = HeadEventJson::new(moved, joined, head);
        frame(Kind::Head.name(), &data, id)
    }))
}

/// Reads which transactions a reorg undid, and which of them it did again.
fn reorg_transactions(moved: &Move, reader: &dyn Reader) -> Result<ReorgTransactions, StoreError> {
    let mut undone = Hashes::default();
    for block in moved.left.iter().rev() {
        undone.read(reader, &block.hash)?;
    }
    let mut joined = Hashes::default();
    if !undone.hashes.is_empty() {
        for block in &moved.joined {
            joined.read(reader, &block.id.hash)?;
        }
    }
    let on_new: BTreeSet<_> = joined.hashes.iter().collect();
    let redone = undone.hashes.iter().filter(|hash| on_new.contains(hash));
    Ok(ReorgTransactions {
        redone: redone.copied().collect(),
        undone_count: undone.count,
        is_whole: !undone.is_cut && !joined.is_cut,
        undone: undone.hashes,
    })
}

/// Transaction hashes of blocks, up to a bound on them and on the bytes that are read.
#[derive(Default)]
struct Hashes {
    hashes: Vec<chain::TxHash>,
    count: u64,
    bytes: u64,
    is_cut: bool,
}

impl Hashes {
    fn read(&mut self, reader: &dyn Reader, block: &BlockHash) -> Result<(), StoreError> {
        let Some(header) = reader.header(block)? else {
            return Ok(());
        };
        let count = header.extension.transaction_count;
        self.count += u64::from(count);
        if count == 0 {
            return Ok(());
        }
        self.bytes += u64::from(header.extension.body_bytes);
        let body = if self.is_cut || self.bytes > REORG_BYTES_MAX {
            None
        } else {
            reader.body(block)?
        };
        let Some(body) = body else {
            self.is_cut = true;
            return Ok(());
        };
        let room = REORG_TRANSACTIONS_MAX - self.hashes.len();
        self.is_cut = body.0.len() > room;
        let hashes = body.0.iter().take(room).map(|bytes| hash_of(bytes));
        self.hashes.extend(hashes);
        Ok(())
    }
}

fn frame(name: &str, data: &impl Serialize, id: &Id) -> String {
    // Of our own structs, which are all texts and numbers.
    let data = serde_json::to_string(data).unwrap_or_default();
    format!("id: {id}\nevent: {name}\ndata: {data}\n\n")
}
