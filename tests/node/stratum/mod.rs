//! Miners of other programs: real blocks through Stratum and `getblocktemplate`, every refusal, and
//! what hostile miners can and cannot do.

mod client;
mod hostile;
mod template;

use std::{collections::BTreeSet, fs};

use client::{Job, Miner, block_target, hex, share_target, unhex};
use serde_json::{Value, json};

use crate::{
    dev_orders::order,
    harness::{
        DEV_0, DEV_1, Node, NodeCommand, World, assert_fails, lignum, metric, stderr, wait_for,
    },
};

/// A node that takes in miners and does not mine itself.
fn pool(world: &World, name: &str) -> NodeCommand {
    world.node(name).with(&["--stratum", "127.0.0.1:0"])
}

/// The display form of a hash.
fn shown(hash: &[u8; 32]) -> String {
    let mut hash = *hash;
    hash.reverse();
    format!("0x{}", hex(&hash))
}

fn block(node: &Node, id: &str) -> Value {
    node.get(&format!("/v1/blocks/{id}"))
}

#[test]
fn miners_of_five_and_of_six_parameters_mine_real_blocks() {
    let world = World::new();
    let node = pool(&world, "node").start();
    let other = world.node("other").joining(&node).start();
    other.wait_for("a peer", |node| node.get("/v1/status")["peers"] == 1);

    let name = format!("{DEV_1}.garage");
    let mut plain = Miner::working(&node.stratum(), &name);
    let job = plain.job.clone().unwrap();
    assert!(job.clean && job.coinbase_2.is_empty() && job.branch.is_empty());
    assert_eq!(unhex(&job.coinbase_1).len(), 260);
    let found = plain.find_block(&job, None);
    assert_eq!(plain.submit(&name, &found), 0);
    let job = plain.next_job();
    assert!(job.clean, "a new head voids the old jobs");
    let mined = block(&node, "1");
    assert_eq!(mined["hash"], shown(&found.hash));
    assert_eq!(mined["beneficiary"], DEV_1);

    let url = node.url();
    let sent = lignum(&[
        "wallet", "send", DEV_1, "1", "--from", "dev:0", "--node", &url,
    ]);
    assert!(sent.status.success(), "{}", stderr(&sent));
    let mut rolling = Miner::connect(&node.stratum());
    let extensions = json!([["version-rolling"], {"version-rolling.mask": "ffffffff"}]);
    let answer = rolling.call("mining.configure", &extensions);
    let mask = json!({"version-rolling": true, "version-rolling.mask": "1fffe000"});
    assert_eq!(answer["result"], mask);
    rolling.subscribe();
    rolling.call("mining.authorize", &json!(["dev:5", "x"]));
    let job = rolling.next_job();
    let found = rolling.find_block(&job, Some(0x1246_8000));
    assert_eq!(rolling.submit("dev:5", &found), 0);
    wait_for("the block on the other node", || other.height() == 2);
    let mined = block(&other, "2");
    assert_eq!(mined["hash"], shown(&found.hash));
    assert_eq!(
        mined["transactions"].as_array().unwrap().len(),
        1,
        "{mined}"
    );
    assert!(plain.next_job().clean);
    assert_eq!(metric(&node, "lignum_stratum_blocks_total"), 2.0);
    let accepted = "lignum_stratum_shares_total{result=\"accepted\"}";
    assert_eq!(metric(&node, accepted), 2.0);
    assert_eq!(metric(&node, "lignum_stratum_connections"), 2.0);
}

/// What `lignum status`, its JSON and `/metrics` tell of miners.
#[test]
fn a_status_tells_what_miners_do() {
    let world = hard_world();
    let node = pool(&world, "node").start();
    let (mut miner, job) = easy(&node, DEV_1);
    let target = share_target(job.difficulty);
    let good = miner.search(&job, None, |hash| hash <= target);
    assert_eq!(miner.submit(DEV_1, &good), 0);
    assert_eq!(miner.submit(DEV_1, &good), 22);
    let stratum = node.get("/v1/status")["stratum"].clone();
    let shares = json!({"accepted": 1, "stale": 0, "duplicate": 1, "refused": 0});
    assert_eq!(stratum["shares"], shares);
    assert_eq!(stratum["connections"], 1);
    assert_eq!(stratum["blocks"], 0);
    let told = lignum(&["status", "--node", &node.url()]);
    let told = String::from_utf8_lossy(&told.stdout);
    assert!(
        told.contains("\nmining   no\nstratum  1 connections   "),
        "{told}"
    );
    assert!(
        told.contains("shares: 1 accepted, 0 stale, 1 duplicate, 0 refused"),
        "{told}"
    );
    // Of a single share nobody can tell how long it took.
    assert_eq!(metric(&node, "lignum_stratum_hash_rate"), 0.0);
    assert_eq!(metric(&node, "lignum_hash_rate"), 0.0);
    assert_eq!(node.stop(), Some(0));

    let alone = world.node("alone").mining("alone").start();
    alone.wait_for("a hash rate", |node| metric(node, "lignum_hash_rate") > 0.0);
    let status = alone.get("/v1/status");
    assert_eq!(status["stratum"], Value::Null);
    assert!(
        status["miner"]["hash_rate"].as_u64().unwrap() > 0,
        "{status}"
    );
    assert!(status["miner"]["block_secs"].is_u64(), "{status}");
}

