//! Networks split into groups and healed: rivals at one height, and afterwards one chain, on which
//! nothing is lost and every account is right.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    thread::{self, JoinHandle},
};

use serde_json::{Value, json};

use crate::{
    dev_orders::order,
    devnet::{Devnet, command, endpoints, pid, signal, status},
    harness::{DEV_0, DEV_1, PATIENCE, World, assert_fails, get, lignum, stderr, stdout, wait_for},
};

/// An address that nobody uses otherwise.
const PAYEE: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
/// Wei in a coin.
const LGN: i128 = 1_000_000_000_000_000_000;

/// How often a network is split and healed; large counts belong to `.ci/long`.
fn rounds() -> u32 {
    let count = std::env::var("SPLITS").ok();
    count.and_then(|count| count.parse().ok()).unwrap_or(2)
}

/// A devnet of constant difficulty whose nodes mine little by themselves: most of their blocks are
/// ordered.
pub struct Net {
    devnet: Devnet,
    pub directory: PathBuf,
    nodes: u32,
    _world: World,
}

impl Net {
    pub fn start(nodes: u32) -> Self {
        let world = World::new();
        let directory = world.path("devnet");
        fs::create_dir_all(&directory).unwrap();
        let spec = world.write_spec("spec.json", &json!({ "genesis_bits": "0x1e03ffff" }));
        fs::copy(spec, directory.join("devnet.json")).unwrap();
        let count = nodes.to_string();
        let mut command = command(&directory);
        command.args(["--nodes", &count, "--throttle", "1"]);
        let net = Self {
            devnet: Devnet::start_with(&mut command),
            directory,
            nodes,
            _world: world,
        };
        net.wait_until_whole();
        net
    }

    fn all(&self) -> impl Iterator<Item = u32> + use<> {
        1..=self.nodes
    }

    /// Runs `lignum dev` to its end.
    pub fn dev(&self, arguments: &[&str]) -> String {
        let place = self.directory.to_str().unwrap();
        let output = lignum(&[&["dev", "--datadir", place], arguments].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    }

    pub fn url(&self, node: u32) -> String {
        let endpoints = endpoints(&self.directory, node).expect("the node runs");
        endpoints["http"].as_str().unwrap().to_owned()
    }

    pub fn ask(&self, node: u32, path: &str) -> Option<Value> {
        let endpoints = endpoints(&self.directory, node)?;
        let (status, value) = get(endpoints["http"].as_str()?, path)?;
        (status == 200).then_some(value)
    }

    fn head(&self, node: u32) -> Option<(u64, String)> {
        let head = &status(&self.directory, node)?["head"];
        Some((head["height"].as_u64()?, head["hash"].as_str()?.to_owned()))
    }

    fn hash_at(&self, node: u32, height: u64) -> Option<Value> {
        let block = self.ask(node, &format!("/v1/blocks/{height}"))?;
        Some(block["hash"].clone())
    }

    pub fn wait_for_peers(&self, node: u32, count: u32) {
        wait_for(&format!("{count} peers of node {node}"), || {
            status(&self.directory, node).is_some_and(|status| status["peers"] == count)
        });
    }

    /// Waits until all nodes know each other and have one head.
    pub fn wait_until_whole(&self) {
        self.all()
            .for_each(|node| self.wait_for_peers(node, self.nodes - 1));
        wait_for("one head", || {
            let head = self.head(1);
            head.is_some() && self.all().all(|node| self.head(node) == head)
        });
    }

    /// The next reorg that a node tells its listeners of.
    fn reorg_of(&self, node: u32) -> JoinHandle<Value> {
        let url = self.url(node);
        let address = url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = "GET /v1/events?types=chain_reorg HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        assert!(
            lines.any(|line| line.starts_with("id: ")),
            "the stream begins"
        );
        thread::spawn(move || {
            let data = lines.find_map(|line| Some(line.strip_prefix("data: ")?.to_owned()));
            serde_json::from_str(&data.expect("a reorg")).unwrap()
        })
    }

