//! Fees: from the pool, from recent blocks, and how they were computed.

use std::sync::Arc;

use chain::{
    Account, Batch, BlockId, Body, CheckedTransaction, Header, MemoryStore, Node, Store,
    pool::{Pool, PoolContext, PoolLimits, Source},
};
use serde_json::{Value, json};
use state::Evm;

use super::{NOW, Server, regtest, take, transfer, view};
use crate::View;

const GWEI: u128 = 1_000_000_000;

/// Regtest's view with so little gas in a block that two transfers fill it.
fn tight() -> (View, chain::Block) {
    let (mut view, genesis) = view(&regtest());
    let mut spec = (*view.spec).clone();
    spec.base.gas_limit = 42_000;
    view.spec = Arc::new(spec);
    (view, genesis)
}

/// A pool of these, each sender with a LGN.
fn pool(transactions: &[CheckedTransaction]) -> Arc<chain::PoolSnapshot> {
    pool_of(PoolLimits::default(), transactions)
}

fn pool_of(limits: PoolLimits, transactions: &[CheckedTransaction]) -> Arc<chain::PoolSnapshot> {
    let mut pool = Pool::new(limits);
    let account = Account {
        balance: 1_000_000_000 * GWEI,
        ..Account::default()
    };
    let context = PoolContext {
        gas_limit: 30_000_000,
        base_fee_min: 1,
        base_fee: 1,
        now: NOW,
    };
    for transaction in transactions {
        let taken = pool.insert(transaction, Some(&account), &context, Source::Peer);
        taken.unwrap();
    }
    pool.snapshot()
}

fn tips(fees: &Value) -> Vec<(u64, u128, &str)> {
    let estimates = fees["estimates"].as_array().unwrap().iter();
    estimates
        .map(|estimate| {
            let tip = estimate["tip"].as_str().unwrap().parse().unwrap();
            let blocks = estimate["blocks"].as_u64().unwrap();
            (blocks, tip, estimate["because"].as_str().unwrap())
        })
        .collect()
}

#[test]
fn an_idle_network_asks_for_the_suggested_tip() {
    let server = Server::start(take);
    let fees = server.get("/v1/fees");
    let status = server.get("/v1/status");
    assert_eq!(fees["base_fee"], status["base_fee"]);
    assert_eq!(fees["head"]["hash"], status["head"]["hash"]);
    let suggested = (GWEI, "suggested_tip");
    let wanted = [1, 3, 10].map(|blocks| (blocks, suggested.0, suggested.1));
    assert_eq!(tips(&fees), wanted);
    // EIP-1559: a full block raises the base fee by an eighth, rounded down.
    let mut base_fee: u128 = status["base_fee"].as_str().unwrap().parse().unwrap();
    let mut after = Vec::new();
    for _ in 0..10 {
        base_fee += base_fee / 8;
        after.push(base_fee);
    }
    for estimate in fees["estimates"].as_array().unwrap() {
        let blocks = estimate["blocks"].as_u64().unwrap();
        let projected = after[usize::try_from(blocks).unwrap() - 1];
        assert_eq!(estimate["base_fee"], projected.to_string());
        assert_eq!(estimate["max_fee"], (projected + GWEI).to_string());
    }
    let from = &fees["computed_from"];
    assert_eq!(from["suggested_tip"], GWEI.to_string());
    assert_eq!(from["pool_floor"], "0");
    assert_eq!(from["pool"], json!({"transactions": 0, "gas_limits": 0}));
    assert_eq!(from["recent_blocks"], json!({"count": 0, "full": 0}));
    assert!(from["method"].as_str().unwrap().contains("max_fee"));
    server.refuses("POST", "/v1/fees", "", 405, "method_not_allowed");
}

#[test]
fn a_payment_must_outbid_what_fills_the_blocks() {
    let (mut view, genesis) = tight();
    let waiting: Vec<_> = (1..=7)
        .map(|key| transfer(key, 0, 100 * GWEI, u128::from(key + 1) * GWEI))
        .collect();
    view.pool = pool(&waiting);
    let server = Server::on(view, genesis, take);
    // Two fit a block: 8 and 7 gwei the first, so that 7 must be outbid; with three blocks the
    // last place is the 6th, that of 3 gwei; ten blocks have room for all.
    assert_eq!(
        tips(&server.get("/v1/fees")),
        [
            (1, 7 * GWEI + 1, "pool"),
            (3, 3 * GWEI + 1, "pool"),
            (10, GWEI, "suggested_tip")
        ]
    );
}

#[test]
fn a_full_pool_asks_for_what_it_takes() {
    let (mut view, genesis) = view(&regtest());
    let limits = PoolLimits {
        count: 2,
        ..PoolLimits::default()
    };
    let waiting: Vec<_> = (1..=3)
        .map(|key| transfer(key, 0, 100 * GWEI, u128::from(key + 4) * GWEI))
        .collect();
    view.pool = pool_of(limits, &waiting);
    let floor = view.pool.floor(NOW.monotonic_ms);
    assert!(floor > 5 * GWEI, "the one of 5 gwei had to go");
    let server = Server::on(view, genesis, take);
    let fees = server.get("/v1/fees");
    assert_eq!(tips(&fees), [1, 3, 10].map(|n| (n, floor, "pool_floor")));
    assert_eq!(fees["computed_from"]["pool_floor"], floor.to_string());
}

