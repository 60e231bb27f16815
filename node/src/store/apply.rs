//! A batch as writes to the log's tables.

use chain::{Batch, BlockId, Header, Stage};

use super::{
    compact::{encode_changes, encode_receipts},
    history::encode_parties,
    pieces::{put_long, remove_long},
    tables::{WriteTables, block_key, encode_record},
    trouble::Trouble,
};

/// Applies a batch in the order of its fields. A second time it changes nothing.
pub fn apply(tables: &mut WriteTables<'_>, batch: &Batch) -> Result<(), Trouble> {
    for header in &batch.headers {
        add_header(tables, header)?;
    }
    for (id, body) in &batch.bodies {
        set_stage(tables, id, |stage| stage.max(Stage::Body))?;
        put_long(&mut tables.bodies, id, &body.encode())?;
    }
    for id in &batch.dropped {
        set_stage(tables, id, |_| Stage::Header)?;
        remove_long(&mut tables.bodies, id)?;
    }
    for block in &batch.executed {
        set_stage(tables, &block.id, |_| Stage::Executed)?;
        let changes = encode_changes(&block.changes);
        put_long(&mut tables.changes, &block.id, &changes)?;
        let receipts = encode_receipts(&block.receipts);
        put_long(&mut tables.receipts, &block.id, &receipts)?;
        let parties = encode_parties(&block.parties, &block.changes);
        put_long(&mut tables.parties, &block.id, &parties)?;
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
