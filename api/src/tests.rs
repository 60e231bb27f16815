//! The routes on a real server over TCP: every answer, every refusal.

mod events;
mod faucet;
mod fees;
mod forest;
mod history;
mod listener;
mod nouns;
mod odd;
mod openapi;
mod origin;
mod past;
mod pool;
mod queries;
mod readers;
mod ready;
mod server;
mod submissions;

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use alloy_consensus::TxEip1559;
use chain::{CheckedTransaction, MemoryStore, Node, Store};
use serde_json::Value;
use server::{NOW, Parts, Server, peer, regtest, take, view};
use state::Evm;

use crate::{faucet::Payment, host, limits::CONNECTIONS_MAX};

const RICH: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";

#[test]
fn reads_name_the_head_and_agree() {
    let server = Server::start(take);
    let genesis = server.genesis.header.hash().to_string();
    let status = server.get("/v1/status");
    assert_eq!(
        (status["genesis"].as_str(), status["peers"].as_u64()),
        (Some(&*genesis), Some(3))
    );
    assert_eq!(
        (status["dev"].as_bool(), status["chain_id"].as_u64()),
        (Some(true), Some(1338))
    );
    for id in ["0", "head", &genesis] {
        let block = server.get(&format!("/v1/blocks/{id}"));
        assert_eq!(block["hash"], genesis.as_str());
        assert_eq!(
            (&block["confirmations"], &block["stage"]),
            (&1.into(), &"executed".into())
        );
        assert_eq!(block["head"]["hash"], genesis.as_str());
    }
    let page = server.get("/v1/blocks?limit=5&cursor=99");
    assert_eq!(page["blocks"].as_array().unwrap().len(), 1);
    assert_eq!(page["next_cursor"], Value::Null);
    let account = server.get(&format!("/v1/accounts/{RICH}"));
    assert_eq!(account["chain"]["balance"], "1000000000000000000000");
    assert_eq!(account["chain"]["display"], "1000 LGN");
    assert_eq!(account["pool"]["nonce_next"], 0);
    let nobody = server.get("/v1/accounts/0x00000000000000000000000000000000000000aa");
    assert_eq!(nobody["chain"]["balance"], "0");
    assert_eq!(server.ask("GET", "/healthy", "").0, 200);
    assert_eq!(server.ask("GET", "/metrics", "").0, 200);
}

#[test]
fn bad_reads_are_problems_never_500() {
    let server = Server::start(take);
    let zeros = "0".repeat(64);
    for (path, status, code) in [
        ("/v1/blocks/1", 404, "not_found"),
        (&*format!("/v1/blocks/0x{zeros}"), 404, "not_found"),
        ("/v1/blocks/18446744073709551616", 400, "bad_block_id"),
        ("/v1/blocks/-1", 400, "bad_block_id"),
        ("/v1/blocks/%F0%9F%98%80", 400, "bad_block_id"),
        ("/v1/blocks/%FF", 400, "bad_path"),
        ("/v1/blocks?limit=0", 400, "bad_limit"),
        ("/v1/blocks?limit=1001", 400, "bad_limit"),
        ("/v1/blocks?limit=x", 400, "bad_query"),
        ("/v1/blocks?colour=red", 400, "bad_query"),
        ("/v1/transactions/0x12", 400, "bad_hash"),
        (&*format!("/v1/transactions/{zeros}"), 404, "not_found"),
        ("/v1/accounts/0x12", 400, "bad_address"),
        (
            "/v1/accounts/0xF39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
            400,
            "bad_address",
        ),
        ("/v1/accounts/%FF", 400, "bad_path"),
        (
            "/v1/accounts/0x0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266",
            400,
            "bad_address",
        ),
        ("/v1/forest?limit=257", 400, "bad_limit"),
        ("/v1/forest?cursor=-1", 400, "bad_query"),
        ("/v1/forest/0x12", 400, "bad_hash"),
        ("/v1/forest/%FF", 400, "bad_path"),
        (&*format!("/v1/forest/{zeros}"), 404, "not_found"),
        (&*format!("/v1/forest/{zeros}?limit=1001"), 400, "bad_limit"),
        (&*format!("/v1/forest/{zeros}?cursor=1"), 400, "bad_hash"),
        ("/v1/nothing", 404, "not_found"),
        ("/", 404, "not_found"),
    ] {
        server.refuses("GET", path, "", status, code);
    }
    server.refuses("DELETE", "/v1/status", "", 405, "method_not_allowed");
}

#[test]
fn a_block_is_not_sent_twice_while_the_head_stays() {
    let server = Server::start(take);
    let genesis = server.genesis.header.hash();
    let request = |tag: &str| {
        let request = format!(
            "GET /v1/blocks/{genesis} HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: {tag}\r\n\
             Connection: close\r\n\r\n"
        );
        let (status, text) = server.raw(request.as_bytes());
        let line = text.lines().find_map(|line| line.strip_prefix("etag: "));
        // Confirmations change, so that no answer may be used unasked.
        assert!(text.contains("cache-control: no-cache"), "{text}");
        (status, line.map(str::to_owned).unwrap())
    };
    let (status, tag) = request("\"other\"");
    assert_eq!(status, 200);
    assert_eq!(request(&tag), (304, tag));
}

