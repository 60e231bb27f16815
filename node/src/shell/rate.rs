//! How fast something is done, over the latest while: hashes a second for people and gauges.
//!
//! Counts come late, each after the work it stands for. So the first one after a silence only begins
//! the window, and the rate is what came after it by the time since. Used by the metrics.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

/// Cells of a window.
const CELLS: u64 = 60;

/// A rate over the latest 60 cells of so many milliseconds.
#[derive(Debug, Default)]
pub struct Rate<const CELL_MS: u64>(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    /// Cells that something was counted in, by number, at most [`CELLS`].
    cells: VecDeque<(u64, u64)>,
    /// When the first count came.
    since_ms: Option<u64>,
}

impl<const CELL_MS: u64> Rate<CELL_MS> {
    /// Counts what was done up to now.
    pub fn add(&self, now_ms: u64, count: u64) {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cell = now_ms / CELL_MS;
        window.forget_before(cell);
        match (window.since_ms, window.cells.back_mut()) {
            (None, _) => {
                window.since_ms = Some(now_ms);
                window.cells.push_back((cell, 0));
            }
            (Some(_), Some((last, sum))) if *last >= cell => *sum = sum.saturating_add(count),
            (Some(_), _) => window.cells.push_back((cell, count)),
        }
    }

    /// What was done each second, of late.
    pub fn per_sec(&self, now_ms: u64) -> u64 {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        window.forget_before(now_ms / CELL_MS);
        let Some(since_ms) = window.since_ms else {
            return 0;
        };
        let span = now_ms
            .saturating_sub(since_ms)
            .clamp(CELL_MS, CELLS * CELL_MS);
        let sum: u128 = window.cells.iter().map(|(_, sum)| u128::from(*sum)).sum();
        u64::try_from(sum * 1_000 / u128::from(span)).unwrap_or(u64::MAX)
    }
}

impl Window {
    /// Forgets what left the window; after a silence that is everything.
    fn forget_before(&mut self, cell: u64) {
        while let Some((first, _)) = self.cells.front()
            && first + CELLS <= cell
        {
            self.cells.pop_front();
        }
        if self.cells.is_empty() {
            self.since_ms = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_is_told_from_the_second_count_on() {
        let rate = Rate::<1_000>::default();
        assert_eq!(rate.per_sec(5_000), 0);
        for step in 1..=600_u64 {
            let now_ms = 5_000 + step * 500;
            rate.add(now_ms, 2_000);
            let told = rate.per_sec(now_ms);
            let is_right = if step < 3 {
                told <= 4_000
            } else {
                told.abs_diff(4_000) <= 70
            };
            assert!(is_right, "{told} at step {step}");
        }
    }

    #[test]
    fn a_rate_falls_when_nothing_comes_and_a_silence_ends_it() {
        let rate = Rate::<1_000>::default();
        rate.add(0, 7);
        rate.add(10_000, 100_000);
        assert_eq!(rate.per_sec(10_000), 10_000);
        assert_eq!(rate.per_sec(20_000), 5_000);
        assert_eq!(rate.per_sec(69_999), 1_666);
        assert_eq!(rate.per_sec(70_000), 0);
        // Whoever comes now is not measured by the time before.
        rate.add(100_000, 9);
        rate.add(101_000, 3_000);
        assert_eq!(rate.per_sec(102_000), 1_500);
    }

    #[test]
    fn a_clock_that_stands_or_goes_back_breaks_nothing() {
        let rate = Rate::<1_000>::default();
        rate.add(5_000, 1);
        rate.add(5_000, u64::MAX);
        rate.add(5_000, u64::MAX);
        rate.add(1_000, 1);
        assert_eq!(rate.per_sec(1_000), u64::MAX);
    }
}
