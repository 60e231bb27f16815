//! One table of the engine, its values sealed when they are written and checked when read.
//!
//! So a reader gets what was written, or a [`Trouble`] that names the table and the key. Used by
//! `tables` and `flat`, which know what keys and values mean.

use std::ops::Bound;

use redb::{AccessGuard, ReadableTable, ReadableTableMetadata, Table, TableDefinition};

use super::{
    history::split_row_key,
    seal::{seal, unseal},
    tables::id_of,
    trouble::{Trouble, engine},
};

/// Keys and values as the engine sees them.
pub type Bytes = &'static [u8];
/// A table's name and type.
pub type Definition = TableDefinition<'static, Bytes, Bytes>;
/// Keys and their values.
pub type Items = Vec<(Vec<u8>, Vec<u8>)>;

/// A table, and its name for seals and messages.
pub struct Named<T> {
    name: &'static str,
    table: T,
}

impl<T> Named<T> {
    /// Opens a table by its name.
    pub fn open(
        name: &'static str,
        open: impl FnOnce(Definition) -> Result<T, Trouble>,
    ) -> Result<Self, Trouble> {
        let table = open(TableDefinition::new(name))?;
        Ok(Self { name, table })
    }
}

impl<T: ReadableTable<Bytes, Bytes>> Named<T> {
    /// A value, if there is one.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Trouble> {
        let Some(sealed) = self.table.get(key).map_err(engine)? else {
            return Ok(None);
        };
        let value = unseal(self.name, key, sealed.value());
        value
            .map(|value| Some(value.to_vec()))
            .map_err(|reason| self.damaged(key, &reason))
    }

    /// A value of a certain length, if there is one.
    pub fn get_array<const N: usize>(&self, key: &[u8]) -> Result<Option<[u8; N]>, Trouble> {
        let Some(value) = self.get(key)? else {
            return Ok(None);
        };
        let array = value.as_slice().try_into().map_err(|_| {
            self.damaged(key, &format!("a value has {N} bytes, got {}", value.len()))
        })?;
        Ok(Some(array))
    }

    /// The values of all keys with this prefix, in order.
    pub fn get_all(&self, prefix: &[u8]) -> Result<Vec<Vec<u8>>, Trouble> {
        let mut values = Vec::new();
        for item in self.table.range::<&[u8]>(prefix..).map_err(engine)? {
            let (key, sealed): (AccessGuard<'_, Bytes>, _) = item.map_err(engine)?;
            let key = key.value();
            if !key.starts_with(prefix) {
                break;
            }
            let value = unseal(self.name, key, sealed.value());
            values.push(value.map_err(|reason| self.damaged(key, &reason))?.to_vec());
        }
        Ok(values)
    }

    /// Shows up to `count` keys and values of a range by rising key; what the visitor refuses is
    /// damaged.
    pub fn scan(
        &self,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        count: usize,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), String>,
    ) -> Result<(), Trouble> {
        let items = self.table.range::<&[u8]>(range).map_err(engine)?;
        for item in items.take(count) {
            let (key, sealed): (AccessGuard<'_, Bytes>, _) = item.map_err(engine)?;
            let key = key.value();
            unseal(self.name, key, sealed.value())
                .and_then(|value| visit(key, value))
                .map_err(|reason| self.damaged(key, &reason))?;
        }
        Ok(())
    }

    /// Number of keys.
    pub fn count(&self) -> Result<u64, Trouble>
    where
        T: ReadableTableMetadata,
    {
        self.table.len().map_err(engine)
    }

    /// Up to `count` keys after one, whatever state their values are in.
    pub fn keys_after(&self, last: Option<&[u8]>, count: usize) -> Result<Vec<Vec<u8>>, Trouble> {
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        let items = self.table.range::<&[u8]>((from, Bound::Unbounded));
        let keys = items.map_err(engine)?.take(count).map(|item| {
            let (key, _): (AccessGuard<'_, Bytes>, _) = item.map_err(engine)?;
            Ok(key.value().to_vec())
        });
        keys.collect()
    }

    /// Shows all keys and values by rising key.
    pub fn for_each(
        &self,
        visit: impl FnMut(&[u8], &[u8]) -> Result<(), String>,
    ) -> Result<(), Trouble> {
        self.scan((Bound::Unbounded, Bound::Unbounded), usize::MAX, visit)
    }

    /// Up to `count` keys and values from one key to before another, by falling key.
    pub fn last_before(
        &self,
        from: &[u8],
        to: Bound<&[u8]>,
        count: usize,
    ) -> Result<Items, Trouble> {
        let range = (Bound::Included(from), to);
        let items = self.table.range::<&[u8]>(range).map_err(engine)?;
        let mut found = Vec::new();
        for item in items.rev().take(count) {
            let (key, sealed): (AccessGuard<'_, Bytes>, _) = item.map_err(engine)?;
            let key = key.value();
            let value = unseal(self.name, key, sealed.value());
            let value = value.map_err(|reason| self.damaged(key, &reason))?;
            found.push((key.to_vec(), value.to_vec()));
        }
        Ok(found)
    }

    /// That a value cannot be what was written.
    pub fn damaged(&self, key: &[u8], reason: &str) -> Trouble {
        Trouble::Damaged(format!(
            "table {}, {}: {reason}",
            self.name,
            describe(self.name, key)
        ))
    }
}

impl Named<Table<'_, Bytes, Bytes>> {
    /// Writes a value in place of any earlier one.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Trouble> {
        let sealed = seal(self.name, key, value);
        self.table.insert(key, sealed.as_slice()).map_err(engine)?;
        Ok(())
    }

    /// Removes a value, if there is one.
    pub fn remove(&mut self, key: &[u8]) -> Result<(), Trouble> {
        self.table.remove(key).map_err(engine)?;
        Ok(())
    }
}

/// What a key stands for, for people.
fn describe(table: &str, key: &[u8]) -> String {
    match (table, key.len()) {
        ("history", 60) => {
            let (address, id) = split_row_key(key).expect("a row's key has 60 bytes");
            format!("account {address}, block {} {}", id.height, id.hash)
        }
        ("headers" | "bodies" | "changes" | "receipts" | "parties", 40..) => {
            let id = id_of(key.first_chunk().expect("40 bytes and more"));
            format!("block {} {}", id.height, id.hash)
        }
        ("heights", 32) => format!("block {}", hex(key)),
        ("canonical", 8) => {
            let height = key.try_into().map_or(0, u64::from_be_bytes);
            format!("height {height}")
        }
        ("facts", _) => format!("key {:?}", String::from_utf8_lossy(key)),
        _ => format!("key {}", hex(key)),
    }
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    digits.fold("0x".to_owned(), |text, digit| text + &digit)
}
