//! Who is paid, as people write it: an address, or `dev:N`.
//!
//! An address in mixed case carries a checksum in the case of its letters (EIP-55), which must be
//! right; one in a single case carries none. Called by the verbs; addresses are shown by their
//! own `Display`, which is EIP-55's form.

use std::{fmt, str::FromStr};

use alloy_primitives::{Address, hex};

use crate::derive::dev_key;

/// The development accounts are `dev:0` to `dev:99`.
pub const DEV_ACCOUNTS: u32 = 100;

/// An account that somebody named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// By its address.
    Address(Address),
    /// By its number among the development accounts.
    Dev(u32),
}

/// Why a text names no account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Neither an address nor a development account.
    #[error("{0:?} is not an address: write 0x and 40 hex digits, or dev:0 to dev:99")]
    Form(String),
    /// The wrong number of digits.
    #[error("an address has 40 hex digits after 0x, got {0}: copy it again in full")]
    Length(usize),
    /// The case of the letters does not fit.
    #[error(
        "{0} fails its checksum (EIP-55), so a character is probably wrong: copy the address again"
    )]
    Checksum(String),
    /// Beyond the development accounts.
    #[error("development accounts are dev:0 to dev:99, got {0:?}")]
    Dev(String),
}

impl Party {
    /// The account's address.
    pub fn address(self) -> Address {
        match self {
            Self::Address(address) => address,
            Self::Dev(n) => dev_key(n).address(),
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Dev(n) => write!(f, "dev:{n}"),
        }
    }
}

impl FromStr for Party {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        match text.strip_prefix("dev:") {
            Some(number) => parse_dev(number).map(Self::Dev),
            None => parse_address(text).map(Self::Address),
        }
    }
}

/// Reads `0x` and 40 hex digits, checking EIP-55's checksum if the letters are of both cases.
pub fn parse_address(text: &str) -> Result<Address, AddressError> {
    let form = || AddressError::Form(text.chars().take(80).collect());
    let digits = text.strip_prefix("0x").ok_or_else(form)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(form());
    }
    if digits.len() != 40 {
        return Err(AddressError::Length(digits.len()));
    }
    let mut bytes = [0; 20];
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| form())?;
    let address = Address::from(bytes);
    let has_lower = digits.bytes().any(|byte| byte.is_ascii_lowercase());
    let has_upper = digits.bytes().any(|byte| byte.is_ascii_uppercase());
    if has_lower && has_upper && address.to_string() != text {
        return Err(AddressError::Checksum(text.to_string()));
    }
    Ok(address)
}

/// Whether an address is written without a checksum, so that a typing error goes unseen.
pub fn is_unchecked(text: &str) -> bool {
    let digits = text.trim().trim_start_matches("0x");
    let has_lower = digits.bytes().any(|byte| byte.is_ascii_lowercase());
    let has_upper = digits.bytes().any(|byte| byte.is_ascii_uppercase());
    has_lower != has_upper
}

/// An account as a verb is told it: an address, `dev:N`, or the name or label of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// An account that needs no looking up.
    Party {
        /// Which.
        party: Party,
        /// Whether it is an address without a checksum.
        unchecked: bool,
    },
    /// A wallet's name, or a label.
    Name(String),
}

impl FromStr for Who {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(AddressError::Form(String::new()));
        }
        if !text.starts_with("0x") && !text.starts_with("dev:") {
            return Ok(Self::Name(text.chars().take(80).collect()));
        }
        let party: Party = text.parse()?;
        let unchecked = matches!(party, Party::Address(_)) && is_unchecked(text);
        Ok(Self::Party { party, unchecked })
    }
}

fn parse_dev(number: &str) -> Result<u32, AddressError> {
    let parsed = number.parse::<u32>().ok();
    parsed
        .filter(|n| *n < DEV_ACCOUNTS && number.bytes().all(|byte| byte.is_ascii_digit()))
        .ok_or_else(|| {
            AddressError::Dev(format!(
                "dev:{}",
                number.chars().take(40).collect::<String>()
            ))
        })
}
