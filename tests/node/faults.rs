//! A disk without room, a network in two halves, and users who ask at once for what they sent.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use wallet::sign::{Transfer, sign_transfer};

use crate::harness::{Node, World, assert_fails, output, post, wait_for};

#[test]
fn a_disk_without_room_stops_the_node_with_a_sentence() {
    let world = World::new();
    world.write_spec("network.json", &json!({ "genesis_bits": "0x207fffff" }));
    let directory = world.path("node");
    // Beyond this many blocks of 512 bytes a write to a file fails as on a full disk.
    let limited = "trap '' XFSZ; ulimit -f 2500; exec \"$0\" node --supervised \"$@\"";
    let mut command = Command::new("sh");
    command
        .args(["-c", limited, env!("CARGO_BIN_EXE_lignum"), "--datadir"])
        .arg(&directory)
        .arg("--network")
        .arg(world.spec())
        .args([
            "--port",
            "0",
            "--http.port",
            "0",
            "--mine",
            "--beneficiary",
            "dev:9",
        ])
        // A pipe that nobody closes: only the disk ends this node.
        .stdin(Stdio::piped());
    let ended = output(&mut command);
    assert_fails(&ended, 1, &["File too large", directory.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!said.contains("panicked"), "{said}");
    assert!(!directory.join("endpoints.json").exists());
    // With room again it goes on from where it was.
    let node = world.node("node").start();
    assert!(
        node.height() > 10,
        "only {} blocks were kept",
        node.height()
    );
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