/// Threat N2.
#[test]
fn no_two_workers_share_extranonces() {
    let world = World::new();
    let node = pool(&world, "node").start();
    let miners: Vec<_> = (0..20)
        .map(|number| Miner::working(&node.stratum(), &format!("{DEV_1}.{number}")))
        .collect();
    let spaces: BTreeSet<_> = miners.iter().map(|it| it.extranonce_1.clone()).collect();
    assert_eq!(spaces.len(), miners.len());
    for miner in &miners {
        let bytes = unhex(&miner.extranonce_1).len() + miner.extranonce_2_size;
        assert_eq!(bytes, 16);
    }
    assert_eq!(node.stop(), Some(0));
    let again = pool(&world, "node").start();
    let miner = Miner::working(&again.stratum(), DEV_1);
    assert!(
        !spaces.contains(&miner.extranonce_1),
        "each start has its own"
    );
}

/// Blocks of four billion hashes: what comes back here are shares and no blocks.
fn hard_world() -> World {
    let world = World::new();
    world.write_spec("network.json", &json!({"genesis_bits": "0x1d00ffff"}));
    world
}

/// A miner whose shares are easy, and a job at that difficulty.
fn easy(node: &Node, name: &str) -> (Miner, Job) {
    let mut miner = Miner::working(&node.stratum(), name);
    let told = miner.call("mining.suggest_difficulty", &json!([1e-8]));
    assert_eq!(told["result"], true);
    let job = miner.next_job();
    assert!(!job.clean, "the head is the same");
    assert!(job.difficulty < 1.1e-8, "{}", job.difficulty);
    (miner, job)
}

#[test]
fn shares_are_refused_with_the_customary_codes() {
    let world = hard_world();
    let node = pool(&world, "node").start();
    let (mut miner, job) = easy(&node, DEV_1);
    let target = share_target(job.difficulty);
    let good = miner.search(&job, None, |hash| hash <= target);
    assert_eq!(miner.submit(DEV_1, &good), 0);
    assert_eq!(miner.submit(DEV_1, &good), 22, "a duplicate");
    let low = miner.search(&job, None, |hash| hash > 2.0 * target);
    assert_eq!(miner.submit(DEV_1, &low), 23, "low difficulty");
    assert_eq!(miner.submit(DEV_0, &good), 24, "another worker");
    let unknown = client::Found {
        job: "nonsense".into(),
        ..good.clone()
    };
    assert_eq!(miner.submit(DEV_1, &unknown), 21, "no such job");
    let early = client::Found {
        time: "00000001".into(),
        ..good.clone()
    };
    assert_eq!(miner.submit(DEV_1, &early), 20, "a time before the job's");
    let short = client::Found {
        extranonce_2: "00".into(),
        ..good.clone()
    };
    assert_eq!(miner.submit(DEV_1, &short), 20, "the wrong length");

    let mut stranger = Miner::connect(&node.stratum());
    assert_eq!(stranger.submit(DEV_1, &good), 25, "not subscribed");
    stranger.subscribe();
    for (name, said) in [
        ("bob", "40 hex digits"),
        ("", "a user name"),
        (&DEV_1[..41], "got 39"),
        (&DEV_1.replace('C', "c"), "checksum"),
        ("dev:100", "dev:0 to dev:99"),
    ] {
        let answer = stranger.call("mining.authorize", &json!([name, "x"]));
        let text = answer["error"][1].as_str().unwrap();
        assert!(text.contains(said), "{name}: {text}");
    }
    assert_eq!(node.height(), 0);
    let refused = |result: &str| {
        let name = format!("lignum_stratum_shares_total{{result=\"{result}\"}}");
        metric(&node, &name)
    };
    assert_eq!(refused("duplicate"), 1.0);
    assert_eq!(refused("low_difficulty"), 1.0);
}

