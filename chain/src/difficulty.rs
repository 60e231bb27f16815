//! Difficulty: ASERT (aserti3-2d) anchored at genesis, with long gaps forgiven.
//!
//! Absolute, so there is no window to warp: a parent's time, height and forgiven seconds
//! give the next target. Called by `rules` and `template`.

use alloy_primitives::{U256, U512};

use crate::{
    spec::ChainSpec,
    work::{Bits, Target},
};

/// What the rule needs to know of a parent.
#[derive(Clone, Copy, Debug)]
pub struct Anchor {
    /// The parent's height.
    pub height: u64,
    /// The parent's time, Unix seconds.
    pub time: u32,
    /// The parent's forgiven seconds.
    pub forgiven: u64,
}

/// Seconds forgiven up to a block: its parent's plus what its gap exceeds two half-lives
/// (part of Rule H2). Saturates, so that no outside time can overflow it.
pub fn forgiven(spec: &ChainSpec, parent: Anchor, time: u32) -> u64 {
    let gap = u64::from(time.saturating_sub(parent.time));
    let excess = gap.saturating_sub(2 * u64::from(spec.half_life_secs));
    parent.forgiven.saturating_add(excess)
}

/// Rule H3: the compact target that a child of `parent` must carry.
pub fn next_bits(spec: &ChainSpec, parent: Anchor) -> Bits {
    let spacing = i128::from(spec.spacing_secs);
    let elapsed = i128::from(parent.time) - (i128::from(spec.genesis_time) - spacing);
    let time_delta = elapsed - i128::from(parent.forgiven);
    let ideal = spacing * (i128::from(parent.height) + 1);
    // Truncates towards zero, as the published vectors do.
    let exponent = (time_delta - ideal) * 65_536 / i128::from(spec.half_life_secs);
    scaled(spec.genesis_target(), exponent, spec.pow_limit()).bits()
}

/// `floor(target · 2^(exponent / 65536))` by a cubic approximation, clamped to [1, limit].
fn scaled(target: Target, exponent: i128, limit: Target) -> Target {
    let shift = exponent >> 16;
    let frac = u64::try_from(exponent & 0xffff).expect("masked to 16 bits");
    if shift >= 256 {
        return limit;
    }
    if shift < -288 {
        return Target::new(U256::from(1)).expect("one is not zero");
    }
    let cubic = 195_766_423_245_049 * frac
        + 971_821_376 * frac * frac
        + 5_127 * frac * frac * frac
        + (1 << 47);
    let factor = 65_536 + (cubic >> 48);
    let product = U512::from(target.value()) * U512::from(factor);
    let shift = shift - 16;
    let value = if shift >= 0 {
        shift_left_clamped(product, shift, limit)
    } else {
        product >> usize::try_from(-shift).expect("at most 304")
    };
    clamp(value, limit)
}

/// `product << shift`, or the limit where that leaves 512 bits.
fn shift_left_clamped(product: U512, shift: i128, limit: Target) -> U512 {
    let shift = usize::try_from(shift).expect("between 0 and 239");
    if product.bit_len() + shift > 512 {
        U512::from(limit.value())
    } else {
        product << shift
    }
}

fn clamp(value: U512, limit: Target) -> Target {
    let limit_value = U512::from(limit.value());
    let clamped = value.min(limit_value).max(U512::from(1));
    Target::new(clamped.to::<U256>()).expect("clamped to at least one")
}
