//! Recorded runs of real nodes: a replay ends where the node was, whatever it lived through, and how
//! ever its file ends.

use std::{fs, path::Path, process::Output};

use serde_json::{Value, json};

use crate::{
    dev_orders::order,
    devnet::Devnet,
    harness::{DEV_1, Node, World, assert_fails, lignum, stderr, stdout, wait_for},
};

fn mine(node: &Node, directory: &Path, blocks: u64) {
    let body = json!({ "blocks": blocks });
    let (status, made) = order(&node.url(), directory, "mine", &body);
    assert_eq!(status, 200, "{made}");
}

fn head(node: &Node) -> Value {
    let block = node.get("/v1/blocks/head");
    json!([block["height"], block["hash"], block["state_root"]])
}

fn replay(file: &Path, arguments: &[&str]) -> Output {
    lignum(&[&["replay", file.to_str().unwrap(), "--json"], arguments].concat())
}

/// A replay that ends well, and where.
fn replayed(file: &Path, arguments: &[&str]) -> Value {
    let output = replay(file, arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

fn head_of(replayed: &Value) -> Value {
    json!([replayed["height"], replayed["head"], replayed["state_root"]])
}

fn pay(node: &Node) -> String {
    let url = node.url();
    let arguments = ["--from", "dev:0", "--node", &url, "--json"];
    let sent = lignum(&[&["wallet", "send", DEV_1, "1"], &arguments[..]].concat());
    assert!(sent.status.success(), "{}", stderr(&sent));
    let sent: Value = serde_json::from_str(&stdout(&sent)).unwrap();
    sent["hash"].as_str().unwrap().to_owned()
}

/// Mining, payments, a sync from a peer, a reorg that undoes a payment, restarts and a kill.
#[test]
fn a_replay_ends_where_the_node_was() {
    let world = World::new();
    let (first, second) = (world.path("first.run"), world.path("second.run"));
    let recorded = |file: &Path| {
        world
            .node("one")
            .with(&["--record", file.to_str().unwrap()])
    };
    let (one_at, two_at) = (world.path("one"), world.path("two"));
    let two = world.node("two").start();
    mine(&two, &two_at, 4);
    let one = recorded(&first).start();
    mine(&one, &one_at, 1);
    let payment = pay(&one);
    mine(&one, &one_at, 1);
    let place = |node: &Node| {
        let found = node.get(&format!("/v1/transactions/{payment}"));
        found["block"]["height"].as_u64()
    };
    assert_eq!(place(&one), Some(2));
    // The heavier chain comes from a peer, and the payment goes back to the pool.
    assert_eq!(two.stop(), Some(0));
    let two = world.node("two").joining(&one).start();
    wait_for("the reorg", || head(&one) == head(&two));
    assert_eq!(place(&one), None);
    mine(&one, &one_at, 1);
    assert_eq!(place(&one), Some(5));
    let last = head(&one);
    assert_eq!(one.stop(), Some(0));
    replays(&first, &last);
    let whole = fs::read(&first).unwrap();
    hostile(&world, &whole);

    // A file is never overwritten; a store with blocks is recorded with what it holds.
    let place_of_one = one_at.to_str().unwrap();
    let again = [
        "--port",
        "0",
        "--http.port",
        "0",
        "--record",
        first.to_str().unwrap(),
    ];
    let again = lignum(&[&["node", "--datadir", place_of_one], &again[..]].concat());
    assert_fails(&again, 2, &["first.run", "exists"]);
    assert_eq!(fs::read(&first).unwrap(), whole);
    let one = recorded(&second).joining(&two).start();
    let start = replayed(&second, &["--until", "0"]);
    assert_eq!(start["height"], 5, "recorded by a node that runs still");
    mine(&one, &one_at, 2);
    wait_for("a sync of the peer", || head(&one) == head(&two));
    let last = head(&one);
    assert_eq!(last[0], 7);
    // The file lags behind the node by what its thread has not written yet.
    wait_for("all of it in the file", || {
        head_of(&replayed(&second, &[])) == last
    });
    one.kill();
    let cut = replayed(&second, &[]);
    assert_eq!((&cut["ending"], head_of(&cut)), (&json!("cut"), last));
}

/// The whole recording of a node that was stopped at `last`, and parts of it.
fn replays(first: &Path, last: &Value) {
    let whole = replayed(first, &[]);
    assert_eq!(
        (&whole["ending"], head_of(&whole)),
        (&json!("whole"), last.clone())
    );
    let steps = whole["steps"].as_u64().unwrap();
    let part = replayed(first, &["--until", &(steps / 2).to_string()]);
    assert_eq!(
        (&part["ending"], &part["steps"]),
        (&json!("until"), &json!(steps / 2))
    );
    let none = replayed(first, &["--until", "0"]);
    assert_eq!((&none["height"], &none["steps"]), (&json!(0), &json!(0)));
    assert_eq!(replayed(first, &["--until", "99999999"]), whole);
    let text = lignum(&["replay", first.to_str().unwrap()]);
    let trace = whole["trace"].as_str().unwrap();
    assert!(stdout(&text).contains(trace), "{}", stdout(&text));
}

/// Files that were cut, changed, or never were recordings.
fn hostile(world: &World, whole: &[u8]) {
    let file = world.path("hostile.run");
    fs::write(&file, whole).unwrap();
    let steps = replayed(&file, &[])["steps"].as_u64().unwrap();
    for part in [4, 2] {
        fs::write(&file, &whole[..whole.len() - whole.len() / part]).unwrap();
        let cut = replayed(&file, &[]);
        assert_eq!(cut["ending"], "cut");
        assert!(cut["steps"].as_u64().unwrap() < steps, "{cut}");
    }
    let mut changed = whole.to_vec();
    changed[whole.len() * 3 / 4] ^= 1;
    fs::write(&file, changed).unwrap();
    assert_fails(
        &replay(&file, &[]),
        6,
        &["hostile.run", "is damaged in entry"],
    );
    fs::write(&file, &whole[..100]).unwrap();
    assert_fails(&replay(&file, &[]), 6, &["ends before its first step"]);
    fs::write(&file, "something else").unwrap();
    assert_fails(&replay(&file, &[]), 6, &["no recording of lignum"]);
    let missing = world.path("missing.run");
    assert_fails(&replay(&missing, &[]), 2, &["missing.run", "cannot read"]);
}

/// Each node of a devnet has a file, and another after each start.
#[test]
fn a_devnet_records_each_of_its_nodes() {
    let world = World::new();
    let directory = world.path("devnet");
    let mut command = crate::devnet::command(&directory);
    command.args(["--nodes", "2", "--throttle", "1", "--record"]);
    let net = Devnet::start_with(&mut command);
    wait_for("both nodes", || {
        crate::devnet::endpoints(&directory, 2).is_some()
    });
    let killed = crate::devnet::pid(&directory, 2);
    crate::devnet::signal(killed, "KILL");
    wait_for("the node started again", || {
        let found = crate::devnet::endpoints(&directory, 2);
        found.is_some_and(|found| found["pid"] != killed)
    });
    drop(net);
    for (file, ending) in [
        ("node-1/run-1.record", "whole"),
        ("node-2/run-1.record", "cut"),
        ("node-2/run-2.record", "whole"),
    ] {
        // Nodes end by themselves when their supervisor is gone.
        wait_for(&format!("{file} to be {ending}"), || {
            replayed(&directory.join(file), &[])["ending"] == ending
        });
    }
}
