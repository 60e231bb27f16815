//! The two clocks the core is told: the wall clock for rule H5, a monotonic one for time-outs.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use chain::Time;

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
