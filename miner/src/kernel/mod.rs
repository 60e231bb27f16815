//! Kernels: the inner loops of the search, which must all find the same nonces.
//!
//! A kernel is a plain function over a [`Work`] and a range of nonces; `portable` is the
//! specification of what every other one computes. The others look at groups of nonces at once and
//! only at the hash's last word; what passes there is checked by the specification, so a wrong kernel
//! can miss a nonce but report none that is not one. Called by `search`, and by benches.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod check;
mod choose;
#[cfg(target_arch = "x86_64")]
mod lanes;
mod portable;
mod sha256;
#[cfg(target_arch = "aarch64")]
mod sha2_arm;
#[cfg(target_arch = "x86_64")]
mod sha_ni;
mod work;

use std::ops::RangeInclusive;

pub use choose::{NAMES, UnknownKernel, all, best, named, rate};
pub use sha256::INITIAL;
pub use work::{VERSIONS_MAX, Work, rolled};

/// A loop over nonces, for one kind of processor.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    /// What `--kernel` calls it.
    pub name: &'static str,
    /// How many versions a [`Work`] best has, 1 to [`VERSIONS_MAX`]; any number gives correct
    /// results.
    pub versions: u32,
    /// Gives the lowest nonce in the range with which a version meets the target, if there is one.
    pub search: fn(&Work, RangeInclusive<u32>) -> Option<Hit>,
}

/// A nonce that makes a header meet its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The nonce.
    pub nonce: u32,
    /// With which of the versions: bit `i` for the one that [`rolled`] numbers `i`; not zero.
    pub versions: u16,
}

/// Walks through a range in groups of `LANES` nonces that begin at multiples of `LANES`, a power of
/// two. `group` sets a bit for each lane that may hold a hit; lanes outside of the range are ignored.
#[cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    expect(dead_code, reason = "there is only the portable kernel")
)]
fn scan<const LANES: u32>(
    work: &Work,
    range: RangeInclusive<u32>,
    group: impl Fn(&Work, u32) -> u32,
) -> Option<Hit> {
    let (first, last) = (*range.start(), *range.end());
    if range.is_empty() {
        return None;
    }
    let mut base = first - first % LANES;
    loop {
        let mut lanes = group(work, base);
        while lanes != 0 {
            let nonce = base + lanes.trailing_zeros();
            lanes &= lanes - 1;
            let hit = range.contains(&nonce).then(|| work.check(nonce)).flatten();
            if hit.is_some() {
                return hit;
            }
        }
        base = base.checked_add(LANES).filter(|&next| next <= last)?;
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
