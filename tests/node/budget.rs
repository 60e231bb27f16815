//! Threat X2: a state that outgrows its budget ends the node in order, with a sentence, and nothing
//! that was shown is lost.

use std::{cell::RefCell, fs};

use serde_json::{Value, json};

use crate::harness::{Node, World, assert_fails, lignum, raw_http, stderr, wait_for};

/// A network with easy blocks and so many accounts from its beginning.
fn world(accounts: u32) -> World {
    let world = World::new();
    let spec = world.write_spec("network.json", &json!({ "genesis_bits": "0x207fffff" }));
    let mut text: Value = serde_json::from_str(&fs::read_to_string(&spec).unwrap()).unwrap();
    for number in 1..=accounts {
        text["alloc"][format!("0x{number:040x}")] = json!({ "balance": "1" });
    }
    fs::write(&spec, text.to_string()).unwrap();
    world
}

/// A gauge of a node, in bytes.
fn gauge(node: &Node, name: &str) -> u64 {
    let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let (_, metrics) = raw_http(&node.http(), request);
    let mut lines = metrics.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap().trim().parse().unwrap()
}

#[test]
fn a_start_beyond_the_budget_says_so() {
    let world = world(6_000);
    let (place, spec) = (world.path("node"), world.spec());
    let node = ["node", "--datadir", place.to_str().unwrap()];
    let more = ["--network", spec.to_str().unwrap(), "--port", "0"];
    let tight = ["--http.port", "0", "--state-budget", "1"];
    for _ in 0..2 {
        let output = lignum(&[&node[..], &more, &tight].concat());
        let words = ["the state takes", "budget of 1.0 MiB", "--state-budget 2"];
        assert_fails(&output, 1, &words);
        assert!(stderr(&output).contains("The store is whole"));
    }
    let node = world.node("node").env("LIGNUM_STATE_BUDGET", "8").start();
    node.wait_for("the state's weight", |node| {
        gauge(node, "lignum_state_bytes") > 0
    });
    assert_eq!(gauge(&node, "lignum_state_budget_bytes"), 8 * 1024 * 1024);
    let used = gauge(&node, "lignum_state_bytes");
    // 128 bytes a leaf, and as many inner nodes as leaves or half as many again.
    assert!((6_000 * 224..6_000 * 320).contains(&used), "{used}");
    assert_eq!(node.stop(), Some(0));
}

/// Recent versions of the state are part of what it takes, so blocks alone fill it up.
#[test]
fn a_state_that_outgrows_its_budget_ends_the_node_in_order() {
    let world = world(3_800);
    let command = world.node("node").mining("node");
    let mut node = command.clone().with(&["--state-budget", "1"]).start();
    let shown = RefCell::new(Value::Null);
    wait_for("the end of the node", || match node.try_get("/v1/status") {
        Some((200, status)) => {
            *shown.borrow_mut() = status["head"].clone();
            false
        }
        _ => true,
    });
    let shown = shown.into_inner();
    assert_eq!(node.exit_code(), Some(1));
    let said = node.log();
    for (sentence, times) in [
        ("its budget is 1.0 MiB: at that the node ends", 1),
        ("more than its budget of 1.0 MiB", 1),
        ("panicked", 0),
    ] {
        assert_eq!(
            said.matches(sentence).count(),
            times,
            "{sentence:?} in {said}"
        );
    }
    let node = command.with(&["--state-budget", "8"]).start();
    let height = shown["height"].as_u64().unwrap();
    let block = node.get(&format!("/v1/blocks/{height}"));
    assert_eq!(block["hash"], shown["hash"]);
    node.wait_for("further blocks", |node| node.height() > height + 100);
    assert_eq!(node.stop(), Some(0));
}
