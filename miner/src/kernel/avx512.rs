//! The kernel of 16 lanes for AVX-512.
//!
//! Rotation is one instruction there, and so is any function of three words, bit by bit
//! (`vpternlogd`): a sum of three by exclusive or, a choice, a majority.
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
    is_x86_feature_detected!("avx512f").then_some(Kernel {
        name: "avx512",
        versions: 16,
        search,
    })
}

fn search(work: &Work, range: RangeInclusive<u32>) -> Option<Hit> {
    // SAFETY: `search` is given away by `kernel` alone, which has seen that AVX-512F is there.
    scan::<32>(work, range, |work, nonce| unsafe { group(work, nonce) })
}

type V = __m512i;
const LANES: u32 = 16;
/// Vectors of nonces at a time; the registers allow for two.
const STREAMS: usize = 2;

lanes_kernel!("avx512f");

/// Nothing that needs this word is begun before, and nothing that this word needs after it.
#[inline]
#[target_feature(enable = "avx512f")]
fn pin(mut word: V) -> V {
    // SAFETY: it is a comment, which does nothing.
    unsafe {
        asm!("/* {} */", inout(zmm_reg) word, options(nomem, nostack, preserves_flags));
    }
    word
}

#[inline]
#[target_feature(enable = "avx512f")]
fn splat(word: u32) -> V {
    _mm512_set1_epi32(word.cast_signed())
}

/// The schedule's word 3 for the nonces from `first`, a multiple of 16: the bytes of the nonce the
/// other way round, so the lane's number is in the highest byte.
#[inline]
#[target_feature(enable = "avx512f")]
fn nonces(first: u32) -> V {
    let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    _mm512_or_si512(splat(first.swap_bytes()), _mm512_slli_epi32::<24>(lanes))
}

/// The lanes whose word has none of these bits.
#[inline]
#[target_feature(enable = "avx512f")]
fn without(words: V, bits: u32) -> u32 {
    u32::from(_mm512_testn_epi32_mask(words, splat(bits)))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn add(a: V, b: V) -> V {
    _mm512_add_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn xor3(a: V, b: V, c: V) -> V {
    _mm512_ternarylogic_epi32::<0x96>(a, b, c)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn ch(e: V, f: V, g: V) -> V {
    _mm512_ternarylogic_epi32::<0xca>(e, f, g)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn maj(a: V, b: V, c: V) -> V {
    _mm512_ternarylogic_epi32::<0xe8>(a, b, c)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn rotate<const BY: i32>(a: V) -> V {
    _mm512_ror_epi32::<BY>(a)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn shift<const BY: u32>(a: V) -> V {
    _mm512_srli_epi32::<BY>(a)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn big0(a: V) -> V {
    xor3(rotate::<2>(a), rotate::<13>(a), rotate::<22>(a))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn big1(a: V) -> V {
    xor3(rotate::<6>(a), rotate::<11>(a), rotate::<25>(a))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn small0(a: V) -> V {
    xor3(rotate::<7>(a), rotate::<18>(a), shift::<3>(a))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn small1(a: V) -> V {
    xor3(rotate::<17>(a), rotate::<19>(a), shift::<10>(a))
}
