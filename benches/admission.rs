//! What it costs a real node to take transactions over HTTP, on loopback with kept connections.
//!
//! `cargo build --release -p lignum-node`, then
//! `cargo bench -p lignum-chain --bench admission -- target/release/lignum`.
//! All is signed beforehand. Each line is one node of its own, with nothing else to do, and says how
//! many users asked it at once, what it took in a second, the CPU time that its process used for each
//! and how many of its threads used any. Every answer says that the transaction is durable, so each
//! waits for a commit, which those that come at the same time share.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    dead_code,
    reason = "a bench measures time; the tests' support is for more than this"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use chain::Address;
use serde_json::{Value, json};
use support::builder::{Wallet, transfer};

/// Transactions of one sender: as many as a pool takes.
const EACH: u64 = 64;
/// Time of a tick of the process clock in Linux.
const TICK: Duration = Duration::from_millis(10);

/// A running node, ended with its value.
struct Node {
    child: Child,
    directory: PathBuf,
    http: String,
}

impl Node {
    fn start(binary: &Path, wallets: &[Wallet]) -> Self {
        let name = format!("lignum-admission-{}-{}", std::process::id(), wallets.len());
        let directory = env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        let spec = directory.join("spec.json");
        fs::write(&spec, network(wallets).to_string()).unwrap();
        let child = Command::new(binary)
            .args(["node", "--supervised", "--port", "0", "--http.port", "0"])
            .arg("--network")
            .arg(&spec)
            .arg("--datadir")
            .arg(directory.join("node"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the path of a lignum binary as the argument");
        let mut node = Self {
            child,
            directory,
            http: String::new(),
        };
        node.http = node.wait();
        node
    }

    /// Its address, as soon as it answers.
    fn wait(&self) -> String {
        let endpoints = self.directory.join("node/endpoints.json");
        for _ in 0..1_000 {
            let text = fs::read_to_string(&endpoints).unwrap_or_default();
            if let Ok(found) = serde_json::from_str::<Value>(&text) {
                let http = found["http"].as_str().unwrap();
                return http.trim_start_matches("http://").to_owned();
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("the node does not start");
    }

    /// Ticks of CPU that each thread has used, by its number.
    fn threads(&self) -> Vec<(String, u64)> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let tasks = tasks.map(|task| task.unwrap());
        let ticks = |stat: &str| -> u64 {
            let after = stat.rsplit_once(')').unwrap().1;
            let fields: Vec<_> = after.split_whitespace().collect();
            fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
        };
        tasks
            .map(|task| {
                let stat = fs::read_to_string(task.path().join("stat")).unwrap();
                (task.file_name().into_string().unwrap(), ticks(&stat))
            })
            .collect()
    }

    /// CPU time of the whole process, threads that have ended included.
    fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let after = stat.rsplit_once(')').unwrap().1;
        let fields: Vec<_> = after.split_whitespace().collect();
        let ticks: u32 = fields[11].parse::<u32>().unwrap() + fields[12].parse::<u32>().unwrap();
        TICK * ticks
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn network(wallets: &[Wallet]) -> Value {
    let funded = json!({ "balance": "1000000000000000000000" });
    let alloc = wallets
        .iter()
        .map(|wallet| (wallet.address.to_string(), funded.clone()));
    json!({
        "config": { "chainId": 1338 },
        "timestamp": "1700000000",
        "gasLimit": "30000000",
        "baseFeePerGas": "1000000000",
        "lignum": {
            "spacing_secs": 1, "half_life_secs": 1_000_000_000,
            "pow_limit_bits": "0x207fffff", "genesis_bits": "0x1e7fffff",
            "reward_wei": "5000000000000000000", "halving_interval": 0,
            "block_bytes_max": 2_097_152, "base_fee_min": "1000000000", "dev": true,
        },
        "alloc": alloc.collect::<serde_json::Map<_, _>>(),
    })
}

fn request(wallet: &Wallet, nonce: u64) -> Vec<u8> {
    let transaction = wallet.sign(transfer(nonce, Address::repeat_byte(7), 1));
    let raw = transaction.bytes().iter();
    let raw: String = raw.map(|byte| format!("{byte:02x}")).collect();
    let length = raw.len();
    format!(
        "POST /v1/transactions HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n\
         Content-Length: {length}\r\n\r\n{raw}"
    )
    .into_bytes()
}

/// Sends all over one connection, each after the answer to the one before.
fn send(http: &str, requests: &[Vec<u8>]) {
    let stream = TcpStream::connect(http).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    for request in requests {
        stream.write_all(request).unwrap();
        let (mut line, mut length) = (String::new(), 0);
        answers.read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 202"), "{line}");
        while line != "\r\n" {
            line.clear();
            answers.read_line(&mut line).unwrap();
            let header = line.to_ascii_lowercase();
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        answers.read_exact(&mut body).unwrap();
    }
}

fn run(binary: &Path, users: usize, senders: usize) {
    let wallets: Vec<_> = (0..senders as u64).map(Wallet::new).collect();
    let mut queues = vec![Vec::new(); users];
    for (number, wallet) in wallets.iter().enumerate() {
        queues[number % users].extend((0..EACH).map(|nonce| request(wallet, nonce)));
    }
    let node = Node::start(binary, &wallets);
    let (cpu, threads, start) = (node.cpu(), node.threads(), Instant::now());
    thread::scope(|scope| {
        for requests in &queues {
            scope.spawn(|| send(&node.http, requests));
        }
    });
    let wall = start.elapsed();
    let cpu = node.cpu() - cpu;
    let busy = node.threads().into_iter().filter(|(id, ticks)| {
        let before = threads.iter().find(|(other, _)| other == id);
        *ticks > before.map_or(0, |(_, ticks)| *ticks)
    });
    let count = (senders as u64 * EACH) as f64;
    println!(
        "{users:>3} users: {:>8.0}/s {:>8.1} µs CPU each, {:>2} threads",
        count / wall.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / count,
        busy.count(),
    );
}

fn main() {
    let binary = env::args()
        .skip(1)
        .find(|argument| !argument.starts_with("--"));
    let Some(binary) = binary else {
        println!("wanted: the path of a release binary of lignum, as the argument");
        return;
    };
    for (users, senders) in [(1, 16), (8, 128), (64, 256), (256, 512)] {
        run(Path::new(&binary), users, senders);
    }
}
