//! Where a store's two files lie, and what happens when the disk refuses something.
//!
//! Invariant: after the first write that fails nothing more reaches the file, which is then as
//! after a crash: the engine recovers the last durable commit from it. Until it is opened again,
//! what the engine writes stays in memory, so that readers go on; the store sees in [`Health`]
//! that nothing of it counts. A sync that fails is final, since nobody knows what the disk kept.

use std::{
    collections::BTreeMap,
    fmt::{self, Debug, Display, Formatter},
    fs::{self, File},
    io::{self, Write},
    ops::Bound,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use redb::{BackendError, StorageBackend, backends::FileBackend};

use super::{directory::sync_parent, trouble::Trouble};

/// Bytes written and removed again to see whether the disk takes them.
const PROBE_BYTES: usize = 1024 * 1024;
/// Bytes of a piece of what is kept in memory.
const CHUNK: u64 = 4_096;

/// One of a store's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// Everything that happened: headers, bodies, change sets.
    Log,
    /// What follows from it up to the checkpoint: accounts and indexes.
    Flat,
}

/// What keeps the files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// redb: loses nothing that it has acknowledged.
    #[default]
    Redb,
    /// sled, where it was built in: for comparison.
    Sled,
}

impl Kind {
    /// Its name, which is also what its files end with.
    fn name(self) -> &'static str {
        match self {
            Self::Redb => "redb",
            Self::Sled => "sled",
        }
    }

    /// Whether this program has it.
    pub fn is_built_in(self) -> bool {
        match self {
            Self::Redb => true,
            Self::Sled => cfg!(feature = "sled"),
        }
    }
}

impl Display for Kind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Self::Redb, Self::Sled];
        let found = known.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| format!("wanted redb or sled, got {text:?}"))
    }
}

/// Whether a file is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is not.
    Absent,
    /// It is, without a byte in it.
    Empty,
    /// It is.
    There,
}

/// Where the files lie: a directory, or a test's disk.
pub trait Medium: Debug + Send + Sync {
    /// A file's name for messages.
    fn path(&self, part: Part) -> PathBuf;

    /// What keeps them.
    fn kind(&self) -> Kind {
        Kind::Redb
    }

    /// The name of a file that is being made, which counts for nothing.
    fn temporary(&self, part: Part) -> PathBuf {
        let ending = format!("{}.new", self.kind().name());
        self.path(part).with_extension(ending)
    }

    /// Whether a file is there.
    fn presence(&self, part: Part) -> io::Result<Presence>;

    /// Makes an empty file under a name that counts for nothing until [`Medium::keep`].
    fn make(&self, part: Part) -> io::Result<Box<dyn StorageBackend>>;

    /// The file that was made takes its name, durably.
    fn keep(&self, part: Part) -> io::Result<()>;

    /// Opens a file that is there.
    fn open(&self, part: Part) -> io::Result<Box<dyn StorageBackend>>;

    /// Whether there is room and permission to write again.
    fn probe(&self) -> io::Result<()>;
}

/// A data directory.
#[derive(Debug)]
pub struct Directory {
    log: PathBuf,
    flat: PathBuf,
    kind: Kind,
}

impl Directory {
    /// The directory of this log; the other file lies beside it, and the log's name says what
    /// keeps both.
    pub fn of(log: &Path) -> Self {
        let kind = match log.extension().is_some_and(|ending| ending == "sled") {
            true => Kind::Sled,
            false => Kind::Redb,
        };
        Self {
            log: log.to_owned(),
            flat: log.with_file_name(format!("state.{}", kind.name())),
            kind,
        }
    }
}

impl Medium for Directory {
    fn path(&self, part: Part) -> PathBuf {
        match part {
            Part::Log => self.log.clone(),
            Part::Flat => self.flat.clone(),
        }
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn presence(&self, part: Part) -> io::Result<Presence> {
        match fs::metadata(self.path(part)) {
            Ok(file) if file.len() == 0 => Ok(Presence::Empty),
            Ok(_) => Ok(Presence::There),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Presence::Absent),
            Err(error) => Err(error),
        }
    }

