//! Keys, and their derivation from words: BIP-39, BIP-32, and BIP-44's path for Ethereum.
//!
//! Secrets are never shown by `Debug`, never part of an error, and wiped when they are dropped
//! (as well as a program can: copies made by the compiler are out of its reach). Called by the
//! verbs and by whoever funds or uses the development accounts.

use std::fmt;

use alloy_primitives::{Address, keccak256};
use bip39::Mnemonic;
use hmac::{Hmac, KeyInit, Mac};
use secp256k1::{PublicKey, Scalar, SecretKey};
use sha2::Sha512;
use zeroize::Zeroizing;

/// The words that development networks fund, known to everybody (Hardhat, Anvil).
pub const DEV_WORDS: &str = "test test test test test test test test test test test junk";

/// The bit that marks a hardened child in BIP-32.
pub const HARDENED: u32 = 1 << 31;

/// A secret key. Shown as its address.
pub struct Key(SecretKey);

/// Words stretched to 64 bytes by BIP-39, from which keys are derived.
pub struct Seed(Zeroizing<[u8; 64]>);

/// A private node of BIP-32's tree.
pub struct ExtendedKey {
    key: Key,
    chain_code: Zeroizing<[u8; 32]>,
}

/// Why there is no key. Never contains the secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A word that is not in the list.
    #[error("word {0} is not in BIP-39's English list: check its spelling")]
    Word(usize),
    /// Not 12, 15, 18, 21 or 24 words.
    #[error("a phrase has 12, 15, 18, 21 or 24 words, got {0}")]
    WordCount(usize),
    /// The last word holds a checksum, which does not match.
    #[error("the words do not fit together: one of them is wrong, or the order is")]
    Checksum,
    /// Zero, or not below the order of secp256k1. Derivation meets this once in 2^127 keys.
    #[error("not a secret key of secp256k1")]
    OutOfRange,
}

impl From<bip39::Error> for KeyError {
    fn from(error: bip39::Error) -> Self {
        match error {
            bip39::Error::UnknownWord(index) => Self::Word(index + 1),
            bip39::Error::BadWordCount(count) => Self::WordCount(count),
            _ => Self::Checksum,
        }
    }
}

/// The key of development account `n`: [`DEV_WORDS`] at m/44'/60'/0'/0/n. Not a secret.
///
/// # Panics
/// From 2^31 on, where BIP-44 has no accounts.
pub fn dev_key(n: u32) -> Key {
    assert!(n < HARDENED, "development account {n} does not exist");
    Seed::from_words(DEV_WORDS, "")
        .and_then(|seed| seed.key(n))
        .expect("known words give keys")
}

impl Key {
    /// The key of these 32 bytes.
    pub fn from_secret(secret: &[u8; 32]) -> Result<Self, KeyError> {
        SecretKey::from_secret_bytes(*secret)
            .map(Self)
            .map_err(|_| KeyError::OutOfRange)
    }

    /// The 32 bytes, wiped when dropped.
    pub fn secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_secret_bytes())
    }

    /// The address that this key signs for.
    pub fn address(&self) -> Address {
        let public = PublicKey::from_secret_key(&self.0).serialize_uncompressed();
        Address::from_slice(&keccak256(&public[1..])[12..])
    }

    /// The key as the curve's library takes it.
    pub(crate) fn as_secp256k1(&self) -> &SecretKey {
        &self.0
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.0.non_secure_erase();
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.address())
    }
}

impl Seed {
    /// BIP-39: the seed of English words, and a passphrase, ordinarily empty, which is normalised
    /// (NFKD): the same characters give the same seed however a keyboard makes them.
    pub fn from_words(words: &str, passphrase: &str) -> Result<Self, KeyError> {
        let mnemonic = Mnemonic::parse(words)?;
        Ok(Self(Zeroizing::new(mnemonic.to_seed(passphrase))))
    }

    /// BIP-44: the key at m/44'/60'/0'/0/index.
    pub fn key(&self, index: u32) -> Result<Key, KeyError> {
        let path = [44 | HARDENED, 60 | HARDENED, HARDENED, 0, index];
        let master = ExtendedKey::master(&self.0[..])?;
        let node = path
            .into_iter()
            .try_fold(master, |node, index| node.child(index))?;
        Ok(node.key)
    }

    /// The 64 bytes.
    pub fn bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

impl ExtendedKey {
    /// BIP-32: the root of a seed's tree.
    pub fn master(seed: &[u8]) -> Result<Self, KeyError> {
        let (key, chain_code) = hmac_sha512(b"Bitcoin seed", &[seed]);
        let key = Key::from_secret(&key)?;
        Ok(Self { key, chain_code })
    }

    /// BIP-32's CKDpriv: the child of this index, hardened from [`HARDENED`] on.
    pub fn child(&self, index: u32) -> Result<Self, KeyError> {
        let parent = &self.key.0;
        let index_bytes = index.to_be_bytes();
        let (tweak, chain_code) = if index < HARDENED {
            let public = PublicKey::from_secret_key(parent).serialize();
            hmac_sha512(&self.chain_code[..], &[&public, &index_bytes])
        } else {
            let secret = self.key.secret();
            hmac_sha512(&self.chain_code[..], &[&[0], &secret[..], &index_bytes])
        };
        let tweak = Scalar::from_be_bytes(*tweak).map_err(|_| KeyError::OutOfRange)?;
        let key = parent.add_tweak(&tweak).map_err(|_| KeyError::OutOfRange)?;
        Ok(Self {
            key: Key(key),
            chain_code,
        })
    }

    /// The key of this node.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// What the children's keys depend on beside the key.
    pub fn chain_code(&self) -> &[u8; 32] {
        &self.chain_code
    }
}

impl fmt::Debug for ExtendedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExtendedKey({})", self.key.address())
    }
}

/// HMAC-SHA-512 in its two halves.
fn hmac_sha512(key: &[u8], parts: &[&[u8]]) -> (Zeroizing<[u8; 32]>, Zeroizing<[u8; 32]>) {
    let mut mac = Hmac::<Sha512>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    let output = mac.finalize().into_bytes();
    let (mut left, mut right) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
    left.copy_from_slice(&output[..32]);
    right.copy_from_slice(&output[32..]);
    (left, right)
}
