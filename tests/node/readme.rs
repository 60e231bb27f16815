//! The README's tour as a newcomer takes it: each shell block of it is run by bash in its order, with
//! the built `lignum`, and each line that it shows must have the shape of one that came.
//!
//! Three commands are not what they are for a newcomer: `cargo` builds nothing and takes ports of the
//! system's choice, `sleep` waits for what the newcomer would see meanwhile, and the quiz about a new
//! wallet's words is left out.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc,
    thread,
};

use crate::{
    devnet::{Devnet, endpoints, status},
    harness::{World, get, output, stderr, stdout, wait_for},
};

/// What the commands of the tour are here.
const PRELUDE: &str = r#"
set -euo pipefail
cargo() {
    case "$*" in
    'run --release -- devnet') exec lignum devnet --port 0 --http.port 0 ;;
    'install --locked --path node') test -f node/Cargo.toml ;;
    *) echo "the test knows no: cargo $*" >&2; return 1 ;;
    esac
}
curl() {
    command curl --fail "${@/http:\/\/127.0.0.1:8545/$NODE_1}"
}
lignum() {
    case "${1-} ${2-}" in
    'wallet new') set -- "$@" --no-ask-back ;;
    'dev split') expected=split ;;
    'dev heal') expected=healed ;;
    esac
    command lignum "$@"
}
# sleep: until each half has told of two blocks, or of a reorg once they are healed.
sleep() {
    case "$expected" in
    split) await 2 '^\[1 2\] #' && await 2 '^\[3 4\] #' ;;
    healed) await 1 'reorg:' ;;
    esac
}
# await COUNT PATTERN: until the console has so many such lines since what is expected.
await() {
    local count
    for _ in {1..800}; do
        count=$(sed -nE "/^$expected:/,\$p" "$CONSOLE" | grep -cE "$2" || true)
        if [ "$count" -ge "$1" ]; then return; fi
        command sleep 0.1
    done
    echo "the console never had $1 of $2" >&2
    return 1
}
"#;

/// The tour under way.
struct Tour {
    world: World,
    devnet: Option<Devnet>,
    /// All that its commands have printed.
    printed: String,
}

impl Tour {
    fn new() -> Self {
        let world = World::new();
        // A new wallet's password, and the same again.
        fs::write(world.path("answers"), "correct horse\ncorrect horse\n").unwrap();
        fs::write(world.path("console"), "").unwrap();
        Self {
            world,
            devnet: None,
            printed: String::new(),
        }
    }

    fn directory(&self) -> PathBuf {
        self.world.path("data").join("devnet")
    }

    /// What the devnet has printed.
    fn console(&self) -> String {
        fs::read_to_string(self.world.path("console")).unwrap()
    }

    fn bash(&self, block: &str) -> Command {
        let mut bash = Command::new("bash");
        let program = Path::new(env!("CARGO_BIN_EXE_lignum")).parent().unwrap();
        let path = std::env::var("PATH").unwrap();
        bash.args(["-c", &format!("{PRELUDE}\n{block}")])
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
            .env("PATH", format!("{}:{path}", program.display()))
            .env("HOME", self.world.path("home"))
            .env("CONSOLE", self.world.path("console"))
            .env("LIGNUM_DATADIR", self.world.path("data"))
            .env("LIGNUM_WALLET_DIR", self.world.path("wallets"))
            .env_remove("LIGNUM_NODE");
        bash
    }

    /// Runs a block: the first one is the devnet and goes on, the others have their end.
    fn run(&mut self, block: &str) {
        if self.devnet.is_none() {
            return self.start(block);
        }
        let node = endpoints(&self.directory(), 1).unwrap();
        let answers = File::open(self.world.path("answers")).unwrap();
        let mut bash = self.bash(block);
        bash.env("NODE_1", node["http"].as_str().unwrap());
        let output = output(bash.stdin(answers));
        let (said, console) = (stderr(&output), self.console());
        assert!(
            output.status.success(),
            "{block}\nended with {}: {said}\n{}\nthe console: {console}",
            output.status,
            stdout(&output)
        );
        self.printed.push_str(&stdout(&output));
    }

    fn start(&mut self, block: &str) {
        let mut devnet = Devnet::start_with(&mut self.bash(block));
        let lines = std::mem::replace(&mut devnet.lines, mpsc::channel().1);
        let mut console = File::options()
            .append(true)
            .open(self.world.path("console"))
            .unwrap();
        thread::spawn(move || {
            for line in lines {
                // After the test its directory is gone.
                let _ = writeln!(console, "{line}");
            }
        });
        self.devnet = Some(devnet);
        wait_for("the first blocks", || self.console().contains("\n#2 "));
    }

    /// Waits until each line that the README shows has come.
    fn expect(&self, block: &str) {
        for line in block.lines().filter(|line| line.trim() != "…") {
            wait_for(line, || {
                let real = self.console() + &self.printed;
                real.lines().any(|real| shape(real) == shape(line))
            });
        }
    }

    fn balance(&self, address: &str, node: u32) -> Option<String> {
        let endpoints = endpoints(&self.directory(), node)?;
        let path = format!("/v1/accounts/{address}");
        let (_, account) = get(endpoints["http"].as_str()?, &path)?;
        Some(account["chain"]["display"].as_str()?.to_owned())
    }
}

