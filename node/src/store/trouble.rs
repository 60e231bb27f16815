//! What goes wrong below the `Store` trait, and the guard around the engine.

use std::{
    cell::Cell,
    fmt::Display,
    io,
    panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook},
    path::Path,
    sync::Once,
};

use chain::{BlockHash, StoreError};

/// Why the engine could not do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// What was read cannot be what was written.
    Damaged(String),
    /// The disk or the system; what is stored is as good as it was.
    Environment(String),
    /// The disk could not say that what it was given is on it. Nobody knows what it kept, and it
    /// may say yes to the next question about the same bytes; so nothing is asked again.
    Unsynced(String),
    /// The store of another network.
    Network {
        /// Whose it is.
        holds: BlockHash,
    },
    /// Written by an older or newer program.
    Format {
        /// The version this program reads.
        want: u32,
        /// The file's version.
        got: u32,
    },
}

impl Trouble {
    /// The same with the file's name and what to do about it.
    pub fn at(&self, file: &Path) -> StoreError {
        let place = file.display();
        let directory = file.parent().unwrap_or(Path::new(".")).display();
        let rebuild = format!("lignum node --reindex --datadir {directory}");
        let is_sled = file.extension().is_some_and(|ending| ending == "sled");
        StoreError(match self {
            Self::Damaged(reason) if is_sled => format!(
                "{place} is damaged: {reason}. Restore it from a copy, or remove it to sync again"
            ),
            Self::Damaged(reason) => format!(
                "{place} is damaged: {reason}. Rebuild it with {rebuild}, restore it from a copy, or remove it to sync again"
            ),
            Self::Environment(reason) => format!("{place}: {reason}"),
            Self::Unsynced(reason) => format!(
                "{place}: the disk could not make a write durable: {reason}. What was acknowledged before is safe; check the disk, then start again"
            ),
            Self::Network { holds } => {
                format!("{place} holds the network of genesis {holds}")
            }
            Self::Format { want, got } if got < want && is_sled => format!(
                "{place} has format version {got}, this program reads {want}: export its blocks with the lignum that wrote it and import them into a new directory, or remove it to sync again"
            ),
            Self::Format { want, got } if got < want => format!(
                "{place} has format version {got}, this program reads {want}: rebuild it with {rebuild}"
            ),
            Self::Format { want, got } => format!(
                "{place} has format version {got}, this program reads {want}: use the lignum that wrote it, or remove it to sync again"
            ),
        })
    }
}

/// An error of the engine: the disk's, or what it found on it.
pub fn engine(error: impl Into<redb::Error>) -> Trouble {
    use redb::Error::{DatabaseAlreadyOpen, DatabaseClosed, Io, LockPoisoned, PreviousIo};
    match error.into() {
        Io(error) if !is_damage(&error) => Trouble::Environment(explain(&error)),
        error @ (PreviousIo | DatabaseAlreadyOpen | DatabaseClosed | LockPoisoned(_)) => {
            Trouble::Environment(error.to_string())
        }
        error => Trouble::Damaged(error.to_string()),
    }
}

thread_local! {
    /// Whether this thread is under guard.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Keeps panics under guard off standard error: the error that comes of them says it all.
fn hush() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let tell = take_hook();
        set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                tell(panic);
            }
        }));
    });
}

/// Does something with the engine, which panics over some files that were damaged behind its
/// back: that too is damage, and an error.
pub fn guard<V>(work: impl FnOnce() -> Result<V, Trouble>) -> Result<V, Trouble> {
    // Nothing half-changed survives a panic: a write transaction is lost as a whole, and the
    // store takes no further commit.
    hush();
    let before = GUARDED.replace(true);
    let caught = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(before);
    caught.unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
        let reason: &dyn Display = text.as_ref().map_or(&"no reason given", |text| text);
        Err(Trouble::Damaged(format!("the engine gave up: {reason}")))
    })
}

/// Errors of reading that come from the bytes and not from the disk.
fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    )
}

/// What the system said, with the remedy where there is a usual one.
pub fn explain(error: &io::Error) -> String {
    let remedy = match error.kind() {
        io::ErrorKind::StorageFull => ": free some space",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            ": make it writable for this user, or choose another --datadir"
        }
        _ => "",
    };
    format!("{error}{remedy}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_damage() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let trouble = engine(redb::Error::Io(full));
        assert!(matches!(trouble, Trouble::Environment(_)));
        let text = trouble.at(Path::new("chain.redb")).to_string();
        assert!(
            text.contains("free some space") && !text.contains("damaged"),
            "{text}"
        );
        let short = io::Error::from(io::ErrorKind::UnexpectedEof);
        assert!(matches!(
            engine(redb::Error::Io(short)),
            Trouble::Damaged(_)
        ));
    }

    /// A store of sled is neither rebuilt in place nor exported by a program of another format.
    #[test]
    fn an_older_store_is_told_what_can_be_done_about_it() {
        let older = Trouble::Format { want: 3, got: 2 };
        for (file, is_rebuilt) in [("chain.redb", true), ("chain.sled", false)] {
            let text = older.at(Path::new(file)).to_string();
            let versions = "has format version 2, this program reads 3";
            assert!(text.contains(versions), "{text}");
            assert_eq!(text.contains("--reindex"), is_rebuilt, "{text}");
            let exported = text.contains("export its blocks with the lignum that wrote it");
            assert_eq!(exported, !is_rebuilt, "{text}");
        }
    }

    #[test]
    fn a_panic_becomes_an_error() {
        let result: Result<(), _> = guard(|| panic!("page {}", 7));
        let text = result.unwrap_err().at(Path::new("chain.redb")).to_string();
        assert!(
            text.contains("chain.redb is damaged: the engine gave up: page 7"),
            "{text}"
        );
    }
}
