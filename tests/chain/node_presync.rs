//! C2: headers of chains with too little work are shown, and not kept.

use chain::{
    BlockHash, CheckedBlock, CheckedHeader, Fault, Input, Peer, Request, U256,
    params::{HEADERS_MAX, PRESYNC_INTERVAL},
};

use crate::support::{
    builder::{Builder, hash, headers, mined, regtest},
    net::Net,
    shell::Shell,
};

/// A network whose blocks start at 256 hashes and ease by legal gaps.
fn eased() -> Builder {
    let mut spec = regtest(&[]);
    (spec.spacing_secs, spec.half_life_secs) = (10, 60);
    spec.genesis_bits.0 = 0x2000_ffff;
    Builder::new(spec)
}

/// A shell with a chain of its own.
fn grown(builder: &Builder, chain: &[CheckedBlock]) -> Shell {
    let mut shell = Shell::new(&builder.spec);
    for block in chain {
        shell.own(block);
    }
    shell.out = Default::default();
    shell
}

/// A connected peer's boast, so that it is asked for headers.
fn boast(shell: &mut Shell, peer: u64) {
    let mut status = shell.node.status(shell.now);
    (status.head, status.chain_work) = (BlockHash([0xee; 32]), [0xff; 32]);
    let from = Peer(peer);
    shell.input(Input::Status { from, status });
}

/// The locator of the last request for headers; forgets all requests.
fn locator(shell: &mut Shell) -> Option<Vec<BlockHash>> {
    let sent = std::mem::take(&mut shell.out.sent);
    let mut locators = sent.into_iter().filter_map(|(_, request)| match request {
        Request::Headers(locator) => Some(locator),
        _ => None,
    });
    locators.next_back()
}

/// Answers with what a chain of headers from genesis has after the locator; whether it was asked.
fn answer(shell: &mut Shell, peer: u64, genesis: BlockHash, chain: &[CheckedHeader]) -> bool {
    let Some(locator) = locator(shell) else {
        return false;
    };
    let place = |hash: &BlockHash| {
        let found = chain.iter().position(|header| header.hash() == *hash);
        found.map(|index| index + 1)
    };
    let start = locator
        .iter()
        .find_map(|hash| place(hash).or((*hash == genesis).then_some(0)));
    let rest = &chain[start.unwrap()..];
    let headers = rest[..rest.len().min(HEADERS_MAX)].to_vec();
    let from = Peer(peer);
    shell.input(Input::Headers { from, headers });
    true
}

fn presync_bytes(shell: &Shell, peer: u64) -> Option<usize> {
    let presync = shell.node.sync().presync(Peer(peer));
    presync.map(chain::sync::Presync::bytes)
}

/// C2: 60,000 cheap headers from genesis leave the tree as it was; their peer has a few hundred
/// bytes of us while it shows them, and is not charged: it may be on a lighter fork.
#[test]
fn c2_an_endless_cheap_chain() {
    let mut builder = eased();
    let mut main = Vec::new();
    let (mut at, start) = (builder.genesis, builder.spec.genesis_time);
    for index in 1..=1_500 {
        main.push(builder.mine_at(at, start + 10 * index));
        at = hash(main.last().unwrap());
    }
    let mut shell = grown(&builder, &main);
    let gaps = (0..60_000).map(|index| if index < 8 { 120 } else { 10 });
    let cheap = builder.headers(builder.genesis, gaps, 1);
    let last = cheap.last().unwrap().header().extension.chain_work;
    let threshold = shell.node.forest().threshold();
    assert!(last > U256::from(60_000) && last < threshold, "{last}");
    shell.connect(1);
    boast(&mut shell, 1);
    let (mut rounds, mut most) = (0, 0);
    while answer(&mut shell, 1, builder.genesis, &cheap) {
        rounds += 1;
        most = most.max(presync_bytes(&shell, 1).unwrap_or_default());
        assert_eq!(shell.node.forest().tree().len(), 1_501);
    }
    assert_eq!(rounds, 60_000_usize.div_ceil(HEADERS_MAX));
    assert!((60_000 / 512..700).contains(&most), "{most} bytes");
    assert_eq!(presync_bytes(&shell, 1), None, "nothing is left");
    assert_eq!(shell.node.sync().summaries()[0].points, 0);
    // Nor is anything left of a peer that goes in the middle.
    boast(&mut shell, 1);
    answer(&mut shell, 1, builder.genesis, &cheap);
    assert!(presync_bytes(&shell, 1).is_some());
    shell.input(Input::Disconnected(Peer(1)));
    shell.connect(1);
    assert_eq!(presync_bytes(&shell, 1), None);
    assert_eq!(shell.head(), at);
}

