//! P2, X1: peers that let us wait, and sleep. Virtual time throughout.

use chain::{
    CheckedBlock, Effect, Fault, Input, Peer, Request, Store,
    params::{BLOCKS_PER_REQUEST, PATIENCE_MIN_MS, STATUS_INTERVAL_SECS},
};

use crate::support::{
    builder::{Builder, hash, headers, regtest},
    shell::Shell,
    timed::{Habit, Timed},
};

fn grown(builder: &Builder, chain: &[CheckedBlock]) -> Shell {
    let mut shell = Shell::new(&builder.spec);
    for block in chain {
        shell.own(block);
    }
    shell
}

fn timed(builder: &Builder, chain: &[CheckedBlock], habits: &[Habit]) -> Timed {
    let source = grown(builder, chain);
    Timed::new(Shell::new(&builder.spec), source, habits)
}

/// P2: beside three honest peers, others that never answer, or every 59 s, or with a wrong body
/// first, or with nothing, cost a sync at most half its time again and six seconds; the honest
/// ones are charged with nothing.
#[test]
fn p2_bad_peers_cost_little_time() {
    use Habit::{Empty, Honest, Silent, Slow, WrongBody};
    let mut builder = Builder::new(regtest(&[]));
    let chain = builder.chain(builder.genesis, 3_000);
    let honest = [Honest; 3];
    let alone = timed(&builder, &chain, &honest).run_to_head(600_000);
    let alone = alone.expect("honest peers suffice");
    assert!((15_000..25_000).contains(&alone), "{alone} ms");
    let bad: [&[Habit]; 6] = [
        &[Silent],
        &[Slow(59_000)],
        &[WrongBody],
        &[Empty],
        &[Silent; 8],
        &[
            Silent,
            Slow(59_000),
            WrongBody,
            Empty,
            Slow(5_000),
            Slow(1_900),
        ],
    ];
    for bad in bad {
        let mut timed = timed(&builder, &chain, &[bad, &honest].concat());
        let took = timed.run_to_head(600_000).expect("it ends");
        println!(
            "{bad:?}: {took} ms, alone {alone} ms, gone {:?}",
            timed.gone
        );
        assert!(took <= alone * 3 / 2 + 6_000, "{bad:?}: {took}, {alone}");
        for peer in bad.len() + 1..=bad.len() + 3 {
            assert_eq!(timed.points(peer as u64), Some(0), "{bad:?}");
        }
    }
}

/// P2: a peer that never delivers is let go after ten stalls, the last ones 64 s each.
#[test]
fn p2_a_silent_peer_is_let_go() {
    let mut builder = Builder::new(regtest(&[]));
    let chain = builder.chain(builder.genesis, 50);
    let mut timed = timed(&builder, &chain, &[Habit::Silent]);
    let took = timed.run_until(3_600_000, |timed| !timed.gone.is_empty());
    assert_eq!(timed.gone, [(1, Fault::Timeout)]);
    // 2 + 4 + 8 + 16 + 32 + 5 · 64 s, and up to a status interval before each.
    let waits = 382_000..=382_000 + 10 * (STATUS_INTERVAL_SECS * 1_000 + 500);
    assert!(waits.contains(&took.unwrap()), "{took:?}");
    assert_eq!(timed.asked[&1], 10);
}

/// P2: a slow honest peer, alone, is waited for as long as it takes: two or three stalls until
/// its time is known, then none, and the points are forgiven.
#[test]
fn p2_a_slow_honest_peer_settles() {
    let mut builder = Builder::new(regtest(&[]));
    let chain = builder.chain(builder.genesis, 1_500);
    for (ms, stalls) in [(1_900, 0), (5_000, 4), (15_000, 6), (29_000, 8)] {
        let mut timed = timed(&builder, &chain, &[Habit::Slow(ms)]);
        timed.run_to_head(7_200_000).expect("it ends");
        assert_eq!(timed.gone, [], "{ms}");
        let points = timed.points(1).unwrap();
        assert!(points <= stalls * Fault::Timeout.points(), "{ms}: {points}");
        timed.run_until(1_000_000, |_| false);
        assert_eq!(timed.points(1), Some(0), "{ms}: forgiven");
    }
}

