//! What to pay: fees for being mined within 1, 3 and 10 blocks, out of the pool and recent blocks.
//!
//! - The base fee rises by rule alone, so the most to pay covers as many more full blocks as one is
//!   willing to wait for, and the tip.
//! - The tip is the highest of four: what the network suggests, what the pool takes at all, what
//!   outbids those in the pool that would fill the blocks, and what was enough lately.
//! - A block that had room left asked for no tip. In a full one a low quantile was enough, since its
//!   very lowest may have been its miner's own.
//!
//! One answer is computed at a time and kept for a second, so that no number of requests costs more
//! than one. Called by `rest`.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use chain::{
    BlockHash, BlockId, ChainSpec, Header, StoreError, Time,
    params::BODY_ITEM_BYTES_MIN,
    rules::{Parent, next_base_fee},
    transaction::{effective_tip_of, hash_of},
};

use crate::{
    View,
    limits::{FEES_BLOCKS, FEES_CANDIDATES_MAX, FEES_FRESH_MS, FEES_SAMPLES_MAX},
    view::SUGGESTED_TIP,
};

/// Blocks to wait for, and the share of recent blocks, in percent, in which a tip must have been
/// enough: at such a share p a wait of n blocks is in vain with (1 - p)^n, a tenth for all three.
const HORIZONS: [(u64, usize); 3] = [(1, 90), (3, 50), (10, 20)];
/// A block is full where less than this part (one in …) of its gas or bytes is left.
const FULL_DIVISOR: u64 = 10;
/// Of a full block's tips, the one below which this part (one in …) of them lies.
const QUANTILE_DIVISOR: usize = 10;
/// What the payment that one wants to make uses.
const TRANSFER_GAS: u64 = 21_000;

/// The estimates, as they were a moment ago, and what recent blocks asked for.
#[derive(Debug, Default)]
pub struct Fees(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    latest: Option<(u64, Arc<Estimates>)>,
    recent: BTreeMap<BlockHash, Option<u128>>,
}

/// What to pay, and where that comes from. All in wei per gas.
#[derive(Debug)]
pub struct Estimates {
    /// The head it was computed at.
    pub head: BlockId,
    /// What the next block burns.
    pub base_fee: u64,
    /// The sooner the first.
    pub estimates: Vec<Estimate>,
    /// The least effective priority fee that the pool takes.
    pub pool_floor: u128,
    /// Transactions of the pool that were looked at, the best ones.
    pub candidates: usize,
    /// Their gas limits together.
    pub candidates_gas: u64,
    /// Recent blocks that were looked at.
    pub blocks: usize,
    /// Those of them that were full.
    pub blocks_full: usize,
}

/// What to pay to be mined within so many blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// So many.
    pub blocks: u64,
    /// The base fee after as many more full blocks.
    pub base_fee: u64,
    /// The miner's part.
    pub tip: u128,
    /// Both together.
    pub max_fee: u128,
    /// What the tip comes from.
    pub because: Because,
}

/// The highest of the four, which is the tip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// What every wallet should offer.
    Suggested,
    /// What the pool takes at all.
    PoolFloor,
    /// What outbids the pool.
    Pool,
    /// What was enough lately.
    RecentBlocks,
}

impl Because {
    /// Its name in an answer.
    pub fn name(self) -> &'static str {
        match self {
            Self::Suggested => "suggested_tip",
            Self::PoolFloor => "pool_floor",
            Self::Pool => "pool",
            Self::RecentBlocks => "recent_blocks",
        }
    }
}

impl Fees {
    /// Estimates at a view's head, at most a second old.
    pub fn at(&self, view: &View, now: Time) -> Result<Arc<Estimates>, StoreError> {
        // Held while computing: whoever asks meanwhile gets the same answer.
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = memory.latest.as_ref().filter(|(at_ms, estimates)| {
            estimates.head == view.head && now.monotonic_ms.saturating_sub(*at_ms) < FEES_FRESH_MS
        });
        if let Some((_, estimates)) = fresh {
            return Ok(Arc::clone(estimates));
        }
        let recent = memory.recent(view)?;
        let estimates = Arc::new(estimate(view, &recent, now));
        memory.latest = Some((now.monotonic_ms, Arc::clone(&estimates)));
        Ok(estimates)
    }
}

