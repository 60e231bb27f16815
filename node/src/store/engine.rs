//! One file of the engine: opened, read and written in durable transactions.
//!
//! Invariants: a write is on the disk as a whole before [`Engine::write`] returns, or it is an
//! error; every call of the engine is guarded, so that a damaged file is an error too.

use redb::{
    Builder, Database, Durability, ReadTransaction, ReadableDatabase, StorageBackend,
    TableDefinition, TableError, WriteTransaction,
};

use super::{
    directory::FORMAT,
    disk::{Health, Medium, Part, Presence, Stopping},
    trouble::{Trouble, engine, explain, guard},
};

/// The table that every version of the format has, with the version in it.
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
/// Memory for pages of one file. The system's own cache stands behind it.
const CACHE_BYTES: usize = 32 * 1024 * 1024;

/// A file of the store in use.
#[derive(Debug)]
pub struct Engine {
    database: Option<Database>,
    health: Health,
}

impl Engine {
    /// Opens a file that is there, of any format.
    pub fn open_any(medium: &dyn Medium, part: Part) -> Result<Self, Trouble> {
        if medium.presence(part).map_err(environment)? == Presence::Empty {
            return Err(Trouble::Damaged("it has no byte left".into()));
        }
        Self::on(medium.open(part).map_err(environment)?)
    }

    /// Opens a file that is there, of this program's format.
    pub fn open(medium: &dyn Medium, part: Part) -> Result<Self, Trouble> {
        let opened = Self::open_any(medium, part)?;
        match format_of(&opened.read()?)? {
            FORMAT => Ok(opened),
            got => Err(Trouble::Format { want: FORMAT, got }),
        }
    }

    /// Makes a file that exists only once its first transaction is on the disk.
    pub fn make(
        medium: &dyn Medium,
        part: Part,
        first: impl FnOnce(&WriteTransaction) -> Result<(), Trouble>,
    ) -> Result<Self, Trouble> {
        let made = Self::on(medium.make(part).map_err(environment)?)?;
        made.write(|transaction| {
            let mut meta = transaction.open_table(META).map_err(engine)?;
            let format = FORMAT.to_le_bytes();
            meta.insert("format", format.as_slice()).map_err(engine)?;
            first(transaction)
        })?;
        medium.keep(part).map_err(environment)?;
        Ok(made)
    }

    fn on(file: Box<dyn StorageBackend>) -> Result<Self, Trouble> {
        let health = Health::default();
        let backend = Stopping::new(file, health.clone());
        let create = || builder().create_with_backend(backend).map_err(engine);
        let database = Some(guard(create)?);
        Ok(Self { database, health })
    }

    /// A version to read, which stays as it is.
    pub fn read(&self) -> Result<ReadTransaction, Trouble> {
        guard(|| self.database()?.begin_read().map_err(engine))
    }

    /// One transaction, on the disk when this returns.
    pub fn write<V>(
        &self,
        write: impl FnOnce(&WriteTransaction) -> Result<V, Trouble>,
    ) -> Result<V, Trouble> {
        self.health.check()?;
        let written = guard(|| {
            let mut transaction = self.database()?.begin_write().map_err(engine)?;
            transaction
                .set_durability(Durability::Immediate)
                .map_err(engine)?;
            // Costs a little on each commit and saves a scan of the file after a kill.
            transaction.set_quick_repair(true);
            let value = write(&transaction)?;
            transaction.commit().map_err(engine)?;
            Ok(value)
        });
        // What the disk refused says more than what the engine made of it.
        self.health.check()?;
        written
    }

    /// An error if the disk has refused something.
    pub fn health(&self) -> Result<(), Trouble> {
        self.health.check()
    }

    /// Lets go of the file; what was not durable is lost.
    pub fn close(&mut self) {
        let database = self.database.take();
        // Closing writes to the file too, and gives up over a damaged one. Nothing is lost by that:
        // every commit was durable before.
        let _ = guard(|| {
            drop(database);
            Ok(())
        });
    }

    fn database(&self) -> Result<&Database, Trouble> {
        let closed = || Trouble::Environment("the file is closed".into());
        self.database.as_ref().ok_or_else(closed)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.close();
    }
}

/// What the system said of a file.
#[expect(clippy::needless_pass_by_value, reason = "made for `map_err`")]
pub fn environment(error: std::io::Error) -> Trouble {
    Trouble::Environment(explain(&error))
}

fn builder() -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// The version of a file's format.
fn format_of(read: &ReadTransaction) -> Result<u32, Trouble> {
    let no_format = || Trouble::Damaged("it has no format version".into());
    guard(|| {
        let meta = match read.open_table(META) {
            Ok(meta) => meta,
            Err(TableError::TableDoesNotExist(_)) => return Err(no_format()),
            Err(error) => return Err(engine(error)),
        };
        let value = meta.get("format").map_err(engine)?.ok_or_else(no_format)?;
        let bytes = value.value().try_into().map_err(|_| no_format())?;
        Ok(u32::from_le_bytes(bytes))
    })
}