/// Threat N1.
#[test]
fn shares_of_an_older_head_are_stale() {
    let world = World::new();
    let node = pool(&world, "node").start();
    let mut miner = Miner::working(&node.stratum(), DEV_1);
    let old = miner.job.clone().unwrap();
    let found = miner.find_block(&old, None);
    let (status, made) = order(
        &node.url(),
        &world.path("node"),
        "mine",
        &json!({"blocks": 1}),
    );
    assert_eq!(status, 200, "{made}");
    // Before the new job is read.
    assert_eq!(miner.submit(DEV_1, &found), 21);
    let new = miner.job.clone().filter(|job| job.id != old.id);
    let new = new.unwrap_or_else(|| miner.next_job());
    assert!(new.clean && new.previous != old.previous);
    assert_eq!(miner.submit(DEV_1, &found), 21);
    assert_eq!(node.height(), 1);
    let found = miner.find_block(&new, None);
    assert_eq!(miner.submit(DEV_1, &found), 0);
    node.wait_for("the block", |node| node.height() == 2);
}

#[test]
fn miners_roll_the_time_a_little() {
    let world = World::new();
    let node = pool(&world, "node").start();
    let mut miner = Miner::working(&node.stratum(), DEV_1);
    let mut job = miner.job.clone().unwrap();
    let time = u32::from_str_radix(&job.time, 16).unwrap() + 7;
    job.time = format!("{time:08x}");
    let found = miner.find_block(&job, None);
    assert_eq!(miner.submit(DEV_1, &found), 0);
    node.wait_for("the block", |node| node.height() == 1);
    assert_eq!(block(&node, "1")["time"], time);
}

/// A time that cannot be rolled, since the standstill that the difficulty overlooks grows with it
/// (Rule H2), makes no block that others would refuse.
#[test]
fn a_block_that_its_rolled_time_spoils_is_not_announced() {
    let world = World::new();
    let spec = world.write_spec("network.json", &json!({"half_life_secs": 120}));
    let mut old: Value = serde_json::from_str(&fs::read_to_string(&spec).unwrap()).unwrap();
    old["timestamp"] = json!("1700000000");
    fs::write(&spec, old.to_string()).unwrap();
    let node = pool(&world, "node").start();
    let mut miner = Miner::working(&node.stratum(), DEV_1);
    let job = miner.job.clone().unwrap();
    let time = u32::from_str_radix(&job.time, 16).unwrap() + 7;
    let rolled = Job {
        time: format!("{time:08x}"),
        ..job.clone()
    };
    let found = miner.find_block(&rolled, None);
    assert_eq!(miner.submit(DEV_1, &found), 0, "a share it is");
    assert_eq!(metric(&node, "lignum_stratum_blocks_total"), 0.0);
    assert!(node.log().contains("rolled the time"));
    let found = miner.find_block(&job, None);
    assert_eq!(miner.submit(DEV_1, &found), 0);
    node.wait_for("the block", |node| node.height() == 1);
}

#[test]
fn the_difficulty_rises_with_the_pace_of_shares() {
    let world = hard_world();
    let node = pool(&world, "node").start();
    let (mut miner, mut job) = easy(&node, DEV_1);
    let first = miner.difficulty;
    let target = share_target(first);
    for number in 0_u32..16 {
        // A time of its own makes each a share of its own.
        let time = u32::from_str_radix(&job.time, 16).unwrap() + u32::from(number > 0);
        job.time = format!("{time:08x}");
        let share = miner.search(&job, None, |hash| hash <= target);
        assert_eq!(miner.submit(DEV_1, &share), 0);
    }
    let harder = miner.next_job();
    assert!(
        harder.difficulty >= 4.0 * first,
        "{first} {}",
        harder.difficulty
    );
    assert!(!harder.clean && harder.time > job.time || harder.id != job.id);
    assert!(share_target(harder.difficulty) > block_target(&harder.bits));
}

#[test]
fn a_port_in_use_has_its_exit_code() {
    let world = World::new();
    let node = pool(&world, "one").start();
    let (spec, directory) = (world.spec(), world.path("two"));
    let output = lignum(&[
        "node",
        "--datadir",
        directory.to_str().unwrap(),
        "--network",
        spec.to_str().unwrap(),
        "--port",
        "0",
        "--http.port",
        "0",
        "--stratum",
        &node.stratum(),
    ]);
    assert_fails(&output, 5, &[&node.stratum(), "--stratum"]);
}
