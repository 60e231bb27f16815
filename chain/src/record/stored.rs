//! What a store holds of a block, as far as the core ever reads it: where a recording starts.
//!
//! Whoever reads it back checks its header; the node that is opened on it compares the head's state
//! root. Receipts and histories, which only readers ask for, are left out.

use std::sync::Arc;

use wincode::{SchemaReadOwned, SchemaWrite, config::DefaultConfig};

use super::{
    RecordError,
    bytes::{Reader, Writer, malformed},
};
use crate::{
    block::Body,
    codec,
    execution::ChangeSet,
    header::Header,
    store::{Batch, BlockId, ExecutedBlock, Stage},
};

/// A block as a store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its header.
    pub header: Arc<Header>,
    /// How far it has come.
    pub stage: Stage,
    /// Its transactions, if they are here.
    pub body: Option<Arc<Body>>,
    /// What it changed, if it was executed.
    pub changes: Option<Arc<ChangeSet>>,
}

impl Stored {
    /// The block's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.bytes(&self.header.encode());
        out.u8(match self.stage {
            Stage::Header => 0,
            Stage::Body => 1,
            Stage::Executed => 2,
            Stage::Invalid => 3,
        });
        out.option(self.body.as_ref(), |out, body| out.bytes(&body.encode()));
        out.option(self.changes.as_ref(), |out, it| changes(out, it));
        out.finish()
    }

    /// Reads exactly one block, which has what its stage says.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new(bytes);
        let stored = Self {
            header: Arc::new(Header::decode(reader.bytes()?).map_err(malformed)?),
            stage: read_stage(&mut reader)?,
            body: reader.option(read_body)?.map(Arc::new),
            changes: reader.option(read_changes)?.map(Arc::new),
        };
        reader.finish()?;
        match (stored.stage, &stored.body, &stored.changes) {
            (Stage::Header, None, None)
            | (Stage::Body, Some(_), None)
            | (Stage::Executed, Some(_), Some(_))
            | (Stage::Invalid, _, None) => Ok(stored),
            _ => Err(malformed(
                "a block's stage does not fit what is there of it",
            )),
        }
    }

    /// Height and hash.
    pub fn id(&self) -> BlockId {
        BlockId {
            height: self.header.extension.height,
            hash: self.header.hash(),
        }
    }

    /// The writes that put it into a store which holds its parent.
    pub fn batch(&self) -> Batch {
        let id = self.id();
        let body = self.body.iter().map(|body| (id, Arc::clone(body)));
        let executed = self.changes.iter().map(|changes| ExecutedBlock {
            id,
            changes: Arc::clone(changes),
            receipts: Arc::default(),
            parties: Arc::default(),
        });
        let invalid = (self.stage == Stage::Invalid).then_some(id);
        Batch {
            headers: vec![Arc::clone(&self.header)],
            bodies: body.collect(),
            executed: executed.collect(),
            invalid: invalid.into_iter().collect(),
            ..Batch::default()
        }
    }
}

/// All that a block changes; each item by itself, since the codec limits lists.
pub fn changes(out: &mut Writer, changes: &ChangeSet) {
    items(out, &changes.accounts);
    items(out, &changes.slots);
    items(out, &changes.codes);
}

fn items<T: SchemaWrite<DefaultConfig, Src = T>>(out: &mut Writer, items: &[T]) {
    out.list(items, |out, item| out.bytes(&codec::encode(item)));
}

fn read_items<T>(reader: &mut Reader<'_>) -> Result<Vec<T>, RecordError>
where
    T: SchemaReadOwned<DefaultConfig, Dst = T>,
{
    reader.list(|reader| codec::decode(reader.bytes()?).map_err(malformed))
}

fn read_changes(reader: &mut Reader<'_>) -> Result<ChangeSet, RecordError> {
    Ok(ChangeSet {
        accounts: read_items(reader)?,
        slots: read_items(reader)?,
        codes: read_items(reader)?,
    })
}

fn read_body(reader: &mut Reader<'_>) -> Result<Body, RecordError> {
    Body::decode(reader.bytes()?).map_err(malformed)
}

fn read_stage(reader: &mut Reader<'_>) -> Result<Stage, RecordError> {
    match reader.u8()? {
        0 => Ok(Stage::Header),
        1 => Ok(Stage::Body),
        2 => Ok(Stage::Executed),
        3 => Ok(Stage::Invalid),
        other => Err(malformed(format!("no stage has the number {other}"))),
    }
}
