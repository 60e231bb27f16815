//! Reading a chain spec from JSON: geth's `genesis.json` with a `lignum` object beside it.
//!
//! Everything is checked here, so that the rest of the crate never meets a spec that divides by
//! zero or overflows. Unknown keys in `lignum` are errors, elsewhere warnings.

use std::{
    collections::{BTreeMap, BTreeSet},
    marker::PhantomData,
};

use alloy_primitives::{Address, U256, hex, keccak256};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use super::{Allocation, ChainSpec, Schedule, Upgrade};
use crate::{
    execution::Account,
    params::{SPEC_BLOCK_BYTES_MAX, SPEC_BYTES_MAX, SPEC_GAS_LIMIT_MAX, SPEC_GAS_LIMIT_MIN},
    work::{Bits, Target},
};

/// Forks of Ethereum up to the rule set in force; a genesis file may name them only from 0 on.
const KNOWN_FORKS: [&str; 19] = [
    "homesteadBlock",
    "daoForkBlock",
    "eip150Block",
    "eip155Block",
    "eip158Block",
    "byzantiumBlock",
    "constantinopleBlock",
    "petersburgBlock",
    "istanbulBlock",
    "muirGlacierBlock",
    "berlinBlock",
    "londonBlock",
    "arrowGlacierBlock",
    "grayGlacierBlock",
    "mergeNetsplitBlock",
    "shanghaiTime",
    "cancunTime",
    "pragueTime",
    "osakaTime",
];

/// A spec and what was ignored in reading it.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The checked spec.
    pub spec: ChainSpec,
    /// One sentence for each key that was ignored.
    pub warnings: Vec<String>,
}

/// Why a chain spec is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Longer than the limit.
    #[error("a chain spec has at most {SPEC_BYTES_MAX} bytes, got {0}")]
    TooLarge(usize),
    /// Not JSON, a key missing, unknown or given twice, or a value of the wrong kind.
    #[error("the chain spec is not readable: {0}")]
    Json(String),
    /// A value out of its range.
    #[error("{key} must be {want}, got {got}")]
    Value {
        /// Where it stands.
        key: String,
        /// What was wanted.
        want: String,
        /// What came.
        got: String,
    },
    /// An Ethereum fork at a time other than 0, or one that this rule set does not have.
    #[error(
        "{key} is {got}: Lignum's rules are those of Osaka from height 0; set it to 0 or remove it"
    )]
    Fork {
        /// The fork's key.
        key: String,
        /// Its time or block.
        got: String,
    },
}

#[derive(Deserialize)]
struct Genesis {
    config: Entries<Value>,
    lignum: Lignum,
    #[serde(default)]
    alloc: Entries<JsonAccount>,
    #[serde(rename = "gasLimit")]
    gas_limit: Number,
    timestamp: Number,
    #[serde(rename = "baseFeePerGas", default)]
    base_fee: Number,
    #[serde(flatten)]
    ignored: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lignum {
    spacing_secs: Number,
    half_life_secs: Number,
    pow_limit_bits: Number,
    genesis_bits: Number,
    reward_wei: Number,
    halving_interval: Number,
    block_bytes_max: Number,
    base_fee_min: Number,
    dev: bool,
    #[serde(default)]
    upgrades: Vec<JsonUpgrade>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonUpgrade {
    height: Number,
    rule_set: Option<String>,
    gas_limit: Option<Number>,
    block_bytes_max: Option<Number>,
    base_fee_min: Option<Number>,
    reward_wei: Option<Number>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonAccount {
    #[serde(default)]
    balance: Number,
    #[serde(default)]
    nonce: Number,
    #[serde(default)]
    code: String,
    #[serde(default)]
    storage: Entries<String>,
}

/// An object's entries in the order of the file; a key given twice is an error, where a map would
/// silently keep the last value.
struct Entries<V>(Vec<(String, V)>);

impl<V> Default for Entries<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Entries<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> de::Visitor<'de> for Visitor<V> {
            type Value = Entries<V>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<M: de::MapAccess<'de>>(self, mut map: M) -> Result<Entries<V>, M::Error> {
                let (mut entries, mut keys) = (Vec::new(), BTreeSet::new());
                while let Some((key, value)) = map.next_entry::<String, V>()? {
                    if !keys.insert(key.clone()) {
                        return Err(de::Error::custom(format!("key {key:?} is given twice")));
                    }
                    entries.push((key, value));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Visitor(PhantomData))
    }
}

/// A number as geth writes it: a JSON number, decimal text, or 0x-hex text.
#[derive(Clone, Copy, Default)]
struct Number(U256);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        number(&value).map(Number).ok_or_else(|| {
            de::Error::custom(format!("{value} is not a whole number (decimal or 0x-hex)"))
        })
    }
}

