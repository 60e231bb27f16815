//! Building and signing EIP-1559 transactions.
//!
//! Signatures are deterministic (RFC 6979) and have the lower of the two values of s, so equal
//! transfers give equal bytes and hashes. Called by the verbs and by load generators.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, Signature, TxKind, U256};
use secp256k1::{Message, ecdsa::RecoverableSignature};

use crate::derive::Key;

/// Gas of a transfer to an account without code.
pub const TRANSFER_GAS: u64 = 21_000;

/// What a transaction of type 2 to an address says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The chain it is good for.
    pub chain_id: u64,
    /// The sender's sequence number.
    pub nonce: u64,
    /// Who is paid or called.
    pub to: Address,
    /// Wei to send.
    pub value: u128,
    /// Gas it may use.
    pub gas_limit: u64,
    /// The most it pays for a unit of gas, in wei.
    pub max_fee: u128,
    /// The most of that which goes to the miner, in wei.
    pub tip: u128,
    /// Call data, ordinarily empty.
    pub input: Vec<u8>,
}

impl Transfer {
    /// The most wei its gas can cost.
    pub fn fee_max(&self) -> u128 {
        u128::from(self.gas_limit).saturating_mul(self.max_fee)
    }
}

/// Signs a transfer; gives its EIP-2718 bytes, ready to be sent to a node.
pub fn sign_transfer(key: &Key, transfer: &Transfer) -> Vec<u8> {
    let unsigned = TxEip1559 {
        chain_id: transfer.chain_id,
        nonce: transfer.nonce,
        gas_limit: transfer.gas_limit,
        max_fee_per_gas: transfer.max_fee,
        max_priority_fee_per_gas: transfer.tip,
        to: TxKind::Call(transfer.to),
        value: U256::from(transfer.value),
        access_list: Default::default(),
        input: transfer.input.clone().into(),
    };
    let signature = sign_digest(key, &unsigned.signature_hash().0);
    TxEnvelope::Eip1559(unsigned.into_signed(signature)).encoded_2718()
}

/// Signs 32 bytes that are the hash of something.
pub fn sign_digest(key: &Key, digest: &[u8; 32]) -> Signature {
    let message = Message::from_digest(*digest);
    let signed = RecoverableSignature::sign_ecdsa_recoverable(message, key.as_secp256k1());
    let (recovery, compact) = signed.serialize_compact();
    let (r, s) = compact.split_at(32);
    // The ids 2 and 3, for an r that overflowed, are met once in 2^127 signatures.
    let parity_odd = recovery.to_u8() & 1 == 1;
    Signature::new(U256::from_be_slice(r), U256::from_be_slice(s), parity_odd)
}
