//! The wallet's verbs as processes, against real nodes: what scripts and people would run.

use std::{
    io::{Read, Write},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

use serde_json::{Value, json};

use crate::harness::{
    DEV_0, DEV_1, Node, World, assert_fails, exit_code, lignum_with, stderr, stdout,
};

/// An address that nobody uses otherwise.
const PAYEE: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
/// The key of the second dev account, which every test network funds.
const SECRET_1: &str = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";

/// A directory of wallets, and a node.
struct Purse {
    directory: PathBuf,
    password: PathBuf,
    node: String,
}

impl Purse {
    fn new(world: &World, node: &str) -> Self {
        let password = world.path("password");
        std::fs::write(&password, "a good password\n").unwrap();
        Self {
            directory: world.path("wallets"),
            password,
            node: node.to_owned(),
        }
    }

    fn arguments<'a>(&'a self, words: &[&'a str]) -> Vec<&'a str> {
        let mut arguments = vec!["wallet"];
        arguments.extend(words);
        arguments.extend(["--wallet-dir", self.directory.to_str().unwrap()]);
        arguments.extend(["--node", &self.node]);
        arguments
    }

    /// Runs a verb without an answer to anything.
    fn run(&self, words: &str) -> Output {
        let words: Vec<&str> = words.split_whitespace().collect();
        lignum_with(&[], &self.arguments(&words))
    }

    /// The same with the password.
    fn pay(&self, words: &str) -> Output {
        self.run(&format!(
            "{words} --password-file {}",
            self.password.display()
        ))
    }

    fn spawn(&self, words: &str) -> Child {
        let words: Vec<&str> = words.split_whitespace().collect();
        let mut command = Command::new(env!("CARGO_BIN_EXE_lignum"));
        command
            .args(self.arguments(&words))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Runs a verb that reads these lines from standard input.
    fn answer(&self, words: &str, lines: &str) -> Output {
        let mut child = self.spawn(words);
        let _ = child.stdin.take().unwrap().write_all(lines.as_bytes());
        exit_code(&mut child);
        child.wait_with_output().unwrap()
    }

    /// A wallet with the key of the second dev account.
    fn import_funded(&self, name: &str) {
        let out = self.answer(&format!("import {name}"), &format!("{SECRET_1}\npw\npw\n"));
        assert!(out.status.success(), "{}", stderr(&out));
        assert!(!stderr(&out).contains(SECRET_1) && !stdout(&out).contains(SECRET_1));
        let file = self.directory.parent().unwrap().join("pw");
        std::fs::write(&file, "pw").unwrap();
    }
}

fn success(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    stdout(output)
}

fn parsed(output: &Output) -> Value {
    serde_json::from_str(&success(output)).unwrap()
}

/// Reads what a process says until it says `end`.
fn read_until(source: &mut impl Read, said: &mut String, end: &str) {
    let mut byte = [0];
    while !said.ends_with(end) {
        assert_eq!(source.read(&mut byte).unwrap(), 1, "ended after: {said}");
        said.push(char::from(byte[0]));
    }
}

/// Makes a wallet as a person would: reads the words, and gives back those that are asked.
fn new_by_hand(purse: &Purse, name: &str) -> String {
    let mut child = purse.spawn(&format!("new {name}"));
    let mut input = child.stdin.take().unwrap();
    let mut errors = child.stderr.take().unwrap();
    input
        .write_all(b"a good password\na good password\n")
        .unwrap();
    let mut said = String::new();
    read_until(&mut errors, &mut said, "unasked.\n\n");
    let mut shown = String::new();
    read_until(&mut errors, &mut shown, "\nWord ");
    let parts: Vec<String> = shown.split_whitespace().map(String::from).collect();
    for asked in 0..3 {
        let mut number = String::new();
        read_until(&mut errors, &mut number, ":\n");
        let number = number.trim_end_matches(":\n");
        let at = parts.iter().position(|part| part == number).unwrap();
        writeln!(input, "{}", parts[at + 1]).unwrap();
        if asked < 2 {
            read_until(&mut errors, &mut String::new(), "Word ");
        }
    }
    drop(input);
    exit_code(&mut child);
    let mut out = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut out)
        .unwrap();
    let address = out.trim().strip_prefix(&format!("{name} ")).unwrap();
    address.to_owned()
}

#[test]
fn a_wallet_is_made_paid_and_pays() {
    let world = World::new();
    let node = world.node("node").mining("miner").start();
    let purse = Purse::new(&world, &node.url());
    let alice = new_by_hand(&purse, "alice");
    let bob = parsed(&purse.pay("new bob --no-ask-back --words 24 --json"));
    assert_eq!(bob["name"], "bob");
    let list = parsed(&purse.run("list --json"));
    assert_eq!(list["wallets"][0]["address"], alice.as_str());
    assert_eq!(list["wallets"].as_array().unwrap().len(), 2);

    success(&purse.run("send alice 25 --from dev:0 --wait 1"));
    let balance = parsed(&purse.run("balance alice --json"));
    assert_eq!(balance["balance"], "25000000000000000000");
    let out = success(&purse.pay("send bob 1.000000000000000001 --from alice --wait 1"));
    assert!(out.contains("mined in block #"), "{out}");
    assert_eq!(
        success(&purse.run("balance bob")),
        "1.000000000000000001 LGN\n"
    );
    let total = parsed(&purse.run("balance --json"));
    assert_eq!(total["balances"].as_array().unwrap().len(), 2);

    let history = parsed(&purse.run("history bob --json"));
    assert_eq!(history["transactions"][0]["from"], alice.as_str());
    assert_eq!(history["transactions"][0]["direction"], "in");
    assert_fails(
        &purse.pay("send bob 25 --from alice"),
        10,
        &["balance is 23.99", "needed 25.0000", "(25 + fee 0.0000"],
    );
    assert_eq!(node.stop(), Some(0));
    assert_fails(
        &purse.run("balance alice"),
        9,
        &["not reachable", "lignum devnet"],
    );
}

/// A node that mines nothing: what is sent to it waits.
fn idle() -> (World, Node, Purse) {
    let world = World::new();
    let node = world.node("node").start();
    let purse = Purse::new(&world, &node.url());
    purse.import_funded("alice");
    (world, node, purse)
}

#[test]
fn two_payments_at_once_take_two_nonces() {
    let (world, node, purse) = idle();
    let file = world.path("pw");
    let words = format!(
        "send {PAYEE} 1 --from alice --json --password-file {}",
        file.display()
    );
    let mut children: Vec<Child> = (0..4).map(|_| purse.spawn(&words)).collect();
    let mut nonces = Vec::new();
    for mut child in children.drain(..) {
        exit_code(&mut child);
        let sent = parsed(&child.wait_with_output().unwrap());
        nonces.push(sent["nonce"].as_u64().unwrap());
    }
    nonces.sort_unstable();
    assert_eq!(nonces, [0, 1, 2, 3]);
    let account = node.get(&format!("/v1/accounts/{DEV_1}"));
    assert_eq!(account["pool"]["pending"], 4);
}

#[test]
fn a_waiting_payment_is_replaced_and_cancelled() {
    let (world, node, purse) = idle();
    let file = world.path("pw");
    let pay = |words: &str| {
        purse.run(&format!(
            "{words} --json --password-file {}",
            file.display()
        ))
    };
    let first = parsed(&pay(&format!("send {PAYEE} 5 --from alice")));
    let hash = first["hash"].as_str().unwrap();
    let second = parsed(&pay(&format!("replace {hash} --amount 6")));
    assert_eq!(
        (&second["nonce"], &second["display"]),
        (&json!(0), &json!("6 LGN"))
    );
    assert_fails(
        &pay(&format!("replace {hash}")),
        10,
        &["is not known to the node"],
    );
    let hash = second["hash"].as_str().unwrap();
    let third = parsed(&pay(&format!("cancel {hash}")));
    assert_eq!((&third["nonce"], &third["value"]), (&json!(0), &json!("0")));
    assert_eq!(third["to"], DEV_1);
    let account = node.get(&format!("/v1/accounts/{DEV_1}"));
    assert_eq!(account["pool"]["pending"], 1);
    let hash = third["hash"].as_str().unwrap();
    let waiting = node.get(&format!("/v1/transactions/{hash}"));
    assert_eq!(waiting["status"], "pending");
}

#[test]
fn a_transaction_is_built_signed_and_broadcast_through_files() {
    let (world, node, purse) = idle();
    let path = |name: &str| world.path(name).display().to_string();
    let online = Purse {
        directory: world.path("none"),
        ..Purse::new(&world, &node.url())
    };
    let offline = Purse {
        node: "http://127.0.0.1:1".to_owned(),
        ..Purse::new(&world, "")
    };
    let (unsigned, signed) = (path("unsigned.json"), path("signed.json"));
    success(&online.run(&format!("build {PAYEE} 2 --from {DEV_1} --out {unsigned}")));
    let again = online.run(&format!("build {PAYEE} 2 --from {DEV_1} --out {unsigned}"));
    assert_fails(&again, 8, &["not overwritten"]);
    let wrong = purse.answer(&format!("sign {unsigned}"), "wrong\n");
    assert_fails(&wrong, 8, &["wrong password"]);
    let sign = format!(
        "sign {unsigned} --out {signed} --password-file {}",
        path("pw")
    );
    success(&offline.run(&sign));
    let out = success(&online.run(&format!("broadcast {signed}")));
    assert!(out.starts_with("sent 2 LGN"), "{out}");
    // The steps can be joined by pipes: the file's lines come before the password.
    let unsigned = success(&online.run(&format!("build {PAYEE} 3 --from {DEV_1}")));
    let piped = success(&offline.answer("sign", &format!("{unsigned}pw\n")));
    let out = success(&online.answer("broadcast", &piped));
    assert!(out.starts_with("sent 3 LGN"), "{out}");
    // The same file is for no other network.
    world.write_spec("network.json", &json!({ "spacing_secs": 7 }));
    let elsewhere = world.node("elsewhere").start();
    let other = Purse::new(&world, &elsewhere.url());
    assert_fails(
        &other.run(&format!("broadcast {signed}")),
        7,
        &["the transaction is for", "--node"],
    );
}

#[test]
fn mistakes_have_their_exit_codes_and_sentences() {
    let (world, _node, purse) = idle();
    let file = world.path("pw").display().to_string();
    let wrong = purse.answer(&format!("send {PAYEE} 1 --from alice"), "wrong\n");
    assert_fails(&wrong, 8, &["wallet \"alice\": wrong password"]);
    let none = purse.run(&format!("send {PAYEE} 1 --from alice"));
    assert_fails(&none, 8, &["standard input has ended"]);
    let missing = purse.run(&format!(
        "send {PAYEE} 1 --from alice --password-file /nowhere"
    ));
    assert_fails(&missing, 8, &["password file /nowhere"]);
    let typo = PAYEE.replace("5aAe", "5aAE");
    assert_fails(
        &purse.run(&format!("send {typo} 1 --from alice")),
        2,
        &["checksum"],
    );
    let lower = purse.run(&format!(
        "send {} 1 --from alice --password-file {file}",
        PAYEE.to_lowercase()
    ));
    success(&lower);
    assert!(
        stderr(&lower).contains("without a checksum"),
        "{}",
        stderr(&lower)
    );
    assert_fails(
        &purse.run(&format!("send {PAYEE} 1001 --from alice")),
        10,
        &["balance is 1000 LGN", "(1001 + fee "],
    );
    assert_fails(
        &purse.run(&format!("send {PAYEE} 1 --from alice --max-fee 10000gwei")),
        2,
        &["--allow-high-fee"],
    );
    assert_fails(
        &purse.run(&format!("send alice 1 --from {DEV_1}")),
        2,
        &["--force"],
    );
    assert_fails(&purse.run("address carol"), 8, &["no wallet \"carol\""]);
    assert_fails(&purse.run("new ../alice"), 2, &["not a wallet's name"]);
}

#[test]
fn wallets_are_kept_in_order() {
    let (world, _node, purse) = idle();
    let path = |name: &str| world.path(name).display().to_string();
    std::fs::write(world.path("new-pw"), "another password\n").unwrap();
    success(&purse.pay("new words --no-ask-back"));
    let first = success(&purse.run("address words"));
    let derived = success(&purse.pay("derive words --index 1-2"));
    assert_eq!(derived.lines().count(), 2);
    let change = format!(
        "change-password words --new-password-file {}",
        path("new-pw")
    );
    success(&purse.pay(&change));
    assert_fails(&purse.pay(&change), 8, &["wrong password"]);
    let check = format!("check words --password-file {}", path("new-pw"));
    assert_eq!(success(&purse.run(&check)), "words: ok\n");
    assert_fails(
        &purse.pay("check words"),
        8,
        &["wrong password", "2 problems"],
    );
    success(&purse.run(&format!("watch {DEV_0} --label faucet")));
    success(&purse.run(&format!("backup {}", path("backup"))));
    assert_fails(
        &purse.run(&format!("backup {}", path("backup"))),
        2,
        &["not empty"],
    );
    let copy = Purse {
        directory: world.path("backup"),
        ..Purse::new(&world, &purse.node)
    };
    assert_eq!(success(&copy.run(&check)), "words: ok\n");
    assert_eq!(success(&copy.run("address words")), first);
    assert_eq!(success(&copy.run("address faucet")).trim(), DEV_0);
    let signed = success(&purse.run("sign-message hello --from dev:1"));
    let verify = format!("verify-message hello --by alice --signature {signed}");
    success(&purse.run(&verify));
    let pipe = purse.answer("export alice --secret-key", "alice\npw\n");
    assert_fails(&pipe, 2, &["terminal only"]);
    assert!(!stdout(&pipe).contains(SECRET_1));
}

/// Newest first and page by page, also while blocks are undone and mined again.
#[test]
fn a_history_follows_the_best_chain() {
    let (world, node, purse) = idle();
    let file = world.path("pw");
    let data = world.path("node");
    let dev = |words: &str| {
        let mut arguments: Vec<&str> = words.split_whitespace().collect();
        let url = node.url();
        arguments.insert(0, "dev");
        arguments.extend(["--node", &url, "--datadir", data.to_str().unwrap()]);
        success(&lignum_with(&[], &arguments));
    };
    for amount in 1..=3 {
        let pay = format!("send {PAYEE} {amount} --from alice");
        success(&purse.run(&format!("{pay} --password-file {}", file.display())));
        dev("mine 1");
    }
    let page = |words: &str| parsed(&purse.run(&format!("history {words} --json")));
    let amounts = |page: &Value| -> Vec<String> {
        let list = page["transactions"].as_array().unwrap().iter();
        list.map(|entry| entry["display"].as_str().unwrap().to_owned())
            .collect()
    };
    for (who, way) in [("alice", "out"), (PAYEE, "in")] {
        let whole = page(who);
        assert_eq!(amounts(&whole), ["3 LGN", "2 LGN", "1 LGN"]);
        assert_eq!(whole["transactions"][0]["direction"], way);
        assert_eq!(whole["transactions"][2]["block"]["height"], 1);
        assert_eq!(whole["next_cursor"], Value::Null);
    }
    let (mut words, mut seen) = (format!("{PAYEE} --limit 1"), Vec::new());
    loop {
        let one = page(&words);
        seen.extend(amounts(&one));
        let Some(cursor) = one["next_cursor"].as_str() else {
            break;
        };
        words = format!("{PAYEE} --limit 1 --cursor {cursor}");
    }
    assert_eq!(seen, ["3 LGN", "2 LGN", "1 LGN"]);
    let wrong = purse.run(&format!("history {PAYEE} --cursor 3"));
    assert_fails(&wrong, 1, &["a cursor is height.index"]);

    let before = page(PAYEE);
    dev("reorg --depth 1");
    let after = page(PAYEE);
    assert_ne!(after["head"]["hash"], before["head"]["hash"]);
    assert_eq!(amounts(&after), ["2 LGN", "1 LGN"]);
    dev("mine 1");
    let again = page(PAYEE);
    assert_eq!(amounts(&again), ["3 LGN", "2 LGN", "1 LGN"]);
    let (old, new) = (&before["transactions"][0], &again["transactions"][0]);
    assert_eq!(old["hash"], new["hash"]);
    assert_ne!(old["block"], new["block"]);
    // Killed and opened again, the index is the same.
    node.kill();
    let node = world.node("node").start();
    let purse = Purse::new(&world, &node.url());
    let page = parsed(&purse.run(&format!("history {PAYEE} --json")));
    assert_eq!(page, again);
    assert!(!node.log().contains("building the index"), "{}", node.log());
}
