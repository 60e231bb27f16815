//! What a node tells is true and complete: its listeners of blocks and heads, gossip what to pass
//! on, and its peers what they asked for. All of it is held against the model.

use chain::{
    Batch, BlockId, Effect, Event, Input, Rank, Request, Response, U256, Verdict,
    params::{HEADERS_MAX, RELAY_DEPTH, REORG_ALARM_DEPTH, UNSOLICITED_DEPTH},
};

use super::{checks::Before, host::Host, model::Model};

/// What a step was given, as far as what it tells depends on it.
pub struct Given {
    /// The gossiped or answered block.
    block: Option<usize>,
    head: usize,
}

impl Given {
    pub fn of(host: &Host, model: &Model, input: &Input) -> Self {
        let block = match input {
            Input::Block {
                from: Some(_),
                block,
            } => model.find(&block.id().hash),
            _ => None,
        };
        Self {
            block,
            head: host.live.head,
        }
    }
}

/// Everything that a step tells, before its batch is taken.
pub fn check_told(
    model: &Model,
    given: &Given,
    before: &Before,
    verdict: Verdict,
    effects: &[Effect],
) {
    let none = Batch::default();
    let batch = match effects.first() {
        Some(Effect::Commit(batch)) => batch,
        _ => &none,
    };
    let events = effects.iter().filter_map(|effect| match effect {
        Effect::Publish(event) => Some(event),
        _ => None,
    });
    let events: Vec<_> = events.collect();
    for event in &events {
        check_event(model, given, batch, event);
    }
    let moves = events
        .iter()
        .filter(|event| matches!(event, Event::Head { .. }));
    assert_eq!(
        moves.count(),
        usize::from(batch.head.is_some()),
        "each move of the head is told once"
    );
    let bodies = events
        .iter()
        .filter(|event| matches!(event, Event::Block { .. }));
    assert_eq!(
        bodies.count(),
        batch.bodies.len(),
        "each block held whole is told once"
    );
    check_alarm(model, given, batch, &events);
    check_verdict(model, given, before, verdict);
}

fn check_event(model: &Model, given: &Given, batch: &Batch, event: &Event) {
    let find = |id: &BlockId| model.find(&id.hash).expect("somebody made it");
    match event {
        Event::Head {
            old,
            new,
            undone,
            redone,
        } => {
            assert_eq!(*old, model.blocks[given.head].id, "where the head was");
            assert_eq!(Some(*new), batch.head, "where the head is");
            let (left, joined) = way(model, given.head, find(new));
            assert_eq!(**undone, ids(model, &left), "blocks left, downwards");
            assert_eq!(**redone, ids(model, &joined), "blocks joined, upwards");
        }
        Event::Invalid { block, .. } => {
            assert!(!model.blocks[find(block)].is_valid);
            assert!(batch.invalid.contains(block), "what is told is written");
        }
        Event::Block { block, parent } => {
            assert!(batch.bodies.iter().any(|(id, _)| id == block));
            let above = model.blocks[find(block)].parent;
            assert_eq!(model.hash(above), *parent);
        }
        Event::Fork {
            block,
            rival,
            behind,
        } => {
            let (at, beside) = (&model.blocks[find(block)], find(rival));
            assert_eq!(
                at.parent, model.blocks[beside].parent,
                "rivals are siblings"
            );
            assert!(model.is_ancestor(beside, given.head), "on the best chain");
            let height = model.blocks[given.head].id.height;
            assert_eq!(*behind, height - rival.height);
        }
        Event::DeepReorg { .. } | Event::Transaction { .. } | Event::Returned { .. } => {}
    }
}

/// Rule F3: a reorg is an alarm exactly if it is deeper than the alarm depth.
fn check_alarm(model: &Model, given: &Given, batch: &Batch, events: &[&Event]) {
    let new = batch.head.and_then(|head| model.find(&head.hash));
    let undone = new.map_or(0, |new| way(model, given.head, new).0.len() as u64);
    let alarms = events.iter().filter_map(|event| match event {
        Event::DeepReorg { depth } => Some(*depth),
        _ => None,
    });
    let want = (undone > REORG_ALARM_DEPTH).then_some(undone);
    assert_eq!(
        alarms.collect::<Vec<_>>(),
        Vec::from_iter(want),
        "the alarm"
    );
}

