//! Threat A8: requests to every path with odd numbers, names and bodies. None may be a mistake of the
//! server, and what is refused is a problem that the description knows.

use std::{
    cell::Cell,
    fmt::{self, Write as _},
};

use proptest::{
    prelude::*,
    sample::select,
    test_runner::{Config, TestCaseError, TestRunner},
};
use serde_json::{Value, json};

use super::{RICH, Server, queries, take};
use crate::limits::DETAIL_CHARS_MAX;

/// Requests in all, for each case that proptest would make.
const REQUESTS_PER_CASE: u32 = 12;

/// A request to an operation of the description.
#[derive(Clone, Debug)]
struct Odd {
    operation: usize,
    /// Instead of the operation's own, now and then.
    method: Option<&'static str>,
    /// In the path, then in the query.
    values: Vec<String>,
    /// Which parameters of the query are sent.
    sent: Vec<bool>,
    /// A parameter that there is not.
    extra: Option<String>,
    has_token: bool,
    body: Sent,
}

/// A request's body.
#[derive(Clone)]
struct Sent(Vec<u8>);

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

/// An operation: its method, path, names in the path and in the query, and what it answers.
struct Operation {
    method: String,
    path: String,
    query: Vec<String>,
    fields: Vec<String>,
    answers: Vec<String>,
}

fn operations() -> Vec<Operation> {
    let document = serde_json::to_value(crate::openapi::document()).unwrap();
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, about) in methods.as_object().unwrap() {
            let parameters = about["parameters"].as_array().cloned().unwrap_or_default();
            let in_query = parameters.iter().filter(|one| one["in"] == "query");
            let name = |one: &Value| one["name"].as_str().unwrap().to_owned();
            let body = about.pointer("/requestBody/content/application~1json/schema/$ref");
            let pointer = body.and_then(Value::as_str).unwrap_or("#/none");
            let fields = document.pointer(&format!("{}/properties", &pointer[1..]));
            let fields = fields.and_then(Value::as_object);
            all.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                query: in_query.map(name).collect(),
                fields: fields.map_or_else(Vec::new, |fields| fields.keys().cloned().collect()),
                answers: about["responses"]
                    .as_object()
                    .unwrap()
                    .keys()
                    .cloned()
                    .collect(),
            });
        }
    }
    all
}

/// At the edges of their types and beyond.
const NUMBERS: &[&str] = &[
    "0",
    "1",
    "2",
    "-1",
    "-0",
    "+1",
    "1.5",
    "1e3",
    "007",
    "1000",
    "1001",
    "65536",
    "4294967295",
    "4294967296",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775809",
    "340282366920938463463374607431768211456",
    "0x10",
    "1_000",
    " 1",
    "NaN",
    "Infinity",
];

/// Of nothing, or of what is elsewhere.
const NAMES: &[&str] = &[
    "",
    "head",
    "HEAD",
    "latest",
    "0x",
    "0",
    "1.0",
    "12.0",
    "1.",
    ".1",
    "null",
    "true",
    "[]",
    "{}",
    ",",
    ",,,",
    "../status",
    "%",
    "%2",
    "%00",
    "%FF",
    "%F0%9F%98%80",
    "\u{0}",
    "\r\n",
    "\u{202e}",
    "ß",
    "١٢",
    "\u{1F600}",
    "head,block",
    "dev:0",
    "<b>",
    "' or 1=1 --",
];

const METHODS: &[&str] = &["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"];

/// Numbers, names, among them of things that are there, and text that means nothing.
fn odd_text(known: Vec<String>) -> impl Strategy<Value = String> {
    let long = (1..2_000_usize).prop_map(|length| "9".repeat(length));
    prop_oneof![
        4 => select(NUMBERS).prop_map(str::to_owned),
        4 => select(NAMES).prop_map(str::to_owned),
        4 => select(known),
        1 => long,
        1 => any::<String>(),
        1 => any::<u64>().prop_map(|number| number.to_string()),
        1 => "[0-9a-f]{64}",
        1 => "0x[0-9a-fA-F]{40}",
    ]
}

fn odd_json(text: impl Strategy<Value = String> + Clone + 'static) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        text.clone().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        select(vec![
            json!(0),
            json!(1),
            json!(1000),
            json!(3000),
            json!("1")
        ]),
    ];
    leaf.prop_recursive(4, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(text.clone(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn odd_body(known: Vec<String>, fields: Vec<String>) -> impl Strategy<Value = Vec<u8>> {
    let text = odd_text(known).boxed();
    let plain = odd_json(text.clone());
    let fitting = prop::collection::btree_map(select(fields), odd_json(text.clone()), 0..4);
    let deep = (1..300_usize).prop_map(|depth| "[{\"a\":".repeat(depth));
    prop_oneof![
        4 => fitting.prop_map(|map| json!(map).to_string().into_bytes()),
        2 => plain.prop_map(|value| value.to_string().into_bytes()),
        2 => text.prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..300),
        1 => deep.prop_map(String::into_bytes),
    ]
}

fn odd(count: usize, known: Vec<String>, fields: Vec<String>) -> impl Strategy<Value = Odd> {
    let text = odd_text(known.clone()).boxed();
    let body = odd_body(known, fields);
    (
        0..count,
        prop::option::weighted(0.05, select(METHODS)),
        prop::collection::vec(text.clone(), 8),
        prop::collection::vec(any::<bool>(), 8),
        prop::option::weighted(0.05, text),
        prop::bool::weighted(0.8),
        body,
    )
        .prop_map(
            |(operation, method, values, sent, extra, has_token, body)| Odd {
                operation,
                method,
                values,
                sent,
                extra,
                has_token,
                body: Sent(body),
            },
        )
}

/// Text as part of a URL; percent signs stay, so that some escapes are wrong.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        let plain = byte.is_ascii_alphanumeric() || b"-._~%,:".contains(&byte);
        let _ = match plain {
            true => write!(out, "{}", char::from(byte)),
            false => write!(out, "%{byte:02X}"),
        };
        out
    })
}

