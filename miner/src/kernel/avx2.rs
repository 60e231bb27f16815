//! The kernel of 8 lanes for AVX2, which knows neither rotation nor functions of three words.
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
    lanes::{lanes_kernel, unrolled},
    scan,
    sha256::{self, INITIAL, K},
    work::{HASH_BITS, Midstate, PADDING},
};

/// The kernel, if this processor can run it.
pub fn kernel() -> Option<Kernel> {
    is_x86_feature_detected!("avx2").then_some(Kernel {
        name: "avx2",
        versions: 16,
        search,
    })
}

fn search(work: &Work, range: RangeInclusive<u32>) -> Option<Hit> {
    // SAFETY: `search` is given away by `kernel` alone, which has seen that AVX2 is there.
    scan::<8>(work, range, |work, nonce| unsafe { group(work, nonce) })
}

type V = __m256i;
const LANES: u32 = 8;
/// Vectors of nonces at a time; a second one would find no registers.
const STREAMS: usize = 1;

lanes_kernel!("avx2");

/// Nothing that needs this word is begun before, and nothing that this word needs after it.
#[inline]
#[target_feature(enable = "avx2")]
fn pin(mut word: V) -> V {
    // SAFETY: it is a comment, which does nothing.
    unsafe {
        asm!("/* {} */", inout(ymm_reg) word, options(nomem, nostack, preserves_flags));
    }
    word
}

#[inline]
#[target_feature(enable = "avx2")]
fn splat(word: u32) -> V {
    _mm256_set1_epi32(word.cast_signed())
}

/// The schedule's word 3 for the nonces from `first`, a multiple of 8: the bytes of the nonce the
/// other way round, so the lane's number is in the highest byte.
#[inline]
#[target_feature(enable = "avx2")]
fn nonces(first: u32) -> V {
    let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    _mm256_or_si256(splat(first.swap_bytes()), _mm256_slli_epi32::<24>(lanes))
}

/// The lanes whose word has none of these bits.
#[inline]
#[target_feature(enable = "avx2")]
fn without(words: V, bits: u32) -> u32 {
    let bits = _mm256_and_si256(words, splat(bits));
    let lanes = _mm256_cmpeq_epi32(bits, _mm256_setzero_si256());
    _mm256_movemask_ps(_mm256_castsi256_ps(lanes)).cast_unsigned()
}

#[inline]
#[target_feature(enable = "avx2")]
fn add(a: V, b: V) -> V {
    _mm256_add_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
fn xor(a: V, b: V) -> V {
    _mm256_xor_si256(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
fn ch(e: V, f: V, g: V) -> V {
    xor(g, _mm256_and_si256(e, xor(f, g)))
}

/// Where `a` is `b` that is the majority, elsewhere `c` decides. The next round's `xor(b, c)` is
/// this one's `xor(a, b)`, which the compiler sees.
#[inline]
#[target_feature(enable = "avx2")]
fn maj(a: V, b: V, c: V) -> V {
    xor(b, _mm256_and_si256(xor(a, b), xor(b, c)))
}

/// `LEFT` is 32 − `RIGHT`.
#[inline]
#[target_feature(enable = "avx2")]
fn rotate<const RIGHT: i32, const LEFT: i32>(a: V) -> V {
    const { assert!(RIGHT + LEFT == 32) };
    xor(_mm256_srli_epi32::<RIGHT>(a), _mm256_slli_epi32::<LEFT>(a))
}

#[inline]
#[target_feature(enable = "avx2")]
fn shift<const BY: i32>(a: V) -> V {
    _mm256_srli_epi32::<BY>(a)
}

#[inline]
#[target_feature(enable = "avx2")]
fn big0(a: V) -> V {
    xor(
        xor(rotate::<2, 30>(a), rotate::<13, 19>(a)),
        rotate::<22, 10>(a),
    )
}

#[inline]
#[target_feature(enable = "avx2")]
fn big1(a: V) -> V {
    xor(
        xor(rotate::<6, 26>(a), rotate::<11, 21>(a)),
        rotate::<25, 7>(a),
    )
}

#[inline]
#[target_feature(enable = "avx2")]
fn small0(a: V) -> V {
    xor(xor(rotate::<7, 25>(a), rotate::<18, 14>(a)), shift::<3>(a))
}

#[inline]
#[target_feature(enable = "avx2")]
fn small1(a: V) -> V {
    xor(
        xor(rotate::<17, 15>(a), rotate::<19, 13>(a)),
        shift::<10>(a),
    )
}
