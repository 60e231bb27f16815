//! The world: virtual time, its events, miners, crashes, and the quiet end of a run.
//!
//! Everything follows from the seed. Time goes from event to event; nothing sleeps.

use std::{collections::BTreeMap, sync::Arc};

use chain::{Block, BlockHash, Input, Verdict};

use super::{
    asked::Accounts,
    chaos::{Plan, Weather},
    checks,
    host::Host,
    hostile::Hostile,
    model::Model,
    net::{Link, Parcel, Pending},
    rng::Rng,
    said,
    tally::{Fault, Reached, Tally},
    trace::Trace,
    users::{Ask, User},
    wire::{Topic, Wire},
};

/// One round: the time in which every node asks every peer where it stands.
pub const ROUND_MS: u64 = 10_000;
/// Rounds in which a healed network must agree.
pub const ROUNDS_MAX: u64 = 12;
/// Faults that a run has at least.
pub const FAULTS_MIN: u64 = 500;
/// Milliseconds between two ticks.
const TICK_MS: u64 = 1_000;
/// A run that has too few faults goes on for so long at most.
const OVERTIME_MS: u64 = 3_600_000;

/// Something that happens.
pub enum Event {
    Deliver(Parcel),
    Tick {
        host: usize,
        life: u64,
    },
    Continue {
        host: usize,
        life: u64,
    },
    Flush {
        host: usize,
        life: u64,
    },
    Load {
        host: usize,
        life: u64,
        hash: BlockHash,
    },
    Gone {
        link: usize,
        end: usize,
        epoch: u64,
        life: u64,
    },
    StreamReset(u64),
    GiveUp(u64),
    Mine {
        miner: usize,
        turn: u64,
    },
    Act(usize),
    Release {
        hostile: usize,
        blocks: Vec<usize>,
    },
    User(usize),
    Chaos,
    Heal,
    Maintain,
    Restart(usize),
    HashRate {
        miner: usize,
        millihashes: u64,
    },
    /// A look at what makes a rare world rare.
    Rare,
}

/// Gossip that came to a host over a link.
pub struct Gossiped {
    pub topic: Topic,
    pub bytes: Arc<[u8]>,
    pub link: usize,
}

/// Somebody with hash power and a node.
pub struct Miner {
    pub host: usize,
    /// Hashes in a thousand seconds; zero if it has stopped.
    pub millihashes: u64,
    /// Only the latest draw counts.
    pub turn: u64,
}

/// Everything.
pub struct World {
    pub rng: Rng,
    /// What came to the simulator later draws from here, so that seeds keep their meaning.
    pub more: Rng,
    pub now_ms: u64,
    pub queue: BTreeMap<(u64, u64), Event>,
    sequence: u64,
    pub model: Model,
    pub wire: Wire,
    pub hosts: Vec<Host>,
    pub hostiles: Vec<Hostile>,
    pub links: Vec<Link>,
    pub pending: BTreeMap<u64, Pending>,
    pub next_request: u64,
    pub miners: Vec<Miner>,
    pub users: Vec<User>,
    pub asks: BTreeMap<u64, Ask>,
    pub accounts: Accounts,
    /// Gossip that a group commit holds back: whose it is, and where it came from.
    held: Vec<(usize, Gossiped)>,
    /// A bit for each actor: which side of a partition it is on.
    pub partition: u64,
    pub weather: Weather,
    /// No faults any more.
    pub quiet: bool,
    pub plan: Plan,
    pub tally: Tally,
    pub trace: Trace,
}

impl World {
    pub fn new(seed: u64, rng: Rng, model: Model, plan: Plan, now_ms: u64) -> Self {
        Self {
            rng,
            more: Rng::new(!seed),
            now_ms,
            queue: BTreeMap::new(),
            sequence: 0,
            model,
            wire: Wire::default(),
            hosts: Vec::new(),
            hostiles: Vec::new(),
            links: Vec::new(),
            pending: BTreeMap::new(),
            next_request: 0,
            miners: Vec::new(),
            users: Vec::new(),
            asks: BTreeMap::new(),
            accounts: Accounts::default(),
            held: Vec::new(),
            partition: 0,
            weather: plan.weather,
            quiet: false,
            plan,
            tally: Tally::default(),
            trace: Trace::new(),
        }
    }