impl Odd {
    /// Asks; the status, and the answer's head and body.
    fn ask(&self, operation: &Operation, server: &Server, tip: &str) -> (u16, String, String) {
        let target = self.target(operation, tip);
        let method = self.method.unwrap_or(&operation.method);
        let body: &[u8] = match &*operation.method {
            "POST" => &self.body.0,
            _ => b"",
        };
        let token = match self.has_token {
            true => format!("Authorization: Bearer {}\r\n", "07".repeat(32)),
            false => String::new(),
        };
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{token}\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        let (status, text) = server.raw(&[head.as_bytes(), body].concat());
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        (status, head.to_owned(), body.to_owned())
    }

    fn target(&self, operation: &Operation, head: &str) -> String {
        let mut values = self.values.iter();
        let mut path = String::new();
        for (index, part) in operation.path.split('/').enumerate() {
            let mut value = || escaped(values.next().map_or("", String::as_str));
            let part = if part.starts_with('{') {
                value()
            } else {
                part.to_owned()
            };
            path += &format!("{}{part}", if index > 0 { "/" } else { "" });
        }
        let sent = operation.query.iter().zip(&self.sent);
        let sent = sent.filter(|(_, sent)| **sent).map(|(name, _)| name);
        let mut query: Vec<_> = sent
            .zip(values.cycle())
            // To wait for another head takes its time, and is tested elsewhere.
            .filter(|(name, value)| *name != "after" || !value.contains(head))
            .map(|(name, value)| format!("{name}={}", escaped(value)))
            .collect();
        if operation.path == "/v1/events" {
            // Streams have no end, so that none begins here.
            query.retain(|part| !part.starts_with("types="));
            query.push(format!("types=x{}", escaped(&self.values[0])));
        }
        query.extend(self.extra.iter().map(|name| format!("{}=1", escaped(name))));
        match query.is_empty() {
            true => path,
            false => format!("{path}?{}", query.join("&")),
        }
    }
}

#[test]
fn odd_requests_are_refused_by_problems_that_are_described() {
    let (view, genesis, sender) = queries::blocks();
    let hashes = [
        view.head.hash,
        genesis.header.hash(),
        genesis.header.pow.parent,
    ];
    let (tip, names) = (
        view.head.hash.to_string(),
        hashes.map(|hash| hash.to_string()),
    );
    let payment = super::pay(1, Some(RICH.parse().unwrap()), 1);
    let known = [
        &names[..],
        &[sender, RICH.into(), payment.hash().to_string()],
    ]
    .concat();
    let server = Server::on(view, genesis, take);
    let operations = operations();
    let mut fields: Vec<String> = operations
        .iter()
        .flat_map(|one| one.fields.clone())
        .collect();
    fields.sort_unstable();
    fields.dedup();
    assert!(operations.len() > 30 && fields.len() > 5, "{fields:?}");
    let config = Config::default();
    let mut runner = TestRunner::new(Config {
        cases: config.cases.saturating_mul(REQUESTS_PER_CASE),
        failure_persistence: None,
        ..config
    });
    let strategy = odd(operations.len(), known, fields);
    let (refused, served) = (Cell::new(0_u32), Cell::new(0_u32));
    let result = runner.run(&strategy, |odd| {
        let operation = &operations[odd.operation];
        let (status, head, body) = odd.ask(operation, &server, &tip);
        if (200..400).contains(&status) {
            served.set(served.get() + 1);
            return Ok(());
        }
        refused.set(refused.get() + 1);
        check(operation, odd.method, status, &head, &body)
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    // Both must be common, or nothing was tried.
    let (refused, served) = (refused.get(), served.get());
    assert!(
        refused > 100 && served > 100,
        "{refused} refused, {served} served"
    );
}

/// A refusal is a problem of a client, in its shape, and one that the description names.
fn check(
    operation: &Operation,
    method: Option<&str>,
    status: u16,
    head: &str,
    body: &str,
) -> Result<(), TestCaseError> {
    let path = &operation.path;
    prop_assert!(
        (400..500).contains(&status),
        "{path}: {status} {head} {body}"
    );
    let is_problem = head
        .to_lowercase()
        .contains("content-type: application/problem+json");
    prop_assert!(is_problem, "{path}: {head} {body}");
    let problem: Value = serde_json::from_str(body).unwrap_or_default();
    prop_assert_eq!(&problem["status"], status);
    let code = problem["code"].as_str().unwrap_or_default();
    let is_code = code
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    prop_assert!(is_code && !code.is_empty(), "{}", body);
    let detail = problem["detail"].as_str().unwrap_or_default();
    let length = detail.chars().count();
    prop_assert!(length > 0 && length <= DETAIL_CHARS_MAX + 1, "{}", body);
    // Another method, or an empty name, is another operation or none.
    let is_other = method.is_some() || detail.starts_with("there is no such path");
    let is_described = operation.answers.contains(&status.to_string());
    prop_assert!(
        is_other || is_described,
        "{path}: {status} is not described: {body}"
    );
    Ok(())
}
