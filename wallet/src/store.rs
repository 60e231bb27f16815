//! Where wallets lie: a directory of its own, away from any chain's.
//!
//! `keys/NAME.json` is a keystore, `keys/NAME.words` the words it came from, `labels.json` what
//! is known of other addresses, `sent/ADDRESS.jsonl` what an account has paid. Only names that
//! are plain words lead to paths. Called by the verbs.

use std::path::{Path, PathBuf};

use alloy_primitives::Address;

use crate::{
    files::{self, FileError, Place},
    keystore::{FILE_BYTES_MAX, Keystore, KeystoreError},
    words::WordsFile,
};

/// Characters of the longest name.
pub const NAME_CHARS_MAX: usize = 40;

/// A directory of wallets, which need not exist.
#[derive(Clone, Debug)]
pub struct Wallets {
    directory: PathBuf,
}

/// A wallet in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is called.
    pub name: String,
    /// Its address, as the file says; `None` if the file does not say.
    pub address: Option<Address>,
    /// Whether words lie beside it.
    pub has_words: bool,
}

/// Why there is no such wallet.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Not a name.
    #[error(
        "{0:?} is not a wallet's name: take up to {NAME_CHARS_MAX} letters, digits, - and _, not beginning with - or 0x, and not \"dev\""
    )]
    Name(String),
    /// The name is taken.
    #[error("there is a wallet {0:?} already: choose another name")]
    Exists(String),
    /// Nobody of that name.
    #[error(
        "there is no wallet {name:?} in {directory}: `lignum wallet list` shows those there are"
    )]
    Missing {
        /// What was asked for.
        name: String,
        /// Where it was looked for.
        directory: PathBuf,
    },
    /// The wallet was not made from words.
    #[error("wallet {0:?} was not made from words, so it has one account only")]
    NoWords(String),
    /// The file is there, but it cannot be used.
    #[error("{path}: {error}")]
    Keystore {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        error: KeystoreError,
    },
    /// The file cannot be read or written.
    #[error("{0}")]
    File(#[from] FileError),
}

/// Checks that a text can be a wallet's name.
pub fn check_name(text: &str) -> Result<(), StoreError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let is_name = (1..=NAME_CHARS_MAX).contains(&text.len())
        && text.chars().all(is_plain)
        && !text.starts_with('-')
        && !text.to_ascii_lowercase().starts_with("0x")
        && !text.eq_ignore_ascii_case("dev");
    if is_name {
        return Ok(());
    }
    let shown: String = text.chars().take(80).collect();
    Err(StoreError::Name(crate::answers::printable(&shown)))
}

impl Wallets {
    /// The wallets of a directory; nothing is made yet.
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where keystores and words lie.
    pub fn keys(&self) -> PathBuf {
        self.directory.join("keys")
    }

    /// Where labels and watched addresses are written.
    pub fn labels(&self) -> PathBuf {
        self.directory.join("labels.json")
    }

    /// Where it is written what accounts have paid.
    pub fn sent(&self) -> PathBuf {
        self.directory.join("sent")
    }

    /// The file of a wallet's key.
    pub fn key_file(&self, name: &str) -> PathBuf {
        self.keys().join(format!("{name}.json"))
    }

    /// The file of a wallet's words.
    pub fn words_file(&self, name: &str) -> PathBuf {
        self.keys().join(format!("{name}.words"))
    }

    /// The names of all wallets, in order.
    pub fn names(&self) -> Result<Vec<String>, StoreError> {
        let files = files::names(&self.keys())?;
        let stems = files.iter().filter_map(|file| file.strip_suffix(".json"));
        let mut names: Vec<String> = stems
            .filter(|name| check_name(name).is_ok())
            .map(String::from)
            .collect();
        names.sort_by_key(|name| in_order(name));
        Ok(names)
    }

