//! The kernel of two streams for ARM processors with instructions for SHA-256.
//!
//! Each instruction makes four rounds of half of the state but is slow to give its result, so two
//! nonces take turns. What is left out is what `lanes` leaves out, as far as the
//! instructions go in fours.
#![allow(
    unsafe_code,
    reason = "instructions that not every processor has; the file says why it may use them"
)]

use std::{
    arch::{aarch64::*, is_aarch64_feature_detected},
    ops::RangeInclusive,
};

use super::{
    Hit, Kernel, Work, scan,
    sha256::{INITIAL, K},
    work::{HASH_BITS, HEADER_BITS, Midstate, PADDING},
};

/// The kernel, if this processor can run it.
pub fn kernel() -> Option<Kernel> {
    is_aarch64_feature_detected!("sha2").then_some(Kernel {
        name: "sha2",
        versions: 16,
        search,
    })
}

fn search(work: &Work, range: RangeInclusive<u32>) -> Option<Hit> {
    // SAFETY: `search` is given away by `kernel` alone, which has seen that the feature is there.
    scan::<2>(work, range, |work, nonce| unsafe { group(work, nonce) })
}

/// Four words, the first of them lowest, for each stream.
type V = [uint32x4_t; 2];

/// A schedule with the rounds' constants added.
type Sums = [V; 16];

/// Does the same in both streams.
macro_rules! both {
    ($stream:ident: $value:expr) => {
        [
            {
                let $stream = 0;
                $value
            },
            {
                let $stream = 1;
                $value
            },
        ]
    };
}

/// A bit for each of the nonces `nonce`, which is even, and `nonce + 1` with which some version
/// may meet the target.
#[target_feature(enable = "neon,sha2")]
fn group(work: &Work, nonce: u32) -> u32 {
    let nonces = [nonce.swap_bytes(), (nonce + 1).swap_bytes()];
    let [tail, time, bits] = work.head();
    let block = [
        both!(s: quad([tail, time, bits, nonces[s]])),
        [quad([PADDING, 0, 0, 0]); 2],
        [quad([0; 4]); 2],
        [quad([0, 0, 0, HEADER_BITS]); 2],
    ];
    let sums = expand(block);
    let mut found = 0;
    for midstate in &work.midstates {
        let words = last_words(first_hash(midstate, nonces, &sums));
        for (stream, word) in words.into_iter().enumerate() {
            found |= u32::from(word & work.zero_bits == 0) << stream;
        }
    }
    found
}

/// The whole schedule of a block, with the constants added.
#[inline]
#[target_feature(enable = "neon,sha2")]
fn expand([w0, w1, w2, w3]: [V; 4]) -> Sums {
    let mut w = [[quad([0; 4]); 2]; 16];
    w[..4].copy_from_slice(&[w0, w1, w2, w3]);
    for at in 4..16 {
        w[at] = both!(s: {
            let before = vsha256su0q_u32(w[at - 4][s], w[at - 3][s]);
            vsha256su1q_u32(before, w[at - 2][s], w[at - 1][s])
        });
    }
    for (sum, constants) in w.iter_mut().zip(K.as_chunks::<4>().0) {
        let constants = quad(*constants);
        *sum = both!(s: vaddq_u32(sum[s], constants));
    }
    w
}

/// SHA-256 of the header: rounds 4 to 63 of its second block, on top of the first.
#[inline]
#[target_feature(enable = "neon,sha2")]
fn first_hash(midstate: &Midstate, nonces: [u32; 2], sums: &Sums) -> [V; 2] {
    let [start_abcd, start_efgh] = halves(&midstate.start);
    let nonces = both!(s: quad([nonces[s], 0, 0, 0]));
    let abcd = both!(s: vaddq_u32(start_abcd, nonces[s]));
    let efgh = both!(s: vaddq_u32(start_efgh, nonces[s]));
    let [abcd, efgh] = rounds(abcd, efgh, &sums[1..]);
    let [state_abcd, state_efgh] = halves(&midstate.state);
    [
        both!(s: vaddq_u32(abcd[s], state_abcd)),
        both!(s: vaddq_u32(efgh[s], state_efgh)),
    ]
}

/// The last word of SHA-256 of a hash.
#[inline]
#[target_feature(enable = "neon,sha2")]
fn last_words([w0, w1]: [V; 2]) -> [u32; 2] {
    let w2 = [quad([PADDING, 0, 0, 0]); 2];
    let w3 = [quad([0, 0, 0, HASH_BITS]); 2];
    let [abcd, efgh] = halves(&INITIAL);
    let [_, efgh] = rounds([abcd; 2], [efgh; 2], &expand([w0, w1, w2, w3]));
    both!(s: vgetq_lane_u32::<3>(efgh[s]).wrapping_add(INITIAL[7]))
}

/// Four rounds for each of the sums.
#[inline]
#[target_feature(enable = "neon,sha2")]
fn rounds(mut abcd: V, mut efgh: V, sums: &[V]) -> [V; 2] {
    for sum in sums {
        let before = abcd;
        abcd = both!(s: vsha256hq_u32(before[s], efgh[s], sum[s]));
        efgh = both!(s: vsha256h2q_u32(efgh[s], before[s], sum[s]));
    }
    [abcd, efgh]
}

#[inline]
#[target_feature(enable = "neon,sha2")]
fn halves(state: &[u32; 8]) -> [uint32x4_t; 2] {
    let [a, b, c, d, e, f, g, h] = *state;
    [quad([a, b, c, d]), quad([e, f, g, h])]
}

#[inline]
#[target_feature(enable = "neon,sha2")]
fn quad(words: [u32; 4]) -> uint32x4_t {
    // SAFETY: it reads the four words of the array.
    unsafe { vld1q_u32(words.as_ptr()) }
}
