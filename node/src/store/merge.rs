//! A checkpoint: the flat file goes from one block to another, in one transaction.
//!
//! What several blocks changed is merged first, so that each account and slot is written once,
//! and in the order of the keys. Blocks that left the best chain are undone by their old values.
//! Run by a thread of its own while the log goes on; by the opening thread where the checkpoint
//! is far behind.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chain::{
    Account, Address, BlockId, ChangeSet, TxHash,
    execution::{AccountChange, SlotChange},
    transaction::hash_of,
};

use super::{
    engine::Engine,
    flat::{ReadFlat, SlotKey, WriteFlat, encode_account, past_account_key, past_slot_key},
    founding::{Located, in_flat, in_log},
    history::{Rows, put_rows, rows_below},
    places::{put_places, remove_places},
    recent::{RecentBlock, body_of, changes_of},
    tables::ReadTables,
    trouble::{Trouble, guard},
};

/// How far back the state can be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// As far as the window of recent blocks.
    #[default]
    Window,
    /// To any block: checkpoints also keep what was before each change.
    Archive,
}

/// The way that a checkpoint goes.
#[derive(Debug)]
pub struct Merge {
    /// Blocks to undo, downwards.
    pub undone: Vec<BlockId>,
    /// Blocks to redo, upwards.
    pub redone: Vec<Arc<RecentBlock>>,
    /// Where it ends.
    pub target: BlockId,
    /// Whether the past is kept.
    pub reach: Reach,
}

/// What all of its blocks change together.
#[derive(Default)]
struct Sum {
    accounts: BTreeMap<[u8; 20], Option<Account>>,
    slots: BTreeMap<SlotKey, [u8; 32]>,
    /// By hash: the change set that has the code, and where in it.
    codes: BTreeMap<[u8; 32], (Arc<ChangeSet>, usize)>,
}

impl Sum {
    fn undo(&mut self, changes: &ChangeSet) {
        for change in &changes.accounts {
            self.accounts.insert(change.address, change.old.clone());
        }
        for change in &changes.slots {
            self.slots.insert((change.address, change.slot), change.old);
        }
    }

    fn redo(&mut self, changes: &Arc<ChangeSet>) {
        for change in &changes.accounts {
            self.accounts.insert(change.address, change.new.clone());
        }
        for change in &changes.slots {
            self.slots.insert((change.address, change.slot), change.new);
        }
        for (at, code) in changes.codes.iter().enumerate() {
            self.codes.insert(code.hash, (Arc::clone(changes), at));
        }
    }
}

/// A block that is undone, as the log has it.
struct Undone {
    height: u64,
    changes: ChangeSet,
    hashes: Vec<TxHash>,
    accounts: BTreeSet<Address>,
}

impl Undone {
    fn read(log: &ReadTables, id: &BlockId) -> Result<Self, Trouble> {
        let changes = changes_of(log, id)?;
        let body = body_of(log, id)?;
        Ok(Self {
            height: id.height,
            hashes: body.0.iter().map(|bytes| hash_of(bytes)).collect(),
            accounts: log.parties(id, &changes)?.into_keys().collect(),
            changes,
        })
    }
}

/// What becomes of the rows of blocks that are undone.
fn rows_without(flat: &Engine, undone: &[Undone]) -> Result<Rows, Trouble> {
    let Some(lowest) = undone.iter().map(|block| block.height).min() else {
        return Ok(Vec::new());
    };
    let accounts: BTreeSet<_> = undone.iter().flat_map(|block| &block.accounts).collect();
    let version = flat.read()?;
    let tables = guard(|| ReadFlat::read(&*version))?;
    let rows = accounts.into_iter();
    let rows = rows.map(|account| guard(|| rows_below(&tables.history, account, lowest)));
    Ok(rows.collect::<Result<Vec<_>, _>>()?.concat())
}