/// Gossip passes on what is new and fits and is near the head, and rejects nothing that fits.
fn check_verdict(model: &Model, given: &Given, before: &Before, verdict: Verdict) {
    let Some(block) = given.block else {
        return;
    };
    let known = &model.blocks[block];
    assert!(
        verdict != Verdict::Reject || !known.header_fits,
        "{:?} fits and was rejected",
        known.id
    );
    if before.is_news(block) {
        let is_near = known.rank.chain_work() >= below(model, given.head, RELAY_DEPTH);
        assert_eq!(
            verdict == Verdict::Accept,
            is_near,
            "whether {:?} is passed on",
            known.id
        );
    } else if verdict == Verdict::Accept {
        assert!(known.header_fits, "{:?} was passed on", known.id);
    }
}

/// The chain work that a chain nobody asked for must reach (section 8 of the protocol).
pub fn threshold(host: &Host, model: &Model) -> U256 {
    below(model, host.live.head, UNSOLICITED_DEPTH).max(host.settings.min_chain_work)
}

/// The head's chain work less that of so many blocks like it.
fn below(model: &Model, head: usize, depth: u64) -> U256 {
    let header = &model.blocks[head].header;
    let target = header.pow.bits.target().expect("of a block in the tree");
    let slack = target.work() * U256::from(depth);
    model.chain_work(head).saturating_sub(slack)
}

/// Blocks to leave, downwards, and blocks to join, upwards.
pub fn way(model: &Model, old: usize, new: usize) -> (Vec<usize>, Vec<usize>) {
    let (mut left, mut joined) = (Vec::new(), Vec::new());
    let (mut old, mut new) = (old, new);
    while old != new {
        let (low, high) = (model.blocks[old].id.height, model.blocks[new].id.height);
        if low >= high {
            left.push(old);
            old = model.blocks[old].parent;
        }
        if high >= low {
            joined.push(new);
            new = model.blocks[new].parent;
        }
    }
    joined.reverse();
    (left, joined)
}

fn ids(model: &Model, blocks: &[usize]) -> Vec<BlockId> {
    blocks.iter().map(|block| model.blocks[*block].id).collect()
}

/// What a peer is answered is what its question asks for, out of what the store was given.
pub fn check_answer(host: &Host, model: &Model, request: &Request, response: &Response) {
    match (request, response) {
        (Request::Headers(locator), Response::Headers(headers)) => {
            let chain = |block: usize| model.is_ancestor(block, host.durable.head);
            let mut known = locator.iter().filter_map(|hash| model.find(hash));
            let Some(from) = known.find(|block| chain(*block)) else {
                return assert!(headers.is_empty(), "nothing is shared");
            };
            let height = |block: usize| model.blocks[block].id.height;
            let above = height(host.durable.head) - height(from);
            let count = above.min(HEADERS_MAX as u64);
            assert_eq!(headers.len() as u64, count, "headers after {from}");
            let mut parent = model.hash(from);
            for header in headers {
                assert_eq!(header.pow.parent, parent, "answered headers are linked");
                parent = header.hash();
            }
            if let Some(last) = headers.last() {
                let last = model.find(&last.hash()).expect("somebody made it");
                assert!(chain(last), "headers of the best chain");
            }
        }
        (Request::Blocks(hashes), Response::Blocks(blocks)) => {
            let mut asked = hashes.iter();
            for block in blocks {
                let hash = block.header.hash();
                assert!(asked.any(|other| *other == hash), "as asked, in order");
                let made = model.find(&hash).expect("somebody made it");
                assert!(block.encode()[..] == model.blocks[made].bytes[..]);
            }
        }
        (Request::Status(_), Response::Status(status)) => {
            let head = model.find(&status.head).expect("somebody made it");
            let rank = Rank::new(status.chain_work(), &status.head);
            assert_eq!(rank, model.blocks[head].rank, "a status is true");
            assert_eq!(status.height, model.blocks[head].id.height);
        }
        _ => {}
    }
}