fn number(value: &Value) -> Option<U256> {
    match value {
        Value::Number(number) => number.as_u64().map(U256::from),
        Value::String(text) => match text.strip_prefix("0x") {
            Some(digits) => digits_of(digits, 16),
            None => digits_of(text, 10),
        },
        _ => None,
    }
}

/// Digits and nothing else: the library's parser would skip underscores.
fn digits_of(text: &str, radix: u32) -> Option<U256> {
    let is_plain = !text.is_empty() && text.chars().all(|digit| digit.is_digit(radix));
    is_plain
        .then(|| U256::from_str_radix(text, u64::from(radix)).ok())
        .flatten()
}

impl Number {
    /// The number as a `T`, within `min..=max`.
    fn within<T>(self, key: &str, min: u64, max: T) -> Result<T, SpecError>
    where
        T: TryFrom<U256> + Copy + std::fmt::Display + Into<u128>,
    {
        let wide_max = U256::from(max.into());
        if self.0 < U256::from(min) || self.0 > wide_max {
            return Err(value_error(
                key,
                &format!("from {min} to {max}"),
                &self.0.to_string(),
            ));
        }
        T::try_from(self.0).map_err(|_| value_error(key, "in range", &self.0.to_string()))
    }
}

fn value_error(key: &str, want: &str, got: &str) -> SpecError {
    SpecError::Value {
        key: key.into(),
        want: want.into(),
        got: got.into(),
    }
}

/// Reads and checks a spec.
pub(super) fn parse(text: &str) -> Result<Parsed, SpecError> {
    if text.len() > SPEC_BYTES_MAX {
        return Err(SpecError::TooLarge(text.len()));
    }
    let genesis: Genesis =
        serde_json::from_str(text).map_err(|error| SpecError::Json(error.to_string()))?;
    let (chain_id, mut warnings) = read_config(&genesis.config)?;
    warnings.extend(
        genesis
            .ignored
            .keys()
            .map(|key| format!("key {key:?} is ignored")),
    );
    let lignum = &genesis.lignum;
    let base = Schedule {
        gas_limit: genesis
            .gas_limit
            .within("gasLimit", SPEC_GAS_LIMIT_MIN, SPEC_GAS_LIMIT_MAX)?,
        block_bytes_max: block_bytes_max(lignum.block_bytes_max)?,
        base_fee_min: lignum.base_fee_min.within("base_fee_min", 0, u64::MAX)?,
        reward_wei: lignum.reward_wei.within("reward_wei", 0, u128::MAX)?,
    };
    let (pow_limit_bits, genesis_bits) = read_bits(lignum)?;
    let spec = ChainSpec {
        chain_id,
        genesis_time: genesis.timestamp.within("timestamp", 1, u32::MAX)?,
        genesis_base_fee: genesis
            .base_fee
            .within::<u64>("baseFeePerGas", 0, u64::MAX)?
            .max(base.base_fee_min),
        spacing_secs: lignum.spacing_secs.within("spacing_secs", 1, u32::MAX)?,
        half_life_secs: lignum
            .half_life_secs
            .within("half_life_secs", 1, u32::MAX)?,
        pow_limit_bits,
        genesis_bits,
        halving_interval: lignum
            .halving_interval
            .within("halving_interval", 0, u64::MAX)?,
        dev: lignum.dev,
        base,
        upgrades: read_upgrades(&lignum.upgrades)?,
        alloc: read_alloc(&genesis.alloc)?,
    };
    check_supply(&spec)?;
    Ok(Parsed { spec, warnings })
}