    /// A wallet, without opening it.
    pub fn entry(&self, name: &str) -> Result<Entry, StoreError> {
        let keystore = self.keystore(name)?;
        Ok(Entry {
            name: name.to_string(),
            address: keystore.address(),
            has_words: self.words_file(name).exists(),
        })
    }

    /// The wallet of an address, if there is one whose file says so. Damaged files are passed over.
    pub fn of(&self, address: Address) -> Result<Option<Entry>, StoreError> {
        let names = self.names()?;
        let mut entries = names.iter().filter_map(|name| self.entry(name).ok());
        Ok(entries.find(|entry| entry.address == Some(address)))
    }

    /// Whether a wallet or its words have the name, in whatever case: some file systems do not
    /// tell `Alice` from `alice`.
    pub fn is_taken(&self, name: &str) -> Result<bool, StoreError> {
        let files = files::names(&self.keys())?;
        let mut stems = files.iter().filter_map(|file| file.rsplit_once('.'));
        Ok(stems.any(|(stem, _)| stem.eq_ignore_ascii_case(name)))
    }

    /// Refuses a name that cannot be given to a new wallet.
    pub fn check_new(&self, name: &str) -> Result<(), StoreError> {
        check_name(name)?;
        match self.is_taken(name)? {
            true => Err(StoreError::Exists(name.to_string())),
            false => Ok(()),
        }
    }

    /// A wallet's sealed key.
    pub fn keystore(&self, name: &str) -> Result<Keystore, StoreError> {
        check_name(name)?;
        let path = self.key_file(name);
        let bytes = read_small(&path)?.ok_or_else(|| self.missing(name))?;
        Keystore::parse(&bytes).map_err(|error| StoreError::Keystore { path, error })
    }

    /// A wallet's sealed words; `None` if it was not made from words.
    pub fn words(&self, name: &str) -> Result<Option<WordsFile>, StoreError> {
        check_name(name)?;
        let path = self.words_file(name);
        let Some(bytes) = read_small(&path)? else {
            return Ok(None);
        };
        let parsed = WordsFile::parse(&bytes);
        parsed
            .map(Some)
            .map_err(|error| StoreError::Keystore { path, error })
    }

    /// Writes a new wallet. The words come first: what they lead to can be derived again.
    pub fn add(
        &self,
        name: &str,
        keystore: &Keystore,
        words: Option<&WordsFile>,
    ) -> Result<(), StoreError> {
        files::make_directory(&self.keys())?;
        self.check_new(name)?;
        if let Some(words) = words {
            files::write(&self.words_file(name), &line(&words.to_json()), Place::New)?;
        }
        files::write(&self.key_file(name), &line(&keystore.to_json()), Place::New)?;
        Ok(())
    }

    /// Replaces a wallet's key file, as after a change of the password.
    pub fn replace_key(&self, name: &str, keystore: &Keystore) -> Result<(), StoreError> {
        check_name(name)?;
        files::write(&self.key_file(name), &line(&keystore.to_json()), Place::Old)?;
        Ok(())
    }

    /// Replaces a wallet's file of words, as after a change of the password.
    pub fn replace_words(&self, name: &str, words: &WordsFile) -> Result<(), StoreError> {
        check_name(name)?;
        files::write(&self.words_file(name), &line(&words.to_json()), Place::Old)?;
        Ok(())
    }

    /// That there is no wallet of this name.
    pub fn missing(&self, name: &str) -> StoreError {
        StoreError::Missing {
            name: name.to_string(),
            directory: self.keys(),
        }
    }
}

/// By what names are sorted, so that `alice-10` follows `alice-9`.
fn in_order(name: &str) -> (String, u64) {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    (stem.to_string(), name[stem.len()..].parse().unwrap_or(0))
}

/// Reads a file of the size of a keystore.
pub fn read_small(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    let limit = u64::try_from(FILE_BYTES_MAX).expect("a small number");
    files::read(path, limit)
}

fn line(json: &str) -> Vec<u8> {
    format!("{json}\n").into_bytes()
}
