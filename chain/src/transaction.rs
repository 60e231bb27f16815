//! Transactions: EIP-2718 envelopes of types 0, 1 and 2, checked once.
//!
//! `CheckedTransaction` has exactly one constructor that takes outside bytes, so whoever holds
//! one knows that rules T1 to T3 hold. Cheap to clone. Called by shells (in parallel), by
//! `check`, the pool and execution.

use std::sync::Arc;

use alloy_consensus::{SignableTransaction, Transaction as _, TxEnvelope};
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, Signature, U256, keccak256};
use secp256k1::{Message, ecdsa};

use crate::{
    hash::TxHash,
    params::{INITCODE_BYTES_MAX, TRANSACTION_BYTES_MAX, TRANSACTION_GAS_MAX},
};

/// Half the order of secp256k1; a signature's s above it is malleable (EIP-2).
const HALF_ORDER: U256 = U256::from_limbs([
    0xdfe9_2f46_681b_20a0,
    0x5d57_6e73_57a4_501d,
    0xffff_ffff_ffff_ffff,
    0x7fff_ffff_ffff_ffff,
]);

/// Why bytes are not a transaction of this chain, whatever the state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// Rule T1: too long.
    #[error("a transaction has at most {TRANSACTION_BYTES_MAX} bytes, got {0}")]
    TooLarge(usize),
    /// Rule T1: not an EIP-2718 envelope.
    #[error("not a transaction: {0}")]
    Malformed(String),
    /// Rule T1: decodes, but re-encodes to other bytes.
    #[error("the encoding is not canonical")]
    NotCanonical,
    /// Only types 0, 1 and 2 exist in version 1.
    #[error("transaction type {0} is not supported, only 0, 1 and 2")]
    Type(u8),
    /// Rule T2.
    #[error("transaction is signed for chain id {got}, this chain is {want}")]
    ChainId {
        /// This chain's id.
        want: u64,
        /// The transaction's id.
        got: u64,
    },
    /// Rule T2: a legacy transaction without EIP-155's chain id.
    #[error("legacy transaction without a chain id (EIP-155); sign it for chain id {want}")]
    NoChainId {
        /// This chain's id.
        want: u64,
    },
    /// Rule T3: the larger of the two values of s (EIP-2).
    #[error("signature is malleable: s is in the upper half of the group order (EIP-2)")]
    HighS,
    /// Rule T3: no public key belongs to this signature.
    #[error("signature does not recover to a public key")]
    Signature,
}

/// A transaction that satisfies rules T1, T2 and T3, with its sender and hash.
#[derive(Clone, Debug)]
pub struct CheckedTransaction(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    envelope: TxEnvelope,
    bytes: Vec<u8>,
    hash: TxHash,
    sender: Address,
}

impl PartialEq for CheckedTransaction {
    fn eq(&self, other: &Self) -> bool {
        self.0.bytes == other.0.bytes
    }
}

impl Eq for CheckedTransaction {}

impl CheckedTransaction {
    /// Decodes and checks outside bytes for the chain of this id; recovers the sender.
    ///
    /// Costs one signature recovery (about 50 µs): run it off the core thread.
    pub fn check(bytes: &[u8], chain_id: u64) -> Result<Self, TransactionError> {
        let envelope = decode(bytes)?;
        // Rule T2: the right chain id, and always one.
        match envelope.chain_id() {
            Some(got) if got != chain_id => {
                return Err(TransactionError::ChainId {
                    want: chain_id,
                    got,
                });
            }
            None => return Err(TransactionError::NoChainId { want: chain_id }),
            Some(_) => {}
        }
        let sender = recover(envelope.signature(), &signing_hash(&envelope)?)?;
        // The encoding is canonical, so this is the envelope's hash.
        let hash = hash_of(bytes);
        Ok(Self(Arc::new(Inner {
            envelope,
            bytes: bytes.to_vec(),
            hash,
            sender,
        })))
    }

    /// The transaction's fields.
    pub fn envelope(&self) -> &TxEnvelope {
        &self.0.envelope
    }

