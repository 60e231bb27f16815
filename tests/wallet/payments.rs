//! Payments from wallets: questions, guards, journals, replacements, and signing without a network.

use std::sync::Mutex;

use alloy_primitives::hex;
use chain::CheckedTransaction;
use serde_json::{Value, json};
use wallet::{dev_key, verbs::VerbError};

use crate::{
    desk::Desk,
    node::{CHAIN_ID, HASH, honest, http, node, problem},
};

const PAYEE: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";

/// What a node was sent, in order. Its thread lives as long as the tests.
type Sent = &'static Mutex<Vec<CheckedTransaction>>;

/// A node of a network that is not for play, which knows what it was sent, unless `forgets`.
fn careful(forgets: bool) -> (String, Sent) {
    let kept: Sent = Box::leak(Box::default());
    let url = node(move |line, body| {
        if line.starts_with("POST") {
            let body: Value = serde_json::from_str(body).unwrap();
            let raw = hex::decode(body["raw"].as_str().unwrap()).unwrap();
            let checked = CheckedTransaction::check(&raw, CHAIN_ID).unwrap();
            kept.lock().unwrap().push(checked);
        }
        match line.strip_prefix("GET /v1/transactions/") {
            Some(rest) => {
                let hash = rest.split(' ').next().unwrap();
                let kept = kept.lock().unwrap();
                let found = kept.iter().find(|tx| tx.hash().to_string() == hash);
                match found.filter(|_| !forgets) {
                    Some(found) => http(200, &details(found)),
                    None => http(404, &problem(404, "not known", "not_found")),
                }
            }
            None => honest(line, body, false),
        }
    });
    (url, kept)
}

fn details(tx: &CheckedTransaction) -> String {
    json!({"hash": tx.hash().to_string(), "status": "pending", "block": null,
        "from": tx.sender().to_string(), "to": tx.to().map(|to| to.to_string()),
        "nonce": tx.nonce(), "value": tx.value().to_string(), "gas_limit": tx.gas_limit(),
        "max_fee": tx.max_fee().to_string(), "priority_fee": tx.priority_fee().to_string(),
        "input": hex::encode_prefixed(tx.input())})
    .to_string()
}

fn desk(url: &str) -> Desk {
    let desk = Desk::new(url);
    desk.add("alice", &dev_key(1), "pw");
    desk.add("bob", &dev_key(2), "pw");
    desk
}

#[test]
fn a_wallet_pays_after_its_password_and_not_after_another() {
    let (url, sent) = careful(false);
    let mut desk = desk(&url);
    let words = format!("send {PAYEE} 25 --from alice");
    let error = desk.run(&words, &["no"]).unwrap_err();
    assert_eq!(
        (error.exit_code(), error.to_string().as_str()),
        (8, "wallet \"alice\": wrong password")
    );
    assert!(sent.lock().unwrap().is_empty());
    let out = desk.run(&words, &["pw"]).unwrap();
    assert!(
        out.contains(&format!(
            "sent 25 LGN from {} to {PAYEE}",
            dev_key(1).address()
        )),
        "{out}"
    );
    desk.run("send bob 1 --from alice", &["pw"]).unwrap();
    let by_address = format!("send bob 1 --from {}", dev_key(1).address());
    desk.run(&by_address, &["pw"]).unwrap();
    assert_eq!(sent.lock().unwrap().len(), 3);
}

