//! Event streams over TCP: what they tell, and how they go on after a break.

use std::{sync::Arc, time::Duration};

use chain::{
    Batch, Block, BlockHash, BlockId, Body, Header, MemoryStore, Node, Store, TxHash,
    transaction::hash_of,
};
use serde_json::Value;
use state::Evm;

use super::{
    Server,
    listener::{Frame, Listener},
    regtest, take, view,
};
use crate::{
    View,
    events::{Arrival, Event, Joined, Journal, Move, PeerChange},
    limits::{JOURNAL_ENTRIES_MAX, STREAMS_MAX},
};

/// A server, and a store in which branches grow.
struct World {
    server: Server,
    store: MemoryStore,
    genesis: Block,
    made: u32,
}

impl World {
    fn new() -> Self {
        let spec = regtest();
        let (mut view, genesis) = view(&spec);
        let mut store = MemoryStore::default();
        store.commit(&Node::genesis(&spec, &Evm::new()).1).unwrap();
        view.reader = Arc::new(store.snapshot().unwrap());
        let server = Server::on(view, genesis.clone(), take);
        Self {
            server,
            store,
            genesis,
            made: 0,
        }
    }

    fn genesis(&self) -> BlockId {
        let hash = self.genesis.header.hash();
        BlockId { height: 0, hash }
    }

    /// A block on any other, with transactions of these bytes.
    fn block(&mut self, parent: BlockId, transactions: &[&[u8]]) -> Joined {
        self.made += 1;
        let mut header = Header::clone(&self.genesis.header);
        (header.pow.parent, header.pow.nonce) = (parent.hash, self.made);
        header.extension.height = parent.height + 1;
        header.extension.transaction_count = u32::try_from(transactions.len()).unwrap();
        let id = BlockId {
            height: parent.height + 1,
            hash: header.hash(),
        };
        let body = Body(transactions.iter().map(|bytes| bytes.to_vec()).collect());
        let batch = Batch {
            headers: vec![Arc::new(header)],
            bodies: vec![(id, Arc::new(body))],
            ..Batch::default()
        };
        self.store.commit(&batch).unwrap();
        Joined {
            id,
            parent: parent.hash,
            transactions: u32::try_from(transactions.len()).unwrap(),
        }
    }

    /// Blocks without transactions, one on the other.
    fn branch(&mut self, parent: BlockId, length: usize) -> Vec<Joined> {
        let mut at = parent;
        let grow = |_| {
            let joined = self.block(at, &[]);
            at = joined.id;
            joined
        };
        (0..length).map(grow).collect()
    }

    /// A view with everything that is in the store.
    fn publish(&self) {
        let (mut view, _) = view(&regtest());
        view.reader = Arc::new(self.store.snapshot().unwrap());
        self.server.views.send_replace(Arc::<View>::new(view));
    }

    /// The head moves up to, or over to, these blocks.
    fn moved(&self, left: &[BlockId], ancestor: BlockId, joined: &[Joined]) {
        self.publish();
        let moved = Move {
            old: left.first().copied().unwrap_or(ancestor),
            new: joined.last().unwrap().id,
            ancestor,
            left: left.to_vec(),
            joined: joined.to_vec(),
        };
        self.push(Event::Moved(moved));
    }

    fn grow(&self, joined: &[Joined]) {
        for joined in joined {
            let ancestor = BlockId {
                height: joined.id.height - 1,
                hash: joined.parent,
            };
            self.moved(&[], ancestor, &[*joined]);
        }
    }

    fn push(&self, event: Event) {
        self.server
            .journal
            .send_modify(|journal| journal.push(event));
    }

    /// As after a restart of the node: another run, an empty journal.
    fn restart(&self, head: BlockId) {
        self.publish();
        self.server.journal.send_replace(Journal::new(2, head));
    }
}

fn ids(joined: &[Joined]) -> Vec<BlockId> {
    joined.iter().map(|joined| joined.id).collect()
}

