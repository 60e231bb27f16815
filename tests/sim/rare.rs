//! Rare worlds: what hardly ever happens in a usual one is sure to happen in these. One seed of
//! each kind in [`CYCLE`], so that many seeds cost little more.

use std::sync::{Arc, OnceLock};

use chain::{
    CheckedHeader, Header, Input, MemoryStore, Response, U256,
    params::{HEADERS_MAX, STATE_WINDOW},
    pool::PoolLimits,
};

use super::{
    chaos,
    host::{Host, Settings},
    hostile::{Hostile, Trick},
    model::{Model, Truth},
    record::Record,
    support::builder::Plan,
    tally::{Fault, Reached, Tally},
    told,
    trace::Trace,
    wire::Wire,
    world::{Event, Miner, World},
};

/// Among so many seeds in a row is one of each kind.
pub const CYCLE: u64 = 24;
/// Blocks before the start of a long world: a full answer of headers and some more.
const PAST_BLOCKS: usize = HEADERS_MAX + 176;
/// Seconds between the first of these, which makes all others easy, and between the others.
const PAST_GAPS: (u32, u32) = (1_199, 10);
/// How much faster both sides of a deep world mine while they are apart.
const APART: u64 = 20;

/// What a world is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Usual,
    /// The chain is longer than an answer of headers, and a node joins that asks for its work. It
    /// must be shown the chain and then be given it; first it meets a peer that gives another one.
    Long,
    /// Two halves mine apart until each has so many blocks of its own, more than the window of
    /// states in memory.
    Deep {
        blocks: u64,
    },
    /// A hostile peer asks and asks.
    Flood,
}

impl Kind {
    pub fn of(seed: u64) -> Self {
        match seed % CYCLE {
            5 => Self::Long,
            11 => Self::Deep {
                blocks: STATE_WINDOW + 8 + seed / CYCLE % 40,
            },
            17 => Self::Flood,
            _ => Self::Usual,
        }
    }

    /// The blocks that there are at the start, in so far as all know them.
    pub fn model(self) -> Model {
        match self {
            Self::Usual | Self::Flood => Model::new(chaos::spec(chaos::GENESIS_WORK)),
            Self::Long => past().model.clone(),
            Self::Deep { .. } => Model::new(chaos::spec(chaos::GENESIS_WORK / 16)),
        }
    }

    /// How many honest nodes and hostile peers there are, of the numbers that were drawn.
    pub fn actors(self, honest: usize, hostile: usize) -> (usize, usize) {
        match self {
            Self::Usual | Self::Flood => (honest, hostile),
            Self::Long => (3 + honest % 2, 1),
            // Who knows both halves would tell each of the other.
            Self::Deep { .. } => (3 + honest % 3, 0),
        }
    }
}

impl Kind {
    /// Changes what was drawn for a usual world.
    pub fn change(self, plan: &mut chaos::Plan, honest: usize, now_ms: u64) {
        match self {
            Self::Usual | Self::Flood => {}
            Self::Long => {
                plan.late = Some(honest - 1);
                plan.end_ms = now_ms + (plan.end_ms - now_ms) / 4;
            }
            Self::Deep { .. } => {
                plan.late = None;
                plan.user_pause_ms = 1_500;
            }
        }
    }
}

/// What a two-faced peer delivers.
pub struct Other {
    pub headers: Vec<CheckedHeader>,
    pub bytes: Arc<[u8]>,
}

/// What was before the start of a long world; the same for all seeds.
pub struct Past {
    model: Model,
    /// Of a node that has seen all of it.
    store: MemoryStore,
    record: Record,
    /// Two other chains from genesis, each a full answer.
    pub others: [Other; 2],
}

impl Past {
    /// The work that a node asks for which joins a long world.
    pub fn chain_work(&self) -> U256 {
        self.model.chain_work(self.model.best)
    }
}

/// Made once, by a node that passes all checkers.
pub fn past() -> &'static Past {
    static PAST: OnceLock<Past> = OnceLock::new();
    PAST.get_or_init(|| {
        let mut model = Model::new(chaos::spec(chaos::GENESIS_WORK));
        let host = live_through(&mut model);
        let others = [1, 2].map(|tag| other(&model, tag));
        Past {
            model,
            store: host.store,
            record: host.durable,
            others,
        }
    })
}

fn gap(block: usize) -> u32 {
    if block < 3 { PAST_GAPS.0 } else { PAST_GAPS.1 }
}

