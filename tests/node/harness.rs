//! Starting, asking and killing `lignum` processes. Nothing outlives its test.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// No wait in these tests is longer.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The first dev account and its well-known address.
pub const DEV_0: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
/// The second dev account.
pub const DEV_1: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

/// A directory for one test, with a chain spec in it.
pub struct World {
    directory: TempDir,
}

impl World {
    /// A dev network of constant difficulty: about 2^17 hashes a block.
    pub fn new() -> Self {
        let world = Self {
            directory: TempDir::new().unwrap(),
        };
        world.write_spec("network.json", &json!({}));
        world
    }

    /// A path in the world.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The network's spec file.
    pub fn spec(&self) -> PathBuf {
        self.path("network.json")
    }

    /// Writes a spec with some keys of the `lignum` object replaced.
    pub fn write_spec(&self, name: &str, changes: &Value) -> PathBuf {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let mut spec = json!({
            "config": { "chainId": 1337 },
            "timestamp": now.to_string(),
            "gasLimit": "30000000",
            "baseFeePerGas": "1000000000",
            "lignum": {
                "spacing_secs": 1, "half_life_secs": 1_000_000_000,
                "pow_limit_bits": "0x207fffff", "genesis_bits": "0x1e7fffff",
                "reward_wei": "5000000000000000000", "halving_interval": 0,
                "block_bytes_max": 2_097_152, "base_fee_min": "1000000000", "dev": true,
            },
            "alloc": {
                DEV_0: { "balance": "1000000000000000000000" },
                DEV_1: { "balance": "1000000000000000000000" },
            },
        });
        for (key, value) in changes.as_object().unwrap() {
            spec["lignum"][key] = value.clone();
        }
        let path = self.path(name);
        fs::write(&path, spec.to_string()).unwrap();
        path
    }

    /// A node in this world, not started.
    pub fn node(&self, name: &str) -> NodeCommand {
        NodeCommand {
            directory: self.path(name),
            arguments: vec![
                "--network".into(),
                self.spec().display().to_string(),
                "--port".into(),
                "0".into(),
                "--http.port".into(),
                "0".into(),
            ],
            environment: Vec::new(),
            file_blocks_max: None,
        }
    }
}

/// How a node is started.
#[derive(Clone)]
pub struct NodeCommand {
    /// Its data directory.
    pub directory: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    file_blocks_max: Option<u32>,
}

impl NodeCommand {
    /// With further arguments.
    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments
            .extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// With a variable in its environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// On a disk that takes no write beyond so many blocks of 512 bytes of a file, until the node's
    /// limit is raised.
    pub fn on_full_disk_after(mut self, blocks: u32) -> Self {
        self.file_blocks_max = Some(blocks);
        self
    }

    /// Mining at a tenth of one thread, with a tag, and at about the same rate on all machines.
    pub fn mining(self, tag: &str) -> Self {
        self.with(&[
            "--mine",
            "--throttle",
            "10",
            "--kernel",
            "portable",
            "--beneficiary",
            "dev:9",
            "--tag",
            tag,
        ])
    }

    /// Dialling another node, beside those it dials already.
    pub fn joining(self, other: &Node) -> Self {
        self.with(&["--bootnodes", &other.address()])
    }

    /// Starts it and waits until it answers.
    pub fn start(&self) -> Node {
        let log = self.directory.with_extension("log");
        let _ = fs::remove_file(self.directory.join("endpoints.json"));
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(log)
            .unwrap();
        let child = self
            .command()
            .stderr(log)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut node = Node {
            command: self.clone(),
            child,
            endpoints: Value::Null,
        };
        node.wait_until_up();
        node
    }

    fn command(&self) -> Command {
        let program = env!("CARGO_BIN_EXE_lignum");
        let mut command = match self.file_blocks_max {
            None => Command::new(program),
            Some(blocks) => {
                let mut shell = Command::new("sh");
                // Without the trap the first such write would be the process's end.
                let limited = format!("trap '' XFSZ; ulimit -S -f {blocks}; exec \"$0\" \"$@\"");
                shell.args(["-c", &limited, program]);
                shell
            }
        };
        command
            .arg("node")
            .arg("--supervised")
            .arg("--datadir")
            .arg(&self.directory);
        command.args(&self.arguments).stdin(Stdio::piped());
        command.envs(self.environment.iter().cloned());
        command
    }
}

/// A running node. Killed when dropped.
pub struct Node {
    command: NodeCommand,
    child: Child,
    endpoints: Value,
}

impl Node {
    /// Its first peer-to-peer address, with its id.
    pub fn address(&self) -> String {
        self.endpoints["p2p"][0].as_str().unwrap().to_owned()
    }

    /// Base URL of its API.
    pub fn url(&self) -> String {
        self.endpoints["http"].as_str().unwrap().to_owned()
    }

    /// `HOST:PORT` of its API.
    pub fn http(&self) -> String {
        self.url().trim_start_matches("http://").to_owned()
    }

