//! Transactions on their way between a machine with a network and one without.
//!
//! The file of an unsigned transaction says everything about it in words and numbers, with the
//! network's name, chain id and genesis, so that the machine which signs can show what it signs.
//! A signed one adds its bytes, which are what counts: they are read and compared with the rest.
//! Called by `build`, `sign` and `broadcast`.

use alloy_primitives::{Address, hex};
use chain::{CheckedTransaction, transaction::TransactionError};
use serde::{Deserialize, Serialize};

use crate::{
    address::{AddressError, parse_address},
    amount::Amount,
    answers::printable,
    guard::Network,
    sign::Transfer,
};

/// Bytes of the longest file that is read as a transaction.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;
const UNSIGNED: &str = "lignum-unsigned";
const SIGNED: &str = "lignum-signed";

/// A transaction that is to be signed: all that the signer should see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Where it is to be mined.
    pub network: Network,
    /// Who pays.
    pub from: Address,
    /// What it says.
    pub transfer: Transfer,
}

/// A file's JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    kind: String,
    version: u32,
    network: String,
    dev: bool,
    chain_id: u64,
    genesis: String,
    from: String,
    to: String,
    value: String,
    /// The value for people; not read.
    display: String,
    nonce: u64,
    gas_limit: u64,
    max_fee: String,
    tip: String,
    input: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    raw: Option<String>,
}

/// Why a file is no transaction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Not the JSON of one.
    #[error("this is not a transaction file: {0}")]
    Form(String),
    /// A field that cannot be read.
    #[error("the transaction file's {field} is {got:?}, wanted {want}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What belongs there.
        want: &'static str,
        /// What is there.
        got: String,
    },
    /// An address that is none.
    #[error("the transaction file's {field}: {error}")]
    Address {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        error: AddressError,
    },
    /// The signed bytes are not a transaction of this chain.
    #[error("the signed transaction cannot be read: {0}")]
    Raw(#[from] TransactionError),
    /// The signed bytes say something else than the file.
    #[error(
        "the file's {0} is not what was signed: the file was changed, do not send it before you know why"
    )]
    Differs(&'static str),
}

impl Document {
    /// The file of an unsigned transaction.
    pub fn unsigned(&self) -> String {
        self.write(UNSIGNED, None)
    }

    /// The file of a signed transaction.
    pub fn signed(&self, checked: &CheckedTransaction) -> String {
        self.write(SIGNED, Some(checked))
    }

    fn write(&self, kind: &str, checked: Option<&CheckedTransaction>) -> String {
        let file = File {
            kind: kind.to_string(),
            version: 1,
            network: self.network.name.clone(),
            dev: self.network.dev,
            chain_id: self.network.chain_id,
            genesis: self.network.genesis.to_string(),
            from: self.from.to_string(),
            to: self.transfer.to.to_string(),
            value: self.transfer.value.to_string(),
            display: Amount(self.transfer.value).to_string(),
            nonce: self.transfer.nonce,
            gas_limit: self.transfer.gas_limit,
            max_fee: self.transfer.max_fee.to_string(),
            tip: self.transfer.tip.to_string(),
            input: hex::encode_prefixed(&self.transfer.input),
            hash: checked.map(|checked| checked.hash().to_string()),
            raw: checked.map(|checked| hex::encode_prefixed(checked.bytes())),
        };
        let json = serde_json::to_string_pretty(&file).expect("text and numbers are JSON");
        format!("{json}\n")
    }

    /// Reads the file of an unsigned transaction.
    pub fn parse_unsigned(text: &str) -> Result<Self, DocumentError> {
        Self::read(&parse(text, UNSIGNED)?)
    }

    /// Reads the file of a signed transaction, and compares it with the bytes in it.
    pub fn parse_signed(text: &str) -> Result<(Self, CheckedTransaction), DocumentError> {
        let file = parse(text, SIGNED)?;
        let document = Self::read(&file)?;
        let raw = file.raw.as_deref().unwrap_or_default();
        let bytes = hex::decode(raw).map_err(|_| field("raw", "hex digits", raw))?;
        let checked = CheckedTransaction::check(&bytes, document.network.chain_id)?;
        document.compare(&checked)?;
        Ok((document, checked))
    }

    /// That a signed transaction says what this document says.
    pub fn compare(&self, checked: &CheckedTransaction) -> Result<(), DocumentError> {
        let transfer = &self.transfer;
        let agreements = [
            ("from", checked.sender() == self.from),
            ("to", checked.to() == Some(transfer.to)),
            (
                "value",
                checked.value().to_string() == transfer.value.to_string(),
            ),
            ("nonce", checked.nonce() == transfer.nonce),
            ("gas_limit", checked.gas_limit() == transfer.gas_limit),
            ("max_fee", checked.max_fee() == transfer.max_fee),
            ("tip", checked.priority_fee() == transfer.tip),
            ("input", checked.input() == transfer.input),
        ];
        match agreements.iter().find(|(_, agrees)| !agrees) {
            Some((field, _)) => Err(DocumentError::Differs(field)),
            None => Ok(()),
        }
    }

    fn read(file: &File) -> Result<Self, DocumentError> {
        let address = |field, text: &str| {
            parse_address(text).map_err(|error| DocumentError::Address { field, error })
        };
        let number = |name, text: &str| {
            text.parse::<u128>()
                .map_err(|_| field(name, "a number of wei below 2^128", text))
        };
        let genesis = || field("genesis", "0x and 64 hex digits", &file.genesis);
        Ok(Self {
            network: Network {
                name: printable(&file.network),
                chain_id: file.chain_id,
                genesis: file.genesis.parse().map_err(|_| genesis())?,
                dev: file.dev,
            },
            from: address("from", &file.from)?,
            transfer: Transfer {
                chain_id: file.chain_id,
                nonce: file.nonce,
                to: address("to", &file.to)?,
                value: number("value", &file.value)?,
                gas_limit: file.gas_limit,
                max_fee: number("max_fee", &file.max_fee)?,
                tip: number("tip", &file.tip)?,
                input: hex::decode(&file.input)
                    .map_err(|_| field("input", "hex digits", &file.input))?,
            },
        })
    }
}

fn parse(text: &str, kind: &'static str) -> Result<File, DocumentError> {
    let file: File = serde_json::from_str(text)
        .map_err(|error| DocumentError::Form(printable(&error.to_string())))?;
    if file.kind != kind {
        return Err(field("kind", kind, &file.kind));
    }
    if file.version != 1 {
        return Err(field("version", "1", &file.version.to_string()));
    }
    Ok(file)
}

fn field(field: &'static str, want: &'static str, got: &str) -> DocumentError {
    let got = printable(got).chars().take(60).collect();
    DocumentError::Field { field, want, got }
}
