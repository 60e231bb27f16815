//! Sync between nodes by messages, and what peers may cost us.

use std::sync::Arc;

use chain::{
    CheckedBlock, Fault, Input, Peer, Request, Response, Store, Ticket, Verdict,
    params::{
        EARLY_MAX, HEADERS_MAX, ORPHANS_MAX, ORPHANS_PER_PEER, PEERS_MAX, REQUEST_BUDGET,
        REQUEST_BUDGET_SECS, RESPONSE_BYTES_MAX,
    },
    sync::serve,
};

use crate::support::{
    builder::{Builder, LGN, Plan, Wallet, hash, headers, regtest, transfer},
    net::Net,
    shell::Shell,
};

fn nodes(builder: &Builder, count: usize) -> Net {
    Net::new((0..count).map(|_| Shell::new(&builder.spec)).collect())
}

fn grown(net: &mut Net, node: usize, blocks: &[CheckedBlock]) {
    for block in blocks {
        net.nodes[node].own(block);
    }
    // Nobody is connected yet: nothing of it is heard.
    net.nodes[node].out = Default::default();
}

/// A new node fetches 2,100 blocks, headers in full answers, bodies from every peer that has them.
#[test]
fn sync_from_several_peers() {
    let mut builder = Builder::new(regtest(&[]));
    let chain = builder.chain(builder.genesis, 2_100);
    let mut net = nodes(&builder, 4);
    for node in 1..4 {
        grown(&mut net, node, &chain);
    }
    net.connect_all();
    assert_eq!(net.nodes[0].head(), hash(&chain[2_099]), "without a tick");
    net.nodes[0].assert_head_is_best_held();
    let bodies = |to| {
        let asked = net
            .requests
            .iter()
            .filter(|(from, at, _)| (*from, *at) == (0, to));
        asked
            .filter(|(_, _, request)| matches!(request, Request::Blocks(_)))
            .count()
    };
    let shares = [bodies(1), bodies(2), bodies(3)];
    assert!(shares.iter().all(|share| *share > 10), "{shares:?}");
    assert_eq!(
        shares.iter().sum::<usize>(),
        2_100_usize.div_ceil(16),
        "each once: {shares:?}"
    );
    assert!(
        net.nodes
            .iter()
            .all(|node| node.out.disconnected.is_empty())
    );
    assert_eq!(net.nodes[0].ledger.executions(), 2_100);
}

/// P2: one of three peers never answers. What was asked of it goes to the others after the time-out, and
/// sync ends.
#[test]
fn p2_sync_with_a_dead_peer() {
    let mut builder = Builder::new(regtest(&[]));
    let chain = builder.chain(builder.genesis, 700);
    let mut net = nodes(&builder, 4);
    for node in 1..4 {
        grown(&mut net, node, &chain);
    }
    net.connect_all();
    let more = builder.chain(hash(&chain[699]), 600);
    for node in 1..4 {
        grown(&mut net, node, &more);
    }
    net.silent.insert(1);
    // Its status is known from before; it is ahead and says nothing more.
    net.nodes[0].claim(1, &more[599]);
    net.collect(0);
    net.pass(10);
    for _ in 0..12 {
        net.pass(5);
    }
    assert_eq!(net.nodes[0].head(), hash(&more[599]));
    let faults = &net.nodes[0].out.disconnected;
    assert!(
        faults
            .iter()
            .all(|(peer, fault)| *peer == Peer(1) && *fault == Fault::Timeout)
    );
}

/// C14: a peer that answers with altered bodies does not stop sync: another is asked at once.
#[test]
fn c14_altered_bodies() {
    let wallet = Wallet::new(1);
    let mut builder = Builder::new(regtest(&[&wallet]));
    let block = builder.mine_with(builder.genesis, &[wallet.pay(0, wallet.address, 1)]);
    let mut shell = Shell::new(&builder.spec);
    for peer in [1, 2] {
        shell.connect(peer);
        shell.claim(peer, &block);
    }
    shell.headers(1, std::slice::from_ref(&block));
    let asked = [1, 2].map(|peer| shell.asked_blocks(peer));
    let (first, second) = if asked[0].is_empty() { (2, 1) } else { (1, 2) };
    let (fault, hash) = (Fault::Mismatch, Some(hash(&block)));
    shell.input(Input::Refused {
        from: Peer(first),
        hash,
        fault,
    });
    assert_eq!(
        shell.asked_blocks(second),
        [block.id().hash],
        "no time is lost"
    );
    shell.gossip(second, &block);
    assert_eq!(shell.head(), block.id().hash);
}