/// P2: after a stall a peer is asked one question, for half as much; when it answers, for more.
#[test]
fn p2_a_slow_peer_is_asked_for_less() {
    let mut builder = Builder::new(regtest(&[]));
    let chain = builder.chain(builder.genesis, 400);
    let mut shell = Shell::new(&builder.spec);
    shell.connect(1);
    shell.headers(1, &chain);
    assert_eq!(shell.asked_blocks(1).len(), 4 * BLOCKS_PER_REQUEST);
    let mut want = BLOCKS_PER_REQUEST;
    let mut last = Vec::new();
    for patience_secs in [2, 4, 8] {
        shell.pass(patience_secs);
        assert_eq!(shell.asked_blocks(1), [], "it rests");
        shell.pass(10);
        want /= 2;
        last = shell.asked_blocks(1);
        assert_eq!(last.len(), want);
    }
    assert_eq!(last[0], hash(&chain[0]), "the lowest first");
    let request = Request::Blocks(last);
    let from = Peer(1);
    shell.input(Input::Answered { from, request });
    let asked = shell.asked_blocks(1);
    assert_eq!(asked.len(), 4 * 4, "twice as much, four times");
}

/// P2: what a stalling peer was asked for goes to another at once, also to one that has just come.
#[test]
fn p2_stalled_blocks_are_asked_of_others() {
    let mut builder = Builder::new(regtest(&[]));
    let chain = builder.chain(builder.genesis, 10);
    let mut shell = Shell::new(&builder.spec);
    shell.connect(1);
    shell.headers(1, &chain);
    assert_eq!(shell.asked_blocks(1).len(), 10);
    shell.connect(2);
    shell.claim(2, &chain[9]);
    assert_eq!(shell.asked_blocks(2), [], "one is enough");
    shell.pass(PATIENCE_MIN_MS / 1_000);
    assert_eq!(shell.asked_blocks(2).len(), 10);
    // The first one is late, and welcome all the same.
    for block in &chain {
        shell.gossip(1, block);
    }
    let request = Request::Blocks(chain.iter().map(hash).collect());
    let from = Peer(1);
    shell.input(Input::Answered { from, request });
    assert_eq!(shell.head(), hash(&chain[9]));
    assert_eq!(shell.out.disconnected, []);
}

/// P2: of idle peers the quick one is asked, and it takes over what a slow one has had for two
/// seconds, which is not a stall yet.
#[test]
fn p2_quick_peers_go_first() {
    let mut builder = Builder::new(regtest(&[]));
    let chain = builder.chain(builder.genesis, 8);
    let mut shell = Shell::new(&builder.spec);
    shell.connect(1);
    shell.headers(1, &chain);
    shell.pass(PATIENCE_MIN_MS / 1_000 + 10);
    shell.asked_blocks(1);
    let points = |shell: &Shell| shell.node.sync().summaries()[0].points;
    assert_eq!(points(&shell), Fault::Timeout.points());
    shell.connect(2);
    shell.claim(2, &chain[7]);
    assert_eq!(shell.asked_blocks(2), [], "not at once");
    shell.pass(PATIENCE_MIN_MS / 1_000);
    assert_eq!(shell.asked_blocks(2).len(), 8);
    assert_eq!(points(&shell), Fault::Timeout.points(), "no second stall");
    for block in &chain {
        shell.gossip(2, block);
    }
    shell.pass(20);
    let more = builder.chain(hash(&chain[7]), 5);
    shell.claim(1, &more[4]);
    shell.asked_blocks(1);
    shell.headers(2, &more);
    assert_eq!(shell.asked_blocks(1), [], "the slow one is not needed");
    assert_eq!(shell.asked_blocks(2).len(), 5);
}

/// Late headers are taken and not charged as unasked; the answer after them is not either.
#[test]
fn p2_late_headers_are_welcome() {
    let mut builder = Builder::new(regtest(&[]));
    let chain = builder.chain(builder.genesis, 10);
    let mut shell = Shell::new(&builder.spec);
    shell.connect(1);
    shell.claim(1, &chain[9]);
    shell.pass(3);
    let points = |shell: &Shell| shell.node.sync().summaries()[0].points;
    assert_eq!(points(&shell), Fault::Timeout.points());
    shell.claim(1, &chain[9]);
    for _ in 0..2 {
        let headers = headers(&chain);
        let from = Peer(1);
        shell.input(Input::Headers { from, headers });
    }
    assert_eq!(shell.node.forest().tree().len(), 11);
    assert_eq!(points(&shell), Fault::Timeout.points());
    let headers = headers(&chain);
    let from = Peer(1);
    shell.input(Input::Headers { from, headers });
    let unasked = Fault::Timeout.points() + Fault::Unsolicited.points();
    assert_eq!(points(&shell), unasked, "a third was not asked for");
}

