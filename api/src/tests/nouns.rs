//! Parts of blocks, accounts of the past and in batches, the network, the supply, the search.

use std::sync::Arc;

use chain::{
    Account, Address, Batch, BlockId, Body, ChangeSet, Header, MemoryStore, Node, Receipt, Store,
    execution::AccountChange, params::STATE_WINDOW, store::ExecutedBlock,
};
use serde_json::{Value, json};
use state::Evm;

use super::{
    RICH, Server, pay,
    readers::{Gate, Guarded},
    regtest, take, view,
};

const SEEN: Address = Address::repeat_byte(5);
const GAS: u64 = 21_000;
const BASE_FEE: u64 = 1_000_000_000;

fn account(balance: u128) -> Option<Account> {
    Some(Account {
        balance,
        ..Account::default()
    })
}

/// A block that burns fees and sets the balance of `SEEN` to its height.
fn block(parent: &Header, tag: u32, is_best: bool) -> (Header, Batch) {
    let mut header = parent.clone();
    (header.pow.parent, header.pow.nonce) = (parent.hash(), tag);
    header.pow.time += 2;
    let height = parent.extension.height + 1;
    header.extension.height = height;
    (header.extension.gas_used, header.extension.base_fee) = (GAS, BASE_FEE);
    let hash = header.hash();
    let id = BlockId { height, hash };
    let changes = ChangeSet {
        accounts: vec![AccountChange {
            address: SEEN.0.0,
            old: (height > 1)
                .then(|| account(u128::from(height) - 1))
                .flatten(),
            new: account(u128::from(height)),
        }],
        ..ChangeSet::default()
    };
    let transaction = pay(height - 1, Some(SEEN), 1);
    let receipt = Receipt {
        tx_type: 2,
        success: true,
        cumulative_gas: GAS,
        logs: Vec::new(),
    };
    let batch = Batch {
        headers: vec![Arc::new(header.clone())],
        bodies: vec![(id, Arc::new(Body(vec![transaction.bytes().to_vec()])))],
        executed: vec![ExecutedBlock {
            id,
            changes: Arc::new(changes),
            receipts: Arc::new(vec![receipt]),
            parties: Arc::default(),
        }],
        canonical: is_best
            .then_some((height, Some(hash)))
            .into_iter()
            .collect(),
        head: is_best.then_some(id),
        ..Batch::default()
    };
    (header, batch)
}

/// A server on so many blocks, its store, and one block beside the first.
fn serve(blocks: u64) -> (Server, MemoryStore, Vec<Header>, Header) {
    let spec = regtest();
    let (mut view, genesis) = view(&spec);
    let mut store = MemoryStore::default();
    store.commit(&Node::genesis(&spec, &Evm::new()).1).unwrap();
    let (rival, batch) = block(&genesis.header, 99, false);
    store.commit(&batch).unwrap();
    let mut headers = vec![genesis.header.clone()];
    for _ in 0..blocks {
        let (header, batch) = block(headers.last().unwrap(), 1, true);
        store.commit(&batch).unwrap();
        headers.push(header);
    }
    move_to(&mut view, headers.last().unwrap(), &store);
    (Server::on(view, genesis, take), store, headers, rival)
}

fn move_to(view: &mut crate::View, head: &Header, store: &MemoryStore) {
    view.head = BlockId {
        height: head.extension.height,
        hash: head.hash(),
    };
    view.head_header = Arc::new(head.clone());
    view.reader = Arc::new(store.snapshot().unwrap());
}

