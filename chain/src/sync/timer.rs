//! How long a peer may owe us an answer: two seconds at first, twice as long after each stall,
//! less again as answers come in time (threat P2).

use crate::{
    effect::Time,
    params::{PATIENCE_MAX_MS, PATIENCE_MIN_MS},
};

/// A peer's timer for requests of one kind. It runs while something is owed, and begins anew with
/// each answer: a peer stalls that gives nothing, not one that has much to give.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timer {
    patience_ms: u64,
    since_ms: Option<u64>,
}

impl Timer {
    pub(super) const fn new() -> Self {
        Self {
            patience_ms: PATIENCE_MIN_MS,
            since_ms: None,
        }
    }

    /// Something is owed from now on, if nothing was.
    pub(super) fn start(&mut self, now: Time) {
        self.since_ms.get_or_insert(now.monotonic_ms);
    }

    /// An answer came: the patience shrinks towards twice the time that it took.
    pub(super) fn answered(&mut self, now: Time) {
        if let Some(since_ms) = self.since_ms.take() {
            let took_ms = now.monotonic_ms.saturating_sub(since_ms);
            let less = self.patience_ms - self.patience_ms / 8;
            let patience_ms = less.max(took_ms.saturating_mul(2));
            self.patience_ms = patience_ms.clamp(PATIENCE_MIN_MS, PATIENCE_MAX_MS);
        }
    }

    /// Nothing is owed any more, for no merit or fault of the peer's.
    pub(super) fn stop(&mut self) {
        self.since_ms = None;
    }

    /// What was owed for longest is owed no more; what is left was asked for at this time.
    pub(super) fn not_before(&mut self, ms: u64) {
        self.since_ms = self.since_ms.map(|since_ms| since_ms.max(ms));
    }

    /// No answer came.
    pub(super) fn stalled(&mut self) {
        self.since_ms = None;
        self.patience_ms = (self.patience_ms * 2).min(PATIENCE_MAX_MS);
    }

    /// Threat X1: we were asleep or busy for so long, and that does not count.
    pub(super) fn extend(&mut self, ms: u64, now: Time) {
        let later = |since_ms: u64| since_ms.saturating_add(ms).min(now.monotonic_ms);
        self.since_ms = self.since_ms.map(later);
    }

    /// Whether something is owed.
    pub(super) fn runs(&self) -> bool {
        self.since_ms.is_some()
    }

    /// Whether something is owed for too long.
    pub(super) fn is_over(&self, now: Time) -> bool {
        let end = |since_ms: u64| since_ms.saturating_add(self.patience_ms);
        self.since_ms
            .is_some_and(|since_ms| end(since_ms) <= now.monotonic_ms)
    }

    /// How slow the peer is: 0 for the quickest, one more for each doubling of the patience.
    pub(super) fn slowness(&self) -> u32 {
        (self.patience_ms / PATIENCE_MIN_MS).max(1).ilog2()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(monotonic_ms: u64) -> Time {
        Time {
            unix_secs: 0,
            monotonic_ms,
        }
    }

    #[test]
    fn p2_patience_doubles_up_to_64_seconds() {
        let mut timer = Timer::new();
        for (round, want) in [2, 4, 8, 16, 32, 64, 64].into_iter().enumerate() {
            timer.start(at(0));
            assert!(!timer.is_over(at(want * 1_000 - 1)), "round {round}");
            assert!(timer.is_over(at(want * 1_000)), "round {round}");
            timer.stalled();
            assert!(!timer.runs());
        }
        assert_eq!(timer.slowness(), 5);
    }

    #[test]
    fn p2_patience_settles_at_twice_the_time_of_an_answer() {
        let mut timer = Timer::new();
        timer.stalled();
        timer.stalled();
        for _ in 0..40 {
            timer.start(at(0));
            timer.answered(at(5_000));
        }
        assert_eq!(timer.patience_ms, 10_000);
        for _ in 0..40 {
            timer.start(at(0));
            timer.answered(at(10));
        }
        assert_eq!(timer.patience_ms, PATIENCE_MIN_MS);
    }

    #[test]
    fn x1_sleep_does_not_count() {
        let mut timer = Timer::new();
        timer.extend(50, at(50));
        assert!(!timer.runs());
        timer.start(at(0));
        timer.extend(99_000, at(100_000));
        assert!(!timer.is_over(at(100_999)));
        assert!(timer.is_over(at(101_000)));
        timer.extend(99_000, at(100_000));
        assert!(!timer.is_over(at(101_999)), "from now at the latest");
    }
}
