//! Orders of an operator over HTTP: who may give them, and what they do.

use std::time::{Duration, Instant};

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use serde_json::{Value, json};

use crate::harness::{Node, World, assert_absent, get, raw_http, wait_for};

/// The token in a node's data directory.
pub fn token(directory: &Path) -> String {
    fs::read_to_string(directory.join("operator.token")).unwrap()
}

/// A POST with further lines in its head; the status and the JSON.
pub fn post_with(url: &str, path: &str, head: &str, body: &Value) -> (u16, Value) {
    let (address, body) = (url.trim_start_matches("http://"), body.to_string());
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\n{head}Content-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len(),
    );
    let (status, text) = raw_http(address, request.as_bytes());
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, serde_json::from_str(body).unwrap_or_default())
}

/// Gives an order with the token of a data directory.
pub fn order(url: &str, directory: &Path, verb: &str, body: &Value) -> (u16, Value) {
    let head = format!("Authorization: Bearer {}\r\n", token(directory));
    post_with(url, &format!("/v1/dev/{verb}"), &head, body)
}

fn ids(made: &Value) -> Vec<(u64, String)> {
    let blocks = made["blocks"].as_array().unwrap().iter();
    blocks
        .map(|id| {
            let hash = id["hash"].as_str().unwrap().to_owned();
            (id["height"].as_u64().unwrap(), hash)
        })
        .collect()
}

fn hash_at(node: &Node, height: u64) -> String {
    let block = node.get(&format!("/v1/blocks/{height}"));
    block["hash"].as_str().unwrap().to_owned()
}

/// Threats A3 and A4.
#[test]
fn only_holders_of_the_token_give_orders_and_only_on_dev_networks() {
    let world = World::new();
    let (directory, value) = (world.path("one"), json!({"blocks": 1}));
    let one = world.node("one").start();
    let post = |head: &str| {
        let (status, problem) = post_with(&one.url(), "/v1/dev/mine", head, &value);
        (status, problem["code"].as_str().unwrap_or("").to_owned())
    };
    let refused = |status, code: &str| (status, code.to_owned());
    let right = token(&directory);
    let file = fs::metadata(directory.join("operator.token")).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    assert_eq!(post(""), refused(401, "unauthorized"));
    assert_eq!(post(&bearer("")), refused(401, "unauthorized"));
    assert_eq!(post(&bearer(&right[1..])), refused(401, "unauthorized"));
    let basic = format!("Authorization: Basic {right}\r\n");
    assert_eq!(post(&basic), refused(401, "unauthorized"));
    let page = format!("{}Origin: {}\r\n", bearer(&right), one.url());
    assert_eq!(post(&page), refused(403, "origin_not_allowed"));
    assert_eq!(one.height(), 0, "nothing was done");
    assert_eq!(post(&bearer(&right)).0, 200);
    assert_eq!(one.height(), 1);
    assert_eq!(get(&one.url(), "/v1/dev/mine").unwrap().0, 405);

    assert_eq!(one.stop(), Some(0));
    assert_absent(&directory.join("operator.token"));
    let again = world.node("one").start();
    assert_ne!(token(&directory), right, "each start has its own");
    drop(again);

    world.write_spec("network.json", &json!({"dev": false}));
    let two = world.node("two").start();
    let (status, problem) = order(&two.url(), &world.path("two"), "mine", &value);
    assert_eq!(
        (status, &problem["code"]),
        (403, &json!("not_a_dev_network"))
    );
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("only on dev networks"), "{detail}");
}

#[test]
fn orders_that_make_no_sense_are_refused_with_what_was_wanted() {
    let world = World::new();
    let (one, directory) = (world.node("one").start(), world.path("one"));
    let refused = |verb: &str, body: Value, wanted: &str| {
        let (status, problem) = order(&one.url(), &directory, verb, &body);
        assert_eq!((status, &problem["code"]), (400, &json!("bad_order")));
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(wanted), "{detail}");
    };
    refused(
        "mine",
        json!({"blocks": 0}),
        "N from 1 to 1000; got {\"blocks\":0}",
    );
    refused("mine", json!({"blocks": 1001}), "N from 1 to 1000");
    refused("mine", json!([]), "{\"blocks\": N}");
    refused("reorg", json!({"depth": -1}), "N from 1 to 1000");
    refused(
        "reorg",
        json!({"depth": 1}),
        "from 1 to 0, the height of the head",
    );
    refused(
        "delay",
        json!({"milliseconds": 3001}),
        "N from 0 to 3000, since gossip waits",
    );
    refused(
        "partition",
        json!({"blocked": "all"}),
        "at most 64 peer ids",
    );
    let head = format!("Authorization: Bearer {}\r\n", token(&directory));
    let (status, problem) = post_with(&one.url(), "/v1/dev/mine", &head, &json!("blocks"));
    assert_eq!((status, &problem["code"]), (400, &json!("bad_order")));
}