    /// The EIP-2718 encoding.
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// Keccak-256 of the encoding.
    pub fn hash(&self) -> TxHash {
        self.0.hash
    }

    /// Who signed it.
    pub fn sender(&self) -> Address {
        self.0.sender
    }

    /// The sender's sequence number.
    pub fn nonce(&self) -> u64 {
        self.0.envelope.nonce()
    }

    /// Gas it may use.
    pub fn gas_limit(&self) -> u64 {
        self.0.envelope.gas_limit()
    }

    /// The most it pays for a unit of gas, in wei.
    pub fn max_fee(&self) -> u128 {
        self.0.envelope.max_fee_per_gas()
    }

    /// The most of it that goes to the beneficiary, in wei per gas.
    pub fn priority_fee(&self) -> u128 {
        priority_fee(&self.0.envelope)
    }

    /// Wei sent with it.
    pub fn value(&self) -> U256 {
        self.0.envelope.value()
    }

    /// Whom it calls; `None` creates a contract.
    pub fn to(&self) -> Option<Address> {
        self.0.envelope.to()
    }

    /// Its call data or creation code.
    pub fn input(&self) -> &[u8] {
        self.0.envelope.input()
    }

    /// The EIP-2718 type: 0, 1 or 2.
    pub fn tx_type(&self) -> u8 {
        self.0.envelope.tx_type() as u8
    }

    /// What the beneficiary gets for a unit of gas at this base fee; `None` below it (Rule T5).
    pub fn effective_tip(&self, base_fee: u64) -> Option<u128> {
        effective_tip(&self.0.envelope, base_fee)
    }

    /// The most it can take from its sender: `value + gas_limit · max_fee` (Rule T6);
    /// `None` on overflow.
    pub fn cost_max(&self) -> Option<U256> {
        let gas = U256::from(self.gas_limit()).checked_mul(U256::from(self.max_fee()))?;
        gas.checked_add(self.value())
    }

    /// The part of Rule T7 that needs no state: the least gas limit it can be mined with,
    /// the larger of the intrinsic gas and EIP-7623's floor.
    pub fn gas_min(&self) -> u64 {
        let count = |n: usize| u64::try_from(n).expect("a length fits 64 bits");
        let zeros = count(self.input().iter().filter(|byte| **byte == 0).count());
        let length = count(self.input().len());
        let tokens = zeros + 4 * (length - zeros);
        let (addresses, keys) = self.0.envelope.access_list().map_or((0, 0), |list| {
            (
                count(list.len()),
                count(list.iter().map(|item| item.storage_keys.len()).sum()),
            )
        });
        let create = if self.to().is_none() {
            32_000 + 2 * length.div_ceil(32)
        } else {
            0
        };
        let intrinsic = 21_000 + 4 * tokens + 2_400 * addresses + 1_900 * keys + create;
        intrinsic.max(21_000 + 10 * tokens)
    }

    /// The rest of Rules T5 and T7 that needs no state.
    pub fn check_limits(&self) -> Result<(), LimitError> {
        let gas_min = self.gas_min();
        if self.gas_limit() < gas_min {
            return Err(LimitError::GasTooLow {
                want: gas_min,
                got: self.gas_limit(),
            });
        }
        if self.gas_limit() > TRANSACTION_GAS_MAX {
            return Err(LimitError::GasTooHigh {
                got: self.gas_limit(),
            });
        }
        if self.to().is_none() && self.input().len() > INITCODE_BYTES_MAX {
            return Err(LimitError::Initcode {
                got: self.input().len(),
            });
        }
        if self.priority_fee() > self.max_fee() {
            return Err(LimitError::Tip {
                max_fee: self.max_fee(),
                got: self.priority_fee(),
            });
        }
        Ok(())
    }
}

