//! The faucet: who gets money, of which nonce, and every refusal.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use chain::{Address, PoolError, U256};
use serde_json::{Value, json};

use super::{Server, pay_out, regtest, take, view};
use crate::{
    Submission,
    faucet::{Faucet, Payment},
};

/// The faucet of these servers.
pub(super) fn open() -> Arc<Faucet> {
    let payment = Payment {
        chain_id: 1338,
        nonce: 0,
        to: Address::ZERO,
        value: 0,
        max_fee: 0,
        tip: 0,
    };
    let sign = |payment: &Payment| pay_out(payment).bytes().to_vec();
    Arc::new(Faucet::new(pay_out(&payment).sender(), Box::new(sign)))
}

const PAYEE: &str = "0x00000000000000000000000000000000000000aa";
const LGN: u128 = 1_000_000_000_000_000_000;

/// Asks with the servers' token, or with other lines in the head.
fn ask(server: &Server, head: &str, body: &str) -> (u16, Value) {
    let length = body.len();
    let request = format!(
        "POST /v1/dev/faucet HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{head}\
         Content-Length: {length}\r\n\r\n{body}"
    );
    let (status, text) = server.raw(request.as_bytes());
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, serde_json::from_str(body).unwrap_or_default())
}

fn bearer() -> String {
    format!("Authorization: Bearer {}\r\n", "07".repeat(32))
}

fn pay(server: &Server, body: &Value) -> (u16, Value) {
    ask(server, &bearer(), &body.to_string())
}

#[test]
fn the_faucet_pays_what_was_asked_or_a_hundred() {
    let server = Server::start(take);
    let (status, paid) = pay(&server, &json!({ "address": PAYEE }));
    assert_eq!(status, 202, "{paid}");
    assert_eq!(paid["value"], (100 * LGN).to_string());
    assert_eq!(paid["display"], "100 LGN");
    assert_eq!(paid["from"], open().address().to_string());
    assert_eq!(
        (&paid["nonce"], &paid["durable"]),
        (&json!(0), &json!(true))
    );
    assert_eq!(paid["head"]["height"], 0);
    assert_eq!(paid["hash"].as_str().unwrap().len(), 66);
    let (status, paid) = pay(&server, &json!({ "address": PAYEE, "amount": "7" }));
    assert_eq!((status, &paid["value"]), (202, &json!("7")));
}

/// Threats A3 and A4.
#[test]
fn the_faucet_is_for_holders_of_the_token_on_dev_networks() {
    let server = Server::start(take);
    let body = json!({ "address": PAYEE }).to_string();
    let code = |server: &Server, head: &str| {
        let (status, problem) = ask(server, head, &body);
        (status, problem["code"].as_str().unwrap_or("").to_owned())
    };
    assert_eq!(code(&server, ""), (401, "unauthorized".into()));
    let page = format!("{}Origin: http://localhost\r\n", bearer());
    assert_eq!(code(&server, &page), (403, "origin_not_allowed".into()));
    let (view, genesis) = view(&regtest());
    let server = Server::without_faucet(view, genesis);
    assert_eq!(code(&server, &bearer()), (404, "not_found".into()));
    assert_eq!(server.ask("GET", "/v1/dev/faucet", "").0, 404);
}

#[test]
fn malformed_orders_say_what_was_wanted() {
    let server = Server::start(take);
    let above = (1_000 * LGN + 1).to_string();
    for (body, code, wanted) in [
        (json!({}), "bad_order", "\"address\""),
        (json!([1]), "bad_order", "got [1]"),
        (json!({"address": "0x12"}), "bad_address", "40 hex digits"),
        (
            json!({"address": PAYEE, "amount": 5}),
            "bad_amount",
            "decimal string; got 5",
        ),
        (
            json!({"address": PAYEE, "amount": "0"}),
            "bad_amount",
            "1 wei to 1000 LGN",
        ),
        (
            json!({"address": PAYEE, "amount": above}),
            "bad_amount",
            "got 1000.000000000000000001 LGN",
        ),
    ] {
        let (status, problem) = pay(&server, &body);
        assert_eq!(
            (status, problem["code"].as_str()),
            (400, Some(code)),
            "{problem}"
        );
        assert!(
            problem["detail"].as_str().unwrap().contains(wanted),
            "{problem}"
        );
    }
    let (status, problem) = ask(&server, &bearer(), "{");
    assert_eq!((status, &problem["code"]), (400, &json!("bad_body")));
}

#[test]
fn what_the_pool_refuses_is_told_in_the_faucets_words() {
    fn poor(submission: Submission) {
        let (want, got) = (U256::from(200 * LGN), 5 * LGN);
        drop(submission.reply.send(Err(PoolError::Balance { want, got })));
    }
    fn crowded(submission: Submission) {
        let refusal = PoolError::SenderFull { want: 64, got: 64 };
        drop(submission.reply.send(Err(refusal)));
    }
    let body = json!({ "address": PAYEE });
    let (status, problem) = pay(&Server::start(poor), &body);
    assert_eq!((status, &problem["code"]), (409, &json!("faucet_empty")));
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("has 5 LGN, needed 200 LGN"), "{detail}");
    assert_eq!(problem["got"], (5 * LGN).to_string());
    let (status, problem) = pay(&Server::start(crowded), &body);
    assert_eq!((status, &problem["code"]), (422, &json!("sender_full")));
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("the pool does not take the faucet's payment: "),
        "{detail}"
    );
}

/// The key is everybody's: a nonce that others take meanwhile is not the end, but tried a few times.
#[test]
fn a_nonce_that_others_took_is_asked_for_again() {
    static TRIES: AtomicUsize = AtomicUsize::new(0);
    fn third_time(submission: Submission) {
        let refusal = PoolError::NonceTooLow { want: 1, got: 0 };
        let answer = match TRIES.fetch_add(1, Ordering::Relaxed) % 5 {
            0 | 1 => Err(refusal),
            2 => Ok(submission.transaction.hash()),
            _ => Err(PoolError::Known(submission.transaction.hash())),
        };
        drop(submission.reply.send(answer));
    }
    let server = Server::start(third_time);
    let body = json!({ "address": PAYEE });
    assert_eq!(pay(&server, &body).0, 202);
    TRIES.store(3, Ordering::Relaxed);
    assert_eq!(pay(&server, &body).0, 503);
    assert_eq!(TRIES.load(Ordering::Relaxed), 6, "three tries");
}