/// C2, C11: a heavier chain that forks 3,000 blocks back is shown, delivered and taken.
#[test]
fn c2_a_heavier_chain_from_far_below() {
    let mut builder = Builder::new(regtest(&[]));
    let base = builder.chain(builder.genesis, 100);
    let ours = builder.chain(hash(&base[99]), 3_000);
    let theirs = builder.chain(hash(&base[99]), 3_003);
    let nodes = [&ours, &theirs].map(|branch| grown(&builder, &[&base[..], branch].concat()));
    let mut net = Net::new(nodes.into());
    net.connect_all();
    for _ in 0..12 {
        net.pass(1);
    }
    for node in &net.nodes {
        assert_eq!(node.head(), hash(&theirs[3_002]));
        assert_eq!(node.out.disconnected, []);
    }
    let asked = net.requests.iter().filter_map(|request| match request {
        (0, 1, Request::Headers(locator)) => Some(locator),
        _ => None,
    });
    let first: Vec<_> = asked.map(|locator| locator[0]).collect();
    // The first answer begins at genesis, the second pass where the branch does.
    for (pass, last) in [("first", 923), ("second", 1_023)] {
        assert!(first.contains(&hash(&theirs[last])), "{pass} pass");
    }
}

/// What a peer shows first, what it delivers, and what that costs it.
fn two_faced(
    builder: &Builder,
    shell: &mut Shell,
    shown: &[CheckedHeader],
    delivered: &[CheckedHeader],
) -> u32 {
    shell.connect(1);
    boast(shell, 1);
    while let Some(presync) = shell
        .node
        .sync()
        .presync(Peer(1))
        .map(|p| p.is_second_pass())
        .or(Some(false))
    {
        let chain = if presync { delivered } else { shown };
        if !answer(shell, 1, builder.genesis, chain) {
            break;
        }
    }
    let points = shell.node.sync().summaries()[0].points;
    shell.input(Input::Disconnected(Peer(1)));
    points
}

/// C2: a peer that shows one chain and delivers another is caught by the first answer that
/// differs, of which nothing is kept; what differs near the end may be an honest reorg.
#[test]
fn c2_other_headers_than_shown() {
    let mut builder = Builder::new(regtest(&[]));
    let main = builder.chain(builder.genesis, 3_000);
    let mut shell = grown(&builder, &main);
    let shown = builder.headers(builder.genesis, (0..2_990).map(|_| 1), 1);
    let fault = Fault::Contradiction;
    for same in [0, HEADERS_MAX, HEADERS_MAX + 700] {
        let mut delivered = shown[..same].to_vec();
        let chain = Chain(&builder, &shown[..same]);
        delivered.extend(chain.other(2_990 - same));
        let before = shell.node.forest().tree().len();
        let points = two_faced(&builder, &mut shell, &shown, &delivered);
        assert_eq!(points, fault.points(), "the same up to {same}");
        assert_eq!(shell.out.disconnected, [], "once may be a deep reorg");
        let kept = shell.node.forest().tree().len() - before;
        assert!(kept <= same / HEADERS_MAX * HEADERS_MAX, "{kept} of {same}");
    }
    assert_eq!(
        HEADERS_MAX as u64 % PRESYNC_INTERVAL,
        0,
        "16 bits an answer"
    );
    let same = 2_990 - 130;
    let mut delivered = shown[..same].to_vec();
    delivered.extend(Chain(&builder, &shown[..same]).other(130));
    let points = two_faced(&builder, &mut shell, &shown, &delivered);
    assert!(points <= Fault::NoProgress.points(), "{points}");
    assert_eq!(two_faced(&builder, &mut shell, &shown, &shown), 0);
    let tree = shell.node.forest().tree();
    assert!(
        tree.find(&shown[2_989].hash()).is_some(),
        "and taken when honest"
    );
}

