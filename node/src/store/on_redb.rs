//! redb behind the store's engine traits: one file, many readers, one writer, every commit synced.

use redb::{
    Builder, Database, Durability, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable,
    ReadableTableMetadata, StorageBackend, Table, TableDefinition, TableError, WriteTransaction,
};

use super::{
    kv::{
        Get, Kv, Order, Put, Range, ReadTable, Scan, Transaction, Version, Visit, Work, WriteTable,
    },
    trouble::{Trouble, engine, guard},
};

/// Keys and values as the engine sees them.
type Bytes = &'static [u8];
/// The table that every version of the format has, with the version in it.
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
/// The key of the format's number.
const FORMAT: &str = "format";
/// Memory for pages of one file. The system's own cache stands behind it.
const CACHE_BYTES: usize = 32 * 1024 * 1024;

/// A file.
#[derive(Debug)]
pub struct Redb(Option<Database>);

impl Redb {
    /// On a backend; a file is made where it is empty.
    pub fn on(backend: impl StorageBackend) -> Result<Self, Trouble> {
        let create = || builder().create_with_backend(backend).map_err(engine);
        Ok(Self(Some(guard(create)?)))
    }

    fn database(&self) -> &Database {
        self.0.as_ref().expect("there until it is dropped")
    }
}

impl Drop for Redb {
    fn drop(&mut self) {
        let database = self.0.take();
        // Closing writes to the file too, and gives up over a damaged one. Nothing is lost by that:
        // every commit was durable before.
        let _ = guard(|| {
            drop(database);
            Ok(())
        });
    }
}

fn builder() -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

impl Kv for Redb {
    fn version(&self) -> Result<Box<dyn Version>, Trouble> {
        Ok(Box::new(self.database().begin_read().map_err(engine)?))
    }

    fn write(&self, work: Work<'_>) -> Result<(), Trouble> {
        let mut transaction = self.database().begin_write().map_err(engine)?;
        transaction
            .set_durability(Durability::Immediate)
            .map_err(engine)?;
        // Costs a little on each commit and saves a scan of the file after a kill.
        transaction.set_quick_repair(true);
        work(&transaction)?;
        transaction.commit().map_err(engine)
    }
}

impl Version for ReadTransaction {
    fn table(&self, name: &'static str) -> Result<ReadTable, Trouble> {
        let table = self.open_table(TableDefinition::<Bytes, Bytes>::new(name));
        Ok(Box::new(table.map_err(engine)?))
    }

    fn format(&self) -> Result<Option<u32>, Trouble> {
        let meta = match self.open_table(META) {
            Ok(meta) => meta,
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(engine(error)),
        };
        let value = meta.get(FORMAT).map_err(engine)?;
        let number = |value: &[u8]| value.try_into().map(u32::from_le_bytes).ok();
        Ok(value.and_then(|value| number(value.value())))
    }
}

impl Transaction for WriteTransaction {
    fn table<'txn>(&'txn self, name: &'static str) -> Result<WriteTable<'txn>, Trouble> {
        let table = self.open_table(TableDefinition::<Bytes, Bytes>::new(name));
        Ok(Box::new(table.map_err(engine)?))
    }

    fn remove_table(&self, name: &'static str) -> Result<(), Trouble> {
        let table = TableDefinition::<Bytes, Bytes>::new(name);
        self.delete_table(table).map_err(engine)?;
        Ok(())
    }

    fn set_format(&self, format: u32) -> Result<(), Trouble> {
        let mut meta = self.open_table(META).map_err(engine)?;
        let format = format.to_le_bytes();
        meta.insert(FORMAT, format.as_slice()).map_err(engine)?;
        Ok(())
    }
}

impl Get for ReadOnlyTable<Bytes, Bytes> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Trouble> {
        get(self, key)
    }
}

impl Scan for ReadOnlyTable<Bytes, Bytes> {
    fn scan(&self, range: Range<'_>, order: Order, visit: Visit<'_>) -> Result<(), Trouble> {
        let mut items = self.range::<&[u8]>(range).map_err(engine)?;
        loop {
            let item = match order {
                Order::Rising => items.next(),
                Order::Falling => items.next_back(),
            };
            let Some(item) = item else {
                return Ok(());
            };
            let (key, value) = item.map_err(engine)?;
            if visit(key.value(), value.value()).is_break() {
                return Ok(());
            }
        }
    }

    fn count(&self) -> Result<u64, Trouble> {
        self.len().map_err(engine)
    }
}

impl Get for Table<'_, Bytes, Bytes> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Trouble> {
        get(self, key)
    }
}

impl Put for Table<'_, Bytes, Bytes> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Trouble> {
        self.insert(key, value).map_err(engine)?;
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Result<(), Trouble> {
        Table::remove(self, key).map_err(engine)?;
        Ok(())
    }
}

fn get(table: &impl ReadableTable<Bytes, Bytes>, key: &[u8]) -> Result<Option<Vec<u8>>, Trouble> {
    let value = table.get(key).map_err(engine)?;
    Ok(value.map(|value| value.value().to_vec()))
}
