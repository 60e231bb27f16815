//! The tables of the log's file, and what their keys and values mean.
//!
//! Reading is the same for a snapshot and for the transaction that writes. Every value is sealed
//! (`seal`), so a reader gets what was written, or a [`Trouble`].
//!
//! | table | key | value |
//! |---|---|---|
//! | meta | a name (text) | format version; the one value that is not sealed |
//! | facts | a name | genesis hash, network's name, head |
//! | heights | hash | height |
//! | headers | height ‖ hash | header as on the wire ‖ stage |
//! | canonical | height | hash |
//! | bodies | height ‖ hash ‖ number | a piece (`pieces`) of the body as on the wire |
//! | changes, receipts | height ‖ hash ‖ number | a piece of their own encoding (`compact`) |
//! | parties | height ‖ hash ‖ number | a piece of whose the transactions are (`history`) |
//! | pool | a transaction's hash | its encoding |
//! | departed | a transaction's hash | when and why it left the pool |
//!
//! Heights in keys are big-endian, so that keys sort by height and parents come first.

use std::ops::Bound;

use chain::{
    BlockHash, Body, ChangeSet, Header, Receipt,
    history::Parties,
    params::HEADER_WIRE_BYTES,
    store::{BlockId, Stage},
};

use super::{
    compact::{decode_changes, decode_receipts},
    history::decode_parties,
    kv::{Get, ReadTable, Scan, Transaction, Version, WriteTable},
    named::Named,
    pieces::get_long,
    trouble::Trouble,
};

/// Headers by rising key, as far as one look reaches.
pub type HeaderPage = Vec<(BlockId, Header, Stage)>;

/// All tables, as one transaction sees them.
pub struct Tables<T> {
    /// What belongs to the whole store, by name.
    pub facts: Named<T>,
    /// Heights of all known blocks.
    pub heights: Named<T>,
    /// Headers and stages.
    pub headers: Named<T>,
    /// The best chain.
    pub canonical: Named<T>,
    /// Bodies in pieces.
    pub bodies: Named<T>,
    /// Change sets in pieces.
    pub changes: Named<T>,
    /// Receipts in pieces.
    pub receipts: Named<T>,
    /// Whose the transactions are, in pieces.
    pub parties: Named<T>,
    /// The pool's journal.
    pub pool: Named<T>,
    /// The journal of what left the pool.
    pub departed: Named<T>,
}

/// The tables of a snapshot.
pub type ReadTables = Tables<ReadTable>;
/// The tables of the transaction that writes.
pub type WriteTables<'txn> = Tables<WriteTable<'txn>>;

impl<T> Tables<T> {
    fn open(mut table: impl FnMut(&'static str) -> Result<T, Trouble>) -> Result<Self, Trouble> {
        let mut named = |name| Named::open(name, &mut table);
        Ok(Self {
            facts: named("facts")?,
            heights: named("heights")?,
            headers: named("headers")?,
            canonical: named("canonical")?,
            bodies: named("bodies")?,
            changes: named("changes")?,
            receipts: named("receipts")?,
            pool: named("pool")?,
            departed: named("departed")?,
            parties: named("parties")?,
        })
    }
}

impl ReadTables {
    /// As of a version, which they keep alive.
    pub fn read(version: &dyn Version) -> Result<Self, Trouble> {
        Self::open(|name| version.table(name))
    }
}

impl<'txn> WriteTables<'txn> {
    /// As of a write transaction; made where they do not exist.
    pub fn write(transaction: &'txn dyn Transaction) -> Result<Self, Trouble> {
        Self::open(|name| transaction.table(name))
    }
}

impl<T: Get> Tables<T> {
    /// Height and hash of a known block.
    pub fn id(&self, hash: &BlockHash) -> Result<Option<BlockId>, Trouble> {
        let height = self.heights.get_array(&hash.0)?.map(u64::from_be_bytes);
        Ok(height.map(|height| BlockId {
            height,
            hash: *hash,
        }))
    }

    /// Header and stage of a block that is known to be here.
    pub fn record(&self, id: &BlockId) -> Result<(Header, Stage), Trouble> {
        let key = block_key(id);
        let Some(value) = self.headers.get(&key)? else {
            return Err(self.headers.damaged(&key, "it is missing"));
        };
        decode_record(&value, id).map_err(|reason| self.headers.damaged(&key, &reason))
    }
}

impl<T: Scan> Tables<T> {
    /// All transactions of the pool's journal.
    pub fn pooled(&self) -> Result<Vec<Vec<u8>>, Trouble> {
        self.pool.get_all(&[])
    }

    /// All departures from the pool that are to be told.
    pub fn departed(&self) -> Result<Vec<Vec<u8>>, Trouble> {
        self.departed.get_all(&[])
    }

    /// The head.
    pub fn head(&self) -> Result<Option<BlockId>, Trouble> {
        Ok(self
            .facts
            .get_array(b"head")?
            .map(|key: [u8; 40]| id_of(&key)))
    }

    /// The best chain's block at a height.
    pub fn canonical(&self, height: u64) -> Result<Option<BlockHash>, Trouble> {
        Ok(self
            .canonical
            .get_array(&height.to_be_bytes())?
            .map(BlockHash))
    }