/// Nodes on two branches meet: all end on the better one, by messages alone.
#[test]
fn a_split_heals() {
    let (one, two) = (Wallet::new(1), Wallet::new(2));
    let mut builder = Builder::new(regtest(&[&one, &two]));
    let base = builder.chain(builder.genesis, 5);
    let left = builder.chain(hash(&base[4]), 20);
    let right = builder.chain(hash(&base[4]), 21);
    let mut net = nodes(&builder, 4);
    for node in 0..4 {
        grown(&mut net, node, &base);
        grown(&mut net, node, if node < 2 { &left } else { &right });
    }
    net.connect_all();
    for node in &net.nodes {
        assert_eq!(node.head(), hash(&right[20]));
        node.assert_head_is_best_held();
    }
    // A block mined by one reaches all, each link used at most once each way.
    net.gossiped = 0;
    let block = builder.mine_with(hash(&right[20]), &[one.pay(0, two.address, LGN)]);
    net.mined(3, &block);
    assert!(net.nodes.iter().all(|node| node.head() == hash(&block)));
    assert!(net.gossiped <= 3 + 3 * 2, "{} copies", net.gossiped);
    assert!(
        net.nodes
            .iter()
            .all(|node| node.out.disconnected.is_empty())
    );
}

/// P1: orphans are bounded for one peer and in all; a flood pushes out its own sender's.
#[test]
fn p1_orphans_are_bounded() {
    let mut builder = Builder::new(regtest(&[]));
    let mut shell = Shell::new(&builder.spec);
    let orphan = |builder: &mut Builder| {
        let missing = builder.mine(builder.genesis);
        builder.mine(hash(&missing))
    };
    let honest = orphan(&mut builder);
    shell.gossip(1, &honest);
    for _ in 0..ORPHANS_PER_PEER + 40 {
        let block = orphan(&mut builder);
        shell.gossip(2, &block);
        assert!(shell.node.orphans().len() <= 1 + ORPHANS_PER_PEER);
    }
    assert_eq!(shell.node.orphans().len(), 1 + ORPHANS_PER_PEER);
    assert!(
        shell.node.orphans().root_of(&hash(&honest)).is_some(),
        "the honest one is there"
    );
    for peer in 3..40 {
        for _ in 0..ORPHANS_PER_PEER / 2 {
            let block = orphan(&mut builder);
            shell.gossip(peer, &block);
        }
    }
    assert_eq!(shell.node.orphans().len(), ORPHANS_MAX);
    assert!(shell.node.orphans().root_of(&hash(&honest)).is_some());
    shell.input(Input::Disconnected(Peer(2)));
    assert!(
        shell.node.orphans().len() < ORPHANS_MAX,
        "a peer's go with it"
    );
    assert_eq!(shell.node.forest().tree().len(), 1);
}

/// An orphan far easier than the head's own work is not kept; headers are asked for all the same.
#[test]
fn p1_cheap_orphans_are_not_kept() {
    let mut spec = regtest(&[]);
    (spec.spacing_secs, spec.half_life_secs) = (10, 100);
    spec.genesis_bits.0 = 0x1f3f_ffff;
    let mut builder = Builder::new(spec);
    let mut shell = Shell::new(&builder.spec);
    shell.connect(1);
    shell.out.sent.clear();
    let start = builder.spec.genesis_time;
    let head = builder.mine_at(builder.genesis, start + 10);
    shell.own(&head);
    // Stamps two half-lives apart quarter the difficulty each, down to the limit.
    let (mut at, mut branch) = (builder.genesis, Vec::new());
    for gap in 1..8 {
        branch.push(builder.mine_at(at, start + 200 * gap));
        at = hash(branch.last().unwrap());
    }
    let one_in = |block: &CheckedBlock| head.header().work() / block.header().work();
    assert_eq!(one_in(&branch[6]), chain::U256::from(512));
    shell.gossip(1, &branch[6]);
    assert_eq!(shell.node.orphans().len(), 0);
    assert!(one_in(&branch[4]) < chain::U256::from(256));
    shell.gossip(1, &branch[4]);
    assert_eq!(shell.node.orphans().len(), 1);
    assert!(
        shell
            .out
            .sent
            .iter()
            .any(|(_, request)| matches!(request, Request::Headers(_)))
    );
}

