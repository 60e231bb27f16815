//! A token bucket: how much may come at once, and how much after that. Used by `session`.

/// Counts events against a rate.
#[derive(Clone, Debug)]
pub struct Bucket {
    burst: u64,
    /// Time in which one token comes back.
    token_ms: u64,
    /// What is left, in tokens times `token_ms`.
    level: u64,
    at_ms: u64,
}

impl Bucket {
    /// A full bucket of `burst` tokens, of which one comes back each `token_ms` milliseconds.
    pub fn new(burst: u32, token_ms: u64, now_ms: u64) -> Self {
        let burst = u64::from(burst) * token_ms;
        Self {
            burst,
            token_ms,
            level: burst,
            at_ms: now_ms,
        }
    }

    /// Takes a token, on credit if there is none. Gives the milliseconds until there is one again.
    pub fn take(&mut self, now_ms: u64) -> u64 {
        self.level = self
            .burst
            .min(self.level + now_ms.saturating_sub(self.at_ms));
        self.at_ms = self.at_ms.max(now_ms);
        let missing = self.token_ms.saturating_sub(self.level);
        self.level = self.level.saturating_sub(self.token_ms);
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let mut bucket = Bucket::new(3, 20, 1_000);
        assert_eq!([0; 3].map(|_| bucket.take(1_000)), [0; 3]);
        assert_eq!(bucket.take(1_000), 20);
        assert_eq!(bucket.take(1_015), 5);
        assert_eq!(bucket.take(1_035), 0);
        assert_eq!([0; 4].map(|_| bucket.take(9_000)), [0, 0, 0, 20]);
    }

    #[test]
    fn a_clock_that_stands_or_goes_back_gives_nothing() {
        let mut bucket = Bucket::new(1, 10, 500);
        assert_eq!([500, 400, 500].map(|now| bucket.take(now)), [0, 10, 10]);
    }
}