    /// Blocks at once, made by one node.
    pub fn mine(&self, node: u32, blocks: u64) {
        let directory = self.directory.join(format!("node-{node}"));
        let body = json!({ "blocks": blocks });
        let (status, made) = order(&self.url(node), &directory, "mine", &body);
        assert_eq!(status, 200, "{made}");
    }

    /// Mines on one node until its chain is longer than another's.
    pub fn overtake(&self, node: u32, other: u32, by: u64) {
        let height = |node| self.head(node).unwrap().0;
        let wanted = height(other) + by;
        self.mine(node, wanted.saturating_sub(height(node)).max(1));
    }

    /// One coin for the payee from the first dev account; the transaction's hash.
    fn pay(&self, node: u32) -> String {
        let url = self.url(node);
        let sent = lignum(&[
            "wallet", "send", PAYEE, "1", "--from", "dev:0", "--node", &url, "--json",
        ]);
        assert!(sent.status.success(), "{}", stderr(&sent));
        let sent: Value = serde_json::from_str(&stdout(&sent)).unwrap();
        sent["hash"].as_str().unwrap().to_owned()
    }

    /// The block that a node has a transaction in.
    pub fn block_of(&self, node: u32, hash: &str) -> Option<String> {
        let found = self.ask(node, &format!("/v1/transactions/{hash}"))?;
        found["block"]["hash"].as_str().map(str::to_owned)
    }

    /// Every account that ever had anything, worked out from the blocks up to a height, against
    /// what each node says.
    fn check_accounts(&self) {
        wait_for("every account right on every node, at one head", || {
            let page = self.ask(1, "/v1/blocks?limit=1000").unwrap();
            let (blocks, hash) = (page["blocks"].as_array().unwrap(), &page["head"]["hash"]);
            let (genesis, blocks) = blocks.split_last().unwrap();
            assert_eq!(genesis["height"], 0, "all blocks on one page");
            let expected = self.expected_accounts(blocks);
            assert_eq!(
                expected.values().sum::<i128>(),
                2_000 * LGN + minted(blocks)
            );
            self.all().all(|node| {
                expected.iter().all(|(address, wei)| {
                    let Some(account) = self.ask(node, &format!("/v1/accounts/{address}")) else {
                        return false;
                    };
                    // Read at another head, where a node has mined meanwhile: looked at again.
                    let is_same_head = account["head"]["hash"] == *hash;
                    let balance = account["chain"]["balance"].as_str().unwrap();
                    assert!(
                        !is_same_head || balance == wei.to_string(),
                        "{address}: {account}"
                    );
                    is_same_head
                })
            })
        });
    }

    /// What each account has after these blocks, from nothing but their transactions.
    fn expected_accounts(&self, blocks: &[Value]) -> BTreeMap<String, i128> {
        let rich = [DEV_0, DEV_1].map(|address| (address.to_owned(), 1_000 * LGN));
        let mut accounts = BTreeMap::from(rich);
        let mut add = |address: &Value, wei: i128| {
            let address = address.as_str().unwrap().to_owned();
            *accounts.entry(address).or_insert(0) += wei;
        };
        for block in blocks {
            add(&block["beneficiary"], 5 * LGN);
            for hash in block["transactions"].as_array().unwrap() {
                let hash = hash.as_str().unwrap();
                let sent = self.ask(1, &format!("/v1/transactions/{hash}")).unwrap();
                let (value, fee) = (wei(&sent["value"]), wei(&sent["outcome"]["fee"]));
                let gas = i128::from(sent["outcome"]["gas_used"].as_u64().unwrap());
                add(&sent["from"], -value - fee);
                add(&sent["to"], value);
                add(&block["beneficiary"], fee - wei(&block["base_fee"]) * gas);
            }
        }
        accounts
    }
}

/// Reward less base fees: what blocks add to the supply.
fn minted(blocks: &[Value]) -> i128 {
    let burnt =
        |block: &Value| wei(&block["base_fee"]) * i128::from(block["gas_used"].as_u64().unwrap());
    blocks.iter().map(|block| 5 * LGN - burnt(block)).sum()
}

fn wei(text: &Value) -> i128 {
    text.as_str().unwrap().parse().unwrap()
}