/// C4: early blocks are bounded, and one peer's flood does not push out another's.
#[test]
fn c4_early_blocks_are_bounded() {
    let mut builder = Builder::new(regtest(&[]));
    let mut shell = Shell::new(&builder.spec);
    shell.now.unix_secs = u64::from(builder.spec.genesis_time);
    let soon = builder.spec.genesis_time + 7_201;
    let honest = builder.mine_at(builder.genesis, soon);
    shell.gossip(1, &honest);
    let mut flood = Vec::new();
    for _ in 0..EARLY_MAX + 30 {
        let block = builder.mine_at(builder.genesis, soon + 1_000);
        shell.gossip(2, &block);
        flood.push(block);
    }
    shell.pass(1);
    assert_eq!(shell.head(), hash(&honest));
    shell.pass(1_000);
    let tree = shell.node.forest().tree();
    assert_eq!(
        tree.len(),
        2 + EARLY_MAX - 1,
        "genesis, the honest one, and what was kept"
    );
}

/// A peer's requests cost it budget: beyond it they are declined and charged.
#[test]
fn requests_are_budgeted() {
    let builder = Builder::new(regtest(&[]));
    let mut shell = Shell::new(&builder.spec);
    shell.connect(1);
    let ask = |shell: &mut Shell, ticket: u64| {
        let request = Request::Headers(vec![builder.genesis]);
        let ticket = Ticket(ticket);
        shell.input(Input::Request {
            from: Peer(1),
            ticket,
            request,
        });
    };
    let free = u64::from(REQUEST_BUDGET);
    for ticket in 0..2 * free {
        ask(&mut shell, ticket);
    }
    assert_eq!(shell.out.served.len(), REQUEST_BUDGET as usize);
    assert_eq!(shell.out.declined.len(), REQUEST_BUDGET as usize);
    assert_eq!(shell.node.sync().summaries()[0].points, 0);
    ask(&mut shell, 0);
    assert_eq!(shell.node.sync().summaries()[0].points, 1);
    shell.pass(REQUEST_BUDGET_SECS);
    ask(&mut shell, 999);
    assert_eq!(
        shell.out.served.len(),
        REQUEST_BUDGET as usize + 1,
        "it is refilled"
    );
    let declines = Fault::LIMIT / Fault::TooManyRequests.points() + 1;
    for ticket in 0..2 * free + u64::from(declines) {
        ask(&mut shell, ticket);
    }
    let fault = Fault::TooManyRequests;
    assert!(shell.out.disconnected.contains(&(Peer(1), fault)));
}

/// The sixty-fifth peer finds no place, and finds one when another has gone.
#[test]
fn peers_are_bounded() {
    let builder = Builder::new(regtest(&[]));
    let mut shell = Shell::new(&builder.spec);
    for peer in 0..PEERS_MAX as u64 {
        shell.connect(peer);
    }
    assert_eq!(shell.out.disconnected, []);
    shell.connect(1_000);
    assert_eq!(shell.out.disconnected, [(Peer(1_000), Fault::Full)]);
    shell.input(Input::Disconnected(Peer(1_000)));
    shell.input(Input::Disconnected(Peer(3)));
    shell.out.disconnected.clear();
    shell.connect(1_001);
    assert_eq!(shell.out.disconnected, []);
}

/// Headers that were not asked for, or are no chain, or stand on nothing, are charged.
#[test]
fn headers_that_do_not_fit() {
    let mut builder = Builder::new(regtest(&[]));
    let chain = builder.chain(builder.genesis, 4);
    let cases: [(Vec<usize>, Fault); 2] = [
        (vec![0, 2], Fault::Malformed),
        (vec![2, 3], Fault::Unsolicited),
    ];
    for (picks, fault) in cases {
        let mut shell = Shell::new(&builder.spec);
        shell.connect(1);
        let picked: Vec<_> = picks.iter().map(|pick| chain[*pick].clone()).collect();
        for _ in 0..100 / fault.points() {
            assert_eq!(shell.out.disconnected, []);
            shell.headers(1, &picked);
        }
        assert_eq!(shell.out.disconnected, [(Peer(1), fault)]);
        assert_eq!(shell.node.forest().tree().len(), 1);
    }
    let mut shell = Shell::new(&builder.spec);
    shell.connect(1);
    for _ in 0..4 {
        shell.input(Input::Headers {
            from: Peer(1),
            headers: headers(&chain),
        });
    }
    assert_eq!(shell.out.disconnected, [(Peer(1), Fault::Unsolicited)]);
    assert_eq!(shell.node.forest().tree().len(), 1);
}

