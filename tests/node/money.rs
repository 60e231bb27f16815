//! Money at a real node: what to pay, who waits and why, what has left, and the faucet.

use std::{collections::BTreeSet, thread};

use serde_json::{Value, json};

use crate::{
    dev_orders::{order, post_with},
    harness::{DEV_0, DEV_1, Node, World, assert_fails, lignum, stderr, stdout},
};

/// An address that nobody uses otherwise.
const PAYEE: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
const LGN: u128 = 1_000_000_000_000_000_000;

/// Two of these are more than a block's gas.
const LARGE: [&str; 6] = [
    "--gas-limit",
    "16000000",
    "--tip",
    "5gwei",
    "--max-fee",
    "9gwei",
];

/// Sends one LGN without waiting; the transaction's hash.
fn send(node: &Node, from: &str, words: &[&str]) -> String {
    let url = node.url();
    let first = ["wallet", "send", PAYEE, "1", "--from", from, "--node", &url];
    let words = [&first[..], words, &["--json", "--allow-high-fee"]].concat();
    let sent = lignum(&words);
    assert!(sent.status.success(), "{}", stderr(&sent));
    let sent: Value = serde_json::from_str(&stdout(&sent)).unwrap();
    sent["hash"].as_str().unwrap().to_owned()
}

/// What the next block takes: the tip, and where it comes from.
fn next_tip(node: &Node) -> (String, String) {
    let first = &node.get("/v1/fees")["estimates"][0];
    let text = |field: &str| first[field].as_str().unwrap().to_owned();
    (text("tip"), text("because"))
}

fn waiting(node: &Node, hash: &str) -> (Value, Value, Value) {
    let found = node.get(&format!("/v1/transactions/{hash}"));
    assert_eq!(found["status"], "pending");
    let pool = &found["pool"];
    let part = |field: &str| pool[field].clone();
    (part("class"), part("code"), part("durable"))
}

#[test]
fn fees_follow_the_pool_and_wallets_the_fees() {
    let world = World::new();
    let one = world.node("one").start();
    assert_eq!(
        next_tip(&one),
        ("1000000000".into(), "suggested_tip".into())
    );
    send(&one, "dev:0", &LARGE);
    send(&one, "dev:1", &LARGE);
    let outbid = ("5000000001".to_owned(), "pool".to_owned());
    one.wait_for("fees that outbid the pool", |one| next_tip(one) == outbid);
    let later = &one.get("/v1/fees")["estimates"][2];
    assert_eq!(later["because"], "suggested_tip");
    // A wallet follows them.
    let url = one.url();
    let words = [
        "wallet", "send", DEV_1, "1", "--from", "dev:0", "--within", "1",
    ];
    let asked = lignum(&[&words[..], &["--nonce", "5", "--json", "--node", &url]].concat());
    let asked: Value = serde_json::from_str(&stdout(&asked)).unwrap();
    assert_eq!(asked["tip"], "5000000001");
    assert_eq!(one.stop(), Some(0));
}

#[test]
fn the_pool_says_who_waits_and_who_left() {
    let world = World::new();
    let (one, directory) = (world.node("one").start(), world.path("one"));
    let first = send(&one, "dev:0", &[]);
    let late = send(&one, "dev:0", &["--nonce", "5"]);
    let old = send(&one, "dev:1", &[]);
    assert_eq!(
        waiting(&one, &late),
        (json!("queued"), json!("nonce_missing"), json!(true))
    );
    assert_eq!(
        waiting(&one, &first),
        (json!("pending"), json!("turn"), json!(true))
    );
    let account = one.get(&format!("/v1/accounts/{DEV_0}"));
    let pool = &account["pool"];
    assert_eq!(
        (&pool["pending"], &pool["queued"], &pool["nonce_next"]),
        (&json!(1), &json!(1), &json!(1))
    );
    let listed = json!([
        {"hash": first, "nonce": 0, "class": "pending"},
        {"hash": late, "nonce": 5, "class": "queued"},
    ]);
    assert_eq!(pool["transactions"], listed);

    let better = ["--nonce", "0", "--tip", "9gwei", "--max-fee", "20gwei"];
    let new = send(&one, "dev:1", &better);
    let (status, problem) = one.try_get(&format!("/v1/transactions/{old}")).unwrap();
    assert_eq!(
        (status, &problem["code"], &problem["reason"]),
        (404, &json!("transaction_departed"), &json!("replaced"))
    );
    let standing = one.get(&format!("/v1/transactions/{old}/status"));
    assert_eq!(standing["departed"]["text"], format!("replaced by {new}"));
    assert_eq!(
        order(&one.url(), &directory, "mine", &json!({"blocks": 1})).0,
        200
    );
    let standing = one.get(&format!("/v1/transactions/{new}/status"));
    assert_eq!(
        (&standing["status"], &standing["block"]["height"]),
        (&json!("mined"), &json!(1))
    );
    assert_eq!(one.stop(), Some(0));
}

