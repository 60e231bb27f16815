//! Bad input from users: the right exit code or status, and a sentence with both numbers.

use std::{
    fs,
    io::Write,
    net::{TcpListener, TcpStream},
};

use serde_json::{Value, json};

use crate::harness::{
    DEV_0, DEV_1, World, assert_absent, assert_fails, lignum, post, raw_http, stderr, stdout,
    wait_for,
};

#[test]
fn a_data_directory_belongs_to_one_network() {
    let world = World::new();
    let node = world.node("node").start();
    let ours = node.get("/v1/status")["genesis"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(node.stop(), Some(0));
    let other = world.write_spec("other.json", &json!({ "spacing_secs": 7 }));
    let output = lignum(&[
        "node",
        "--datadir",
        world.path("node").to_str().unwrap(),
        "--network",
        other.to_str().unwrap(),
        "--port",
        "0",
        "--http.port",
        "0",
    ]);
    assert_fails(&output, 7, &[&ours]);
}

#[test]
fn a_spec_changed_by_hand_is_named_as_such() {
    let world = World::new();
    let directory = world.path("node");
    let place = directory.to_str().unwrap();
    let made = lignum(&["init", world.spec().to_str().unwrap(), "--datadir", place]);
    assert!(made.status.success(), "{}", stderr(&made));
    let changed = world.write_spec("changed.json", &json!({ "spacing_secs": 7 }));
    fs::copy(changed, directory.join("genesis.json")).unwrap();
    let output = lignum(&[
        "node",
        "--datadir",
        place,
        "--port",
        "0",
        "--http.port",
        "0",
    ]);
    assert_fails(&output, 7, &[place, "genesis.json was changed"]);
    // The spec itself is the way back.
    let again = lignum(&["init", world.spec().to_str().unwrap(), "--datadir", place]);
    assert_eq!(
        (stdout(&again), again.status.code()),
        (stdout(&made), Some(0))
    );
}

#[test]
fn nodes_of_two_networks_refuse_each_other_with_a_reason() {
    let world = World::new();
    let one = world.node("one").start();
    world.write_spec("network.json", &json!({ "spacing_secs": 7 }));
    let two = world.node("two").joining(&one).start();
    two.wait_for("the refusal in the log", |node| {
        node.log().contains("another network")
    });
    assert_eq!(two.get("/v1/status")["peers"], 0);
    assert_eq!(one.get("/v1/status")["peers"], 0);
}

#[test]
fn taken_ports_and_locked_directories_have_exit_codes() {
    let world = World::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let spec = world.spec();
    let spec = spec.to_str().unwrap();
    let directory = world.path("node");
    let directory = directory.to_str().unwrap();
    let start = |p2p: &str, http: &str| {
        lignum(&[
            "node",
            "--datadir",
            directory,
            "--network",
            spec,
            "--port",
            p2p,
            "--http.port",
            http,
        ])
    };
    assert_fails(&start("0", &port), 5, &[&port, "--http.port"]);
    assert_fails(&start(&port, "0"), 5, &[&port, "--port"]);
    let running = world.node("node").start();
    assert_fails(&start("0", "0"), 4, &[directory]);
    drop(running);
}

/// A node may be started in a directory as soon as it is free, and writes its own then.
#[test]
fn a_free_directory_has_nothing_left_of_its_last_node() {
    let world = World::new();
    let node = world.node("node").start();
    let directory = world.path("node");
    // The node's end waits a little for a request that is under way.
    let mut open = TcpStream::connect(node.http()).unwrap();
    open.write_all(b"GET /v1/status HT").unwrap();
    assert_eq!(node.height(), 0);
    let lock = fs::File::open(directory.join("LOCK")).unwrap();
    node.signal("TERM");
    wait_for("the directory to be free", || lock.try_lock().is_ok());
    assert_absent(&directory.join("endpoints.json"));
    assert_absent(&directory.join("operator.token"));
    drop(open);
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn a_bad_spec_is_refused_before_anything_is_written() {
    let world = World::new();
    let directory = world.path("node");
    let init = |spec: &str| lignum(&["init", spec, "--datadir", directory.to_str().unwrap()]);
    let bad = |changes: Value| world.write_spec("bad.json", &changes).display().to_string();
    assert_fails(
        &init(&bad(json!({ "spacing_secs": 0 }))),
        3,
        &["spacing_secs", "0"],
    );
    assert_fails(&init(&bad(json!({ "colour": 1 }))), 3, &["colour"]);
    assert_fails(
        &init(&bad(json!({ "genesis_bits": "0x207fffffff" }))),
        3,
        &["genesis_bits"],
    );
    fs::write(world.path("bad.json"), "{").unwrap();
    assert_fails(
        &init(world.path("bad.json").to_str().unwrap()),
        3,
        &["bad.json"],
    );
    assert_fails(
        &init(world.path("none.json").to_str().unwrap()),
        3,
        &["none.json"],
    );
    fs::write(world.path("bad.json"), " ".repeat(1_048_577)).unwrap();
    assert_fails(
        &init(world.path("bad.json").to_str().unwrap()),
        3,
        &["1048576"],
    );
    assert_absent(&directory.join("chain.redb"));
    let made = init(world.spec().to_str().unwrap());
    assert!(made.status.success(), "{}", stderr(&made));
    assert!(stdout(&made).contains("genesis 0x"));
}

#[test]
fn the_api_refuses_what_is_no_transaction() {
    let world = World::new();
    let node = world.node("node").start();
    let http = node.http();
    let refused = |content_type: &str, body: &str, want: u16| -> Value {
        let (status, problem) = post(&http, "/v1/transactions", content_type, body);
        assert_eq!(status, want, "{body:.80}: {problem}");
        assert!(
            problem["code"].is_string() && problem["detail"].is_string(),
            "{problem}"
        );
        problem
    };
    refused("application/json", "{\"raw\":", 400);
    refused("application/json", "[1,2]", 400);
    refused("application/json", &"[".repeat(100_000), 400);
    refused("text/plain", "0xzz", 400);
    refused("text/plain", "0x02c0", 400);
    refused(
        "application/json",
        &format!("\"0x{}\"", "00".repeat(1_100_000)),
        413,
    );
    let huge = refused("text/plain", &format!("0x{}", "02".repeat(140_000)), 400);
    assert!(
        huge["detail"].as_str().unwrap().contains("131072"),
        "{huge}"
    );
    let (status, _) = raw_http(
        &http,
        b"POST /v1/transactions HTTP/1.1\r\nHost: evil.example\r\n\
        Content-Length: 0\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(status, 403);
    assert_eq!(node.height(), 0);
}

#[test]
fn the_wallet_hears_the_pools_reason_with_both_numbers() {
    let world = World::new();
    let node = world.node("node").mining("miner").start();
    let url = node.url();
    let send = |amount: &str, more: &[&str]| {
        let mut arguments = vec!["wallet", "send", DEV_1, amount, "--from", "dev:0"];
        arguments.extend(["--node", &url]);
        arguments.extend(more);
        lignum(&arguments)
    };
    let poor = send("2000", &[]);
    // The wallet says this itself, before it signs.
    assert_fails(&poor, 10, &["balance is 1000 LGN", "needed 2000.0000"]);
    let mined = send("1", &["--wait", "1"]);
    assert!(mined.status.success(), "{}", stderr(&mined));
    assert_fails(
        &send("1", &["--nonce", "0"]),
        10,
        &["nonce is 0", "next is 1"],
    );
    assert_fails(&send("1", &["--nonce", "99"]), 10, &["nonce is 99"]);
    assert_fails(&send("one", &[]), 2, &["one"]);
    node.kill();
    assert_fails(&send("1", &[]), 9, &[&url]);
}

#[test]
fn a_transaction_for_another_chain_is_named_so() {
    let world = World::new();
    let node = world.node("node").start();
    // The signed example of EIP-155 itself: chain id 1.
    let raw = "0xf86c098504a817c800825208943535353535353535353535353535353535353535880\
               de0b6b3a76400008025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa63\
               6276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83";
    let (status, problem) = post(&node.http(), "/v1/transactions", "text/plain", raw);
    assert_eq!(status, 400, "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("chain id 1,") && detail.contains("1337"),
        "{detail}"
    );
    assert_eq!(
        node.get(&format!("/v1/accounts/{DEV_0}"))["chain"]["nonce"],
        0
    );
}