/// P3: a peer that answers the same full list again and again is not asked again and again.
#[test]
fn p3_headers_without_progress() {
    let mut builder = Builder::new(regtest(&[]));
    let chain = builder.chain(builder.genesis, HEADERS_MAX);
    let mut shell = Shell::new(&builder.spec);
    shell.connect(1);
    shell.claim(1, &chain[HEADERS_MAX - 1]);
    let mut asked = 0;
    for _ in 0..20 {
        let sent = std::mem::take(&mut shell.out.sent);
        if !sent
            .iter()
            .any(|(_, request)| matches!(request, Request::Headers(_)))
        {
            break;
        }
        asked += 1;
        shell.input(Input::Headers {
            from: Peer(1),
            headers: headers(&chain),
        });
    }
    assert!(asked <= 3, "asked {asked} times");
}

/// A restarted node serves what it served before, within the limits of an answer.
#[test]
fn answers_are_bounded() {
    let wallets: Vec<_> = (0..40).map(Wallet::new).collect();
    let mut builder = Builder::new(regtest(&wallets.iter().collect::<Vec<_>>()));
    let chain = builder.chain(builder.genesis, HEADERS_MAX + 3);
    let mut shell = Shell::new(&builder.spec);
    for block in &chain {
        shell.own(block);
    }
    let mut big = Vec::new();
    for wallet in &wallets {
        let mut transaction = transfer(0, wallet.address, 1);
        transaction.input = vec![0; 120_000].into();
        transaction.gas_limit = 16_777_216;
        big.push(wallet.sign(transaction));
        let (ticket, transaction) = (Ticket(1), big.last().unwrap().clone());
        shell.input(Input::Submitted {
            ticket,
            transaction,
        });
    }
    assert_eq!(
        shell.node.pool().len(),
        40,
        "{:?}",
        shell.out.replies.last()
    );
    let db = shell.store.snapshot().unwrap();
    let status = shell.node.status(shell.now);
    let answer = |request: &Request| serve(request, &status, &shell.node.pool(), &db).unwrap();
    let Response::Headers(found) = answer(&Request::Headers(vec![builder.genesis])) else {
        panic!("headers");
    };
    assert_eq!(found.len(), HEADERS_MAX);
    assert_eq!(found[0].hash(), hash(&chain[0]));
    let hashes = big.iter().map(|transaction| transaction.hash()).collect();
    let response = answer(&Request::Transactions(hashes));
    let Response::Transactions(found) = &response else {
        panic!("transactions");
    };
    assert!(found.len() > 20 && response.encode().len() <= RESPONSE_BYTES_MAX);
    assert_eq!(Response::decode(&response.encode()), Ok(response.clone()));
}

/// A whole block of the largest size is taken, stored, served and read back.
#[test]
fn the_largest_block() {
    let wallet = Wallet::new(1);
    let mut builder = Builder::new(regtest(&[&wallet]));
    let mut shell = Shell::new(&builder.spec);
    let filler = |nonce: u64, bytes: usize| {
        let mut transaction = transfer(nonce, wallet.address, 1);
        transaction.input = vec![0; bytes].into();
        transaction.gas_limit = 1_400_000;
        wallet.sign(transaction)
    };
    let mut list: Vec<_> = (0..15).map(|nonce| filler(nonce, 130_950)).collect();
    let used: usize = 8 + list.iter().map(|tx| 8 + tx.bytes().len()).sum::<usize>();
    let overhead = filler(15, 100_000).bytes().len() - 100_000;
    list.push(filler(15, 2 * 1024 * 1024 - used - 8 - overhead));
    let transactions = list.as_slice();
    let block = builder.plan(
        builder.genesis,
        &Plan {
            transactions,
            ..Plan::default()
        },
    );
    assert_eq!(
        block.header().header().extension.body_bytes,
        2 * 1024 * 1024
    );
    let bytes = block.to_block().encode();
    let read = chain::Gossip::decode_block(&bytes).unwrap();
    assert_eq!(read.encode(), bytes);
    assert_eq!(shell.gossip(1, &block), Verdict::Accept);
    assert_eq!(shell.head(), hash(&block));
    let db = shell.store.snapshot().unwrap();
    let status = shell.node.status(shell.now);
    let request = Request::Blocks(vec![hash(&block)]);
    let response = serve(&request, &status, &Arc::default(), &db).unwrap();
    assert_eq!(Response::decode(&response.encode()), Ok(response));
}
