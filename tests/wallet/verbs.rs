//! The verbs against a node on a thread: what they send, show and refuse.

use serde_json::{Value, json};
use wallet::{dev_key, verbs::VerbError};

use crate::{
    desk::{Desk, refused},
    node::{HASH, honest, http, node},
};

fn wallet(words: &str, url: &str) -> Result<String, VerbError> {
    Desk::new(url).run(words, &[])
}

#[test]
fn a_transfer_is_sent_and_shown_on_one_line() {
    let url = node(|line, body| honest(line, body, true));
    let out = wallet("send dev:1 25 --from dev:0 --wait 1", &url).unwrap();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 2);
    let (from, to) = (dev_key(0).address(), dev_key(1).address());
    let start =
        format!("sent 25 LGN from {from} to {to}  nonce 3  fee at most 0.000063 LGN  tx 0x");
    assert!(lines[0].starts_with(&start), "{}", lines[0]);
    assert_eq!(
        lines[1],
        format!("mined in block #13 {HASH} (1 confirmation)")
    );
}

#[test]
fn what_is_said_overrules_what_is_found() {
    let url = node(|line, body| honest(line, body, true));
    let words = "send dev:1 7wei --from dev:0 --tip 2gwei --max-fee 5gwei --gas-limit 30000 \
                 --nonce 9 --json --wait 1";
    let sent: Value = serde_json::from_str(&wallet(words, &url).unwrap()).unwrap();
    assert_eq!(sent["value"], "7");
    assert_eq!(
        (&sent["nonce"], &sent["gas_limit"]),
        (&json!(9), &json!(30_000))
    );
    assert_eq!(
        (&sent["tip"], &sent["max_fee"]),
        (&json!("2000000000"), &json!("5000000000"))
    );
    assert_eq!(sent["fee_max"], "150000000000000");
    assert_eq!(sent["block"]["confirmations"], 1);
    // A low ceiling alone takes the tip down with it.
    let words = "send dev:1 1 --from dev:0 --max-fee 3wei --json";
    let sent: Value = serde_json::from_str(&wallet(words, &url).unwrap()).unwrap();
    assert_eq!((&sent["tip"], &sent["block"]), (&json!("3"), &Value::Null));
}

#[test]
fn a_balance_is_shown_exactly() {
    let url = node(|line, body| honest(line, body, false));
    let out = wallet("balance dev:0", &url).unwrap();
    assert_eq!(
        out,
        "1000 LGN\n2 transactions pending, which can take 0.000042 LGN\n"
    );
    let json: Value = serde_json::from_str(&wallet("balance dev:0 --json", &url).unwrap()).unwrap();
    assert_eq!(json["balance"], "1000000000000000000000");
    assert_eq!(json["head"]["height"], 12);
}

#[test]
fn dangerous_transfers_are_refused_before_anything_is_signed() {
    let dev = node(|line, body| {
        assert!(!line.starts_with("POST"), "sent what it should not");
        honest(line, body, true)
    });
    let real = node(|line, body| {
        assert!(!line.starts_with("POST"), "sent what it should not");
        honest(line, body, false)
    });
    let zero = format!("send 0x{} 1 --from dev:0", "0".repeat(40));
    let contract = format!("send 0x{} 1 --from dev:0", "35".repeat(20));
    for (words, url, code, reason) in [
        ("send dev:0 1 --from dev:0", &dev, 2, "--force"),
        (&zero, &dev, 2, "--force"),
        (&contract, &dev, 2, "--gas-limit"),
        ("send dev:1 1 --from dev:0", &real, 8, "everybody knows"),
        ("send dev:1 1 --from alice", &dev, 8, "alice"),
        (
            "send dev:1 1 --from dev:0 --gas-limit 20999",
            &dev,
            2,
            "at least 21000",
        ),
        (
            "send dev:1 1 --from dev:0 --tip 9gwei --max-fee 1gwei",
            &dev,
            2,
            "max fee",
        ),
    ] {
        let error = wallet(words, url).unwrap_err();
        assert_eq!(error.exit_code(), code, "{words}: {error}");
        assert!(error.to_string().contains(reason), "{words}: {error}");
    }
    let dev = node(|line, body| honest(line, body, true));
    wallet("send dev:0 1 --from dev:0 --force", &dev).unwrap();
}

#[test]
fn what_the_pool_refuses_is_told_apart_from_a_node_in_trouble() {
    for (status, code) in [(422, 10), (503, 1)] {
        let url = node(move |line, body| {
            let problem = json!({"status": status, "detail": "balance is 3.2 LGN, needed 25.000021",
                "code": "balance"});
            match line.starts_with("POST") {
                true => http(status, &problem.to_string()),
                false => honest(line, body, true),
            }
        });
        let error = wallet("send dev:1 25 --from dev:0", &url).unwrap_err();
        assert_eq!(error.exit_code(), code);
        assert!(error.to_string().contains("needed 25.000021"), "{error}");
    }
}

#[test]
fn a_node_that_swaps_hashes_or_accounts_is_caught() {
    let url = node(|line, body| match line.starts_with("POST") {
        true => http(202, &json!({ "hash": HASH }).to_string()),
        false => honest(line, body, true),
    });
    let error = wallet("send dev:1 1 --from dev:0", &url).unwrap_err();
    assert!(matches!(error, VerbError::OtherHash { .. }), "{error}");
    let other = dev_key(5).address();
    let url = node(move |_, _| honest(&format!("GET /v1/accounts/{other} x"), "", true));
    let error = wallet("balance dev:0", &url).unwrap_err();
    assert!(error.to_string().contains(&other.to_string()), "{error}");
}

#[test]
fn waiting_ends_with_the_hash_in_the_message() {
    let url = node(|line, body| honest(line, body, true));
    let error = wallet("send dev:1 1 --from dev:0 --wait 2 --timeout 0", &url).unwrap_err();
    let shown = error.to_string();
    assert!(
        shown.starts_with("transaction 0x") && shown.contains("1 of 2"),
        "{shown}"
    );
    assert_eq!(error.exit_code(), 1);
}

#[test]
fn bad_arguments_are_refused_with_their_reason() {
    for (words, reason) in [
        ("send 0x5aae 1 --from dev:0", "40 hex digits"),
        ("send dev:1 1e9 --from dev:0", "not a unit"),
        ("send dev:1 -1 --from dev:0", "negative"),
        ("send dev:1 1 --from dev:0 --tip 2", "needs its unit"),
        ("send dev:1 1 --from dev:0 --wait 0", "--wait"),
        ("send dev:1 1 --from dev:100", "dev:99"),
        ("send dev:1 1", "--from"),
        (
            "send 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD 1 --from dev:0",
            "checksum",
        ),
        ("derive a --index 4-1", "--index"),
        ("derive a --index 0-100", "100 at most"),
        ("new --words 13", "--words"),
        ("replace 0x12", "0x12"),
    ] {
        let error = refused(words);
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(reason), "{error}");
    }
}
