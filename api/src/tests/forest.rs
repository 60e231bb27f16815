//! The forest's tips and branches, and the peers.

use std::sync::Arc;

use chain::{Batch, BlockId, Body, Header, MemoryStore, Node, Stage, Store, U256, forest::Branch};
use state::Evm;

use super::{Server, regtest, take, view};

/// A best chain of three blocks and a branch of two on the genesis block.
fn forked() -> (Server, Vec<BlockId>, Vec<BlockId>) {
    let spec = regtest();
    let (mut view, genesis) = view(&spec);
    let mut store = MemoryStore::default();
    store.commit(&Node::genesis(&spec, &Evm::new()).1).unwrap();
    let mut grow = |length: u64, nonce: u32, is_best: bool| -> Vec<(BlockId, Header)> {
        let mut parent = genesis.header.clone();
        let block = |height: u64| {
            let mut header = parent.clone();
            (header.pow.parent, header.pow.nonce) = (parent.hash(), nonce);
            header.extension.height = height;
            header.extension.chain_work += U256::from(2);
            let hash = header.hash();
            let id = BlockId { height, hash };
            let batch = Batch {
                headers: vec![Arc::new(header.clone())],
                bodies: vec![(id, Arc::new(Body(Vec::new())))],
                canonical: is_best
                    .then_some((height, Some(hash)))
                    .into_iter()
                    .collect(),
                head: is_best.then_some(id),
                ..Batch::default()
            };
            store.commit(&batch).unwrap();
            parent = header.clone();
            (id, header)
        };
        (1..=length).map(block).collect()
    };
    let (best, side) = (grow(3, 1, true), grow(2, 2, false));
    let (tip, header) = best[2].clone();
    let branch = |(tip, header): &(BlockId, Header), ancestor| Branch {
        tip: *tip,
        chain_work: header.extension.chain_work,
        stage: Stage::Body,
        ancestor,
    };
    let root = BlockId {
        height: 0,
        hash: genesis.header.hash(),
    };
    view.branches = Arc::new(vec![branch(&best[2], tip), branch(&side[1], root)]);
    (view.head, view.head_header) = (tip, Arc::new(header));
    view.reader = Arc::new(store.snapshot().unwrap());
    let ids = |blocks: Vec<(BlockId, Header)>| blocks.into_iter().map(|(id, _)| id).collect();
    (Server::on(view, genesis, take), ids(best), ids(side))
}

#[test]
fn tips_come_best_first_and_in_pages() {
    let (server, best, side) = forked();
    let forest = server.get("/v1/forest");
    let [first, second] = &forest["branches"].as_array().unwrap()[..] else {
        panic!("two branches: {forest}");
    };
    assert_eq!(first["hash"], best[2].hash.to_string());
    assert_eq!(
        (&first["is_head"], &first["length"]),
        (&true.into(), &0.into())
    );
    assert_eq!(first["work_difference"], "0");
    assert_eq!(second["hash"], side[1].hash.to_string());
    assert_eq!(
        (&second["is_head"], &second["length"]),
        (&false.into(), &2.into())
    );
    assert_eq!(second["work_difference"], "-2");
    assert_eq!(second["common_ancestor"]["height"], 0);
    assert_eq!(
        (&second["stage"], &forest["next_cursor"]),
        (&"body".into(), &().into())
    );
    let page = server.get("/v1/forest?limit=1");
    assert_eq!(
        (&page["branches"][0], &page["next_cursor"]),
        (first, &1.into())
    );
    let page = server.get("/v1/forest?limit=1&cursor=1");
    assert_eq!(
        (&page["branches"][0], &page["next_cursor"]),
        (second, &().into())
    );
    let page = server.get("/v1/forest?cursor=18446744073709551615");
    assert_eq!(page["branches"].as_array().unwrap().len(), 0);
}

#[test]
fn a_branch_goes_down_to_the_best_chain() {
    let (server, best, side) = forked();
    let tip = side[1].hash;
    let page = server.get(&format!("/v1/forest/{tip}"));
    let blocks = page["blocks"].as_array().unwrap();
    let heights: Vec<_> = blocks
        .iter()
        .map(|block| block["height"].as_u64().unwrap())
        .collect();
    assert_eq!(heights, [2, 1, 0]);
    assert_eq!(
        (&blocks[1]["in_best_chain"], &blocks[2]["in_best_chain"]),
        (&false.into(), &true.into())
    );
    assert_eq!(page["head"]["height"], 3);
    // The same block by block.
    let mut paged = Vec::new();
    let mut path = format!("/v1/forest/{tip}?limit=1");
    loop {
        let page = server.get(&path);
        paged.extend(page["blocks"].as_array().unwrap().clone());
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/v1/forest/{tip}?limit=1&cursor={cursor}");
    }
    assert_eq!(&paged, blocks);
    // A block of the best chain is a branch of itself alone.
    let page = server.get(&format!("/v1/forest/{}", best[1].hash));
    assert_eq!(page["blocks"].as_array().unwrap().len(), 1);
    let path = format!("/v1/forest/{tip}?cursor=0x{}", "0".repeat(64));
    server.refuses("GET", &path, "", 404, "not_found");
}

#[test]
fn peers_are_listed() {
    let server = Server::start(take);
    let answer = server.get("/v1/peers");
    let peers = answer["peers"].as_array().unwrap();
    assert_eq!(peers.len(), 3);
    assert_eq!(peers[0]["number"], 1);
    assert_eq!(
        (&peers[0]["ping_ms"], &peers[0]["claims"]),
        (&3.into(), &().into())
    );
    assert_eq!(
        (&peers[1]["inbound"], &peers[1]["clock_ahead_secs"]),
        (&true.into(), &(-1).into())
    );
    let sync = &server.get("/v1/status")["sync"];
    assert_eq!(
        (&sync["syncing"], &sync["blocks_behind"]),
        (&false.into(), &0.into())
    );
}