    fn make(&self, part: Part) -> io::Result<Box<dyn StorageBackend>> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(true);
        backend(options.open(self.temporary(part))?)
    }

    fn keep(&self, part: Part) -> io::Result<()> {
        let path = self.path(part);
        fs::rename(self.temporary(part), &path)?;
        sync_parent(&path)
    }

    fn open(&self, part: Part) -> io::Result<Box<dyn StorageBackend>> {
        backend(
            File::options()
                .read(true)
                .write(true)
                .open(self.path(part))?,
        )
    }

    fn probe(&self) -> io::Result<()> {
        let path = self.log.with_extension("probe");
        let mut file = File::create(&path)?;
        let written = file
            .write_all(&vec![1; PROBE_BYTES])
            .and_then(|()| file.sync_all());
        // Where it cannot be removed the next probe writes over it.
        let _ = fs::remove_file(&path);
        written
    }
}

fn backend(file: File) -> io::Result<Box<dyn StorageBackend>> {
    let backend = FileBackend::new(file).map_err(io::Error::other)?;
    Ok(Box::new(backend))
}

/// What the disk refused first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A write; the file can be opened again.
    Write(String),
    /// A sync; what the file holds is uncertain.
    Sync(String),
}

/// How a file's disk is, as seen by the store and its backend.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<OnceLock<Refusal>>);

impl Health {
    /// An error if the disk has refused something.
    pub fn check(&self) -> Result<(), Trouble> {
        match self.0.get() {
            None => Ok(()),
            Some(Refusal::Write(reason)) => Err(Trouble::Environment(reason.clone())),
            Some(Refusal::Sync(reason)) => Err(Trouble::Unsynced(reason.clone())),
        }
    }

    fn note(&self, refusal: Refusal) {
        // The first one says why; those after it follow from it.
        let _ = self.0.set(refusal);
    }
}

/// A file that takes no write after the first that failed.
#[derive(Debug)]
pub struct Stopping {
    file: Box<dyn StorageBackend>,
    health: Health,
    /// What was written since; none while the disk is well.
    unwritten: Mutex<Option<Unwritten>>,
}

/// Writes that did not reach the file.
#[derive(Debug)]
struct Unwritten {
    length: u64,
    chunks: BTreeMap<u64, Vec<u8>>,
}

impl Stopping {
    /// Watches over a file.
    pub fn new(file: Box<dyn StorageBackend>, health: Health) -> Self {
        Self {
            file,
            health,
            unwritten: Mutex::default(),
        }
    }

    fn unwritten(&self) -> MutexGuard<'_, Option<Unwritten>> {
        self.unwritten
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self, error: &io::Error) -> io::Result<Unwritten> {
        self.health
            .note(Refusal::Write(super::trouble::explain(error)));
        Ok(Unwritten {
            length: self.file.len()?,
            chunks: BTreeMap::new(),
        })
    }

    /// A chunk of the file as it lies on the disk, zeros beyond its end.
    fn chunk(&self, number: u64) -> io::Result<Vec<u8>> {
        let (start, length) = (number * CHUNK, self.file.len()?);
        let there = length.saturating_sub(start).min(CHUNK);
        let there = usize::try_from(there).map_err(io::Error::other)?;
        let mut bytes = vec![0; usize::try_from(CHUNK).map_err(io::Error::other)?];
        self.file.read(start, &mut bytes[..there])?;
        Ok(bytes)
    }

    fn keep(&self, kept: &mut Unwritten, offset: u64, data: &[u8]) -> io::Result<()> {
        kept.length = kept.length.max(offset + as_u64(data.len()));
        for (at, byte) in (offset..).zip(data) {
            let number = at / CHUNK;
            let chunk = match kept.chunks.entry(number) {
                std::collections::btree_map::Entry::Occupied(chunk) => chunk.into_mut(),
                std::collections::btree_map::Entry::Vacant(place) => {
                    place.insert(self.chunk(number)?)
                }
            };
            chunk[usize::try_from(at % CHUNK).map_err(io::Error::other)?] = *byte;
        }
        Ok(())
    }

    fn read_kept(&self, kept: &Unwritten, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if offset + as_u64(out.len()) > kept.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (mut number, mut chunk) = (u64::MAX, Vec::new());
        for (at, byte) in (offset..).zip(out) {
            if at / CHUNK != number {
                number = at / CHUNK;
                chunk = match kept.chunks.get(&number) {
                    Some(chunk) => chunk.clone(),
                    None => self.chunk(number)?,
                };
            }
            *byte = chunk[usize::try_from(at % CHUNK).map_err(io::Error::other)?];
        }
        Ok(())
    }
}

