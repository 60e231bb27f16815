//! A node far behind: it syncs from several peers while they and it are killed midway or stall.

use std::{fs, path::Path, thread, time::Duration};

use serde_json::{Value, json};
use wallet::sign::{Transfer, sign_transfer};

use crate::harness::{Node, World, post, wait_for};

/// Blocks of the chain that is caught up with.
const LENGTH: u64 = 3_000;
/// Transfers in it, at even distances.
const TRANSFERS: u64 = 120;
/// Accounts that are paid, beside the one that pays.
const PAYEES: u32 = 12;

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

/// Pays once in so many blocks while the chain grows; gives the transactions' hashes.
fn pay_along(miner: &Node) -> Vec<String> {
    let pay = |nonce: u64| {
        let due = nonce * (LENGTH / TRANSFERS);
        miner.wait_for("the next payment's time", |node| node.height() >= due);
        let payee = 10 + u32::try_from(nonce).unwrap() % PAYEES;
        let transfer = Transfer {
            chain_id: 1337,
            nonce,
            to: wallet::dev_key(payee).address(),
            value: 1_000_000 + u128::from(nonce),
            gas_limit: 21_000,
            max_fee: 4_000_000_000,
            tip: 1_000_000_000,
            input: Vec::new(),
        };
        let raw = sign_transfer(&wallet::dev_key(0), &transfer);
        let raw: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
        let (status, taken) = post(&miner.http(), "/v1/transactions", "text/plain", &raw);
        assert_eq!(status, 202, "{taken}");
        taken["hash"].as_str().unwrap().to_owned()
    };
    (0..TRANSFERS).map(pay).collect()
}

/// What the accounts that took part have: the payer, the miner and the payees.
fn accounts(node: &Node) -> Vec<Value> {
    let account = |number| {
        let address = wallet::dev_key(number).address();
        node.get(&format!("/v1/accounts/{address}"))["chain"].clone()
    };
    (0..10 + PAYEES).map(account).collect()
}

/// The peer stands still for a while: its connections stay, and nothing comes over them.
fn stall(peer: &Node) {
    peer.signal("STOP");
    thread::sleep(Duration::from_secs(2));
    peer.signal("CONT");
}

#[test]
fn a_node_far_behind_catches_up_though_peers_and_it_are_killed() {
    let world = World::new();
    // One hash in two is a block: the chain grows as fast as it is committed.
    world.write_spec("network.json", &json!({ "genesis_bits": "0x207fffff" }));
    let miner = world.node("one").mining("one").start();
    let paid = pay_along(&miner);
    miner.wait_for("a long chain", |node| node.height() >= LENGTH);
    miner.wait_for("all payments in blocks", |node| {
        accounts(node)[0]["nonce"] == TRANSFERS
    });
    assert_eq!(miner.stop(), Some(0));
    copy_chain(&world.path("one"), &world.path("two"));
    let one = world.node("one").start();
    let two = world.node("two").start();
    // The miner may have stopped with a last block stored and not executed; both execute it now.
    wait_for("one head on both", || head(&one) == head(&two));

    let late = world.node("late").joining(&one).joining(&two);
    let node = late.start();
    node.wait_for("the first blocks", |node| node.height() > 0);
    // One peer stalls, then the other dies, and for a while there is none that delivers.
    two.signal("STOP");
    node.wait_for("blocks from the other", |node| node.height() >= LENGTH / 8);
    one.kill();
    thread::sleep(Duration::from_secs(2));
    assert!(
        node.height() < LENGTH,
        "all came before the peers were gone"
    );
    two.signal("CONT");
    node.wait_for("more blocks", |node| node.height() >= LENGTH / 3);
    node.kill();
    let node = late.start();
    assert!(node.height() >= LENGTH / 3, "what was executed is kept");
    stall(&two);
    node.wait_for("still more", |node| node.height() >= LENGTH / 2);
    // A stop in the middle of it all is as quick and clean as any.
    assert_eq!(node.stop(), Some(0));
    let node = late.start();
    wait_for("the head", || head(&node) == head(&two));
    let deep = "/v1/blocks/1500";
    assert_eq!(node.get(deep)["state_root"], two.get(deep)["state_root"]);
    assert_eq!(accounts(&node), accounts(&two));
    let height = |hash: &String| {
        let found = node.get(&format!("/v1/transactions/{hash}"));
        found["block"]["height"].as_u64().unwrap()
    };
    assert!(height(&paid[paid.len() - 1]) - height(&paid[0]) > LENGTH / 2);
}
