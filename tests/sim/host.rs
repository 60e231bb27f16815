//! One honest node and its shell: store, clocks, group commits, crashes and restarts.
//!
//! Does with effects what the real shell does: a step's batch, or that of several steps, is
//! committed before anything else they asked for. Every step passes the checkers.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chain::{
    Batch, BlockHash, Effect, Input, MemoryStore, Node, Overlay, PoolSnapshot, Reader, Store, Time,
    TxHash, U256, Verdict,
    params::STATE_WINDOW,
    pool::{Departure, PoolLimits},
};

use super::{
    checks::{self, Before},
    model::Model,
    promise::{Promise, check_promises},
    record::Record,
    rng::Rng,
    support::ledger::{Accounts, Ledger},
    tally::{Reached, Tally},
    told::{self, Given},
    trace::Trace,
    wire::Wire,
};

/// Milliseconds in which the network layer passes on the same gossip only once.
const GOSSIP_MEMORY_MS: u64 = 60_000;

/// A crash to come: at the first commit after so many steps, and how much of it gets done.
#[derive(Clone, Copy, Debug)]
pub struct Crash {
    pub steps: u64,
    /// 0: not even the commit; 1: the commit alone; more: so many effects less one as well.
    pub cut: usize,
}

/// What a step wants done now.
pub struct Outcome {
    pub verdict: Verdict,
    /// To be carried out, their batch being durable.
    pub effects: Vec<Effect>,
    /// Come back with `Continue`.
    pub goes_on: bool,
    /// The group waits for a flush.
    pub waits: bool,
    /// The node is gone.
    pub crashed: bool,
}

/// Steps not yet committed.
#[derive(Default)]
struct Group {
    batch: Batch,
    effects: Vec<Effect>,
    steps: usize,
}

/// The settings of a node that a restart keeps.
#[derive(Clone, Copy)]
pub struct Settings {
    pub pool: PoolLimits,
    pub min_chain_work: U256,
    pub salt: u64,
}

/// A node and its shell.
pub struct Host {
    index: usize,
    pub node: Option<Node<Ledger>>,
    pub store: MemoryStore,
    pub settings: Settings,
    /// Grows with each crash; what an earlier life asked for comes to nothing.
    pub life: u64,
    pub started_ms: u64,
    /// Milliseconds of which its wall clock is ahead.
    pub ahead_ms: i64,
    pub asleep_until_ms: u64,
    pub live: Record,
    pub durable: Record,
    group: Group,
    /// Steps that share a commit.
    pub group_size: usize,
    pub continues: bool,
    pub loads: BTreeSet<BlockHash>,
    /// Blocks among the node's orphans, by the model's index.
    pub orphans: Vec<usize>,
    /// Gossip that has come or gone already, and until when that is remembered.
    seen: BTreeMap<[u8; 32], u64>,
    pub pool: Arc<PoolSnapshot>,
    pub promises: BTreeMap<TxHash, Promise>,
    /// Those of which the node has told why they left; asked again after a crash.
    pub told: BTreeMap<TxHash, Promise>,
    pub crash: Option<Crash>,
    /// Crashes at its next reorg beyond the window of states, so much of that being done.
    pub deep_cut: Option<usize>,
    pub steps: u64,
}

impl Host {
    /// A host that is not running; its store has the genesis block.
    pub fn new(index: usize, model: &Model, settings: Settings) -> Self {
        let ledger = Ledger::fresh();
        let mut store = MemoryStore::default();
        let (_, batch) = Node::genesis(&model.spec, &ledger);
        store.commit(&batch).unwrap();
        Self {
            index,
            node: None,
            store,
            settings,
            life: 0,
            started_ms: 0,
            ahead_ms: 0,
            asleep_until_ms: 0,
            live: Record::new(),
            durable: Record::new(),
            group: Group::default(),
            group_size: 1,
            continues: false,
            loads: BTreeSet::new(),
            orphans: Vec::new(),
            seen: BTreeMap::new(),
            pool: Arc::default(),
            promises: BTreeMap::new(),
            told: BTreeMap::new(),
            crash: None,
            deep_cut: None,
            steps: 0,
        }
    }

    pub fn is_up(&self) -> bool {
        self.node.is_some()
    }

    /// Whether this gossip is news, which it is not for a minute after.
    pub fn is_news(&mut self, bytes: &[u8], true_ms: u64) -> bool {
        let until_ms = self.seen.entry(chain::hash::sha256(bytes)).or_default();
        let is_news = *until_ms <= true_ms;
        if is_news {
            *until_ms = true_ms + GOSSIP_MEMORY_MS;
        }
        is_news
    }

    /// The running node.
    pub fn node(&self) -> &Node<Ledger> {
        self.node.as_ref().expect("it is running")
    }

    /// Its clocks.
    pub fn now(&self, true_ms: u64) -> Time {
        let wall_ms = true_ms.saturating_add_signed(self.ahead_ms);
        Time {
            unix_secs: wall_ms / 1_000,
            monotonic_ms: true_ms - self.started_ms,
        }
    }

    /// Where the store may have its last checkpoint: after any block that was executed. Chosen by
    /// the salt, so that no other draw depends on it.
    fn checkpoint(&self, model: &Model) -> (BlockHash, Accounts) {
        let executed = |block: &usize| self.durable.is_executed(*block);
        let mut blocks: Vec<_> = self.durable.blocks().filter(executed).collect();
        let block =
            blocks.swap_remove(Rng::new(self.settings.salt + self.life).index(blocks.len()));
        (model.hash(block), Arc::clone(model.state(block)))
    }

