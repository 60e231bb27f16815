//! The kernel of four streams for processors with instructions for SHA-256 (SHA-NI).
//!
//! `sha256rnds2` makes two rounds. On some processors it begins every cycle and takes four to give
//! its result, so four nonces take turns. The words of the schedule are made beside the rounds and
//! not before them: other parts of the processor make them, which would idle meanwhile. The versions
//! of a work share a schedule, which then is made once, and their first hash is rounds alone.
//!
//! The state is in two registers, ABEF and CDGH with A and C highest; the words of the schedule are
//! in groups of four, the first of them lowest. What is left out is what `lanes` leaves out, as
//! far as the instructions go in twos and fours.
#![allow(
    unsafe_code,
    reason = "instructions that not every processor has; the file says why it may use them"
)]

use std::{
    arch::{asm, x86_64::*},
    ops::RangeInclusive,
};

use super::{
    Hit, Kernel, Work,
    lanes::unrolled,
    scan,
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
    scan::<4>(work, range, |work, nonce| unsafe { group(work, nonce) })
}

/// Nonces that take turns; the registers allow for four.
const STREAMS: usize = 4;

/// One register for each stream.
type V = [__m128i; STREAMS];

/// Sixteen registers for each stream: a schedule with the rounds' constants added.
type Sums = [V; 16];

/// ABEF and CDGH.
type State = (V, V);

/// Four registers for each stream: the last sixteen words of a schedule.
type Words = [V; 4];

/// Does the same in all streams.
macro_rules! each {
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
            {
                let $stream = 2;
                $value
            },
            {
                let $stream = 3;
                $value
            },
        ]
    };
}

/// A bit for each of the nonces from `nonce` on, a multiple of [`STREAMS`], with which some version
/// may meet the target.
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn group(work: &Work, nonce: u32) -> u32 {
    let nonces = each!(s: (nonce + s).swap_bytes());
    let words = first_words(work, nonces);
    if let [midstate] = work.midstates.as_slice() {
        return candidates(work, lone_hash(midstate, nonces, words));
    }
    let sums = schedule(words);
    let hashes = work.midstates.iter();
    hashes.fold(0, |found, midstate| {
        found | candidates(work, shared_hash(midstate, nonces, &sums))
    })
}

/// The words of the second block of the header.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn first_words(work: &Work, nonces: [u32; STREAMS]) -> Words {
    let [tail, time, bits] = work.head();
    [
        each!(s: quad([tail, time, bits, nonces[s]])),
        [quad([PADDING, 0, 0, 0]); STREAMS],
        [quad([0; 4]); STREAMS],
        [quad([0, 0, 0, HEADER_BITS]); STREAMS],
    ]
}

/// A bit for each stream whose hash of this hash may meet the target.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn candidates(work: &Work, hash: [V; 2]) -> u32 {
    let mut found = 0;
    for (stream, word) in last_words(hash).into_iter().enumerate() {
        found |= u32::from(word & work.zero_bits == 0) << stream;
    }
    found
}

/// The first hash's schedule and constants; those of rounds 0 to 3 are not used.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn schedule(mut words: Words) -> Sums {
    let mut sums = [words[0]; 16];
    unrolled!(t in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 => {
        sums[t] = sum(words[0], t);
        words = shifted(words);
    });
    sums[15] = sum(words[0], 15);
    sums
}

/// SHA-256 of the header: rounds 4 to 63 of its second block, on top of the first. Gives the words
/// in their order, in groups of four.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn shared_hash(midstate: &Midstate, nonces: [u32; STREAMS], sums: &Sums) -> [V; 2] {
    let mut state = begin(midstate, nonces);
    for &sum in &sums[1..] {
        state = four_rounds(state, sum);
    }
    finish(midstate, state)
}

/// The same where there is one version: the schedule beside the rounds.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn lone_hash(midstate: &Midstate, nonces: [u32; STREAMS], words: Words) -> [V; 2] {
    let mut words = shifted(words);
    let mut state = begin(midstate, nonces);
    unrolled!(t in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 => {
        state = four_rounds(state, sum(words[0], t));
        words = shifted(words);
    });
    let state = four_rounds(state, sum(words[0], 15));
    finish(midstate, state)
}

