//! Every kernel against the specification and against Bitcoin's own blocks.

use chain::{Bits, BlockHash, PowHeader, Target, U256, params::VERSION_ROLL_MASK};
use proptest::prelude::*;

use super::*;

/// Every kernel that this machine can run; says which it cannot.
pub(super) fn kernels() -> Vec<Kernel> {
    let kernels = all();
    for name in NAMES {
        if !kernels.iter().any(|kernel| kernel.name == name) {
            eprintln!("skipped: this machine cannot run the kernel {name}");
        }
    }
    kernels
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

/// The header without its nonce, which must not matter, in `versions` versions.
fn work(header: &PowHeader, versions: u32, target: Target) -> Work {
    let header = PowHeader {
        nonce: 0,
        ..*header
    };
    Work::new(&header, versions, target)
}

fn target(number: U256) -> Target {
    Target::new(number.max(U256::from(1))).unwrap()
}

/// Version `index` of a header.
fn version(header: &PowHeader, index: u32) -> PowHeader {
    PowHeader {
        version: rolled(header.version, index),
        ..*header
    }
}

/// What the protocol says, hash by hash.
fn naive(header: &PowHeader, versions: u32, target: Target, nonce: u32) -> Option<Hit> {
    let meets = |index: &u32| {
        let header = PowHeader {
            nonce,
            ..version(header, *index)
        };
        target.is_met_by(&header.hash())
    };
    let hits = (0..versions).filter(meets).map(|index| 1 << index).sum();
    (hits != 0).then_some(Hit {
        nonce,
        versions: hits,
    })
}

/// All hits of a range that the kernel reports, by asking again behind each.
pub(super) fn hits(kernel: &Kernel, work: &Work, range: RangeInclusive<u32>) -> Vec<Hit> {
    let (mut start, end) = range.into_inner();
    let mut hits = Vec::new();
    while let Some(hit) = (kernel.search)(work, start..=end) {
        hits.push(hit);
        if hit.nonce == end {
            break;
        }
        start = hit.nonce + 1;
    }
    hits
}

#[test]
fn the_nonces_of_known_blocks_are_found_and_no_others() {
    for header in bitcoin_headers() {
        let target = header.bits.target().unwrap();
        assert!(target.is_met_by(&header.hash()));
        let nonce = header.nonce;
        let hit = Some(Hit { nonce, versions: 1 });
        for (kernel, versions) in kernels()
            .iter()
            .flat_map(|kernel| [(kernel, 1), (kernel, 16)])
        {
            let work = work(&header, versions, target);
            let search = |range| (kernel.search)(&work, range);
            assert_eq!(
                search(nonce - 1_000..=nonce + 1_000),
                hit,
                "{}",
                kernel.name
            );
            assert_eq!(search(nonce..=nonce), hit);
            assert_eq!(search(nonce - 1_000..=nonce - 1), None);
            assert_eq!(search(nonce + 1..=nonce + 1_000), None);
        }
    }
}

/// The known nonce passes through every lane's place in a range and belongs to every version.
#[test]
fn a_nonce_is_found_in_every_version() {
    for header in bitcoin_headers() {
        let target = header.bits.target().unwrap();
        for index in 0..VERSIONS_MAX {
            let base = PowHeader {
                version: rolled(header.version, index),
                ..header
            };
            let hit = Some(Hit {
                nonce: header.nonce,
                versions: 1 << index,
            });
            for kernel in kernels() {
                let work = work(&base, VERSIONS_MAX, target);
                let found = (kernel.search)(&work, header.nonce - 40..=header.nonce + 40);
                assert_eq!(found, hit, "{}", kernel.name);
            }
        }
    }
}

/// With a hash in two for a hit, lanes and versions that are mixed up cannot agree by chance.
#[test]
fn every_lane_and_every_version_is_reported_as_itself() {
    let easy = target(U256::MAX >> 1);
    for header in bitcoin_headers() {
        for versions in 1..=VERSIONS_MAX {
            let work = work(&header, versions, easy);
            let expected: Vec<Hit> = (1_000..1_100)
                .filter_map(|nonce| naive(&header, versions, easy, nonce))
                .collect();
            for kernel in kernels() {
                assert_eq!(
                    hits(&kernel, &work, 1_000..=1_099),
                    expected,
                    "{}",
                    kernel.name
                );
            }
        }
    }
}

/// The target may be any number: also one that ties with the hash, or misses it by one.
#[test]
fn a_hash_equal_to_the_target_meets_it_and_one_above_does_not() {
    for header in bitcoin_headers() {
        let number = header.hash().number();
        let only = header.nonce..=header.nonce;
        for kernel in kernels() {
            let search = |number| (kernel.search)(&work(&header, 1, target(number)), only.clone());
            let hit = Hit {
                nonce: header.nonce,
                versions: 1,
            };
            assert_eq!(search(number), Some(hit), "{}", kernel.name);
            assert_eq!(search(number - U256::from(1)), None, "{}", kernel.name);
        }
    }
}

#[test]
#[expect(clippy::reversed_empty_ranges, reason = "they are the point")]
fn an_empty_range_holds_nothing() {
    for kernel in kernels() {
        let work = work(&PowHeader::default(), 1, target(U256::MAX));
        let search = |range| (kernel.search)(&work, range);
        assert_eq!(search(1..=0), None);
        assert_eq!(search(u32::MAX..=0), None);
        assert_eq!(
            search(0..=0),
            Some(Hit {
                nonce: 0,
                versions: 1
            })
        );
        let last = Hit {
            nonce: u32::MAX,
            versions: 1,
        };
        assert_eq!(search(u32::MAX..=u32::MAX), Some(last));
    }
}

/// 16 versions that differ, all of them with bits that may roll and no others.
#[test]
fn families_of_versions_roll_only_what_may_roll() {
    for start in [0x2000_0000, 0x3fff_e000, 0x2000_a000] {
        let mut family: Vec<u32> = (0..VERSIONS_MAX)
            .map(|index| rolled(start, index))
            .collect();
        assert!(
            family
                .iter()
                .all(|version| (version ^ start) & !VERSION_ROLL_MASK == 0)
        );
        family.sort_unstable();
        let low = start & !(0xf << 13);
        let expected: Vec<u32> = (0..VERSIONS_MAX).map(|index| low + (index << 13)).collect();
        assert_eq!(family, expected);
    }
}

#[test]
fn a_kernel_is_chosen_by_name_or_refused_with_those_there_are() {
    for kernel in all() {
        assert_eq!(named(kernel.name).unwrap().name, kernel.name);
        assert!(NAMES.contains(&kernel.name));
    }
    let error = named("abacus").unwrap_err().to_string();
    assert!(
        error.starts_with("there is no kernel \"abacus\"; this machine can run "),
        "{error}"
    );
    assert!(error.ends_with("portable"), "{error}");
    let missing = NAMES
        .into_iter()
        .find(|name| all().iter().all(|kernel| kernel.name != *name));
    let error = named(missing.unwrap()).unwrap_err().to_string();
    assert!(
        error.starts_with("this machine cannot run the kernel "),
        "{error}"
    );
    assert!(all().iter().any(|kernel| kernel.name == best().name));
}

fn range() -> impl Strategy<Value = RangeInclusive<u32>> {
    let start = prop_oneof![Just(0), any::<u32>(), u32::MAX - 200..=u32::MAX, 0..100_u32];
    (start, 0..300_u32).prop_map(|(start, length)| start..=start.saturating_add(length))
}

proptest! {
    /// `PROPTEST_CASES=100000` makes this a long run.
    #[test]
    fn every_kernel_finds_what_the_protocol_accepts(
        bytes: [u8; 32],
        more: [u8; 32],
        last: [u8; 16],
        versions in prop_oneof![Just(1), 1..=VERSIONS_MAX],
        shift in 0..40_usize,
        low: [u8; 32],
        range in range(),
    ) {
        let mut encoded = [0; 80];
        encoded[..32].copy_from_slice(&bytes);
        encoded[32..64].copy_from_slice(&more);
        encoded[64..].copy_from_slice(&last);
        let header = PowHeader::decode(&encoded);
        let target = target(U256::from_le_bytes(low) >> shift);
        let expected: Vec<Hit> = range
            .clone()
            .filter_map(|nonce| naive(&header, versions, target, nonce))
            .collect();
        for kernel in kernels() {
            let found = hits(&kernel, &work(&header, versions, target), range.clone());
            prop_assert_eq!(&found, &expected, "{}", kernel.name);
        }
    }
}
