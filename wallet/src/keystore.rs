//! A key in a file: Web3 Secret Storage, version 3, as geth, cast, eth-account and ethers use it.
//!
//! Ours are sealed with scrypt at N = 2^17. The `address` in a file is a hint that nothing
//! protects: [`Keystore::open`] compares it with the key. Called by `store` and the verbs.

use std::fmt::Write as _;

use alloy_primitives::{Address, hex};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    answers::printable,
    derive::{Key, KeyError},
    sealed::{SealError, Sealed, random},
};

/// Bytes of the longest file that is read as a keystore.
pub const FILE_BYTES_MAX: usize = 64 * 1024;

/// A sealed key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keystore {
    address: Option<Address>,
    id: String,
    sealed: Sealed,
}

/// A keystore file's JSON. Unknown keys, as ethers writes them, are passed over.
#[derive(Serialize, Deserialize)]
struct File {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(alias = "Crypto")]
    crypto: Sealed,
    #[serde(default)]
    id: Option<String>,
    version: u32,
}

/// Why there is no key. Never contains secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeystoreError {
    /// Longer than any keystore.
    #[error("a keystore has at most {FILE_BYTES_MAX} bytes, got {0}")]
    TooLarge(usize),
    /// Not the JSON of a keystore.
    #[error("this is not a keystore of version 3: {0}")]
    Form(String),
    /// Another version.
    #[error("a keystore of version {want} is needed, this is version {got}")]
    Version {
        /// What can be read.
        want: u32,
        /// What the file says.
        got: u32,
    },
    /// The password, or the way of sealing.
    #[error("{0}")]
    Seal(#[from] SealError),
    /// What was sealed is no key.
    #[error("what is sealed in it is {0}")]
    Key(#[from] KeyError),
    /// The file names another account than the one it opens.
    #[error("it says address {said}, but holds the key of {got}: the file was changed")]
    Address {
        /// What the file says.
        said: Address,
        /// What the key gives.
        got: Address,
    },
}

impl Keystore {
    /// Seals a key; the cost is scrypt's N as a power of two.
    pub fn seal_at(log_n: u8, key: &Key, password: &str) -> Result<Self, SealError> {
        Ok(Self {
            address: Some(key.address()),
            id: uuid()?,
            sealed: Sealed::seal_at(log_n, &key.secret()[..], password)?,
        })
    }

    /// Reads a file's bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeystoreError> {
        if bytes.len() > FILE_BYTES_MAX {
            return Err(KeystoreError::TooLarge(bytes.len()));
        }
        let form = |reason: String| KeystoreError::Form(printable(&reason));
        let file: File = serde_json::from_slice(bytes).map_err(|error| form(error.to_string()))?;
        if file.version != 3 {
            let got = file.version;
            return Err(KeystoreError::Version { want: 3, got });
        }
        let address = file.address.as_deref().map(parse_address).transpose();
        Ok(Self {
            address: address.map_err(form)?,
            id: file.id.unwrap_or_default(),
            sealed: file.crypto,
        })
    }

    /// The file's text.
    pub fn to_json(&self) -> String {
        let file = File {
            address: self.address.map(|address| hex::encode(address.0)),
            crypto: self.sealed.clone(),
            id: Some(self.id.clone()),
            version: 3,
        };
        serde_json::to_string(&file).expect("text and numbers are JSON")
    }

    /// Whose key it is, as the file says, which nothing proves.
    pub fn address(&self) -> Option<Address> {
        self.address
    }

    /// The key. Keys of less than 32 bytes, which old wallets wrote, have zeros in front.
    pub fn open(&self, password: &str) -> Result<Key, KeystoreError> {
        let opened = self.sealed.open(password)?;
        let mut secret = Zeroizing::new([0; 32]);
        let start = secret.len().saturating_sub(opened.len());
        secret[start..].copy_from_slice(&opened);
        let key = Key::from_secret(&secret)?;
        let got = key.address();
        match self.address {
            Some(said) if said != got => Err(KeystoreError::Address { said, got }),
            _ => Ok(key),
        }
    }
}

/// 40 hex digits of any case, with or without `0x`.
pub(crate) fn parse_address(text: &str) -> Result<Address, String> {
    let wrong = |_| "its address is not one of 40 hex digits".to_string();
    hex::decode_to_array(text).map(Address::from).map_err(wrong)
}

/// A random name for a file (RFC 9562, version 4).
pub(crate) fn uuid() -> Result<String, SealError> {
    let mut bytes = *random::<16>()?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::new();
    for (index, byte) in bytes.iter().enumerate() {
        let dash = if [4, 6, 8, 10].contains(&index) {
            "-"
        } else {
            ""
        };
        write!(text, "{dash}{byte:02x}").expect("text grows");
    }
    Ok(text)
}
