//! Targets, their compact form and the work they stand for.
//!
//! Pure 256-bit arithmetic, as in Bitcoin (`nBits`). Called by `difficulty`, `rules`, `check`.

use std::fmt;

use alloy_primitives::U256;

use crate::hash::BlockHash;

/// The largest number a block hash may have; the smaller, the harder. Never zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Target(U256);

/// A target in compact form: one byte of size and three of mantissa.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bits(pub u32);

impl fmt::Debug for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:08x}", self.0)
    }
}

impl Bits {
    /// Decodes `floor(mantissa · 256^(size−3))`; `None` for a set sign bit, zero, or more than
    /// 256 bits (Rule H1).
    pub fn target(self) -> Option<Target> {
        let size = self.0 >> 24;
        let mantissa = self.0 & 0x007f_ffff;
        if self.0 & 0x0080_0000 != 0 {
            return None;
        }
        let value = if size <= 3 {
            U256::from(mantissa >> (8 * (3 - size)))
        } else {
            let shift = 8 * (size - 3);
            let bit_length = 32 - mantissa.leading_zeros();
            if mantissa != 0 && bit_length + shift > 256 {
                return None;
            }
            U256::from(mantissa) << shift
        };
        Target::new(value)
    }
}

impl Target {
    /// A target of this value, unless it is zero.
    pub fn new(value: U256) -> Option<Self> {
        (!value.is_zero()).then_some(Self(value))
    }

    /// The target as a number.
    pub fn value(self) -> U256 {
        self.0
    }

    /// Encodes with the top three bytes; what lies below them is dropped.
    pub fn bits(self) -> Bits {
        let size = self.0.byte_len();
        let shifted = if size <= 3 {
            self.0 << (8 * (3 - size))
        } else {
            self.0 >> (8 * (size - 3))
        };
        let (mut mantissa, mut size) = (shifted.to::<u32>(), size);
        if mantissa & 0x0080_0000 != 0 {
            mantissa >>= 8;
            size += 1;
        }
        let size = u32::try_from(size).expect("a 256-bit number has at most 33 bytes");
        Bits(size << 24 | mantissa)
    }

    /// Expected number of hashes to meet this target: `floor(2^256 / (target + 1))`, exact.
    ///
    /// The largest target gives 1.
    pub fn work(self) -> U256 {
        // 2^256 / (t + 1) = (2^256 − 1 − t) / (t + 1) + 1, which never leaves 256 bits.
        if self.0 == U256::MAX {
            return U256::from(1);
        }
        (!self.0) / (self.0 + U256::from(1)) + U256::from(1)
    }

    /// Whether `hash` meets the target (Rule H1).
    pub fn is_met_by(self, hash: &BlockHash) -> bool {
        hash.number() <= self.0
    }
}
