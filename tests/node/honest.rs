//! No transaction that a node has accepted from an honest sender vanishes without a reason that it
//! can tell: random payments, replacements and cancellations on a devnet whose nodes are killed and
//! split, while a rival floods it.
//!
//! `HONEST_SEED` is another run, `HONEST_ROUNDS` a longer one; large counts belong to `.ci/long`.

use std::collections::BTreeMap;

use serde_json::Value;
use wallet::sign::{Transfer, sign_transfer};

use crate::{
    devnet::{endpoints, pid, signal},
    harness::{DEV_0, get, post, wait_for},
    split::Net,
};

const GWEI: u128 = 1_000_000_000;
const NODES: u32 = 3;
/// Transactions in a flood.
const FLOOD: u64 = 48;

/// A number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What was accepted.
struct Sent {
    hash: String,
    nonce: u64,
    /// Who accepted it.
    home: u32,
}

struct World {
    net: Net,
    chain_id: u64,
    random: u64,
    sent: Vec<Sent>,
    /// The honest sender's and the rival's next nonces.
    next: [u64; 2],
    /// What was last paid for a nonce, in wei per gas for the miner.
    tips: BTreeMap<u64, u128>,
}

impl World {
    fn new() -> Self {
        let net = Net::start(NODES);
        let chain_id = net.ask(1, "/v1/status").unwrap()["chain_id"]
            .as_u64()
            .unwrap();
        let seed = setting("HONEST_SEED", 1);
        println!("HONEST_SEED={seed}");
        Self {
            net,
            chain_id,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            sent: Vec::new(),
            next: [0, 0],
            tips: BTreeMap::new(),
        }
    }

