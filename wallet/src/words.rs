//! Words: making them, and keeping them in a file of ours beside the keystores.
//!
//! The file holds the words' entropy (BIP-39), sealed as a keystore seals a key, so that more
//! accounts can be derived later and the words be shown again. It is no keystore: its `kind` is
//! `lignum-words`. Called by `store` and the verbs.

use std::fmt::{self, Write as _};

use alloy_primitives::{Address, hex};
use bip39::Mnemonic;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    answers::printable,
    derive::{Key, KeyError, Seed},
    keystore::{FILE_BYTES_MAX, KeystoreError, parse_address, uuid},
    sealed::{SealError, Sealed, random},
};

/// The path below which accounts are derived (BIP-44).
pub const PATH: &str = "m/44'/60'/0'/0";
const KIND: &str = "lignum-words";

/// A phrase of English words whose checksum is right. Wiped when dropped, not shown by `Debug`.
pub struct Words(Mnemonic);

impl Words {
    /// New words: 12 from 128 random bits, or 24 from 256.
    ///
    /// # Panics
    /// If asked for another number.
    pub fn random(count: usize) -> Result<Self, SealError> {
        let entropy = random::<32>()?;
        let bytes = match count {
            12 => 16,
            24 => 32,
            _ => panic!("words come in twelves"),
        };
        let mnemonic = Mnemonic::from_entropy(&entropy[..bytes]);
        Ok(Self(mnemonic.expect("a length that BIP-39 allows")))
    }

    /// Reads words, however they are spaced and in any case.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let mut clean = Zeroizing::new(String::with_capacity(text.len() + 1));
        for word in text.split_whitespace() {
            clean.push_str(word);
            clean.push(' ');
        }
        clean.make_ascii_lowercase();
        Mnemonic::parse_normalized(clean.trim_end())
            .map(Self)
            .map_err(Into::into)
    }

    /// The words, in order.
    pub fn list(&self) -> Vec<&'static str> {
        self.0.words().collect()
    }

    /// The words numbered, in rows of four.
    pub fn rows(&self) -> Vec<Zeroizing<String>> {
        let list = self.list();
        let rows = list.chunks(4).enumerate().map(|(row, words)| {
            let mut text = Zeroizing::new(String::with_capacity(80));
            for (column, word) in words.iter().enumerate() {
                let number = 4 * row + column + 1;
                write!(text, "{number:>4} {word:<10}").expect("text grows");
            }
            text
        });
        rows.collect()
    }

    /// The words in one line.
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(self.list().join(" "))
    }

    /// The key at m/44'/60'/0'/0/index.
    pub fn key(&self, index: u32) -> Result<Key, KeyError> {
        self.key_with("", index)
    }

    /// The same below a BIP-39 passphrase, with which the same words lead to other keys.
    pub fn key_with(&self, passphrase: &str, index: u32) -> Result<Key, KeyError> {
        Seed::from_words(&self.text(), passphrase)?.key(index)
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Words({})", self.0.word_count())
    }
}

/// Sealed words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordsFile {
    address: Address,
    id: String,
    sealed: Sealed,
}

/// A file's JSON.
#[derive(Serialize, Deserialize)]
struct File {
    kind: String,
    version: u32,
    id: String,
    /// The first account, by which the file can be told from others.
    address: String,
    path: String,
    crypto: Sealed,
}

impl WordsFile {
    /// Seals words; the cost is scrypt's N as a power of two.
    pub fn seal_at(log_n: u8, words: &Words, password: &str) -> Result<Self, KeystoreError> {
        let entropy = Zeroizing::new(words.0.to_entropy());
        Ok(Self {
            address: words.key(0)?.address(),
            id: uuid()?,
            sealed: Sealed::seal_at(log_n, &entropy, password)?,
        })
    }

    /// Reads a file's bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeystoreError> {
        if bytes.len() > FILE_BYTES_MAX {
            return Err(KeystoreError::TooLarge(bytes.len()));
        }
        let form = |reason: &str| KeystoreError::Form(printable(reason));
        let file: File = serde_json::from_slice(bytes).map_err(|error| form(&error.to_string()))?;
        if file.kind != KIND || file.path != PATH {
            return Err(form("its kind or path is not that of a file of words"));
        }
        if file.version != 1 {
            let got = file.version;
            return Err(KeystoreError::Version { want: 1, got });
        }
        Ok(Self {
            address: parse_address(&file.address).map_err(|error| form(&error))?,
            id: file.id,
            sealed: file.crypto,
        })
    }

    /// The file's text.
    pub fn to_json(&self) -> String {
        let file = File {
            kind: KIND.to_string(),
            version: 1,
            id: self.id.clone(),
            address: hex::encode(self.address.0),
            path: PATH.to_string(),
            crypto: self.sealed.clone(),
        };
        serde_json::to_string(&file).expect("text and numbers are JSON")
    }

    /// The first account's address, as the file says, which nothing proves.
    pub fn address(&self) -> Address {
        self.address
    }

    /// The words.
    pub fn open(&self, password: &str) -> Result<Words, KeystoreError> {
        let entropy = self.sealed.open(password)?;
        let mnemonic = Mnemonic::from_entropy(&entropy).map_err(KeyError::from)?;
        let words = Words(mnemonic);
        let (said, got) = (self.address, words.key(0)?.address());
        if said != got {
            return Err(KeystoreError::Address { said, got });
        }
        Ok(words)
    }
}
