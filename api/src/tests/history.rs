//! An account's transactions, page by page.

use std::sync::Arc;

use chain::{
    Address, Batch, BlockId, Body, CheckedTransaction, Header, MemoryStore, Node, Receipt, Store,
    history::parties, store::ExecutedBlock,
};
use serde_json::{Value, json};
use state::Evm;

use super::{RICH, Server, pay, regtest, take, view};

const PAYEE: Address = Address::repeat_byte(9);
/// Of the blocks made here, wei per gas.
const BASE_FEE: u64 = 1_000_000_000;

/// A block that is executed, whether or not it is the best chain's.
fn block(parent: &Header, tag: u32, transactions: &[CheckedTransaction]) -> (Header, Batch) {
    let mut header = parent.clone();
    (header.pow.parent, header.pow.nonce) = (parent.hash(), tag);
    header.extension.height += 1;
    header.extension.base_fee = BASE_FEE;
    let id = id(&header);
    let receipt = |index: u64| Receipt {
        tx_type: 2,
        success: index != 2,
        cumulative_gas: (index + 1) * (21_000 + index),
        logs: Vec::new(),
    };
    let receipts = (0..).zip(transactions).map(|(index, _)| receipt(index));
    let bodies = transactions.iter().map(|tx| tx.bytes().to_vec());
    let batch = Batch {
        headers: vec![Arc::new(header.clone())],
        bodies: vec![(id, Arc::new(Body(bodies.collect())))],
        executed: vec![ExecutedBlock {
            id,
            changes: Arc::default(),
            receipts: Arc::new(receipts.collect()),
            parties: Arc::new(parties(transactions)),
        }],
        ..Batch::default()
    };
    (header, batch)
}

fn id(header: &Header) -> BlockId {
    BlockId {
        height: header.extension.height,
        hash: header.hash(),
    }
}

/// A server whose best chain is these transactions' blocks, each with a rival that lost.
fn serve(blocks: &[Vec<CheckedTransaction>]) -> (Server, Vec<BlockId>) {
    let spec = regtest();
    let (mut view, genesis) = view(&spec);
    let mut store = MemoryStore::default();
    store.commit(&Node::genesis(&spec, &Evm::new()).1).unwrap();
    let (mut parent, mut ids) = (genesis.header.clone(), Vec::new());
    for transactions in blocks {
        store.commit(&block(&parent, 2, transactions).1).unwrap();
        let (header, mut batch) = block(&parent, 1, transactions);
        let id = id(&header);
        batch.canonical = vec![(id.height, Some(id.hash))];
        batch.head = Some(id);
        store.commit(&batch).unwrap();
        ids.push(id);
        (view.head, parent) = (id, header);
    }
    view.reader = Arc::new(store.snapshot().unwrap());
    (Server::on(view, genesis, take), ids)
}

fn path(address: Address, rest: &str) -> String {
    format!("/v1/accounts/{address}/transactions{rest}")
}

#[test]
fn every_party_sees_what_it_paid_and_got() {
    let sender = pay(0, Some(PAYEE), 1).sender();
    let first = vec![
        pay(0, Some(PAYEE), 5),
        pay(1, Some(sender), 6),
        pay(2, None, 0),
    ];
    let second = vec![pay(3, Some(PAYEE), 7)];
    let (server, ids) = serve(&[first.clone(), second.clone()]);
    let page = server.get(&path(sender, ""));
    let entry = |at: usize, index: usize, tx: &CheckedTransaction, gas: u64, way: &str| {
        json!({
            "hash": tx.hash().to_string(),
            "block": {"height": ids[at].height, "hash": ids[at].hash.to_string()},
            "index": index, "from": sender.to_string(),
            "to": tx.to().map(|to| to.to_string()), "value": tx.value().to_string(),
            "fee": (u128::from(gas) * 2_000_000_000).to_string(), "nonce": tx.nonce(),
            "direction": way, "status": if index == 2 { "failed" } else { "success" },
        })
    };
    let want = [
        entry(1, 0, &second[0], 21_000, "out"),
        entry(0, 2, &first[2], 3 * 21_002 - 2 * 21_001, "out"),
        entry(0, 1, &first[1], 2 * 21_001 - 21_000, "self"),
        entry(0, 0, &first[0], 21_000, "out"),
    ];
    assert_eq!(page["transactions"], json!(want));
    assert_eq!(page["next_cursor"], Value::Null);
    let head = json!({"height": 2, "hash": ids[1].hash.to_string()});
    assert_eq!(page["head"], head);
    let page = server.get(&path(PAYEE, ""));
    let values = page["transactions"].as_array().unwrap().iter();
    let seen: Vec<_> = values.map(|tx| (&tx["value"], &tx["direction"])).collect();
    let (seven, five, way) = (json!("7"), json!("5"), json!("in"));
    assert_eq!(seen, [(&seven, &way), (&five, &way)]);
    let contract = server.get(&path(sender.create(2), ""));
    assert_eq!(contract["transactions"][0]["direction"], "in");
    assert_eq!(contract["transactions"][0]["to"], Value::Null);
    // The genesis allocation and rewards are no transactions.
    let rich = server.get(&format!("/v1/accounts/{RICH}/transactions"));
    assert_eq!(rich["transactions"], json!([]));
    assert_eq!(rich["next_cursor"], Value::Null);
}

