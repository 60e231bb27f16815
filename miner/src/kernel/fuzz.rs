//! The fuzz target of the kernels: anything that a kernel can be given, against the standard.
//!
//! More than headers can be: any state before the second block, versions whose states have nothing to
//! do with each other, targets that some hash of the range just meets or just misses. What is expected
//! is computed here word by word as FIPS 180-4 has it, and shares no code with the kernels but a
//! round. `PROPTEST_CASES=100000` makes it a long run, as `.ci/long` does.

use std::sync::LazyLock;

use chain::{Target, U256};
use proptest::prelude::*;

use super::{
    sha256::{INITIAL, K, round, small0, small1},
    tests::{hits, kernels},
    *,
};

/// Those that this machine can run; which it cannot is said once.
static KERNELS: LazyLock<Vec<Kernel>> = LazyLock::new(kernels);

/// What a kernel searches.
#[derive(Clone, Debug)]
struct Case {
    states: Vec<[u32; 8]>,
    head: [u32; 3],
    range: RangeInclusive<u32>,
    aim: Aim,
}

/// Where the target is.
#[derive(Clone, Debug)]
enum Aim {
    /// At a number with so many leading zeros.
    Number([u8; 32], usize),
    /// So far from the hash of a nonce and a version of the case, counted around.
    Hash(u32, usize, i8),
}

/// A block compressed into a state, by the words of the standard.
fn compressed(state: [u32; 8], block: [u32; 16]) -> [u32; 8] {
    let mut schedule = block.to_vec();
    for at in 16..64 {
        let terms = [
            small1(schedule[at - 2]),
            schedule[at - 7],
            small0(schedule[at - 15]),
            schedule[at - 16],
        ];
        schedule.push(terms.into_iter().fold(0, u32::wrapping_add));
    }
    let rounds = K.into_iter().zip(schedule);
    let end = rounds.fold(state, |state, (constant, word)| {
        round(state, constant.wrapping_add(word))
    });
    std::array::from_fn(|at| state[at].wrapping_add(end[at]))
}

impl Case {
    /// The hash as a number.
    fn hash(&self, version: usize, nonce: u32) -> U256 {
        let mut block = [0; 16];
        block[..3].copy_from_slice(&self.head);
        block[3] = nonce.swap_bytes();
        (block[4], block[15]) = (0x8000_0000, 640);
        let inner = compressed(self.states[version], block);
        let mut block = [0; 16];
        block[..8].copy_from_slice(&inner);
        (block[8], block[15]) = (0x8000_0000, 256);
        let bytes = compressed(INITIAL, block).map(u32::to_be_bytes);
        U256::from_le_slice(bytes.as_flattened())
    }

    fn target(&self) -> U256 {
        let number = match self.aim {
            Aim::Number(bytes, zeros) => U256::from_le_bytes(bytes) >> zeros,
            Aim::Hash(nonce, version, off) => {
                let (first, last) = (*self.range.start(), *self.range.end());
                let nonce = first + nonce % (last - first + 1);
                let hash = self.hash(version % self.states.len(), nonce);
                let off_by = U256::from(off.unsigned_abs());
                if off < 0 {
                    hash.wrapping_sub(off_by)
                } else {
                    hash.wrapping_add(off_by)
                }
            }
        };
        number.max(U256::from(1))
    }

    /// What every kernel should find.
    fn expected(&self, target: U256) -> Vec<Hit> {
        let found = self.range.clone().filter_map(|nonce| {
            let meets = |&version: &usize| self.hash(version, nonce) <= target;
            let met = (0..self.states.len()).filter(meets);
            let versions = met.map(|version| 1 << version).sum();
            (versions != 0).then_some(Hit { nonce, versions })
        });
        found.collect()
    }
}

fn case() -> impl Strategy<Value = Case> {
    let versions = prop_oneof![Just(1), 1..=VERSIONS_MAX as usize];
    // Words of the same bits throughout are where carries begin and end.
    let word = prop_oneof![8 => any::<u32>(), 1 => Just(0), 1 => Just(u32::MAX)];
    let states = versions.prop_flat_map({
        let word = word.clone();
        move |count| prop::collection::vec(prop::array::uniform8(word.clone()), count)
    });
    let start = prop_oneof![
        any::<u32>(),
        0..100_u32,
        u32::MAX - 100..=u32::MAX,
        // Around the carry of the nonce's lowest byte, which is the highest of its word.
        (any::<u32>(), 0..80_u32).prop_map(|(high, low)| (high << 8).wrapping_sub(low)),
    ];
    let range = (start, 0..80_u32).prop_map(|(start, length)| start..=start.saturating_add(length));
    let aim = prop_oneof![
        (any::<[u8; 32]>(), 0..40_usize).prop_map(|(bytes, zeros)| Aim::Number(bytes, zeros)),
        (any::<[u8; 32]>(), 0..256_usize).prop_map(|(bytes, zeros)| Aim::Number(bytes, zeros)),
        (any::<u32>(), any::<usize>(), -1..=1_i8)
            .prop_map(|(nonce, version, off)| Aim::Hash(nonce, version, off)),
    ];
    let head = prop::array::uniform3(word);
    (states, head, range, aim).prop_map(|(states, head, range, aim)| Case {
        states,
        head,
        range,
        aim,
    })
}

proptest! {
    #[test]
    fn every_kernel_finds_what_the_standard_says_whatever_it_is_given(case in case()) {
        let target = case.target();
        let expected = case.expected(target);
        let target = Target::new(target).expect("it is not zero");
        let work = Work::after(&case.states, case.head, target);
        for kernel in &*KERNELS {
            let found = hits(kernel, &work, case.range.clone());
            prop_assert_eq!(&found, &expected, "{}", kernel.name);
        }
    }
}