#[test]
fn the_faucet_pays_whoever_may_ask_until_it_is_empty() {
    let world = World::new();
    let directory = world.path("one");
    // Blocks made by order pay the faucet's account, which this network does not fund.
    let one = world.node("one").with(&["--beneficiary", "dev:9"]).start();
    let (url, place) = (one.url(), directory.display().to_string());
    let faucet = |words: &[&str]| {
        lignum(
            &[
                &["dev", "faucet"],
                words,
                &["--node", &url, "--datadir", &place],
            ]
            .concat(),
        )
    };
    let empty = faucet(&[PAYEE]);
    assert_fails(
        &empty,
        1,
        &["the faucet 0xa0Ee7A142d267C1f36714E4a8F75612F20a79720 has 0 LGN"],
    );
    assert_fails(&faucet(&["0x12"]), 2, &["40 hex digits"]);
    assert_fails(&faucet(&[PAYEE, "1001"]), 2, &["1000 LGN"]);
    assert_eq!(
        order(&url, &directory, "mine", &json!({"blocks": 24})).0,
        200
    );
    let paid = faucet(&[PAYEE, "1.5"]);
    assert!(
        stdout(&paid).starts_with("sent 1.5 LGN from the faucet 0xa0Ee"),
        "{}",
        stderr(&paid)
    );
    let paid = faucet(&[PAYEE, "--json"]);
    let paid: Value = serde_json::from_str(&stdout(&paid)).unwrap();
    assert_eq!(
        (&paid["display"], &paid["nonce"]),
        (&json!("100 LGN"), &json!(1))
    );

    // Many at once have a nonce each.
    let body = json!({ "address": PAYEE, "amount": "7" });
    let nonces: BTreeSet<u64> = thread::scope(|scope| {
        let asked: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| order(&url, &directory, "faucet", &body)))
            .collect();
        let answers = asked.into_iter().map(|asked| asked.join().unwrap());
        let nonce = |(status, paid): (u16, Value)| {
            assert_eq!(status, 202, "{paid}");
            paid["nonce"].as_u64().unwrap()
        };
        answers.map(nonce).collect()
    });
    assert_eq!(nonces, (2..10).collect());
    assert_fails(
        &faucet(&[PAYEE, "30"]),
        1,
        &["needed", "with what it has waiting"],
    );

    assert_eq!(
        order(&url, &directory, "mine", &json!({"blocks": 1})).0,
        200
    );
    let balance = &one.get(&format!("/v1/accounts/{PAYEE}"))["chain"]["balance"];
    assert_eq!(balance, &(101 * LGN + LGN / 2 + 8 * 7).to_string());
    assert_eq!(one.stop(), Some(0));
}

/// Threats A3 and A4.
#[test]
fn the_faucet_is_for_holders_of_the_token_on_dev_networks() {
    let world = World::new();
    let one = world.node("one").start();
    let body = json!({ "address": PAYEE });
    let (status, problem) = post_with(&one.url(), "/v1/dev/faucet", "", &body);
    assert_eq!((status, &problem["code"]), (401, &json!("unauthorized")));
    assert_eq!(one.get("/v1/status")["pool"]["count"], 0);
    drop(one);

    world.write_spec("network.json", &json!({"dev": false}));
    let two = world.node("two").start();
    let (status, problem) = order(&two.url(), &world.path("two"), "faucet", &body);
    assert_eq!((status, &problem["code"]), (404, &json!("not_found")));
    let (url, place) = (two.url(), world.path("two").display().to_string());
    let asked = lignum(&["dev", "faucet", PAYEE, "--node", &url, "--datadir", &place]);
    assert_fails(&asked, 1, &["only dev networks have a faucet"]);
    assert_eq!(two.stop(), Some(0));
}
