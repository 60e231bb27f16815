//! Counters of the Stratum server, beside those of the node.

use api::desk::StratumMiners;
use miner::stratum::Refusal;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::shell::rate::Rate;

/// What became of a share.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Fate {
    result: &'static str,
}

/// All metrics of the Stratum server.
#[derive(Default)]
pub struct StratumMetrics {
    /// Open connections.
    pub connections: Gauge,
    /// Connections closed at once since there are too many.
    pub turned_away: Counter,
    /// Connections closed for what their miners did or left undone.
    pub closed: Counter,
    /// Jobs made, for all beneficiaries.
    pub jobs: Counter,
    /// Blocks that miners found and the core was given.
    pub blocks: Counter,
    /// Hashes that the accepted shares stand for, in the mean.
    pub hashes: Counter,
    /// The same over the latest ten minutes: shares are few, and each is a stroke of luck.
    rate: Rate<10_000>,
    shares: Family<Fate, Counter>,
}

impl StratumMetrics {
    /// Names every metric in a registry.
    pub fn register(&self, registry: &mut Registry) {
        let stratum = registry.sub_registry_with_prefix("lignum_stratum");
        stratum.register(
            "connections",
            "Open connections of miners",
            self.connections.clone(),
        );
        let counters = [
            (
                "turned_away",
                "Connections closed since there are too many",
                &self.turned_away,
            ),
            (
                "closed",
                "Connections closed for silence, slowness or faults",
                &self.closed,
            ),
            ("jobs", "Jobs made", &self.jobs),
            ("blocks", "Blocks found by miners", &self.blocks),
            (
                "hashes",
                "Hashes that the accepted shares stand for",
                &self.hashes,
            ),
        ];
        for (name, help, counter) in counters {
            stratum.register(name, help, counter.clone());
        }
        stratum.register("shares", "Shares by their result", self.shares.clone());
    }

    /// What a status tells.
    pub fn reading(&self, now_ms: u64) -> StratumMiners {
        let count = |result| self.shares.get_or_create(&Fate { result }).get();
        StratumMiners {
            connections: u64::try_from(self.connections.get()).unwrap_or(0),
            hash_rate: self.rate.per_sec(now_ms),
            accepted: count("accepted"),
            stale: count("stale"),
            duplicate: count("duplicate"),
            refused: count("invalid") + count("low_difficulty") + count("unauthorized"),
            blocks: self.blocks.get(),
        }
    }

    /// Counts a share worth so many hashes.
    pub fn accepted(&self, hashes: u64, now_ms: u64) {
        self.hashes.inc_by(hashes);
        self.rate.add(now_ms, hashes);
        self.count("accepted");
    }

    /// Counts a share that was refused.
    pub fn refused(&self, refusal: &Refusal) {
        self.count(match refusal {
            Refusal::Other(_) => "invalid",
            Refusal::Stale(_) => "stale",
            Refusal::Duplicate => "duplicate",
            Refusal::LowDifficulty(_) => "low_difficulty",
            Refusal::Unauthorized(_) | Refusal::NotSubscribed => "unauthorized",
        });
    }

    fn count(&self, result: &'static str) {
        self.shares.get_or_create(&Fate { result }).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_tells_shares_by_their_fate_and_the_rate_they_stand_for() {
        let metrics = StratumMetrics::default();
        metrics.connections.inc();
        metrics.accepted(1_000, 0);
        metrics.accepted(1_000, 50_000);
        metrics.accepted(1_000, 100_000);
        metrics.refused(&Refusal::Duplicate);
        metrics.refused(&Refusal::NotSubscribed);
        metrics.refused(&Refusal::NotSubscribed);
        metrics.blocks.inc();
        let expected = StratumMiners {
            connections: 1,
            hash_rate: 20,
            accepted: 3,
            stale: 0,
            duplicate: 1,
            refused: 2,
            blocks: 1,
        };
        assert_eq!(metrics.reading(100_000), expected);
    }
}