/// X1: after a sleep nobody is charged for our own silence; after a long one everybody is asked
/// where they stand. What was under way counts on from then.
#[test]
fn x1_sleep_charges_nobody() {
    let mut builder = Builder::new(regtest(&[]));
    let chain = builder.chain(builder.genesis, 10);
    for (secs, is_long) in [(3, false), (5, false), (6, true), (36_000, true)] {
        let mut shell = Shell::new(&builder.spec);
        shell.pass(1);
        for peer in [1, 2] {
            shell.connect(peer);
            shell.claim(peer, &chain[9]);
        }
        shell.headers(1, &chain);
        shell.asked_blocks(1);
        shell.out.sent.clear();
        shell.sleep(secs);
        let summaries = shell.node.sync().summaries();
        let points: u32 = summaries.iter().map(|summary| summary.points).sum();
        assert_eq!(points, 0, "{secs} s");
        let statuses = shell.out.sent.iter();
        let statuses = statuses.filter(|(_, request)| matches!(request, Request::Status(_)));
        assert_eq!(statuses.count(), if is_long { 2 } else { 0 });
        assert_eq!(shell.node.sync().bodies_under_way(), 10);
        shell.pass(2);
        let points = shell.node.sync().summaries()[0].points;
        assert_eq!(points, Fault::Timeout.points(), "awake, it counts");
    }
}

/// What we could not send, or the peer declined, is not held against the peer: it is asked again
/// soon, for the same.
#[test]
fn unserved_requests_are_made_again() {
    let mut builder = Builder::new(regtest(&[]));
    let chain = builder.chain(builder.genesis, 20);
    let mut shell = Shell::new(&builder.spec);
    shell.connect(1);
    let to = Peer(1);
    for _ in 0..3 {
        shell.claim(1, &chain[19]);
        let sent = std::mem::take(&mut shell.out.sent);
        let asked = sent
            .into_iter()
            .rfind(|(_, request)| matches!(request, Request::Headers(_)));
        let (_, request) = asked.expect("asked again");
        shell.input(Input::Unserved { to, request });
        shell.out.sent.clear();
        shell.pass(2);
        let asks_status = |(_, request): &(Peer, Request)| matches!(request, Request::Status(_));
        assert!(shell.out.sent.iter().any(asks_status), "soon");
    }
    shell.headers(1, &chain);
    for _ in 0..5 {
        let asked = shell.asked_blocks(1);
        assert_eq!(asked.len(), 20);
        for request in asked.chunks(BLOCKS_PER_REQUEST) {
            let request = Request::Blocks(request.to_vec());
            shell.input(Input::Unserved { to, request });
        }
        assert_eq!(shell.asked_blocks(1), [], "not at once");
        shell.pass(2);
    }
    assert_eq!(shell.asked_blocks(1).len(), 20);
    assert_eq!(shell.node.sync().summaries()[0].points, 0);
}

/// A connection that gives up waiting before we do is a stall like any other, counted once.
#[test]
fn p2_unanswered_is_a_stall() {
    let mut builder = Builder::new(regtest(&[]));
    let chain = builder.chain(builder.genesis, 30);
    let mut shell = Shell::new(&builder.spec);
    shell.connect(1);
    shell.headers(1, &chain);
    let asked = shell.asked_blocks(1);
    let requests: Vec<_> = asked.chunks(BLOCKS_PER_REQUEST).collect();
    for request in requests {
        let request = Request::Blocks(request.to_vec());
        let from = Peer(1);
        shell.input(Input::Unanswered { from, request });
    }
    let points = shell.node.sync().summaries()[0].points;
    assert_eq!(points, Fault::Timeout.points());
    shell.pass(10);
    assert_eq!(shell.asked_blocks(1).len(), BLOCKS_PER_REQUEST / 2);
}

