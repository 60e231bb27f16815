//! The pool of a real process: what was taken is still there after kill -9, and is mined.

use serde_json::Value;

use crate::harness::{Node, World, lignum, stderr, stdout};

/// An address that nobody uses otherwise.
const PAYEE: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";

/// Sends without waiting; the transaction's hash.
fn send(node: &Node, from: &str, amount: &str) -> String {
    let sent = lignum(&[
        "wallet",
        "send",
        PAYEE,
        amount,
        "--from",
        from,
        "--node",
        &node.url(),
        "--json",
    ]);
    assert!(sent.status.success(), "{}", stderr(&sent));
    let sent: Value = serde_json::from_str(&stdout(&sent)).unwrap();
    sent["hash"].as_str().unwrap().to_owned()
}

fn status(node: &Node, hash: &str) -> Option<Value> {
    let (_, found) = node.try_get(&format!("/v1/transactions/{hash}"))?;
    Some(found["status"].clone())
}

#[test]
fn what_was_taken_survives_kills_and_is_mined() {
    let world = World::new();
    let idle = world.node("node");
    let mut node = idle.start();
    let mut sent = Vec::new();
    for round in 0..4 {
        // Two at a time, of two senders, and killed as soon as the answer is here.
        for from in ["dev:0", "dev:1"] {
            sent.push(send(&node, from, "1"));
        }
        node.kill();
        node = idle.start();
        node.wait_for("all that was taken in the pool", |node| {
            let pool = &node.get("/v1/status")["pool"];
            pool["count"].as_u64() == Some(2 * (round + 1))
        });
        for hash in &sent {
            assert_eq!(status(&node, hash), Some("pending".into()), "{hash}");
        }
    }
    node.kill();
    let miner = idle.clone().mining("miner").start();
    for hash in &sent {
        miner.wait_for("a transfer in a block", |node| {
            status(node, hash) == Some("mined".into())
        });
    }
    let paid = miner.get(&format!("/v1/accounts/{PAYEE}"));
    assert_eq!(paid["chain"]["balance"], "8000000000000000000");
    // What is in a block is struck off the journal.
    miner.kill();
    let node = idle.start();
    assert_eq!(node.get("/v1/status")["pool"]["count"], 0);
    assert_eq!(node.stop(), Some(0));
}