#[test]
fn two_halves_mine_rivals_and_the_heavier_one_wins_without_losing_a_transfer() {
    let net = Net::start(4);
    for round in 0..rounds() {
        let said = net.dev(&["split", "2/2"]);
        assert!(said.contains("nodes 1 2 | nodes 3 4"), "{said}");
        net.all().for_each(|node| net.wait_for_peers(node, 1));
        let fork = net.head(1).unwrap().0.min(net.head(3).unwrap().0) + 1;
        let transfer = net.pay(1);
        net.mine(1, 2);
        wait_for("the transfer in a block of the first half", || {
            net.block_of(1, &transfer).is_some()
                && net.block_of(1, &transfer) == net.block_of(2, &transfer)
        });
        let first = net.block_of(1, &transfer);
        if round % 2 == 0 {
            // Another one each time: the supervisor gives up a node that dies again and again.
            restart_within_the_split(&net, round / 2 % 4 + 1);
        }
        net.overtake(3, 1, 3);
        assert_ne!(
            net.hash_at(1, fork),
            net.hash_at(3, fork),
            "rivals at one height"
        );
        assert_eq!(net.ask(3, &format!("/v1/transactions/{transfer}")), None);

        let rival = net.hash_at(3, fork).unwrap();
        let reorg = net.reorg_of(1);
        net.dev(&["heal"]);
        let reorg = reorg.join().unwrap();
        let names = |list: &str, hash: &Value| {
            let hashes = reorg[list].as_array().unwrap();
            hashes
                .iter()
                .any(|found| found == hash || found["hash"] == *hash)
        };
        assert!(names("old_branch", &json!(first)), "{reorg}");
        assert!(names("new_branch", &rival), "{reorg}");
        assert!(names("undone", &json!(transfer)), "{reorg}");
        net.wait_until_whole();
        wait_for("the transfer in a new block, the same on all", || {
            // The others have never heard of it: whose it was mines it again.
            net.mine(1, 1);
            let again = net.block_of(1, &transfer);
            again.is_some()
                && again != first
                && net.all().all(|node| net.block_of(node, &transfer) == again)
        });
        net.check_accounts();
        let payee = net.ask(4, &format!("/v1/accounts/{PAYEE}")).unwrap();
        assert_eq!(wei(&payee["chain"]["balance"]), i128::from(round + 1) * LGN);
    }
    let said: Vec<String> = net.devnet.lines.try_iter().collect();
    let says = |text: &str| said.iter().any(|line| line.contains(text));
    assert!(
        says("split: nodes 1 2 | nodes 3 4") && says("healed") && says("1 transaction back"),
        "{said:#?}"
    );
}

/// A node that dies in a split comes back into its own group.
fn restart_within_the_split(net: &Net, node: u32) {
    let killed = pid(&net.directory, node);
    signal(killed, "KILL");
    wait_for("the node started again", || {
        endpoints(&net.directory, node).is_some_and(|found| found["pid"] != killed)
    });
    net.wait_for_peers(node, 1);
    net.wait_for_peers(3, 1);
}

#[test]
fn three_groups_become_one_network_again() {
    let net = Net::start(4);
    for _ in 0..rounds().div_ceil(2) {
        net.dev(&["split", "1/1/2"]);
        for (node, peers) in [(1, 0), (2, 0), (3, 1), (4, 1)] {
            net.wait_for_peers(node, peers);
        }
        let fork = [1, 2, 3]
            .map(|node| net.head(node).unwrap().0)
            .into_iter()
            .min()
            .unwrap()
            + 1;
        let transfers = [net.pay(1), net.pay(2)];
        net.mine(1, 1);
        net.mine(2, 1);
        net.overtake(3, 1, 3);
        net.overtake(3, 2, 3);
        let rivals = [1, 2, 3].map(|node| net.hash_at(node, fork).unwrap());
        assert!(
            rivals[0] != rivals[1] && rivals[1] != rivals[2] && rivals[0] != rivals[2],
            "{rivals:?}"
        );
        // Another split takes the place of the first one.
        net.dev(&["split", "3/1"]);
        net.wait_for_peers(2, 2);
        net.wait_for_peers(4, 0);
        net.dev(&["heal"]);
        net.wait_until_whole();
        // Both took the first account's next number, so that only one of them, or one sent twice,
        // can stand.
        wait_for("the transfer that stands", || {
            net.mine(1, 1);
            let found = transfers.iter().filter_map(|hash| net.block_of(3, hash));
            found.count() >= 1
        });
        net.wait_until_whole();
        net.check_accounts();
    }
}