/// C2: what is delivered a few headers at a time, between the bits, is not taken.
#[test]
fn c2_short_deliveries_are_not_taken() {
    let mut builder = Builder::new(regtest(&[]));
    let main = builder.chain(builder.genesis, 3_000);
    let mut shell = grown(&builder, &main);
    let shown = builder.headers(builder.genesis, (0..2_990).map(|_| 1), 1);
    let other = builder.headers(builder.genesis, (0..10).map(|_| 1), 2);
    let points = two_faced(&builder, &mut shell, &shown, &other);
    assert_eq!(points, Fault::NoProgress.points());
    assert_eq!(shell.node.forest().tree().len(), 3_001);
}

/// A chain of headers to go on from.
struct Chain<'a>(&'a Builder, &'a [CheckedHeader]);

impl Chain<'_> {
    /// Other headers after it.
    fn other(&self, count: usize) -> Vec<CheckedHeader> {
        let Self(builder, chain) = self;
        let tagged = builder.headers_after(builder.genesis, chain, (0..count).map(|_| 1), 2);
        tagged[chain.len()..].to_vec()
    }
}

/// C2: a new node keeps nothing of a chain below its owner's minimum, also not by gossip, and
/// syncs with one that reaches it.
#[test]
fn c2_minimum_chain_work() {
    let mut builder = Builder::new(regtest(&[]));
    let chain = builder.chain(builder.genesis, 2_500);
    let work = |block: &CheckedBlock| block.header().header().extension.chain_work;
    for (short, minimum) in [(1, work(&chain[2_499])), (0, work(&chain[2_499]))] {
        let theirs = grown(&builder, &chain[..2_500 - short]);
        let mut ours = Shell::new(&builder.spec);
        ours.node.set_min_chain_work(minimum);
        let mut net = Net::new(vec![ours, theirs]);
        net.connect_all();
        net.nodes[0].gossip(1, &chain[0]);
        net.nodes[0].assert_head_is_best_held();
        let (len, head) = (net.nodes[0].node.forest().tree().len(), net.nodes[0].head());
        let want = if short == 0 {
            hash(&chain[2_499])
        } else {
            builder.genesis
        };
        assert_eq!((len == 1, head), (short == 1, want));
        assert_eq!(net.nodes[0].out.disconnected, []);
    }
}

/// P3: a peer that shows the same full answer again and again is charged, and let go.
#[test]
fn p3_a_chain_shown_in_circles() {
    let mut builder = Builder::new(regtest(&[]));
    let main = builder.chain(builder.genesis, 3_000);
    let mut shell = grown(&builder, &main);
    let shown = builder.headers(builder.genesis, (0..HEADERS_MAX).map(|_| 1), 1);
    shell.connect(1);
    for _ in 0..20 {
        boast(&mut shell, 1);
        let headers = shown.clone();
        let from = Peer(1);
        shell.input(Input::Headers { from, headers });
    }
    assert_eq!(shell.out.disconnected, [(Peer(1), Fault::NoProgress)]);
    assert_eq!(shell.node.forest().tree().len(), 3_001);
}