fn hashes(list: &Value) -> Vec<&str> {
    let hash = |entry: &'static str, value: &'_ Value| value[entry].is_string();
    let list = list.as_array().unwrap();
    assert!(list.iter().all(|entry| hash("hash", entry)));
    list.iter()
        .map(|entry| entry["hash"].as_str().unwrap())
        .collect()
}

fn told(frame: &Frame) -> (&str, u64, &str) {
    let data = &frame.data;
    let height = data["height"].as_u64().unwrap_or_default();
    (
        &frame.event,
        height,
        data["hash"].as_str().unwrap_or_default(),
    )
}

#[test]
fn every_kind_is_told_with_its_head() {
    let mut world = World::new();
    let genesis = world.genesis();
    let mut listener = Listener::open(&world.server, "", "");
    let one = world.block(genesis, &[b"tx"]);
    let (block, parent) = (one.id, genesis.hash);
    world.push(Event::Block { block, parent });
    world.moved(&[], genesis, &[one]);
    world.push(Event::Transactions {
        hashes: Arc::new(vec![TxHash([1; 32]), TxHash([2; 32])]),
        arrival: Arrival::Pooled,
    });
    let rival = world.block(genesis, &[]);
    world.push(Event::Fork {
        block: rival.id,
        rival: one.id,
        behind: 0,
    });
    world.push(Event::Peer {
        id: "12D3".into(),
        address: "/x/\n\u{1b}".into(),
        inbound: true,
        change: PeerChange::Connected,
    });
    let frames = listener.take(6);
    let (hash, rival_hash) = (one.id.hash.to_string(), rival.id.hash.to_string());
    assert_eq!(told(&frames[0]), ("block", 1, &*hash));
    assert_eq!(frames[0].data["parent"], genesis.hash.to_string());
    assert_eq!(frames[0].data["head"]["height"], 0);
    assert_eq!(told(&frames[1]), ("head", 1, &*hash));
    assert_eq!(frames[1].data["transactions"], 1);
    assert_eq!(frames[1].data["old"]["hash"], genesis.hash.to_string());
    let transaction = TxHash([2; 32]).to_string();
    assert_eq!(told(&frames[3]), ("transaction", 0, &*transaction));
    assert_eq!(frames[3].data["status"], "pooled");
    assert_eq!(told(&frames[4]), ("fork", 1, &*rival_hash));
    assert_eq!(
        (&frames[4].data["rival"], &frames[4].data["behind"]),
        (&hash.clone().into(), &0.into())
    );
    assert_eq!(
        (&*frames[5].event, &frames[5].data["change"]),
        ("peer", &"connected".into())
    );
    for frame in &frames[1..] {
        assert_eq!(frame.data["head"]["hash"], hash, "{frame:?}");
    }
    // Only what was asked for, and no two ids are the same.
    let first = &frames[0].id;
    let mut some = Listener::open(&world.server, "?types=fork,head", first);
    let names: Vec<_> = some.take(2).into_iter().map(|frame| frame.event).collect();
    assert_eq!(names, ["head", "fork"]);
    let ids: std::collections::BTreeSet<_> = frames.iter().map(|frame| &frame.id).collect();
    assert_eq!(ids.len(), 6);
    for query in ["?types=head,weather", "?types=", "?types=head,,block"] {
        let path = format!("/v1/events{query}");
        world
            .server
            .refuses("GET", &path, "", 400, "bad_event_type");
    }
    world
        .server
        .refuses("GET", "/v1/events?colour=red", "", 400, "bad_query");
}

