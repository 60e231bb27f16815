//! A node far behind: it syncs from several peers while they and it are killed midway.

use std::{fs, path::Path};

use serde_json::json;

use crate::harness::{Node, World, wait_for};

/// Blocks of the chain that is caught up with.
const LENGTH: u64 = 3_000;

/// The chain and nothing of its node's own: a second node with the same history.
fn copy_chain(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for file in ["chain.redb", "genesis.json"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
}

fn head(node: &Node) -> String {
    let status = node.get("/v1/status");
    status["head"]["hash"].as_str().unwrap().to_owned()
}

#[test]
fn a_node_far_behind_catches_up_though_peers_and_it_are_killed() {
    let world = World::new();
    // One hash in two is a block: the chain grows as fast as it is committed.
    world.write_spec("network.json", &json!({ "genesis_bits": "0x207fffff" }));
    let miner = world.node("one").mining("one").start();
    miner.wait_for("a long chain", |node| node.height() >= LENGTH);
    assert_eq!(miner.stop(), Some(0));
    copy_chain(&world.path("one"), &world.path("two"));
    let one = world.node("one").start();
    let two = world.node("two").start();
    // The miner may have stopped with a last block stored and not executed; both execute it now.
    wait_for("one head on both", || head(&one) == head(&two));

    let late = world.node("late").joining(&one).joining(&two);
    let node = late.start();
    node.wait_for("the first blocks", |node| node.height() > 0);
    one.kill();
    node.wait_for("more blocks", |node| node.height() >= LENGTH / 4);
    node.kill();
    let node = late.start();
    assert!(node.height() >= LENGTH / 4, "what was executed is kept");
    node.wait_for("still more", |node| node.height() >= LENGTH / 2);
    // A stop in the middle of it all is as quick and clean as any.
    assert_eq!(node.stop(), Some(0));
    let node = late.start();
    wait_for("the head", || head(&node) == head(&two));
    let deep = "/v1/blocks/1500";
    assert_eq!(node.get(deep)["state_root"], two.get(deep)["state_root"]);
}
