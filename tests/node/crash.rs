//! kill -9 while mining: a restart holds every block that an answer had shown.

use std::{collections::BTreeMap, thread, time::Duration};

use serde_json::json;

use crate::harness::{Node, World};

/// Kills in the gate; the long run asks for more through the environment.
fn kills() -> u32 {
    std::env::var("KILLS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(20)
}

/// Every best-chain block above `known`, as the API shows it.
fn read_blocks(node: &Node, seen: &mut BTreeMap<u64, String>) -> Option<()> {
    let (_, status) = node.try_get("/v1/status")?;
    let head = status["head"]["height"].as_u64()?;
    let first = seen.last_key_value().map_or(0, |(height, _)| *height);
    for height in first..=head {
        let (_, block) = node.try_get(&format!("/v1/blocks/{height}"))?;
        seen.insert(height, block["hash"].as_str()?.to_owned());
    }
    Some(())
}

#[test]
fn no_block_that_was_shown_is_lost() {
    let world = World::new();
    // Easy blocks: there is always one being written, however busy the machine is.
    world.write_spec("network.json", &json!({ "genesis_bits": "0x1f7fffff" }));
    let command = world.node("miner").mining("miner");
    let mut seen: BTreeMap<u64, String> = BTreeMap::new();
    for round in 0..kills() {
        let node = command.start();
        let head = node.get("/v1/status")["head"]["height"].as_u64().unwrap();
        let shown = seen.last_key_value().map_or(0, |(height, _)| *height);
        assert!(
            head >= shown,
            "head {head} after the restart, {shown} had been shown"
        );
        for (height, hash) in seen.range(shown.saturating_sub(50)..) {
            let block = node.get(&format!("/v1/blocks/{height}"));
            assert_eq!(
                block["hash"],
                hash.as_str(),
                "block {height} in round {round}"
            );
            // A lone miner has no rivals, so what was shown stays on its best chain.
            assert_eq!(block["in_best_chain"], true);
        }
        // Killed at another moment of its work each time.
        let looks = 1 + round % 7;
        for _ in 0..looks {
            read_blocks(&node, &mut seen).expect("the node answers");
            thread::sleep(Duration::from_millis(u64::from(37 + 13 * round % 60)));
        }
        node.kill();
    }
    assert!(seen.len() > 20, "only {} blocks were mined", seen.len());
}
