//! What the store asks of an engine: tables of bytes by bytes, versions that stay as they are, and
//! writes that are on the disk as a whole or not at all.
//!
//! An engine has a file of its own in this folder that implements these traits, and no other file
//! names it. Calls may panic over a file that was damaged behind the engine's back: whoever makes
//! them does so under `trouble::guard`.

use std::{
    fmt::Debug,
    ops::{Bound, ControlFlow},
};

use super::trouble::Trouble;

/// From where to where.
pub type Range<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);
/// Is shown a key and its value, and says whether to go on.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;
/// A table of a version.
pub type ReadTable = Box<dyn Scan + Send + Sync>;
/// A table of a transaction.
pub type WriteTable<'txn> = Box<dyn Put + 'txn>;
/// What is done within a transaction.
pub type Work<'a> = &'a mut dyn FnMut(&dyn Transaction) -> Result<(), Trouble>;

/// In which order keys come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By rising key.
    Rising,
    /// By falling key.
    Falling,
}

/// A table that can be asked for single keys.
pub trait Get {
    /// The value at a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Trouble>;
}

/// A table that can be gone through.
pub trait Scan: Get {
    /// Shows the entries of a range, until the visitor has enough.
    fn scan(&self, range: Range<'_>, order: Order, visit: Visit<'_>) -> Result<(), Trouble>;

    /// Number of keys.
    fn count(&self) -> Result<u64, Trouble>;
}

/// A table that is written to.
pub trait Put: Get {
    /// Sets a value, in place of any earlier one.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Trouble>;

    /// Removes a value, if there is one.
    fn remove(&mut self, key: &[u8]) -> Result<(), Trouble>;
}

/// What was durable at one moment; stays as it is.
pub trait Version {
    /// A table, which keeps the version alive; an error where it was never made.
    fn table(&self, name: &'static str) -> Result<ReadTable, Trouble>;

    /// The format's number, which every engine keeps apart from the tables; none where it has none.
    fn format(&self) -> Result<Option<u32>, Trouble>;
}

/// Writes under way.
pub trait Transaction {
    /// A table; made where it does not exist.
    fn table<'txn>(&'txn self, name: &'static str) -> Result<WriteTable<'txn>, Trouble>;

    /// Removes a table with all that it has.
    fn remove_table(&self, name: &'static str) -> Result<(), Trouble>;

    /// Sets the format's number.
    fn set_format(&self, format: u32) -> Result<(), Trouble>;
}

/// A file of an engine in use.
pub trait Kv: Debug + Send + Sync {
    /// What is durable now.
    fn version(&self) -> Result<Box<dyn Version>, Trouble>;

    /// Does some work as one transaction, which is durable when this returns.
    fn write(&self, work: Work<'_>) -> Result<(), Trouble>;
}

impl<T: Get + ?Sized> Get for Box<T> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Trouble> {
        (**self).get(key)
    }
}

impl<T: Scan + ?Sized> Scan for Box<T> {
    fn scan(&self, range: Range<'_>, order: Order, visit: Visit<'_>) -> Result<(), Trouble> {
        (**self).scan(range, order, visit)
    }

    fn count(&self) -> Result<u64, Trouble> {
        (**self).count()
    }
}

impl<T: Put + ?Sized> Put for Box<T> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Trouble> {
        (**self).put(key, value)
    }

    fn remove(&mut self, key: &[u8]) -> Result<(), Trouble> {
        (**self).remove(key)
    }
}
