//! What to pay, and how that was computed.

use serde::Serialize;
use utoipa::ToSchema;

use super::{HeadJson, SUGGESTED_TIP};
use crate::fees::Estimates;

/// How the numbers come about, for whoever reads the answer without these docs.
const METHOD: &str = "base_fee: the next block's; of an estimate: after that many more full blocks. \
    tip: the highest of suggested_tip; pool_floor (what a nearly full pool takes at all); pool (1 wei \
    more than the lowest tip of the pool's best transactions that fill those blocks by their gas limits \
    or bytes); recent_blocks (what was enough in 90 % of them for 1 block, in 50 % for 3, in 20 % for \
    10: nothing where a tenth of a block was left, else the tip that a tenth of its transactions stayed \
    below). max_fee: the estimate's base_fee + tip";

/// What to pay to be mined soon or later, wei per gas.
#[derive(Debug, Serialize, ToSchema)]
pub struct FeesJson {
    /// What the next block burns.
    base_fee: String,
    /// The sooner the first.
    estimates: Vec<EstimateJson>,
    computed_from: SourcesJson,
    head: HeadJson,
}

#[derive(Debug, Serialize, ToSchema)]
struct EstimateJson {
    blocks: u64,
    max_fee: String,
    tip: String,
    base_fee: String,
    /// Which of the sources the tip comes from.
    because: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
struct SourcesJson {
    method: &'static str,
    suggested_tip: String,
    pool_floor: String,
    pool: CrowdJson,
    recent_blocks: RecentJson,
}

#[derive(Debug, Serialize, ToSchema)]
struct CrowdJson {
    /// Transactions that could be mined now; of very many the best.
    transactions: usize,
    gas_limits: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct RecentJson {
    count: usize,
    full: usize,
}

impl FeesJson {
    /// These estimates.
    pub fn new(fees: &Estimates) -> Self {
        let estimates = fees.estimates.iter().map(|estimate| EstimateJson {
            blocks: estimate.blocks,
            max_fee: estimate.max_fee.to_string(),
            tip: estimate.tip.to_string(),
            base_fee: estimate.base_fee.to_string(),
            because: estimate.because.name(),
        });
        Self {
            base_fee: fees.base_fee.to_string(),
            estimates: estimates.collect(),
            computed_from: SourcesJson {
                method: METHOD,
                suggested_tip: SUGGESTED_TIP.to_string(),
                pool_floor: fees.pool_floor.to_string(),
                pool: CrowdJson {
                    transactions: fees.candidates,
                    gas_limits: fees.candidates_gas,
                },
                recent_blocks: RecentJson {
                    count: fees.blocks,
                    full: fees.blocks_full,
                },
            },
            head: HeadJson::of(fees.head),
        }
    }
}
