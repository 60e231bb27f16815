//! Event streams of real nodes: nothing of the best chain is missed, whatever breaks in between.

use std::{
    io::{BufRead, BufReader, Write},
    net::{Shutdown, TcpStream},
    sync::mpsc::{Receiver, sync_channel},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::harness::{Node, PATIENCE, World, assert_fails, lignum, raw_http, stdout};

/// An event as it came.
struct Frame {
    id: String,
    event: String,
    data: Value,
}

fn request(node: &Node, query: &str, after: &str) -> TcpStream {
    let mut stream = TcpStream::connect(node.http()).unwrap();
    let header = match after {
        "" => String::new(),
        id => format!("Last-Event-ID: {id}\r\n"),
    };
    let request = format!("GET /v1/events{query} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// Reads a stream in a thread of its own, until it breaks or nobody wants more.
fn listen(node: &Node, query: &str, after: &str) -> Receiver<Frame> {
    let stream = request(node, query, after);
    let (sender, frames) = sync_channel(10_000);
    thread::spawn(move || {
        let (mut id, mut event) = (String::new(), String::new());
        // Lines of the head, and sizes of chunks, look like no field.
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if let Some(text) = line.strip_prefix("id: ") {
                id = text.to_owned();
            } else if let Some(text) = line.strip_prefix("event: ") {
                event = text.to_owned();
            } else if let Some(text) = line.strip_prefix("data: ") {
                let data = serde_json::from_str(text).unwrap();
                let (id, event) = (id.clone(), event.clone());
                if sender.send(Frame { id, event, data }).is_err() {
                    return;
                }
            }
        }
    });
    frames
}

/// The best chain as a listener knows it, and where it goes on after a break.
struct Walk {
    chain: Vec<(u64, String)>,
    id: String,
    reorgs: usize,
}

impl Walk {
    /// At the genesis block, whatever the node has told by now.
    fn new(node: &Node) -> Self {
        let status = node.get("/v1/status");
        let genesis = status["genesis"].as_str().unwrap().to_owned();
        Self {
            id: format!("0-0-0-{genesis}"),
            chain: vec![(0, genesis)],
            reorgs: 0,
        }
    }

    /// Every head is a child of the one before, or of the ancestor that a reorg leads back to.
    fn take(&mut self, frame: &Frame) {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let data = &frame.data;
        match &*frame.event {
            "head" => {
                let height = data["height"].as_u64().unwrap();
                let (last, hash) = self.chain.last().expect("the genesis block at least");
                assert_eq!((height, text(&data["parent"])), (last + 1, hash.clone()));
                self.chain.push((height, text(&data["hash"])));
            }
            "chain_reorg" => {
                let ancestor = text(&data["common_ancestor"]["hash"]);
                let old = data["old_branch"].as_array().unwrap();
                for block in old {
                    let (_, hash) = self.chain.pop().expect("only what was told is taken back");
                    assert_eq!(text(&block["hash"]), hash);
                }
                let (_, hash) = self.chain.last().expect("the genesis block at least");
                assert_eq!(*hash, ancestor);
                self.reorgs += 1;
            }
            other => panic!("{other}: {data}"),
        }
        self.id.clone_from(&frame.id);
    }

    fn height(&self) -> u64 {
        self.chain.last().map_or(0, |(height, _)| *height)
    }

    /// Listens until the chain is told up to a height.
    fn follow(&mut self, node: &Node, up_to: u64) {
        let frames = listen(node, "?types=head,chain_reorg", &self.id);
        while self.height() < up_to {
            self.take(&frames.recv_timeout(PATIENCE).expect("an event"));
        }
    }
}

#[test]
fn no_head_is_missed_across_kills_and_reorgs() {
    let world = World::new();
    // Easy blocks, so that the two miners often find rivals.
    world.write_spec("network.json", &json!({ "genesis_bits": "0x1f7fffff" }));
    let first = world.node("first").mining("one");
    let one = first.start();
    let two = world.node("second").mining("two").joining(&one).start();
    let mut walk = Walk::new(&one);
    walk.follow(&one, 20);
    // Away while the chain grows, and the node is killed in between.
    one.wait_for("more blocks", |node| node.height() >= walk.height() + 10);
    one.kill();
    let one = first.start();
    let shown = one.height();
    walk.follow(&one, shown + 5);
    // Killed while it is listened to.
    let frames = listen(&one, "?types=head,chain_reorg", &walk.id);
    let target = walk.height() + 5;
    while walk.height() < target {
        walk.take(&frames.recv_timeout(PATIENCE).expect("an event"));
    }
    one.kill();
    while let Ok(frame) = frames.recv() {
        walk.take(&frame);
    }
    let one = first.start();
    let shown = one.height();
    walk.follow(&one, shown.max(walk.height()) + 5);
    // What was told is what is there, but for the last blocks, which may be gone again.
    let settled = walk.chain.len().saturating_sub(10);
    for (height, hash) in &walk.chain[..settled] {
        let block = one.get(&format!("/v1/blocks/{height}"));
        assert_eq!(block["hash"], hash.as_str(), "block {height}");
    }
    let heights = walk.chain.iter().map(|(height, _)| *height);
    assert!(heights.eq(0..=walk.height()));
    drop(two);
}

/// A branch that the node was on when the listener left, and is not on any more.
#[test]
fn a_listener_comes_back_over_a_reorg_and_a_restart() {
    let world = World::new();
    world.write_spec("network.json", &json!({ "genesis_bits": "0x1f7fffff" }));
    let lonely = world.node("lonely").mining("lonely").start();
    let mut walk = Walk::new(&lonely);
    walk.follow(&lonely, 3);
    assert_eq!(lonely.stop(), Some(0));
    // Another chain that is longer, mined without knowing of the first.
    let other = world.node("other").mining("other").start();
    other.wait_for("a longer chain", |node| node.height() > walk.height() + 30);
    let lonely = world.node("lonely").joining(&other).start();
    let target = other.height();
    walk.follow(&lonely, target);
    assert!(walk.reorgs > 0, "the chain of the lonely node was left");
    // The branch that was left is in the forest, and both verbs show what they should.
    let branches = lonely.get("/v1/forest")["branches"].clone();
    assert!(branches.as_array().unwrap().len() > 1, "{branches}");
    let url = lonely.url();
    let forks = stdout(&lignum(&["forks", "--node", &url]));
    assert!(
        forks.contains("behind") && forks.contains("head"),
        "{forks}"
    );
    let peers = stdout(&lignum(&["peers", "--node", &url]));
    assert!(peers.contains("/ip4/127.0.0.1/"), "{peers}");
    let json: Value =
        serde_json::from_str(&stdout(&lignum(&["peers", "--json", "--node", &url]))).unwrap();
    assert_eq!(json["peers"].as_array().unwrap().len(), 1);
    let metrics = raw_http(
        &lonely.http(),
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    );
    assert!(
        metrics.1.contains("\nlignum_reorgs_total 1"),
        "{}",
        metrics.1
    );
    assert!(
        metrics.1.contains("\nlignum_peers_outbound 1"),
        "{}",
        metrics.1
    );
    lonely.kill();
    for verb in ["peers", "forks"] {
        assert_fails(
            &lignum(&[verb, "--node", &url]),
            9,
            &["not reachable", "--node"],
        );
    }
}

/// Threat A1: more streams than there are places, from clients of every bad kind.
#[test]
fn a_thousand_streams_leave_the_node_alive() {
    let world = World::new();
    let node = world.node("one").start();
    let huge = "9".repeat(30_000);
    for round in 0..4 {
        let streams: Vec<_> = (0..250)
            .map(|at| match at % 5 {
                0 => request(&node, "", "garbage"),
                1 => request(&node, "", &huge),
                2 => request(&node, "?types=head", "é\u{7f}"),
                // Half open: it says that it will send no more.
                3 => {
                    let stream = request(&node, "", "");
                    stream.shutdown(Shutdown::Write).unwrap();
                    stream
                }
                // Never asks to the end.
                _ => {
                    let mut stream = TcpStream::connect(node.http()).unwrap();
                    stream
                        .write_all(b"GET /v1/events HTTP/1.1\r\nLast-")
                        .unwrap();
                    stream
                }
            })
            .collect();
        thread::sleep(Duration::from_millis(50 * round));
        drop(streams);
    }
    node.wait_for("an answer", |node| {
        let answer = node.try_get("/v1/status");
        answer.is_some_and(|(status, _)| status == 200)
    });
    // All places are free again: a stream opens and tells a peer that comes.
    let frames = listen(&node, "?types=peer", "");
    let other = world.node("two").joining(&node).start();
    let frame = frames.recv_timeout(PATIENCE).expect("an event");
    assert_eq!(
        (&*frame.event, &frame.data["change"]),
        ("peer", &"connected".into())
    );
    assert_eq!(frame.data["inbound"], true);
    assert_eq!(other.stop(), Some(0));
    let frame = frames.recv_timeout(PATIENCE).expect("an event");
    assert_eq!(frame.data["change"], "disconnected");
    // An open stream does not hold up the end.
    assert_eq!(node.stop(), Some(0));
    assert!(
        frames.recv_timeout(PATIENCE).is_err(),
        "the stream has ended"
    );
}