/// What pays well behind what does not comes no earlier than that.
#[test]
fn what_hides_behind_a_low_tip_is_outbid_by_little() {
    let (mut view, genesis) = tight();
    view.pool = pool(&[
        transfer(1, 0, 100 * GWEI, 2 * GWEI),
        transfer(1, 1, 100 * GWEI, 90 * GWEI),
    ]);
    let server = Server::on(view, genesis, take);
    assert_eq!(tips(&server.get("/v1/fees"))[0], (1, 2 * GWEI + 1, "pool"));
}

/// A view at the end of these blocks; each has its gas used and the tips of its transactions.
fn mined(blocks: &[(u64, &[u128])]) -> (View, chain::Block) {
    let spec = regtest();
    let (mut view, genesis) = view(&spec);
    let mut store = MemoryStore::default();
    store.commit(&Node::genesis(&spec, &Evm::new()).1).unwrap();
    let mut parent: Header = genesis.header.clone();
    for (gas_used, tips) in blocks {
        let mut header = parent.clone();
        header.pow.parent = parent.hash();
        header.extension.height += 1;
        header.extension.gas_used = *gas_used;
        header.extension.base_fee = 1_000_000_000;
        let id = BlockId {
            height: header.extension.height,
            hash: header.hash(),
        };
        let body = tips.iter().zip(0..).map(|(tip, nonce)| {
            let transaction = transfer(1, nonce, 1_000 * GWEI, *tip);
            transaction.bytes().to_vec()
        });
        let batch = Batch {
            headers: vec![Arc::new(header.clone())],
            bodies: vec![(id, Arc::new(Body(body.collect())))],
            canonical: vec![(id.height, Some(id.hash))],
            head: Some(id),
            ..Batch::default()
        };
        store.commit(&batch).unwrap();
        (view.head, parent) = (id, header);
    }
    view.head_header = Arc::new(parent);
    view.reader = Arc::new(store.snapshot().unwrap());
    (view, genesis)
}

#[test]
fn recent_full_blocks_tell_what_was_enough() {
    let limit = regtest().at(1).gas_limit;
    let tips_of = |blocks: &[(u64, &[u128])]| {
        let (view, genesis) = mined(blocks);
        let server = Server::on(view, genesis, take);
        server.get("/v1/fees")
    };
    // The lowest tenth of a full block's tips may be its miner's own.
    let mut block = vec![50 * GWEI; 19];
    block.insert(3, 0);
    let busy = (limit, &block[..]);
    let quiet = (limit / 2, &block[..]);
    let fees = tips_of(&[busy; 5]);
    assert_eq!(
        tips(&fees),
        [1, 3, 10].map(|n| (n, 50 * GWEI, "recent_blocks"))
    );
    let recent = &fees["computed_from"]["recent_blocks"];
    assert_eq!(recent, &json!({"count": 5, "full": 5}));
    // Two of five are full: enough for the next block in 90 % is 50 gwei, for others nothing.
    let fees = tips_of(&[quiet, busy, quiet, busy, quiet]);
    let wanted = [
        (1, 50 * GWEI, "recent_blocks"),
        (3, GWEI, "suggested_tip"),
        (10, GWEI, "suggested_tip"),
    ];
    assert_eq!(tips(&fees), wanted);
    // Only the last 20 blocks count, and of those all.
    let mut blocks = vec![busy];
    blocks.extend([quiet; 20]);
    let fees = tips_of(&blocks);
    assert_eq!(tips(&fees)[0], (1, GWEI, "suggested_tip"));
    let recent = &fees["computed_from"]["recent_blocks"];
    assert_eq!(recent, &json!({"count": 20, "full": 0}));
}

/// Threat A5: however many ask, one answer a second is computed; a new head has its own at once.
#[test]
fn an_answer_is_kept_while_the_head_stays() {
    let (first, genesis) = tight();
    let (mut second, _) = tight();
    let (mut third, _) = mined(&[(0, &[])]);
    let crowd: Vec<_> = (1..=7)
        .map(|key| transfer(key, 0, 100 * GWEI, 9 * GWEI))
        .collect();
    (second.pool, third.pool) = (pool(&crowd), pool(&crowd));
    third.spec = Arc::clone(&second.spec);
    let server = Server::on(first, genesis, take);
    let tip = |server: &Server| tips(&server.get("/v1/fees"))[0].1;
    assert_eq!(tip(&server), GWEI);
    server.views.send_replace(Arc::new(second));
    assert_eq!(
        tip(&server),
        GWEI,
        "the clock of these servers stands still"
    );
    server.views.send_replace(Arc::new(third));
    assert_eq!(tip(&server), 9 * GWEI + 1);
}
