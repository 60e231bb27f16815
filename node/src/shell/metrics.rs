//! Counters and gauges, in Prometheus's names and base units.

use std::{fmt, sync::Arc};

use api::desk::{Desk, Miners};
use chain::{Batch, Event};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{
        counter::Counter,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
    },
    registry::Registry,
};

use super::{check::SenderCounts, rate::Rate, view::View};
use crate::budget::Budget;

/// Upper ends of the classes of reorgs by the number of blocks undone.
const REORG_DEPTHS: [f64; 7] = [1.0, 2.0, 3.0, 6.0, 12.0, 100.0, 1_000.0];

/// How deep reorgs were.
struct ReorgDepth(Histogram);

impl Default for ReorgDepth {
    fn default() -> Self {
        Self(Histogram::new(REORG_DEPTHS))
    }
}

/// All metrics of a node.
#[derive(Default)]
pub struct Metrics {
    height: Gauge,
    best_header_height: Gauge,
    bodies_under_way: Gauge,
    syncing: Gauge,
    peers: Gauge,
    peers_inbound: Gauge,
    peers_outbound: Gauge,
    pool_transactions: Gauge,
    pool_bytes: Gauge,
    /// 1 while the store can be written to, else 0.
    pub store_writable: Gauge,
    state_bytes: Gauge,
    state_budget_bytes: Gauge,
    executed: Counter,
    invalid: Counter,
    reorgs: Counter,
    deep_reorgs: Counter,
    undone: Counter,
    reorg_depth: ReorgDepth,
    forks: Counter,
    late_rivals: Counter,
    /// Messages of peers that failed a check.
    pub refused: Counter,
    /// Peers disconnected for their faults.
    pub disconnected: Counter,
    /// Messages to the network dropped because its queue was full.
    pub dropped: Counter,
    /// Blocks this node has mined.
    pub mined: Counter,
    /// Blocks this node has mined that did not become part of its chain.
    pub mined_stale: Counter,
    hashes: Counter,
    hash_rate: Rate<500>,
    /// How senders of transactions in blocks were found.
    pub senders: SenderCounts,
}

impl Metrics {
    /// Names every metric in a registry.
    pub fn register(&self, registry: &mut Registry) {
        let lignum = registry.sub_registry_with_prefix("lignum");
        let gauges = [
            ("head_height", "Height of the head", &self.height),
            (
                "best_header_height",
                "Height of the best header not known to be invalid",
                &self.best_header_height,
            ),
            (
                "bodies_under_way",
                "Block bodies asked of peers and not here yet",
                &self.bodies_under_way,
            ),
            (
                "syncing",
                "Whether a better header waits for bodies or execution",
                &self.syncing,
            ),
            ("peers", "Connected peers", &self.peers),
            (
                "peers_inbound",
                "Connected peers that dialled us",
                &self.peers_inbound,
            ),
            (
                "peers_outbound",
                "Connected peers that we dialled",
                &self.peers_outbound,
            ),
            (
                "pool_transactions",
                "Transactions in the pool",
                &self.pool_transactions,
            ),
            ("pool_bytes", "Encoded bytes in the pool", &self.pool_bytes),
            (
                "store_writable",
                "Whether the disk took the last write",
                &self.store_writable,
            ),
            (
                "state_bytes",
                "Memory that the state takes",
                &self.state_bytes,
            ),
            (
                "state_budget_bytes",
                "Memory that the state may take",
                &self.state_budget_bytes,
            ),
        ];
        for (name, help, gauge) in gauges {
            lignum.register(name, help, gauge.clone());
        }
        self.register_counters(lignum);
        lignum.register(
            "reorg_depth_blocks",
            "Blocks undone by a reorg",
            self.reorg_depth.0.clone(),
        );
    }