impl Memory {
    /// What each recent block asked for, where it was full. Only those not seen before are read.
    fn recent(&mut self, view: &View) -> Result<Vec<Option<u128>>, StoreError> {
        let last = view.head.height;
        let first = last.saturating_sub(FEES_BLOCKS).saturating_add(1).max(1);
        let (mut seen, mut tips) = (BTreeMap::new(), Vec::new());
        for height in first..=last {
            let Some(hash) = view.reader.canonical(height)? else {
                continue;
            };
            let tip = match self.recent.get(&hash) {
                Some(tip) => *tip,
                None => tip_asked(view, &hash)?,
            };
            seen.insert(hash, tip);
            tips.push(tip);
        }
        self.recent = seen;
        Ok(tips)
    }
}

/// The tip that was enough for a block; `None` where it had room left.
fn tip_asked(view: &View, hash: &BlockHash) -> Result<Option<u128>, StoreError> {
    let missing = |what: &str| StoreError(format!("no {what} for block {hash}"));
    let header = view.reader.header(hash)?;
    let header = header.ok_or_else(|| missing("header"))?;
    if !is_full(&view.spec, &header) {
        return Ok(None);
    }
    let body = view.reader.body(hash)?.ok_or_else(|| missing("body"))?;
    let base_fee = header.extension.base_fee;
    let step = body.0.len().div_ceil(FEES_SAMPLES_MAX).max(1);
    let tips = body.0.iter().step_by(step).map(|bytes| {
        let tip = effective_tip_of(bytes, base_fee);
        let damaged = |error| {
            let hash = hash_of(bytes);
            StoreError(format!("transaction {hash} is damaged: {error}"))
        };
        tip.map(Option::unwrap_or_default).map_err(damaged)
    });
    let mut tips = tips.collect::<Result<Vec<_>, _>>()?;
    tips.sort_unstable();
    Ok(tips.get(tips.len() / QUANTILE_DIVISOR).copied())
}

fn is_full(spec: &ChainSpec, header: &Header) -> bool {
    let extension = &header.extension;
    let is_near = |used: u64, limit: u64| limit.saturating_sub(used) < limit.div_ceil(FULL_DIVISOR);
    let bytes_max = u64::from(spec.at(extension.height).block_bytes_max);
    is_near(extension.gas_used, extension.gas_limit)
        || is_near(u64::from(extension.body_bytes), bytes_max)
}

fn estimate(view: &View, recent: &[Option<u128>], now: Time) -> Estimates {
    let parent = Parent::new(&view.head_header, view.head.hash);
    let base_fee = next_base_fee(&view.spec, &parent);
    let crowd = Crowd::of(view, base_fee);
    let pool_floor = view.pool.floor(now.monotonic_ms);
    let estimates = HORIZONS.map(|(blocks, share)| {
        let projected = base_fee_after(&view.spec, &parent, blocks);
        let (tip, because) = highest([
            (u128::from(SUGGESTED_TIP), Because::Suggested),
            (pool_floor, Because::PoolFloor),
            (crowd.tip_within(blocks), Because::Pool),
            (tip_enough(recent, share), Because::RecentBlocks),
        ]);
        Estimate {
            blocks,
            base_fee: projected,
            tip,
            max_fee: u128::from(projected).saturating_add(tip),
            because,
        }
    });
    Estimates {
        head: view.head,
        base_fee,
        estimates: estimates.to_vec(),
        pool_floor,
        candidates: crowd.transactions.len(),
        candidates_gas: crowd.gas(),
        blocks: recent.len(),
        blocks_full: recent.iter().flatten().count(),
    }
}

/// The highest tip; of equal ones the first.
fn highest(tips: [(u128, Because); 4]) -> (u128, Because) {
    let none = (0, Because::Suggested);
    tips.into_iter()
        .fold(none, |best, tip| if tip.0 > best.0 { tip } else { best })
}

/// The base fee of the block after the next one and `blocks - 1` more, all of them full.
fn base_fee_after(spec: &ChainSpec, head: &Parent, blocks: u64) -> u64 {
    let next = |parent: &Parent| {
        let mut child = *parent;
        child.base_fee = next_base_fee(spec, parent);
        child.id.height = parent.id.height.saturating_add(1);
        child.gas_used = spec.at(child.id.height).gas_limit;
        child
    };
    let last = (0..blocks).fold(*head, |parent, _| next(&parent));
    next_base_fee(spec, &last)
}

