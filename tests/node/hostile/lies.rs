//! Peers that are asked and lie: work that was not done, bodies that were altered.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use chain::{Block, BlockHash, Body, Gossip, Header, Request, Response, params::BLOCKS_MAX};
use serde_json::json;

use super::{
    GROWTH_MIB, Scene, all_dropped, attacker,
    client::Client,
    forge::{Network, missed},
    memory,
    wire::Answer,
};
use crate::harness::{PATIENCE, World, wait_for};

/// Blocks that the victim of the liars is behind.
const BEHIND: usize = 300;
/// Liars, who know the chain before any honest node comes.
const LIARS: usize = 4;

fn headers(client: &Client, locator: BlockHash) -> Vec<Header> {
    match client.request(&Request::Headers(vec![locator])) {
        Response::Headers(headers) => headers,
        other => panic!("headers were asked for, got {other:?}"),
    }
}

fn blocks(client: &Client, headers: &[Header]) -> Vec<Block> {
    let hashes: Vec<_> = headers.iter().map(Header::hash).collect();
    let fetch = |hashes: &[BlockHash]| match client.request(&Request::Blocks(hashes.to_vec())) {
        Response::Blocks(blocks) => blocks,
        other => panic!("blocks were asked for, got {other:?}"),
    };
    hashes.chunks(BLOCKS_MAX).flat_map(fetch).collect()
}

#[test]
fn a_header_without_its_work_ends_the_connection_at_once() {
    let scene = Scene::new();
    let honest = scene.boaster();
    let good = headers(&honest, scene.network.genesis.hash())
        .pop()
        .unwrap();
    let bad = missed(good);

    let block = Block {
        header: bad.clone(),
        body: Body::default(),
    };
    let gossiper = scene.boaster();
    gossiper.gossip(&Gossip::Block(block));
    let served = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&served);
    let server = scene.attacker(scene.boasting(move |request| match request {
        Request::Headers(_) => {
            counted.fetch_add(1, Relaxed);
            Response::Headers(vec![bad.clone()]).into()
        }
        _ => Answer::Decline,
    }));
    let clients = [gossiper, server];
    wait_for("the liars' end", || clients.iter().all(Client::was_dropped));
    assert_eq!((clients[0].published(), served.load(Relaxed)), (1, 1));
    assert!(!honest.was_dropped(), "it has done no wrong");
    drop(honest);
    all_dropped(&scene.victim, &clients, 1);
    scene.goes_on(10);
    scene.ends_unharmed("work not done", GROWTH_MIB);
}

/// What the liars know and do.
struct Lies {
    blocks: Vec<Block>,
    /// Until then, whoever is asked for a block waits.
    told: AtomicBool,
    /// Requests for blocks.
    asked: AtomicUsize,
    /// Altered bodies, by liar.
    altered: [AtomicUsize; LIARS],
}

impl Lies {
    fn answer(&self, liar: usize, network: &Network, request: Request) -> Answer {
        let hashes = |block: &Block| block.header.hash();
        match request {
            Request::Status(mut status) => {
                let tip = &self.blocks.last().unwrap().header;
                status.genesis = network.genesis.hash();
                status.height = tip.extension.height;
                status.head = tip.hash();
                status.chain_work = tip.extension.chain_work.to_le_bytes();
                Response::Status(status).into()
            }
            Request::Headers(locator) => {
                let known =
                    |hash: &BlockHash| self.blocks.iter().position(|block| hashes(block) == *hash);
                let from = locator.iter().find_map(known).map_or(0, |at| at + 1);
                let after = self.blocks[from..].iter().map(|block| block.header.clone());
                Response::Headers(after.collect()).into()
            }
            Request::Blocks(asked) => {
                self.asked.fetch_add(1, Relaxed);
                let deadline = Instant::now() + PATIENCE;
                while !self.told.load(Relaxed) && Instant::now() < deadline {
                    thread::sleep(Duration::from_millis(5));
                }
                let asked = self
                    .blocks
                    .iter()
                    .filter(|block| asked.contains(&hashes(block)));
                let altered: Vec<_> = asked.cloned().map(altered).collect();
                self.altered[liar].fetch_add(altered.len(), Relaxed);
                Response::Blocks(altered).into()
            }
            _ => Answer::Decline,
        }
    }
}

/// The header of a good block over a body that is not its own.
fn altered(mut block: Block) -> Block {
    block.body.0.push(vec![2; 100]);
    block
}

#[test]
fn altered_bodies_from_whoever_is_asked_first_hold_up_nothing() {
    let world = World::new();
    // About 2^14 hashes a block.
    world.write_spec("network.json", &json!({ "genesis_bits": "0x1f03ffff" }));
    let network = Network::read(&world.spec());
    let honest = world.node("miner").mining("honest");
    let miner = honest.start();
    miner.wait_for("a chain", |node| node.height() >= BEHIND as u64);
    let reader = attacker(&miner, &network, |_| Answer::Decline);
    let chain = headers(&reader, network.genesis.hash());
    let lies = Arc::new(Lies {
        blocks: blocks(&reader, &chain),
        told: AtomicBool::new(false),
        asked: AtomicUsize::new(0),
        altered: Default::default(),
    });
    assert!(lies.blocks.len() >= BEHIND);
    assert_eq!(miner.stop(), Some(0));

    let victim = world.node("victim").start();
    let before = memory(&victim, "VmRSS");
    let liar = |liar| {
        let (lies, network) = (Arc::clone(&lies), network.clone());
        let known = network.clone();
        attacker(&victim, &known, move |request| {
            lies.answer(liar, &network, request)
        })
        .accepted()
    };
    let liars: Vec<_> = (0..LIARS).map(liar).collect();
    wait_for("a liar being asked for blocks", || {
        lies.asked.load(Relaxed) > 0
    });
    assert_eq!(victim.height(), 0);
    // Only now the honest one comes: whatever can be asked for has been asked of a liar.
    let miner = honest.joining(&victim).start();
    victim.wait_for("all peers", |node| {
        node.get("/v1/status")["peers"] == LIARS as u64 + 1
    });
    lies.told.store(true, Relaxed);
    victim.wait_for("the chain", |node| node.height() >= BEHIND as u64);
    let altered = |liar: usize| lies.altered[liar].load(Relaxed);
    let mut total = 0;
    for (number, liar) in liars.iter().enumerate() {
        let is_caught = || altered(number) < 2 || liar.was_dropped();
        wait_for("the end of whoever has lied twice", is_caught);
        total += altered(number);
    }
    assert!(total >= 2, "only {total} bodies were altered");
    eprintln!("{total} altered bodies were served");
    drop(liars);
    let scene = Scene {
        world,
        network,
        miner,
        victim,
        before,
    };
    scene.goes_on(20);
    scene.ends_unharmed("altered bodies", GROWTH_MIB);
}