    pub fn schedule(&mut self, at_ms: u64, event: Event) {
        self.sequence += 1;
        self.queue
            .insert((at_ms.max(self.now_ms), self.sequence), event);
    }

    pub fn after(&mut self, ms: u64, event: Event) {
        self.schedule(self.now_ms + ms, event);
    }

    /// Whether an actor is running.
    pub fn is_up(&self, actor: usize) -> bool {
        self.hosts.get(actor).is_none_or(Host::is_up)
    }

    /// An actor's life; hostile ones have one.
    pub fn life(&self, actor: usize) -> u64 {
        self.hosts.get(actor).map_or(0, |host| host.life)
    }

    /// Hosts that run.
    pub fn running(&self) -> Vec<usize> {
        (0..self.hosts.len())
            .filter(|host| self.is_up(*host))
            .collect()
    }

    /// Runs to the end of the plan, heals everything and waits for agreement.
    pub fn run(&mut self) {
        let latest_ms = self.plan.end_ms + OVERTIME_MS;
        let is_over = |world: &Self| {
            let is_full = world.tally.faults() >= FAULTS_MIN && !world.awaits_rare();
            (world.now_ms >= world.plan.end_ms && is_full) || world.now_ms >= latest_ms
        };
        while !is_over(self) {
            self.next();
        }
        let faults = self.tally.faults();
        assert!(faults >= FAULTS_MIN, "{faults} faults, wanted {FAULTS_MIN}");
        assert!(!self.awaits_rare(), "what this world is for never came");
        self.calm();
        self.settle();
        self.tally.blocks = self.model.blocks.len() as u64;
        self.tally.seeds = 1;
    }

    fn next(&mut self) {
        let ((at_ms, _), event) = self.queue.pop_first().expect("ticks go on");
        self.now_ms = at_ms;
        if let Some(until_ms) = self.sleeper(&event) {
            self.schedule(until_ms, event);
            return;
        }
        self.handle(event);
    }

