//! Queries over many blocks: how many run at a time, what others are told, and where each ends.

use std::{sync::Arc, thread, time::Duration};

use chain::{
    Batch, BlockId, Body, Header, MemoryStore, Node, Store, history, store::ExecutedBlock,
};
use serde_json::Value;
use state::Evm;

use super::{
    Parts, RICH, Server, pay,
    readers::{Gate, Guarded},
    regtest, view,
};
use crate::{
    View,
    limits::QUERIES_MAX,
    queries::{Patience, Queries},
};

const BLOCKS: u64 = 12;
const LONG: Duration = Duration::from_secs(60);

/// A view of some blocks with a payment each, and those payments' sender.
pub(super) fn blocks() -> (View, chain::Block, String) {
    let spec = regtest();
    let (mut view, genesis) = view(&spec);
    let mut store = MemoryStore::default();
    store.commit(&Node::genesis(&spec, &Evm::new()).1).unwrap();
    let mut header: Header = genesis.header.clone();
    let sender = pay(0, None, 0).sender();
    for height in 1..=BLOCKS {
        header.pow.parent = header.hash();
        header.extension.height = height;
        let id = BlockId {
            height,
            hash: header.hash(),
        };
        let payment = pay(height - 1, Some(sender), 1);
        let receipt = chain::Receipt {
            tx_type: 2,
            success: true,
            cumulative_gas: 21_000,
            logs: Vec::new(),
        };
        let batch = Batch {
            headers: vec![Arc::new(header.clone())],
            bodies: vec![(id, Arc::new(Body(vec![payment.bytes().to_vec()])))],
            executed: vec![ExecutedBlock {
                id,
                changes: Arc::default(),
                receipts: Arc::new(vec![receipt]),
                parties: Arc::new(history::parties(&[payment])),
            }],
            canonical: vec![(height, Some(id.hash))],
            head: Some(id),
            ..Batch::default()
        };
        store.commit(&batch).unwrap();
        view.head = id;
    }
    view.head_header = Arc::new(header);
    view.reader = Arc::new(store.snapshot().unwrap());
    (view, genesis, sender.to_string())
}

fn serve(view: View, genesis: chain::Block, patience: Patience) -> Arc<Server> {
    let parts = Parts {
        queries: Queries::new(patience),
        ..Parts::default()
    };
    Arc::new(Server::with(view, genesis, parts))
}

/// Threat A5: what reads many blocks has as many places as there are and no more, whoever asks;
/// everything else is answered meanwhile.
#[test]
fn costly_queries_have_places_and_others_come_again() {
    let (mut view, genesis, sender) = blocks();
    let tip = view.head.hash;
    let gate = Gate::default();
    Guarded::stand_before(&mut view, &gate, 0);
    let patience = Patience {
        wait: Duration::from_millis(20),
        work: LONG,
        answer: LONG,
    };
    let server = serve(view, genesis, patience);
    let costly = [
        "/v1/blocks?limit=3".to_owned(),
        "/v1/blocks/3/transactions".into(),
        format!("/v1/forest/{tip}"),
        format!("/v1/accounts/{sender}/transactions"),
        format!("/v1/accounts/{sender}?at=2"),
        "/v1/supply".into(),
        "/v1/accounts/top".into(),
    ];
    // Of the last two one at a time reads, so they hold no places here.
    for path in &costly[..5] {
        gate.close();
        let asking: Vec<_> = (0..QUERIES_MAX)
            .map(|_| {
                let (server, path) = (Arc::clone(&server), path.clone());
                thread::spawn(move || server.ask("GET", &path, "").0)
            })
            .collect();
        gate.await_crowd(QUERIES_MAX);
        for other in &costly {
            let head = "HTTP/1.1\r\nHost: localhost\r\nConnection: close";
            let request = format!("GET {other} {head}\r\n\r\n");
            let (status, text) = server.raw(request.as_bytes());
            assert_eq!(status, 503, "{other} while {path}: {text}");
            assert!(text.contains("too_many_queries"), "{text}");
            assert!(text.to_lowercase().contains("retry-after: 1"), "{text}");
        }
        for cheap in ["/v1/status", "/healthy", &format!("/v1/accounts/{RICH}")] {
            assert_eq!(server.ask("GET", cheap, "").0, 200, "{cheap}");
        }
        gate.open();
        for answer in asking {
            assert_eq!(answer.join().unwrap(), 200, "{path}");
        }
    }
    for path in &costly {
        assert_eq!(server.ask("GET", path, "").0, 200, "{path}");
    }
}

/// Threat A5: what has no time left ends early, and a client that goes on still gets everything.
#[test]
fn queries_without_time_get_on_all_the_same() {
    let (view, genesis, sender) = blocks();
    let tip = view.head.hash;
    let patience = Patience {
        wait: LONG,
        work: Duration::ZERO,
        answer: LONG,
    };
    let server = serve(view, genesis, patience);
    let walk = |base: &str, list: &str| {
        let (mut pages, mut rest) = (Vec::new(), String::new());
        loop {
            let page = server.get(&format!("{base}?limit=100{rest}"));
            let items = page[list].as_array().unwrap().len();
            assert_eq!(items, 1, "{base} has no time for more");
            pages.push(page[list][0]["height"].clone());
            match &page["next_cursor"] {
                Value::Null => return pages,
                Value::String(cursor) => rest = format!("&cursor={cursor}"),
                cursor => rest = format!("&cursor={cursor}"),
            }
        }
    };
    let heights: Vec<Value> = (0..=BLOCKS).rev().map(Value::from).collect();
    assert_eq!(walk("/v1/blocks", "blocks"), heights);
    let history = walk(
        &format!("/v1/accounts/{sender}/transactions"),
        "transactions",
    );
    assert_eq!(history.len(), heights.len() - 1);
    assert_eq!(walk(&format!("/v1/forest/{tip}"), "blocks"), heights[..1]);
    for path in ["/v1/supply", "/v1/accounts/top"] {
        for height in 0..BLOCKS {
            let problem = server.refuses("GET", path, "", 503, "indexing");
            let detail = problem["detail"].as_str().unwrap();
            assert!(
                detail.contains(&format!("block {height} of {BLOCKS}")),
                "{detail}"
            );
        }
        assert_eq!(server.get(path)["head"]["height"], BLOCKS);
    }
}
