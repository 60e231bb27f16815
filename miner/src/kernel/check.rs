//! Whether a kernel does on this machine what the specification says.
//!
//! Done for each kernel before it is chosen, since a processor, a hypervisor or a compiler may be at
//! fault where the code is not. Called by `choose` and by `lignum bench mine`.

use std::iter;

use chain::{Bits, BlockHash, PowHeader, Target, U256};

use super::{Hit, Kernel, Work};

/// Bitcoin's first block.
const GENESIS: PowHeader = PowHeader {
    version: 1,
    parent: BlockHash([0; 32]),
    commitment: [
        0x3b, 0xa3, 0xed, 0xfd, 0x7a, 0x7b, 0x12, 0xb2, 0x7a, 0xc7, 0x2c, 0x3e, 0x67, 0x76, 0x8f,
        0x61, 0x7f, 0xc8, 0x1b, 0xc3, 0x88, 0x8a, 0x51, 0x32, 0x3a, 0x9f, 0xb8, 0xaa, 0x4b, 0x1e,
        0x5e, 0x4a,
    ],
    time: 1_231_006_505,
    bits: Bits(0x1d00_ffff),
    nonce: 2_083_236_893,
};

/// Nonces around the known one, and nonces for each of the easy targets: several groups of every kernel.
const REACH: u32 = 256;

impl Kernel {
    /// Whether this kernel finds the nonce of Bitcoin's first block and, where hits are many, what
    /// the specification finds. Takes less than a millisecond.
    pub fn agrees(&self) -> bool {
        let nonce = GENESIS.nonce;
        let known = GENESIS.bits.target().is_some_and(|target| {
            let work = Work::new(&GENESIS, self.versions, target);
            let hit = Some(Hit { nonce, versions: 1 });
            (self.search)(&work, nonce - REACH..=nonce + REACH) == hit
        });
        // About half of the nonces hit in some version: that tells the lanes apart.
        let bits = 1 + self.versions.ilog2() as usize;
        let easy = Target::new(U256::MAX >> bits).expect("it is not zero");
        let work = Work::new(&GENESIS, self.versions, easy);
        let expected = (0..REACH).filter_map(|nonce| work.check(nonce));
        known && self.hits(&work, REACH - 1).eq(expected)
    }

    /// All hits up to the nonce `last`, by asking again behind each.
    fn hits(&self, work: &Work, last: u32) -> impl Iterator<Item = Hit> {
        let mut start = 0;
        iter::from_fn(move || {
            let hit = (self.search)(work, start..=last)?;
            start = hit.nonce + 1;
            Some(hit)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel;

    #[test]
    fn all_kernels_agree_and_those_with_mistakes_do_not() {
        for kernel in kernel::all() {
            assert!(kernel.agrees(), "{}", kernel.name);
        }
        let portable = kernel::named("portable").unwrap();
        let blind = Kernel {
            search: |work, range| {
                let mut seen = range.filter(|nonce| nonce % 16 != 11);
                seen.find_map(|nonce| work.check(nonce))
            },
            ..portable
        };
        assert!(!blind.agrees());
        let swapped = Kernel {
            versions: 16,
            search: |work, mut range| {
                range.find_map(|nonce| {
                    let other = if nonce % 16 > 13 { nonce ^ 1 } else { nonce };
                    work.check(other).and_then(|_| work.check(nonce))
                })
            },
            ..portable
        };
        assert!(!swapped.agrees());
        let misled = Kernel {
            search: |work, range| {
                let hit = { range }.find_map(|nonce| work.check(nonce))?;
                Some(Hit {
                    versions: hit.versions << 1,
                    ..hit
                })
            },
            ..portable
        };
        assert!(!misled.agrees());
    }
}