    /// Where it listens for peers, over TCP.
    pub fn p2p(&self) -> String {
        self.endpoints["p2p"][0].as_str().unwrap().to_owned()
    }

    /// `HOST:PORT` where it takes in miners.
    pub fn stratum(&self) -> String {
        self.endpoints["stratum"].as_str().unwrap().to_owned()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, as `kill` does: STOP and CONT let it stand still for a while.
    pub fn signal(&self, name: &str) {
        let mut kill = Command::new("kill");
        kill.arg(format!("-{name}")).arg(self.pid().to_string());
        assert!(output(&mut kill).status.success());
    }

    /// Gives its disk room again.
    pub fn free_disk(&self) {
        let mut limit = Command::new("prlimit");
        limit.args(["--fsize=unlimited:unlimited", "--pid"]);
        assert!(output(limit.arg(self.pid().to_string())).status.success());
    }

    /// What its log says.
    pub fn log(&self) -> String {
        fs::read_to_string(self.command.directory.with_extension("log")).unwrap_or_default()
    }

    fn wait_until_up(&mut self) {
        let path = self.command.directory.join("endpoints.json");
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let endpoints: Value = serde_json::from_str(&text).unwrap_or_default();
            if endpoints["pid"] == self.child.id() {
                self.endpoints = endpoints;
                return;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("node ended with {status}:\n{}", self.log());
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("node does not answer:\n{}", self.log());
    }

    /// Asks for a path; the status and the JSON.
    pub fn try_get(&self, path: &str) -> Option<(u16, Value)> {
        get(&self.url(), path)
    }

    /// Asks for a path, which must succeed.
    pub fn get(&self, path: &str) -> Value {
        let (status, value) = self
            .try_get(path)
            .unwrap_or_else(|| panic!("no answer to {path}"));
        assert_eq!(status, 200, "{path}: {value}");
        value
    }

    /// Height of its head.
    pub fn height(&self) -> u64 {
        self.get("/v1/status")["head"]["height"].as_u64().unwrap()
    }

    /// Waits until something holds.
    pub fn wait_for(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        wait_for(what, || holds(self));
    }

    /// Ends the process as kill -9 does.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends the process as its supervisor does, and gives its exit code.
    pub fn stop(mut self) -> Option<i32> {
        drop(self.child.stdin.take());
        self.exit_code()
    }

    /// Waits for the end of the process, and gives its exit code.
    pub fn exit_code(&mut self) -> Option<i32> {
        exit_code(&mut self.child)
    }
}

/// Waits for the end of a process, within the patience of these tests, and gives its exit code.
pub fn exit_code(child: &mut Child) -> Option<i32> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("a process does not end");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something holds, within the patience of these tests.
pub fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// GET with a status and a JSON body; `None` if nobody answers.
pub fn get(url: &str, path: &str) -> Option<(u16, Value)> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(10)))
        .http_status_as_error(false)
        .build()
        .into();
    let mut response = agent.get(format!("{url}{path}")).call().ok()?;
    let status = response.status().as_u16();
    Some((status, response.body_mut().read_json().ok()?))
}

/// One HTTP request, byte for byte; the status code and all that came back.
pub fn raw_http(address: &str, request: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    // A server that has seen enough may close before all is written.
    let _ = stream.write_all(request);
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or(0);
    (status, text)
}

/// A metric's value; 0 where it is not there.
pub fn metric(node: &Node, name: &str) -> f64 {
    let request = format!(
        "GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        node.http()
    );
    let (_, text) = raw_http(&node.http(), request.as_bytes());
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.trim().parse().unwrap())
}

/// A POST of `body` with a content type.
pub fn post(address: &str, path: &str, content_type: &str, body: &str) -> (u16, Value) {
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: {content_type}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len(),
    );
    let (status, text) = raw_http(address, request.as_bytes());
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (
        status,
        serde_json::from_str(body).unwrap_or(Value::String(body.to_owned())),
    )
}

/// Runs a verb to its end.
pub fn lignum(arguments: &[&str]) -> Output {
    lignum_with(&[], arguments)
}

/// The same with variables in its environment.
pub fn lignum_with(environment: &[(&str, &str)], arguments: &[&str]) -> Output {
    output(
        Command::new(env!("CARGO_BIN_EXE_lignum"))
            .args(arguments)
            // Away from the wallets of whoever runs the tests.
            .env(
                "LIGNUM_WALLET_DIR",
                concat!(env!("CARGO_TARGET_TMPDIR"), "/wallets"),
            )
            .envs(environment.iter().copied())
            .stdin(Stdio::null()),
    )
}

/// Runs a command to its end, within the patience of these tests.
pub fn output(command: &mut Command) -> Output {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    exit_code(&mut child);
    child.wait_with_output().unwrap()
}

/// Standard error as text.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Standard output as text.
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Asserts an exit code and that standard error says all of `words`.
pub fn assert_fails(output: &Output, code: i32, words: &[&str]) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(code), "stderr: {said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
}

/// A file that must not be there.
pub fn assert_absent(path: &Path) {
    assert!(!path.exists(), "{} exists", path.display());
}
