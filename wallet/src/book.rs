//! What is known of addresses beside their keys: labels, and addresses that are only watched.
//!
//! One JSON file, rewritten as a whole. Labels are for people's eyes and never decide where money
//! goes without the address being shown. Called by the verbs.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::Address;
use serde::{Deserialize, Serialize};

use crate::{
    address::parse_address,
    files::{self, FileError, Place},
    store::Wallets,
};

/// Characters of the longest label.
pub const LABEL_CHARS_MAX: usize = 60;
/// Bytes of the longest file of labels.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Labels and watched addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    labels: BTreeMap<Address, String>,
    watched: BTreeSet<Address>,
}

/// The file's JSON.
#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    watched: Vec<String>,
}

/// Why the labels are not there, or not changed.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// Not a label.
    #[error("{0:?} is not a label: take up to {LABEL_CHARS_MAX} characters in one line")]
    Label(String),
    /// Somebody else has it.
    #[error("{label:?} is the label of {of} already: labels are unique")]
    Taken {
        /// The label.
        label: String,
        /// Whose it is.
        of: Address,
    },
    /// The file is not ours.
    #[error("{path} is not a file of labels: {reason}; put it aside to begin anew")]
    Form {
        /// Which file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file cannot be read or written.
    #[error("{0}")]
    File(#[from] FileError),
}

impl Book {
    /// Reads the labels of a directory; none if there is no file.
    pub fn read(wallets: &Wallets) -> Result<Self, BookError> {
        let path = wallets.labels();
        let Some(bytes) = files::read(&path, FILE_BYTES_MAX)? else {
            return Ok(Self::default());
        };
        Self::parse(&bytes).map_err(|reason| BookError::Form {
            path: path.display().to_string(),
            reason: crate::answers::printable(&reason),
        })
    }

    /// Reads a file's bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let file: File = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if file.version != 1 {
            return Err(format!("version 1 is wanted, it has {}", file.version));
        }
        let read = |text: &str| parse_address(text).map_err(|error| error.to_string());
        let mut book = Self::default();
        for (address, label) in file.labels {
            check_label(&label).map_err(|error| error.to_string())?;
            book.labels.insert(read(&address)?, label);
        }
        for address in &file.watched {
            book.watched.insert(read(address)?);
        }
        Ok(book)
    }

    /// Writes the labels, as a whole.
    pub fn write(&self, wallets: &Wallets) -> Result<(), BookError> {
        let labels = self.labels.iter();
        let file = File {
            version: 1,
            labels: labels
                .map(|(address, label)| (address.to_string(), label.clone()))
                .collect(),
            watched: self.watched.iter().map(Address::to_string).collect(),
        };
        let json = serde_json::to_string_pretty(&file).expect("text and numbers are JSON");
        files::make_directory(wallets.directory())?;
        files::write(
            &wallets.labels(),
            format!("{json}\n").as_bytes(),
            Place::Old,
        )?;
        Ok(())
    }

    /// The label of an address.
    pub fn label(&self, address: Address) -> Option<&str> {
        self.labels.get(&address).map(String::as_str)
    }

    /// The address of a label.
    pub fn labelled(&self, label: &str) -> Option<Address> {
        let mut labels = self.labels.iter();
        let found = labels.find(|(_, known)| known.as_str() == label);
        found.map(|(&address, _)| address)
    }

    /// The addresses that are only watched, in order.
    pub fn watched(&self) -> impl Iterator<Item = Address> {
        self.watched.iter().copied()
    }

    /// Watches an address from now on.
    pub fn watch(&mut self, address: Address) {
        self.watched.insert(address);
    }

    /// Gives an address a label; an empty one takes it away.
    pub fn set_label(&mut self, address: Address, label: &str) -> Result<(), BookError> {
        if label.is_empty() {
            self.labels.remove(&address);
            return Ok(());
        }
        check_label(label)?;
        match self.labelled(label) {
            Some(of) if of != address => Err(BookError::Taken {
                label: label.to_string(),
                of,
            }),
            _ => {
                self.labels.insert(address, label.to_string());
                Ok(())
            }
        }
    }
}

fn check_label(label: &str) -> Result<(), BookError> {
    let is_label = (1..=LABEL_CHARS_MAX).contains(&label.chars().count())
        && label.trim() == label
        && !label.contains(char::is_control);
    match is_label {
        true => Ok(()),
        false => Err(BookError::Label(crate::answers::printable(label))),
    }
}
