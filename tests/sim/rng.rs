//! The simulator's own source of chance: SplitMix64, in whole numbers, equal on every machine.

/// A generator; equal seeds give equal draws.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        let mut rng = Self(seed ^ 0x6c69_676e_756d_5eed);
        rng.next();
        rng
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not zero.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// An index into something of this length.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// A number from `from` to `to`, both included.
    pub fn range(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// True in so many of a thousand cases.
    pub fn chance(&mut self, permille: u64) -> bool {
        self.below(1_000) < permille
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.index(of.len())]
    }

    /// A waiting time of the exponential law with this mean: `-ln(u) · mean`. The logarithm is
    /// that of the leading zeros and a parabola between powers of two, off by less than 1 %.
    pub fn exponential(&mut self, mean: u64) -> u64 {
        const LN_2_16: u128 = 45_426;
        let u = self.next().max(1);
        let zeros = u.leading_zeros();
        let fraction = u128::from((u << zeros) << 1 >> 48);
        let bent = fraction + fraction * (65_536 - fraction) / 65_536 * 22_665 / 65_536;
        let log2_16 = u128::from(zeros + 1) * 65_536 - bent;
        let waiting = u128::from(mean) * log2_16 / 65_536 * LN_2_16 / 65_536;
        u64::try_from(waiting).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::Rng;

    #[test]
    fn exponential_has_its_mean_and_its_memory() {
        let mut rng = Rng::new(1);
        let draws: Vec<_> = (0..20_000).map(|_| rng.exponential(10_000)).collect();
        let mean = draws.iter().sum::<u64>() / draws.len() as u64;
        assert!((9_700..10_300).contains(&mean), "{mean}");
        // One in e waits for longer than the mean.
        let longer = draws.iter().filter(|draw| **draw > 10_000).count();
        assert!((7_000..7_700).contains(&longer), "{longer}");
    }
}