#[test]
fn blocks_are_made_at_once_and_reach_the_other_node() {
    let world = World::new();
    let one = world.node("one").start();
    let two = world.node("two").joining(&one).start();
    let (status, made) = order(
        &one.url(),
        &world.path("one"),
        "mine",
        &json!({"blocks": 12}),
    );
    assert_eq!(
        (status, &made["done"], &made["stopped"]),
        (200, &json!(true), &Value::Null)
    );
    let blocks = ids(&made);
    assert_eq!(blocks.len(), 12);
    assert_eq!(made["new_head"]["height"], 12);
    assert_eq!(
        made["difficulty_before"], made["difficulty_after"],
        "{made}"
    );
    wait_for("the blocks on the other node", || two.height() == 12);
    for (height, hash) in blocks {
        assert_eq!(hash_at(&two, height), hash);
    }
}

#[test]
fn reorgs_of_any_depth_replace_the_chain_on_every_node() {
    let world = World::new();
    let one = world.node("one").start();
    let two = world.node("two").joining(&one).start();
    let directory = world.path("one");
    let (status, made) = order(&one.url(), &directory, "mine", &json!({"blocks": 135}));
    assert_eq!((status, &made["new_head"]["height"]), (200, &json!(135)));
    // The last one reaches below the states that are kept in memory.
    for depth in [1, 5, 130] {
        let before = one.height();
        wait_for("the same height", || two.height() == before);
        let old: Vec<_> = (before - depth..=before)
            .map(|height| hash_at(&one, height))
            .collect();
        let (status, made) = order(&one.url(), &directory, "reorg", &json!({"depth": depth}));
        assert_eq!((status, &made["depth"]), (200, &json!(depth)), "{made}");
        let blocks = ids(&made);
        let (height, tip) = blocks.last().unwrap().clone();
        assert_eq!(made["new_head"]["hash"], tip.as_str());
        wait_for("the new head on both", || {
            [&one, &two]
                .iter()
                .all(|node| node.height() == height && hash_at(node, height) == tip)
        });
        assert_eq!(
            hash_at(&two, before - depth),
            old[0],
            "the branch's root stays"
        );
        for ((height, new), old) in blocks.iter().zip(&old[1..]) {
            assert_eq!(&hash_at(&two, *height), new);
            assert_ne!(new, old);
        }
    }
}

#[test]
fn delayed_messages_arrive_in_the_end() {
    let world = World::new();
    let one = world.node("one").start();
    let two = world.node("two").joining(&one).start();
    two.wait_for("a peer", |node| node.get("/v1/status")["peers"] == 1);
    let delay = |milliseconds: u64| {
        let body = json!({"milliseconds": milliseconds});
        order(&two.url(), &world.path("two"), "delay", &body).0
    };
    assert_eq!(delay(1_500), 200);
    let before = Instant::now();
    let (_, made) = order(
        &one.url(),
        &world.path("one"),
        "mine",
        &json!({"blocks": 1}),
    );
    let height = two.height();
    // On a busy machine we may look too late to see it.
    if before.elapsed() < Duration::from_millis(1_500) {
        assert_eq!(height, 0, "the block is still on its way");
    }
    two.wait_for("the block", |node| node.height() == 1);
    assert_eq!(hash_at(&two, 1), made["new_head"]["hash"].as_str().unwrap());
    assert_eq!(delay(0), 200);
    order(
        &one.url(),
        &world.path("one"),
        "mine",
        &json!({"blocks": 1}),
    );
    two.wait_for("the next block", |node| node.height() == 2);
}