impl Merge {
    /// Carries it out; durable as a whole when this returns. What is wrong may be in either file.
    pub fn run(&self, flat: &Engine, log: &ReadTables) -> Result<(), Located> {
        let mut sum = Sum::default();
        let mut undone = Vec::new();
        for id in &self.undone {
            let block = guard(|| Undone::read(log, id)).map_err(in_log)?;
            sum.undo(&block.changes);
            undone.push(block);
        }
        let rows = rows_without(flat, &undone).map_err(in_flat)?;
        for block in &self.redone {
            sum.redo(&block.changes);
        }
        let written = flat.write(|transaction| {
            let mut tables = WriteFlat::write(transaction)?;
            put_sum(&mut tables, &sum)?;
            remove_index(&mut tables, &undone, &rows)?;
            self.put_index(&mut tables)?;
            if self.reach == Reach::Archive {
                self.put_past(&mut tables, &undone)?;
            }
            tables.set_checkpoint(&self.target)
        });
        written.map_err(in_flat)
    }

    fn put_index(&self, tables: &mut WriteFlat<'_>) -> Result<(), Trouble> {
        let blocks = || self.redone.iter();
        let places = blocks().map(|block| (block.id.height, block.places.as_slice()));
        put_places(&mut tables.transactions, places)?;
        let parties = blocks().map(|block| (block.id.height, &*block.parties));
        put_rows(&mut tables.history, parties)
    }

    fn put_past(&self, tables: &mut WriteFlat<'_>, undone: &[Undone]) -> Result<(), Trouble> {
        for block in undone {
            for change in &block.changes.accounts {
                let key = past_account_key(&change.address, block.height);
                tables.past_accounts.remove(&key)?;
            }
            for change in &block.changes.slots {
                let key = past_slot_key(&change.address, &change.slot, block.height);
                tables.past_slots.remove(&key)?;
            }
        }
        let redone = self.redone.iter();
        put_past(
            tables,
            redone.map(|block| (block.id.height, &*block.changes)),
        )
    }
}

/// What the indexes have of blocks that are undone goes.
fn remove_index(tables: &mut WriteFlat<'_>, undone: &[Undone], rows: &Rows) -> Result<(), Trouble> {
    for block in undone {
        remove_places(&mut tables.transactions, block.height, block.hashes.iter())?;
    }
    for (key, row) in rows {
        match row {
            Some(row) => tables.history.put(key, row)?,
            None => tables.history.remove(key)?,
        }
    }
    Ok(())
}

/// What accounts and slots were before these blocks.
pub fn put_past<'a>(
    tables: &mut WriteFlat<'_>,
    blocks: impl Iterator<Item = (u64, &'a ChangeSet)>,
) -> Result<(), Trouble> {
    let (mut accounts, mut slots) = (Vec::new(), Vec::new());
    for (height, changes) in blocks {
        let key = |change: &AccountChange| past_account_key(&change.address, height);
        accounts.extend(
            changes
                .accounts
                .iter()
                .map(|change| (key(change), &change.old)),
        );
        let key = |change: &SlotChange| past_slot_key(&change.address, &change.slot, height);
        slots.extend(
            changes
                .slots
                .iter()
                .map(|change| (key(change), &change.old)),
        );
    }
    accounts.sort_unstable_by_key(|(key, _)| *key);
    for (key, old) in accounts {
        let old = old.as_ref().map(encode_account);
        tables.past_accounts.put(&key, &old.unwrap_or_default())?;
    }
    slots.sort_unstable_by_key(|(key, _)| *key);
    for (key, old) in slots {
        tables.past_slots.put(&key, old)?;
    }
    Ok(())
}

/// The first state: what the chain spec allocates.
pub fn put_allocation(tables: &mut WriteFlat<'_>, allocation: &ChangeSet) -> Result<(), Trouble> {
    let mut sum = Sum::default();
    sum.redo(&Arc::new(allocation.clone()));
    put_sum(tables, &sum)
}

fn put_sum(tables: &mut WriteFlat<'_>, sum: &Sum) -> Result<(), Trouble> {
    for (address, account) in &sum.accounts {
        tables.set_account(address, account.as_ref())?;
    }
    for (key, value) in &sum.slots {
        tables.set_slot(key, value)?;
    }
    for (hash, (changes, at)) in &sum.codes {
        tables.codes.put(hash, &changes.codes[*at].bytes)?;
    }
    Ok(())
}
