//! Everything asked for at once, and none of the answers read.

use std::cmp::Reverse;

use chain::{
    BlockHash, Request, TxHash,
    params::{BLOCKS_BYTES_MAX, BLOCKS_MAX, TRANSACTIONS_MAX},
};
use serde_json::Value;
use wallet::sign::{Transfer, sign_transfer};

use super::{Scene, client::Client, wire::Ask};
use crate::harness::{Node, post};

/// Attackers, each with more requests than a node lets one peer have under way.
const CLIENTS: usize = 4;
/// Requests of each attacker, of each kind.
const REQUESTS: usize = 200;
/// Mebibytes by which the victim may grow.
const GROWTH_MIB: u64 = 192;
/// Bytes of each transaction in the large blocks.
const LARGE: usize = 120_000;

/// Posts large transactions and waits until they are in blocks; gives the largest blocks, which
/// together are more than one answer holds.
fn large_blocks(node: &Node) -> Vec<BlockHash> {
    let from = node.height();
    for nonce in 0..32 {
        let transfer = Transfer {
            chain_id: 1337,
            nonce,
            to: wallet::dev_key(9).address(),
            value: 1,
            gas_limit: 1_300_000,
            max_fee: 100_000_000_000,
            tip: 1_000_000_000,
            input: vec![0; LARGE],
        };
        let raw = sign_transfer(&wallet::dev_key(0), &transfer);
        let raw: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
        let (status, taken) = post(&node.http(), "/v1/transactions", "text/plain", &raw);
        assert_eq!(status, 202, "{taken}");
    }
    let account = format!("/v1/accounts/{}", wallet::dev_key(0).address());
    node.wait_for("large blocks", |node| {
        node.get(&account)["chain"]["nonce"] == 32
    });
    let blocks = (from..=node.height()).map(|height| node.get(&format!("/v1/blocks/{height}")));
    let size = |block: &Value| block["body_bytes"].as_u64().unwrap_or(0);
    let mut blocks: Vec<_> = blocks.collect();
    blocks.sort_by_key(|block| Reverse(size(block)));
    blocks.truncate(BLOCKS_MAX);
    let bytes: u64 = blocks.iter().map(size).sum();
    assert!(bytes > BLOCKS_BYTES_MAX as u64, "{bytes} bytes in blocks");
    let hash = |block: &Value| block["hash"].as_str().unwrap().parse().unwrap();
    blocks.iter().map(hash).collect()
}

#[test]
fn answers_that_nobody_reads_do_not_pile_up() {
    let scene = Scene::new();
    let large = large_blocks(&scene.victim);
    let scene = scene.begin();
    let requests = [
        Request::Blocks(large),
        Request::Headers(vec![scene.network.genesis.hash()]),
        Request::Transactions(vec![TxHash::default(); TRANSACTIONS_MAX]),
    ];
    let clients: Vec<Client> = (0..CLIENTS).map(|_| scene.boaster()).collect();
    for client in &clients {
        for request in requests.iter().flat_map(|request| vec![request; REQUESTS]) {
            let Ask::Read(bytes) = request.into() else {
                unreachable!()
            };
            client.send(Ask::Unread(bytes));
        }
    }
    scene.goes_on(20);
    scene.ends_unharmed("answers that nobody reads", GROWTH_MIB);
}
