//! sled behind the store's engine traits: for comparison, since it may lose acknowledged commits
//! when the power goes (its flush does not sync all that it wrote).
//!
//! All tables share one tree, so that a commit is one atomic batch; keys begin with their table's
//! name. sled has no versions that stay: before a commit changes an entry, what it was is put into
//! the chain of versions (`Point`), and a reader takes from there what its version still had.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    ops::{Bound, ControlFlow},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    thread,
    time::Duration,
};

use sled::{Batch, Config, Db, Error, IVec};

use super::{
    kv::{
        Get, Kv, Order, Put, Range, ReadTable, Scan, Transaction, Version, Visit, Work, WriteTable,
    },
    trouble::{Trouble, explain},
};

/// Memory for pages.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// Entries that a scan takes at a time.
const PAGE: usize = 256;
/// The table of the format's number, and its key.
const META: &str = "meta";
const FORMAT: &[u8] = b"format";
/// Attempts to open a directory that this process has only just let go of, and time between them.
const ATTEMPTS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// Entries and what they are, or that they are not.
type Changes = BTreeMap<Vec<u8>, Option<IVec>>;

/// A directory of sled's. Readers may outlive the store, and then the same one is opened again: it
/// locks its files for as long as anybody reads.
#[derive(Debug)]
struct Sled {
    entries: Db,
    /// The version that is the present one.
    present: Mutex<Arc<Point>>,
}

/// What this process has open, by name.
static OPEN: Mutex<BTreeMap<PathBuf, Weak<Sled>>> = Mutex::new(BTreeMap::new());

/// A version. The present one has not been left.
#[derive(Debug, Default)]
struct Point {
    left: OnceLock<Left>,
}

/// How a version was left: what was changed by the commit after it, and the version after that.
#[derive(Debug)]
struct Left {
    was: Changes,
    next: Arc<Point>,
}

/// A version in use.
#[derive(Clone)]
struct View {
    sled: Arc<Sled>,
    at: Arc<Point>,
}

/// A table of a version.
struct Table {
    view: View,
    name: &'static str,
}

/// Writes that nobody sees yet.
struct Writing<'a> {
    entries: &'a Db,
    changes: RefCell<Changes>,
}

/// A table of a transaction.
struct WritingTable<'a> {
    writing: &'a Writing<'a>,
    name: &'static str,
}

/// Opens a directory, or makes it.
pub fn open(path: &Path) -> Result<Box<dyn Kv>, Trouble> {
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    open.retain(|_, sled| sled.strong_count() > 0);
    if let Some(sled) = open.get(path).and_then(Weak::upgrade) {
        return Ok(Box::new(sled));
    }
    let sled = Arc::new(Sled {
        entries: open_patiently(path)?,
        present: Mutex::default(),
    });
    open.insert(path.to_owned(), Arc::downgrade(&sled));
    Ok(Box::new(sled))
}

/// Waits where threads of an earlier use have not let go of the files yet.
fn open_patiently(path: &Path) -> Result<Db, Trouble> {
    let config = Config::default()
        .path(path)
        .cache_capacity(CACHE_BYTES)
        // Commits flush by themselves.
        .flush_every_ms(None);
    let mut opened = config.open();
    for _ in 0..ATTEMPTS {
        if !matches!(&opened, Err(Error::Io(error)) if error.to_string().contains("lock")) {
            break;
        }
        thread::sleep(PAUSE);
        opened = config.open();
    }
    opened.map_err(trouble)
}

fn trouble(error: Error) -> Trouble {
    match error {
        Error::Io(error) => Trouble::Environment(explain(&error)),
        Error::Corruption { .. } => Trouble::Damaged(error.to_string()),
        other => Trouble::Environment(other.to_string()),
    }
}

/// A table's name, a zero, the key.
fn full_key(table: &str, key: &[u8]) -> Vec<u8> {
    [table.as_bytes(), &[0], key].concat()
}

/// The least key above all of a table.
fn end_of(table: &str) -> Vec<u8> {
    [table.as_bytes(), &[1]].concat()
}

