//! What it costs the core to move: headers that join, and reorgs of a hundred full blocks.
//!
//! `cargo bench -p lignum-state --bench moves`. Each is measured at two lengths of the chain, so that
//! growth would show; CPU time of this thread where the system tells it (Linux), else wall time. A
//! store in memory takes the batches, outside of what is measured.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    dead_code,
    reason = "a bench measures time; the tests' support is for more than this"
)]

#[path = "../tests/support/maker.rs"]
mod maker;
#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use chain::{
    Address, Block, BlockHash, ChainSpec, CheckedBlock, CheckedHeader, CheckedTransaction, Effect,
    Event, Execution, Input, MemoryStore, Node, Peer, Store, Time, params::HEADERS_MAX,
};
use maker::Maker;
use state::Evm;
use support::{
    builder::{Builder, Wallet, regtest},
    ledger::Ledger,
};

/// Blocks of a branch.
const DEPTH: usize = 100;
/// Transfers in a block: as many as 30 million gas pay for.
const PER_BLOCK: usize = 30_000_000 / 21_000;
/// Accounts that pay each other.
const ACCOUNTS: u64 = 10_000;
/// Reorgs between executed branches of which the median is shown.
const TURNS: usize = 7;

/// CPU of this thread so far, or the time.
fn now(origin: Instant) -> Duration {
    // The system counts up to the last time that the thread was put aside.
    std::thread::sleep(Duration::from_micros(50));
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let cpu = text.split(' ').next().and_then(|field| field.parse().ok());
    cpu.map_or_else(|| origin.elapsed(), Duration::from_nanos)
}

fn timed<V>(work: impl FnOnce() -> V) -> (V, Duration) {
    let origin = Instant::now();
    let before = now(origin);
    let value = work();
    (value, now(origin).saturating_sub(before))
}

/// A node on a store in memory.
struct World<E: Execution> {
    node: Node<E>,
    store: MemoryStore,
    now: Time,
    inputs: VecDeque<Input>,
    /// What may have to be loaded again: reading and checking it is not what is measured.
    blocks: BTreeMap<BlockHash, CheckedBlock>,
}

impl<E: Execution> World<E> {
    fn new(spec: &Arc<ChainSpec>, execution: E) -> Self {
        let mut store = MemoryStore::default();
        store.commit(&Node::genesis(spec, &execution).1).unwrap();
        let db = store.snapshot().unwrap();
        let node = Node::open(Arc::clone(spec), execution, &db).unwrap();
        let now = Time {
            unix_secs: u64::from(spec.genesis_time) + 10_000_000,
            monotonic_ms: 0,
        };
        drop(db);
        let inputs = VecDeque::new();
        Self {
            node,
            store,
            now,
            inputs,
            blocks: BTreeMap::new(),
        }
    }

    /// One step: its time, and how many blocks it undid.
    fn step(&mut self, input: Input) -> (Duration, usize) {
        let mut effects = Vec::new();
        let db = self.store.snapshot().unwrap();
        let (stepped, took) = timed(|| self.node.step(self.now, input, &db, &mut effects));
        stepped.unwrap();
        drop(db);
        let mut depth = 0;
        for effect in effects {
            match effect {
                Effect::Commit(batch) => self.store.commit(&batch).unwrap(),
                Effect::Continue => self.inputs.push_back(Input::Continue),
                Effect::Publish(Event::Head { undone, .. }) => depth = undone.len(),
                Effect::Publish(Event::Invalid { reason, .. }) => panic!("{reason}"),
                Effect::Load(hash) => {
                    let block = self.blocks[&hash].clone();
                    self.inputs.push_back(Input::Block { from: None, block });
                }
                _ => {}
            }
        }
        (took, depth)
    }

    /// Blocks join; then what is to be executed is. All steps that executed, with their depths.
    fn take(&mut self, blocks: &[CheckedBlock]) -> Vec<(Duration, usize)> {
        for block in blocks {
            let block = block.clone();
            self.blocks.insert(block.id().hash, block.clone());
            self.step(Input::Block { from: None, block });
        }
        let mut steps = Vec::new();
        while let Some(input) = self.inputs.pop_front() {
            steps.push(self.step(input));
        }
        steps
    }
}

