//! The data directory: what lies in it, and the lock that keeps it ours.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Version of the store's format; another one is refused.
pub const FORMAT: u32 = 3;

/// The store's file.
pub fn chain_file(directory: &Path) -> PathBuf {
    directory.join("chain.redb")
}

/// The same of a store that sled keeps.
pub fn sled_file(directory: &Path) -> PathBuf {
    directory.join("chain.sled")
}

/// The log that a rebuild reads from, until it is done.
pub fn old_chain_file(directory: &Path) -> PathBuf {
    directory.join("chain.old.redb")
}

/// Logs that a rebuild could not use in whole, or not at all, and that may be all there is.
pub fn kept_chain_file(directory: &Path, number: u32) -> PathBuf {
    directory.join(format!("chain.kept-{number}.redb"))
}

/// The state and the indexes, which follow from the log.
pub fn state_file(directory: &Path) -> PathBuf {
    directory.join("state.redb")
}

/// The pinned chain spec.
pub fn spec_file(directory: &Path) -> PathBuf {
    directory.join("genesis.json")
}

/// Writes a file so that a crash leaves the old one or the new one, never half of it.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_parent(path)
}

/// Makes a rename durable, which it is only once the directory is.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// Why a directory could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error(
        "data directory {0} is in use by another lignum process: stop it, or choose another with --datadir"
    )]
    InUse(PathBuf),
    /// It cannot be made or opened.
    #[error("cannot use data directory {0}: {1}")]
    Io(PathBuf, io::Error),
}

/// Holds a directory for this process until it is dropped, however the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Makes the directory if need be and takes it.
    pub fn take(directory: &Path) -> Result<Self, LockError> {
        let io = |error| LockError::Io(directory.to_owned(), error);
        fs::create_dir_all(directory).map_err(io)?;
        let path = directory.join("LOCK");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::InUse(directory.to_owned())),
            Err(TryLockError::Error(error)) => Err(io(error)),
        }
    }
}