    /// Up to `count` headers after a key, parents first.
    pub fn records_after(
        &self,
        last: Option<BlockId>,
        count: usize,
    ) -> Result<HeaderPage, Trouble> {
        let last = last.map(|id| block_key(&id));
        let from = last
            .as_ref()
            .map_or(Bound::Unbounded, |key| Bound::Excluded(key.as_slice()));
        let mut page = Vec::new();
        let range = (from, Bound::Unbounded);
        self.headers.scan(range, count, |key, value| {
            let id = id_of(key.try_into().map_err(|_| "wrong key")?);
            let (header, stage) = decode_record(value, &id)?;
            page.push((id, header, stage));
            Ok(())
        })?;
        Ok(page)
    }

    /// A body, if it is here.
    pub fn body(&self, id: &BlockId) -> Result<Option<Body>, Trouble> {
        let has_none = |stage| matches!(stage, Stage::Header | Stage::Invalid);
        let decode = |value: &[u8]| Body::decode(value).map_err(|error| error.to_string());
        self.long(&self.bodies, id, decode, has_none)
    }

    /// A change set, if the block was executed.
    pub fn changes(&self, id: &BlockId) -> Result<Option<ChangeSet>, Trouble> {
        self.long(&self.changes, id, decode_changes, is_unexecuted)
    }

    /// The receipts, if the block was executed.
    pub fn receipts(&self, id: &BlockId) -> Result<Option<Vec<Receipt>>, Trouble> {
        self.long(&self.receipts, id, decode_receipts, is_unexecuted)
    }

    /// Whose an executed block's transactions are.
    pub fn parties(&self, id: &BlockId, changes: &ChangeSet) -> Result<Parties, Trouble> {
        let key = block_key(id);
        let missing = || self.parties.damaged(&key, "it is missing");
        let value = get_long(&self.parties, id)?.ok_or_else(missing)?;
        decode_parties(&value, changes).map_err(|reason| self.parties.damaged(&key, &reason))
    }

    /// A block's value, or nothing where its stage allows that; a key that was damaged is noticed
    /// by this.
    fn long<V>(
        &self,
        table: &Named<T>,
        id: &BlockId,
        decode: fn(&[u8]) -> Result<V, String>,
        has_none: fn(Stage) -> bool,
    ) -> Result<Option<V>, Trouble> {
        let damaged = |reason: String| table.damaged(&block_key(id), &reason);
        if let Some(value) = get_long(table, id)? {
            return decode(&value).map(Some).map_err(damaged);
        }
        let (_, stage) = self.record(id)?;
        if has_none(stage) {
            Ok(None)
        } else {
            Err(damaged("it is missing".to_owned()))
        }
    }
}

fn is_unexecuted(stage: Stage) -> bool {
    stage != Stage::Executed
}

/// Height (big-endian) and hash.
pub fn block_key(id: &BlockId) -> [u8; 40] {
    let mut key = [0; 40];
    key[..8].copy_from_slice(&id.height.to_be_bytes());
    key[8..].copy_from_slice(&id.hash.0);
    key
}

/// Bytes of the key of a piece.
pub const PIECE_KEY_BYTES: usize = 44;

/// The key of a piece.
pub fn piece_key(id: &BlockId, number: u32) -> [u8; PIECE_KEY_BYTES] {
    let mut key = [0; PIECE_KEY_BYTES];
    key[..40].copy_from_slice(&block_key(id));
    key[40..].copy_from_slice(&number.to_be_bytes());
    key
}

/// The block that a key names.
pub fn id_of(key: &[u8; 40]) -> BlockId {
    let (height, hash) = key.split_first_chunk().expect("40 bytes have 8");
    let hash = hash.try_into().expect("40 bytes without 8 are 32");
    BlockId {
        height: u64::from_be_bytes(*height),
        hash: BlockHash(hash),
    }
}

/// The value of the table of headers.
pub fn encode_record(header: &Header, stage: Stage) -> Vec<u8> {
    let mut value = header.encode();
    value.push(match stage {
        Stage::Header => 0,
        Stage::Body => 1,
        Stage::Executed => 2,
        Stage::Invalid => 3,
    });
    value
}

/// Header and stage of such a value, which must be that of this block.
pub fn decode_record(value: &[u8], id: &BlockId) -> Result<(Header, Stage), String> {
    let Some((bytes, [stage])) = value.split_at_checked(HEADER_WIRE_BYTES) else {
        let want = HEADER_WIRE_BYTES + 1;
        return Err(format!("a record has {want} bytes, got {}", value.len()));
    };
    let header = Header::decode(bytes).map_err(|error| error.to_string())?;
    let found = BlockId {
        height: header.extension.height,
        hash: header.hash(),
    };
    if found != *id {
        return Err(format!(
            "the header is that of block {} {}",
            found.height, found.hash
        ));
    }
    let stage = match stage {
        0 => Stage::Header,
        1 => Stage::Body,
        2 => Stage::Executed,
        3 => Stage::Invalid,
        other => return Err(format!("{other} is no stage")),
    };
    Ok((header, stage))
}
