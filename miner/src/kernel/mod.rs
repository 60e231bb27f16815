//! Kernels: the inner loops of the search, which must all find the same nonces.
//!
//! A kernel is a plain function over a [`Midstate`] and a range of nonces; [`portable`] is the
//! specification of what every other one computes. Called by `search`, and by benches.

pub mod portable;

use std::ops::RangeInclusive;

use chain::{PowHeader, Target};
use sha2::block_api::compress256;

/// Gives the lowest nonce in the range whose hash meets the target, if there is one.
pub type Kernel = fn(&Midstate, RangeInclusive<u32>) -> Option<u32>;

/// The fastest kernel for this machine.
pub fn best() -> Kernel {
    portable::search
}

/// SHA-256 before its first block (FIPS 180-4).
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// What all nonces of one header share: the hash of its first 64 bytes, the rest, and the target.
#[derive(Clone, Debug)]
pub struct Midstate {
    /// SHA-256 after the first 64 of the 80 bytes.
    pub state: [u32; 8],
    /// The second block as it is hashed: the last 16 bytes and the padding. The nonce is at
    /// [`NONCE_AT`].
    pub block: [u8; 64],
    /// The target in 32-bit words, most significant first.
    pub target: [u32; 8],
}

/// Where the nonce is in the second block.
pub const NONCE_AT: usize = 12;

impl Midstate {
    /// Hashes what does not depend on the nonce; that of `header` does not matter.
    pub fn new(header: &PowHeader, target: Target) -> Self {
        let bytes = header.encode();
        let (first, rest) = bytes.split_first_chunk::<64>().expect("80 bytes");
        let mut state = INITIAL;
        compress256(&mut state, &[*first]);
        let mut block = [0; 64];
        block[..16].copy_from_slice(rest);
        block[16] = 0x80;
        block[56..].copy_from_slice(&(80_u64 * 8).to_be_bytes());
        let bytes = target.value().to_be_bytes::<32>();
        let mut target = [0; 8];
        for (word, bytes) in target.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *word = u32::from_be_bytes(*bytes);
        }
        Self {
            state,
            block,
            target,
        }
    }
}
