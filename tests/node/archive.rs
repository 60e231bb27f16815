//! Accounts after blocks of the past: of any with an archive, of the last 128 without one. Against what
//! a node said of them while each block was its head.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    dev_orders::order,
    harness::{Node, World},
    store::{assert_whole, pay},
};

/// More than the states that are kept without an archive.
const BLOCKS: u64 = 150;
/// Blocks that a reorg replaces.
const DEPTH: u64 = 5;
/// What a block pays in the networks of these tests, in wei.
const REWARD: u128 = 5_000_000_000_000_000_000;

/// Balances of the accounts by height, the miner's last.
struct Record {
    addresses: Vec<String>,
    balances: BTreeMap<u64, Vec<u128>>,
}

impl Record {
    /// Of who pays, of whom a payment reaches once, of who gets nothing, and of the miner.
    fn new() -> Self {
        let address = |number| wallet::dev_key(number).address().to_string();
        Self {
            addresses: [0, 3, 200, 9].map(address).into(),
            balances: BTreeMap::new(),
        }
    }

    /// Notes what a node says of its head, and its height.
    fn note(&mut self, node: &Node) -> u64 {
        let said = node.get(&format!(
            "/v1/accounts?address={}",
            self.addresses.join(",")
        ));
        let accounts = said["accounts"].as_array().unwrap().iter();
        let height = said["head"]["height"].as_u64().unwrap();
        self.balances
            .insert(height, accounts.map(balance).collect());
        height
    }

    /// Every account after every block from one on is as it was noted.
    fn check(&self, node: &Node, from: u64) {
        for (height, balances) in self.balances.range(from..) {
            for (address, want) in self.addresses.iter().zip(balances) {
                let said = node.get(&format!("/v1/accounts/{address}?at={height}"));
                assert_eq!(balance(&said), *want, "{address} at {height}");
                assert_eq!(said["at"]["height"], *height);
            }
        }
    }
}

fn balance(account: &Value) -> u128 {
    account["chain"]["balance"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

/// A node whose blocks are made by orders, and cost nothing.
struct Site {
    world: World,
    nonce: u64,
}

impl Site {
    fn start(&self, arguments: &[&str]) -> Node {
        let command = self.world.node("node").with(&["--beneficiary", "dev:9"]);
        command.with(arguments).start()
    }

    fn order(&self, node: &Node, verb: &str, body: &Value) -> Value {
        let (status, made) = order(&node.url(), &self.world.path("node"), verb, body);
        assert_eq!(status, 200, "{made}");
        made
    }

    /// One block at a time up to a height, with a payment in every third.
    fn grow(&mut self, node: &Node, record: &mut Record, height: u64) {
        while record.note(node) < height {
            if self.nonce * 3 <= node.height() {
                pay(node, self.nonce);
                self.nonce += 1;
            }
            self.order(node, "mine", &json!({"blocks": 1}));
        }
    }
}

fn refused(node: &Node, record: &Record, at: &str) -> (u16, Value) {
    let path = format!("/v1/accounts/{}?at={at}", record.addresses[0]);
    node.try_get(&path).unwrap()
}

#[test]
fn an_archive_tells_accounts_after_every_block() {
    let mut site = Site {
        world: World::new(),
        nonce: 0,
    };
    let easy = json!({ "genesis_bits": "0x207fffff" });
    site.world.write_spec("network.json", &easy);
    let mut record = Record::new();
    let node = site.start(&["--archive"]);
    site.grow(&node, &mut record, BLOCKS / 2);
    assert_eq!(node.stop(), Some(0));
    // It stays an archive.
    let node = site.start(&[]);
    record.check(&node, 0);
    site.grow(&node, &mut record, BLOCKS);

    // The last blocks are replaced by empty ones.
    let lost = node.get(&format!("/v1/blocks/{BLOCKS}"))["hash"].clone();
    let made = site.order(&node, "reorg", &json!({"depth": DEPTH}));
    let mut balances = record.balances[&(BLOCKS - DEPTH)].clone();
    record.balances.split_off(&(BLOCKS - DEPTH + 1));
    for block in made["blocks"].as_array().unwrap() {
        *balances.last_mut().unwrap() += REWARD;
        let height = block["height"].as_u64().unwrap();
        record.balances.insert(height, balances.clone());
    }
    record.check(&node, 0);
    site.grow(&node, &mut record, BLOCKS + 20);
    record.check(&node, 0);
    node.kill();
    let node = site.start(&[]);
    record.check(&node, 0);
    let (status, problem) = refused(&node, &record, lost.as_str().unwrap());
    let best = node.get(&format!("/v1/blocks/{BLOCKS}"))["hash"].clone();
    assert_eq!(
        (status, &problem["code"]),
        (404, &json!("not_in_best_chain"))
    );
    assert_eq!((&problem["want"], &problem["got"]), (&best, &lost));
    let (status, problem) = refused(&node, &record, "100000");
    assert_eq!((status, &problem["code"]), (404, &json!("not_found")));
    assert_eq!(node.stop(), Some(0));

    // Without it the last 128 are known, and what is older is told from what is not there.
    let node = site.start(&["--archive=false"]);
    let oldest = node.height() - 128;
    record.check(&node, oldest);
    let (status, problem) = refused(&node, &record, &(oldest - 1).to_string());
    assert_eq!((status, &problem["code"]), (410, &json!("state_not_kept")));
    assert_eq!(problem["want"], oldest.to_string());
    assert_eq!(problem["got"], (oldest - 1).to_string());
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("--archive"), "{detail}");
    assert_eq!(node.stop(), Some(0));
    assert_whole(&site.world.path("node"));
    // It can be made again from the blocks.
    let node = site.start(&["--archive"]);
    record.check(&node, 0);
}
