//! Joining a network by the address of one of its nodes.

use std::{
    io::Write,
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::harness::{Node, World, assert_fails, get, lignum, wait_for};

fn genesis(node: &Node) -> String {
    let status = node.get("/v1/status");
    status["genesis"].as_str().unwrap().to_owned()
}

fn arguments<'a>(address: &'a str, directory: &'a str) -> Vec<&'a str> {
    let ports = ["--port", "0", "--http.port", "0"];
    let mut arguments = vec!["node", "--join", address, "--datadir", directory];
    arguments.extend(ports);
    arguments
}

/// A process that is killed when dropped.
struct Joiner(Child);

impl Drop for Joiner {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(arguments: &[&str], answer: &str) -> Joiner {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lignum"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(answer.as_bytes())
        .unwrap();
    Joiner(child)
}

/// Waits until the process in `directory` has the head height `height`.
fn reaches(directory: &Path, process: &Joiner, height: u64) {
    wait_for("the joiner catches up", || {
        let text = std::fs::read_to_string(directory.join("endpoints.json")).unwrap_or_default();
        let endpoints: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let is_its = endpoints["pid"] == process.0.id();
        let Some(url) = endpoints["http"].as_str().filter(|_| is_its) else {
            return false;
        };
        let status = get(url, "/v1/status");
        status.is_some_and(|(_, status)| status["head"]["height"].as_u64() >= Some(height))
    });
}

#[test]
fn a_network_is_joined_after_one_question() {
    let world = World::new();
    let server = world.node("server").mining("server").start();
    server.wait_for("some blocks", |node| node.height() >= 3);
    let directory = world.path("joiner");
    let place = directory.display().to_string();
    let address = server.address();
    let arguments = arguments(&address, &place);

    let asked = lignum(&arguments);
    assert_fails(
        &asked,
        2,
        &["Join this network?", &genesis(&server), "--genesis"],
    );
    assert!(!directory.exists(), "nothing is made before the answer");

    let joiner = start(&arguments, "y\n");
    reaches(&directory, &joiner, 3);
    drop(joiner);
    // It is pinned now, so nothing is asked; and the address is not needed any more.
    let again = start(&arguments, "");
    reaches(&directory, &again, 3);
}

#[test]
fn a_join_is_refused_with_a_reason() {
    let world = World::new();
    let server = world.node("server").start();
    let place = world.path("joiner").display().to_string();
    let address = server.address();
    let wrong = format!("0x{}", "1".repeat(64));
    let mut expecting = arguments(&address, &place);
    expecting.extend(["--genesis", &wrong]);
    assert_fails(&lignum(&expecting), 7, &[&wrong, &genesis(&server)]);
    assert_fails(
        &lignum(&arguments("127.0.0.1:1", &place)),
        9,
        &["127.0.0.1", "listening"],
    );
    assert_fails(
        &lignum(&arguments("nowhere", &place)),
        2,
        &["--join", "nowhere"],
    );
    let http = server.http();
    assert_fails(&lignum(&arguments(&http, &place)), 9, &["--join"]);

    let other = world.write_spec("other.json", &serde_json::json!({ "spacing_secs": 7 }));
    let other = other.display().to_string();
    let made = lignum(&["init", &other, "--datadir", &place]);
    assert_eq!(made.status.code(), Some(0));
    assert_fails(
        &lignum(&arguments(&address, &place)),
        7,
        &[&genesis(&server), "--datadir"],
    );
}
