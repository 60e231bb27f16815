//! A node for tests: a thread that answers what a test wants, right or wrong.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
};

use alloy_primitives::hex;
use chain::CheckedTransaction;
use serde_json::{Value, json};

/// The chain id of [`honest`] nodes.
pub const CHAIN_ID: u64 = 1337;
/// A hash that looks like one.
pub const HASH: &str = "0x00000c4100000000000000000000000000000000000000000000000000000041";

/// A node on a thread: each request line and body is answered by what `answer` gives, raw.
pub fn node(answer: impl Fn(&str, &str) -> Vec<u8> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (line, body) = read_request(&mut stream);
            // The client may have hung up, having read all that it wants.
            let _ = stream.write_all(&answer(&line, &body));
        }
    });
    url
}

fn read_request(stream: &mut TcpStream) -> (String, String) {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).unwrap_or(0);
        text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            assert!(count > 0, "half a request");
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.parse::<usize>().unwrap())
        });
        if body.len() >= length.unwrap_or(0) {
            let line = head.lines().next().unwrap_or_default();
            return (line.to_string(), body.to_string());
        }
    }
}

/// An answer with this status and body.
pub fn http(status: u16, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
        .into_bytes()
}

/// What an honest node answers, on a dev network or not; it takes every valid transaction.
pub fn honest(line: &str, body: &str, is_dev: bool) -> Vec<u8> {
    let path = line.split(' ').nth(1).unwrap();
    if path == "/v1/status" {
        let status = json!({"chain_id": CHAIN_ID, "network": "devnet", "genesis": HASH,
            "head": {"height": 12, "hash": HASH, "time": 1, "chain_work": "0x10"},
            "base_fee": "1000000000", "peers": 1, "mining": true, "version": "0.1.0",
            "dev": is_dev});
        return http(200, &status.to_string());
    }
    if path == "/v1/fees" || path.contains("/transactions?") {
        return http(404, &problem(404, "no such path", "not_found"));
    }
    if let Some(address) = path.strip_prefix("/v1/accounts/") {
        let is_contract = address.ends_with("35353535");
        let account = json!({"address": address, "head": {"height": 12, "hash": HASH},
            "chain": {"nonce": 1, "balance": "1000000000000000000000", "display": "1000 LGN",
                "code_hash": is_contract.then_some(HASH)},
            "pool": {"nonce_next": 3, "pending": 2, "pending_cost": "42000000000000"}});
        return http(200, &account.to_string());
    }
    if line.starts_with("POST /v1/transactions ") {
        let body: Value = serde_json::from_str(body).unwrap();
        let raw = hex::decode(body["raw"].as_str().unwrap()).unwrap();
        let checked = CheckedTransaction::check(&raw, CHAIN_ID).unwrap();
        let answer = json!({"hash": checked.hash().to_string(), "durable": false});
        return http(202, &answer.to_string());
    }
    let hash = path.strip_prefix("/v1/transactions/").unwrap();
    let answer = json!({"hash": hash, "status": "mined",
        "block": {"height": 13, "hash": HASH, "index": 0, "confirmations": 1}});
    http(200, &answer.to_string())
}

/// A problem's JSON.
pub fn problem(status: u16, detail: &str, code: &str) -> String {
    json!({"status": status, "detail": detail, "code": code}).to_string()
}
