//! One node in virtual time among scripted peers that all have the same chain.
//!
//! Peers differ in when and how they answer. Time goes from event to event, with the node's
//! ticks in between, so a sync of minutes takes a moment and is the same each time.

use std::collections::BTreeMap;

use chain::{
    BlockHash, Fault, Input, Peer, Request, Response, Store,
    params::{BLOCKS_MAX, HEADERS_MAX},
    sync::serve,
};

use super::{net::take_response, shell::Shell};

/// Milliseconds between two ticks, as in the shell.
const TICK_MS: u64 = 250;

/// How a peer answers. All answer a status at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// One request after the other: 50 ms each way and 15 ms a block.
    Honest,
    /// Each answer takes so many milliseconds.
    Slow(u64),
    /// No answer ever ends: silent, or a byte a second.
    Silent,
    /// Answers at once, the first block with a body that is not its own.
    WrongBody,
    /// Says it has nothing of what it is asked for.
    Empty,
}

/// What a peer does when its time comes.
enum Deed {
    Answer {
        request: Request,
        response: Response,
    },
    Altered {
        request: Request,
        hash: BlockHash,
    },
}

/// The node, its peers, and what is on its way.
pub struct Timed {
    pub us: Shell,
    /// Has the chain and answers for all peers.
    source: Shell,
    habits: BTreeMap<u64, Habit>,
    busy_until_ms: BTreeMap<u64, u64>,
    queue: BTreeMap<(u64, u64), (u64, Deed)>,
    sequence: u64,
    /// Peers let go, and why.
    pub gone: Vec<(u64, Fault)>,
    /// Requests for headers or blocks made of each peer.
    pub asked: BTreeMap<u64, usize>,
}

impl Timed {
    pub fn new(us: Shell, source: Shell, habits: &[Habit]) -> Self {
        let mut timed = Self {
            us,
            source,
            habits: (1..).zip(habits.iter().copied()).collect(),
            busy_until_ms: BTreeMap::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            gone: Vec::new(),
            asked: BTreeMap::new(),
        };
        for peer in 1..=habits.len() as u64 {
            timed.us.connect(peer);
        }
        timed.collect();
        timed
    }

    /// Runs until the condition holds; how many milliseconds that took, at most `limit_ms`.
    pub fn run_until(&mut self, limit_ms: u64, done: impl Fn(&Self) -> bool) -> Option<u64> {
        let start_ms = self.us.now.monotonic_ms;
        while !done(self) {
            let now_ms = self.us.now.monotonic_ms;
            if now_ms - start_ms >= limit_ms {
                return None;
            }
            let tick_ms = (now_ms / TICK_MS + 1) * TICK_MS;
            match self.queue.first_key_value().map(|(key, _)| key.0) {
                Some(at_ms) if at_ms < tick_ms => self.deliver(),
                _ => {
                    self.set_time(tick_ms);
                    self.us.input(Input::Tick);
                }
            }
            self.collect();
        }
        Some(self.us.now.monotonic_ms - start_ms)
    }

    /// Runs until the node has the chain's head.
    pub fn run_to_head(&mut self, limit_ms: u64) -> Option<u64> {
        let head = self.source.head();
        self.run_until(limit_ms, |timed| timed.us.head() == head)
    }

    /// What a peer is charged with; `None` if it is gone.
    pub fn points(&self, peer: u64) -> Option<u32> {
        let summaries = self.us.node.sync().summaries();
        let summary = summaries.iter().find(|summary| summary.peer == Peer(peer));
        summary.map(|summary| summary.points)
    }

    fn set_time(&mut self, at_ms: u64) {
        let start_secs = self.us.now.unix_secs - self.us.now.monotonic_ms / 1_000;
        self.us.now.monotonic_ms = at_ms;
        self.us.now.unix_secs = start_secs + at_ms / 1_000;
    }

    fn deliver(&mut self) {
        let Some(((at_ms, _), (peer, deed))) = self.queue.pop_first() else {
            return;
        };
        self.set_time(at_ms.max(self.us.now.monotonic_ms));
        if !self.habits.contains_key(&peer) {
            return;
        }
        let from = Peer(peer);
        match deed {
            Deed::Answer { request, response } => {
                take_response(&mut self.us, from, request, response);
            }
            Deed::Altered { request, hash } => {
                let (hash, fault) = (Some(hash), Fault::Mismatch);
                self.us.input(Input::Refused { from, hash, fault });
                self.us.input(Input::Answered { from, request });
            }
        }
    }

    /// Takes what left the node: requests find their way, and peers let go are gone.
    fn collect(&mut self) {
        for (to, request) in std::mem::take(&mut self.us.out.sent) {
            self.ask(to.0, request);
        }
        for (peer, fault) in std::mem::take(&mut self.us.out.disconnected) {
            if self.habits.remove(&peer.0).is_some() {
                self.gone.push((peer.0, fault));
                self.us.input(Input::Disconnected(peer));
            }
        }
        if !self.us.out.sent.is_empty() {
            self.collect();
        }
    }

    fn ask(&mut self, peer: u64, request: Request) {
        let Some(habit) = self.habits.get(&peer).copied() else {
            return;
        };
        let db = self.source.store.snapshot().unwrap();
        let status = self.source.node.status(self.us.now);
        let mut response = serve(&request, &status, &self.source.node.pool(), &db).unwrap();
        let now_ms = self.us.now.monotonic_ms;
        let is_status = matches!(request, Request::Status(_));
        if !is_status {
            *self.asked.entry(peer).or_default() += 1;
        }
        let at_ms = match habit {
            _ if is_status => now_ms + 100,
            Habit::Honest => self.honest_ms(peer, &response),
            Habit::Slow(ms) => now_ms + ms,
            Habit::Silent => return,
            Habit::WrongBody | Habit::Empty => now_ms + 10,
        };
        let mut deed = None;
        if let Request::Blocks(hashes) = &request {
            match habit {
                Habit::Empty => response = Response::Blocks(Vec::new()),
                Habit::WrongBody => {
                    deed = Some(Deed::Altered {
                        hash: hashes[0],
                        request: request.clone(),
                    });
                }
                _ => {}
            }
        }
        self.sequence += 1;
        let deed = deed.unwrap_or(Deed::Answer { request, response });
        self.queue.insert((at_ms, self.sequence), (peer, deed));
    }

    fn honest_ms(&mut self, peer: u64, response: &Response) -> u64 {
        let cost_ms = match response {
            Response::Blocks(blocks) => 15 * blocks.len().min(BLOCKS_MAX) as u64,
            Response::Headers(headers) => headers.len().min(HEADERS_MAX) as u64 / 32,
            _ => 0,
        };
        let now_ms = self.us.now.monotonic_ms;
        let busy_until_ms = self.busy_until_ms.entry(peer).or_default();
        *busy_until_ms = (*busy_until_ms).max(now_ms + 50) + cost_ms;
        *busy_until_ms + 50
    }
}