/// The code blocks of a part of the README, each with what it is: `sh` or `text`.
fn blocks(part: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut pieces = part.split("\n```");
    pieces.next();
    while let (Some(block), Some(_)) = (pieces.next(), pieces.next()) {
        found.push(block.split_once('\n').unwrap());
    }
    found
}

/// A line with its numbers and hashes as letters, and without what is not always there: who says
/// it, the time between two blocks, how late a rival is, what went back to the pool.
fn shape(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let (letter, end): (&str, fn(char) -> bool) = match c {
            '0' if rest.starts_with("0x") => {
                ("HASH", |c| !c.is_ascii_hexdigit() && !"x…".contains(c))
            }
            '0'..='9' => ("N", |c| !c.is_ascii_digit() && c != '.'),
            ' ' => (" ", |c| c != ' '),
            _ => {
                out.push(c);
                rest = &rest[c.len_utf8()..];
                continue;
            }
        };
        out.push_str(letter);
        rest = &rest[rest.find(end).unwrap_or(rest.len())..];
    }
    for optional in [
        "[N N] ",
        " +N s",
        " a block in about N s",
        ", N below the head",
    ] {
        out = out.replace(optional, "");
    }
    let out = out
        .replace("confirmations", "confirmation")
        .replace("blocks", "block")
        .replace("transactions", "transaction");
    let back = out.find("; N transaction back in the pool");
    out[..back.unwrap_or(out.len())].trim_end().to_owned()
}

/// A file of the checkout.
fn file(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::read_to_string(root.join(path)).unwrap()
}

/// Runs every shell block, and waits for every line that is shown.
fn take(blocks: &[(&str, &str)]) -> Tour {
    let mut tour = Tour::new();
    for (kind, block) in blocks {
        let told = tour.console().len();
        match *kind {
            "sh" => tour.run(block),
            "text" => tour.expect(block),
            other => panic!("the tour has a block of {other:?}"),
        }
        // What is shown need not say this, since after a split it depends on who was lighter.
        if block.contains("lignum dev reorg") {
            wait_for("a payment that its reorg undid", || {
                let console = tour.console();
                let mut lines = console[told..].lines();
                let is_it = |line: &str| line.contains("back in the pool: 0x");
                lines.any(|line| line.starts_with("reorg: ") && is_it(line))
            });
        }
    }
    tour
}

/// Waits until all who were paid have it, whichever of the four nodes is asked.
fn assert_paid(tour: &Tour) {
    let address = |who: &str| {
        let mut bash = tour.bash(&format!("lignum wallet address {who}"));
        stdout(&output(&mut bash)).trim().to_owned()
    };
    let paid = [
        (address("dev:1"), "1025 LGN"),
        (address("dev:2"), "1006 LGN"),
        (address("alice"), "25 LGN"),
        (
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed".into(),
            "50 LGN",
        ),
    ];
    for (address, amount) in paid {
        wait_for(&format!("{amount} of {address} on all four nodes"), || {
            (1..=4).all(|node| tour.balance(&address, node).as_deref() == Some(amount))
        });
    }
}

#[test]
fn the_tour_is_what_the_readme_says() {
    let readme = file("README.md");
    let (_, rest) = readme.split_once("\n## First run\n").unwrap();
    let (part, _) = rest.split_once("\n## Test\n").unwrap();
    let blocks = blocks(part);
    let commands = blocks.iter().filter(|(kind, _)| *kind == "sh");
    assert!(commands.count() >= 8, "{blocks:?}");
    let mut tour = take(&blocks);

    let console = tour.console();
    let mut rest = &*console;
    let story = [
        "split: nodes 1 2 | nodes 3 4",
        "[3 4] #",
        "healed: ",
        "fork: ",
        "reorg: ",
    ];
    for said in story {
        let found = rest.split_once(said);
        rest = found
            .unwrap_or_else(|| panic!("no {said:?} in {console}"))
            .1;
    }
    let directory = tour.directory();
    wait_for("one head on all four nodes", || {
        let head = |node| status(&directory, node).map(|status| status["head"]["hash"].clone());
        let first = head(1);
        first.is_some() && (2..=4).all(|node| head(node) == first)
    });
    assert_paid(&tour);
    assert_eq!(tour.devnet.as_mut().unwrap().interrupt(), Some(0));
}

#[test]
fn the_gate_runs_the_command_for_tests() {
    let readme = file("README.md");
    let (_, rest) = readme.split_once("\n## Test\n").unwrap();
    let (_, command) = blocks(rest)[0];
    assert!(file(".ci/steps/30-test.sh").contains(command), "{command}");
}

#[test]
fn a_line_of_another_shape_is_told_from_the_one_that_came() {
    let real = "[1 2] #35 0x0000077e…524c  node 1  1 tx  +3 s  peers 1";
    assert_eq!(
        shape("#3 0x000002b1…5f0c  node 2  0 tx  peers 3"),
        shape(real)
    );
    assert_ne!(
        shape("#3 0x000002b1…5f0c  node 2  0 txs  peers 3"),
        shape(real)
    );
    assert_ne!(shape("#3 node 2  0 tx  peers 3"), shape(real));
    let reorg =
        "[3 4] reorg: 1 block left, 2 joined, from #10; 1 transaction back in the pool: 0xab…cd";
    assert_eq!(
        shape("reorg: 5 blocks left, 5 joined, from #34"),
        shape(reorg)
    );
    assert_ne!(
        shape("reorg: 5 blocks undone, 5 joined, from #34"),
        shape(reorg)
    );
}
