//! What an account has paid, written down before it is sent; and the lock of its next nonce.
//!
//! One file of JSON lines an address, only ever appended to. Who pays holds its lock from asking
//! the node for a nonce until the node shows the transaction, so two payments at once do not take
//! one nonce. A wallet without its journal loses nothing but this memory. Called by `send` and its
//! kin.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use alloy_primitives::Address;
use serde::{Deserialize, Serialize};

use crate::files::{self, FileError};

/// Bytes at the end of the file that are read: the last few hundred payments.
const TAIL_BYTES: u64 = 512 * 1024;

/// An account's journal, locked until it is dropped.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
}

/// A payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// Seconds since 1970 when it was signed.
    pub time: u64,
    /// The network's name.
    pub network: String,
    /// Whether the network is a throw-away one.
    pub dev: bool,
    /// The chain it is signed for.
    pub chain_id: u64,
    /// The network's first block.
    pub genesis: String,
    /// Its number among the account's transactions.
    pub nonce: u64,
    /// Who is paid.
    pub to: String,
    /// Wei paid.
    pub value: String,
    /// Its hash.
    pub hash: String,
    /// Its bytes in hex, to send them again.
    pub raw: String,
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    /// Signed, and about to be sent.
    Signed(Payment),
    /// The node did not want the transaction of this hash.
    Refused(String),
}

impl Journal {
    /// Waits for an account's lock and takes it.
    pub fn lock(directory: &Path, address: Address) -> Result<Self, FileError> {
        files::make_directory(directory)?;
        let path = directory.join(format!("{address}.jsonl"));
        let file = files::lock(&path)?;
        Ok(Self { file, path })
    }

    /// The latest payments, in order, without those that were refused. What cannot be read, as a
    /// line cut off by a crash, is passed over.
    pub fn payments(&mut self) -> Result<Vec<Payment>, FileError> {
        let mut bytes = Vec::new();
        let length = self
            .file
            .seek(SeekFrom::End(0))
            .map_err(self.failed("read"))?;
        let start = length.saturating_sub(TAIL_BYTES);
        self.file
            .seek(SeekFrom::Start(start))
            .and_then(|_| (&self.file).take(TAIL_BYTES).read_to_end(&mut bytes))
            .map_err(self.failed("read"))?;
        let mut payments: Vec<Payment> = Vec::new();
        for line in String::from_utf8_lossy(&bytes).lines() {
            match serde_json::from_str(line) {
                Ok(Line::Signed(payment)) => payments.push(payment),
                Ok(Line::Refused(hash)) => payments.retain(|payment| payment.hash != hash),
                Err(_) => {}
            }
        }
        Ok(payments)
    }

    /// Writes down a payment that is about to be sent; it is on the disk when this returns.
    pub fn signed(&mut self, payment: Payment) -> Result<(), FileError> {
        self.append(&Line::Signed(payment))
    }

    /// Writes down that the node did not want it.
    pub fn refused(&mut self, hash: String) -> Result<(), FileError> {
        self.append(&Line::Refused(hash))
    }

    fn append(&mut self, line: &Line) -> Result<(), FileError> {
        let json = serde_json::to_string(line).expect("text and numbers are JSON");
        // A line that a crash cut off ends here, and not in the middle of this one.
        self.file
            .write_all(format!("\n{json}\n").as_bytes())
            .and_then(|()| self.file.sync_data())
            .map_err(self.failed("write"))
    }

    fn failed(&self, doing: &'static str) -> impl FnOnce(std::io::Error) -> FileError {
        let path = self.path.clone();
        move |error| FileError::Io { doing, path, error }
    }
}

/// Seconds since 1970, as the system's clock has it.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |duration| duration.as_secs())
}

/// The payment of this hash, whichever account made it.
pub fn find(directory: &Path, hash: &str) -> Result<Option<Payment>, FileError> {
    for name in files::names(directory)? {
        let address = name
            .strip_suffix(".jsonl")
            .and_then(|stem| stem.parse().ok());
        let Some(address) = address else { continue };
        let payments = Journal::lock(directory, address)?.payments()?;
        let is_it = |payment: &Payment| payment.hash.eq_ignore_ascii_case(hash);
        if let Some(found) = payments.into_iter().find(is_it) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
