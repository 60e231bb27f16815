//! Transactions in: every form that is taken, every refusal.

use chain::{PoolError, params::GOSSIP_BYTES_MAX};
use serde_json::Value;

use super::{Server, signed_for_regtest, take};
use crate::{Submission, limits::JSON_DEPTH_MAX};

fn refuse(submission: Submission) {
    let refusal = PoolError::NonceTooLow { want: 7, got: 3 };
    drop(submission.reply.send(Err(refusal)));
}

/// A transfer signed for regtest's chain id by somebody.
fn signed() -> (String, String) {
    let vectors = include_str!("../../../tests/vectors/transactions.json");
    let vectors: Value = serde_json::from_str(vectors).unwrap();
    let valid = vectors["valid"].as_array().unwrap();
    let found = valid.iter().find(|row| row["chain_id"] == 1337).unwrap();
    (
        found["raw"].as_str().unwrap().into(),
        found["hash"].as_str().unwrap().into(),
    )
}

#[test]
fn submissions_carry_the_pools_reason_with_both_numbers() {
    let server = Server::start(refuse);
    let (raw, _) = signed();
    // The vectors are for chain id 1337, regtest's is 1338: refused before the pool.
    let problem = server.refuses("POST", "/v1/transactions", &raw, 400, "wrong_chain_id");
    assert_eq!(
        (&problem["want"], &problem["got"]),
        (&"1338".into(), &"1337".into())
    );
    let own = signed_for_regtest();
    let problem = server.refuses("POST", "/v1/transactions", &own, 422, "nonce_too_low");
    assert_eq!(
        (&problem["want"], &problem["got"]),
        (&"7".into(), &"3".into())
    );
    assert!(problem["detail"].as_str().unwrap().contains("nonce is 3"));
}

#[test]
fn each_refusal_of_the_pool_has_its_status() {
    let known = |submission: Submission| {
        let hash = submission.transaction.hash();
        drop(submission.reply.send(Err(PoolError::Known(hash))));
    };
    let underpriced = |submission: Submission| {
        let (nonce, want, got) = (1, 2, 1);
        let refusal = PoolError::Underpriced { nonce, want, got };
        drop(submission.reply.send(Err(refusal)));
    };
    let sender_full = |submission: Submission| {
        let refusal = PoolError::SenderFull { want: 64, got: 64 };
        drop(submission.reply.send(Err(refusal)));
    };
    let full = |submission: Submission| {
        let refusal = PoolError::Full { want: 2, got: 1 };
        drop(submission.reply.send(Err(refusal)));
    };
    type Case = (fn(Submission), u16, &'static str);
    let cases: [Case; 5] = [
        (known, 409, "already_known"),
        (underpriced, 409, "replacement_underpriced"),
        (sender_full, 422, "sender_full"),
        (full, 503, "pool_full"),
        // The core is gone before it has answered.
        (drop, 503, "busy"),
    ];
    let body = signed_for_regtest();
    for (answer, status, code) in cases {
        let server = Server::start(answer);
        server.refuses("POST", "/v1/transactions", &body, status, code);
        let length = body.len();
        let request = format!(
            "POST /v1/transactions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        let (_, text) = server.raw(request.as_bytes());
        let text = text.to_ascii_lowercase();
        assert_eq!(text.contains("retry-after: 1"), status == 503, "{text}");
        assert!(text.contains("application/problem+json"), "{text}");
    }
}

#[test]
fn a_transaction_is_taken_in_every_form() {
    let server = Server::start(take);
    let raw = signed_for_regtest();
    for body in [
        raw.clone(),
        raw.trim_start_matches("0x").to_owned(),
        format!("\"{raw}\""),
        format!("{{\"raw\": \"{raw}\"}}\n"),
    ] {
        let (status, taken) = server.ask("POST", "/v1/transactions", &body);
        assert_eq!((status, &taken["durable"]), (202, &true.into()), "{taken}");
        assert_eq!(taken["hash"].as_str().unwrap().len(), 66);
    }
}

#[test]
fn what_is_no_transaction_is_refused() {
    let server = Server::start(take);
    let deep = "[".repeat(200_000);
    for (body, status, code) in [
        ("", 400, "transaction_malformed"),
        ("0xzz", 400, "bad_body"),
        ("0x0", 400, "bad_body"),
        ("{\"raw\":", 400, "bad_body"),
        ("{\"raw\": 1}", 400, "bad_body"),
        ("[1]", 400, "bad_body"),
        (&*deep, 400, "json_too_deep"),
        ("0x02c0", 400, "transaction_malformed"),
        ("0x03c0", 400, "transaction_type_unsupported"),
        (&*"00".repeat(140_000), 400, "transaction_too_large"),
        (&*"00".repeat(600_000), 413, "body_too_large"),
    ] {
        server.refuses("POST", "/v1/transactions", body, status, code);
    }
    let (status, _) = server.raw(
        b"POST /v1/transactions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
          Content-Length: 2\r\n\r\n\xff\xfe",
    );
    assert_eq!(status, 400);
}

/// Threat A2: every path that takes JSON counts how deep it is before anything reads it.
#[test]
fn json_that_is_too_deep_is_refused_everywhere() {
    let server = Server::start(take);
    let document = serde_json::to_value(crate::openapi::document()).unwrap();
    let paths = document["paths"].as_object().unwrap().iter();
    let takes_json = |methods: &Value| {
        let content = &methods["post"]["requestBody"]["content"];
        content.get("application/json").is_some()
    };
    let paths: Vec<_> = paths.filter(|(_, methods)| takes_json(methods)).collect();
    assert!(paths.len() >= 7, "{paths:?}");
    let token = format!("Authorization: Bearer {}\r\n", "07".repeat(32));
    for (path, _) in paths {
        let ask = |depth: usize| {
            let body = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            let length = body.len();
            let request = format!(
                "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{token}\
                 Content-Length: {length}\r\n\r\n{body}"
            );
            let (status, text) = server.raw(request.as_bytes());
            assert_eq!(status, 400, "{path}: {text}");
            let (_, problem) = text.split_once("\r\n\r\n").unwrap();
            serde_json::from_str::<Value>(problem).unwrap()
        };
        for depth in [JSON_DEPTH_MAX + 1, 500_000] {
            let problem = ask(depth);
            assert_eq!(problem["code"], "json_too_deep", "{path}");
            assert_eq!(problem["want"], JSON_DEPTH_MAX.to_string());
            assert_eq!(problem["got"], depth.to_string());
        }
        assert_ne!(ask(JSON_DEPTH_MAX)["code"], "json_too_deep", "{path}");
    }
}

/// Blocks are larger than what others send, and have a limit of their own.
#[test]
fn a_block_has_room_for_the_largest_and_no_more() {
    let server = Server::start(take);
    let path = "/v1/mining/blocks";
    let block = |bytes| "x".repeat(bytes);
    server.refuses("POST", path, &block(GOSSIP_BYTES_MAX), 422, "invalid_block");
    let problem = server.refuses(
        "POST",
        path,
        &block(GOSSIP_BYTES_MAX + 1),
        413,
        "body_too_large",
    );
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(&GOSSIP_BYTES_MAX.to_string()), "{detail}");
}