    /// When the host that an event is for wakes, if it sleeps.
    fn sleeper(&self, event: &Event) -> Option<u64> {
        let host = match event {
            Event::Deliver(parcel) => self.links[parcel.link].ends[parcel.to],
            Event::Tick { host, .. }
            | Event::Continue { host, .. }
            | Event::Flush { host, .. }
            | Event::Load { host, .. } => *host,
            _ => return None,
        };
        let until_ms = self.hosts.get(host)?.asleep_until_ms;
        (until_ms > self.now_ms).then_some(until_ms)
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Deliver(parcel) => self.deliver(parcel),
            Event::Tick { host, life } if self.life(host) == life => self.tick(host, life),
            Event::Continue { host, life } if self.life(host) == life => {
                self.input(host, Input::Continue);
            }
            Event::Flush { host, life } if self.life(host) == life => self.flush(host),
            Event::Load { host, life, hash } if self.life(host) == life => self.load(host, hash),
            Event::Gone {
                link,
                end,
                epoch,
                life,
            } => {
                let me = self.links[link].ends[end];
                if self.links[link].epoch == epoch && self.life(me) == life {
                    self.closed(link, end);
                }
            }
            Event::StreamReset(id) => self.stream_reset(id),
            Event::GiveUp(id) => self.give_up(id),
            Event::Mine { miner, turn } => self.mine(miner, turn),
            Event::Act(hostile) if !self.quiet => self.act(hostile),
            Event::Release { hostile, blocks } if !self.quiet => self.release(hostile, &blocks),
            Event::User(user) if !self.quiet => self.user_acts(user),
            Event::Chaos if !self.quiet => self.chaos(),
            Event::Heal => self.partition = 0,
            Event::Maintain => {
                self.maintain();
                self.after(2_000, Event::Maintain);
            }
            Event::Restart(host) => self.restart(host),
            Event::Rare if !self.quiet => self.rare(),
            Event::HashRate { miner, millihashes } if !self.quiet => {
                self.set_hash_rate(miner, millihashes);
            }
            _ => {}
        }
    }

    fn tick(&mut self, host: usize, life: u64) {
        self.after(TICK_MS, Event::Tick { host, life });
        self.accounts.refill(host, self.now_ms);
        self.input(host, Input::Tick);
        if self.is_up(host) && self.hosts[host].steps.is_multiple_of(8) {
            for link in self.links_of(host) {
                self.check_points(host, link);
            }
        }
    }

    /// One step of a host, and all that it wants done.
    pub fn input(&mut self, host: usize, input: Input) -> Verdict {
        self.step(host, input, None)
    }

    /// The same for gossip, which goes on to others if the verdict is good.
    pub fn step(&mut self, at: usize, input: Input, gossip: Option<Gossiped>) -> Verdict {
        if !self.is_up(at) {
            return Verdict::Ignore;
        }
        let host = &mut self.hosts[at];
        let (tally, trace) = (&mut self.tally, &mut self.trace);
        let outcome = host.step(&self.model, self.now_ms, input, tally, trace);
        self.model.shown(self.hosts[at].live.best_whole);
        let life = self.hosts[at].life;
        if outcome.goes_on {
            let delay = self.rng.below(30);
            self.after(delay, Event::Continue { host: at, life });
        }
        if outcome.waits {
            self.after(10, Event::Flush { host: at, life });
        }
        if let Some(gossip) = gossip.filter(|_| outcome.verdict == Verdict::Accept) {
            self.held.push((at, gossip));
        }
        if !outcome.waits {
            self.finish(at, outcome.effects, outcome.crashed);
        }
        outcome.verdict
    }

    pub fn flush(&mut self, host: usize) {
        let (effects, crashed) = self.hosts[host].flush(&self.model, &mut self.tally);
        self.finish(host, effects, crashed);
    }

    /// All is committed: verdicts and effects leave, unless the host crashes among them.
    fn finish(&mut self, at: usize, effects: Vec<chain::Effect>, crashed: bool) {
        let held = std::mem::take(&mut self.held);
        let (mine, others) = held.into_iter().partition(|(host, _)| *host == at);
        self.held = others;
        let mine: Vec<(usize, Gossiped)> = mine;
        if !crashed {
            for (_, gossip) in mine {
                self.gossip(at, Some(gossip.link), gossip.topic, &gossip.bytes);
            }
        }
        said::check_said(&self.hosts[at], &self.model, &effects);
        self.carry_out(at, effects);
        if crashed {
            self.crash(at);
        }
    }

    /// Reads a stored block, checks it and hands it back, if the body is still there.
    fn load(&mut self, at: usize, hash: BlockHash) {
        use chain::{Reader, Stage, Store};
        let host = &mut self.hosts[at];
        host.loads.remove(&hash);
        let db = host.store.snapshot().unwrap();
        if db.stage(&hash).unwrap() == Some(Stage::Header) {
            return;
        }
        let header = db.header(&hash).unwrap().expect("a header to load");
        let body = db.body(&hash).unwrap().expect("a body to load");
        let (header, body) = ((*header).clone(), (*body).clone());
        drop(db);
        let block = self
            .wire
            .block(Block { header, body }, &self.model.spec)
            .unwrap();
        self.input(at, Input::Block { from: None, block });
    }

    /// A host's process ends; its store is kept.
    pub fn crash(&mut self, at: usize) {
        let kind = match self.hosts[at].crash.map(|crash| crash.cut) {
            Some(0) => Fault::CrashBeforeCommit,
            Some(1) => Fault::CrashAfterCommit,
            _ => Fault::CrashAmongEffects,
        };
        self.tally.fault(kind);
        for link in self.links_of(at) {
            let end = self.links[link].end(at);
            self.close(link, end);
            self.links[link].connected[end] = false;
            self.links[link].rest_until_ms = self.now_ms + 1_000;
        }
        self.pending.retain(|_, pending| pending.asker != at);
        self.hosts[at].crashed();
        let delay = self.rng.range(200, 30_000);
        self.after(delay, Event::Restart(at));
    }

    /// A host starts, for the first time or again.
    pub fn restart(&mut self, at: usize) {
        if self.is_up(at) {
            return;
        }
        self.set_minimum(at);
        let journal = self.hosts[at].open(&self.model, &mut self.wire, self.now_ms);
        let host = &self.hosts[at];
        let life = host.life;
        self.tally.reach(match life {
            0 => Reached::Joined,
            _ => Reached::CrashRecovery,
        });
        if matches!(&journal, Input::Journal { transactions, .. } if !transactions.is_empty()) {
            self.tally.reach(Reached::Journal);
        }
        self.input(at, journal);
        let delay = self.rng.below(TICK_MS);
        self.after(delay, Event::Tick { host: at, life });
        self.input(at, Input::Tick);
    }

    /// Everything is mended: no faults, no miners, no hostile peers, true clocks.
    fn calm(&mut self) {
        self.quiet = true;
        self.partition = 0;
        for link in 0..self.links.len() {
            let ends = self.links[link].ends;
            self.links[link].latency_ms = (20, 200);
            if ends.iter().any(|end| *end >= self.hosts.len()) {
                (0..2).for_each(|end| self.close(link, end));
                self.links[link].rest_until_ms = u64::MAX;
            }
        }
        let latest = self
            .model
            .blocks
            .iter()
            .map(|known| u64::from(known.time))
            .max();
        let ahead_ms = (latest.unwrap_or(0) * 1_000).saturating_sub(self.now_ms);
        for at in 0..self.hosts.len() {
            let host = &mut self.hosts[at];
            host.crash = None;
            host.asleep_until_ms = 0;
            // So far ahead that nobody's block is early any more.
            host.ahead_ms = i64::try_from(ahead_ms).expect("a few hours");
            self.after(0, Event::Restart(at));
        }
    }

    /// Quiescent consistency: within [`ROUNDS_MAX`] rounds all have the best head that anybody
    /// has, and the same state.
    fn settle(&mut self) {
        let mut rounds = 0;
        while rounds == 0 || !self.agrees() {
            assert!(rounds < ROUNDS_MAX, "no agreement: {}", self.heads());
            let until_ms = self.now_ms + ROUND_MS;
            while self
                .queue
                .first_key_value()
                .is_some_and(|(key, _)| key.0 <= until_ms)
            {
                self.next();
            }
            self.now_ms = until_ms;
            rounds += 1;
        }
        *self.tally.rounds.entry(rounds).or_default() += 1;
        for at in 0..self.hosts.len() {
            self.flush(at);
            let host = &self.hosts[at];
            checks::check_store(host, &self.model);
            checks::check_pool(&host.node().pool(), host.node().head_state());
            assert_eq!(host.node().head_state(), self.hosts[0].node().head_state());
        }
    }

    fn agrees(&self) -> bool {
        if self.hosts.iter().any(|host| !host.is_up()) {
            return false;
        }
        let rank = |block: usize| self.model.blocks[block].rank;
        let best = self.hosts.iter().map(|host| host.live.best_whole);
        let best = best.max_by_key(|block| rank(*block));
        self.hosts.iter().all(|host| Some(host.live.head) == best)
    }

    fn heads(&self) -> String {
        let head = |host: &Host| {
            let (head, best) = (host.live.head, host.live.best_whole);
            let id = self.model.blocks[head].id;
            format!(
                "{} {} (best held {best}, up {})",
                id.height,
                id.hash,
                host.is_up()
            )
        };
        self.hosts.iter().map(head).collect::<Vec<_>>().join("; ")
    }
}
