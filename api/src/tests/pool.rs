//! The pool over HTTP: what waits, why it does, and why it left.

use chain::{
    Account, CheckedTransaction, TxHash,
    params::POOL_PER_SENDER,
    pool::{Pool, PoolContext, PoolLimits, Source},
};
use serde_json::{Value, json};

use super::{NOW, Server, regtest, take, transfer, view};

const GWEI: u128 = 1_000_000_000;

/// A pool in which every sender has one LGN.
pub(super) struct Filled(Pool);

impl Filled {
    pub(super) fn new() -> Self {
        Self(Pool::new(PoolLimits::default()))
    }

    pub(super) fn add(&mut self, transaction: &CheckedTransaction, source: Source) -> TxHash {
        let account = Account {
            balance: 1_000_000_000 * GWEI,
            ..Account::default()
        };
        let mut now = NOW;
        // It came 40 seconds ago.
        now.monotonic_ms -= 40_000;
        let context = PoolContext {
            gas_limit: 30_000_000,
            base_fee_min: 1,
            base_fee: 1,
            now,
        };
        let taken = self.0.insert(transaction, Some(&account), &context, source);
        taken.unwrap();
        transaction.hash()
    }

    pub(super) fn serve(&self) -> Server {
        let (mut view, genesis) = view(&regtest());
        view.pool = self.0.snapshot();
        Server::on(view, genesis, take)
    }
}

#[test]
fn the_pool_says_how_full_it_is() {
    let mut pool = Filled::new();
    let first = transfer(1, 0, 2 * GWEI, GWEI);
    let late = transfer(1, 2, 2 * GWEI, GWEI);
    pool.add(&first, Source::User);
    pool.add(&late, Source::Peer);
    let server = pool.serve();
    let pool = server.get("/v1/pool");
    let bytes = first.bytes().len() + late.bytes().len();
    assert_eq!(
        (&pool["count"], &pool["pending"], &pool["queued"]),
        (&2.into(), &1.into(), &1.into())
    );
    assert_eq!(pool["bytes"], bytes);
    assert_eq!(pool["limits"]["count"], 60_000);
    assert_eq!(pool["floor"], "0");
    assert_eq!(pool["base_fee"], server.get("/v1/status")["base_fee"]);
    assert_eq!(pool["head"]["height"], 0);
}

#[test]
fn pages_of_the_pool_meet_each_transaction_once() {
    let mut pool = Filled::new();
    let mut all: Vec<_> = (1..=7)
        .map(|key| pool.add(&transfer(key, 0, 2 * GWEI, GWEI), Source::User))
        .collect();
    all.push(pool.add(&transfer(1, 3, 3 * GWEI, GWEI), Source::Peer));
    all.sort();
    let server = pool.serve();
    let (mut path, mut met) = ("/v1/pool/transactions?limit=3".to_owned(), Vec::new());
    loop {
        let page = server.get(&path);
        met.extend(page["transactions"].as_array().unwrap().clone());
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/v1/pool/transactions?limit=3&cursor={cursor}");
    }
    let hashes: Vec<_> = met.iter().map(|tx| tx["hash"].as_str().unwrap()).collect();
    let wanted: Vec<_> = all.iter().map(TxHash::to_string).collect();
    assert_eq!(hashes, wanted);
    let queued = met.iter().find(|tx| tx["nonce"] == 3).unwrap();
    assert_eq!(
        (&queued["class"], &queued["durable"], &queued["since"]),
        (&"queued".into(), &false.into(), &1_700_000_060.into())
    );
    assert_eq!(
        (&queued["max_fee"], &queued["tip"], &queued["gas"]),
        (&"3000000000".into(), &"1000000000".into(), &21_000.into())
    );
    // A cursor need not be in the pool; the page after the last is empty.
    let page = server.get(&format!("/v1/pool/transactions?cursor={}", "ff".repeat(32)));
    assert_eq!(page["transactions"], Value::Array(Vec::new()));
    assert_eq!(page["next_cursor"], Value::Null);
}

#[test]
fn bad_pages_of_the_pool_are_problems() {
    let server = Filled::new().serve();
    for (query, code) in [
        ("limit=0", "bad_limit"),
        ("limit=1001", "bad_limit"),
        ("limit=-1", "bad_query"),
        ("limit=99999999999999999999", "bad_query"),
        ("cursor=7", "bad_hash"),
        ("cursor=%FF", "bad_hash"),
        ("cursor=", "bad_hash"),
        ("order=price", "bad_query"),
        ("limit=1&limit=2", "bad_query"),
    ] {
        let path = format!("/v1/pool/transactions?{query}");
        server.refuses("GET", &path, "", 400, code);
    }
    server.refuses("POST", "/v1/pool", "", 405, "method_not_allowed");
}

