//! Hashes as types: a block hash, a transaction hash and a Merkle root are never confused.
//!
//! A block hash is kept in *wire order* (the bytes SHA-256d gives); only its text form and
//! its numeric value use the reverse, *display order*, as in Bitcoin. Called by every module.

use std::{fmt, str::FromStr};

use alloy_primitives::{B256, U256, hex};
use sha2::{Digest, Sha256};
use wincode::{SchemaRead, SchemaWrite};

/// SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// SHA-256 applied twice, Bitcoin's hash for headers.
pub fn sha256d(bytes: &[u8]) -> [u8; 32] {
    sha256(&sha256(bytes))
}

/// A text that is not a 32-byte hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a hash is 0x and 64 hex digits, got {0:?}")]
pub struct HashTextError(String);

macro_rules! hash_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, SchemaRead, SchemaWrite)]
        #[repr(transparent)]
        pub struct $name(pub [u8; 32]);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = HashTextError;
            /// Reads the text form, with or without `0x`.
            fn from_str(text: &str) -> Result<Self, HashTextError> {
                let digits = text.strip_prefix("0x").unwrap_or(text);
                let mut bytes = [0; 32];
                hex::decode_to_slice(digits, &mut bytes)
                    .map_err(|_| HashTextError(text.chars().take(80).collect()))?;
                Ok(Self::from_display_bytes(bytes))
            }
        }
    };
}

hash_type! {
    /// SHA-256d of a header's 80 bytes, in wire order; displayed reversed.
    BlockHash
}
hash_type! {
    /// Keccak-256 of a transaction's EIP-2718 encoding.
    TxHash
}
hash_type! {
    /// The root of a Merkle tree (transactions, receipts, state).
    Root
}

impl BlockHash {
    /// The hash as a number: its display order read big-endian. Proof of work compares this.
    pub fn number(&self) -> U256 {
        U256::from_le_bytes(self.0)
    }

    /// The 32 bytes in display order, as the EVM's BLOCKHASH and every text show them.
    pub fn display_bytes(&self) -> [u8; 32] {
        let mut bytes = self.0;
        bytes.reverse();
        bytes
    }

    fn from_display_bytes(mut bytes: [u8; 32]) -> Self {
        bytes.reverse();
        Self(bytes)
    }
}

impl TxHash {
    fn from_display_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl Root {
    fn from_display_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.display_bytes()))
    }
}

impl fmt::Display for TxHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl From<B256> for TxHash {
    fn from(hash: B256) -> Self {
        Self(hash.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_text_of_a_block_hash_is_reversed() {
        let mut bytes = [0; 32];
        bytes[0] = 0xab;
        let hash = BlockHash(bytes);
        assert!(hash.to_string().ends_with("ab"));
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert_eq!(hash.number(), U256::from(0xab));
        assert!(TxHash(bytes).to_string().starts_with("0xab"));
    }

    #[test]
    fn a_bad_text_is_refused_with_what_came() {
        let error = "0x12".parse::<BlockHash>().unwrap_err();
        assert!(error.to_string().contains("0x12"));
    }
}