/// A built-in spec's text with the genesis time and difficulty replaced.
pub(super) fn with_genesis(text: &str, time: u32, bits: Bits) -> String {
    let mut value: Value = serde_json::from_str(text).expect("a built-in spec is JSON");
    value["timestamp"] = Value::String(time.to_string());
    value["lignum"]["genesis_bits"] = Value::String(bits.to_string());
    serde_json::to_string_pretty(&value).expect("a JSON value is writable")
}

fn block_bytes_max(number: Number) -> Result<u32, SpecError> {
    number.within("block_bytes_max", 1_024, SPEC_BLOCK_BYTES_MAX)
}

fn read_config(config: &Entries<Value>) -> Result<(u64, Vec<String>), SpecError> {
    let mut chain_id = None;
    let mut warnings = Vec::new();
    for (key, value) in &config.0 {
        let is_fork = key.ends_with("Block") || key.ends_with("Time");
        if key == "chainId" {
            let number = number(value).ok_or_else(|| {
                value_error("config.chainId", "a whole number", &value.to_string())
            })?;
            chain_id = Some(Number(number).within("config.chainId", 1, u64::MAX)?);
        } else if is_fork && (number(value) != Some(U256::ZERO) || !is_known_fork(key)) {
            return Err(SpecError::Fork {
                key: format!("config.{key}"),
                got: value.to_string(),
            });
        } else if !is_fork {
            warnings.push(format!("key \"config.{key}\" is ignored"));
        }
    }
    let chain_id =
        chain_id.ok_or_else(|| value_error("config.chainId", "a whole number", "nothing"))?;
    Ok((chain_id, warnings))
}

fn is_known_fork(key: &str) -> bool {
    KNOWN_FORKS.contains(&key)
}

fn read_bits(lignum: &Lignum) -> Result<(Bits, Bits), SpecError> {
    let limit = canonical_bits("pow_limit_bits", lignum.pow_limit_bits)?;
    let genesis = canonical_bits("genesis_bits", lignum.genesis_bits)?;
    if genesis.1.value() > limit.1.value() {
        let want = format!("at most pow_limit_bits {}", limit.0);
        return Err(value_error("genesis_bits", &want, &genesis.0.to_string()));
    }
    Ok((limit.0, genesis.0))
}

fn canonical_bits(key: &str, number: Number) -> Result<(Bits, Target), SpecError> {
    let bits = Bits(number.within(key, 0, u32::MAX)?);
    match bits.target() {
        Some(target) if target.bits() == bits => Ok((bits, target)),
        _ => Err(value_error(
            key,
            "a canonical compact target",
            &bits.to_string(),
        )),
    }
}

fn read_upgrades(upgrades: &[JsonUpgrade]) -> Result<Vec<Upgrade>, SpecError> {
    let mut out: Vec<Upgrade> = Vec::with_capacity(upgrades.len());
    for upgrade in upgrades {
        // The last height of all is left out, so that a next one always exists.
        let after = out.last().map_or(0, |last| last.height);
        let height = upgrade
            .height
            .within("upgrades.height", after + 1, u64::MAX - 1)?;
        if let Some(name) = upgrade.rule_set.as_ref().filter(|name| *name != "osaka") {
            return Err(value_error("upgrades.rule_set", "osaka", name));
        }
        let gas_limit = upgrade.gas_limit.map(|number| {
            number.within("upgrades.gas_limit", SPEC_GAS_LIMIT_MIN, SPEC_GAS_LIMIT_MAX)
        });
        let fee = upgrade
            .base_fee_min
            .map(|n| n.within("upgrades.base_fee_min", 0, u64::MAX));
        let reward = upgrade
            .reward_wei
            .map(|n| n.within("upgrades.reward_wei", 0, u128::MAX));
        out.push(Upgrade {
            height,
            gas_limit: gas_limit.transpose()?,
            block_bytes_max: upgrade.block_bytes_max.map(block_bytes_max).transpose()?,
            base_fee_min: fee.transpose()?,
            reward_wei: reward.transpose()?,
        });
    }
    Ok(out)
}

