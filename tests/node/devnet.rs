//! `lignum devnet`: several processes, one supervisor; children restart and never outlive it.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
};

use serde_json::Value;

use crate::harness::{World, assert_fails, exit_code, get, output, wait_for};

/// A supervisor and what it prints. Killed when dropped, and its nodes with it.
pub struct Devnet {
    child: Child,
    pub lines: mpsc::Receiver<String>,
}

impl Devnet {
    fn start(directory: &Path) -> Self {
        Self::start_with(&mut pair(directory))
    }

    /// Starts it with further arguments.
    pub fn start_with(command: &mut Command) -> Self {
        let mut child = command
            // Settings for a node of one's own are not the devnet's.
            .env("LIGNUM_BOOTNODES", "192.0.2.1:1")
            .env("LIGNUM_CONFIG", "/nonexistent")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            output
                .lines()
                .map_while(Result::ok)
                .for_each(|line| drop(sender.send(line)));
        });
        Self { child, lines }
    }

    fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Ctrl-C; gives its exit code.
    pub fn interrupt(&mut self) -> Option<i32> {
        self.signal("INT");
        exit_code(&mut self.child)
    }
}

impl Drop for Devnet {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two nodes.
fn pair(directory: &Path) -> Command {
    let mut command = command(directory);
    command.args(["--nodes", "2"]);
    command
}

/// `lignum devnet` in a directory, on ports of the system's choice.
pub fn command(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lignum"));
    command
        .args(["devnet", "--port", "0", "--http.port", "0", "--datadir"])
        .arg(directory);
    command
}

/// Sends a signal to a process that these tests have started.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill")
        .args([format!("-{name}"), pid.to_string()])
        .status();
    assert!(status.unwrap().success(), "kill -{name} {pid}");
}

pub fn endpoints(directory: &Path, node: u32) -> Option<Value> {
    let path = directory
        .join(format!("node-{node}"))
        .join("endpoints.json");
    serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
}

pub fn status(directory: &Path, node: u32) -> Option<Value> {
    let endpoints = endpoints(directory, node)?;
    get(endpoints["http"].as_str()?, "/v1/status").map(|(_, status)| status)
}

pub fn height(directory: &Path, node: u32) -> u64 {
    status(directory, node)
        .and_then(|status| status["head"]["height"].as_u64())
        .unwrap_or(0)
}

fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state comes after the name; a zombie is not alive.
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

pub fn pid(directory: &Path, node: u32) -> u32 {
    let endpoints = endpoints(directory, node).expect("the node runs");
    u32::try_from(endpoints["pid"].as_u64().unwrap()).unwrap()
}

#[test]
fn nodes_agree_restart_and_end_with_their_supervisor() {
    let world = World::new();
    let directory = world.path("devnet");
    let devnet = Devnet::start(&directory);
    wait_for("blocks on both nodes", || {
        height(&directory, 1) >= 2 && height(&directory, 2) >= 2
    });
    wait_for("a peer", || {
        status(&directory, 1).is_some_and(|status| status["peers"] == 1)
    });

    // Node 1 comes back on another port, where node 2 does not look for it.
    for node in [2, 1] {
        let killed = pid(&directory, node);
        let before = height(&directory, node);
        signal(killed, "KILL");
        wait_for("the node started again", || {
            endpoints(&directory, node).is_some_and(|found| found["pid"] != killed)
        });
        wait_for("the node goes on", || height(&directory, node) > before);
        wait_for("the other node as its peer", || {
            status(&directory, node).is_some_and(|status| status["peers"] == 1)
        });
    }
    let said: Vec<String> = devnet.lines.try_iter().collect();
    let says = |text: &str| said.iter().any(|line| line.contains(text));
    assert!(
        says("chain id 1337") && says("node 2  http://"),
        "{said:#?}"
    );
    assert!(
        says("node 2 was killed by signal 9; starting it again")
            && says("node 2 is up again, http://"),
        "{said:#?}"
    );
    assert!(
        said.iter().any(|line| line.starts_with("#2 0x")),
        "{said:#?}"
    );

    let children = [pid(&directory, 1), pid(&directory, 2)];
    devnet.signal("KILL");
    wait_for("the children gone", || {
        children.iter().all(|pid| !is_alive(*pid))
    });
}

#[test]
fn an_interrupt_stops_cleanly_and_the_chain_is_kept() {
    let world = World::new();
    let directory = world.path("devnet");
    let mut devnet = Devnet::start(&directory);
    wait_for("a block", || height(&directory, 1) >= 1);
    let first = |directory: &Path| {
        let endpoints = endpoints(directory, 1)?;
        let (_, block) = get(endpoints["http"].as_str()?, "/v1/blocks/1")?;
        block["hash"].as_str().map(str::to_owned)
    };
    let hash = first(&directory);
    assert!(hash.is_some());
    let children = [pid(&directory, 1), pid(&directory, 2)];
    assert_eq!(devnet.interrupt(), Some(0));
    assert!(children.iter().all(|pid| !is_alive(*pid)));

    let again = Devnet::start(&directory);
    wait_for("the same chain", || {
        height(&directory, 1) >= 1 && first(&directory) == hash
    });
    drop(again);
}

#[test]
fn a_node_that_does_not_start_ends_the_devnet_with_its_reason() {
    let world = World::new();
    let directory = world.path("devnet");
    fs::create_dir_all(directory.join("node-1")).unwrap();
    fs::write(directory.join("node-1").join("node.key"), "no key").unwrap();
    let output = output(&mut pair(&directory));
    assert_fails(&output, 3, &["node 1", "node.key", "32 bytes, got 6"]);
}

#[test]
fn fresh_removes_what_the_devnet_made_and_nothing_else() {
    let world = World::new();
    let directory = world.path("devnet");
    let kept = ["notes.txt", "node-x", "node-1x", "nodes"];
    fs::create_dir_all(&directory).unwrap();
    for name in kept {
        fs::create_dir(directory.join(name)).unwrap();
    }
    let elsewhere = world.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("precious"), "").unwrap();
    std::os::unix::fs::symlink(&elsewhere, directory.join("node-7")).unwrap();
    fs::create_dir(directory.join("node-9")).unwrap();
    fs::write(directory.join("devnet.json"), "{").unwrap();
    let mut devnet = Devnet::start_with(pair(&directory).arg("--fresh"));
    wait_for("node 2", || status(&directory, 2).is_some());
    for name in kept {
        assert!(directory.join(name).exists(), "{name}");
    }
    assert!(elsewhere.join("precious").exists());
    assert!(!directory.join("node-9").exists());
    let second = output(pair(&directory).arg("--fresh"));
    assert_fails(&second, 4, &[directory.to_str().unwrap()]);
    devnet.signal("TERM");
    assert_eq!(exit_code(&mut devnet.child), Some(0));
}

#[test]
fn a_closed_pipe_and_an_early_interrupt_end_it_cleanly() {
    let world = World::new();
    let directory = world.path("devnet");
    let mut devnet = Devnet::start(&directory);
    // Before any node is up.
    wait_for("the lock", || directory.join("LOCK").exists());
    assert_eq!(devnet.interrupt(), Some(0));

    let mut child = pair(&directory).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(exit_code(&mut child), Some(0));
    assert!(endpoints(&directory, 1).is_none(), "the nodes have stopped");
}
