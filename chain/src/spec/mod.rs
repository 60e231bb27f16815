//! The chain spec: every parameter of a network, and its genesis block.
//!
//! Two specs with the same genesis hash have the same parameters at height 0, because the
//! genesis block's extra data commits to all of them. Read from JSON by `json`; used by every
//! rule.

mod json;

use alloy_primitives::{Address, U256};

pub use json::{Parsed, SpecError};

use crate::{
    block::{Block, Body},
    execution::Account,
    hash::{BlockHash, Root, sha256},
    header::{Extension, Header, PowHeader},
    merkle,
    params::HEADER_VERSION,
    work::{Bits, Target},
};

/// An account of the genesis state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// Whose it is.
    pub address: Address,
    /// Nonce, balance and code hash.
    pub account: Account,
    /// Its code; empty for none.
    pub code: Vec<u8>,
    /// Its non-zero storage slots.
    pub storage: Vec<(U256, U256)>,
}

/// What changes at a height; absent values stay as they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// The first block under the new values.
    pub height: u64,
    /// Gas of a block.
    pub gas_limit: Option<u64>,
    /// Encoded bytes of a body.
    pub block_bytes_max: Option<u32>,
    /// Floor of the base fee, wei per gas.
    pub base_fee_min: Option<u64>,
    /// Reward before halvings, in wei.
    pub reward_wei: Option<u128>,
}

/// The parameters in force at one height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Gas of a block.
    pub gas_limit: u64,
    /// Encoded bytes of a body.
    pub block_bytes_max: u32,
    /// Floor of the base fee, wei per gas.
    pub base_fee_min: u64,
    /// Reward before halvings, in wei.
    pub reward_wei: u128,
}

/// A network's parameters. Built by [`ChainSpec::parse`], which checks them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainSpec {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Genesis time, Unix seconds.
    pub genesis_time: u32,
    /// Base fee of the genesis block, wei per gas.
    pub genesis_base_fee: u64,
    /// Block spacing T.
    pub spacing_secs: u32,
    /// Half-life of the difficulty.
    pub half_life_secs: u32,
    /// The easiest target.
    pub pow_limit_bits: Bits,
    /// The genesis block's target.
    pub genesis_bits: Bits,
    /// Blocks between two halvings of the reward; 0 for never.
    pub halving_interval: u64,
    /// Throw-away network: well-known keys, faucet, dev verbs.
    pub dev: bool,
    /// What is in force at height 0.
    pub base: Schedule,
    /// Later changes, by rising height.
    pub upgrades: Vec<Upgrade>,
    /// The genesis state, by rising address.
    pub alloc: Vec<Allocation>,
}

/// Which upgrades a peer knows: a digest over those passed, and the next height (0: none).
///
/// EIP-2124's idea, by height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForkId {
    /// Digest over the genesis hash and the upgrades passed.
    pub digest: u32,
    /// Height of the next upgrade, 0 if none is planned.
    pub next: u64,
}

impl ChainSpec {
    /// Reads and checks a chain spec or a geth `genesis.json` with a `lignum` object.
    pub fn parse(text: &str) -> Result<Parsed, SpecError> {
        json::parse(text)
    }