/// A question that was given up as a stall is given up again by the connection, a minute later:
/// that is no stall of the question that is under way by then.
#[test]
fn p2_a_question_is_given_up_once() {
    let mut builder = Builder::new(regtest(&[]));
    let chain = builder.chain(builder.genesis, 3);
    let mut shell = Shell::new(&builder.spec);
    shell.connect(1);
    shell.out.sent.clear();
    shell.claim(1, &chain[1]);
    let (_, request) = shell.out.sent.pop().unwrap();
    assert!(matches!(request, Request::Headers(_)));
    shell.pass(3);
    let points = shell.node.sync().summaries()[0].points;
    assert_eq!(points, Fault::Timeout.points());
    shell.claim(1, &chain[2]);
    let from = Peer(1);
    shell.input(Input::Unanswered { from, request });
    assert_eq!(shell.node.sync().summaries()[0].points, points);
    // The second question is still under way, and its answer is welcome.
    assert_eq!(shell.node.sync().summaries()[0].requests, 1);
    let headers = headers(&chain);
    shell.input(Input::Headers { from, headers });
    assert_eq!(shell.node.sync().summaries()[0].points, points);
    assert_eq!(shell.asked_blocks(1).len(), 3);
}

/// A question that could not be asked does not make the next one late: that one has its own two
/// seconds, and no more of them for what is declined beside it.
#[test]
fn p2_what_was_not_served_makes_nothing_late() {
    let mut builder = Builder::new(regtest(&[]));
    let chain = builder.chain(builder.genesis, 30);
    let mut shell = Shell::new(&builder.spec);
    shell.connect(1);
    shell.headers(1, &chain[..1]);
    let first = Request::Blocks(shell.asked_blocks(1));
    shell.pass(1);
    shell.headers(1, &chain[..2]);
    let second = Request::Blocks(shell.asked_blocks(1));
    assert_ne!(first, second);
    let to = Peer(1);
    let request = first;
    shell.input(Input::Unserved { to, request });
    let points = |shell: &Shell| shell.node.sync().summaries()[0].points;
    shell.pass(1);
    assert_eq!(points(&shell), 0, "a second after the second question");
    shell.headers(1, &chain[..3]);
    for hash in shell.asked_blocks(1) {
        let request = Request::Blocks(vec![hash]);
        shell.input(Input::Unserved { to, request });
    }
    shell.pass(1);
    assert_eq!(points(&shell), Fault::Timeout.points());
}

/// What a peer lacked is asked of it again later: nothing is missing for ever.
#[test]
fn lacking_is_not_for_ever() {
    let mut builder = Builder::new(regtest(&[]));
    let chain = builder.chain(builder.genesis, 5);
    let mut shell = Shell::new(&builder.spec);
    shell.connect(1);
    shell.headers(1, &chain);
    let request = Request::Blocks(shell.asked_blocks(1));
    let from = Peer(1);
    shell.input(Input::Answered { from, request });
    assert_eq!(shell.asked_blocks(1), []);
    // It does not even answer with its status.
    shell.pass(STATUS_INTERVAL_SECS);
    assert_eq!(shell.asked_blocks(1).len(), 5);
}

/// A node whose only peer leaves in the middle of a sync goes on with the next one it meets.
#[test]
fn a_new_peer_is_enough() {
    let mut builder = Builder::new(regtest(&[]));
    let chain = builder.chain(builder.genesis, 1_200);
    let mut first = timed(&builder, &chain[..800], &[Habit::Honest]);
    first.run_until(60_000, |timed| timed.us.node.head().height > 300);
    let mut us = first.us;
    us.input(Input::Disconnected(Peer(1)));
    us.out = Default::default();
    let source = grown(&builder, &chain);
    let mut second = Timed::new(us, source, &[Habit::Honest]);
    second.run_to_head(60_000).expect("it goes on");
    assert_eq!(second.points(1), Some(0));
    // What the store has is whole.
    second.us.assert_head_is_best_held();
    let db = second.us.store.snapshot().unwrap();
    let mut effects: Vec<Effect> = Vec::new();
    let now = second.us.now;
    second
        .us
        .node
        .step(now, Input::Tick, &db, &mut effects)
        .unwrap();
    assert!(
        !effects
            .iter()
            .any(|effect| matches!(effect, Effect::Continue))
    );
}
