//! A connection's share difficulty, moved until its shares come at the wanted pace.
//!
//! After some shares or some time the pace is compared with [`SHARE_INTERVAL`]; where it is off by
//! two or more, the difficulty moves by as many doublings. So it follows hash rates from a single
//! processor to a hall of machines within seconds upwards and minutes downwards, and rests else.

use super::difficulty::Difficulty;
use crate::limits::{RETARGET_INTERVAL, RETARGET_SHARES, SHARE_INTERVAL};

/// Doublings downwards after a look that found no share at all.
const SILENT_STEP: i32 = 4;
/// Doublings of one look, at most: a first burst of shares says little about what follows.
const STEP_MAX: i32 = 16;

/// The pace of a connection's shares.
#[derive(Clone, Debug)]
pub struct Vardiff {
    difficulty: Difficulty,
    /// When the last look was.
    since_ms: u64,
    /// Shares accepted since then.
    shares: u32,
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Vardiff {
    /// Begins with a difficulty.
    pub fn new(difficulty: Difficulty, now_ms: u64) -> Self {
        Self {
            difficulty,
            since_ms: now_ms,
            shares: 0,
        }
    }

    /// The difficulty that is right as far as is known.
    pub fn difficulty(&self) -> Difficulty {
        self.difficulty
    }

    /// Counts an accepted share.
    pub fn count(&mut self) {
        self.shares = self.shares.saturating_add(1);
    }

    /// Compares the pace with what is wanted, if it is time. `max` is the difficulty of blocks.
    pub fn look(&mut self, now_ms: u64, max: Difficulty) {
        let elapsed_ms = now_ms.saturating_sub(self.since_ms);
        if self.shares < RETARGET_SHARES && elapsed_ms < millis(RETARGET_INTERVAL) {
            return;
        }
        let step = step(elapsed_ms.max(1), self.shares);
        let moved = self.difficulty.moved(step).min(max);
        *self = Self::new(moved, now_ms);
    }
}

/// Doublings by which so many shares in this time are too many; negative where they are too few.
fn step(elapsed_ms: u64, shares: u32) -> i32 {
    let due_ms = u64::from(shares).saturating_mul(millis(SHARE_INTERVAL));
    if due_ms == 0 {
        return -SILENT_STEP;
    }
    let log2 = |ratio: u64| i32::try_from(ratio.max(1).ilog2()).unwrap_or(STEP_MAX);
    if due_ms >= elapsed_ms {
        log2(due_ms / elapsed_ms).min(STEP_MAX)
    } else {
        -log2(elapsed_ms / due_ms).min(STEP_MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_pace_decides_and_twice_the_pace_is_one_doubling() {
        let first = Difficulty::at_most(1.0).unwrap();
        for (elapsed_ms, shares, doublings) in [
            (80_000, 16, 0),
            (41_000, 16, 0),
            (40_000, 16, 1),
            (10_000, 16, 3),
            (0, 16, 16),
            (60_000, 7, 0),
            (60_000, 6, -1),
            (60_000, 1, -3),
            (60_000, 0, -4),
        ] {
            let mut vardiff = Vardiff::new(first, 1_000);
            (0..shares).for_each(|_| vardiff.count());
            vardiff.look(1_000 + elapsed_ms, Difficulty::MAX);
            let want = first.moved(doublings);
            assert_eq!(vardiff.difficulty(), want, "{shares} in {elapsed_ms} ms");
        }
    }

    #[test]
    fn nothing_moves_before_it_is_time() {
        let mut vardiff = Vardiff::new(Difficulty::FIRST, 0);
        (0..15).for_each(|_| vardiff.count());
        vardiff.look(59_999, Difficulty::MAX);
        assert_eq!(vardiff.difficulty(), Difficulty::FIRST);
        vardiff.count();
        vardiff.look(59_999, Difficulty::FIRST.moved(-3));
        assert_eq!(vardiff.difficulty(), Difficulty::FIRST.moved(-3));
    }

    /// Random numbers in (0, 1], by splitmix64.
    fn uniform(state: &mut u64) -> f64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64 + f64::MIN_POSITIVE
    }

    /// Mines with a constant hash rate from `from_ms` to `to_ms`; gives the number of shares.
    fn mine(vardiff: &mut Vardiff, rate: f64, seed: &mut u64, from_ms: u64, to_ms: u64) -> u32 {
        let (mut now, mut shares) = (from_ms as f64, 0);
        loop {
            let mean_ms = vardiff.difficulty().hashes() as f64 / rate * 1_000.0;
            let gap = -uniform(seed).ln() * mean_ms;
            // The shell looks each five seconds, whether there are shares or not.
            if gap > 5_000.0 {
                now += 5_000.0;
            } else {
                now += gap;
                vardiff.count();
                shares += 1;
            }
            if now >= to_ms as f64 {
                return shares;
            }
            vardiff.look(now as u64, Difficulty::MAX);
        }
    }

    proptest! {
        /// Threat N2: whatever the hash rate, shares soon come at the wanted pace.
        #[test]
        fn shares_come_at_the_wanted_pace(log2_rate in 0.0_f64..60.0, mut seed: u64) {
            let mut vardiff = Vardiff::new(Difficulty::FIRST, 0);
            let rate = log2_rate.exp2();
            let to_find = mine(&mut vardiff, rate, &mut seed, 0, 600_000);
            // 120 would be the pace; the rest came before the difficulty had risen.
            prop_assert!(to_find < 500, "{to_find} shares until the pace was found");
            let hour = mine(&mut vardiff, rate, &mut seed, 600_000, 4_200_000);
            // 720 would be the pace; doublings leave a factor of 2, less than a hash a second none.
            prop_assert!((300..1_440).contains(&hour), "{hour} shares in an hour");
        }

        /// A machine that comes or goes behind one connection is followed.
        #[test]
        fn jumps_of_the_hash_rate_are_followed(log2_rate in 20.0_f64..50.0, up: bool, mut seed: u64) {
            let mut vardiff = Vardiff::new(Difficulty::FIRST, 0);
            mine(&mut vardiff, log2_rate.exp2(), &mut seed, 0, 600_000);
            let factor = if up { 1_000.0 } else { 0.001 };
            let rate = log2_rate.exp2() * factor;
            mine(&mut vardiff, rate, &mut seed, 600_000, 1_200_000);
            let hour = mine(&mut vardiff, rate, &mut seed, 1_200_000, 4_800_000);
            prop_assert!((300..1_440).contains(&hour), "{hour} shares in an hour");
        }
    }
}
