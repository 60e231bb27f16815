//! A node's name in the network: an ed25519 key, kept in a file that only its owner can read.
//!
//! The file holds the 32 secret bytes and nothing else. It is written beside its place and then
//! renamed, so that a crash leaves either no key or a whole one.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use libp2p::identity::Keypair;

/// Bytes of an ed25519 secret.
const SECRET_BYTES: usize = 32;

/// A node's key pair. Its text form shows the peer id only.
#[derive(Clone)]
pub struct Identity(Keypair);

/// A key file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Reading or writing failed.
    #[error("the key file {path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is something else.
    #[error("the key file {path} should hold {SECRET_BYTES} bytes, got {got}", path = path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// Its length; one more than wanted stands for anything longer.
        got: usize,
    },
}

impl Identity {
    /// A new key from the system's entropy.
    pub fn generate() -> Self {
        Self(Keypair::generate_ed25519())
    }

    /// The key with this secret; every 32 bytes are one.
    pub fn from_secret(secret: [u8; SECRET_BYTES]) -> Self {
        Self(Keypair::ed25519_from_bytes(secret).expect("any 32 bytes are an ed25519 secret"))
    }

    /// The peer id, as text.
    pub fn peer_id(&self) -> String {
        self.0.public().to_peer_id().to_string()
    }

    pub(crate) fn keypair(&self) -> &Keypair {
        &self.0
    }

    /// A secret for this node's choices, from which the key cannot be had.
    pub(crate) fn seed(&self) -> [u8; 32] {
        chain::hash::sha256(&[&b"lignum choices"[..], &self.secret()].concat())
    }

    fn secret(&self) -> [u8; SECRET_BYTES] {
        let pair = self
            .0
            .clone()
            .try_into_ed25519()
            .expect("made as ed25519 by every constructor");
        let mut secret = [0; SECRET_BYTES];
        secret.copy_from_slice(pair.secret().as_ref());
        secret
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.peer_id())
    }
}

/// Reads the key in the file, or makes one and writes it there with mode 0600.
pub fn load_or_create(path: &Path) -> Result<Identity, IdentityError> {
    let failed = |source| IdentityError::Io {
        path: path.to_path_buf(),
        source,
    };
    match File::open(path) {
        Ok(file) => load(path, file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let identity = Identity::generate();
            create(path, &identity.secret()).map_err(failed)?;
            Ok(identity)
        }
        Err(error) => Err(failed(error)),
    }
}

fn load(path: &Path, file: File) -> Result<Identity, IdentityError> {
    let mut bytes = Vec::with_capacity(SECRET_BYTES + 1);
    // One byte more than wanted tells a longer file without reading it.
    let limit = u64::try_from(SECRET_BYTES + 1).expect("33 fits");
    let read = file.take(limit).read_to_end(&mut bytes);
    read.map_err(|source| IdentityError::Io {
        path: path.to_path_buf(),
        source,
    })?;
    let got = bytes.len();
    let secret = bytes.try_into().map_err(|_| IdentityError::Length {
        path: path.into(),
        got,
    })?;
    Ok(Identity::from_secret(secret))
}

fn create(path: &Path, secret: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(beside);
    // A crash may have left one of our own; its content was never used.
    if beside.exists() {
        fs::remove_file(&beside)?;
    }
    let written = write_private(&beside, secret).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // The first error is the one to tell; a left-over file does no harm.
        let _ = fs::remove_file(&beside);
    }
    written?;
    match path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        Some(folder) => sync_folder(folder),
        None => sync_folder(Path::new(".")),
    }
}

fn write_private(path: &Path, secret: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(secret)?;
    file.sync_all()
}

/// Makes the rename itself durable, where the system lets a folder be synced.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("lignum-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_key_is_made_once_and_read_back() {
        let folder = folder("key");
        let path = folder.join("node.key");
        let made = load_or_create(&path).unwrap();
        assert_eq!(load_or_create(&path).unwrap().peer_id(), made.peer_id());
        assert_eq!(fs::read(&path).unwrap().len(), SECRET_BYTES);
        assert_eq!(
            fs::read_dir(&folder).unwrap().count(),
            1,
            "nothing is left beside it"
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_file_of_another_length_is_refused_and_kept() {
        let folder = folder("foreign");
        let path = folder.join("node.key");
        for length in [0, 31, 33, 5_000] {
            fs::write(&path, vec![7; length]).unwrap();
            let error = load_or_create(&path).unwrap_err();
            assert!(matches!(error, IdentityError::Length { .. }), "{error}");
            assert_eq!(fs::read(&path).unwrap().len(), length);
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_secret_decides_the_id_and_is_not_shown() {
        let identity = Identity::from_secret([9; 32]);
        assert_eq!(identity.peer_id(), Identity::from_secret([9; 32]).peer_id());
        assert_ne!(identity.peer_id(), Identity::from_secret([8; 32]).peer_id());
        assert_eq!(identity.secret(), [9; 32]);
        assert_eq!(
            format!("{identity:?}"),
            format!("Identity({})", identity.peer_id())
        );
    }
}
