//! One table of the engine, its values sealed when they are written and checked when read.
//!
//! So a reader gets what was written, or a [`Trouble`] that names the table and the key. Used by
//! `tables` and `flat`, which know what keys and values mean.

use std::ops::{Bound, ControlFlow};

use super::{
    history::split_row_key,
    kv::{Get, Order, Put, Range, Scan},
    seal::{seal, unseal, unsealed},
    tables::id_of,
    trouble::Trouble,
};

/// A table, and its name for seals and messages.
pub struct Named<T> {
    name: &'static str,
    table: T,
}

impl<T> Named<T> {
    /// Opens a table by its name.
    pub fn open(
        name: &'static str,
        open: impl FnOnce(&'static str) -> Result<T, Trouble>,
    ) -> Result<Self, Trouble> {
        let table = open(name)?;
        Ok(Self { name, table })
    }
}

impl<T> Named<T> {
    /// That a value cannot be what was written.
    pub fn damaged(&self, key: &[u8], reason: &str) -> Trouble {
        Trouble::Damaged(format!(
            "table {}, {}: {reason}",
            self.name,
            describe(self.name, key)
        ))
    }
}

impl<T: Get> Named<T> {
    /// Whether a key is there, whatever state its value is in.
    pub fn has(&self, key: &[u8]) -> Result<bool, Trouble> {
        Ok(self.table.get(key)?.is_some())
    }

    /// A value, if there is one.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Trouble> {
        let Some(sealed) = self.table.get(key)? else {
            return Ok(None);
        };
        let value = unsealed(self.name, key, sealed);
        value.map(Some).map_err(|reason| self.damaged(key, &reason))
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
}

impl<T: Scan> Named<T> {
    /// The values of all keys with this prefix, in order.
    pub fn get_all(&self, prefix: &[u8]) -> Result<Vec<Vec<u8>>, Trouble> {
        let mut values = Vec::new();
        let range = (Bound::Included(prefix), Bound::Unbounded);
        self.visit(range, Order::Rising, |key, value| {
            if !key.starts_with(prefix) {
                return Ok(ControlFlow::Break(()));
            }
            values.push(value.to_vec());
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(values)
    }

    /// Shows up to `count` keys and values of a range by rising key; what the visitor refuses is
    /// damaged.
    pub fn scan(
        &self,
        range: Range<'_>,
        count: usize,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), String>,
    ) -> Result<(), Trouble> {
        let mut left = count;
        if left == 0 {
            return Ok(());
        }
        self.visit(range, Order::Rising, |key, value| {
            visit(key, value)?;
            left -= 1;
            Ok(enough(left == 0))
        })
    }

    /// Number of keys.
    pub fn count(&self) -> Result<u64, Trouble> {
        self.table.count()
    }

    /// Up to `count` keys after one, whatever state their values are in.
    pub fn keys_after(&self, last: Option<&[u8]>, count: usize) -> Result<Vec<Vec<u8>>, Trouble> {
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut keys = Vec::new();
        let mut take = |key: &[u8], _: &[u8]| {
            keys.push(key.to_vec());
            enough(keys.len() >= count)
        };
        let range = (from, Bound::Unbounded);
        self.table.scan(range, Order::Rising, &mut take)?;
        Ok(keys)
    }

    /// Shows all keys and values by rising key.
    pub fn for_each(
        &self,
        visit: impl FnMut(&[u8], &[u8]) -> Result<(), String>,
    ) -> Result<(), Trouble> {
        self.scan((Bound::Unbounded, Bound::Unbounded), usize::MAX, visit)
    }

    /// Shows entries until the visitor has enough; what it refuses is damaged.
    pub fn visit(
        &self,
        range: Range<'_>,
        order: Order,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, String>,
    ) -> Result<(), Trouble> {
        let mut outcome = Ok(());
        self.table.scan(range, order, &mut |key, sealed| {
            let seen = unseal(self.name, key, sealed).and_then(|value| visit(key, value));
            seen.unwrap_or_else(|reason| {
                outcome = Err(self.damaged(key, &reason));
                ControlFlow::Break(())
            })
        })?;
        outcome
    }
}

impl<T: Put> Named<T> {
    /// Writes a value in place of any earlier one.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Trouble> {
        let sealed = seal(self.name, key, value);
        self.table.put(key, &sealed)
    }

    /// Removes a value, if there is one.
    pub fn remove(&mut self, key: &[u8]) -> Result<(), Trouble> {
        self.table.remove(key)
    }
}

fn enough(is_enough: bool) -> ControlFlow<()> {
    if is_enough {
        ControlFlow::Break(())
    } else {
        ControlFlow::Continue(())
    }
}

/// What a key stands for, for people.
fn describe(table: &str, key: &[u8]) -> String {
    match (table, key.len()) {
        ("history", 28) => {
            let key = key.try_into().expect("it has 28 bytes");
            let (address, first) = split_row_key(key);
            format!("account {address}, blocks from height {first} on")
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
