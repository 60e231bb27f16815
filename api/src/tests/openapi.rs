//! The description of the API against the API, and against the copy in the repository.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

use super::{Server, regtest, take, view};

fn document() -> Value {
    serde_json::to_value(crate::openapi::document()).unwrap()
}

/// `LIGNUM_SNAPSHOT=write` writes the copy anew.
#[test]
fn the_copy_in_the_repository_is_the_document() {
    let mut text = serde_json::to_string_pretty(&document()).unwrap();
    text.push('\n');
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    if std::env::var("LIGNUM_SNAPSHOT").is_ok_and(|value| value == "write") {
        fs::write(&path, &text).unwrap();
    }
    let copy = fs::read_to_string(&path).unwrap();
    assert!(
        copy == text,
        "docs/openapi.json is not what the handlers say: look at the change, then run this test \
         with LIGNUM_SNAPSHOT=write"
    );
}

/// Routes come from `routes!` alone, which describes what it adds.
#[test]
fn no_route_is_added_without_a_description() {
    let plain = |text: &str| -> Vec<String> {
        let parts = text.split(".route(").skip(1);
        parts
            .map(|part| part.trim_start().chars().take(30).collect())
            .collect()
    };
    let added = plain(include_str!("../server.rs"));
    assert_eq!(added, ["\"/v1/dev/faucet\", any(faucet::"]);
    assert!(plain(include_str!("../openapi.rs")).is_empty());
    assert_eq!(plain("a .route(\n  \"/x\", get(y))"), ["\"/x\", get(y))"]);
}

/// Every path and method of the document is answered by a handler, with and without a faucet.
#[test]
fn all_that_is_described_is_served() {
    let (view, genesis) = view(&regtest());
    for server in [Server::start(take), Server::without_faucet(view, genesis)] {
        let document = server.get("/v1/openapi.json");
        assert_eq!(document, self::document());
        let (paths, mut ids) = (document["paths"].as_object().unwrap(), BTreeSet::new());
        assert!(paths.len() > 30);
        for (path, methods) in paths {
            let filled = path.replace('{', "x").replace('}', "");
            for (method, about) in methods.as_object().unwrap() {
                assert!(ids.insert(about["operationId"].to_string()), "{path}");
                assert!(
                    about["summary"]
                        .as_str()
                        .is_some_and(|text| text.ends_with('.')),
                    "{path}"
                );
                if path == "/v1/events" {
                    continue;
                }
                let (status, answer) = server.ask(&method.to_uppercase(), &filled, "");
                assert_ne!(status, 405, "{path}");
                let detail = answer["detail"].as_str().unwrap_or_default();
                assert!(!detail.starts_with("there is no such path"), "{path}");
                let other = if method == "get" { "PUT" } else { "PATCH" };
                let wrong = server.ask(other, &filled, "").0;
                assert!(wrong == 405 || path == "/v1/dev/faucet", "{path}: {wrong}");
            }
        }
    }
}

/// Every schema that is referred to is there, and each has a name of its own.
#[test]
fn references_lead_somewhere() {
    let document = document();
    let text = document.to_string();
    for part in text.split("\"$ref\":\"#").skip(1) {
        let pointer = part.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
    assert_eq!(document["openapi"], "3.1.0");
}

/// Threat A7: the page names no other host and may load nothing but its own parts.
#[test]
fn the_page_is_whole_and_bound_by_a_strict_policy() {
    let server = Server::start(take);
    for path in ["/docs", "/docs/page.js", "/docs/page.css"] {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let (status, text) = server.raw(request.as_bytes());
        assert_eq!(status, 200, "{path}");
        let policy = text
            .lines()
            .find_map(|line| line.strip_prefix("content-security-policy: "));
        let policy = policy.unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'"),
            "{policy}"
        );
        assert!(
            !policy.contains("unsafe") && !policy.contains('*'),
            "{policy}"
        );
        let body = text.split_once("\r\n\r\n").unwrap().1;
        for banned in [
            "://",
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "eval(",
            " style=",
            "onclick",
        ] {
            assert!(!body.contains(banned), "{path}: {banned}");
        }
    }
}