/// C2: shown headers are checked like any others: what breaks a rule ends the pass and charges
/// its peer, in the first answer and in a later one. So does one whose time has not come, which
/// is nobody's fault.
#[test]
fn c2_shown_headers_are_checked() {
    let mut builder = Builder::new(regtest(&[]));
    let main = builder.chain(builder.genesis, 3_000);
    let good = builder.headers(builder.genesis, (0..2 * HEADERS_MAX).map(|_| 1), 1);
    for bad_at in [500, HEADERS_MAX + 500] {
        for is_early in [false, true] {
            let mut shell = grown(&builder, &main);
            shell.connect(1);
            boast(&mut shell, 1);
            let mut shown = good.clone();
            if is_early {
                shell.now.unix_secs = u64::from(good[bad_at].header().pow.time) - 7_201;
            } else {
                // Linked all the way, and each with its work; only this one's sum is wrong.
                for at in bad_at..shown.len() {
                    let mut header = chain::Header::clone(good[at].header());
                    header.pow.parent = shown[at - 1].hash();
                    header.extension.chain_work += U256::from(u64::from(at == bad_at));
                    shown[at] = CheckedHeader::check(mined(header), &builder.spec).unwrap();
                }
            }
            while answer(&mut shell, 1, builder.genesis, &shown) {}
            let fault = Fault::InvalidBlock;
            let want: &[_] = if is_early { &[] } else { &[(Peer(1), fault)] };
            assert_eq!(shell.out.disconnected, want, "{bad_at}");
            assert_eq!(presync_bytes(&shell, 1), None);
            assert_eq!(shell.node.forest().tree().len(), 3_001);
        }
    }
}

/// C2, C3: blocks that came early or as orphans are held against the threshold when their turn
/// comes, as if they had come then.
#[test]
fn c3_retries_do_not_pass_by_the_threshold() {
    let mut builder = Builder::new(regtest(&[]));
    let main = builder.chain(builder.genesis, 200);
    let soon = builder.header(&hash(&main[199])).pow.time + 8_000;
    let low = builder.mine_at(builder.genesis, soon);
    let child = builder.mine_at(hash(&low), soon);
    let mut shell = grown(&builder, &main);
    shell.now.unix_secs = u64::from(soon) - 7_210;
    assert_eq!(shell.gossip(1, &low), chain::Verdict::Ignore);
    shell.gossip(1, &child);
    assert_eq!(shell.node.orphans().len(), 1);
    shell.pass(20);
    assert_eq!(shell.node.forest().tree().len(), 201, "early, then too low");
    // A block of our own connects the orphan, which nobody asked for.
    shell.own(&low);
    assert_eq!(shell.node.forest().tree().len(), 202);
    assert!(shell.node.orphans().is_empty());
    let headers = headers(&[low, child]);
    shell.connect(2);
    boast(&mut shell, 2);
    shell.input(Input::Headers {
        from: Peer(2),
        headers,
    });
    assert_eq!(shell.node.forest().tree().len(), 202);
}

/// C2, Rule H5: headers whose time has not come hold up none of those before them: a chain that
/// has enough work without its last ones is taken as far as its time has come.
#[test]
fn c2_an_early_end_of_a_shown_chain() {
    let mut builder = Builder::new(regtest(&[]));
    let main = builder.chain(builder.genesis, 3_000);
    let mut shell = grown(&builder, &main);
    let shown = builder.headers(builder.genesis, (0..2_990).map(|_| 1), 1);
    shell.now.unix_secs = u64::from(shown[2_950].header().pow.time) - 7_201;
    assert_eq!(two_faced(&builder, &mut shell, &shown, &shown), 0);
    let tree = shell.node.forest().tree();
    assert!(tree.find(&shown[2_949].hash()).is_some());
    assert_eq!(tree.len(), 3_001 + 2_950);
}

/// The answer to the last question, as a slow peer gives it: later.
fn owed(shell: &mut Shell, chain: &[CheckedHeader]) -> Vec<CheckedHeader> {
    let locator = locator(shell).expect("it was asked");
    let place = |hash: &BlockHash| chain.iter().position(|header| header.hash() == *hash);
    let start = locator.iter().find_map(place).map_or(0, |place| place + 1);
    let rest = &chain[start..];
    rest[..rest.len().min(HEADERS_MAX)].to_vec()
}