impl Sled {
    fn present(&self) -> MutexGuard<'_, Arc<Point>> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn commit(&self, changes: Changes) -> Result<(), Trouble> {
        let mut was = Changes::new();
        let mut batch = Batch::default();
        for (key, value) in changes {
            was.insert(key.clone(), self.entries.get(&key).map_err(trouble)?);
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        let next = Arc::<Point>::default();
        let left = Left {
            was,
            next: Arc::clone(&next),
        };
        // First what was, then what is: who reads in between finds the former.
        let is_first = self.present().left.set(left).is_ok();
        assert!(is_first, "one writer leaves each version once");
        self.entries.apply_batch(batch).map_err(trouble)?;
        self.entries.flush().map_err(trouble)?;
        *self.present() = next;
        Ok(())
    }
}

impl Drop for Point {
    /// One after the other: a version that was held for long has many after it.
    fn drop(&mut self) {
        let mut left = self.left.take();
        while let Some(mut next) = left.and_then(|left| Arc::into_inner(left.next)) {
            left = next.left.take();
        }
    }
}

impl Kv for Arc<Sled> {
    fn version(&self) -> Result<Box<dyn Version>, Trouble> {
        Ok(Box::new(View {
            sled: Self::clone(self),
            at: Arc::clone(&self.present()),
        }))
    }

    fn write(&self, work: Work<'_>) -> Result<(), Trouble> {
        let writing = Writing {
            entries: &self.entries,
            changes: RefCell::default(),
        };
        work(&writing)?;
        self.commit(writing.changes.into_inner())
    }
}

impl View {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Trouble> {
        let present = self.sled.entries.get(key).map_err(trouble)?;
        let mut at = &self.at;
        while let Some(left) = at.left.get() {
            if let Some(was) = left.was.get(key) {
                return Ok(was.as_deref().map(<[u8]>::to_vec));
            }
            at = &left.next;
        }
        Ok(present.as_deref().map(<[u8]>::to_vec))
    }

    /// Some entries at one end of a range, and what of the range is left.
    fn page(&self, range: &Full, order: Order) -> Result<(Changes, Option<Full>), Trouble> {
        let items = self.sled.entries.range::<Vec<u8>, _>(range.clone());
        let items: Result<Vec<_>, _> = match order {
            Order::Rising => items.take(PAGE).collect(),
            Order::Falling => items.rev().take(PAGE).collect(),
        };
        let items = items.map_err(trouble)?;
        let mut page = Changes::new();
        let mut last = None;
        let is_whole = items.len() < PAGE;
        for (key, value) in items {
            last = Some(key.to_vec());
            page.insert(key.to_vec(), Some(value));
        }
        let rest = last.filter(|_| !is_whole).map(|last| match order {
            Order::Rising => (Bound::Excluded(last), range.1.clone()),
            Order::Falling => (range.0.clone(), Bound::Excluded(last)),
        });
        let seen = match (&rest, order) {
            (None, _) => range.clone(),
            (Some(rest), Order::Rising) => (range.0.clone(), included(&rest.0)),
            (Some(rest), Order::Falling) => (included(&rest.1), range.1.clone()),
        };
        self.put_back(&seen, &mut page);
        Ok((page, rest))
    }

    /// Puts what this version had in place of what is there now. Read after the entries, so that
    /// no commit comes in between unseen.
    fn put_back(&self, seen: &Full, page: &mut Changes) {
        let mut known = BTreeSet::new();
        let mut at = &self.at;
        while let Some(left) = at.left.get() {
            for (key, was) in left.was.range::<Vec<u8>, _>(seen.clone()) {
                // The first change after this version has what it had.
                if known.insert(key.clone()) {
                    page.insert(key.clone(), was.clone());
                }
            }
            at = &left.next;
        }
    }
}

/// A range of keys with their tables.
type Full = (Bound<Vec<u8>>, Bound<Vec<u8>>);

fn included(bound: &Bound<Vec<u8>>) -> Bound<Vec<u8>> {
    match bound {
        Bound::Excluded(key) => Bound::Included(key.clone()),
        other => other.clone(),
    }
}

