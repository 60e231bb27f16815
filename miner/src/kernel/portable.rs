//! The kernel for every machine, and the specification of all others.
//!
//! Two compressions a nonce, by the sha2 crate, which uses the processor's SHA instructions where
//! it has them.

use std::ops::RangeInclusive;

use sha2::block_api::compress256;

use super::{INITIAL, Midstate, NONCE_AT};

/// Gives the lowest nonce in the range whose hash meets the target, if there is one.
pub fn search(midstate: &Midstate, mut range: RangeInclusive<u32>) -> Option<u32> {
    let mut first = midstate.block;
    let mut second = [0; 64];
    second[32] = 0x80;
    second[56..].copy_from_slice(&(32_u64 * 8).to_be_bytes());
    range.find(|nonce| {
        first[NONCE_AT..NONCE_AT + 4].copy_from_slice(&nonce.to_le_bytes());
        let mut inner = midstate.state;
        compress256(&mut inner, &[first]);
        for (bytes, word) in second.as_chunks_mut::<4>().0.iter_mut().zip(inner) {
            *bytes = word.to_be_bytes();
        }
        let mut outer = INITIAL;
        compress256(&mut outer, &[second]);
        meets(&outer, &midstate.target)
    })
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

#[cfg(test)]
mod tests {
    use chain::{Bits, BlockHash, PowHeader, Target, U256};
    use proptest::prelude::*;

    use super::*;
    use crate::kernel::{self, Kernel};

    /// Every kernel that this machine can run.
    fn kernels() -> Vec<Kernel> {
        vec![search, kernel::best()]
    }

    /// Bitcoin's blocks 0, 1, 2 and 125552; texts in display order.
    fn bitcoin_headers() -> Vec<PowHeader> {
        let header = |parent: &str, merkle_root: &str, time, bits, nonce| PowHeader {
            version: 1,
            parent: parent.parse().unwrap(),
            commitment: merkle_root.parse::<BlockHash>().unwrap().0,
            time,
            bits: Bits(bits),
            nonce,
        };
        let genesis = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f";
        vec![
            header(
                &"0".repeat(64),
                "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b",
                1_231_006_505,
                0x1d00_ffff,
                2_083_236_893,
            ),
            header(
                genesis,
                "0e3e2357e806b6cdb1f70b54c3a3a17b6714ee1f0e68bebb44a74b1efd512098",
                1_231_469_665,
                0x1d00_ffff,
                2_573_394_689,
            ),
            header(
                "00000000839a8e6886ab5951d76f411475428afc90947ee320161bbf18eb6048",
                "9b0fc92260312ce44e74ef369f5c66bbb85848f2eddd5a7a1cde251e54ccfdd5",
                1_231_469_744,
                0x1d00_ffff,
                1_639_830_024,
            ),
            header(
                "00000000000008a3a41b85b8b29ad444def299fee21793cd8b9e567eab02cd81",
                "2b12fcf1b09288fcaff797d71e950e71ae42b91e8bdb2304758dfcffc2b620e3",
                1_305_998_791,
                0x1a44_b9f2,
                0x9546_a142,
            ),
        ]
    }

    fn midstate(header: &PowHeader, target: Target) -> Midstate {
        // The header's own nonce must not matter.
        Midstate::new(
            &PowHeader {
                nonce: 0,
                ..*header
            },
            target,
        )
    }

    #[test]
    fn the_nonces_of_known_blocks_are_found_and_no_others() {
        for header in bitcoin_headers() {
            let target = header.bits.target().unwrap();
            assert!(target.is_met_by(&header.hash()));
            let (midstate, nonce) = (midstate(&header, target), header.nonce);
            for kernel in kernels() {
                assert_eq!(
                    kernel(&midstate, nonce - 1_000..=nonce + 1_000),
                    Some(nonce)
                );
                assert_eq!(kernel(&midstate, nonce..=nonce), Some(nonce));
                assert_eq!(kernel(&midstate, nonce - 1_000..=nonce - 1), None);
                assert_eq!(kernel(&midstate, nonce + 1..=nonce + 1_000), None);
            }
        }
    }

    /// The target may be any number: also one that ties with the hash, or misses it by one.
    #[test]
    fn a_hash_equal_to_the_target_meets_it_and_one_above_does_not() {
        for header in bitcoin_headers() {
            let number = header.hash().number();
            let equal = Target::new(number).unwrap();
            let below = Target::new(number - U256::from(1)).unwrap();
            for kernel in kernels() {
                let only = header.nonce..=header.nonce;
                let hit = kernel(&midstate(&header, equal), only.clone());
                assert_eq!(hit, Some(header.nonce));
                assert_eq!(kernel(&midstate(&header, below), only), None);
            }
        }
    }

    #[test]
    #[expect(clippy::reversed_empty_ranges, reason = "they are the point")]
    fn an_empty_range_holds_nothing() {
        let easiest = Target::new(U256::MAX).unwrap();
        for kernel in kernels() {
            let midstate = midstate(&PowHeader::default(), easiest);
            assert_eq!(kernel(&midstate, 1..=0), None);
            assert_eq!(kernel(&midstate, u32::MAX..=0), None);
            assert_eq!(kernel(&midstate, 0..=0), Some(0));
            assert_eq!(kernel(&midstate, u32::MAX..=u32::MAX), Some(u32::MAX));
        }
    }

    /// All nonces of a range that the kernel reports, by asking again behind each hit.
    fn hits(kernel: Kernel, midstate: &Midstate, range: RangeInclusive<u32>) -> Vec<u32> {
        let (mut start, end) = range.into_inner();
        let mut hits = Vec::new();
        while let Some(nonce) = kernel(midstate, start..=end) {
            hits.push(nonce);
            if nonce == end {
                break;
            }
            start = nonce + 1;
        }
        hits
    }

    fn range() -> impl Strategy<Value = RangeInclusive<u32>> {
        let start = prop_oneof![Just(0), any::<u32>(), u32::MAX - 200..=u32::MAX, 0..100_u32];
        (start, 0..600_u32).prop_map(|(start, length)| start..=start.saturating_add(length))
    }

    proptest! {
        #[test]
        fn every_kernel_finds_what_the_protocol_accepts(
            bytes: [u8; 32],
            more: [u8; 32],
            last: [u8; 16],
            shift in 0..10_usize,
            low: [u8; 32],
            range in range(),
        ) {
            let mut encoded = [0; 80];
            encoded[..32].copy_from_slice(&bytes);
            encoded[32..64].copy_from_slice(&more);
            encoded[64..].copy_from_slice(&last);
            let header = PowHeader::decode(&encoded);
            let number = U256::from_le_bytes(low) >> shift;
            let target = Target::new(number.max(U256::from(1))).unwrap();
            let naive: Vec<u32> = range
                .clone()
                .filter(|&nonce| target.is_met_by(&PowHeader { nonce, ..header }.hash()))
                .collect();
            for kernel in kernels() {
                prop_assert_eq!(&hits(kernel, &midstate(&header, target), range.clone()), &naive);
            }
        }
    }
}
