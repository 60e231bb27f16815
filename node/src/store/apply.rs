//! A batch as writes to the log's tables.

use chain::{Batch, BlockId, Header, Stage};

use super::{
    history::encode_parties,
    pieces::{split_changes, split_receipts},
    tables::{WriteTables, block_key, encode_record, piece_key},
    trouble::Trouble,
};

/// Applies a batch in the order of its fields. A second time it changes nothing.
pub fn apply(tables: &mut WriteTables<'_>, batch: &Batch) -> Result<(), Trouble> {
    for header in &batch.headers {
        add_header(tables, header)?;
    }
    for (id, body) in &batch.bodies {
        set_stage(tables, id, |stage| stage.max(Stage::Body))?;
        tables.bodies.put(&block_key(id), &body.encode())?;
    }
    for id in &batch.dropped {
        set_stage(tables, id, |_| Stage::Header)?;
        tables.bodies.remove(&block_key(id))?;
    }
    for block in &batch.executed {
        set_stage(tables, &block.id, |_| Stage::Executed)?;
        for (number, piece) in (0..).zip(split_changes(&block.changes)) {
            tables.changes.put(&piece_key(&block.id, number), &piece)?;
        }
        for (number, piece) in (0..).zip(split_receipts(&block.receipts)) {
            tables.receipts.put(&piece_key(&block.id, number), &piece)?;
        }
        let parties = encode_parties(&block.parties, &block.changes);
        tables.parties.put(&block_key(&block.id), &parties)?;
    }
    for id in &batch.invalid {
        set_stage(tables, id, |_| Stage::Invalid)?;
    }
    for (height, hash) in &batch.canonical {
        let key = height.to_be_bytes();
        match hash {
            Some(hash) => tables.canonical.put(&key, &hash.0)?,
            None => tables.canonical.remove(&key)?,
        }
    }
    if let Some(head) = &batch.head {
        tables.facts.put(b"head", &block_key(head))?;
    }
    for (hash, change) in &batch.pooled {
        match change {
            Some(transaction) => tables.pool.put(&hash.0, transaction.bytes())?,
            None => tables.pool.remove(&hash.0)?,
        }
    }
    for (hash, change) in &batch.departed {
        match change {
            Some(departure) => tables.departed.put(&hash.0, &departure.encode())?,
            None => tables.departed.remove(&hash.0)?,
        }
    }
    Ok(())
}

/// A header that is known already keeps its stage.
fn add_header(tables: &mut WriteTables<'_>, header: &Header) -> Result<(), Trouble> {
    let id = BlockId {
        height: header.extension.height,
        hash: header.hash(),
    };
    if tables.heights.get(&id.hash.0)?.is_some() {
        return Ok(());
    }
    tables.heights.put(&id.hash.0, &id.height.to_be_bytes())?;
    tables
        .headers
        .put(&block_key(&id), &encode_record(header, Stage::Header))
}

fn set_stage(
    tables: &mut WriteTables<'_>,
    id: &BlockId,
    change: impl FnOnce(Stage) -> Stage,
) -> Result<(), Trouble> {
    if tables.id(&id.hash)? != Some(*id) {
        let wanted = format!("no header for block {} {}", id.height, id.hash);
        return Err(tables.heights.damaged(&id.hash.0, &wanted));
    }
    let (header, stage) = tables.record(id)?;
    let next = change(stage);
    if next == stage {
        return Ok(());
    }
    tables
        .headers
        .put(&block_key(id), &encode_record(&header, next))
}