/// P2: an honest peer that answers late is asked the same twice. Its first answer ends what it
/// shows, a lighter fork; the second one, which then leads nowhere, costs it nothing, whether it
/// comes by itself or in place of the answer to a newer question. A third one was not asked for.
#[test]
fn p2_late_answers_to_a_pass_that_has_ended() {
    let mut builder = Builder::new(regtest(&[]));
    let main = builder.chain(builder.genesis, 3_000);
    let fork = builder.headers(builder.genesis, (0..HEADERS_MAX + 50).map(|_| 1), 1);
    for is_asked_anew in [false, true] {
        let mut shell = grown(&builder, &main);
        let points = |shell: &Shell| shell.node.sync().summaries()[0].points;
        let answer_with = |shell: &mut Shell, headers: &[CheckedHeader]| {
            let (from, headers) = (Peer(1), headers.to_vec());
            shell.input(Input::Headers { from, headers });
        };
        shell.connect(1);
        boast(&mut shell, 1);
        answer(&mut shell, 1, builder.genesis, &fork);
        let first = owed(&mut shell, &fork);
        assert_eq!(first.len(), 50, "what is left of it");
        shell.pass(3);
        assert_eq!(points(&shell), Fault::Timeout.points());
        boast(&mut shell, 1);
        assert_eq!(owed(&mut shell, &fork), first, "the same question");
        answer_with(&mut shell, &first);
        assert_eq!(presync_bytes(&shell, 1), None, "too light");
        if is_asked_anew {
            boast(&mut shell, 1);
        }
        answer_with(&mut shell, &first);
        assert_eq!(points(&shell), Fault::Timeout.points(), "{is_asked_anew}");
        if is_asked_anew {
            let again = owed(&mut shell, &fork);
            answer_with(&mut shell, &again);
            assert_eq!(points(&shell), Fault::Timeout.points());
            assert!(presync_bytes(&shell, 1).is_some(), "still owed, and taken");
            answer(&mut shell, 1, builder.genesis, &fork);
        }
        answer_with(&mut shell, &first);
        let unasked = Fault::Timeout.points() + Fault::Unsolicited.points();
        assert_eq!(points(&shell), unasked, "{is_asked_anew}: one more");
        assert_eq!(shell.node.forest().tree().len(), 3_001);
    }
}

/// P2: a late answer that comes when nothing else is owed costs nothing either, though what its
/// peer shows has gone on meanwhile; the pass stays, and goes on with the next answer.
#[test]
fn p2_a_late_answer_while_nothing_is_owed() {
    let mut builder = Builder::new(regtest(&[]));
    let main = builder.chain(builder.genesis, 3_000);
    let fork = builder.headers(builder.genesis, (0..2 * HEADERS_MAX).map(|_| 1), 1);
    let mut shell = grown(&builder, &main);
    let (from, genesis) = (Peer(1), builder.genesis);
    shell.connect(1);
    boast(&mut shell, 1);
    let first = owed(&mut shell, &fork);
    shell.pass(3);
    boast(&mut shell, 1);
    assert!(
        answer(&mut shell, 1, genesis, &fork),
        "in place of the last"
    );
    // The next question does not reach the peer.
    let request = Request::Headers(locator(&mut shell).unwrap());
    let to = from;
    shell.input(Input::Unserved { to, request });
    let headers = first;
    shell.input(Input::Headers { from, headers });
    let points = shell.node.sync().summaries()[0].points;
    assert_eq!(points, Fault::Timeout.points());
    boast(&mut shell, 1);
    assert!(answer(&mut shell, 1, genesis, &fork));
    let points = shell.node.sync().summaries()[0].points;
    assert_eq!(points, Fault::Timeout.points());
}
