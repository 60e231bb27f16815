//! Threat A3: what pages of other sites get, by method, path and origin.

use super::{Server, signed_for_regtest, take};

const LISTED: &str = "https://shop.example";

fn ask(server: &Server, method: &str, path: &str, lines: &str, body: &str) -> (u16, String) {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost:8545\r\nConnection: close\r\n{lines}\
         Content-Length: {length}\r\n\r\n{body}"
    );
    server.raw(request.as_bytes())
}

#[test]
fn pages_of_other_sites_read_and_hand_in_transactions_if_listed() {
    let server = Server::start(take);
    let raw = signed_for_regtest();
    let dev = "/v1/dev/mine";
    for (origin, method, path, want) in [
        (LISTED, "GET", "/v1/status", 200),
        ("HTTPS://SHOP.example", "GET", "/v1/status", 200),
        (LISTED, "POST", "/v1/transactions", 202),
        (LISTED, "POST", dev, 403),
        (LISTED, "DELETE", "/v1/status", 403),
        (LISTED, "POST", "/v1/status", 403),
        ("https://shop.example.evil", "GET", "/v1/status", 403),
        ("http://shop.example", "GET", "/v1/status", 403),
        ("null", "GET", "/v1/status", 403),
        ("", "POST", "/v1/transactions", 403),
        ("http://127.0.0.1:8545", "GET", "/v1/status", 403),
        ("http://localhost:1", "POST", "/v1/transactions", 403),
        // Our own page; the verbs of operators are for no page at all.
        ("http://localhost:8545", "GET", "/v1/status", 200),
        ("http://localhost:8545", "POST", "/v1/transactions", 202),
        ("http://localhost:8545", "POST", dev, 403),
    ] {
        let lines = format!("Origin: {origin}\r\n");
        let body = if method == "POST" { &*raw } else { "" };
        let (status, text) = ask(&server, method, path, &lines, body);
        assert_eq!(status, want, "{origin} {method} {path}: {text}");
        let may_see = text.contains("access-control-allow-origin");
        assert_eq!(
            may_see,
            origin.eq_ignore_ascii_case(LISTED),
            "{origin}: {text}"
        );
        assert_eq!(text.contains("origin_not_allowed"), want == 403, "{text}");
    }
}

#[test]
fn a_browser_that_asks_ahead_is_told() {
    let server = Server::start(take);
    let ahead = "Access-Control-Request-Method: POST\r\n";
    let listed = format!("Origin: {LISTED}\r\n{ahead}");
    let (status, text) = ask(&server, "OPTIONS", "/v1/transactions", &listed, "");
    assert_eq!(status, 204, "{text}");
    assert!(
        text.contains("access-control-allow-headers: content-type"),
        "{text}"
    );
    assert!(!text.contains("authorization"), "{text}");
    let other = format!("Origin: https://evil.example\r\n{ahead}");
    let (status, text) = ask(&server, "OPTIONS", "/v1/transactions", &other, "");
    assert_eq!(status, 403);
    assert!(!text.contains("access-control"), "{text}");
}
