//! A network: its parameters, its difficulty, its hash rate.

use chain::{StoreError, Target, U256, spec::Schedule};
use serde::Serialize;
use utoipa::ToSchema;

use super::HeadJson;
use crate::{View, network::hash_rate};

/// A network.
#[derive(Debug, Serialize, ToSchema)]
pub struct NetworkJson {
    name: String,
    dev: bool,
    chain_id: u64,
    genesis: String,
    genesis_time: u32,
    spacing_secs: u32,
    half_life_secs: u32,
    /// The easiest target.
    pow_limit_bits: String,
    /// Blocks between two halvings of the reward; 0 for never.
    halving_interval: u64,
    /// What is in force for the next block.
    next: ScheduleJson,
    /// Later changes, by rising height.
    upgrades: Vec<UpgradeJson>,
    /// Target of the head.
    bits: String,
    /// Hashes expected for a block of that target.
    difficulty: String,
    /// Of all miners, over the last 60 blocks; absent where no time lies between them.
    hashes_per_second: Option<String>,
    peers: usize,
    head: HeadJson,
}

#[derive(Debug, Serialize, ToSchema)]
struct ScheduleJson {
    gas_limit: u64,
    block_bytes_max: u32,
    base_fee_min: String,
    /// Wei to the miner of a block.
    reward: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct UpgradeJson {
    height: u64,
    /// What is in force from there.
    schedule: ScheduleJson,
}

impl NetworkJson {
    /// A view's network.
    pub fn read(view: &View) -> Result<Self, StoreError> {
        let (spec, bits) = (&view.spec, view.head_header.pow.bits);
        let schedule = |height| ScheduleJson::new(spec.at(height), spec.reward(height));
        let next = view.head.height.saturating_add(1);
        let later = spec.upgrades.iter().filter(|one| one.height > next);
        Ok(Self {
            name: view.network.clone(),
            dev: spec.dev,
            chain_id: spec.chain_id,
            genesis: view.genesis.to_string(),
            genesis_time: spec.genesis_time,
            spacing_secs: spec.spacing_secs,
            half_life_secs: spec.half_life_secs,
            pow_limit_bits: spec.pow_limit_bits.to_string(),
            halving_interval: spec.halving_interval,
            next: schedule(next),
            upgrades: later
                .map(|upgrade| UpgradeJson {
                    height: upgrade.height,
                    schedule: schedule(upgrade.height),
                })
                .collect(),
            bits: bits.to_string(),
            difficulty: bits.target().map_or(U256::ZERO, Target::work).to_string(),
            hashes_per_second: hash_rate(view)?.map(|rate| rate.to_string()),
            peers: view.peer_list.len(),
            head: HeadJson::new(view),
        })
    }
}

impl ScheduleJson {
    fn new(schedule: Schedule, reward: u128) -> Self {
        Self {
            gas_limit: schedule.gas_limit,
            block_bytes_max: schedule.block_bytes_max,
            base_fee_min: schedule.base_fee_min.to_string(),
            reward: reward.to_string(),
        }
    }
}