#[test]
fn an_id_in_the_journal_replays_exactly_what_came_after_it() {
    let mut world = World::new();
    let genesis = world.genesis();
    let mut listener = Listener::open(&world.server, "", "");
    let old = world.branch(genesis, 2);
    world.grow(&old);
    let new = world.branch(genesis, 3);
    let left: Vec<_> = ids(&old).into_iter().rev().collect();
    world.moved(&left, genesis, &new);
    world.push(Event::Transactions {
        hashes: Arc::new(vec![TxHash([1; 32]), TxHash([2; 32])]),
        arrival: Arrival::Returned,
    });
    // Two heads, the reorg, three heads, two transactions.
    let frames = listener.take(8);
    assert_eq!(frames[2].event, "chain_reorg");
    for (at, frame) in frames.iter().enumerate() {
        let rest = frames.len() - at - 1;
        let query = format!("?last_event_id={}", frame.id);
        let again = Listener::open(&world.server, &query, "").take(rest);
        assert_eq!(again, frames[at + 1..]);
        // The header wins over the query.
        let again = Listener::open(&world.server, "?last_event_id=x", &frame.id).take(rest);
        assert_eq!(again, frames[at + 1..]);
    }
}

#[test]
fn an_id_of_an_earlier_run_goes_on_at_its_block() {
    let mut world = World::new();
    let genesis = world.genesis();
    let mut listener = Listener::open(&world.server, "", "");
    let blocks = world.branch(genesis, 5);
    world.grow(&blocks[..2]);
    let seen = listener.take(2);
    world.restart(blocks[4].id);
    let mut again = Listener::open(&world.server, "", &seen[1].id);
    let frames = again.take(4);
    assert_eq!(frames[0].event, "gap");
    assert_eq!(
        frames[0].data["lost"],
        serde_json::json!(["block", "transaction", "fork", "peer"])
    );
    let heights: Vec<_> = frames[1..].iter().map(|frame| told(frame).1).collect();
    assert_eq!(heights, [3, 4, 5]);
    assert_eq!(frames[1].data["parent"], seen[1].data["hash"]);
    // Broken off in the middle, it goes on there.
    let mut third = Listener::open(&world.server, "?types=head,chain_reorg", &frames[2].id);
    assert_eq!(told(&third.next()).1, 5);
    // And then with what happens.
    let next = world.branch(blocks[4].id, 1);
    world.grow(&next);
    assert_eq!(
        told(&third.next()),
        ("head", 6, &*next[0].id.hash.to_string())
    );
    assert_eq!(told(&again.next()).1, 6);
}

#[test]
fn an_id_on_a_branch_that_was_left_comes_back_by_a_reorg() {
    let mut world = World::new();
    let genesis = world.genesis();
    let mut listener = Listener::open(&world.server, "", "");
    let base = world.branch(genesis, 1);
    let two = world.block(base[0].id, &[b"a", b"b"]);
    let three = world.block(two.id, &[b"c"]);
    world.grow(&[base[0], two, three]);
    let seen = listener.take(3);
    let other = world.block(base[0].id, &[b"c"]);
    let other_two = world.block(other.id, &[b"x", b"a"]);
    let other_three = world.block(other_two.id, &[]);
    world.restart(other_three.id);
    let frames = Listener::open(&world.server, "?types=head,chain_reorg", &seen[2].id).take(4);
    let reorg = &frames[0].data;
    assert_eq!(frames[0].event, "chain_reorg");
    assert_eq!(
        reorg["common_ancestor"]["hash"],
        base[0].id.hash.to_string()
    );
    let texts = |list: &[Joined]| -> Vec<String> {
        list.iter()
            .map(|joined| joined.id.hash.to_string())
            .collect()
    };
    assert_eq!(hashes(&reorg["old_branch"]), texts(&[three, two]));
    assert_eq!(
        hashes(&reorg["new_branch"]),
        texts(&[other, other_two, other_three])
    );
    let names = |list: &[&[u8]]| -> Value {
        let texts: Vec<_> = list
            .iter()
            .map(|bytes| hash_of(bytes).to_string())
            .collect();
        texts.into()
    };
    assert_eq!(reorg["undone"], names(&[b"a", b"b", b"c"]));
    assert_eq!(reorg["redone"], names(&[b"a", b"c"]));
    assert_eq!(
        (&reorg["undone_count"], &reorg["truncated"]),
        (&3.into(), &false.into())
    );
    let heights: Vec<_> = frames[1..].iter().map(|frame| told(frame).1).collect();
    assert_eq!(heights, [2, 3, 4]);
    assert_eq!(frames[1].data["old"]["hash"], three.id.hash.to_string());
}

