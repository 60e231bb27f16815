//! Threat N2: miners that send too much, too long, too slowly, or are too many. Whatever they do,
//! another miner goes on working.

use std::{io::Write, net::TcpStream, thread, time::Duration};

use serde_json::json;

use super::{client::Miner, metric, pool};
use crate::harness::{DEV_1, Node, World};

/// Mines a block, as somebody who knows of no attack would.
fn mine_one(node: &Node, miner: &mut Miner) {
    let height = node.height();
    let job = miner.job.clone().unwrap();
    let found = miner.find_block(&job, None);
    assert_eq!(miner.submit(DEV_1, &found), 0);
    node.wait_for("the block", |node| node.height() > height);
    while miner.job.as_ref().unwrap().previous == job.previous {
        miner.next_job();
    }
}

#[test]
fn long_lines_and_nonsense_end_a_connection() {
    let world = World::new();
    let node = pool(&world, "node").start();
    let mut honest = Miner::working(&node.stratum(), DEV_1);
    mine_one(&node, &mut honest);

    let mut endless = Miner::connect(&node.stratum());
    // Nobody waits for the end of a line that is too long already.
    endless.write(&[b'{'; 10_000]);
    assert!(endless.is_closed());

    let mut babbler = Miner::connect(&node.stratum());
    for _ in 0..200 {
        babbler.write(b"GET / HTTP/1.1\r\n");
    }
    assert!(babbler.is_closed());

    let mut guesser = Miner::working(&node.stratum(), &format!("{DEV_1}.guesser"));
    let job = guesser.job.clone().unwrap();
    let params = json!([DEV_1, job.id, "00", job.time, "00000000"]);
    let line = json!({"id": 1, "method": "mining.submit", "params": params}).to_string();
    for _ in 0..200 {
        guesser.write(format!("{line}\n").as_bytes());
    }
    assert!(guesser.is_closed());
    node.wait_for("three closed", |node| {
        metric(node, "lignum_stratum_closed_total") == 3.0
    });
    mine_one(&node, &mut honest);
}

/// A miner that asks and never listens has its place for a bounded time only.
#[test]
fn a_miner_that_takes_no_answers_is_closed() {
    let world = World::new();
    let node = pool(&world, "node").start();
    let mut honest = Miner::working(&node.stratum(), DEV_1);
    let mut deaf = TcpStream::connect(node.stratum()).unwrap();
    deaf.set_write_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    let id = "x".repeat(3_900);
    let line = format!("{{\"id\":\"{id}\",\"method\":\"mining.extranonce.subscribe\"}}\n");
    let asking = thread::spawn(move || {
        // Answers pile up until the node can write no more, and then it reads no more.
        for _ in 0..4_000 {
            if deaf.write_all(line.as_bytes()).is_err() {
                break;
            }
        }
        deaf
    });
    mine_one(&node, &mut honest);
    let _deaf = asking.join().unwrap();
    node.wait_for("the deaf one closed", |node| {
        metric(node, "lignum_stratum_closed_total") == 1.0
    });
    mine_one(&node, &mut honest);
}

#[test]
fn a_flood_of_calls_is_slowed_down() {
    let world = World::new();
    let node = pool(&world, "node").start();
    let mut honest = Miner::working(&node.stratum(), DEV_1);
    let mut flood = Miner::working(&node.stratum(), &format!("{DEV_1}.flood"));
    flood.patience(Duration::from_secs(3));
    let line = "{\"id\":7,\"method\":\"mining.extranonce.subscribe\"}\n".repeat(10_000);
    flood.write(line.as_bytes());
    let mut answers = 0;
    // 2,000 come at once; after that there is one each 20 ms.
    while answers < 2_020
        && flood
            .read()
            .is_some_and(|line| line["id"] == 7 || !line["method"].is_null())
    {
        answers += 1;
    }
    assert_eq!(answers, 2_020);
    mine_one(&node, &mut honest);
    drop(flood);
    node.wait_for("the flood to end", |node| {
        metric(node, "lignum_stratum_connections") == 1.0
    });
}

#[test]
fn a_connection_too_many_is_turned_away() {
    let world = World::new();
    let node = pool(&world, "node").start();
    let mut honest = Miner::working(&node.stratum(), DEV_1);
    let mut others: Vec<_> = (0..255).map(|_| Miner::connect(&node.stratum())).collect();
    node.wait_for("all of them", |node| {
        metric(node, "lignum_stratum_connections") == 256.0
    });
    let mut late = Miner::connect(&node.stratum());
    assert!(late.is_closed());
    assert_eq!(metric(&node, "lignum_stratum_turned_away_total"), 1.0);
    mine_one(&node, &mut honest);
    others.truncate(100);
    node.wait_for("places", |node| {
        metric(node, "lignum_stratum_connections") < 256.0
    });
    let mut next = Miner::working(&node.stratum(), DEV_1);
    mine_one(&node, &mut next);
}