fn as_u64(length: usize) -> u64 {
    u64::try_from(length).expect("a length in memory fits 64 bits")
}

impl StorageBackend for Stopping {
    fn len(&self) -> io::Result<u64> {
        match &*self.unwritten() {
            Some(kept) => Ok(kept.length),
            None => self.file.len(),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        match &*self.unwritten() {
            Some(kept) => self.read_kept(kept, offset, out),
            None => self.file.read(offset, out),
        }
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut unwritten = self.unwritten();
        if unwritten.is_none() {
            let Err(error) = self.file.set_len(length) else {
                return Ok(());
            };
            *unwritten = Some(self.stop(&error)?);
        }
        if let Some(kept) = &mut *unwritten {
            kept.length = length;
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.unwritten().is_some() {
            return Ok(());
        }
        self.file.sync_data().inspect_err(|error| {
            self.health.note(Refusal::Sync(error.to_string()));
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut unwritten = self.unwritten();
        if unwritten.is_none() {
            let Err(error) = self.file.write(offset, data) else {
                return Ok(());
            };
            *unwritten = Some(self.stop(&error)?);
        }
        match &mut *unwritten {
            Some(kept) => self.keep(kept, offset, data),
            None => Ok(()),
        }
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use redb::backends::InMemoryBackend;

    use super::*;

    /// A disk that can be made full.
    #[derive(Debug, Default)]
    struct Full {
        file: InMemoryBackend,
        is_full: AtomicBool,
    }

    /// What several handles share.
    #[derive(Debug)]
    struct Shared(Arc<Full>);

    impl StorageBackend for Shared {
        fn len(&self) -> io::Result<u64> {
            self.0.file.len()
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.0.file.read(offset, out)
        }

        fn set_len(&self, length: u64) -> io::Result<()> {
            self.0.file.set_len(length)
        }

        fn sync_data(&self) -> io::Result<()> {
            self.0.file.sync_data()
        }

        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            if self.0.is_full.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.0.file.write(offset, data)
        }
    }

    fn bytes(file: &dyn StorageBackend) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        file.read(0, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn after_a_failure_writes_are_seen_and_reach_no_file() {
        let (disk, health) = (Arc::new(Full::default()), Health::default());
        let file = Stopping::new(Box::new(Shared(Arc::clone(&disk))), health.clone());
        file.set_len(10_000).unwrap();
        file.write(4_000, &[1; 200]).unwrap();
        assert!(health.check().is_ok());
        let written = bytes(&disk.file);
        disk.is_full.store(true, Ordering::Relaxed);
        file.write(4_090, &[2; 20]).unwrap();
        let told = health.check().unwrap_err();
        assert!(matches!(told, Trouble::Environment(reason) if reason.contains("free some space")));
        // Room again changes nothing: the file stays as after a crash.
        disk.is_full.store(false, Ordering::Relaxed);
        file.write(9_990, &[3; 20]).unwrap();
        file.sync_data().unwrap();
        let mut want = written.clone();
        want[4_090..4_110].fill(2);
        want.resize(10_010, 0);
        want[9_990..].fill(3);
        assert_eq!(bytes(&file), want);
        assert_eq!(bytes(&disk.file), written);
        file.set_len(4_100).unwrap();
        assert_eq!(bytes(&file), want[..4_100]);
        assert!(file.read(4_000, &mut [0; 101]).is_err());
    }
}
