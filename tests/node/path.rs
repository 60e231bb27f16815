//! The main path: a transfer posted to one node, mined by another, read on both, kept on disk.

use serde_json::Value;

use crate::harness::{DEV_0, Node, World, lignum, metric, stderr, stdout, wait_for};

/// An address that nobody uses otherwise.
const PAYEE: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
const SENT: &str = "25000000000000000000";

fn balance(node: &Node, address: &str) -> String {
    let account = node.get(&format!("/v1/accounts/{address}"));
    account["chain"]["balance"].as_str().unwrap().to_owned()
}

fn tag_of(block: &Value) -> String {
    let digits = block["extra_data"]
        .as_str()
        .unwrap()
        .trim_start_matches("0x");
    let bytes = (0..digits.len() / 2)
        .map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap());
    bytes
        .take_while(|byte| *byte != 0)
        .map(char::from)
        .collect()
}

#[test]
fn a_transfer_is_mined_by_the_other_node_and_survives_kills() {
    let world = World::new();
    let first = world.node("first");
    let one = first.start();
    let second = world.node("second").mining("node two").joining(&one);
    let two = second.start();
    one.wait_for("a block mined by node two on node one", |node| {
        node.height() > 0
    });

    let sent = lignum(&[
        "wallet",
        "send",
        PAYEE,
        "25",
        "--from",
        "dev:0",
        "--node",
        &one.url(),
        "--wait",
        "2",
        "--json",
    ]);
    assert!(sent.status.success(), "{}", stderr(&sent));
    let sent: Value = serde_json::from_str(&stdout(&sent)).unwrap();
    let hash = sent["hash"].as_str().unwrap().to_owned();
    for node in [&one, &two] {
        node.wait_for("the transfer in a block", |node| {
            let found = node.try_get(&format!("/v1/transactions/{hash}"));
            found.is_some_and(|(_, found)| found["status"] == "mined")
        });
        assert_eq!(balance(node, PAYEE), SENT);
    }
    // Both had it in their pools, so its sender was not recovered again for the block.
    for node in [&one, &two] {
        assert!(metric(node, "lignum_senders_known_total") >= 1.0);
    }
    let mined = one.get(&format!("/v1/transactions/{hash}"));
    let block_hash = mined["block"]["hash"].as_str().unwrap().to_owned();
    let block = one.get(&format!("/v1/blocks/{block_hash}"));
    assert_eq!(tag_of(&block), "node two");
    let shown = lignum(&["wallet", "balance", PAYEE, "--node", &two.url()]);
    assert!(stdout(&shown).contains("25 LGN"), "{}", stdout(&shown));

    // kill -9 of either node and a restart lose nothing.
    let spent = balance(&one, DEV_0);
    one.kill();
    let one = first.start();
    assert_eq!(balance(&one, PAYEE), SENT);
    two.kill();
    let two = second.start();
    assert_eq!(balance(&two, PAYEE), SENT);
    for node in [&one, &two] {
        let found = node.get(&format!("/v1/transactions/{hash}"));
        assert_eq!(found["block"]["hash"], block_hash.as_str());
        assert_eq!(balance(node, DEV_0), spent);
    }
    assert_eq!(one.stop(), Some(0));
    assert_eq!(two.stop(), Some(0));
}

#[test]
fn a_late_node_syncs_and_all_agree() {
    let world = World::new();
    let one = world.node("first").mining("one").start();
    one.wait_for("twenty blocks", |node| node.height() >= 20);
    let late = world.node("late").joining(&one).start();
    late.wait_for("the late node at height 20", |node| node.height() >= 20);
    let at = |node: &Node| node.get("/v1/blocks/20")["hash"].clone();
    wait_for("one block at height 20", || at(&one) == at(&late));
    let accounts = |node: &Node| node.get("/v1/blocks/20")["state_root"].clone();
    assert_eq!(accounts(&one), accounts(&late));
}

#[test]
fn two_miners_find_one_head() {
    let world = World::new();
    let one = world.node("first").mining("one").start();
    let two = world.node("second").mining("two").joining(&one).start();
    one.wait_for("blocks of both", |node| {
        let height = node.height();
        let tags: Vec<_> = (1..=height)
            .map(|height| tag_of(&node.get(&format!("/v1/blocks/{height}"))))
            .collect();
        tags.iter().any(|tag| tag == "one") && tags.iter().any(|tag| tag == "two")
    });
    let deep = one.height().saturating_sub(3).max(1);
    wait_for("the same block at some depth", || {
        let at = |node: &Node| node.try_get(&format!("/v1/blocks/{deep}"));
        at(&one).is_some_and(|(_, one)| at(&two).is_some_and(|(_, two)| one["hash"] == two["hash"]))
    });
}