/// Threat A5: blocks full of transactions do not make an answer without bounds.
#[test]
fn a_page_ends_after_many_transactions() {
    let spec = regtest();
    let (mut view, genesis) = view(&spec);
    let mut store = MemoryStore::default();
    store.commit(&Node::genesis(&spec, &Evm::new()).1).unwrap();
    let mut parent = genesis.header.clone();
    for height in 1..=3 {
        let mut header = parent.clone();
        header.pow.parent = parent.hash();
        header.extension.height = height;
        let id = chain::BlockId {
            height,
            hash: header.hash(),
        };
        let transactions = (0..6_000_u32).map(|n| n.to_le_bytes().to_vec()).collect();
        let batch = chain::Batch {
            headers: vec![Arc::new(header.clone())],
            bodies: vec![(id, Arc::new(chain::Body(transactions)))],
            canonical: vec![(height, Some(id.hash))],
            head: Some(id),
            ..chain::Batch::default()
        };
        store.commit(&batch).unwrap();
        (view.head, parent) = (id, header);
    }
    view.reader = Arc::new(store.snapshot().unwrap());
    let server = Server::on(view, genesis, take);
    let mut heights = Vec::new();
    let mut path = "/v1/blocks?limit=1000".to_owned();
    loop {
        let page = server.get(&path);
        let blocks = page["blocks"].as_array().unwrap();
        assert!(blocks.len() <= 2);
        heights.extend(blocks.iter().map(|block| block["height"].as_u64().unwrap()));
        let Some(cursor) = page["next_cursor"].as_u64() else {
            break;
        };
        path = format!("/v1/blocks?limit=1000&cursor={cursor}");
    }
    assert_eq!(heights, [3, 2, 1, 0]);
}

/// Threat A1: as many connections as there are places; who comes later waits for one.
#[test]
fn connections_are_bounded() {
    let server = Server::start(take);
    let mut open: Vec<_> = (0..CONNECTIONS_MAX)
        .map(|_| TcpStream::connect(server.address).unwrap())
        .collect();
    // Each of them has a place once it is answered.
    for stream in &mut open {
        let request = b"GET /healthy HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(request).unwrap();
        assert!(stream.read(&mut [0; 512]).unwrap() > 0);
    }
    let mut late = TcpStream::connect(server.address).unwrap();
    late.set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    late.write_all(b"GET /healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    assert!(late.read(&mut [0; 512]).is_err(), "there was no place left");
    drop(open);
    late.set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    assert!(late.read(&mut [0; 512]).unwrap() > 0);
}

#[test]
fn only_known_hosts_are_answered() {
    let server = Server::start(take);
    for (line, want) in [
        ("Host: localhost:8545\r\n", 200),
        ("Host: 127.0.0.1\r\n", 200),
        ("Host: [::1]:1\r\n", 200),
        ("Host: NODE.example\r\n", 200),
        ("Host: evil.example\r\n", 403),
        ("Host: localhost.evil.example\r\n", 403),
        ("Host: 127.0.0.1.evil.example:80\r\n", 403),
        ("", 403),
    ] {
        let request = format!("GET /v1/status HTTP/1.1\r\n{line}Connection: close\r\n\r\n");
        assert_eq!(server.raw(request.as_bytes()).0, want, "{line:?}");
    }
    assert!(host::is_allowed("anything", &["*".into()]));
}

/// A transfer on regtest by the owner of the key that repeats a byte, signed here.
fn transfer(key: u8, nonce: u64, max_fee: u128, tip: u128) -> CheckedTransaction {
    let transfer = TxEip1559 {
        chain_id: 1338,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: max_fee,
        max_priority_fee_per_gas: tip,
        to: chain::Address::repeat_byte(7).into(),
        value: chain::U256::from(1),
        ..TxEip1559::default()
    };
    sign(transfer, key)
}

fn signed_for_regtest() -> String {
    let transfer = transfer(7, 0, 2_000_000_000, 1_000_000_000);
    let bytes = transfer.bytes().iter();
    bytes.fold(String::from("0x"), |out, byte| format!("{out}{byte:02x}"))
}

/// A payment of one and the same account, or a contract that it creates. It offers twice as much for
/// tips as a base fee of a gwei leaves of its max fee.
fn pay(nonce: u64, to: Option<chain::Address>, wei: u64) -> CheckedTransaction {
    let transfer = TxEip1559 {
        chain_id: 1338,
        nonce,
        gas_limit: 100_000,
        max_fee_per_gas: 2_000_000_000,
        max_priority_fee_per_gas: 2_000_000_000,
        to: to.map_or(alloy_primitives::TxKind::Create, Into::into),
        value: chain::U256::from(wei),
        ..TxEip1559::default()
    };
    sign(transfer, 7)
}

/// A payment of the faucet, which is whoever holds the key that repeats the byte 9.
fn pay_out(payment: &Payment) -> CheckedTransaction {
    let transfer = TxEip1559 {
        chain_id: payment.chain_id,
        nonce: payment.nonce,
        gas_limit: 21_000,
        max_fee_per_gas: payment.max_fee,
        max_priority_fee_per_gas: payment.tip,
        to: payment.to.into(),
        value: chain::U256::from(payment.value),
        ..TxEip1559::default()
    };
    sign(transfer, 9)
}

/// Signs with the key that repeats a byte.
fn sign(transfer: TxEip1559, key: u8) -> CheckedTransaction {
    use alloy_consensus::{SignableTransaction, TxEnvelope};
    use alloy_eips::eip2718::Encodable2718;
    use secp256k1::{Message, SecretKey, ecdsa::RecoverableSignature};

    let key = SecretKey::from_secret_bytes([key; 32]).unwrap();
    let message = Message::from_digest(transfer.signature_hash().0);
    let signature = RecoverableSignature::sign_ecdsa_recoverable(message, &key);
    let (parity, compact) = signature.serialize_compact();
    let signature =
        alloy_primitives::Signature::from_bytes_and_parity(&compact, parity.to_u8() == 1);
    let envelope = TxEnvelope::from(transfer.into_signed(signature));
    CheckedTransaction::check(&envelope.encoded_2718(), 1338).unwrap()
}