#[test]
fn what_is_no_id_is_told_to_read_again() {
    let world = World::new();
    let huge = "7".repeat(20_000);
    let nowhere = BlockHash([7; 32]);
    let unknown = format!("2-1-0-{nowhere}");
    for header in [
        &b"garbage"[..],
        b"\xff\xfe",
        "häß".as_bytes(),
        huge.as_bytes(),
        unknown.as_bytes(),
    ] {
        let (status, mut listener) = Listener::ask(&world.server, "", header);
        let frame = listener.next();
        assert_eq!((status, &*frame.event), (200, "reset"));
        assert_eq!(frame.data["reason"], "unknown_id");
        assert_eq!(frame.data["head"]["height"], 0);
        // The id it came with is good.
        let mut again = Listener::open(&world.server, "?types=peer", &frame.id);
        world.push(Event::Peer {
            id: "p".into(),
            address: "a".into(),
            inbound: false,
            change: PeerChange::Disconnected,
        });
        assert_eq!(again.next().event, "peer");
    }
}

#[test]
fn a_way_that_is_too_long_is_read_again() {
    let mut world = World::new();
    let genesis = world.genesis();
    let blocks = world.branch(genesis, Move::BLOCKS_MAX + 1);
    let last = blocks.last().unwrap().id;
    world.restart(last);
    let old = format!("1-1-0-{}", genesis.hash);
    let frame = Listener::open(&world.server, "", &old).next();
    assert_eq!(
        (&*frame.event, &frame.data["reason"]),
        ("reset", &"too_long".into())
    );
    let near = format!("1-1-0-{}", blocks[0].id.hash);
    let frames = Listener::open(&world.server, "?types=head", &near).take(Move::BLOCKS_MAX);
    assert_eq!(told(&frames[Move::BLOCKS_MAX - 1]).2, last.hash.to_string());
}

#[test]
fn who_falls_behind_the_journal_is_told_and_goes_on() {
    let mut world = World::new();
    let genesis = world.genesis();
    let mut listener = Listener::open(&world.server, "", "");
    let (block, parent) = (genesis, genesis.hash);
    // All at once, so that no reader could have kept up.
    world.server.journal.send_modify(|journal| {
        for _ in 0..JOURNAL_ENTRIES_MAX * 2 {
            journal.push(Event::Block { block, parent });
        }
    });
    let frame = listener.next();
    assert_eq!(
        (&*frame.event, &frame.data["reason"]),
        ("reset", &"too_slow".into())
    );
    let blocks = world.branch(genesis, 1);
    world.grow(&blocks);
    assert_eq!(listener.next().event, "head");
}

/// Threat A1.
#[test]
fn streams_are_bounded_and_leave_their_places() {
    let world = World::new();
    let open: Vec<_> = (0..STREAMS_MAX)
        .map(|_| Listener::open(&world.server, "", ""))
        .collect();
    let server = &world.server;
    server.refuses("GET", "/v1/events", "", 503, "too_many_streams");
    // Bad requests are told so all the same, and other routes answer.
    server.refuses("GET", "/v1/events?types=x", "", 400, "bad_event_type");
    assert_eq!(server.get("/v1/status")["peers"], 3);
    drop(open);
    let again = || Listener::ask(server, "", b"").0 == 200;
    let mut looks = (0..200).map(|_| {
        std::thread::sleep(Duration::from_millis(20));
        again()
    });
    assert!(looks.any(|is_open| is_open), "no place became free");
}

#[test]
fn a_stop_ends_streams_at_once() {
    let world = World::new();
    let mut listener = Listener::open(&world.server, "", "");
    let (server, journal) = (world.server, world.store);
    drop(server.stop);
    // Within the read's time-out, and although nothing happens.
    assert!(!listener.fill());
    drop(journal);
}
