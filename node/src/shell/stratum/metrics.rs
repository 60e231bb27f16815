//! Counters of the Stratum server, beside those of the node.

use miner::stratum::Refusal;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

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

    /// Counts a share worth so many hashes.
    pub fn accepted(&self, hashes: u64) {
        self.hashes.inc_by(hashes);
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
