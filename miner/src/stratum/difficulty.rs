//! Share difficulties: powers of two, so that every miner computes the very target we mean.
//!
//! Difficulty 1 is the target `0xffff · 2^208`, about 2^32 hashes. Clients divide it by a
//! floating-point number, each in its own way; for a power of two all ways are exact.

use chain::{Target, U256};

/// A share difficulty of `2^exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difficulty(i32);

impl Difficulty {
    /// The easiest: nearly every hash is a share, and no block of any network is easier.
    pub const MIN: Self = Self(-32);
    /// The hardest: beyond all machines.
    pub const MAX: Self = Self(128);
    /// Where a connection begins: 4 million hashes, which is a few shares a second of a processor.
    pub const FIRST: Self = Self(-10);

    /// The largest hash of a share.
    pub fn target(self) -> Target {
        let one = U256::from(0xffff) << 208;
        let value = match usize::try_from(self.0) {
            Ok(harder) => one >> harder,
            Err(_) => one << usize::try_from(self.0.unsigned_abs()).unwrap_or(32),
        };
        Target::new(value).expect("at most 128 of 224 bits are shifted out")
    }

    /// The hardest that every block of this target meets: a miner must never keep a block back
    /// because it is no share.
    pub fn of_blocks(target: Target) -> Self {
        let mut found = Self::MIN;
        while found < Self::MAX && found.moved(1).target() >= target {
            found = found.moved(1);
        }
        found
    }

    /// The hardest that is at most this number, as miners write it.
    pub fn at_most(number: f64) -> Option<Self> {
        let is_number = number.is_finite() && number > 0.0;
        is_number.then(|| {
            let exponents = Self::MIN.0..=Self::MAX.0;
            let fitting = exponents.rev().map(Self).find(|it| it.number() <= number);
            fitting.unwrap_or(Self::MIN)
        })
    }

    /// The number that miners are told. Exact.
    pub fn number(self) -> f64 {
        2.0_f64.powi(self.0)
    }

    /// Harder by so many doublings, or easier where they are negative; within the bounds.
    pub fn moved(self, doublings: i32) -> Self {
        let exponent = self.0.saturating_add(doublings);
        Self(exponent.clamp(Self::MIN.0, Self::MAX.0))
    }

    /// Hashes that a share takes in the mean, at least 1; the largest number where they are more.
    pub fn hashes(self) -> u64 {
        u64::try_from(self.target().work()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use chain::{Bits, BlockHash};

    use super::*;

    #[test]
    fn difficulty_one_is_that_of_the_pools() {
        let one = Difficulty::at_most(1.0).unwrap();
        assert_eq!(one.target(), Bits(0x1d00_ffff).target().unwrap());
        assert_eq!(one.hashes(), 4_295_032_833);
        let half = Difficulty::at_most(0.5).unwrap();
        assert_eq!(half.target().value(), one.target().value() * U256::from(2));
        assert!(Difficulty::MIN.target().is_met_by(&BlockHash([0xfe; 32])));
    }

    #[test]
    fn numbers_round_down_to_powers_of_two() {
        for (number, exponent) in [
            (1.0, 0),
            (1.99, 0),
            (1_000.0, 9),
            (0.3, -2),
            (1e-30, -32),
            (1e300, 128),
        ] {
            assert_eq!(Difficulty::at_most(number).unwrap(), Difficulty(exponent));
        }
        for nothing in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Difficulty::at_most(nothing), None);
        }
        assert_eq!(Difficulty(-10).number(), 1.0 / 1_024.0);
    }

    #[test]
    fn every_block_is_a_share_and_little_else() {
        for bits in [
            0x207f_ffff,
            0x1e7f_ffff,
            0x1d00_ffff,
            0x1d01_0000,
            0x1b04_04cb,
            0x1701_0000,
        ] {
            let target = Bits(bits).target().unwrap();
            let difficulty = Difficulty::of_blocks(target);
            assert!(difficulty.target() >= target, "{bits:x}");
            assert!(difficulty.moved(1).target() < target, "{bits:x}");
        }
    }
}