/// The state after rounds 0 to 3.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn begin(midstate: &Midstate, nonces: [u32; STREAMS]) -> State {
    let [start_abef, start_cdgh] = pack(&midstate.start);
    let abef = each!(s: {
        let nonce = nonces[s].cast_signed();
        _mm_add_epi32(start_abef, _mm_set_epi32(nonce, 0, nonce, 0))
    });
    (abef, [start_cdgh; STREAMS])
}

/// Adds the state before the block, and puts the words into their order.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn finish(midstate: &Midstate, (abef, cdgh): State) -> [V; 2] {
    let [state_abef, state_cdgh] = pack(&midstate.state);
    let abef = each!(s: _mm_shuffle_epi32::<0x1b>(_mm_add_epi32(abef[s], state_abef)));
    let cdgh = each!(s: _mm_shuffle_epi32::<0x1b>(_mm_add_epi32(cdgh[s], state_cdgh)));
    [
        each!(s: _mm_unpacklo_epi64(abef[s], cdgh[s])),
        each!(s: _mm_unpackhi_epi64(abef[s], cdgh[s])),
    ]
}

/// The last word of SHA-256 of a hash, which is `e` of round 60 and so `f` after round 61.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn last_words([w0, w1]: [V; 2]) -> [u32; STREAMS] {
    let w2 = [quad([PADDING, 0, 0, 0]); STREAMS];
    let w3 = [quad([0, 0, 0, HASH_BITS]); STREAMS];
    let mut words = [w0, w1, w2, w3];
    let [abef, cdgh] = pack(&INITIAL);
    let mut state = ([abef; STREAMS], [cdgh; STREAMS]);
    unrolled!(t in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 => {
        state = four_rounds(state, sum(words[0], t));
        words = shifted(words);
    });
    let end = two_rounds(state.1, state.0, sum(words[0], 15));
    each!(s: {
        let word = _mm_cvtsi128_si32(end[s]).cast_unsigned();
        word.wrapping_add(INITIAL[7])
    })
}

/// The words four further on. The compiler leaves out what nobody reads, as the words after 63.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn shifted([w0, w1, w2, w3]: Words) -> Words {
    let next = each!(s: {
        let sixteen_and_fifteen_before = _mm_sha256msg1_epu32(w0[s], w1[s]);
        let seven_before = _mm_alignr_epi8::<4>(w3[s], w2[s]);
        _mm_sha256msg2_epu32(_mm_add_epi32(sixteen_and_fifteen_before, seven_before), w3[s])
    });
    [w1, w2, w3, next]
}

/// Words and constants of the rounds from 4 · `t` on.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn sum(words: V, t: usize) -> V {
    let constants = quad(K.as_chunks::<4>().0[t]);
    each!(s: _mm_add_epi32(words[s], constants))
}

/// Four rounds. What comes after them in the source is not begun before.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn four_rounds((abef, cdgh): State, sum: V) -> State {
    let cdgh = two_rounds(cdgh, abef, sum);
    // The upper two of the four sums.
    let abef = two_rounds(abef, cdgh, each!(s: _mm_shuffle_epi32::<0x0e>(sum[s])));
    (each!(s: pin(abef[s])), each!(s: pin(cdgh[s])))
}

/// Two rounds with the lower two of four sums. What was ABEF before is CDGH afterwards.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn two_rounds(cdgh: V, abef: V, sum: V) -> V {
    each!(s: _mm_sha256rnds2_epu32(cdgh[s], abef[s], sum[s]))
}

/// Nothing that needs this register is begun before, as in `lanes`.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn pin(mut words: __m128i) -> __m128i {
    // SAFETY: it is a comment, which does nothing.
    unsafe {
        asm!("/* {} */", inout(xmm_reg) words, options(nomem, nostack, preserves_flags));
    }
    words
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