#[test]
fn a_mined_transaction_has_its_place_and_one_price() {
    let first = vec![pay(0, Some(PAYEE), 5), pay(1, Some(PAYEE), 6)];
    let sender = first[0].sender();
    let (server, ids) = serve(&[first.clone(), vec![pay(2, None, 7)]]);
    let hash = first[1].hash();
    let standing = server.get(&format!("/v1/transactions/{hash}/status"));
    let block = json!({
        "height": 1, "hash": ids[0].hash.to_string(), "index": 1, "confirmations": 2,
    });
    assert_eq!(
        (&standing["status"], &standing["block"]),
        (&json!("mined"), &block)
    );
    assert_eq!(
        (&standing["pool"], &standing["departed"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(standing["head"]["height"], 2);
    let whole = server.get(&format!("/v1/transactions/{hash}"));
    assert_eq!(
        (&whole["status"], &whole["pool"]),
        (&json!("mined"), &Value::Null)
    );
    assert_eq!(whole["block"]["index"], 1);
    // Its own gas is what the receipts' cumulative gas has grown by; 2 gwei is its max fee.
    let outcome = &whole["outcome"];
    assert_eq!(outcome["gas_used"], 2 * 21_001 - 21_000);
    assert_eq!(outcome["effective_gas_price"], "2000000000");
    let history = server.get(&path(sender, ""));
    assert_eq!(history["transactions"][1]["hash"], whole["hash"]);
    assert_eq!(history["transactions"][1]["fee"], outcome["fee"]);
}

#[test]
fn pages_follow_each_other_across_blocks() {
    let mut nonce = 0;
    let mut next = || {
        nonce += 1;
        pay(nonce - 1, Some(PAYEE), nonce)
    };
    let blocks: Vec<Vec<_>> = [3, 0, 1, 60]
        .map(|count| (0..count).map(|_| next()).collect())
        .into();
    let (server, _) = serve(&blocks);
    let newest_first: Vec<_> = (1..=64).rev().map(|wei| json!(wei.to_string())).collect();
    for limit in [1, 7, 63, 64, 1_000] {
        let (mut values, mut rest, mut pages) = (Vec::new(), format!("?limit={limit}"), 0);
        loop {
            let page = server.get(&path(PAYEE, &rest));
            let transactions = page["transactions"].as_array().unwrap().clone();
            assert!(!transactions.is_empty() && transactions.len() <= limit);
            values.extend(transactions.iter().map(|tx| tx["value"].clone()));
            pages += 1;
            let Some(cursor) = page["next_cursor"].as_str() else {
                break;
            };
            rest = format!("?limit={limit}&cursor={cursor}");
        }
        assert_eq!(
            (values, pages),
            (newest_first.clone(), 64_usize.div_ceil(limit))
        );
    }
    let page = server.get(&path(PAYEE, ""));
    assert_eq!(page["transactions"].as_array().unwrap().len(), 50);
    assert_eq!(page["next_cursor"], "4.10");
    let page = server.get(&path(PAYEE, "?cursor=1.0"));
    assert_eq!(page["transactions"], json!([]));
}

/// Threat A5: what is read for one page has a bound, whatever its blocks hold.
#[test]
fn a_page_ends_after_large_blocks() {
    let other = pay(9, Some(Address::repeat_byte(8)), 1);
    let crowd = |nonce| {
        let mut block = vec![other.clone(); 6_000];
        block[5] = pay(nonce, Some(PAYEE), 1);
        block
    };
    let (server, _) = serve(&[crowd(0), crowd(1), crowd(2)]);
    let page = server.get(&path(PAYEE, "?limit=1000"));
    assert_eq!(page["transactions"].as_array().unwrap().len(), 2);
    assert_eq!(page["next_cursor"], "2.5");
    let page = server.get(&path(PAYEE, "?limit=1000&cursor=2.5"));
    assert_eq!(page["transactions"].as_array().unwrap().len(), 1);
    assert_eq!(page["next_cursor"], Value::Null);
}

#[test]
fn malformed_requests_say_what_was_wanted() {
    let server = Server::start(take);
    let base = "/v1/accounts/0x00000000000000000000000000000000000000aa/transactions";
    for (path, code, wanted) in [
        ("/v1/accounts/0x12/transactions", "bad_address", "40 hex"),
        ("/v1/accounts/%FF/transactions", "bad_path", ""),
        (&*format!("{base}?limit=0"), "bad_limit", "wanted 1 to 1000"),
        (&*format!("{base}?limit=1001"), "bad_limit", "limit is 1001"),
        (&*format!("{base}?limit=x"), "bad_query", ""),
        (&*format!("{base}?page=1"), "bad_query", ""),
        (&*format!("{base}?cursor="), "bad_cursor", "height.index"),
        (&*format!("{base}?cursor=1"), "bad_cursor", "got \"1\""),
        (&*format!("{base}?cursor=-1.0"), "bad_cursor", "as in 812.3"),
    ] {
        let problem = server.refuses("GET", path, "", 400, code);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(wanted), "{detail}");
    }
    server.refuses("POST", base, "", 405, "method_not_allowed");
    assert_eq!(server.get(base)["transactions"], json!([]));
}
