//! `getblocktemplate` and `submitblock`, as a mining program of BIP 22 uses them.

use std::{thread, time::Duration};

use serde_json::{Value, json};

use super::{
    client::{block_target, hex, number, sha256d, unhex},
    order, shown,
};
use crate::{
    dev_orders::post_with,
    harness::{DEV_1, Node, World},
};

/// `ADDRESS:x` in base64, for two addresses.
const DEV_1_BASIC: &str = "MHg3MDk5Nzk3MEM1MTgxMmRjM0EwMTBDN2QwMWI1MGUwZDE3ZGM3OUM4Ong=";

fn rpc(node: &Node, login: &str, method: &str, params: &Value) -> Value {
    let head = format!("Authorization: Basic {login}\r\n");
    let body = json!({"id": 3, "method": method, "params": params});
    let (status, answer) = post_with(&node.url(), "/mining", &head, &body);
    assert_eq!((status, &answer["id"]), (200, &json!(3)), "{answer}");
    answer
}

fn template(node: &Node) -> Value {
    let capabilities = json!([{"capabilities": ["coinbasetxn", "longpoll", "workid"]}]);
    rpc(node, DEV_1_BASIC, "getblocktemplate", &capabilities)["result"].clone()
}

/// The header up to its nonce, put together as mining programs do, and the coinbase.
fn header(template: &Value) -> (Vec<u8>, Vec<u8>) {
    let text = |key: &str| unhex(template[key].as_str().unwrap());
    let reversed = |mut bytes: Vec<u8>| {
        bytes.reverse();
        bytes
    };
    let word = |key: &str| u32::try_from(template[key].as_u64().unwrap()).unwrap();
    let coinbase = unhex(template["coinbasetxn"]["data"].as_str().unwrap());
    let mut header = word("version").to_le_bytes().to_vec();
    header.extend(reversed(text("previousblockhash")));
    header.extend(sha256d(&coinbase));
    header.extend(word("curtime").to_le_bytes());
    header.extend(reversed(text("bits")));
    (header, coinbase)
}

/// A block of the template in hex, as it is submitted, and its hash; the first whose hash fits.
fn solve(template: &Value, fits: impl Fn(f64) -> bool) -> (String, [u8; 32]) {
    let (prefix, coinbase) = header(template);
    for nonce in 0..u32::MAX {
        let header = [&prefix[..], &nonce.to_le_bytes()].concat();
        let hash = sha256d(&header);
        if fits(number(&hash)) {
            return (hex(&[&header[..], &[1], &coinbase].concat()), hash);
        }
    }
    panic!("no nonce fits");
}

fn submit(node: &Node, block: &str) -> Value {
    rpc(node, "", "submitblock", &json!([block]))
}

#[test]
fn a_program_of_bip_22_mines_real_blocks() {
    let world = World::new();
    let node = world.node("node").start();
    let work = template(&node);
    assert!(work["version"].as_u64().unwrap() & 0xff <= 4, "{work}");
    assert_eq!(work["transactions"], json!([]));
    assert!(unhex(work["coinbasetxn"]["data"].as_str().unwrap()).len() >= 60);
    assert_eq!(work["height"], 1);
    let target = block_target(work["bits"].as_str().unwrap());
    let mut shown_target = unhex(work["target"].as_str().unwrap());
    shown_target.reverse();
    assert_eq!(number(&shown_target.try_into().unwrap()), target);

    let (low, _) = solve(&work, |hash| hash > target);
    assert_eq!(submit(&node, &low)["result"], "high-hash");
    let (block, hash) = solve(&work, |hash| hash <= target);
    let taken = submit(&node, &block);
    assert!(
        taken["result"].is_null() && taken["error"].is_null(),
        "{taken}"
    );
    node.wait_for("the block", |node| node.height() == 1);
    let mined = node.get("/v1/blocks/1");
    assert_eq!(mined["hash"], shown(&hash));
    assert_eq!(mined["beneficiary"], DEV_1);
    assert_eq!(submit(&node, &block)["result"], "duplicate");
    let (stale, _) = solve(&work, |other| other <= target && other != number(&hash));
    assert_eq!(submit(&node, &stale)["result"], "stale-prevblk");

    // Two programs of one address do different work.
    let (one, two) = (template(&node), template(&node));
    assert_eq!(one["height"], 2);
    assert_ne!(one["coinbasetxn"], two["coinbasetxn"]);
    let mut forged = two.clone();
    let data = two["coinbasetxn"]["data"].as_str().unwrap();
    forged["coinbasetxn"]["data"] = json!(format!("{}ff{}", &data[..170], &data[172..]));
    let (unknown, _) = solve(&forged, |hash| hash <= target);
    assert_eq!(submit(&node, &unknown)["result"], "unknown-work");
    let (block, _) = solve(&two, |hash| hash <= target);
    assert_eq!(submit(&node, &block)["result"], Value::Null);
    node.wait_for("the block", |node| node.height() == 2);
}

#[test]
fn a_long_poll_ends_with_the_head() {
    let world = World::new();
    let node = world.node("node").start();
    let first = template(&node);
    let directory = world.path("node");
    let known = json!([{"longpollid": first["longpollid"]}]);
    let polled = thread::scope(|scope| {
        let poll = scope.spawn(|| rpc(&node, DEV_1_BASIC, "getblocktemplate", &known));
        thread::sleep(Duration::from_millis(300));
        assert!(!poll.is_finished());
        order(&node.url(), &directory, "mine", &json!({"blocks": 1}));
        poll.join().unwrap()
    });
    assert_eq!(polled["result"]["height"], 2, "{polled}");
}

#[test]
fn what_is_no_call_is_refused_with_what_was_wanted() {
    let world = World::new();
    let node = world.node("node").start();
    let refused = |login: &str, method: &str, params: Value, said: &str| {
        let answer = rpc(&node, login, method, &params);
        let message = answer["error"]["message"].as_str().unwrap().to_owned();
        assert!(
            answer["result"].is_null() && message.contains(said),
            "{answer}"
        );
    };
    refused("", "getwork", json!([]), "no method \"getwork\"");
    refused("", "submitblock", json!([]), "357 bytes");
    refused("", "submitblock", json!(["00".repeat(357)]), "357 bytes");
    refused("", "submitblock", json!(["zz"]), "357 bytes");
    refused(
        "",
        "getblocktemplate",
        json!([{"mode": "proposal"}]),
        "template",
    );
    // "bob:x"
    refused("Ym9iOng=", "getblocktemplate", json!([]), "40 hex digits");
    let nobody = rpc(&node, "", "getblocktemplate", &json!([]));
    assert_eq!(nobody["result"]["height"], 1, "a dev network pays somebody");
    let (status, problem) = post_with(&node.url(), "/mining", "", &json!([1]));
    assert_eq!((status, &problem["code"]), (400, &json!("bad_body")));
}
