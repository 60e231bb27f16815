//! The kernel for every machine, and the specification of all others.
//!
//! Two compressions a nonce, by the sha2 crate, which uses the processor's SHA instructions where
//! it has them.

use std::ops::RangeInclusive;

use super::{Hit, Kernel, Work};

/// The kernel that runs everywhere.
pub const KERNEL: Kernel = Kernel {
    name: "portable",
    versions: 1,
    search,
};

/// Checks one nonce after the other.
fn search(work: &Work, mut range: RangeInclusive<u32>) -> Option<Hit> {
    range.find_map(|nonce| work.check(nonce))
}
