//! The contextual rules: what a header must be as a child of its parent.
//!
//! A pure function of the parent's few numbers, so the header tree keeps only these. Called by
//! `forest` for every header and by `template` to fill one.

use alloy_primitives::U256;

use crate::{
    check::CheckedHeader,
    difficulty::{Anchor, forgiven, next_bits},
    hash::BlockHash,
    header::{Extension, Header, PowHeader},
    params::{FUTURE_SECS_MAX, HEADER_VERSION},
    spec::ChainSpec,
    store::BlockId,
    work::Bits,
};

/// What of a header its children depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Height and hash.
    pub id: BlockId,
    /// Unix seconds.
    pub time: u32,
    /// Compact target.
    pub bits: Bits,
    /// Cumulative work.
    pub chain_work: U256,
    /// Forgiven seconds.
    pub forgiven: u64,
    /// Gas used.
    pub gas_used: u64,
    /// Base fee, wei per gas.
    pub base_fee: u64,
}

impl Parent {
    /// The numbers of a header of this hash.
    pub fn new(header: &Header, hash: BlockHash) -> Self {
        let extension = &header.extension;
        Self {
            id: BlockId {
                height: extension.height,
                hash,
            },
            time: header.pow.time,
            bits: header.pow.bits,
            chain_work: extension.chain_work,
            forgiven: extension.forgiven,
            gas_used: extension.gas_used,
            base_fee: extension.base_fee,
        }
    }

    fn anchor(&self) -> Anchor {
        Anchor {
            height: self.id.height,
            time: self.time,
            forgiven: self.forgiven,
        }
    }

    /// The work of this one block.
    pub fn own_work(&self) -> U256 {
        self.bits
            .target()
            .map_or(U256::ZERO, |target| target.work())
    }
}

/// Why a header cannot stand on its parent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rule {rule}: {field} is {got}, wanted {want}")]
pub struct RuleError {
    /// The rule's id.
    pub rule: &'static str,
    /// The header's field.
    pub field: &'static str,
    /// What the parent asks for.
    pub want: String,
    /// What the header says.
    pub got: String,
}

/// Rule H2, Rule H3, Rule H4 and Rule B2 for a child of `parent` whose skip must be `skip`.
pub fn check_child(
    spec: &ChainSpec,
    parent: &Parent,
    skip: BlockHash,
    header: &CheckedHeader,
) -> Result<(), RuleError> {
    let (pow, got) = (&header.header().pow, &header.header().extension);
    // Rule H4 first: the time is an input to the others.
    if pow.time < parent.time {
        return Err(error(
            "H4",
            "time",
            &format!("at least {}", parent.time),
            &pow.time,
        ));
    }
    // Rule H3: exactly the compact target that ASERT gives.
    let bits = next_bits(spec, parent.anchor());
    if pow.bits != bits {
        return Err(error("H3", "bits", &bits, &pow.bits));
    }
    // Rule H2: height, chain work, forgiven seconds and skip are the computed ones.
    let want = child_extension(spec, parent, skip, pow.time);
    let want = want.ok_or_else(|| error("H2", "chain_work", &"within 256 bits", &"overflow"))?;
    if got.height != want.height {
        return Err(error("H2", "height", &want.height, &got.height));
    }
    if got.chain_work != want.chain_work {
        return Err(error("H2", "chain_work", &want.chain_work, &got.chain_work));
    }
    if got.forgiven != want.forgiven {
        return Err(error("H2", "forgiven", &want.forgiven, &got.forgiven));
    }
    if got.skip != want.skip {
        return Err(error("H2", "skip", &want.skip, &got.skip));
    }
    // Rule B2: the base fee follows from the parent's use of gas.
    if got.base_fee != want.base_fee {
        return Err(error("B2", "base_fee", &want.base_fee, &got.base_fee));
    }
    Ok(())
}

/// Rule H5: whether a block of this time may be taken now; if not, it is early, never invalid.
pub fn is_early(spec: &ChainSpec, time: u32, now_unix_secs: u64) -> bool {
    u64::from(time) > now_unix_secs.saturating_add(future_secs_max(spec))
}

/// Rule H5: seconds that a block's time may be ahead of our clock.
pub fn future_secs_max(spec: &ChainSpec) -> u64 {
    (u64::from(spec.half_life_secs) / 6).min(FUTURE_SECS_MAX)
}

/// A header for a child of `parent` at `time`: all fields that the parent determines.
/// `None` if the chain work would overflow.
pub fn child(spec: &ChainSpec, parent: &Parent, skip: BlockHash, time: u32) -> Option<Header> {
    let pow = PowHeader {
        version: HEADER_VERSION,
        parent: parent.id.hash,
        time,
        bits: next_bits(spec, parent.anchor()),
        ..PowHeader::default()
    };
    Some(Header {
        pow,
        extension: child_extension(spec, parent, skip, time)?,
    })
}

fn child_extension(
    spec: &ChainSpec,
    parent: &Parent,
    skip: BlockHash,
    time: u32,
) -> Option<Extension> {
    let height = parent.id.height.checked_add(1)?;
    let target = next_bits(spec, parent.anchor())
        .target()
        .expect("the rule gives a target");
    Some(Extension {
        height,
        chain_work: parent.chain_work.checked_add(target.work())?,
        forgiven: forgiven(spec, parent.anchor(), time),
        skip,
        gas_limit: spec.at(height).gas_limit,
        base_fee: next_base_fee(spec, parent),
        ..Extension::default()
    })
}

/// Rule B2: the base fee of a child (EIP-1559 with a floor).
pub fn next_base_fee(spec: &ChainSpec, parent: &Parent) -> u64 {
    let target = u128::from(spec.at(parent.id.height).gas_limit / 2);
    let (used, fee) = (u128::from(parent.gas_used), u128::from(parent.base_fee));
    let next = match used.cmp(&target) {
        std::cmp::Ordering::Equal => fee,
        std::cmp::Ordering::Greater => fee + (fee * (used - target) / target / 8).max(1),
        std::cmp::Ordering::Less => fee - fee * (target - used) / target / 8,
    };
    let floor = u128::from(spec.at(parent.id.height.saturating_add(1)).base_fee_min);
    u64::try_from(next.max(floor)).unwrap_or(u64::MAX)
}

fn error(
    rule: &'static str,
    field: &'static str,
    want: &dyn std::fmt::Display,
    got: &dyn std::fmt::Display,
) -> RuleError {
    RuleError {
        rule,
        field,
        want: want.to_string(),
        got: got.to_string(),
    }
}
