//! Peers that attack a real node: it keeps its honest peer, follows the chain, and stays small.
//!
//! In each scenario an honest node mines and the victim follows it, while clients of ours that
//! know the protocol and keep none of its rules do what they can to the victim.

mod client;
mod floods;
mod forge;
mod frames;
mod greed;
mod lies;
mod wire;

use std::fs;

use chain::{Request, Response, U256};
use serde_json::{Value, json};

use crate::harness::{Node, World, wait_for};
use client::Client;
use forge::{Forge, Network};
use wire::Answer;

/// Bytes that a node's log may have in the end, however much it was sent.
const LOG_BYTES_MAX: usize = 1 << 20;
/// Mebibytes by which most attacks may let a node grow at any moment.
const GROWTH_MIB: u64 = 64;

/// Half-life of the difficulty where the genesis is long ago, in seconds.
const HALF_LIFE: u32 = 36_000;

/// More work than all honest miners of these tests ever do.
fn boast() -> U256 {
    U256::from(1) << 200
}

/// An honest miner, a victim that follows it, and the attackers' view of their network.
struct Scene {
    world: World,
    network: Network,
    miner: Node,
    victim: Node,
    /// Kibibytes of memory that the victim had before the attack.
    before: Option<u64>,
}

impl Scene {
    /// A chain of constant difficulty, about 2^17 hashes a block.
    fn new() -> Self {
        Self::of(World::new(), 10)
    }

    /// A chain of 2^13 hashes a block whose genesis is long ago. Whoever makes use of all that time
    /// can have any number of headers of two hashes, after a few at gaps that ease the target.
    fn old() -> Self {
        let world = World::new();
        let changes = json!({ "half_life_secs": HALF_LIFE, "genesis_bits": "0x1f01ffff" });
        let path = world.write_spec("network.json", &changes);
        let mut spec: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let now: u64 = spec["timestamp"].as_str().unwrap().parse().unwrap();
        spec["timestamp"] = (now - 1_000_000).to_string().into();
        fs::write(path, spec.to_string()).unwrap();
        Self::of(world, 500)
    }

    /// A chain of many headers with hardly any work, in the time since an old genesis.
    fn cheap_chain(&self, count: u32) -> Forge {
        let mut forge = self.network.forge();
        let mut time = forge.tip().pow.time;
        for number in 0..count {
            // Each such gap eases the target to a quarter of the work.
            time += if number < 8 { 2 * HALF_LIFE } else { 1 };
            forge.mine(time);
        }
        forge
    }

    /// The miner has this many blocks, and so has the victim.
    fn of(world: World, blocks: u64) -> Self {
        let network = Network::read(&world.spec());
        let miner = world.node("miner").mining("honest").start();
        let victim = world.node("victim").joining(&miner).start();
        miner.wait_for("a chain", |node| node.height() >= blocks);
        let scene = Self {
            world,
            network,
            miner,
            victim,
            before: None,
        };
        scene.goes_on(1);
        scene.begin()
    }

    /// From here on the victim's memory counts.
    fn begin(mut self) -> Self {
        // The peak is to be that of the attack. Where this cannot be had, neither can the peak.
        let _ = fs::write(format!("/proc/{}/clear_refs", self.victim.pid()), "5");
        self.before = memory(&self.victim, "VmRSS");
        self
    }

    /// An attacker of the victim.
    fn attacker(&self, answer: impl FnMut(Request) -> Answer + Send + 'static) -> Client {
        attacker(&self.victim, &self.network, answer).accepted()
    }

    /// An attacker that claims much and answers nothing.
    fn boaster(&self) -> Client {
        self.attacker(self.boasting(|_| Answer::Decline))
    }

    /// Answers the question for a status with a boast, and leaves the others to `answer`.
    fn boasting(
        &self,
        mut answer: impl FnMut(Request) -> Answer + Send + 'static,
    ) -> impl FnMut(Request) -> Answer + Send + 'static {
        let status = self.network.claim(boast());
        move |request| match request {
            Request::Status(_) => Response::Status(status.clone()).into(),
            other => answer(other),
        }
    }

    /// The honest chain grows by so many blocks, and the victim has them.
    fn goes_on(&self, blocks: u64) {
        let goal = self.miner.height() + blocks;
        self.victim
            .wait_for("the honest chain", |node| node.height() >= goal);
        let at = |node: &Node| node.get(&format!("/v1/blocks/{goal}"))["hash"].clone();
        wait_for("one chain", || at(&self.miner) == at(&self.victim));
    }

    /// What must hold of the victim after any attack. Says what it cost.
    fn ends_unharmed(self, name: &str, growth_mib: u64) {
        self.goes_on(5);
        let honest = self.miner.log();
        assert!(!honest.contains("disconnected"), "{honest}");
        let said = self.victim.log();
        assert!(said.len() < LOG_BYTES_MAX, "{} bytes of log", said.len());
        assert!(!said.contains("panicked"), "{said}");
        let (now, peak) = ("VmRSS", "VmHWM");
        let [now, peak] = [now, peak].map(|key| memory(&self.victim, key));
        let grown = |then: Option<u64>| Some(then?.saturating_sub(self.before?) / 1024);
        eprintln!(
            "{name}: grew by {:?} MiB, at most by {:?} MiB; height {}; log {} bytes",
            grown(now),
            grown(peak),
            self.victim.height(),
            said.len(),
        );
        let grown = grown(peak).unwrap_or(0);
        assert!(grown <= growth_mib, "grew by {grown} MiB");
        assert_eq!(self.victim.stop(), Some(0));
        drop(self.world);
    }
}

/// An attacker of a node, which may not take it for a peer yet.
fn attacker(
    node: &Node,
    network: &Network,
    answer: impl FnMut(Request) -> Answer + Send + 'static,
) -> Client {
    Client::connect(&node.p2p(), &network.tag(), answer)
}

/// Waits until the node has closed the connections of all of these, and of no others.
fn all_dropped(node: &Node, clients: &[Client], left: u64) {
    for (number, client) in clients.iter().enumerate() {
        wait_for(&format!("the end of attacker {number}"), || {
            client.was_dropped()
        });
    }
    node.wait_for("only honest peers", |node| {
        node.get("/v1/status")["peers"] == left
    });
}

/// A line of the process's status in kibibytes, where there is such a thing.
fn memory(node: &Node, key: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", node.pid())).ok()?;
    let line = status.lines().find(|line| line.starts_with(key))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
