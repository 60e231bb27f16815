//! Files that only their owner may read, written so that a crash leaves the old or the new one.
//!
//! A file is written beside its place, made durable, and then linked or renamed into it: a new one
//! is linked, which fails where something is, so it never replaces another. Called by `store`,
//! `book`, `journal` and the verbs that write files.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// What the owner may do with a file, and nobody else.
pub const FILE_MODE: u32 = 0o600;
/// What the owner may do with a directory, and nobody else.
pub const DIRECTORY_MODE: u32 = 0o700;

/// Why a file was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system says no.
    #[error("cannot {doing} {path}: {error}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Something is there already.
    #[error("{0} is there already and is not overwritten: choose another name")]
    Exists(PathBuf),
    /// More than is ever read.
    #[error("{path} has more than {want} bytes, it is not read")]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// What is allowed.
        want: u64,
    },
    /// The disk gave back something else.
    #[error("{0} does not read back as it was written: is the disk failing?")]
    ReadBack(PathBuf),
}

/// Whether a file may be there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It must not.
    New,
    /// It is replaced.
    Old,
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |error| FileError::Io { doing, path, error }
}

/// Makes a directory that only its owner may enter, with its parents.
pub fn make_directory(path: &Path) -> Result<(), FileError> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    let made = builder.recursive(true).mode(DIRECTORY_MODE).create(path);
    made.map_err(io_error("make the directory", path))
}

/// Reads a file of at most so many bytes; `None` if there is none.
pub fn read(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, FileError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("open", path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(bytes_max + 1)
        .read_to_end(&mut bytes)
        .map_err(io_error("read", path))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > bytes_max) {
        let (path, want) = (path.to_owned(), bytes_max);
        return Err(FileError::TooLarge { path, want });
    }
    Ok(Some(bytes))
}

/// Writes a file, of mode 0600, in a directory that exists.
pub fn write(path: &Path, bytes: &[u8], place: Place) -> Result<(), FileError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.new", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let written = write_beside(&temporary, bytes).and_then(|()| move_to(&temporary, path, place));
    // A renamed one is gone already; one left over does no harm.
    let _ = fs::remove_file(&temporary);
    written?;
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // The new name is durable only once the directory is.
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(io_error("make durable", directory))?;
    let read_back = fs::read(path).map_err(io_error("read back", path))?;
    match read_back == bytes {
        true => Ok(()),
        false => Err(FileError::ReadBack(path.to_owned())),
    }
}

fn write_beside(temporary: &Path, bytes: &[u8]) -> Result<(), FileError> {
    // One left by a crash may have any mode, so it is not reused.
    let _ = fs::remove_file(temporary);
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(temporary)
        .map_err(io_error("make", temporary))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(io_error("write", temporary))
}

fn move_to(temporary: &Path, path: &Path, place: Place) -> Result<(), FileError> {
    let linked = match place {
        Place::New => fs::hard_link(temporary, path),
        Place::Old => fs::rename(temporary, path),
    };
    match linked {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(FileError::Exists(path.to_owned()))
        }
        // A file system without links, as on a memory stick.
        Err(_) if place == Place::New && path.symlink_metadata().is_err() => {
            fs::rename(temporary, path).map_err(io_error("rename into", path))
        }
        Err(error) => Err(io_error("write", path)(error)),
    }
}

/// Takes a lock that other processes wait for; it is given back when the file is dropped.
pub fn lock(path: &Path) -> Result<File, FileError> {
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .append(true)
        .create(true)
        .mode(FILE_MODE)
        .open(path)
        .map_err(io_error("open", path))?;
    file.lock().map_err(io_error("lock", path))?;
    Ok(file)
}

/// The bits of a file's mode that say who may do what.
pub fn mode(path: &Path) -> Result<u32, FileError> {
    let metadata = fs::metadata(path).map_err(io_error("look at", path))?;
    Ok(Permissions::mode(&metadata.permissions()) & 0o777)
}

/// The names in a directory, in order; none if there is no directory.
pub fn names(directory: &Path) -> Result<Vec<String>, FileError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io_error("list", directory)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(io_error("list", directory))?.file_name();
        names.extend(name.to_str().map(String::from));
    }
    names.sort();
    Ok(names)
}
