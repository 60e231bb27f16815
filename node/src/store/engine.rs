//! One file of the store: opened, read and written in durable transactions, whatever the engine.
//!
//! Invariants: a write is on the disk as a whole before [`Engine::write`] returns, or it is an
//! error; every call of the engine is guarded, so that a damaged file is an error too.

use std::{fs, path::Path};

use super::{
    directory::FORMAT,
    disk::{Health, Kind, Medium, Part, Presence, Stopping},
    kv::{Kv, Transaction, Version},
    on_redb::Redb,
    on_sled,
    trouble::{Trouble, explain, guard},
};

/// A file of the store in use.
#[derive(Debug)]
pub struct Engine {
    file: Box<dyn Kv>,
    health: Health,
}

impl Engine {
    /// Opens a file that is there, of any format.
    pub fn open_any(medium: &dyn Medium, part: Part) -> Result<Self, Trouble> {
        if medium.presence(part).map_err(environment)? == Presence::Empty {
            return Err(Trouble::Damaged("it has no byte left".into()));
        }
        match medium.kind() {
            Kind::Redb => Self::on_redb(medium.open(part)),
            Kind::Sled => Self::on_sled(&medium.path(part)),
        }
    }

    /// Opens a file that is there, of this program's format.
    pub fn open(medium: &dyn Medium, part: Part) -> Result<Self, Trouble> {
        let opened = Self::open_any(medium, part)?;
        let format = guard(|| opened.file.version()?.format())?;
        match format {
            Some(FORMAT) => Ok(opened),
            Some(got) => Err(Trouble::Format { want: FORMAT, got }),
            None => Err(Trouble::Damaged("it has no format version".into())),
        }
    }

    /// Makes a file that exists only once its first transaction is on the disk.
    pub fn make(
        medium: &dyn Medium,
        part: Part,
        first: impl FnOnce(&dyn Transaction) -> Result<(), Trouble>,
    ) -> Result<Self, Trouble> {
        let write = |transaction: &dyn Transaction| {
            transaction.set_format(FORMAT)?;
            first(transaction)
        };
        match medium.kind() {
            Kind::Redb => {
                let made = Self::on_redb(medium.make(part))?;
                made.write(write)?;
                medium.keep(part).map_err(environment)?;
                Ok(made)
            }
            Kind::Sled => {
                let temporary = medium.temporary(part);
                if temporary.exists() {
                    fs::remove_dir_all(&temporary).map_err(environment)?;
                }
                Self::on_sled(&temporary)?.write(write)?;
                // It finds parts of itself by its name, so it is closed before it gets another.
                medium.keep(part).map_err(environment)?;
                Self::on_sled(&medium.path(part))
            }
        }
    }

    fn on_redb(file: std::io::Result<Box<dyn redb::StorageBackend>>) -> Result<Self, Trouble> {
        let health = Health::default();
        let backend = Stopping::new(file.map_err(environment)?, health.clone());
        let file = Box::new(Redb::on(backend)?);
        Ok(Self { file, health })
    }

    fn on_sled(path: &Path) -> Result<Self, Trouble> {
        Ok(Self {
            file: guard(|| on_sled::open(path))?,
            health: Health::default(),
        })
    }

    /// A version to read, which stays as it is.
    pub fn read(&self) -> Result<Box<dyn Version>, Trouble> {
        guard(|| self.file.version())
    }

    /// One transaction, on the disk when this returns.
    pub fn write<V>(
        &self,
        write: impl FnOnce(&dyn Transaction) -> Result<V, Trouble>,
    ) -> Result<V, Trouble> {
        self.health.check()?;
        let (mut write, mut value) = (Some(write), None);
        let written = guard(|| {
            self.file.write(&mut |transaction| {
                let write = write.take().expect("an engine calls this once");
                value = Some(write(transaction)?);
                Ok(())
            })
        });
        // What the disk refused says more than what the engine made of it.
        self.health.check()?;
        written?;
        Ok(value.expect("an engine calls this"))
    }

    /// An error if the disk has refused something.
    pub fn health(&self) -> Result<(), Trouble> {
        self.health.check()
    }
}

/// What the system said of a file.
#[expect(clippy::needless_pass_by_value, reason = "made for `map_err`")]
pub fn environment(error: std::io::Error) -> Trouble {
    Trouble::Environment(explain(&error))
}
