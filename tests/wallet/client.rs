//! The client against a node that lies, and against none.

use std::net::TcpListener;

use serde_json::json;
use wallet::{Client, client::ClientError, verbs::VerbError};

use crate::node::{http, node};

#[test]
fn what_is_no_answer_of_a_node_is_an_error_that_says_so() {
    let huge = format!("\"{}\"", "x".repeat(9 << 20));
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (http(200, "{}"), "missing field"),
        (http(200, "not JSON"), "cannot be read"),
        (http(200, ""), "cannot be read"),
        (http(200, &"[".repeat(100_000)), "cannot be read"),
        (http(200, &huge), "more than 8388608 bytes"),
        (http(404, "<html>nginx</html>"), "status 404"),
        (http(500, "{\"error\":1}"), "status 500"),
        (http(301, ""), "status 301"),
        (b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(), "is"),
        (b"".to_vec(), "is"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort".to_vec(),
            "node http://127.0.0.1",
        ),
    ];
    for (answer, reason) in cases {
        let url = node(move |_, _| answer.clone());
        let error = Client::new(&url).unwrap().status().unwrap_err().to_string();
        assert!(error.contains(reason), "{reason}: {error}");
        assert!(error.contains(&url) && error.len() < 500, "{error}");
    }
}

#[test]
fn a_problem_is_shown_by_its_detail_without_control_characters() {
    let url = node(|_, _| {
        let detail = "nonce is 3, wanted 5\u{1b}[2J\nmore";
        let problem = json!({"type": "about:blank", "title": "Nonce too low", "status": 400,
            "detail": detail, "code": "nonce_too_low", "want": 5, "got": 3});
        http(422, &problem.to_string())
    });
    let error = Client::new(&url).unwrap().submit(&[2]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "nonce is 3, wanted 5 [2J more (nonce_too_low)"
    );
    assert!(matches!(error, ClientError::Problem(problem) if problem.status == 422));
}

#[test]
fn an_absent_node_is_unreachable_and_a_bad_url_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = Client::new(&url).unwrap().status().unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("lignum devnet"));
    assert_eq!(VerbError::from(error).exit_code(), 9);
    for url in [
        "",
        "https://a",
        "ftp://a",
        "http://a/b",
        "http://u@h",
        "http://a b",
    ] {
        let error = Client::new(url).unwrap_err();
        assert!(matches!(error, ClientError::Url { .. }), "{url}");
        assert_eq!(VerbError::from(error).exit_code(), 2);
    }
    assert_eq!(Client::new("a:1/").unwrap().url(), "http://a:1");
}