/// A node mines the chain, a payment in every 16th block.
fn live_through(model: &mut Model) -> Host {
    let settings = Settings {
        pool: PoolLimits::default(),
        min_chain_work: U256::ZERO,
        salt: 0,
    };
    let (mut host, mut wire) = (Host::new(0, model, settings), Wire::default());
    let (mut tally, mut trace) = (Tally::default(), Trace::new());
    let secs: u32 = (0..PAST_BLOCKS).map(gap).sum();
    let now_ms = u64::from(model.spec.genesis_time + secs) * 1_000;
    let journal = host.open(model, &mut wire, now_ms);
    host.step(model, now_ms, journal, &mut tally, &mut trace);
    for at in 0..PAST_BLOCKS {
        let parent = model.best;
        let wallet = &chaos::wallets()[at / 16 % 5];
        let nonce = model.state(parent)[&wallet.address].nonce;
        let payment = (at % 16 == 15).then(|| wallet.pay(nonce, wallet.address, 1));
        let plan = Plan {
            time: Some(model.blocks[parent].time + gap(at)),
            transactions: payment.as_slice(),
            ..Plan::default()
        };
        let made = model.mine(parent, &plan, Truth::Valid);
        let block = wire.block(model.block(made), &model.spec).expect("valid");
        let mut next = Some(Input::Block { from: None, block });
        while let Some(input) = next {
            host.step(model, now_ms, input, &mut tally, &mut trace);
            next = host.continues.then_some(Input::Continue);
        }
        model.shown(host.live.best_whole);
        assert_eq!(model.best, made, "the chain grows");
    }
    host
}

/// Headers from genesis that were never shown to anybody.
fn other(model: &Model, tag: u8) -> Other {
    let (builder, gaps) = (&model.builder, (0..HEADERS_MAX).map(gap));
    let headers = builder.headers(builder.genesis, gaps, tag);
    let bare = headers.iter().map(|header| Header::clone(header.header()));
    let bytes = Response::Headers(bare.collect()).encode().into();
    Other { headers, bytes }
}

impl World {
    /// Makes a world what its kind is.
    pub fn prepare(&mut self) {
        match self.plan.kind {
            Kind::Usual => {}
            Kind::Long => self.give_past(),
            Kind::Deep { .. } => self.part_for_long(),
            Kind::Flood => {
                let delay = self.more.range(60_000, 200_000);
                self.after(delay, Event::Rare);
            }
        }
    }

    /// Whether that for which this world is rare is still to come.
    pub fn awaits_rare(&self) -> bool {
        match self.plan.kind {
            Kind::Usual => false,
            Kind::Long => !self.tally.faults.contains_key(&Fault::OtherDelivery),
            Kind::Deep { .. } => !self.tally.has_reached(Reached::BeyondWindow),
            Kind::Flood => !self.tally.has_reached(Reached::FloodStopped),
        }
    }

    /// The rare thing happens if it can, else another time.
    pub fn rare(&mut self) {
        let is_done = match self.plan.kind {
            Kind::Deep { blocks } => self.reunite(blocks),
            Kind::Flood => self.flood(),
            Kind::Usual | Kind::Long => true,
        };
        if !is_done {
            self.after(2_000, Event::Rare);
        }
    }

    /// All but the one that joins late have the past.
    fn give_past(&mut self) {
        let late = self.plan.late;
        let others = self.hosts.iter_mut().enumerate();
        for (_, host) in others.filter(|(at, _)| Some(*at) != late) {
            host.store = past().store.clone();
            (host.live, host.durable) = (past().record.clone(), past().record.clone());
        }
        self.hostiles[0] = Hostile::new(vec![Trick::TwoFaced, Trick::Rival]);
    }

    /// The host that joins late meets hostile peers first.
    pub fn begin_eclipse(&mut self, host: usize) {
        self.set_rest(host, u64::MAX);
    }

    /// Then it meets the honest ones.
    pub fn end_eclipse(&mut self, host: usize) {
        self.set_rest(host, self.now_ms);
    }

    fn set_rest(&mut self, host: usize, until_ms: u64) {
        let honest = self.hosts.len();
        let own = self.links.iter_mut();
        for link in own.filter(|link| link.ends.contains(&host) && link.ends[1] < honest) {
            link.rest_until_ms = until_ms;
        }
    }

    /// Two halves, with a fast miner and a user each.
    fn part_for_long(&mut self) {
        self.partition = self.more.next() << 2 | 0b10;
        self.tally.fault(Fault::Partition);
        for at in 0..self.miners.len().max(2) {
            if at >= self.miners.len() {
                self.miners.push(Miner {
                    host: 0,
                    millihashes: 0,
                    turn: 0,
                });
            }
            self.miners[at].host = at % self.hosts.len();
            let rate = if at < 2 { APART } else { 0 };
            self.set_hash_rate(at, self.plan.hash_rate * rate);
        }
        (self.users[0].home, self.users[1].home) = (0, 1);
        for at in 0..self.hosts.len() {
            let cut = *self.more.pick(&[1, 1, 2, 6]);
            self.hosts[at].deep_cut = self.more.chance(400).then_some(cut);
        }
        self.after(30_000, Event::Rare);
    }

    /// The halves meet once both have mined enough. Returns whether they do.
    fn reunite(&mut self, blocks: u64) -> bool {
        let [one, two] = [0, 1].map(|host| self.hosts[host].durable.head);
        let (left, joined) = told::way(&self.model, one, two);
        let is_deep = left.len().min(joined.len()) as u64 >= blocks;
        if is_deep {
            self.partition = 0;
            (0..2).for_each(|at| self.set_hash_rate(at, self.plan.hash_rate));
        }
        is_deep
    }
}
