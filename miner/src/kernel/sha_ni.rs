//! The kernel of two streams for processors with instructions for SHA-256 (SHA-NI).
//!
//! `sha256rnds2` makes two rounds but is slow to give its result, so two nonces take turns. The
//! state is in two registers, ABEF and CDGH with A and C highest; the words of the schedule are in
//! groups of four, the first of them lowest. What is left out is what `lanes` leaves out, as
//! far as the instructions go in twos and fours.
#![allow(
    unsafe_code,
    reason = "instructions that not every processor has; the file says why it may use them"
)]

use std::{arch::x86_64::*, ops::RangeInclusive};

use super::{
    Hit, Kernel, Work, scan,
    sha256::{INITIAL, K},
    work::{HASH_BITS, HEADER_BITS, Midstate, PADDING},
};

/// The kernel, if this processor can run it.
pub fn kernel() -> Option<Kernel> {
    let is_there = is_x86_feature_detected!("sha")
        && is_x86_feature_detected!("sse4.1")
        && is_x86_feature_detected!("ssse3");
    is_there.then_some(Kernel {
        name: "sha-ni",
        versions: 16,
        search,
    })
}

fn search(work: &Work, range: RangeInclusive<u32>) -> Option<Hit> {
    // SAFETY: `search` is given away by `kernel` alone, which has seen that the features are there.
    scan::<2>(work, range, |work, nonce| unsafe { group(work, nonce) })
}

/// One register for each stream.
type V = [__m128i; 2];

/// Sixteen registers for each stream: a schedule with the rounds' constants added.
type Sums = [V; 16];

/// A bit for each of the nonces `nonce`, which is even, and `nonce + 1` with which some version
/// may meet the target.
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn group(work: &Work, nonce: u32) -> u32 {
    let nonces = [nonce.swap_bytes(), (nonce + 1).swap_bytes()];
    let sums = schedule(work, nonces);
    let mut found = 0;
    for midstate in &work.midstates {
        let words = last_words(first_hash(midstate, nonces, &sums));
        for (stream, word) in words.into_iter().enumerate() {
            found |= u32::from(word & work.zero_bits == 0) << stream;
        }
    }
    found
}

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

/// The first hash's schedule and constants; those of rounds 0 to 3 are not used.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn schedule(work: &Work, nonces: [u32; 2]) -> Sums {
    let [tail, time, bits] = work.head();
    let w0 = both!(stream: quad([tail, time, bits, nonces[stream]]));
    let w1 = [quad([PADDING, 0, 0, 0]); 2];
    let w2 = [quad([0; 4]); 2];
    let w3 = [quad([0, 0, 0, HEADER_BITS]); 2];
    let w4 = with(w2, w3, both!(s: _mm_sha256msg1_epu32(w0[s], w1[s])));
    // The words between padding and length are zero, which leaves little of the next two.
    let w5 = with(w3, w4, w1);
    let w6 = with(w4, w5, w2);
    expand(w0, w1, [w2, w3, w4, w5, w6])
}

/// The whole schedule with the constants added, from the groups 0 to 6.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn expand(w0: V, w1: V, [w2, w3, w4, w5, w6]: [V; 5]) -> Sums {
    let w7 = next(w3, w4, w5, w6);
    let w8 = next(w4, w5, w6, w7);
    let w9 = next(w5, w6, w7, w8);
    let w10 = next(w6, w7, w8, w9);
    let w11 = next(w7, w8, w9, w10);
    let w12 = next(w8, w9, w10, w11);
    let w13 = next(w9, w10, w11, w12);
    let w14 = next(w10, w11, w12, w13);
    let w15 = next(w11, w12, w13, w14);
    let mut sums = [
        w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11, w12, w13, w14, w15,
    ];
    for (sum, constants) in sums.iter_mut().zip(K.as_chunks::<4>().0) {
        let constants = quad(*constants);
        *sum = both!(s: _mm_add_epi32(sum[s], constants));
    }
    sums
}

