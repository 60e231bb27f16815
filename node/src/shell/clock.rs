//! The two clocks the core is told: the wall clock for rule H5, a monotonic one for time-outs.
//!
//! A clock that is wrong makes our blocks early for others, or theirs for us. Peers never set it
//! (threat P13): an operator is told, and does.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use chain::Time;

/// A wall clock that runs this many seconds ahead of the monotonic one, or behind, has jumped.
const JUMP_SECS: u64 = 5;
/// Seconds until a clock that stays wrong is mentioned again.
const REMIND_SECS: u64 = 3_600;

/// Reads both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// The time now. A wall clock before 1970 counts as 1970.
    pub fn now(&self) -> Time {
        let unix = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let monotonic_ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        Time {
            unix_secs: unix.as_secs(),
            monotonic_ms,
        }
    }
}

/// Something about the clock that an operator should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClockWarning {
    /// The machine slept, or somebody set the clock.
    #[error(
        "the clock jumped by {0} s: the machine slept or the clock was set; asking the peers \
         what is new"
    )]
    Jumped(i64),
    /// Peers' clocks differ from ours.
    #[error(
        "the clock is {0} s off the median of the peers: set it (NTP), or blocks of this node come \
         too early for others"
    )]
    Off(i64),
}

/// Compares the clock with itself and with those of the peers.
#[derive(Clone, Copy, Debug)]
pub struct ClockWatch {
    last: Time,
    told_ms: Option<u64>,
}

impl ClockWatch {
    /// Watches from now on.
    pub fn new(now: Time) -> Self {
        Self {
            last: now,
            told_ms: None,
        }
    }

    /// A look, to be repeated every second or so: `ahead` has the seconds by which each peer's clock
    /// is ahead of ours, `off_secs_max` is what still is no trouble.
    pub fn look(&mut self, now: Time, ahead: Vec<i64>, off_secs_max: u64) -> Option<ClockWarning> {
        let last = std::mem::replace(&mut self.last, now);
        let passed = now.monotonic_ms.saturating_sub(last.monotonic_ms) / 1_000;
        let expected = last.unix_secs.saturating_add(passed);
        let jump = now.unix_secs.checked_signed_diff(expected)?;
        if jump.unsigned_abs() > JUMP_SECS {
            return Some(ClockWarning::Jumped(jump));
        }
        let off = median(ahead)?.saturating_neg();
        let is_due = |told_ms: u64| told_ms.saturating_add(REMIND_SECS * 1_000) <= now.monotonic_ms;
        if off.unsigned_abs() <= off_secs_max || !self.told_ms.is_none_or(is_due) {
            return None;
        }
        self.told_ms = Some(now.monotonic_ms);
        Some(ClockWarning::Off(off))
    }
}

/// How far the middle one of the peers' clocks is ahead of ours.
fn median(mut ahead: Vec<i64>) -> Option<i64> {
    ahead.sort_unstable();
    ahead.get(ahead.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(unix_secs: u64, monotonic_secs: u64) -> Time {
        Time {
            unix_secs,
            monotonic_ms: monotonic_secs * 1_000,
        }
    }

    /// Threat X1.
    #[test]
    fn a_jump_is_told_and_the_passing_of_time_is_not() {
        let mut watch = ClockWatch::new(time(1_000, 0));
        assert_eq!(watch.look(time(1_100, 100), vec![], 10), None);
        let woken = watch.look(time(9_101, 101), vec![], 10);
        assert_eq!(woken, Some(ClockWarning::Jumped(8_000)));
        assert_eq!(watch.look(time(9_102, 102), vec![], 10), None);
        let set_back = watch.look(time(9_002, 103), vec![], 10);
        assert_eq!(set_back, Some(ClockWarning::Jumped(-101)));
    }

    /// Threat P13: peers are believed enough for a warning, and no single one is.
    #[test]
    fn the_median_of_the_peers_is_what_counts() {
        let mut watch = ClockWatch::new(time(1_000, 0));
        assert_eq!(watch.look(time(1_001, 1), vec![500, 0, -1], 10), None);
        let off = watch.look(time(1_002, 2), vec![-500, -12, -11], 10);
        assert_eq!(off, Some(ClockWarning::Off(12)));
        assert_eq!(watch.look(time(1_003, 3), vec![-12], 10), None, "told");
        let later = watch.look(time(5_003, 4_003), vec![11], 10);
        assert_eq!(later, Some(ClockWarning::Off(-11)));
    }
}
