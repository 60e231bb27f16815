//! How accounts and storage slots become keys and values of the state tree (protocol.md,
//! section 6).

use alloy_primitives::{Address, KECCAK256_EMPTY, U256};
use chain::{Account, hash::sha256};

use crate::tree::{self, Digest, Key};

/// Bytes of an account's value: nonce, balance, code hash.
pub const ACCOUNT_BYTES: usize = 8 + 32 + 32;

/// Where an account lives: sha256(address).
pub fn account_key(address: &Address) -> Key {
    sha256(address.as_slice())
}

/// Where a storage slot lives: sha256(address ‖ slot), the slot big-endian.
pub fn slot_key(address: &Address, slot: &U256) -> Key {
    let mut bytes = [0; 52];
    bytes[..20].copy_from_slice(address.as_slice());
    bytes[20..].copy_from_slice(&slot.to_be_bytes::<32>());
    sha256(&bytes)
}

/// An account's value: nonce (little-endian) ‖ balance (32 bytes, big-endian) ‖ code hash.
pub fn encode_account(account: &Account) -> [u8; ACCOUNT_BYTES] {
    let code_hash = account.code_hash.unwrap_or(KECCAK256_EMPTY.0);
    let mut bytes = [0; ACCOUNT_BYTES];
    bytes[..8].copy_from_slice(&account.nonce.to_le_bytes());
    bytes[24..40].copy_from_slice(&account.balance.to_be_bytes());
    bytes[40..].copy_from_slice(&code_hash);
    bytes
}

/// Reads an account's value back, as a proof carries it; `None` for bytes that are none.
pub fn decode_account(bytes: &[u8]) -> Option<Account> {
    let bytes: &[u8; ACCOUNT_BYTES] = bytes.try_into().ok()?;
    let (nonce, rest) = bytes.split_first_chunk::<8>()?;
    let (balance, code_hash) = rest.split_first_chunk::<32>()?;
    let code_hash: [u8; 32] = code_hash.try_into().ok()?;
    Some(Account {
        nonce: u64::from_le_bytes(*nonce),
        balance: U256::from_be_bytes(*balance).try_into().ok()?,
        code_hash: (code_hash != KECCAK256_EMPTY.0).then_some(code_hash),
    })
}

/// What a leaf of the state tree holds. Packed: most leaves are accounts without code, and there
/// are millions of them.
pub(crate) enum Value {
    Account {
        nonce: u64,
        balance: [u8; 16],
        code_hash: Option<Box<[u8; 32]>>,
    },
    Slot([u8; 32]),
}

impl Value {
    /// `None` where the account is absent (EIP-161).
    pub(crate) fn account(account: &Account) -> Option<Self> {
        (!account.is_absent()).then(|| Self::Account {
            nonce: account.nonce,
            balance: account.balance.to_le_bytes(),
            code_hash: account.code_hash.map(Box::new),
        })
    }

    /// `None` where the slot is zero, which means absent.
    pub(crate) fn slot(value: [u8; 32]) -> Option<Self> {
        (value != [0; 32]).then_some(Self::Slot(value))
    }

    pub(crate) fn as_account(&self) -> Option<Account> {
        match self {
            Self::Account {
                nonce,
                balance,
                code_hash,
            } => Some(Account {
                nonce: *nonce,
                balance: u128::from_le_bytes(*balance),
                code_hash: code_hash.as_deref().copied(),
            }),
            Self::Slot(_) => None,
        }
    }

    pub(crate) fn as_slot(&self) -> Option<U256> {
        match self {
            Self::Slot(value) => Some(U256::from_be_bytes(*value)),
            Self::Account { .. } => None,
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        match self.as_account() {
            Some(account) => encode_account(&account).to_vec(),
            None => self
                .as_slot()
                .unwrap_or_default()
                .to_be_bytes::<32>()
                .to_vec(),
        }
    }
}

impl tree::Value for Value {
    fn digest(&self) -> Digest {
        match self {
            Self::Slot(value) => sha256(value),
            Self::Account { .. } => {
                let account = self.as_account().expect("this variant is one");
                sha256(&encode_account(&account))
            }
        }
    }

    fn bytes_apart(&self) -> u64 {
        match self {
            // A box of 32 bytes takes 48.
            Self::Account {
                code_hash: Some(_), ..
            } => 48,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_reads_back() {
        for code_hash in [None, Some([7; 32])] {
            let account = Account {
                nonce: 0x0102,
                balance: u128::MAX - 1,
                code_hash,
            };
            let bytes = encode_account(&account);
            assert_eq!(bytes[..2], [2, 1], "the nonce is little-endian");
            assert_eq!(bytes[39], 0xfe, "the balance is big-endian");
            assert_eq!(decode_account(&bytes), Some(account));
        }
        assert_eq!(decode_account(&[0; 71]), None);
        assert_eq!(decode_account(&[0xff; 72]), None, "more than the supply");
    }

    #[test]
    fn absent_things_have_no_value() {
        assert!(Value::account(&Account::default()).is_none());
        assert!(Value::slot([0; 32]).is_none());
    }

    #[test]
    fn a_value_takes_40_bytes() {
        assert_eq!(size_of::<Value>(), 40);
    }
}