/// SHA-256 of the header: rounds 4 to 63 of its second block, on top of the first. Gives the words
/// in their order, in groups of four.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn first_hash(midstate: &Midstate, nonces: [u32; 2], sums: &Sums) -> [V; 2] {
    let [start_abef, start_cdgh] = pack(&midstate.start);
    let mut abef = both!(s: {
        let nonce = nonces[s].cast_signed();
        _mm_add_epi32(start_abef, _mm_set_epi32(nonce, 0, nonce, 0))
    });
    let mut cdgh = [start_cdgh; 2];
    for &sum in &sums[1..] {
        cdgh = two_rounds(cdgh, abef, sum);
        abef = two_rounds(abef, cdgh, upper(sum));
    }
    let [state_abef, state_cdgh] = pack(&midstate.state);
    let abef = both!(s: _mm_shuffle_epi32::<0x1b>(_mm_add_epi32(abef[s], state_abef)));
    let cdgh = both!(s: _mm_shuffle_epi32::<0x1b>(_mm_add_epi32(cdgh[s], state_cdgh)));
    [
        both!(s: _mm_unpacklo_epi64(abef[s], cdgh[s])),
        both!(s: _mm_unpackhi_epi64(abef[s], cdgh[s])),
    ]
}

/// The last word of SHA-256 of a hash, which is `e` of round 60 and so `f` after round 61.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn last_words([w0, w1]: [V; 2]) -> [u32; 2] {
    let w2 = [quad([PADDING, 0, 0, 0]); 2];
    let w3 = [quad([0, 0, 0, HASH_BITS]); 2];
    let w4 = with(w2, w3, both!(s: _mm_sha256msg1_epu32(w0[s], w1[s])));
    let w5 = with(w3, w4, both!(s: _mm_sha256msg1_epu32(w1[s], w2[s])));
    let w6 = with(w4, w5, w2);
    let sums = expand(w0, w1, [w2, w3, w4, w5, w6]);
    let [abef, cdgh] = pack(&INITIAL);
    let (mut abef, mut cdgh) = ([abef; 2], [cdgh; 2]);
    for &sum in &sums[..15] {
        cdgh = two_rounds(cdgh, abef, sum);
        abef = two_rounds(abef, cdgh, upper(sum));
    }
    let end = two_rounds(cdgh, abef, sums[15]);
    both!(s: {
        let word = _mm_cvtsi128_si32(end[s]).cast_unsigned();
        word.wrapping_add(INITIAL[7])
    })
}

/// The next four words of the schedule after the last sixteen.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn next(w0: V, w1: V, w2: V, w3: V) -> V {
    with(w2, w3, both!(s: _mm_sha256msg1_epu32(w0[s], w1[s])))
}

/// The next four words, from the last eight and what those before them add.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn with(w2: V, w3: V, before: V) -> V {
    both!(s: {
        let seven_before = _mm_alignr_epi8::<4>(w3[s], w2[s]);
        _mm_sha256msg2_epu32(_mm_add_epi32(before[s], seven_before), w3[s])
    })
}

/// Two rounds with the lower two of four sums. What was ABEF before is CDGH afterwards.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn two_rounds(cdgh: V, abef: V, sum: V) -> V {
    both!(s: _mm_sha256rnds2_epu32(cdgh[s], abef[s], sum[s]))
}

/// The upper two of four sums, in the lower place.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn upper(sum: V) -> V {
    both!(s: _mm_shuffle_epi32::<0x0e>(sum[s]))
}

/// A state as the instructions take it.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn pack(state: &[u32; 8]) -> [__m128i; 2] {
    let [a, b, c, d, e, f, g, h] = *state;
    [quad([f, e, b, a]), quad([h, g, d, c])]
}

/// Four words, the first of them lowest.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn quad(words: [u32; 4]) -> __m128i {
    let [a, b, c, d] = words.map(u32::cast_signed);
    _mm_setr_epi32(a, b, c, d)
}