    /// A number below `below`.
    fn draw(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    /// Sends a transfer of one of the dev accounts; its hash, or with what status it was refused.
    fn submit(
        &self,
        who: u32,
        node: u32,
        nonce: u64,
        value: u128,
        tip: u128,
    ) -> Result<String, u16> {
        let raw = sign_transfer(
            &wallet::dev_key(who),
            &Transfer {
                chain_id: self.chain_id,
                nonce,
                to: wallet::dev_key(if value == 0 { who } else { 9 }).address(),
                value,
                gas_limit: 21_000,
                max_fee: 20 * tip,
                tip,
                input: Vec::new(),
            },
        );
        let raw: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
        let url = self.net.url(node);
        let address = url.trim_start_matches("http://");
        let (status, answer) = post(address, "/v1/transactions", "text/plain", &raw);
        match status {
            202 => Ok(answer["hash"].as_str().unwrap().to_owned()),
            409 | 422 => Err(status),
            _ => panic!("{status}: {answer}"),
        }
    }

    /// The honest sender offers something for a nonce, to one of the first two nodes.
    fn offer(&mut self, nonce: u64, value: u128) {
        let home = 1 + u32::try_from(self.draw(2)).unwrap();
        let tip = self.tips.get(&nonce).map_or(GWEI, |tip| tip * 6 / 5);
        match self.submit(0, home, nonce, value, tip) {
            Ok(hash) => {
                self.tips.insert(nonce, tip);
                self.next[0] = self.next[0].max(nonce + 1);
                self.sent.push(Sent { hash, nonce, home });
            }
            Err(status) => assert_eq!(status, 422, "only the rival sends the same twice"),
        }
    }

    /// A payment, or another one in place of one of the latest, or nothing in its place.
    fn act(&mut self) {
        let next = self.next[0];
        let latest = next.saturating_sub(1 + self.draw(3));
        match self.draw(5) {
            0 if next > 0 => self.offer(latest, 2),
            1 if next > 0 => self.offer(latest, 0),
            _ => self.offer(next, 1),
        }
    }

    /// A rival pays twice as much for as much as a node takes of him, and again for what it has.
    fn flood(&mut self) {
        let first = self.next[1];
        for nonce in (first..first + FLOOD).chain(first..first + 4) {
            if self.submit(1, NODES, nonce, 1, 2 * GWEI).is_ok() {
                self.next[1] = nonce + 1;
            }
        }
    }

    fn kill(&mut self, node: u32) {
        self.check();
        let killed = pid(&self.net.directory, node);
        signal(killed, "KILL");
        wait_for("the node started again", || {
            endpoints(&self.net.directory, node).is_some_and(|found| found["pid"] != killed)
        });
    }

    /// What the honest sender sees mined on one side is undone by the other.
    fn reorg(&mut self) {
        self.net.dev(&["split", "2/1"]);
        for (node, peers) in [(1, 1), (2, 1), (3, 0)] {
            self.net.wait_for_peers(node, peers);
        }
        self.act();
        self.net.mine(1, 1);
        self.act();
        self.check();
        self.net.overtake(NODES, 1, 2);
        self.net.dev(&["heal"]);
        self.net.wait_until_whole();
        self.check();
    }

    /// What the node that accepted a transaction says of it now.
    fn standing(&self, sent: &Sent) -> (u16, Value) {
        let path = format!("/v1/transactions/{}/status", sent.hash);
        let answer = || {
            let endpoints = endpoints(&self.net.directory, sent.home)?;
            get(endpoints["http"].as_str()?, &path)
        };
        wait_for("an answer", || answer().is_some());
        answer().expect("it has just answered")
    }

    /// Every one that was accepted is in a block, or waits, or its node says why it left: for
    /// another one of the same sender. That the node was killed since is no excuse.
    fn check(&self) {
        for sent in &self.sent {
            let rivals = self.sent.iter().filter(|other| other.nonce == sent.nonce);
            let is_alone = rivals.count() == 1;
            let (status, standing) = self.standing(sent);
            let state = standing["status"].as_str().unwrap_or_default().to_owned();
            match (status, state.as_str()) {
                (200, "mined") => {}
                (200, "pending") => assert!(standing["pool"]["code"].is_string(), "{standing}"),
                (200, "departed") => {
                    let code = standing["departed"]["code"].as_str().unwrap().to_owned();
                    let is_reason = match code.as_str() {
                        "mined" => true,
                        "replaced" | "nonce_used" | "not_taken_back" => !is_alone,
                        _ => false,
                    };
                    assert!(
                        is_reason,
                        "{} of nonce {}: {standing}",
                        sent.hash, sent.nonce
                    );
                }
                _ => panic!("{} of nonce {}: {status} {standing}", sent.hash, sent.nonce),
            }
        }
    }

    /// In the end each nonce is in a block, the same on all nodes.
    fn settle(&mut self) {
        let next = self.next[0];
        wait_for("every nonce in a block", || {
            self.net.mine(1, 1);
            (1..=NODES).all(|node| {
                let account = self.net.ask(node, &format!("/v1/accounts/{DEV_0}"));
                account.is_some_and(|account| account["chain"]["nonce"] == next)
            })
        });
        self.net.wait_until_whole();
        self.check();
        for nonce in 0..next {
            let own = self.sent.iter().filter(|sent| sent.nonce == nonce);
            let mined = own.filter(|sent| self.net.block_of(1, &sent.hash).is_some());
            assert_eq!(mined.count(), 1, "nonce {nonce}");
        }
    }
}

#[test]
fn no_accepted_transaction_vanishes_without_a_reason() {
    let mut world = World::new();
    for round in 0..setting("HONEST_ROUNDS", 2) {
        for _ in 0..4 {
            world.act();
        }
        world.flood();
        world.act();
        world.kill(1 + u32::try_from(round).unwrap() % NODES);
        world.act();
        world.net.wait_until_whole();
        world.reorg();
    }
    world.settle();
    let replaced = world.sent.len() as u64 - world.next[0];
    println!(
        "{} accepted, {replaced} of them in place of others",
        world.sent.len()
    );
}