    /// The text of a built-in network's spec: `devnet`, `testnet` or `regtest`.
    pub fn builtin(name: &str) -> Option<&'static str> {
        match name {
            "devnet" => Some(include_str!("devnet.json")),
            "testnet" => Some(include_str!("testnet.json")),
            "regtest" => Some(include_str!("regtest.json")),
            _ => None,
        }
    }

    /// The devnet's spec as made at `time` for a difficulty of `bits`.
    pub fn devnet(time: u32, bits: Bits) -> String {
        json::with_genesis(include_str!("devnet.json"), time, bits)
    }

    /// The easiest target.
    pub fn pow_limit(&self) -> Target {
        self.pow_limit_bits
            .target()
            .expect("checked when the spec was read")
    }

    /// The genesis block's target.
    pub fn genesis_target(&self) -> Target {
        self.genesis_bits
            .target()
            .expect("checked when the spec was read")
    }

    /// The parameters in force at `height`.
    pub fn at(&self, height: u64) -> Schedule {
        let passed = self
            .upgrades
            .iter()
            .take_while(|upgrade| upgrade.height <= height);
        passed.fold(self.base, |now, upgrade| Schedule {
            gas_limit: upgrade.gas_limit.unwrap_or(now.gas_limit),
            block_bytes_max: upgrade.block_bytes_max.unwrap_or(now.block_bytes_max),
            base_fee_min: upgrade.base_fee_min.unwrap_or(now.base_fee_min),
            reward_wei: upgrade.reward_wei.unwrap_or(now.reward_wei),
        })
    }

    /// Rule S2: wei credited to the beneficiary of the block at `height`.
    pub fn reward(&self, height: u64) -> u128 {
        if height == 0 {
            return 0;
        }
        let reward = self.at(height).reward_wei;
        let halvings = height.checked_div(self.halving_interval).unwrap_or(0);
        u32::try_from(halvings)
            .ok()
            .and_then(|shift| reward.checked_shr(shift))
            .unwrap_or(0)
    }

    /// The genesis block for a genesis state of this root.
    pub fn genesis(&self, state_root: Root) -> Block {
        let empty = merkle::root::<&[u8]>(&[]);
        let body = Body::default();
        let extension = Extension {
            state_root,
            transactions_root: empty,
            receipts_root: empty,
            gas_limit: self.base.gas_limit,
            base_fee: self.genesis_base_fee,
            body_bytes: u32::try_from(body.encoded_len()).expect("an empty body has 8 bytes"),
            extra_data: self.commitment(),
            ..Extension::default()
        };
        let pow = PowHeader {
            version: HEADER_VERSION,
            time: self.genesis_time,
            bits: self.genesis_bits,
            ..PowHeader::default()
        };
        Block {
            header: Header::sealed(pow, extension),
            body,
        }
    }

    /// A digest of every parameter in force at height 0, the genesis block's extra data.
    pub fn commitment(&self) -> [u8; 32] {
        let mut bytes = b"lignum/1".to_vec();
        bytes.extend_from_slice(&self.chain_id.to_le_bytes());
        bytes.extend_from_slice(&self.spacing_secs.to_le_bytes());
        bytes.extend_from_slice(&self.half_life_secs.to_le_bytes());
        bytes.extend_from_slice(&self.pow_limit_bits.0.to_le_bytes());
        bytes.extend_from_slice(&U256::from(self.base.reward_wei).to_le_bytes::<32>());
        bytes.extend_from_slice(&self.halving_interval.to_le_bytes());
        bytes.extend_from_slice(&self.base.block_bytes_max.to_le_bytes());
        bytes.extend_from_slice(&self.base.base_fee_min.to_le_bytes());
        bytes.push(u8::from(self.dev));
        sha256(&bytes)
    }

    /// The fork id of a node whose head is at `height`.
    pub fn fork_id(&self, genesis: BlockHash, height: u64) -> ForkId {
        let passed = self
            .upgrades
            .iter()
            .filter(|upgrade| upgrade.height <= height)
            .count();
        let next = self
            .upgrades
            .get(passed)
            .map_or(0, |upgrade| upgrade.height);
        ForkId {
            digest: self.fork_digest(genesis, passed),
            next,
        }
    }

    /// Whether a peer with fork id `theirs` follows the same rules as a node at `height`.
    pub fn is_compatible(&self, genesis: BlockHash, height: u64, theirs: ForkId) -> bool {
        let passed = self
            .upgrades
            .iter()
            .filter(|upgrade| upgrade.height <= height)
            .count();
        let next = |count: usize| self.upgrades.get(count).map_or(0, |upgrade| upgrade.height);
        let Some(count) = (0..=self.upgrades.len())
            .find(|count| self.fork_digest(genesis, *count) == theirs.digest)
        else {
            return false;
        };
        match count.cmp(&passed) {
            // They stand where we stand: an upgrade they plan must not lie behind us.
            std::cmp::Ordering::Equal => theirs.next == 0 || theirs.next > height,
            // They are behind: they must know the upgrade they will meet next.
            std::cmp::Ordering::Less => theirs.next == next(count),
            std::cmp::Ordering::Greater => true,
        }
    }

    fn fork_digest(&self, genesis: BlockHash, passed: usize) -> u32 {
        let mut bytes = genesis.0.to_vec();
        for upgrade in &self.upgrades[..passed] {
            bytes.extend_from_slice(&upgrade.height.to_le_bytes());
            let now = self.at(upgrade.height);
            bytes.extend_from_slice(&now.gas_limit.to_le_bytes());
            bytes.extend_from_slice(&now.block_bytes_max.to_le_bytes());
            bytes.extend_from_slice(&now.base_fee_min.to_le_bytes());
            bytes.extend_from_slice(&now.reward_wei.to_le_bytes());
        }
        let digest = sha256(&bytes);
        u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]])
    }
}