impl Version for View {
    fn table(&self, name: &'static str) -> Result<ReadTable, Trouble> {
        let view = self.clone();
        Ok(Box::new(Table { view, name }))
    }

    fn format(&self) -> Result<Option<u32>, Trouble> {
        let value = self.get(&full_key(META, FORMAT))?;
        Ok(value.and_then(|value| value.try_into().map(u32::from_le_bytes).ok()))
    }
}

impl Get for Table {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Trouble> {
        self.view.get(&full_key(self.name, key))
    }
}

impl Scan for Table {
    fn scan(&self, (from, to): Range<'_>, order: Order, visit: Visit<'_>) -> Result<(), Trouble> {
        let from = match from {
            Bound::Unbounded => Bound::Included(full_key(self.name, &[])),
            from => from.map(|key| full_key(self.name, key)),
        };
        let to = match to {
            Bound::Unbounded => Bound::Excluded(end_of(self.name)),
            to => to.map(|key| full_key(self.name, key)),
        };
        let mut rest = Some((from, to));
        while let Some(range) = rest.take() {
            let (page, after) = self.view.page(&range, order)?;
            let mut show = |(key, value): (&Vec<u8>, &Option<IVec>)| match value {
                Some(value) => visit(&key[self.name.len() + 1..], value),
                None => ControlFlow::Continue(()),
            };
            let shown = match order {
                Order::Rising => page.iter().try_for_each(&mut show),
                Order::Falling => page.iter().rev().try_for_each(&mut show),
            };
            if shown.is_break() {
                return Ok(());
            }
            rest = after;
        }
        Ok(())
    }

    fn count(&self) -> Result<u64, Trouble> {
        let mut count = 0;
        let everything = (Bound::Unbounded, Bound::Unbounded);
        self.scan(everything, Order::Rising, &mut |_, _| {
            count += 1;
            ControlFlow::Continue(())
        })?;
        Ok(count)
    }
}

impl Writing<'_> {
    fn set(&self, key: Vec<u8>, value: Option<IVec>) {
        self.changes.borrow_mut().insert(key, value);
    }
}

impl Transaction for Writing<'_> {
    fn table<'txn>(&'txn self, name: &'static str) -> Result<WriteTable<'txn>, Trouble> {
        let writing = self;
        Ok(Box::new(WritingTable { writing, name }))
    }

    fn remove_table(&self, name: &'static str) -> Result<(), Trouble> {
        let range = full_key(name, &[])..end_of(name);
        for item in self.entries.range(range) {
            let (key, _) = item.map_err(trouble)?;
            self.set(key.to_vec(), None);
        }
        let mut changes = self.changes.borrow_mut();
        for (_, change) in changes.range_mut(full_key(name, &[])..end_of(name)) {
            *change = None;
        }
        Ok(())
    }

    fn set_format(&self, format: u32) -> Result<(), Trouble> {
        let value = IVec::from(&format.to_le_bytes());
        self.set(full_key(META, FORMAT), Some(value));
        Ok(())
    }
}

impl Get for WritingTable<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Trouble> {
        let key = full_key(self.name, key);
        if let Some(change) = self.writing.changes.borrow().get(&key) {
            return Ok(change.as_deref().map(<[u8]>::to_vec));
        }
        let value = self.writing.entries.get(&key).map_err(trouble)?;
        Ok(value.as_deref().map(<[u8]>::to_vec))
    }
}

impl Put for WritingTable<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Trouble> {
        let key = full_key(self.name, key);
        self.writing.set(key, Some(value.into()));
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Result<(), Trouble> {
        self.writing.set(full_key(self.name, key), None);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_was_held_for_long_is_let_go_of() {
        let first = Arc::<Point>::default();
        let mut last = Arc::clone(&first);
        for _ in 0..200_000 {
            let next = Arc::<Point>::default();
            let left = Left {
                was: Changes::new(),
                next: Arc::clone(&next),
            };
            assert!(last.left.set(left).is_ok());
            last = next;
        }
        drop(last);
        // One inside the other they would overflow the stack.
        drop(first);
    }
}