#[test]
fn a_block_has_a_header_transactions_and_a_standing() {
    let (server, _store, headers, rival) = serve(3);
    let hash = headers[2].hash().to_string();
    let header = server.get("/v1/blocks/2/header");
    assert_eq!(
        (&header["hash"], &header["height"]),
        (&json!(hash), &json!(2))
    );
    let raw = headers[2]
        .encode()
        .iter()
        .fold(String::from("0x"), |text, byte| format!("{text}{byte:02x}"));
    assert_eq!(header["raw"], raw);
    let page = server.get(&format!("/v1/blocks/{hash}/transactions?limit=1"));
    assert_eq!(page["block"], json!({"height": 2, "hash": hash}));
    assert_eq!(
        page["transactions"][0]["hash"],
        pay(1, Some(SEEN), 1).hash().to_string()
    );
    assert_eq!(page["transactions"][0]["outcome"]["gas_used"], GAS);
    assert_eq!(page["next_cursor"], Value::Null);
    let beyond = server.get("/v1/blocks/2/transactions?cursor=4000000000");
    assert_eq!(beyond["transactions"], json!([]));
    let standing = server.get("/v1/blocks/2/status");
    assert_eq!(standing["confirmations"], 2);
    assert_eq!(standing["next"], headers[3].hash().to_string());
    assert_eq!(server.get("/v1/blocks/head/status")["next"], Value::Null);
    let rival = server.get(&format!("/v1/blocks/{}/status", rival.hash()));
    let seen = (
        &rival["in_best_chain"],
        &rival["confirmations"],
        &rival["next"],
    );
    assert_eq!(seen, (&json!(false), &json!(0), &Value::Null));
    for part in ["header", "status", "transactions"] {
        server.refuses("GET", &format!("/v1/blocks/9/{part}"), "", 404, "not_found");
        server.refuses(
            "GET",
            &format!("/v1/blocks/x/{part}"),
            "",
            400,
            "bad_block_id",
        );
    }
    server.refuses(
        "GET",
        "/v1/blocks/2/transactions?limit=0",
        "",
        400,
        "bad_limit",
    );
    server.refuses(
        "GET",
        "/v1/blocks/2/transactions?cursor=-1",
        "",
        400,
        "bad_query",
    );
}

