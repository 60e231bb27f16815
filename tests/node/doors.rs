//! What the HTTP port lets in, by host and by origin, as told on the command line; and when a node says
//! that it is ready.

use serde_json::{Value, json};

use crate::{
    dev_orders::token,
    harness::{Node, World, raw_http},
};

const SHOP: &str = "https://shop.example";

/// A request with these lines in its head; the status, the answer's head, and its JSON.
fn ask(node: &Node, method: &str, path: &str, lines: &str) -> (u16, String, Value) {
    let request = format!(
        "{method} {path} HTTP/1.1\r\n{lines}Content-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let (status, text) = raw_http(&node.http(), request.as_bytes());
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let body = serde_json::from_str(body).unwrap_or_default();
    (status, head.to_lowercase(), body)
}

/// Threat A3.
#[test]
fn pages_of_named_origins_read_and_no_others() {
    let world = World::new();
    let plain = world.node("plain").start();
    let open = world.node("open");
    let open = open.with(&["--http.corsdomain", &format!("http://a.example,{SHOP}")]);
    let node = open.start();
    let page = |node: &Node, origin: &str, method: &str, path: &str, more: &str| {
        let lines = format!("Host: {}\r\nOrigin: {origin}\r\n{more}", node.http());
        ask(node, method, path, &lines)
    };
    let allows =
        |head: &str, origin: &str| head.contains(&format!("access-control-allow-origin: {origin}"));
    let ahead = "Access-Control-Request-Method: POST\r\n";
    for origin in [SHOP, "http://a.example"] {
        let (status, head, _) = page(&node, origin, "OPTIONS", "/v1/transactions", ahead);
        assert!(status == 204 && allows(&head, origin), "{status} {head}");
        assert!(
            head.contains("access-control-allow-methods: get, head, post"),
            "{head}"
        );
        let (status, head, body) = page(&node, origin, "GET", "/v1/status", "");
        assert!(status == 200 && allows(&head, origin), "{status} {head}");
        assert_eq!(body["chain_id"], 1337);
    }
    // Nor does a page give orders, whatever it knows.
    let bearer = format!("Authorization: Bearer {}\r\n", token(&world.path("open")));
    let (status, _, problem) = page(&node, SHOP, "POST", "/v1/dev/mine", &bearer);
    assert_eq!(
        (status, &problem["code"]),
        (403, &json!("origin_not_allowed"))
    );
    for (node, origin) in [
        (&node, "https://evil.example"),
        (&node, "http://shop.example"),
        (&node, "null"),
        (&plain, SHOP),
    ] {
        for (method, path, more) in [
            ("GET", "/v1/status", ""),
            ("POST", "/v1/transactions", ""),
            ("OPTIONS", "/v1/transactions", ahead),
        ] {
            let (status, head, problem) = page(node, origin, method, path, more);
            assert_eq!(
                (status, &problem["code"]),
                (403, &json!("origin_not_allowed"))
            );
            assert!(!head.contains("access-control"), "{origin}: {head}");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains("--http.corsdomain"), "{detail}");
        }
    }
}

/// Threat A3: a name of another site that leads here gets nothing.
#[test]
fn named_hosts_are_answered_and_no_others() {
    let world = World::new();
    let plain = world.node("plain").start();
    let named = world
        .node("named")
        .with(&["--http.vhosts", "node.example,other.example"]);
    let named = named.start();
    let any = world.node("any").env("LIGNUM_HTTP_VHOSTS", "*").start();
    for (node, host, want) in [
        (&plain, "localhost", 200),
        (&plain, "127.0.0.1:1", 200),
        (&plain, "node.example", 403),
        (&named, "node.example", 200),
        (&named, "OTHER.example:8545", 200),
        (&named, "localhost", 200),
        (&named, "evil.example", 403),
        (&named, "node.example.evil.example", 403),
        (&any, "evil.example", 200),
    ] {
        let (status, _, body) = ask(node, "GET", "/v1/status", &format!("Host: {host}\r\n"));
        assert_eq!(status, want, "{host}: {body}");
        if want == 403 {
            assert_eq!(body["code"], "host_not_allowed");
            let detail = body["detail"].as_str().unwrap();
            assert!(detail.contains("--http.vhosts"), "{detail}");
        }
    }
}

#[test]
fn a_node_is_ready_once_it_has_company() {
    let world = World::new();
    let ready = |node: &Node| {
        let lines = format!("Host: {}\r\n", node.http());
        let (status, _, problem) = ask(node, "GET", "/ready", &lines);
        (
            status,
            problem["code"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let dev = world.node("dev").start();
    assert_eq!(ready(&dev).0, 200, "a dev network may have one node");
    world.write_spec("network.json", &json!({ "dev": false }));
    let one = world.node("one").start();
    assert_eq!(ready(&one), (503, "no_peers".into()));
    let two = world.node("two").joining(&one).start();
    for node in [&one, &two] {
        node.wait_for("readiness", |node| ready(node).0 == 200);
    }
    drop(two);
    one.wait_for("the end of it", |node| {
        ready(node) == (503, "no_peers".into())
    });
}
