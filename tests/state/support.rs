//! What the other files share: signing, block environments, states made of accounts, vectors.

use std::collections::BTreeMap;

use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope, TypedTransaction};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256, hex, keccak256};
use chain::{
    Account, BlockEnv, BlockHash, ChainSpec, ChangeSet, CheckedTransaction, Execution,
    execution::{AccountChange, CodeAdded, SlotChange},
    hash::sha256,
};
use secp256k1::{Message, PublicKey, SecretKey, ecdsa::RecoverableSignature};
use serde_json::Value as Json;
use state::{Evm, State};

pub const GWEI: u128 = 1_000_000_000;
pub const LGN: u128 = GWEI * GWEI;

/// A file of vectors.
pub fn vectors(name: &str) -> Json {
    let path = format!("{}/../tests/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap()
}

/// The text of a JSON string.
pub fn text(json: &Json) -> &str {
    json.as_str()
        .unwrap_or_else(|| panic!("not a text: {json}"))
}

/// The bytes of a JSON string of hex digits.
pub fn bytes(json: &Json) -> Vec<u8> {
    hex::decode(text(json)).unwrap()
}

/// The bytes of a JSON string of 64 hex digits.
pub fn word(json: &Json) -> [u8; 32] {
    bytes(json).try_into().unwrap()
}

/// The regtest spec without accounts of its own.
pub fn spec(chain_id: u64, reward_wei: u128) -> ChainSpec {
    let mut spec = ChainSpec::parse(ChainSpec::builtin("regtest").unwrap())
        .unwrap()
        .spec;
    spec.chain_id = chain_id;
    spec.base.reward_wei = reward_wei;
    spec.alloc.clear();
    spec
}

/// Block 1 of a chain, with a base fee of 1 gwei.
pub fn env(spec: &ChainSpec) -> BlockEnv<'_> {
    BlockEnv {
        spec,
        height: 1,
        time: spec.genesis_time + 1,
        beneficiary: Address::repeat_byte(0xbe),
        gas_limit: spec.base.gas_limit,
        base_fee: spec.genesis_base_fee,
        parent: BlockHash([9; 32]),
        block_hash: &|_| None,
    }
}

/// Account, code and storage, as tests write states down.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Content {
    pub account: Account,
    pub code: Vec<u8>,
    pub storage: BTreeMap<U256, U256>,
}

impl Content {
    pub fn funded(balance: u128) -> Self {
        let account = Account {
            balance,
            ..Account::default()
        };
        Self {
            account,
            ..Self::default()
        }
    }

    pub fn contract(code: &[u8]) -> Self {
        let account = Account {
            nonce: 1,
            balance: 0,
            code_hash: Some(keccak256(code).0),
        };
        Self {
            account,
            code: code.to_vec(),
            storage: BTreeMap::new(),
        }
    }
}

/// The state that holds exactly these accounts.
pub fn state_of(contents: &BTreeMap<Address, Content>) -> State {
    let mut changes = ChangeSet::default();
    let mut codes = BTreeMap::new();
    for (address, content) in contents {
        let new = (!content.account.is_absent()).then(|| content.account.clone());
        changes.accounts.push(AccountChange {
            address: address.0.0,
            old: None,
            new,
        });
        for (slot, value) in &content.storage {
            changes.slots.push(SlotChange {
                address: address.0.0,
                slot: slot.to_be_bytes(),
                old: [0; 32],
                new: value.to_be_bytes(),
            });
        }
        if let Some(hash) = content.account.code_hash {
            codes.insert(hash, content.code.clone());
        }
    }
    let codes = codes
        .into_iter()
        .map(|(hash, bytes)| CodeAdded { hash, bytes });
    changes.codes = codes.collect();
    Evm::new().apply(&State::default(), &changes)
}

/// Somebody who signs.
pub struct Wallet {
    key: SecretKey,
    pub address: Address,
}

impl Wallet {
    pub fn new(number: u8) -> Self {
        let key = SecretKey::from_secret_bytes(sha256(&[number])).unwrap();
        let public = PublicKey::from_secret_key(&key).serialize_uncompressed();
        let address = Address::from_slice(&keccak256(&public[1..])[12..]);
        Self { key, address }
    }

    pub fn sign(
        &self,
        transaction: impl Into<TypedTransaction>,
        chain_id: u64,
    ) -> CheckedTransaction {
        let transaction = transaction.into();
        let digest = Message::from_digest(transaction.signature_hash().0);
        let (parity, compact) =
            RecoverableSignature::sign_ecdsa_recoverable(digest, &self.key).serialize_compact();
        let signature = Signature::new(
            U256::from_be_slice(&compact[..32]),
            U256::from_be_slice(&compact[32..]),
            parity.to_u8() == 1,
        );
        let envelope = TxEnvelope::from(transaction.into_signed(signature));
        let checked = CheckedTransaction::check(&envelope.encoded_2718(), chain_id).unwrap();
        assert_eq!(checked.sender(), self.address);
        checked
    }
}

/// A type 2 transaction on regtest with a tip of 1 gwei, to be changed by the caller.
pub fn call(nonce: u64, to: impl Into<TxKind>, value: u128, input: &[u8]) -> TxEip1559 {
    TxEip1559 {
        chain_id: 1338,
        nonce,
        gas_limit: 1_000_000,
        max_fee_per_gas: 10 * GWEI,
        max_priority_fee_per_gas: GWEI,
        to: to.into(),
        value: U256::from(value),
        input: Bytes::copy_from_slice(input),
        ..TxEip1559::default()
    }
}

/// Wei made by a block, counted over its changes: negative where it burns more than it pays.
pub fn wei_made(changes: &ChangeSet) -> i128 {
    let balance = |account: &Option<Account>| {
        let wei = account.as_ref().map_or(0, |account| account.balance);
        i128::try_from(wei).unwrap()
    };
    let made = changes
        .accounts
        .iter()
        .map(|change| balance(&change.new) - balance(&change.old));
    made.sum()
}