#[test]
fn a_person_sees_all_numbers_and_is_asked() {
    let (url, sent) = careful(false);
    let mut desk = desk(&url).at_terminal();
    let words = format!("send {} 25 --from alice", PAYEE.to_lowercase());
    let error = desk.run(&words, &["n"]).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    let said = &desk.console.said;
    for part in [
        "without a checksum; compare 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0x70997970C51812dc3A010C7d01b50e0d17dc79C8 (alice)",
        "amount   25 LGN",
        "at most 0.000063 LGN (21000 gas, at most 3000000000 wei each, of it 1000000000 wei",
        "total    at most 25.000063 LGN of 1000 LGN",
        "nonce    3",
        "chain id 1337   genesis 0x00000c41",
        &url,
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert!(sent.lock().unwrap().is_empty());
    desk.run(&words, &["y", "pw"]).unwrap();
    desk.run(&format!("{words} --yes"), &["pw"]).unwrap();
    assert_eq!(sent.lock().unwrap().len(), 2);
}

#[test]
fn regrettable_payments_are_refused_before_a_password_is_asked() {
    let (url, sent) = careful(false);
    let mut desk = desk(&url);
    for (words, code, reason) in [
        (
            "send bob 1000 --from alice",
            10,
            "balance is 1000 LGN, of which pending transactions can take 0.000042, needed 1000.000063 (1000 + fee 0.000063)",
        ),
        (
            "send bob 0.001 --from alice --max-fee 50gwei",
            2,
            "--allow-high-fee",
        ),
        (
            "send bob 500 --from alice --max-fee 5000gwei",
            2,
            "limit is 0.1 LGN",
        ),
        ("send alice 1 --from alice", 2, "--force"),
        ("send carol 1 --from alice", 8, "no wallet \"carol\""),
        ("send bob 1 --from carol", 8, "no wallet \"carol\""),
        ("send dev:3 1 --from alice", 8, "everybody knows"),
    ] {
        let error = desk.run(words, &[]).unwrap_err();
        assert_eq!(error.exit_code(), code, "{words}: {error}");
        assert!(error.to_string().contains(reason), "{words}: {error}");
    }
    assert!(sent.lock().unwrap().is_empty());
    desk.run(
        "send bob 500 --from alice --max-fee 5000gwei --allow-high-fee",
        &["pw"],
    )
    .unwrap();
}

#[test]
fn a_payment_that_the_node_forgot_is_not_silently_replaced() {
    let (url, sent) = careful(true);
    let mut desk = desk(&url);
    let out = desk.run("send bob 1 --from alice --json", &["pw"]).unwrap();
    let first: Value = serde_json::from_str(&out).unwrap();
    let hash = first["hash"].as_str().unwrap();
    let error = desk.run("send bob 2 --from alice", &["pw"]).unwrap_err();
    assert!(
        matches!(error, VerbError::Forgotten { nonce: 3, .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains(&format!("broadcast {hash}")),
        "{error}"
    );
    let again = desk.run(&format!("broadcast {hash}"), &[]).unwrap();
    assert!(again.contains(hash), "{again}");
    let kept = sent.lock().unwrap().clone();
    assert_eq!(kept[0].bytes(), kept[1].bytes());
    desk.run("send bob 2 --from alice --nonce 3", &["pw"])
        .unwrap();
    // What the node refuses is not held against the next payment.
    let refusing = node(|line, body| match line {
        line if line.starts_with("POST") => http(422, &problem(422, "no", "no")),
        line if line.starts_with("GET /v1/transactions/") => {
            http(404, &problem(404, "not known", "not_found"))
        }
        line => honest(line, body, false),
    });
    let mut other = Desk::new(&refusing);
    other.add("alice", &dev_key(1), "pw");
    for _ in 0..2 {
        let error = other.run("send dev:2 1 --from alice", &["pw"]).unwrap_err();
        assert_eq!(error.exit_code(), 8, "{error}");
        let error = other
            .run(&format!("send {PAYEE} 1 --from alice"), &["pw"])
            .unwrap_err();
        assert!(matches!(error, VerbError::Rejected(_)), "{error}");
    }
}

#[test]
fn an_account_does_not_stray_onto_another_network() {
    let (url, _) = careful(false);
    let mut desk = desk(&url);
    desk.run("send bob 1 --from alice", &["pw"]).unwrap();
    let text = |line: &str, body: &str| {
        let answer = String::from_utf8(honest(line, body, false)).unwrap();
        let other = answer.replace("\"genesis\":\"0x00000c41", "\"genesis\":\"0x00000c42");
        other.into_bytes()
    };
    desk.turn_to(&node(text));
    let error = desk.run("send bob 1 --from alice", &["pw"]).unwrap_err();
    assert_eq!(error.exit_code(), 7);
    desk.run("send bob 1 --from alice --other-network", &["pw"])
        .unwrap();
    desk.run("send bob 1 --from alice", &["pw"]).unwrap();
}

#[test]
fn what_waits_is_replaced_and_cancelled_at_a_tenth_more() {
    let (url, sent) = careful(false);
    let mut desk = desk(&url);
    let sent_json = desk.json(
        "send bob 7 --from alice --tip 11wei --max-fee 3gwei --json",
        &["pw"],
    );
    let hash = sent_json["hash"].as_str().unwrap().to_string();
    let low = desk
        .run(&format!("replace {hash} --tip 12wei"), &["pw"])
        .unwrap_err();
    assert!(low.to_string().contains("at least 13 wei"), "{low}");
    let low = desk
        .run(&format!("cancel {hash} --max-fee 3gwei"), &["pw"])
        .unwrap_err();
    assert!(low.to_string().contains("at least 3300000000 wei"), "{low}");
    desk.run(
        &format!("replace {hash} --tip 13wei --amount 8 --to {PAYEE}"),
        &["pw"],
    )
    .unwrap();
    desk.run(&format!("cancel {hash}"), &["pw"]).unwrap();
    let kept = sent.lock().unwrap().clone();
    let [old, new, none] = &kept[..] else {
        panic!("{} were sent", kept.len())
    };
    assert_eq!((new.nonce(), none.nonce()), (old.nonce(), old.nonce()));
    assert_eq!((new.priority_fee(), new.max_fee()), (13, 3_300_000_000));
    assert_eq!(
        (new.to(), new.value().to_string()),
        (Some(PAYEE.parse().unwrap()), "8000000000000000000".into())
    );
    assert_eq!(
        (none.to(), none.value().is_zero()),
        (Some(dev_key(1).address()), true)
    );
    let unknown = desk.run(&format!("cancel {HASH}"), &[]).unwrap_err();
    assert_eq!(unknown.exit_code(), 10);
    let error = desk
        .run(&format!("cancel {hash} --from bob"), &[])
        .unwrap_err();
    assert!(error.to_string().contains("was sent by"), "{error}");
    let mined = node(
        |line, body| match line.starts_with("GET /v1/transactions/") {
            true => {
                let answer = json!({"hash": HASH, "status": "mined", "from": PAYEE, "to": PAYEE,
                "nonce": 1, "value": "1", "gas_limit": 21000, "max_fee": "1", "priority_fee": "1",
                "input": "0x", "block": {"height": 9, "hash": HASH, "confirmations": 1}});
                http(200, &answer.to_string())
            }
            false => honest(line, body, false),
        },
    );
    desk.turn_to(&mined);
    let error = desk.run(&format!("replace {HASH}"), &[]).unwrap_err();
    assert!(
        error.to_string().contains("is in block #9 already"),
        "{error}"
    );
}

#[test]
fn a_transaction_is_signed_without_a_network() {
    let (url, sent) = careful(false);
    let mut online = Desk::new(&url);
    let from = dev_key(1).address();
    let unsigned = online
        .run(&format!("build {PAYEE} 25 --from {from}"), &[])
        .unwrap();
    let file: Value = serde_json::from_str(&unsigned).unwrap();
    assert_eq!(
        (&file["chain_id"], &file["genesis"], &file["nonce"]),
        (&json!(1337), &json!(HASH), &json!(3))
    );
    let mut offline = desk(crate::desk::NOBODY).at_terminal();
    let unsigned = offline.file("unsigned", &unsigned);
    let error = offline
        .run(&format!("sign {unsigned}"), &["n"])
        .unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(
        offline
            .console
            .said
            .contains("network  devnet   chain id 1337"),
        "{}",
        offline.console.said
    );
    let signed = offline
        .run(&format!("sign {unsigned}"), &["y", "pw"])
        .unwrap();
    let path = online.file("signed", &signed);
    let out = online.run(&format!("broadcast {path}"), &[]).unwrap();
    assert!(out.contains("sent 25 LGN"), "{out}");
    assert_eq!(sent.lock().unwrap().len(), 1);
    // Whatever was changed after signing is found.
    for (name, value) in [
        ("to", json!(dev_key(4).address().to_string())),
        ("value", json!("1")),
        ("nonce", json!(4)),
        ("max_fee", json!("1")),
        ("from", json!(dev_key(4).address().to_string())),
        ("input", json!("0x00")),
    ] {
        let mut changed: Value = serde_json::from_str(&signed).unwrap();
        changed[name] = value;
        let path = online.file("changed", &changed.to_string());
        let error = online.run(&format!("broadcast {path}"), &[]).unwrap_err();
        assert!(
            error
                .to_string()
                .contains(&format!("the file's {name} is not what was signed")),
            "{error}"
        );
    }
    for (name, value) in [
        ("genesis", json!(HASH.replace('4', "5"))),
        ("kind", json!("x")),
        ("genesis", json!("0x")),
    ] {
        let mut changed: Value = serde_json::from_str(&signed).unwrap();
        changed[name] = value;
        let path = online.file("changed", &changed.to_string());
        assert!(
            online.run(&format!("broadcast {path}"), &[]).is_err(),
            "{name}"
        );
    }
    assert_eq!(sent.lock().unwrap().len(), 1);
}

#[test]
fn a_node_that_estimates_fees_is_followed() {
    let url = node(|line, body| match line.starts_with("GET /v1/fees") {
        true => {
            let estimate = |blocks: u64, tip: u64| {
                json!({"blocks": blocks,
                "max_fee": (10 * tip).to_string(), "tip": tip.to_string()})
            };
            let fees = json!({"base_fee": "1", "computed_from": 9,
                "estimates": [estimate(1, 30), estimate(3, 20), estimate(10, 10)]});
            http(200, &fees.to_string())
        }
        false => honest(line, body, true),
    });
    for (words, tip, max_fee) in [
        ("", "20", "200"),
        ("--within 1", "30", "300"),
        ("--within 9", "20", "200"),
        ("--within 50", "10", "100"),
        ("--tip 25wei", "25", "205"),
        ("--max-fee 15wei", "15", "15"),
    ] {
        let mut desk = Desk::new(&url);
        let sent = desk.json(&format!("send dev:1 1 --from dev:0 --json {words}"), &[]);
        assert_eq!(
            (&sent["tip"], &sent["max_fee"]),
            (&json!(tip), &json!(max_fee)),
            "{words}"
        );
    }
}

/// The balance is 1000 LGN, of which 0.000042 wait to be paid; a fee is 21000 times 3 gwei at most.
#[test]
fn all_is_everything_but_the_highest_fee_to_the_wei() {
    let url = node(|line, body| honest(line, body, true));
    let lgn = 1_000_000_000_000_000_000_u128;
    let (balance, pending) = (1_000 * lgn, 42_000_000_000_000);
    for (words, fee, value) in [
        (
            "",
            63_000_000_000_000_u128,
            balance - pending - 63_000_000_000_000,
        ),
        ("--max-fee 7wei", 147_000, balance - pending - 147_000),
        // What it replaces no longer takes anything.
        ("--max-fee 7wei --nonce 1", 147_000, balance - 147_000),
    ] {
        let mut desk = Desk::new(&url);
        let sent = desk.json(&format!("send dev:1 all --from dev:0 --json {words}"), &[]);
        assert_eq!(sent["value"], value.to_string(), "{words}");
        assert_eq!(sent["fee_max"], fee.to_string(), "{words}");
    }
    let refused = |words: &str| {
        let error = Desk::new(&url).run(&format!("send dev:1 all --from dev:0 {words}"), &[]);
        error.unwrap_err().to_string()
    };
    let poor = refused("--max-fee 1ether");
    assert!(
        poor.starts_with("balance is 1000 LGN, of which pending"),
        "{poor}"
    );
    // All but a fee that is exactly the rest would be nothing.
    let rest = (balance - pending) / 1_000_000;
    let nothing = refused(&format!(
        "--gas-limit 1000000 --max-fee {rest}wei --allow-high-fee"
    ));
    assert!(
        nothing.contains("needed 999.999958000000000001 ("),
        "{nothing}"
    );
}

#[test]
fn who_waits_for_what_has_left_the_pool_is_told_why() {
    let url = node(
        |line, body| match line.starts_with("GET /v1/transactions/") {
            true => {
                let detail = "transaction 0x1 is not mined and has left the pool: expired";
                http(404, &problem(404, detail, "transaction_departed"))
            }
            false => honest(line, body, true),
        },
    );
    let mut desk = Desk::new(&url);
    let error = desk.run("send dev:1 1 --from dev:0 --wait 1", &[]);
    let error = error.unwrap_err().to_string();
    let told = "then: transaction 0x1 is not mined and has left the pool: expired";
    assert!(error.contains(told), "{error}");
}

#[test]
fn a_history_is_shown_by_pages() {
    let url = node(|line, body| match line.contains("/transactions?limit=") {
        true => {
            let next = (!line.contains("cursor=a%2Fb")).then_some("a/b");
            let entry = |from: u32, to: u32, direction: &str, status: &str| {
                json!({"hash": HASH,
                "block": {"height": 9, "hash": HASH}, "index": 0, "from": dev_key(from).address().to_string(),
                "to": dev_key(to).address().to_string(), "value": "1500000000000000000",
                "fee": "21000", "nonce": 1, "direction": direction, "status": status})
            };
            let entries = [
                entry(1, 2, "out", "success"),
                entry(2, 1, "in", "success"),
                entry(1, 1, "self", "failed"),
            ];
            let page = json!({"transactions": entries, "next_cursor": next,
                "head": {"height": 12, "hash": HASH}});
            http(200, &page.to_string())
        }
        false => honest(line, body, false),
    });
    let mut desk = desk(&url);
    let out = desk.run("history alice --limit 3", &[]).unwrap();
    let lines: Vec<&str> = out.lines().collect();
    assert!(
        lines[0].starts_with("#9        out  1.5 LGN to 0x3C44")
            && lines[0].contains("(bob)  fee 0.000000000000021 LGN"),
        "{out}"
    );
    assert!(
        lines[1].starts_with("#9        in   1.5 LGN from") && !lines[1].contains("fee"),
        "{out}"
    );
    assert!(
        lines[2].contains("self") && lines[2].contains("FAILED"),
        "{out}"
    );
    assert!(desk.console.said.contains("--cursor a/b"));
    let json = desk.json("history alice --cursor a/b --json", &[]);
    assert_eq!(
        (&json["next_cursor"], &json["transactions"][2]["direction"]),
        (&Value::Null, &json!("self"))
    );
    let old = node(|line, body| honest(line, body, false));
    desk.turn_to(&old);
    let error = desk.run("history alice", &[]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("does not list an account's transactions"),
        "{error}"
    );
}
