//! Counters and gauges, in Prometheus's names and base units.

use chain::{Batch, Event};
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

use super::view::View;

/// All metrics of a node.
#[derive(Default)]
pub struct Metrics {
    height: Gauge,
    peers: Gauge,
    pool_transactions: Gauge,
    pool_bytes: Gauge,
    executed: Counter,
    invalid: Counter,
    reorgs: Counter,
    deep_reorgs: Counter,
    /// Messages to the network dropped because its queue was full.
    pub dropped: Counter,
    /// Blocks this node has mined.
    pub mined: Counter,
    /// Hashes this node has tried.
    pub hashes: Counter,
}

impl Metrics {
    /// Names every metric in a registry.
    pub fn register(&self, registry: &mut Registry) {
        let lignum = registry.sub_registry_with_prefix("lignum");
        let gauges = [
            ("head_height", "Height of the head", &self.height),
            ("peers", "Connected peers", &self.peers),
            (
                "pool_transactions",
                "Transactions in the pool",
                &self.pool_transactions,
            ),
            ("pool_bytes", "Encoded bytes in the pool", &self.pool_bytes),
        ];
        for (name, help, gauge) in gauges {
            lignum.register(name, help, gauge.clone());
        }
        let counters = [
            ("blocks_executed", "Blocks executed", &self.executed),
            ("blocks_invalid", "Blocks found invalid", &self.invalid),
            ("reorgs", "Head changes that undid blocks", &self.reorgs),
            (
                "deep_reorgs",
                "Reorgs deeper than the alarm depth",
                &self.deep_reorgs,
            ),
            (
                "messages_dropped",
                "Messages dropped for a full queue",
                &self.dropped,
            ),
            ("blocks_mined", "Blocks mined by this node", &self.mined),
            ("hashes", "Hashes tried by this node", &self.hashes),
        ];
        for (name, help, counter) in counters {
            lignum.register(name, help, counter.clone());
        }
    }

    /// Counts what a batch holds.
    pub fn committed(&self, batch: &Batch) {
        self.executed
            .inc_by(u64::try_from(batch.executed.len()).unwrap_or(u64::MAX));
        self.invalid
            .inc_by(u64::try_from(batch.invalid.len()).unwrap_or(u64::MAX));
    }

    /// Takes the gauges from a view.
    pub fn published(&self, view: &View) {
        let gauge = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        self.height
            .set(i64::try_from(view.api.head.height).unwrap_or(i64::MAX));
        self.peers.set(gauge(view.api.peer_list.len()));
        self.pool_transactions.set(gauge(view.api.pool.len()));
        self.pool_bytes.set(gauge(view.api.pool.bytes()));
    }

    /// Counts an event.
    pub fn event(&self, event: &Event) {
        match event {
            Event::Head { undone, .. } if !undone.is_empty() => drop(self.reorgs.inc()),
            Event::DeepReorg { .. } => drop(self.deep_reorgs.inc()),
            _ => {}
        }
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