/// A limit that no state can lift.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// Rule T7: below the intrinsic gas or the calldata floor.
    #[error("gas limit is {got}, this transaction needs at least {want}")]
    GasTooLow {
        /// The least that would do.
        want: u64,
        /// The transaction's gas limit.
        got: u64,
    },
    /// Rule T7, EIP-7825.
    #[error("gas limit is {got}, a transaction may have at most {TRANSACTION_GAS_MAX}")]
    GasTooHigh {
        /// The transaction's gas limit.
        got: u64,
    },
    /// Rule T7, EIP-3860.
    #[error("creation code has {got} bytes, at most {INITCODE_BYTES_MAX} are allowed")]
    Initcode {
        /// Bytes of creation code.
        got: usize,
    },
    /// Rule T5.
    #[error("priority fee is {got} wei, above the max fee of {max_fee} wei")]
    Tip {
        /// The transaction's max fee.
        max_fee: u128,
        /// Its priority fee.
        got: u128,
    },
}

/// Rule T1: exactly one envelope of a supported type in its canonical encoding.
fn decode(bytes: &[u8]) -> Result<TxEnvelope, TransactionError> {
    if bytes.len() > TRANSACTION_BYTES_MAX {
        return Err(TransactionError::TooLarge(bytes.len()));
    }
    if let Some(tx_type @ 3..=0x7f) = bytes.first().copied() {
        return Err(TransactionError::Type(tx_type));
    }
    let envelope = TxEnvelope::decode_2718_exact(bytes)
        .map_err(|error| TransactionError::Malformed(error.to_string()))?;
    if envelope.encoded_2718() != bytes {
        return Err(TransactionError::NotCanonical);
    }
    Ok(envelope)
}

fn signing_hash(envelope: &TxEnvelope) -> Result<[u8; 32], TransactionError> {
    match envelope {
        TxEnvelope::Legacy(tx) => Ok(tx.tx().signature_hash().0),
        TxEnvelope::Eip2930(tx) => Ok(tx.tx().signature_hash().0),
        TxEnvelope::Eip1559(tx) => Ok(tx.tx().signature_hash().0),
        other => Err(TransactionError::Type(other.tx_type() as u8)),
    }
}

/// Rule T3: low s, a parity of 0 or 1 (the type holds no other), and a key that fits.
fn recover(signature: &Signature, digest: &[u8; 32]) -> Result<Address, TransactionError> {
    if signature.s() > HALF_ORDER {
        return Err(TransactionError::HighS);
    }
    let mut compact = [0; 64];
    compact[..32].copy_from_slice(&signature.r().to_be_bytes::<32>());
    compact[32..].copy_from_slice(&signature.s().to_be_bytes::<32>());
    let parity = ecdsa::RecoveryId::from_u8_masked(u8::from(signature.v()));
    let key = ecdsa::RecoverableSignature::from_compact(&compact, parity)
        .and_then(|signature| signature.recover_ecdsa(Message::from_digest(*digest)))
        .map_err(|_| TransactionError::Signature)?;
    Ok(Address::from_slice(
        &keccak256(&key.serialize_uncompressed()[1..])[12..],
    ))
}

fn priority_fee(envelope: &TxEnvelope) -> u128 {
    let tip = envelope.max_priority_fee_per_gas();
    tip.unwrap_or(envelope.max_fee_per_gas())
}

fn effective_tip(envelope: &TxEnvelope, base_fee: u64) -> Option<u128> {
    let above = envelope
        .max_fee_per_gas()
        .checked_sub(u128::from(base_fee))?;
    Some(above.min(priority_fee(envelope)))
}

/// What a transaction of a block pays its beneficiary for a unit of gas; `None` below the base fee.
///
/// It is decoded and not checked: nobody's signature is recovered, which costs twenty times as much.
pub fn effective_tip_of(bytes: &[u8], base_fee: u64) -> Result<Option<u128>, TransactionError> {
    decode(bytes).map(|envelope| effective_tip(&envelope, base_fee))
}

/// The hash of a transaction's encoding, without checking it.
pub fn hash_of(bytes: &[u8]) -> TxHash {
    TxHash(keccak256(bytes).0)
}
