//! What a kernel is given: everything about a header that its nonce does not change, computed once.
//!
//! The 80 bytes are two blocks of SHA-256. The version is in the first and the nonce in the second,
//! so headers that differ in rolled version bits alone have a midstate each and share every word,
//! and with it the whole message schedule, of the second block. Made by `search` and by benches.

use chain::{PowHeader, Target, params::VERSION_ROLL_MASK};
use sha2::block_api::compress256;

use super::{
    Hit,
    sha256::{INITIAL, K, round, small0, small1},
};

/// Most versions that one work may have; [`Hit::versions`] has a bit for each.
pub const VERSIONS_MAX: u32 = 16;

/// Words 3, 4 and 15 of the second block: where the nonce is, and its padding; 5 to 14 are zero.
const NONCE_AT: usize = 3;
pub(super) const PADDING: u32 = 0x8000_0000;
pub(super) const HEADER_BITS: u32 = 80 * 8;
pub(super) const HASH_BITS: u32 = 32 * 8;

/// The version numbered `index` of the family that begins with `version`: it differs in the lowest
/// bits that may roll (Rule H2). Families of 16 are disjoint or the same.
pub fn rolled(version: u32, index: u32) -> u32 {
    version ^ (index << VERSION_ROLL_MASK.trailing_zeros())
}

/// Headers to search together: one header in a number of versions, with all nonces.
#[derive(Clone, Debug)]
pub struct Work {
    /// One for each version, 1 to [`VERSIONS_MAX`].
    pub(super) midstates: Vec<Midstate>,
    /// The second block as it is hashed, but for the nonce.
    block: [u32; 16],
    /// What is known of the words 16 to 33 of the second block's schedule: the sum of those terms
    /// that do not depend on the nonce.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(dead_code, reason = "the kernels with lanes use it")
    )]
    pub(super) known: [u32; 34],
    /// The target in 32-bit words, most significant first.
    target: [u32; 8],
    /// A hash that meets the target has none of these bits in its last word.
    pub(super) zero_bits: u32,
}

/// What the nonces of one version share.
#[derive(Clone, Debug)]
pub(super) struct Midstate {
    /// SHA-256 after the first block.
    pub state: [u32; 8],
    /// After the rounds 0 to 3 of the second block with a nonce of zero: the word of the nonce
    /// still is to be added to elements 0 and 4.
    pub start: [u32; 8],
    /// What the rounds 4, 5 and 6 add that is known: the last element of the state, constant and
    /// word. Later rounds begin with states of which nothing is known.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(dead_code, reason = "the kernels with lanes use it")
    )]
    pub sums: [u32; 3],
}

impl Work {
    /// The work of finding a nonce for this header in `versions` versions; its own nonce does not
    /// matter. A number beyond 1 to [`VERSIONS_MAX`] is brought within.
    pub fn new(header: &PowHeader, versions: u32, target: Target) -> Self {
        let bytes = header.encode();
        let (first, rest) = bytes.split_first_chunk::<64>().expect("80 bytes");
        let mut head = [0; NONCE_AT];
        for (word, bytes) in head.iter_mut().zip(rest.as_chunks::<4>().0) {
            *word = u32::from_be_bytes(*bytes);
        }
        let states = (0..versions.clamp(1, VERSIONS_MAX)).map(|index| {
            let mut first = *first;
            first[..4].copy_from_slice(&rolled(header.version, index).to_le_bytes());
            let mut state = INITIAL;
            compress256(&mut state, &[first]);
            state
        });
        Self::after(&states.collect::<Vec<_>>(), head, target)
    }

    /// The work of finding a nonce behind `head`, the first words of a second block, after each of
    /// these states, 1 to [`VERSIONS_MAX`].
    pub(super) fn after(states: &[[u32; 8]], head: [u32; NONCE_AT], target: Target) -> Self {
        let mut block = [0; 16];
        block[..NONCE_AT].copy_from_slice(&head);
        block[4] = PADDING;
        block[15] = HEADER_BITS;
        let midstates = states.iter().map(|state| Midstate::new(*state, &block));
        let target = target_words(target);
        let zero_bits = u32::MAX.checked_shr(target[0].leading_zeros());
        Self {
            midstates: midstates.collect(),
            block,
            known: known(&block),
            target,
            zero_bits: (!zero_bits.unwrap_or(0)).swap_bytes(),
        }
    }

    /// Words 0 to 2 of the second block: the end of the commitment, time and bits.
    pub(super) fn head(&self) -> [u32; 3] {
        [self.block[0], self.block[1], self.block[2]]
    }

    /// The specification of all kernels: hashes every version with this nonce, by the sha2 crate,
    /// and compares with the whole target.
    pub fn check(&self, nonce: u32) -> Option<Hit> {
        let mut block = self.block;
        block[NONCE_AT] = nonce.swap_bytes();
        let block = bytes(&block);
        let mut versions = 0;
        for (index, midstate) in self.midstates.iter().enumerate() {
            let mut inner = midstate.state;
            compress256(&mut inner, &[block]);
            let mut words = [0; 16];
            words[..8].copy_from_slice(&inner);
            words[8] = PADDING;
            words[15] = HASH_BITS;
            let mut outer = INITIAL;
            compress256(&mut outer, &[bytes(&words)]);
            versions |= u16::from(meets(&outer, &self.target)) << index;
        }
        (versions != 0).then_some(Hit { nonce, versions })
    }
}

impl Midstate {
    fn new(state: [u32; 8], second: &[u32; 16]) -> Self {
        let rounds = K.iter().zip(second).take(NONCE_AT + 1);
        let start = rounds.fold(state, |state, (constant, word)| {
            round(state, constant.wrapping_add(*word))
        });
        let sum = |index: usize| {
            let at = NONCE_AT + 1 + index;
            let last = start[7 - index];
            last.wrapping_add(K[at]).wrapping_add(second[at])
        };
        Self {
            state,
            start,
            sums: [sum(0), sum(1), sum(2)],
        }
    }
}

/// The known terms of the schedule's words: a word is known if all its terms are.
fn known(block: &[u32; 16]) -> [u32; 34] {
    let mut sums = [0_u32; 34];
    sums[..16].copy_from_slice(block);
    let mut is_known = [true; 34];
    is_known[NONCE_AT] = false;
    for at in 16..sums.len() {
        let sources = [at - 2, at - 7, at - 15, at - 16];
        let terms = [
            small1(sums[at - 2]),
            sums[at - 7],
            small0(sums[at - 15]),
            sums[at - 16],
        ];
        for (term, source) in terms.into_iter().zip(sources) {
            if is_known[source] {
                sums[at] = sums[at].wrapping_add(term);
            }
        }
        is_known[at] = sources.iter().all(|&source| is_known[source]);
    }
    sums
}

fn target_words(target: Target) -> [u32; 8] {
    let bytes = target.value().to_be_bytes::<32>();
    let mut words = [0; 8];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    words
}

fn bytes(words: &[u32; 16]) -> [u8; 64] {
    let mut bytes = [0; 64];
    for (bytes, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *bytes = word.to_be_bytes();
    }
    bytes
}

/// Whether a hash, as the words of its SHA-256 state, is at most the target. As a number it is
/// read from its last byte to its first, so the last word decides nearly always.
fn meets(hash: &[u32; 8], target: &[u32; 8]) -> bool {
    if hash[7].swap_bytes() > target[0] {
        return false;
    }
    let number = hash.iter().rev().map(|word| word.swap_bytes());
    number.le(target.iter().copied())
}