    fn register_counters(&self, lignum: &mut Registry) {
        let counters = [
            ("blocks_executed", "Blocks executed", &self.executed),
            ("blocks_invalid", "Blocks found invalid", &self.invalid),
            ("reorgs", "Head changes that undid blocks", &self.reorgs),
            (
                "deep_reorgs",
                "Reorgs deeper than the alarm depth",
                &self.deep_reorgs,
            ),
            ("blocks_undone", "Blocks undone by reorgs", &self.undone),
            ("forks", "Branches that have begun", &self.forks),
            (
                "late_rivals",
                "Branches that began below the head",
                &self.late_rivals,
            ),
            (
                "messages_refused",
                "Messages of peers that failed a check",
                &self.refused,
            ),
            (
                "peers_disconnected",
                "Peers disconnected for their faults",
                &self.disconnected,
            ),
            (
                "messages_dropped",
                "Messages dropped for a full queue",
                &self.dropped,
            ),
            ("blocks_mined", "Blocks mined by this node", &self.mined),
            (
                "blocks_mined_stale",
                "Blocks mined by this node's own threads that lost to another",
                &self.mined_stale,
            ),
            ("hashes", "Hashes tried by this node", &self.hashes),
            (
                "senders_known",
                "Transactions in blocks whose sender the pool knew",
                &self.senders.known,
            ),
            (
                "senders_recovered",
                "Transactions in blocks whose sender was recovered",
                &self.senders.recovered,
            ),
        ];
        for (name, help, counter) in counters {
            lignum.register(name, help, counter.clone());
        }
    }

    /// Counts hashes that this node has tried up to now.
    pub fn tried(&self, now_ms: u64, hashes: u64) {
        self.hashes.inc_by(hashes);
        self.hash_rate.add(now_ms, hashes);
    }

    /// Hashes a second of this node's own threads, over the latest half minute.
    pub fn hash_rate(&self, now_ms: u64) -> u64 {
        self.hash_rate.per_sec(now_ms)
    }

    /// Counts what a batch holds.
    pub fn committed(&self, batch: &Batch) {
        self.executed
            .inc_by(u64::try_from(batch.executed.len()).unwrap_or(u64::MAX));
        self.invalid
            .inc_by(u64::try_from(batch.invalid.len()).unwrap_or(u64::MAX));
    }

    /// Shows what the state takes of its budget, in bytes.
    pub fn weighed(&self, used: u64, budget: Budget) {
        let gauge = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.state_bytes.set(gauge(used));
        self.state_budget_bytes.set(gauge(budget.bytes()));
    }

    /// Takes the gauges from a view.
    pub fn published(&self, view: &View) {
        let gauge = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        self.height
            .set(i64::try_from(view.api.head.height).unwrap_or(i64::MAX));
        let (peers, sync) = (&view.api.peer_list, &view.api.sync);
        let inbound = peers.iter().filter(|peer| peer.inbound).count();
        self.peers.set(gauge(peers.len()));
        self.peers_inbound.set(gauge(inbound));
        self.peers_outbound.set(gauge(peers.len() - inbound));
        self.syncing.set(i64::from(sync.is_syncing));
        self.bodies_under_way.set(gauge(sync.bodies_under_way));
        let height = i64::try_from(sync.best_header.height);
        self.best_header_height.set(height.unwrap_or(i64::MAX));
        self.pool_transactions.set(gauge(view.api.pool.len()));
        self.pool_bytes.set(gauge(view.api.pool.bytes()));
    }

    /// Counts an event.
    pub fn event(&self, event: &Event) {
        match event {
            Event::Head { undone, .. } if !undone.is_empty() => {
                let depth = u32::try_from(undone.len()).unwrap_or(u32::MAX);
                self.reorgs.inc();
                self.undone.inc_by(depth.into());
                self.reorg_depth.0.observe(depth.into());
            }
            Event::Fork { behind, .. } => {
                self.forks.inc();
                if *behind > 0 {
                    self.late_rivals.inc();
                }
            }
            Event::DeepReorg { .. } => drop(self.deep_reorgs.inc()),
            _ => {}
        }
    }
}