#[test]
fn sizes_names_and_places_that_do_not_fit_are_refused() {
    let net = Net::start(4);
    let place = net.directory.to_str().unwrap();
    let fails = |arguments: &[&str], code, words: &[&str]| {
        assert_fails(
            &lignum(&[&["dev", "--datadir", place], arguments].concat()),
            code,
            words,
        );
    };
    fails(
        &["split", "2/3"],
        2,
        &["5 nodes together, but 4 nodes are running"],
    );
    fails(&["split", "4"], 2, &["two groups or more"]);
    fails(
        &["mine", "1", "--node", "5"],
        2,
        &["no node 5 runs", "4 nodes"],
    );
    fails(&["mine", "1001"], 2, &["1001"]);
    fails(&["delay", "3001"], 2, &["0 to 3000 ms"]);
    fails(
        &["reorg", "--depth", "1000"],
        2,
        &["the height of the head"],
    );
    fails(&["mine", "1", "--name", "a/b"], 2, &["letters, digits"]);
    let token = net.directory.join("node-1").join("operator.token");
    let right = fs::read(&token).unwrap();
    fs::write(&token, "wrong").unwrap();
    fails(&["mine", "1"], 1, &["operator.token", "another one"]);
    fs::write(&token, right).unwrap();
    assert!(!net.directory.join("split.json").exists());
    let nobody = net.directory.join("nobody");
    let missing = lignum(&["dev", "heal", "--datadir", nobody.to_str().unwrap()]);
    assert_fails(&missing, 9, &["no devnet runs in", "lignum devnet"]);

    let by_number = net.dev(&["mine", "2", "--node", "3"]);
    assert!(by_number.contains("2 blocks made"), "{by_number}");
    net.wait_until_whole();
    let url = net.url(2);
    let by_url = net.dev(&["reorg", "--depth", "2", "--node", &url, "--json"]);
    let made: Value = serde_json::from_str(&by_url).unwrap();
    assert_eq!(made["done"], true);
    let own = net.directory.join("node-4");
    let late = lignum(&[
        "dev",
        "delay",
        "0",
        "--node",
        &net.url(4),
        "--datadir",
        own.to_str().unwrap(),
    ]);
    assert!(stdout(&late).contains("1 node"), "{}", stderr(&late));
    let all = net.dev(&["delay", "20"]);
    assert!(
        all.contains("each of 4 nodes hears its peers 20 ms late"),
        "{all}"
    );
    net.wait_until_whole();
}

#[test]
fn a_new_devnet_is_whole_and_a_name_has_its_own_place() {
    let world = World::new();
    let root = world.path("root");
    let start = |name: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_lignum"));
        command.args(["devnet", "--nodes", "2", "--name", name]);
        command.args(["--port", "0", "--http.port", "0"]);
        command.env("LIGNUM_DATADIR", &root);
        Devnet::start_with(&mut command)
    };
    let (one, two) = (root.join("devnet-one"), root.join("devnet-two"));
    fs::create_dir_all(&one).unwrap();
    fs::write(one.join("split.json"), "{\"groups\": []}").unwrap();
    let running = [start("one"), start("two")];
    let is_up = |directory: &Path| status(directory, 2).is_some_and(|status| status["peers"] == 1);
    wait_for("two devnets", || is_up(&one) && is_up(&two));
    assert!(!one.join("split.json").exists());
    let root = root.to_str().unwrap();
    let shown = crate::harness::lignum_with(
        &[("LIGNUM_DATADIR", root)],
        &["status", "--name", "two", "--node", "2"],
    );
    let url = endpoints(&two, 2).unwrap()["http"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(stdout(&shown).contains(&url), "{}", stderr(&shown));
    drop(running);
}
