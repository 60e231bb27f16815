//! How many entries of the indexes belong to the best chain: what `db check` counts on both sides,
//! so that an entry which should not be there is found too.

use chain::{BlockId, ChangeSet, StoreError, history::Parties};

use super::{
    flat::ReadFlat, history::read_row, merge::Reach, places::read_places, snapshot::RedbSnapshot,
    trouble::Trouble,
};

/// Entries of blocks of the best chain up to the flat file's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    rows: u64,
    places: u64,
    past: u64,
}

impl Sums {
    /// Adds what a block of the best chain must have given.
    pub fn add(
        &mut self,
        reader: &RedbSnapshot,
        height: u64,
        (transactions, parties): (usize, &Parties),
        changes: &ChangeSet,
    ) {
        if height > reader.merged().height {
            return;
        }
        self.places += as_u64(transactions);
        self.rows += as_u64(parties.len());
        if reader.reach() == Reach::Archive {
            self.past += as_u64(changes.accounts.len() + changes.slots.len());
        }
    }
}

impl RedbSnapshot {
    /// The last block of the best chain that the flat file has.
    pub fn merged(&self) -> BlockId {
        self.0.recent.ancestor
    }

    /// How far back the state can be asked for.
    pub fn reach(&self) -> Reach {
        self.0.reach
    }

    /// Counts the entries.
    pub fn sums(&self) -> Result<Sums, StoreError> {
        // Above the common ancestor are the entries of the checkpoint's own branch, if it has one.
        let last = match self.0.recent.undone.as_slice() {
            [] => u64::MAX,
            _ => self.merged().height,
        };
        let mut sums = Sums::default();
        self.read_flat(|flat| {
            flat.history.for_each(|key, value| {
                let (_, entries) = read_row(key, value)?;
                let there = entries.iter().filter(|(height, _)| *height <= last);
                sums.rows += as_u64(there.count());
                Ok(())
            })?;
            flat.transactions.for_each(|key, value| {
                let (height, indices) = read_places(key, value)?;
                if height <= last {
                    sums.places += as_u64(indices.len());
                }
                Ok(())
            })?;
            // What an archive that was given up has left is not read.
            if self.reach() == Reach::Archive {
                sums.past = count_past(flat, last)?;
            }
            Ok(())
        })?;
        Ok(sums)
    }
}

fn count_past(flat: &ReadFlat, last: u64) -> Result<u64, Trouble> {
    let mut count = 0;
    for table in [&flat.past_accounts, &flat.past_slots] {
        table.for_each(|key, _| {
            let height = key.last_chunk().ok_or("wrong key")?;
            count += u64::from(u64::from_be_bytes(*height) <= last);
            Ok(())
        })?;
    }
    Ok(count)
}

fn as_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
