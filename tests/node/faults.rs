//! A disk without room, a network in two halves, and users who ask at once for what they sent.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use wallet::sign::{Transfer, sign_transfer};

use crate::harness::{Node, World, post, raw_http, wait_for};

/// A node that mines until its disk is full, and what it says of that.
fn on_full_disk(world: &World) -> Node {
    world.write_spec("network.json", &json!({ "genesis_bits": "0x207fffff" }));
    let command = world.node("node").on_full_disk_after(6_000);
    let node = command.with(&["--mine", "--beneficiary", "dev:9"]).start();
    node.wait_for("a full disk", |node| {
        node.log().contains("takes nothing new")
    });
    let (said, directory) = (node.log(), world.path("node"));
    let place = directory.to_str().unwrap();
    assert!(
        said.contains("File too large") && said.contains(place),
        "{said}"
    );
    node
}

/// Threat S5: it stops accepting, stays readable, says so, and goes on once there is room.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_without_room_is_waited_for() {
    let world = World::new();
    let node = on_full_disk(&world);
    let height = node.height();
    assert!(height > 10, "only {height} blocks fit");
    let shown: Vec<_> = (0..=height)
        .map(|height| block(&node, height).unwrap()["hash"].clone())
        .collect();
    let (_, metrics) = raw_http(
        &node.http(),
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    );
    assert!(metrics.contains("lignum_store_writable 0"), "{metrics}");
    assert_eq!(node.height(), height);
    node.free_disk();
    node.wait_for("further blocks", |node| node.height() > height + 3);
    let (_, metrics) = raw_http(
        &node.http(),
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    );
    assert!(metrics.contains("lignum_store_writable 1"), "{metrics}");
    node.kill();
    let node = world.node("node").start();
    for (height, hash) in (0..).zip(&shown) {
        assert_eq!(&block(&node, height).unwrap()["hash"], hash);
    }
    let said = node.log();
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn a_node_that_is_stopped_on_a_full_disk_says_so() {
    let world = World::new();
    let node = on_full_disk(&world);
    assert_eq!(node.stop(), Some(6));
    assert!(!world.path("node").join("endpoints.json").exists());
    let node = world.node("node").start();
    assert!(node.height() > 10, "{} blocks were kept", node.height());
}

#[test]
fn an_answer_under_way_is_finished_when_the_node_stops() {
    let world = World::new();
    let node = world.node("node").start();
    let mut client = TcpStream::connect(node.http()).unwrap();
    let head = "POST /v1/transactions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n";
    client.write_all(format!("{head}0x").as_bytes()).unwrap();
    // Its head has to be there before the node hears of the end.
    thread::sleep(Duration::from_millis(100));
    let answer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        client.write_all(b"zz").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    });
    assert_eq!(node.stop(), Some(0));
    let answer = answer.join().unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

fn block(node: &Node, height: u64) -> Option<Value> {
    let (status, block) = node.try_get(&format!("/v1/blocks/{height}"))?;
    (status == 200).then_some(block)
}

#[test]
fn two_halves_that_mined_apart_agree_once_joined() {
    let world = World::new();
    let one = world.node("one").mining("one");
    let two = world.node("two").mining("two");
    let (first, second) = (one.start(), two.start());
    for node in [&first, &second] {
        node.wait_for("a branch of its own", |node| node.height() >= 12);
    }
    let (own, rival) = (block(&first, 5), block(&second, 5));
    assert_ne!(own.unwrap()["hash"], rival.unwrap()["hash"]);
    assert_eq!(second.stop(), Some(0));
    // Both go on mining while one of them leaves its branch.
    let second = two.joining(&first).start();
    wait_for("one branch", || {
        let at = |node: &Node| block(node, 10).map(|block| block["hash"].clone());
        at(&first).is_some() && at(&first) == at(&second)
    });
    let joined = first.height();
    for node in [&first, &second] {
        node.wait_for("further blocks", |node| node.height() > joined);
    }
}

#[test]
fn what_was_accepted_is_found_at_once_and_mined() {
    let world = World::new();
    let node = world.node("node").start();
    let _miner = world.node("miner").joining(&node).mining("miner").start();
    node.wait_for("a peer", |node| node.get("/v1/status")["peers"] == 1);
    let status = node.get("/v1/status");
    let chain_id = status["chain_id"].as_u64().unwrap();
    let payee = wallet::dev_key(9).address();
    let transfer = |nonce| Transfer {
        chain_id,
        nonce,
        to: payee,
        value: 1,
        gas_limit: 21_000,
        max_fee: 4_000_000_000,
        tip: 1_000_000_000,
        input: Vec::new(),
    };
    // Two users, as many transactions as one sender may have waiting.
    let hashes: Vec<String> = thread::scope(|scope| {
        let user = |user: u32| {
            let (node, transfer) = (&node, &transfer);
            scope.spawn(move || {
                let send = |nonce| {
                    let raw = sign_transfer(&wallet::dev_key(user), &transfer(nonce));
                    let raw: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
                    let (status, taken) =
                        post(&node.http(), "/v1/transactions", "text/plain", &raw);
                    assert_eq!(status, 202, "{taken}");
                    let hash = taken["hash"].as_str().unwrap().to_owned();
                    // Pending, or mined by now, but never unknown.
                    node.get(&format!("/v1/transactions/{hash}"));
                    hash
                };
                (0..64).map(send).collect::<Vec<_>>()
            })
        };
        let users = [user(0), user(1)];
        users
            .into_iter()
            .flat_map(|user| user.join().unwrap())
            .collect()
    });
    assert_eq!(hashes.len(), 128);
    node.wait_for("all in blocks", |node| {
        let mined = |hash| node.get(&format!("/v1/transactions/{hash}"))["status"] == "mined";
        hashes.iter().all(mined)
    });
    let paid = node.get(&format!("/v1/accounts/{payee}"));
    assert_eq!(paid["pool"]["pending"], 0);
}
