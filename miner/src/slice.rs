//! How much a thread hashes between two looks at whether its search is over.
//!
//! A slice is cut to [`SLICE`] at the rate that the slice before was measured at, whatever the
//! processor and the kernel are. So a new job is noticed in the time of a slice, also where hashing is
//! slow, and a fast kernel looks up no more often than it has to. Called by `search`.

use std::time::Duration;

/// How long a slice takes, if it goes as fast as the one before. A search is to end within 5 ms of
/// a new job: more than half of that is left for waking the thread that waits for its end.
pub(crate) const SLICE: Duration = Duration::from_millis(2);

/// Hashes in the first slice, of which nothing is known: one group of the widest kernel, which takes
/// the slowest core we know of, with 0.2 million hashes a second, 3 ms.
const FIRST_HASHES: u64 = 512;

/// The length of one thread's slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slices {
    hashes: u64,
}

impl Slices {
    /// Nothing has been measured yet.
    pub fn new() -> Self {
        Self {
            hashes: FIRST_HASHES,
        }
    }

    /// Nonces of the next slice, where each stands for so many hashes; at least one.
    pub fn nonces(self, versions: u32) -> u32 {
        let nonces = self.hashes / u64::from(versions.max(1));
        u32::try_from(nonces).unwrap_or(u32::MAX).max(1)
    }

    /// A slice of so many hashes took this long.
    pub fn took(&mut self, hashes: u64, time: Duration) {
        let slice = u128::from(hashes) * SLICE.as_nanos() / time.as_nanos().max(1);
        // A clock that stands still says nothing about the rate: then a slice only doubles.
        let most = hashes.max(FIRST_HASHES).saturating_mul(2);
        self.hashes = u64::try_from(slice).unwrap_or(most).min(most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The time of so many hashes, rounded up.
    fn time(hashes: u64, rate: u64) -> Duration {
        let nanos = (u128::from(hashes) * 1_000_000_000).div_ceil(u128::from(rate));
        Duration::from_nanos(u64::try_from(nanos).unwrap())
    }

    /// From a thousand to a billion hashes a second: after the first slice none is longer than it may
    /// be, and where the rate stays the same, slices come to more than half of it.
    #[test]
    fn a_slice_takes_no_longer_than_it_may_at_any_rate() {
        for versions in [1, 4, 16] {
            for rate in (3..=9).flat_map(|power| [10_u64.pow(power), 37 * 10_u64.pow(power) / 10]) {
                let mut slices = Slices::new();
                let mut last = Duration::ZERO;
                for number in 0..30 {
                    let nonces = slices.nonces(versions);
                    let hashes = u64::from(nonces * versions);
                    last = time(hashes, rate);
                    assert!(
                        number == 0 || last <= SLICE || nonces == 1,
                        "{rate}: {last:?}"
                    );
                    slices.took(hashes, last);
                }
                let is_short = slices.nonces(versions) > 2 && last < SLICE / 2;
                assert!(!is_short, "{rate}, {versions} versions: {last:?}");
            }
        }
    }

    #[test]
    fn a_rate_that_drops_shortens_the_next_slice() {
        let mut slices = Slices::new();
        slices.took(100_000, Duration::from_millis(2));
        assert_eq!(slices.nonces(1), 100_000);
        // The thread had to wait for the processor, or the processor became slower.
        slices.took(100_000, Duration::from_millis(20));
        assert_eq!(slices.nonces(1), 10_000);
        assert_eq!(slices.nonces(16), 625);
        slices.took(10_000, Duration::from_secs(3_600));
        assert_eq!(slices.nonces(1), 1);
    }

    #[test]
    fn a_clock_that_stands_still_does_not_make_a_slice_endless() {
        let mut slices = Slices::new();
        slices.took(512, Duration::ZERO);
        assert_eq!(slices.nonces(1), 1_024);
        slices.took(u64::MAX, Duration::ZERO);
        assert_eq!(slices.nonces(1), u32::MAX);
    }
}