/// Confirmations change, a header never does.
#[test]
fn only_what_never_changes_is_immutable() {
    let (server, _store, headers, rival) = serve(1);
    let hash = headers[1].hash();
    let head = |path: &str| {
        let request = format!(
            "GET /v1/blocks/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        );
        server.raw(request.as_bytes()).1
    };
    for path in [
        format!("{hash}/header"),
        format!("{hash}/transactions"),
        format!("{}/transactions", rival.hash()),
    ] {
        let answer = head(&path);
        assert!(answer.contains("immutable"), "{path}: {answer}");
        assert!(!answer.contains("confirmations"), "{path}: {answer}");
        let line = answer.lines().find_map(|line| line.strip_prefix("etag: "));
        let again = format!(
            "GET /v1/blocks/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             If-None-Match: \"x\", {}\r\n\r\n",
            line.unwrap()
        );
        let (status, text) = server.raw(again.as_bytes());
        assert!(status == 304 && text.ends_with("\r\n\r\n"), "{text}");
    }
    for path in [
        "1/header",
        "head/header",
        "1/transactions",
        "head/transactions",
        "1",
        "1/status",
        &hash.to_string(),
        &format!("{hash}/status"),
    ] {
        assert!(!head(path).contains("immutable"), "{path}");
    }
}

#[test]
fn an_account_of_the_past_is_what_a_later_block_found() {
    let (server, _store, headers, rival) = serve(STATE_WINDOW + 2);
    server.views.send_modify(|view| {
        let mut window = (**view).clone();
        Guarded::stand_before(&mut window, &Gate::default(), 2);
        *view = Arc::new(window);
    });
    let ask = |at: &str| server.get(&format!("/v1/accounts/{SEEN}?at={at}"));
    for height in [2, 3, STATE_WINDOW + 1] {
        let past = ask(&height.to_string());
        assert_eq!(past["chain"]["balance"], height.to_string());
        assert_eq!(past["at"]["height"], height);
        assert_eq!(past["pool"], Value::Null);
        assert_eq!(past["head"]["height"], STATE_WINDOW + 2);
    }
    let by_hash = ask(&headers[7].hash().to_string());
    assert_eq!(by_hash["chain"]["balance"], "7");
    let rich = server.get(&format!("/v1/accounts/{RICH}?at=5"));
    assert_eq!(rich["chain"]["balance"], "1000000000000000000000");
    assert!(ask("head")["pool"].is_object());
    let refuses = |at: &str, status, code| {
        server.refuses(
            "GET",
            &format!("/v1/accounts/{SEEN}?at={at}"),
            "",
            status,
            code,
        )
    };
    let gone = refuses("1", 410, "state_not_kept");
    assert_eq!((&gone["want"], &gone["got"]), (&json!("2"), &json!("1")));
    let says = |problem: &Value, words: &str| {
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{detail}");
    };
    says(&gone, "--archive");
    says(&refuses("1000", 404, "not_found"), "blocks 0 to 130");
    let unknown = "1".repeat(64);
    refuses(&unknown, 404, "not_found");
    let (best, other) = (headers[1].hash().to_string(), rival.hash().to_string());
    let elsewhere = refuses(&other, 404, "not_in_best_chain");
    assert_eq!(
        (&elsewhere["want"], &elsewhere["got"]),
        (&json!(best), &json!(other))
    );
    says(&elsewhere, "at height 1");
    refuses("x", 400, "bad_block_id");
}

#[test]
fn accounts_are_read_together_at_one_head() {
    let server = Server::start(take);
    let page = server.get(&format!("/v1/accounts?address={RICH},{SEEN}"));
    let balances: Vec<_> = page["accounts"].as_array().unwrap().iter().collect();
    assert_eq!(balances[0]["chain"]["balance"], "1000000000000000000000");
    assert_eq!(
        (balances.len(), &balances[1]["chain"]["balance"]),
        (2, &json!("0"))
    );
    let many = vec![RICH; 101].join(",");
    let path = format!("/v1/accounts?address={many}");
    server.refuses("GET", &path, "", 400, "too_many_addresses");
    for (path, code) in [
        ("?address=", "bad_address"),
        ("", "bad_query"),
        ("?address=0x", "bad_address"),
    ] {
        server.refuses("GET", &format!("/v1/accounts{path}"), "", 400, code);
    }
}

#[test]
fn the_accounts_with_most_come_first_page_by_page() {
    let server = Server::start(take);
    let all = server.get("/v1/accounts/top?limit=1000");
    let accounts = all["accounts"].as_array().unwrap();
    let count = regtest().alloc.len();
    assert_eq!((accounts.len(), &all["count"]), (count, &json!(count)));
    let balance = |one: &Value| one["balance"].as_str().unwrap().parse::<u128>().unwrap();
    assert!(accounts.is_sorted_by(|a, b| balance(a) >= balance(b)));
    let (mut cursor, mut paged) = (Some(0), Vec::new());
    while let Some(at) = cursor {
        let page = server.get(&format!("/v1/accounts/top?limit=3&cursor={at}"));
        paged.extend(page["accounts"].as_array().unwrap().clone());
        cursor = page["next_cursor"].as_u64();
    }
    assert_eq!(&paged, accounts);
    server.refuses("GET", "/v1/accounts/top?limit=1001", "", 400, "bad_limit");
}

/// The ledger follows the head onto another branch and back, to what a fresh one finds there.
#[test]
fn sums_and_known_addresses_follow_a_reorg() {
    let (server, mut store, headers, rival) = serve(3);
    let at_three = server.get("/v1/supply");
    let (reward, burnt) = (regtest().reward(1), u128::from(GAS) * u128::from(BASE_FEE));
    assert_eq!(at_three["rewards"], (3 * reward).to_string());
    assert_eq!(at_three["burnt"], (3 * burnt).to_string());
    assert_eq!(server.get("/v1/accounts/top")["head"], at_three["head"]);
    let go = |store: &MemoryStore, head: &Header| {
        server.views.send_modify(|old| {
            let mut next = super::view(&regtest()).0;
            move_to(&mut next, head, store);
            next.version = old.version;
            *old = Arc::new(next);
        });
    };
    let id = |header: &Header| (header.extension.height, header.hash());
    let mut canonical = vec![(1, Some(rival.hash())), (2, None), (3, None)];
    let moved = |canonical: Vec<_>, (height, hash): (u64, _)| Batch {
        canonical,
        head: Some(BlockId { height, hash }),
        ..Batch::default()
    };
    store.commit(&moved(canonical, id(&rival))).unwrap();
    go(&store, &rival);
    assert_eq!(server.get("/v1/supply")["burnt"], burnt.to_string());
    assert_eq!(server.get("/v1/accounts/top")["head"]["height"], 1);
    canonical = headers[1..]
        .iter()
        .map(id)
        .map(|(at, hash)| (at, Some(hash)))
        .collect();
    store.commit(&moved(canonical, id(&headers[3]))).unwrap();
    go(&store, &headers[3]);
    assert_eq!(server.get("/v1/supply"), at_three);
    assert_eq!(server.get("/v1/accounts/top")["head"], at_three["head"]);
}

#[test]
fn the_network_says_what_is_in_force() {
    let (server, ..) = serve(2);
    let network = server.get("/v1/network");
    let spec = regtest();
    assert_eq!(network["chain_id"], spec.chain_id);
    assert_eq!(network["next"]["gas_limit"], spec.at(3).gas_limit);
    assert_eq!(network["next"]["reward"], spec.reward(3).to_string());
    assert_eq!(network["head"]["height"], 2);
    // The blocks made here have no work.
    assert_eq!(network["hashes_per_second"], "0");
}

#[test]
fn a_search_finds_heights_hashes_and_addresses() {
    let (server, _store, headers, rival) = serve(2);
    let ask = |q: &str| server.get(&format!("/v1/search?q={q}"))["found"].clone();
    for (q, want) in [("2", &headers[2]), (&rival.hash().to_string(), &rival)] {
        let found = ask(q);
        assert_eq!(found[0]["kind"], "block");
        assert_eq!(found[0]["id"], want.hash().to_string());
        let path = found[0]["path"].as_str().unwrap();
        assert_eq!(server.get(path)["hash"], want.hash().to_string());
    }
    let account = ask(&RICH.to_lowercase()[2..]);
    assert_eq!(
        (&account[0]["kind"], &account[0]["id"]),
        (&json!("account"), &json!(RICH))
    );
    let nothing = "1".repeat(64);
    for q in ["3", &nothing] {
        assert_eq!(ask(q), json!([]));
    }
    for q in ["", "x", "-1", "99999999999999999999"] {
        server.refuses("GET", &format!("/v1/search?q={q}"), "", 400, "bad_search");
    }
    server.refuses("GET", "/v1/search", "", 400, "bad_query");
}

/// Whoever asks for it gets large answers compressed, and events as they come.
#[test]
fn large_answers_are_compressed_where_wanted() {
    let (server, ..) = serve(20);
    let ask = |path: &str, line: &str| {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{line}\r\n");
        server.raw(request.as_bytes()).1
    };
    let wanted = "Accept-Encoding: gzip\r\n";
    let (plain, small) = (ask("/v1/blocks", ""), ask("/v1/blocks", wanted));
    assert!(small.contains("content-encoding: gzip"), "{small}");
    assert!(
        small.to_lowercase().contains("vary: accept-encoding"),
        "{small}"
    );
    assert!(!plain.contains("content-encoding"), "{plain}");
    assert!(small.len() < plain.len());
    assert!(!ask("/v1/supply", wanted).contains("content-encoding"));
    let stream = super::listener::Listener::ask_with(&server, wanted);
    assert!(!stream.contains("content-encoding"), "{stream}");
}