/// Hash rates at the moment they are asked for.
struct HashRates(Arc<dyn Fn() -> Miners + Send + Sync>);

impl fmt::Debug for HashRates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashRates").finish_non_exhaustive()
    }
}

impl Collector for HashRates {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let miners = (self.0)();
        let outside = miners.stratum.map_or(0, |stratum| stratum.hash_rate);
        let rates = [
            (
                "hash_rate",
                "Hashes a second of this node's own threads, over half a minute",
                miners.hash_rate,
            ),
            (
                "stratum_hash_rate",
                "Hashes a second that miners' shares stand for, over ten minutes",
                outside,
            ),
        ];
        for (name, help, rate) in rates {
            let gauge = ConstGauge::new(rate);
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        Ok(())
    }
}

/// Names the gauges of hash rates.
pub fn register_hash_rates(registry: &mut Registry, miners: Arc<dyn Fn() -> Miners + Send + Sync>) {
    let lignum = registry.sub_registry_with_prefix("lignum");
    lignum.register_collector(Box::new(HashRates(miners)));
}

/// Names the counters of blocks that other miners bring.
pub fn register_desk(registry: &mut Registry, desk: &Desk) {
    let lignum = registry.sub_registry_with_prefix("lignum");
    let counters = [
        (
            "submitted_accepted",
            "Blocks of other miners that became the head",
            &desk.accepted,
        ),
        (
            "submitted_stale",
            "Blocks of other miners that came too late or lost to another",
            &desk.stale,
        ),
    ];
    for (name, help, counter) in counters {
        lignum.register(name, help, counter.clone());
    }
}

/// Names the gauge of open event streams in a registry.
pub fn register_streams(registry: &mut Registry, streams: &Gauge) {
    let lignum = registry.sub_registry_with_prefix("lignum");
    lignum.register(
        "event_streams",
        "Event streams that are open",
        streams.clone(),
    );
}

#[cfg(test)]
mod tests {
    use chain::BlockId;

    use super::*;

    #[test]
    fn hash_rates_are_told_as_they_are_when_asked() {
        let mut registry = Registry::default();
        let miners = Miners {
            hash_rate: 25_000_000,
            stratum: Some(api::desk::StratumMiners {
                hash_rate: 7,
                ..Default::default()
            }),
        };
        register_hash_rates(&mut registry, Arc::new(move || miners));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains("\nlignum_hash_rate 25000000\n"), "{text}");
        assert!(text.contains("\nlignum_stratum_hash_rate 7\n"), "{text}");
    }

    #[test]
    fn reorgs_and_rivals_are_counted_by_depth() {
        let (metrics, mut registry) = (Metrics::default(), Registry::default());
        metrics.register(&mut registry);
        let head = |depth: usize| Event::Head {
            old: BlockId::default(),
            new: BlockId::default(),
            undone: Arc::new(vec![BlockId::default(); depth]),
            redone: Arc::new(vec![BlockId::default()]),
        };
        let fork = |behind| Event::Fork {
            block: BlockId::default(),
            rival: BlockId::default(),
            behind,
        };
        let events = [head(0), head(1), head(4), head(2_000), fork(0), fork(3)];
        events.iter().for_each(|event| metrics.event(event));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "lignum_reorgs_total 3",
            "lignum_blocks_undone_total 2005",
            "lignum_reorg_depth_blocks_bucket{le=\"1.0\"} 1",
            "lignum_reorg_depth_blocks_bucket{le=\"6.0\"} 2",
            "lignum_reorg_depth_blocks_bucket{le=\"1000.0\"} 2",
            "lignum_reorg_depth_blocks_bucket{le=\"+Inf\"} 3",
            "lignum_forks_total 2",
            "lignum_late_rivals_total 1",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }
}
