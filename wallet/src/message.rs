//! Signed messages (EIP-191, version 0x45, as `personal_sign` makes them).
//!
//! What is signed begins with a fixed prefix, so that no message can be a transaction. Called by
//! the verbs.

use alloy_primitives::{Address, eip191_hash_message, hex, keccak256};
use secp256k1::{
    Message,
    ecdsa::{RecoverableSignature, RecoveryId},
};

use crate::{derive::Key, sign::sign_digest};

/// Why a signature is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not 65 bytes in hex.
    #[error("a signature is 0x and 130 hex digits, got {0} characters")]
    Form(usize),
    /// The last byte says which of the possible keys it was.
    #[error("a signature ends in 1b, 1c, 00 or 01, got {0:02x}")]
    Recovery(u8),
    /// s in the upper half, or no point of the curve.
    #[error("the signature belongs to no key: a character is probably wrong")]
    NoKey,
}

/// Signs a message; gives r, s and 27 or 28.
pub fn sign_message(key: &Key, message: &[u8]) -> [u8; 65] {
    let digest = eip191_hash_message(message);
    sign_digest(key, &digest.0).as_bytes()
}

/// Whose signature of the message this is.
pub fn signer_of(message: &[u8], signature: &[u8; 65]) -> Result<Address, SignatureError> {
    let recovery = match signature[64] {
        id @ (0 | 1) => id,
        id @ (27 | 28) => id - 27,
        id => return Err(SignatureError::Recovery(id)),
    };
    let no_key = |_| SignatureError::NoKey;
    let id = RecoveryId::try_from(i32::from(recovery)).map_err(no_key)?;
    let signature = RecoverableSignature::from_compact(&signature[..64], id).map_err(no_key)?;
    // There are two values of s for each signature; only the lower is made, so only it is taken.
    let mut plain = signature.to_standard();
    plain.normalize_s();
    if plain != signature.to_standard() {
        return Err(SignatureError::NoKey);
    }
    let digest = Message::from_digest(eip191_hash_message(message).0);
    let public = signature.recover_ecdsa(digest).map_err(no_key)?;
    let bytes = public.serialize_uncompressed();
    Ok(Address::from_slice(&keccak256(&bytes[1..])[12..]))
}

/// Reads a signature's hex digits.
pub fn parse_signature(text: &str) -> Result<[u8; 65], SignatureError> {
    let text = text.trim();
    hex::decode_to_array(text).map_err(|_| SignatureError::Form(text.chars().count()))
}