#[test]
fn a_transaction_says_why_it_waits_or_left() {
    let mut pool = Filled::new();
    let old = pool.add(&transfer(1, 0, 2 * GWEI, GWEI), Source::User);
    let new = pool.add(&transfer(1, 0, 4 * GWEI, 2 * GWEI), Source::User);
    let late = pool.add(&transfer(1, 2, 4 * GWEI, GWEI), Source::Peer);
    let poor = pool.add(&transfer(2, 0, 1, 1), Source::User);
    let server = pool.serve();
    let standing = |hash: TxHash| server.get(&format!("/v1/transactions/{hash}/status"));
    for (hash, class, code, durable) in [
        (new, "pending", "turn", true),
        (late, "queued", "nonce_missing", false),
        (poor, "pending", "base_fee_too_high", true),
    ] {
        let found = standing(hash);
        assert_eq!(found["status"], "pending", "{found}");
        let waiting = &found["pool"];
        assert_eq!(
            (&waiting["class"], &waiting["code"]),
            (&class.into(), &code.into())
        );
        assert_eq!(waiting["durable"], durable);
        let whole = server.get(&format!("/v1/transactions/{hash}"));
        assert_eq!(
            (&whole["status"], &whole["pool"]),
            (&"pending".into(), waiting)
        );
    }
    let text = standing(late)["pool"]["text"].clone();
    assert_eq!(text, "nonce is 2, nonce 1 is missing before it");
    let gone = standing(old);
    assert_eq!(
        (&gone["status"], &gone["pool"]),
        (&"departed".into(), &Value::Null)
    );
    assert_eq!(gone["departed"]["code"], "replaced");
    assert_eq!(gone["departed"]["text"], format!("replaced by {new}"));
    assert_eq!(gone["departed"]["when"], NOW.unix_secs);
    let path = format!("/v1/transactions/{old}");
    let problem = server.refuses("GET", &path, "", 404, "transaction_departed");
    assert_eq!(problem["reason"], "replaced");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains(&format!("has left the pool: replaced by {new}")),
        "{detail}"
    );
    for (hash, status, code) in [
        ("0x12", 400, "bad_hash"),
        (&*"0".repeat(64), 404, "not_found"),
    ] {
        let path = format!("/v1/transactions/{hash}/status");
        server.refuses("GET", &path, "", status, code);
    }
}

#[test]
fn an_account_names_what_it_has_waiting() {
    let mut pool = Filled::new();
    let first = transfer(1, 0, 2 * GWEI, GWEI);
    let late = transfer(1, 2, 3 * GWEI, GWEI);
    for transaction in [&late, &first, &transfer(2, 0, 2 * GWEI, GWEI)] {
        pool.add(transaction, Source::User);
    }
    let server = pool.serve();
    let account = server.get(&format!("/v1/accounts/{}", first.sender()));
    let cost = 21_000 * 2 * GWEI + 1 + 21_000 * 3 * GWEI + 1;
    let wanted = json!({
        "nonce_next": 1, "pending": 1, "queued": 1, "pending_cost": cost.to_string(),
        "transactions": [
            {"hash": first.hash().to_string(), "nonce": 0, "class": "pending"},
            {"hash": late.hash().to_string(), "nonce": 2, "class": "queued"},
        ],
    });
    assert_eq!(account["pool"], wanted);
}

/// Threat A5: the pool keeps no more of a sender.
#[test]
fn an_account_names_no_more_than_the_pool_keeps_of_it() {
    let mut pool = Filled::new();
    for nonce in 0..POOL_PER_SENDER {
        let nonce = u64::try_from(nonce).unwrap();
        pool.add(&transfer(1, nonce, 2 * GWEI, GWEI), Source::User);
    }
    let next = transfer(1, 64, 2 * GWEI, GWEI);
    let server = pool.serve();
    let account = server.get(&format!("/v1/accounts/{}", next.sender()));
    let waiting = account["pool"]["transactions"].as_array().unwrap();
    assert_eq!(
        (waiting.len(), &account["pool"]["nonce_next"]),
        (64, &json!(64))
    );
}