/// The tip that was enough in this share of the blocks, in percent.
fn tip_enough(recent: &[Option<u128>], share: usize) -> u128 {
    let mut tips: Vec<_> = recent.iter().map(|tip| tip.unwrap_or(0)).collect();
    tips.sort_unstable();
    let place = (tips.len() * share).div_ceil(100).saturating_sub(1);
    tips.get(place).copied().unwrap_or(0)
}

/// The pool's best transactions, in the order in which they would be mined.
struct Crowd {
    transactions: Vec<Waiting>,
    gas_limit: u64,
    bytes_max: u64,
    is_cut: bool,
}

/// One of them, with all before it.
struct Waiting {
    /// Gas limits up to this one.
    gas: u64,
    /// Bytes up to this one.
    bytes: u64,
    /// The lowest tip up to this one: whoever pays more comes before it, and so before this one too.
    tip_min: u128,
}

impl Crowd {
    fn of(view: &View, base_fee: u64) -> Self {
        let limits = view.spec.at(view.head.height.saturating_add(1));
        let candidates = view.pool.candidates(base_fee, FEES_CANDIDATES_MAX);
        let (mut gas, mut bytes, mut tip_min) = (0_u64, 0_u64, u128::MAX);
        let transactions = candidates.iter().map(|transaction| {
            let length = transaction.bytes().len() + BODY_ITEM_BYTES_MIN;
            gas = gas.saturating_add(transaction.gas_limit());
            bytes = bytes.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
            tip_min = tip_min.min(transaction.effective_tip(base_fee).unwrap_or(0));
            Waiting {
                gas,
                bytes,
                tip_min,
            }
        });
        Self {
            transactions: transactions.collect(),
            gas_limit: limits.gas_limit,
            bytes_max: u64::from(limits.block_bytes_max),
            is_cut: candidates.len() == FEES_CANDIDATES_MAX,
        }
    }

    fn gas(&self) -> u64 {
        self.transactions.last().map_or(0, |last| last.gas)
    }

    /// What leaves room for a payment in this many blocks: one wei more than the tip of whom it
    /// would push out. Nothing where there is room beside all of them.
    fn tip_within(&self, blocks: u64) -> u128 {
        let gas = self.gas_limit.saturating_mul(blocks);
        let room = gas.saturating_sub(TRANSFER_GAS);
        let bytes = self.bytes_max.saturating_mul(blocks);
        let pushed_out = self
            .transactions
            .iter()
            .find(|waiting| waiting.gas > room || waiting.bytes > bytes)
            // More may follow than were looked at.
            .or(self.transactions.last().filter(|_| self.is_cut));
        pushed_out.map_or(0, |waiting| waiting.tip_min.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten waiting ones of 100 gas and 10 bytes, with tips of 20 wei down to 11; a block has 21,150
    /// gas, which is a payment's and 150 more.
    fn crowd(bytes_max: u64, is_cut: bool) -> Crowd {
        let waiting = |number: u64| Waiting {
            gas: 100 * number,
            bytes: 10 * number,
            tip_min: u128::from(21 - number),
        };
        Crowd {
            transactions: (1..=10).map(waiting).collect(),
            gas_limit: 21_150,
            bytes_max,
            is_cut,
        }
    }

    #[test]
    fn gas_or_bytes_fill_a_block_whichever_comes_first() {
        assert_eq!(
            crowd(1_000, false).tip_within(1),
            20,
            "the second has no room"
        );
        assert_eq!(crowd(9, false).tip_within(1), 21);
        assert_eq!(crowd(9, false).tip_within(3), 19);
        assert_eq!(
            crowd(1_000, false).tip_within(3),
            0,
            "there is room beside all"
        );
    }

    /// Threat A5: of more than are looked at, the last one stands for the rest.
    #[test]
    fn a_crowd_that_is_cut_has_no_end() {
        assert_eq!(crowd(1_000, true).tip_within(10), 12);
        assert_eq!(crowd(1_000, true).tip_within(1), 20);
    }

    #[test]
    fn of_equal_tips_the_first_is_named() {
        let named = highest([
            (1, Because::Suggested),
            (7, Because::PoolFloor),
            (7, Because::Pool),
            (3, Because::RecentBlocks),
        ]);
        assert_eq!(named, (7, Because::PoolFloor));
    }
}
