//! P12: partitions heal. Whole networks of nodes whose messages overtake each other, with gossip
//! that gets lost or comes twice.

use chain::{Rank, params::STATUS_INTERVAL_SECS};

use crate::support::{
    builder::{Builder, Wallet, regtest},
    net::Net,
    shell::Shell,
};

const NODES: usize = 5;

/// Some nodes mine on their own heads, at random.
fn mine(net: &mut Net, builder: &mut Builder, blocks: usize) {
    for _ in 0..blocks {
        let node = net.draw(NODES);
        let block = builder.mine(net.nodes[node].head());
        net.mined(node, &block);
    }
}

fn is_one(net: &Net) -> bool {
    let head = net.nodes[0].head();
    net.nodes.iter().all(|node| node.head() == head)
}

/// Time passes until all heads are equal, a status interval at most.
fn wait_until_one(net: &mut Net, seed: u64) {
    for _ in 0..STATUS_INTERVAL_SECS {
        if is_one(net) {
            return;
        }
        net.pass(1);
    }
    assert!(
        is_one(net),
        "seed {seed}: heads differ after a status interval"
    );
}

/// P12: five nodes, split in two in a way of the seed's, mine on both sides; when the links are
/// back, all have the best head within one status interval, and nobody is charged.
#[test]
fn p12_a_partition_heals() {
    for seed in 1..=20 {
        let mut builder = Builder::new(regtest(&[&Wallet::new(1)]));
        let mut net = Net::new((0..NODES).map(|_| Shell::new(&builder.spec)).collect());
        net.connect_all();
        net.chaos = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed);
        mine(&mut net, &mut builder, 10);
        wait_until_one(&mut net, seed);
        let left = 1 + net.draw(NODES - 1);
        net.cut(|a, b| (a < left) != (b < left));
        for _ in 0..6 {
            mine(&mut net, &mut builder, 10);
            net.pass(4);
        }
        assert!(!is_one(&net), "seed {seed}: two sides");
        let rank = |shell: &Shell| -> Rank { shell.node.forest().head_rank() };
        let best = net.nodes.iter().map(rank).max().unwrap();
        net.connect_all();
        wait_until_one(&mut net, seed);
        for node in &net.nodes {
            assert_eq!(rank(node), best, "seed {seed}");
            assert_eq!(node.out.disconnected, [], "seed {seed}");
            let summaries = node.node.sync().summaries();
            assert_eq!(summaries.len(), NODES - 1);
            assert!(
                summaries.iter().all(|summary| summary.points == 0),
                "seed {seed}"
            );
            node.assert_head_is_best_held();
        }
    }
}
