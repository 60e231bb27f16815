//! How much money there is.

use chain::U256;
use serde::Serialize;
use utoipa::ToSchema;

use super::{HeadJson, display_lgn};
use crate::{
    View,
    ledger::{Totals, allocation},
};

/// How much money there is, in wei.
#[derive(Debug, Serialize, ToSchema)]
pub struct SupplyJson {
    /// What the genesis block gave.
    allocated: String,
    /// What was paid to miners beside the tips.
    rewards: String,
    /// Base fees.
    burnt: String,
    /// Allocated and rewards without what was burnt. A contract that destroys itself in its own
    /// favour in the transaction that made it loses its money besides, which is not counted.
    supply: String,
    supply_display: String,
    /// Reward of the next block.
    reward: String,
    head: HeadJson,
}

impl SupplyJson {
    /// The sums at a view's head.
    pub fn new(view: &View, totals: &Totals) -> Self {
        let allocated = allocation(&view.spec);
        let made = allocated.saturating_add(totals.rewards);
        let supply: U256 = made.saturating_sub(totals.burnt);
        let next = view.head.height.saturating_add(1);
        Self {
            allocated: allocated.to_string(),
            rewards: totals.rewards.to_string(),
            burnt: totals.burnt.to_string(),
            supply: supply.to_string(),
            supply_display: display_lgn(supply),
            reward: view.spec.reward(next).to_string(),
            head: HeadJson::new(view),
        }
    }
}