    /// Opens the node as its store left it. All that was committed is there again.
    pub fn open(&mut self, model: &Model, wire: &mut Wire, true_ms: u64) -> Input {
        let db = self.store.snapshot().unwrap();
        let (spec, base) = (Arc::clone(&model.spec), self.checkpoint(model));
        let mut node = Node::open_at(spec, Ledger::fresh(), Some(base), &db).unwrap();
        node.set_salt(self.settings.salt + self.life);
        node.set_min_chain_work(self.settings.min_chain_work);
        node.set_pool_limits(self.settings.pool);
        self.started_ms = true_ms;
        self.live = self.durable.clone();
        checks::check_restart(&node, &self.live, model);
        self.pool = node.pool();
        self.node = Some(node);
        let journal = db.pooled().unwrap();
        let checked = journal
            .iter()
            .map(|bytes| wire.transaction(bytes, &model.spec));
        let departed = db.departed().unwrap();
        let departed = departed
            .iter()
            .map(|bytes| Departure::decode(bytes).unwrap());
        Input::Journal {
            transactions: checked.collect::<Result<_, _>>().unwrap(),
            departed: departed.collect(),
        }
    }

    /// Memory is gone; the store is kept, and what users were told is still owed.
    pub fn crashed(&mut self) {
        self.node = None;
        self.life += 1;
        self.group = Group::default();
        self.continues = false;
        self.crash = None;
        self.loads.clear();
        self.orphans.clear();
        self.seen.clear();
        self.promises.append(&mut self.told);
    }

    /// One step and its checks.
    pub fn step(
        &mut self,
        model: &Model,
        true_ms: u64,
        input: Input,
        tally: &mut Tally,
        trace: &mut Trace,
    ) -> Outcome {
        let now = self.now(true_ms);
        let is_continue = matches!(input, Input::Continue);
        if is_continue {
            assert!(self.continues, "Continue was asked for");
            self.continues = false;
        }
        let before = Before::of(self, model, now, &input);
        let given = Given::of(self, model, &input);
        let mut effects = Vec::new();
        let base = self.store.snapshot().unwrap();
        let db = Overlay::new(&base, &self.group.batch);
        let node = self.node.as_mut().expect("it is running");
        trace.input(self.index, true_ms, &input);
        let verdict = node.step(now, input, &db, &mut effects).unwrap();
        trace.step(self.index, now, verdict, &effects);
        self.steps += 1;
        tally.steps += 1;
        drop(base);
        told::check_told(model, &given, &before, verdict, &effects);
        let goes_on = self.take(effects, model, &before, tally);
        checks::check_step(self, model, &before, tally);
        let is_full = self.group.steps >= self.group_size;
        let mut outcome = Outcome {
            verdict,
            effects: Vec::new(),
            goes_on,
            waits: !is_full,
            crashed: false,
        };
        if is_full {
            (outcome.effects, outcome.crashed) = self.flush(model, tally);
        }
        outcome
    }

    /// Puts a step's batch and effects to the group. Returns whether it asked to go on.
    fn take(
        &mut self,
        effects: Vec<Effect>,
        model: &Model,
        before: &Before,
        tally: &mut Tally,
    ) -> bool {
        let mut goes_on = false;
        for (place, effect) in effects.into_iter().enumerate() {
            match effect {
                Effect::Commit(batch) => {
                    assert_eq!(place, 0, "the batch comes before all that depends on it");
                    checks::check_batch(self, model, before, &batch, tally);
                    self.live.apply(&batch, model);
                    self.group.batch.append(batch);
                }
                Effect::Continue => {
                    assert!(!self.continues, "one Continue at a time");
                    (self.continues, goes_on) = (true, true);
                }
                Effect::Load(hash) => {
                    self.loads.insert(hash);
                    tally.reach(Reached::Load);
                    let height = |block: usize| model.blocks[block].id.height;
                    let block = model.find(&hash).expect("a stored block");
                    let is_below = height(block) + STATE_WINDOW < height(self.live.head);
                    if is_below && self.live.is_executed(block) {
                        tally.reach(Reached::LoadedBeyond);
                    }
                    self.group.effects.push(Effect::Load(hash));
                }
                other => self.group.effects.push(other),
            }
        }
        self.group.steps += 1;
        goes_on
    }

    /// Commits, and gives back what may now be carried out; or crashes on the way.
    pub fn flush(&mut self, model: &Model, tally: &mut Tally) -> (Vec<Effect>, bool) {
        let Group {
            batch,
            mut effects,
            steps,
        } = std::mem::take(&mut self.group);
        let has_work = !batch.is_empty() || !effects.is_empty();
        let is_due = self.crash.is_some_and(|crash| crash.steps <= self.steps);
        let crash = self.crash.filter(|_| is_due && has_work);
        if crash.is_some_and(|crash| crash.cut == 0) {
            return (Vec::new(), true);
        }
        if !batch.is_empty() {
            self.store.commit(&batch).unwrap();
            self.durable.apply(&batch, model);
            if steps > 1 {
                tally.reach(Reached::GroupCommit);
            }
        }
        // Reasons live in memory: what left the pool for good is asked before a crash, too.
        check_promises(self, tally);
        if let Some(crash) = crash {
            effects.truncate(crash.cut - 1);
            return (effects, true);
        }
        (effects, false)
    }
}
