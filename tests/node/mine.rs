//! `lignum mine`: a miner outside of the node, over HTTP; and what may not be brought.

use std::sync::atomic::AtomicBool;

use chain::Block;
use miner::{Job, Miner, Outcome};
use serde_json::json;

use crate::harness::{Node, World, assert_fails, lignum, raw_http, stderr};

#[test]
fn a_miner_in_its_own_process_makes_the_blocks_asked_for() {
    let world = World::new();
    let node = world.node("node").start();
    let url = node.url();
    let mut arguments = vec!["mine", "--node", &url, "--beneficiary", "dev:3"];
    arguments.extend(["--threads", "2", "--throttle", "50", "--blocks", "3"]);
    let mined = lignum(&arguments);
    assert!(mined.status.success(), "{}", stderr(&mined));
    let text = String::from_utf8(mined.stdout).unwrap();
    assert_eq!(text.matches(" accepted\n").count(), 3, "{text}");
    assert!(text.contains("\nstopped: 3 accepted, 0 stale\n"), "{text}");
    assert_eq!(node.height(), 3);
    let payee = wallet::dev_key(3).address().to_string();
    for height in 1..=3 {
        let block = node.get(&format!("/v1/blocks/{height}"));
        assert_eq!(block["beneficiary"], *payee, "{block}");
    }
    let question = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let (_, metrics) = raw_http(&node.http(), question);
    assert!(
        metrics.contains("\nlignum_submitted_accepted_total 3"),
        "{metrics}"
    );
    assert!(
        metrics.contains("\nlignum_submitted_stale_total 0"),
        "{metrics}"
    );
}

#[test]
fn a_miner_says_what_keeps_it_from_mining() {
    let world = World::new();
    let node = world.node("node").start();
    let mine = |more: &[&str]| lignum(&[&["mine", "--node", &node.url()], more].concat());
    let nobody = "0x0000000000000000000000000000000000000000";
    let abacus = mine(&["--beneficiary", nobody, "--kernel", "abacus"]);
    assert_fails(&abacus, 2, &["abacus", "portable"]);
    assert_fails(&mine(&["--beneficiary", "nobody"]), 2, &["nobody"]);
    let away = [
        "mine",
        "--node",
        "http://127.0.0.1:1",
        "--beneficiary",
        nobody,
    ];
    assert_fails(&lignum(&away), 9, &["http://127.0.0.1:1"]);
}

/// Posts a block's bytes; the status code and the answer.
fn bring(node: &Node, block: &[u8]) -> (u16, String) {
    let mut request = format!(
        "POST /v1/mining/blocks HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        block.len()
    )
    .into_bytes();
    request.extend(block);
    raw_http(&node.http(), &request)
}

/// A template that carries a tag, as a block.
fn template(node: &Node, tag: &str) -> Block {
    let payee = "0x0000000000000000000000000000000000000001";
    let path = format!("/v1/mining/template?beneficiary={payee}&tag={tag}");
    let digits = node.get(&path)["block"].as_str().unwrap().to_owned();
    let bytes = (2..digits.len()).step_by(2);
    let bytes: Vec<u8> = bytes
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect();
    Block::decode(&bytes).unwrap()
}

fn solve(mut block: Block) -> Vec<u8> {
    let config = miner::Config {
        threads: 1,
        throttle_percent: 100,
        kernel: None,
    };
    let job = Job::for_block(block.header).unwrap();
    let miner = Miner::new(config).unwrap();
    let Outcome::Found(header) = miner.search(&job, &AtomicBool::new(false)) else {
        panic!("stopped without a reason");
    };
    block.header = *header;
    block.encode()
}

#[test]
fn a_block_is_taken_once_and_one_that_comes_too_late_is_stale() {
    let world = World::new();
    let node = world.node("node").start();
    let (first, late) = (solve(template(&node, "a")), solve(template(&node, "b")));
    let (status, answer) = bring(&node, &first);
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("\"is_head\":true"), "{answer}");
    let (status, answer) = bring(&node, &first);
    assert_eq!(status, 409, "{answer}");
    assert!(answer.contains("\"known_block\""), "{answer}");
    assert_eq!(bring(&node, &solve(template(&node, "c"))).0, 200);
    let (status, answer) = bring(&node, &late);
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("\"is_head\":false"), "{answer}");
    assert_eq!(node.height(), 2);
}

#[test]
fn templates_and_blocks_that_make_no_sense_are_refused() {
    let world = World::new();
    world.write_spec("network.json", &json!({ "genesis_bits": "0x1d00ffff" }));
    let node = world.node("node").start();
    let refused = |query: &str, code: &str| {
        let path = format!("/v1/mining/template?{query}");
        let (status, problem) = node.try_get(&path).unwrap();
        assert_eq!((status, problem["code"].as_str()), (400, Some(code)));
    };
    let payee = "beneficiary=0x0000000000000000000000000000000000000001";
    refused("beneficiary=0x1", "bad_address");
    refused("", "bad_query");
    refused(&format!("{payee}&after=0x1"), "bad_hash");
    refused(&format!("{payee}&tag={}", "x".repeat(33)), "bad_tag");
    let without_work = template(&node, "x").encode();
    for body in [&without_work[..], b"nonsense"] {
        let (status, answer) = bring(&node, body);
        assert_eq!(status, 422, "{answer}");
    }
    assert_eq!(node.height(), 0);
}