fn headers(count: usize) {
    let spec = Arc::new(regtest(&[]));
    let builder = Builder::new(ChainSpec::clone(&spec));
    let gaps = std::iter::repeat_n(1, count);
    let made = builder.headers(builder.genesis, gaps, 1);
    let raw: Vec<_> = made
        .iter()
        .map(|header| (**header.header()).clone())
        .collect();
    let check = |header: &chain::Header| CheckedHeader::check(header.clone(), &spec).unwrap();
    let (checked, checking) = timed(|| raw.iter().map(check).collect::<Vec<_>>());
    let mut world = World::new(&spec, Ledger::default());
    world.step(Input::Connected(Peer(1)));
    let mut status = world.node.status(world.now);
    (status.head, status.chain_work) = (BlockHash([0xee; 32]), [0xff; 32]);
    let from = Peer(1);
    world.step(Input::Status { from, status });
    let mut joining = Duration::ZERO;
    for part in checked.chunks(HEADERS_MAX) {
        let headers = part.to_vec();
        joining += world.step(Input::Headers { from, headers }).0;
    }
    let best = world.node.forest().best_header();
    let height = world.node.forest().tree()[best].id().height;
    assert_eq!(height, count as u64, "all have joined");
    let each = |took: Duration| took.as_secs_f64() * 1e6 / count as f64;
    println!(
        "{count} headers: {:.2} µs to check, {:.2} µs to join, {:.0}/s on one thread",
        each(checking),
        each(joining),
        1e6 / (each(checking) + each(joining)),
    );
}

/// Signed transfers for full blocks, the same for each branch.
fn transfers(wallets: &[Wallet]) -> Vec<CheckedTransaction> {
    let pay = |number: usize| {
        let wallet = &wallets[number % wallets.len()];
        let to = &wallets[(number * 7_919 + 1) % wallets.len()];
        let nonce = (number / wallets.len()) as u64;
        wallet.pay(nonce, to.address, 1)
    };
    (0..DEPTH * PER_BLOCK).map(pay).collect()
}

/// A branch that is made block by block.
struct Branch {
    tip: BlockHash,
    tag: u8,
}

impl Branch {
    fn grow(&mut self, maker: &mut Maker, transactions: &[CheckedTransaction]) -> Block {
        let block = maker.block(self.tip, transactions, Address::repeat_byte(self.tag));
        self.tip = block.header.hash();
        block
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn reorgs(base: usize, wallets: &[Wallet], transfers: &[CheckedTransaction]) {
    let mut spec = regtest(&wallets.iter().collect::<Vec<_>>());
    // Blocks are at the target, so that the base fee stays where it is.
    spec.base.gas_limit = 60_000_000;
    let spec = Arc::new(spec);
    let (mut maker, mut world) = (Maker::new(Arc::clone(&spec)), World::new(&spec, Evm::new()));
    let check = |block: Block| CheckedBlock::check(block, &spec).unwrap();
    let mut trunk = Branch {
        tip: maker.genesis,
        tag: 1,
    };
    for _ in 0..base {
        let block = trunk.grow(&mut maker, &[]);
        world.take(&[check(block)]);
    }
    let mut branches = [2, 3].map(|tag| Branch {
        tip: trunk.tip,
        tag,
    });
    let mut unexecuted = Duration::ZERO;
    for branch in &mut branches {
        let full = transfers.chunks(PER_BLOCK);
        let mut blocks: Vec<_> = full
            .map(|part| check(branch.grow(&mut maker, part)))
            .collect();
        // The second branch must have more work than the first.
        if branch.tag == 3 {
            blocks.push(check(branch.grow(&mut maker, &[])));
        }
        let steps = world.take(&blocks);
        unexecuted = steps.iter().map(|(took, _)| *took).sum();
        assert!(steps.iter().any(|(_, depth)| *depth == DEPTH) == (branch.tag == 3));
    }
    let mut moves = Vec::new();
    for turn in 0..TURNS {
        let branch = &mut branches[turn % 2];
        let blocks = [(); 2].map(|()| check(branch.grow(&mut maker, &[])));
        let steps = world.take(&blocks);
        let back = steps.iter().find(|(_, depth)| *depth >= DEPTH);
        moves.push(back.expect("a reorg").0);
    }
    println!(
        "reorg of {DEPTH} full blocks after {base}: {:?} between executed branches, {:?} to one never executed",
        median(moves),
        unexecuted,
    );
}

fn main() {
    headers(100_000);
    headers(400_000);
    let wallets: Vec<_> = (0..ACCOUNTS).map(Wallet::new).collect();
    let transfers = transfers(&wallets);
    reorgs(10, &wallets, &transfers);
    reorgs(20_000, &wallets, &transfers);
}