fn read_alloc(alloc: &Entries<JsonAccount>) -> Result<Vec<Allocation>, SpecError> {
    let mut out: BTreeMap<Address, Allocation> = BTreeMap::new();
    for (key, account) in &alloc.0 {
        let allocation = read_account(key, account)?;
        if out.insert(allocation.address, allocation).is_some() {
            return Err(value_error(
                "alloc",
                "one entry for an address",
                &format!("{key} twice"),
            ));
        }
    }
    Ok(out.into_values().collect())
}

fn read_account(key: &str, account: &JsonAccount) -> Result<Allocation, SpecError> {
    let address: Address = bytes_of(key)
        .and_then(|bytes| Address::try_from(bytes.as_slice()).ok())
        .ok_or_else(|| value_error("alloc", "an address of 20 bytes in hex", key))?;
    let field = |name: &str| format!("alloc.{key}.{name}");
    let code = bytes_of(&account.code)
        .ok_or_else(|| value_error(&field("code"), "hex bytes", &account.code))?;
    if code.first() == Some(&0xef) {
        return Err(value_error(
            &field("code"),
            "not to start with 0xef (EIP-3541)",
            "0xef",
        ));
    }
    let storage = read_storage(&field("storage"), &account.storage)?;
    if !storage.is_empty() && code.is_empty() {
        let got = format!("{} slots and no code", storage.len());
        return Err(value_error(
            &field("storage"),
            "empty where there is no code",
            &got,
        ));
    }
    let account = Account {
        nonce: account.nonce.within(&field("nonce"), 0, u64::MAX - 1)?,
        balance: account.balance.within(&field("balance"), 0, u128::MAX)?,
        code_hash: (!code.is_empty()).then(|| keccak256(&code).0),
    };
    Ok(Allocation {
        address,
        account,
        code,
        storage,
    })
}

fn read_storage(field: &str, storage: &Entries<String>) -> Result<Vec<(U256, U256)>, SpecError> {
    let mut slots = BTreeMap::new();
    for (slot, value) in &storage.0 {
        let word = |text: &str| digits_of(text.strip_prefix("0x").unwrap_or(text), 16);
        let (Some(key), Some(word)) = (word(slot), word(value)) else {
            return Err(value_error(
                field,
                "words in hex",
                &format!("{slot}: {value}"),
            ));
        };
        if slots.insert(key, word).is_some() {
            return Err(value_error(
                field,
                "one value for a slot",
                &format!("{slot} twice"),
            ));
        }
    }
    Ok(slots
        .into_iter()
        .filter(|(_, value)| !value.is_zero())
        .collect())
}

fn bytes_of(text: &str) -> Option<Vec<u8>> {
    hex::decode(text.strip_prefix("0x").unwrap_or(text)).ok()
}

/// Allocation plus all rewards ever must stay below 2^128 wei.
fn check_supply(spec: &ChainSpec) -> Result<(), SpecError> {
    let allocated = spec.alloc.iter().fold(U256::ZERO, |sum, entry| {
        sum.saturating_add(U256::from(entry.account.balance))
    });
    let rewards = spec
        .upgrades
        .iter()
        .filter_map(|upgrade| upgrade.reward_wei);
    let reward = rewards.fold(spec.base.reward_wei, u128::max);
    // With halvings at most two full intervals' worth of rewards is ever paid.
    let blocks = match spec.halving_interval {
        0 => U256::from(u64::MAX),
        interval => U256::from(interval) * U256::from(2),
    };
    let total = U256::from(reward)
        .saturating_mul(blocks)
        .saturating_add(allocated);
    if total > U256::from(u128::MAX) {
        let want = "below 2^128 wei with all rewards ever paid";
        return Err(value_error(
            "the sum of alloc and rewards",
            want,
            &format!("up to {total}"),
        ));
    }
    Ok(())
}
