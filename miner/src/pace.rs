//! When a throttled thread works and when it sleeps.
//!
//! Each thread keeps its account of work not yet rested for from one search to the next, so that
//! its share of time is right also where searches are shorter than a cycle, as they are while
//! templates change quickly. Called by `search`.

use std::{
    thread,
    time::{Duration, Instant},
};

/// One period of working and sleeping.
const CYCLE: Duration = Duration::from_millis(20);
/// The longest sleep without a look at whether the search is over.
const NAP: Duration = Duration::from_millis(4);

/// One thread's account.
#[derive(Debug)]
pub(crate) struct Pace {
    percent: u32,
    /// Work not yet rested for.
    debt: Duration,
    /// Up to when the account is kept.
    at: Instant,
}

impl Pace {
    /// An account without debt; `percent` is 1 to 100.
    pub fn new(percent: u8, now: Instant) -> Self {
        Self {
            percent: u32::from(percent),
            debt: Duration::ZERO,
            at: now,
        }
    }

    /// The time since the last entry was work.
    pub fn worked(&mut self, now: Instant) {
        self.debt += now.saturating_duration_since(self.at);
        self.at = now;
    }

    /// The time since the last entry was rest. Rest cannot be saved up.
    pub fn rested(&mut self, now: Instant) {
        let rest = now.saturating_duration_since(self.at);
        self.at = now;
        self.debt = match 100 - self.percent {
            0 => Duration::ZERO,
            idle_percent => self.debt.saturating_sub(rest * self.percent / idle_percent),
        };
    }

    /// How long to rest, once a cycle's share of work is done.
    fn rest_due(&self) -> Option<Duration> {
        let is_due = self.percent < 100 && self.debt >= CYCLE * self.percent / 100;
        is_due.then(|| self.debt * (100 - self.percent) / self.percent)
    }

    /// Sleeps for the rest that is due, if any, but not beyond the end of the search.
    pub fn rest(&mut self, is_over: impl Fn() -> bool) {
        let Some(rest) = self.rest_due() else {
            return;
        };
        let wake = self.at + rest;
        while !is_over() {
            let left = wake.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            thread::sleep(left.min(NAP));
        }
        self.rested(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Works and rests as told for about a second; gives the milliseconds of work.
    fn work_in(percent: u8, search: Duration) -> u32 {
        let start = Instant::now();
        let mut now = start;
        let mut pace = Pace::new(percent, now);
        let mut worked = 0;
        while now < start + MS * 1_000 {
            // A search that ends before the rest is over: the next one owes what is left of it.
            let end = now + search;
            while now < end {
                if let Some(rest) = pace.rest_due() {
                    now = (now + rest).min(end);
                    pace.rested(now);
                } else {
                    now += MS;
                    worked += 1;
                    pace.worked(now);
                }
            }
        }
        worked
    }

    #[test]
    fn the_share_of_work_is_right_however_short_the_searches_are() {
        for search in [3 * MS, 20 * MS, 1_000 * MS] {
            for percent in [10, 30, 50, 90] {
                let worked = work_in(percent, search);
                let want = u32::from(percent) * 10;
                assert!(worked.abs_diff(want) <= 40, "{percent} %: {worked} ms");
            }
            assert!(work_in(100, search) >= 1_000);
        }
    }

    #[test]
    fn idle_time_pays_a_debt_but_gives_no_credit() {
        let mut now = Instant::now();
        let mut pace = Pace::new(50, now);
        now += 30 * MS;
        pace.worked(now);
        assert_eq!(pace.rest_due(), Some(30 * MS));
        now += 10 * MS;
        pace.rested(now);
        assert_eq!(pace.rest_due(), Some(20 * MS));
        now += 1_000 * MS;
        pace.rested(now);
        assert_eq!(pace.rest_due(), None);
        now += 10 * MS;
        pace.worked(now);
        assert_eq!(pace.rest_due(), Some(10 * MS));
    }
}
