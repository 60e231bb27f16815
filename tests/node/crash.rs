//! kill -9 at any instant: a restart holds every block that an answer had shown.
//!
//! Threat S1. What was shown is written down by the test, outside the node, and compared after
//! each start; in the end the whole store is checked.

use std::{collections::BTreeMap, thread, time::Duration};

use serde_json::{Value, json};

use crate::harness::{Node, NodeCommand, World, lignum};

/// Kills in the gate, of both tests together; the long run asks for more.
fn kills() -> u32 {
    let text = std::env::var("KILLS").ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(50)
}

/// A network of blocks so easy that there is always one being written.
fn world() -> World {
    let world = World::new();
    world.write_spec("network.json", &json!({ "genesis_bits": "0x1f7fffff" }));
    world
}

/// What a node has shown: blocks by hash, and the most work of a head.
#[derive(Default)]
struct Record {
    blocks: BTreeMap<String, u64>,
    best: BTreeMap<u64, String>,
    work: String,
}

/// Hex digits of a number, in the order of the numbers.
fn by_size(work: &Value) -> String {
    let digits = work.as_str().unwrap().trim_start_matches("0x");
    format!("{digits:0>64}")
}

impl Record {
    /// Writes down the best chain's last blocks, as the API shows them.
    fn look(&mut self, node: &Node) -> Option<()> {
        let (_, status) = node.try_get("/v1/status")?;
        let head = status["head"]["height"].as_u64()?;
        let known = self.best.last_key_value().map_or(0, |(height, _)| *height);
        for height in known.min(head).saturating_sub(3)..=head {
            let (_, block) = node.try_get(&format!("/v1/blocks/{height}"))?;
            let hash = block["hash"].as_str()?.to_owned();
            self.blocks.insert(hash.clone(), height);
            self.best.insert(height, hash);
        }
        self.work = by_size(&status["head"]["chain_work"]).max(self.work.clone());
        Some(())
    }

    /// After a start nothing that was shown is gone, and the head is no worse.
    fn compare(&self, node: &Node) {
        let status = node.get("/v1/status");
        let work = by_size(&status["head"]["chain_work"]);
        assert!(work >= self.work, "work {work}, {} was shown", self.work);
        let last = self.best.last_key_value().map_or(0, |(height, _)| *height);
        let recent = self
            .blocks
            .iter()
            .filter(|(_, height)| **height + 50 > last);
        for (hash, height) in recent {
            let block = node.get(&format!("/v1/blocks/{hash}"));
            assert_eq!(block["height"], *height);
        }
    }
}

/// Kills a node again and again, each time at another moment of its work.
fn kill_often(command: &NodeCommand, kills: u32, alone: Alone) -> Record {
    let mut record = Record::default();
    for round in 0..kills {
        let node = command.start();
        record.compare(&node);
        if alone == Alone::Yes {
            // A lone miner has no rivals, so what was shown stays on its best chain.
            for (height, hash) in record.best.iter().rev().take(50) {
                let block = node.get(&format!("/v1/blocks/{height}"));
                assert_eq!(block["hash"], hash.as_str(), "in round {round}");
            }
        }
        for _ in 0..=round % 5 {
            record.look(&node).expect("the node answers");
            thread::sleep(Duration::from_millis(u64::from(31 + 37 * round % 90)));
        }
        node.kill();
    }
    record
}

/// Whether a node has peers that mine.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alone {
    Yes,
    No,
}

fn assert_whole(world: &World, name: &str) {
    let place = world.path(name);
    let output = lignum(&["db", "--datadir", place.to_str().unwrap(), "check"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn a_miner_loses_no_block_that_was_shown() {
    let world = world();
    let command = world.node("miner").mining("miner");
    let record = kill_often(&command, kills() / 2, Alone::Yes);
    assert!(record.best.len() > 20, "{} blocks", record.best.len());
    assert_whole(&world, "miner");
}

/// Two miners whose branches meet: the one that is killed syncs, mines, reorganises and makes
/// checkpoints.
#[test]
fn a_node_among_rivals_loses_no_block_that_was_shown() {
    let world = world();
    let rival = world.node("rival").mining("rival").start();
    let command = world.node("node").mining("node").joining(&rival);
    let record = kill_often(&command, kills() - kills() / 2, Alone::No);
    assert!(record.blocks.len() > 20, "{} blocks", record.blocks.len());
    assert_whole(&world, "node");
}
