//! Checkpoints against a naive model: whatever blocks were merged, undone and redone, and wherever
//! the store was closed, every answer is that of the head's own chain.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::Arc,
};

use chain::{
    Account, Address, Block, ChangeSet, Reader, Store,
    execution::{AccountChange, SlotChange},
    store::{Batch, ExecutedBlock, Past},
    transaction::hash_of,
};
use state::{State, StateBuilder, tree::InTurn};

use super::{
    super::{RedbStore, merge::Reach},
    Directory, Disk, account, child, executed, founding, genesis,
    history::{accounts, history_of},
    id, joined,
};

/// Accounts and slots of a block's state.
#[derive(Clone, Default, PartialEq)]
struct Ledger {
    accounts: BTreeMap<u8, Account>,
    slots: BTreeMap<u8, [u8; 32]>,
}

/// A block, its parent's place and the state after it.
#[derive(Clone)]
struct Grown {
    block: Block,
    parent: usize,
    ledger: Ledger,
    executed: ExecutedBlock,
}

/// A tree of random blocks.
#[derive(Clone)]
pub struct Forest {
    tree: Vec<Grown>,
    random: u64,
    count: u32,
    /// Bytes that each text has more than it needs.
    pub padding: usize,
    /// Blocks that a batch has executed.
    executed: BTreeSet<usize>,
}

/// A tree of blocks, its store, and where the head is.
struct World {
    disk: Disk,
    store: RedbStore,
    forest: Forest,
    head: usize,
    reach: Reach,
}

fn slot(number: u8) -> [u8; 32] {
    [number; 32]
}

impl Forest {
    /// The genesis block.
    pub fn new(seed: u64) -> Self {
        let block = genesis();
        let first = Grown {
            executed: executed(&block),
            block,
            parent: 0,
            ledger: Ledger::default(),
        };
        Self {
            tree: vec![first],
            random: seed,
            count: 0,
            padding: 0,
            executed: BTreeSet::from([0]),
        }
    }

    /// A number below another.
    pub fn below(&mut self, end: usize) -> usize {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.random >> 33).unwrap() % end
    }

    fn byte(&mut self, end: u8) -> u8 {
        u8::try_from(self.below(usize::from(end))).unwrap()
    }

    /// A transaction that the chain up to a block does not have; other chains may.
    fn text(&mut self, parent: usize) -> Vec<u8> {
        let other = self.below(self.tree.len());
        let texts = self.tree[other].block.body.0.clone();
        let own = self.chain(parent);
        let is_new = |text: &Vec<u8>| {
            !own.iter()
                .any(|at| self.tree[*at].block.body.0.contains(text))
        };
        if let Some(text) = texts.first().filter(|text| is_new(text)) {
            return text.clone();
        }
        self.count += 1;
        let (from, to) = (self.byte(5), self.byte(5));
        [
            &[b'a' + from],
            self.count.to_be_bytes().as_slice(),
            &vec![0; self.padding],
            &[b'a' + to],
        ]
        .concat()
    }

    /// A block on another one, with a few random changes, some of them back to nothing.
    pub fn grow(&mut self, parent: usize) -> usize {
        let texts = [self.text(parent), self.text(parent), self.text(parent)];
        let texts: BTreeSet<&[u8]> = texts.iter().map(Vec::as_slice).collect();
        let texts: Vec<_> = texts.into_iter().collect();
        // The header does not name its body here, so siblings have tags of their own.
        let siblings = self.tree.iter().filter(|grown| grown.parent == parent);
        let tag = u8::try_from(siblings.count()).unwrap();
        let block = child(&self.tree[parent].block.header, tag, &texts);
        let mut ledger = self.tree[parent].ledger.clone();
        let mut changes = ChangeSet::default();
        let (first, second) = (self.byte(6), 6 + self.byte(6));
        for number in [first, second] {
            let new = (self.below(4) > 0).then(|| Account {
                nonce: u64::from(self.byte(200)) + 1,
                balance: 7,
                code_hash: (self.below(3) == 0).then_some([9; 32]),
            });
            let old = match &new {
                Some(new) => ledger.accounts.insert(number, new.clone()),
                None => ledger.accounts.remove(&number),
            };
            if old != new {
                let address = [number; 20];
                changes.accounts.push(AccountChange { address, old, new });
            }
        }
        let number = self.byte(4);
        let new = slot(self.byte(3));
        let old = ledger.slots.insert(number, new).unwrap_or_default();
        if old != new {
            let (address, slot) = ([1; 20], slot(number));
            changes.slots.push(SlotChange {
                address,
                slot,
                old,
                new,
            });
        }
        ledger.slots.retain(|_, value| *value != [0; 32]);
        let mut executed = executed(&block);
        executed.changes = Arc::new(changes);
        self.tree.push(Grown {
            block,
            parent,
            ledger,
            executed,
        });
        self.tree.len() - 1
    }

    /// Blocks from the genesis block to one.
    fn chain(&self, mut at: usize) -> Vec<usize> {
        let mut chain = vec![at];
        while at > 0 {
            at = self.tree[at].parent;
            chain.push(at);
        }
        chain.reverse();
        chain
    }

    /// The head moves from one block to any other, in one batch.
    pub fn batch(&mut self, from: usize, to: usize) -> Batch {
        let (old, new) = (self.chain(from), self.chain(to));
        let common = old.iter().zip(&new).take_while(|(one, other)| one == other);
        let common = common.count();
        let mut batch = Batch::default();
        for at in &new[common..] {
            if self.executed.insert(*at) {
                let grown = &self.tree[*at];
                batch.append(joined(&[&grown.block]));
                batch.executed.push(grown.executed.clone());
            }
        }
        let height = |at: &usize| id(&self.tree[*at].block).height;
        let undone = old[common..].iter().rev().map(|at| (height(at), None));
        let hash = |at: &usize| Some(id(&self.tree[*at].block).hash);
        let redone = new[common..].iter().map(|at| (height(at), hash(at)));
        batch.canonical = undone.chain(redone).collect();
        batch.head = Some(id(&self.tree[to].block));
        batch
    }

    /// Which block is a store's head.
    pub fn head_of(&self, store: &RedbStore) -> usize {
        let head = store.snapshot().unwrap().head().unwrap().unwrap();
        let place = |grown: &Grown| id(&grown.block) == head;
        self.tree.iter().position(place).unwrap()
    }

    /// Every answer of a store is that of its head's chain.
    pub fn check(&self, store: &RedbStore, reach: Reach) {
        let reader = store.snapshot().unwrap();
        let chain = self.chain(self.head_of(store));
        let blocks: Vec<&Block> = chain.iter().map(|at| &self.tree[*at].block).collect();
        for block in self.tree.iter().map(|grown| &grown.block) {
            for bytes in &block.body.0 {
                let hash = hash_of(bytes);
                let place = reader.transaction(&hash).unwrap();
                let holds = |block: &&&Block| block.body.0.iter().any(|other| other == bytes);
                let want = blocks.iter().rev().find(holds).map(|block| id(block));
                assert_eq!(place.map(|place| place.block), want);
            }
        }
        for block in &blocks {
            let body = reader.body(&id(block).hash).unwrap();
            assert_eq!(body.as_deref(), Some(&block.body));
        }
        let all: Vec<Block> = blocks.iter().map(|block| (*block).clone()).collect();
        for address in accounts(&all) {
            let want = history_of(&blocks, address);
            assert_eq!(reader.history(&address, None, 10_000).unwrap(), want);
        }
        self.check_past(&reader, &chain, reach);
        let (checkpoint, state) = store.state().unwrap();
        let place = |grown: &Grown| id(&grown.block) == checkpoint;
        let from = self.tree.iter().position(place).unwrap();
        let found = state_of(&self.tree[from].ledger);
        assert_eq!(state.root(), found.root(), "the checkpoint's own state");
    }

    fn check_past(&self, reader: &impl Reader, chain: &[usize], reach: Reach) {
        let now = &self.tree[chain[chain.len() - 1]].ledger;
        let lowest = chain.len().saturating_sub(1 + 128);
        for (height, at) in chain.iter().enumerate() {
            let then = &self.tree[*at].ledger;
            for number in 0..12 {
                let address = account(number);
                let above = u64::try_from(height).unwrap();
                let got = match reader.past_account(&address, above).unwrap() {
                    Past::AsInHead => now.accounts.get(&number).cloned(),
                    Past::Was(old) => old,
                    Past::Unknown { lowest: told } => {
                        assert!(reach == Reach::Window && height < lowest);
                        assert_eq!(told, u64::try_from(lowest).unwrap());
                        continue;
                    }
                };
                assert_eq!(got.as_ref(), then.accounts.get(&number), "at {height}");
            }
            for number in 0..4 {
                let address = Address::from([1; 20]);
                let above = u64::try_from(height).unwrap();
                let got = match reader.past_slot(&address, &slot(number), above).unwrap() {
                    Past::AsInHead => now.slots.get(&number).copied(),
                    Past::Was(old) => old.filter(|value| *value != [0; 32]),
                    Past::Unknown { .. } => continue,
                };
                assert_eq!(got.as_ref(), then.slots.get(&number), "at {height}");
            }
        }
    }
}

impl World {
    fn new(seed: u64, reach: Reach) -> Self {
        Self::on(Disk::new(), seed, reach)
    }

    fn on(disk: Disk, seed: u64, reach: Reach) -> Self {
        let store = open(&disk, reach);
        Self {
            disk,
            store,
            forest: Forest::new(seed),
            head: 0,
            reach,
        }
    }

    fn move_to(&mut self, target: usize) {
        let batch = self.forest.batch(self.head, target);
        self.store.commit(&batch).unwrap();
        self.head = target;
    }

    fn reopen(&mut self) {
        // The engine locks its files, so the old one has to go first.
        let elsewhere = Disk::new();
        let old = std::mem::replace(&mut self.store, open(&elsewhere, Reach::Window));
        drop(old);
        self.store = open(&self.disk, self.reach);
    }

    fn check(&self) {
        assert_eq!(self.forest.head_of(&self.store), self.head);
        self.forest.check(&self.store, self.reach);
    }
}

fn open(disk: &Disk, reach: Reach) -> RedbStore {
    let medium = Arc::new(Directory::of(&disk.file()));
    RedbStore::open(medium, founding(), Some(reach)).unwrap()
}

fn state_of(ledger: &Ledger) -> State {
    let mut builder = StateBuilder::default();
    for (number, account) in &ledger.accounts {
        builder.account(&Address::from([*number; 20]), account);
    }
    for (number, value) in &ledger.slots {
        builder.slot(&Address::from([1; 20]), &slot(*number), *value);
    }
    builder.finish(&InTurn)
}

/// Short and deep reorgs, also below the checkpoint and back onto its branch, with checkpoints at
/// any distance and starts in between.
pub fn wander(disk: Disk, seed: u64, reach: Reach) {
    let mut world = World::on(disk, seed, reach);
    for round in 0..60 {
        let depth =
            [0, 0, 1, 3, 20][world.forest.below(5)].min(world.forest.chain(world.head).len() - 1);
        let chain = world.forest.chain(world.head);
        let mut at = match world.forest.below(8) {
            0 => world.forest.below(world.forest.tree.len()),
            _ => chain[chain.len() - 1 - depth],
        };
        for _ in 0..world.forest.below(6) {
            at = world.forest.grow(at);
        }
        world.move_to(at);
        match world.forest.below(6) {
            0 => {
                let lag = world.forest.below(5);
                world.store.checkpoint_below(lag).unwrap();
            }
            1 => world.reopen(),
            _ => {}
        }
        if round % 4 == 0 {
            world.check();
        }
    }
    world.reopen();
    world.check();
}

#[test]
fn every_answer_is_the_heads_wherever_the_checkpoint_is() {
    for seed in 0..6 {
        wander(Disk::new(), seed, Reach::Window);
    }
}

#[test]
fn an_archive_answers_at_every_height() {
    for seed in 100..106 {
        wander(Disk::new(), seed, Reach::Archive);
    }
}

/// More blocks than memory may hold in one batch, away and back; then the background's own pace.
#[test]
fn far_heads_are_reached_in_several_checkpoints() {
    let mut world = World::new(7, Reach::Archive);
    let fork = world.forest.grow(0);
    let mut tips = Vec::new();
    for _ in 0..2 {
        let mut at = fork;
        for _ in 0..400 {
            at = world.forest.grow(at);
        }
        tips.push(at);
    }
    for tip in [tips[0], tips[1], tips[0], fork, tips[1]] {
        world.move_to(tip);
        world.check();
    }
    let old = world.store.snapshot().unwrap();
    let before = old.head().unwrap().unwrap();
    for at in 0..200 {
        let next = world.forest.grow(world.head);
        world.move_to(next);
        if at % 40 == 0 {
            world.check();
        }
    }
    let (checkpoint, _) = world.store.state().unwrap();
    assert!(checkpoint.height > before.height, "the background keeps up");
    // A snapshot of before them all is still whole.
    let hash = old.canonical(before.height).unwrap().unwrap();
    let body = old.body(&hash).unwrap().unwrap();
    let place = old.transaction(&hash_of(&body.0[0])).unwrap();
    assert!(place.is_some());
    world.reopen();
    world.check();
}

/// The head leaves the checkpoint's branch and comes back to it: the way by which it left is no
/// measure of how far that is.
#[test]
fn a_head_that_comes_back_to_the_checkpoint_is_reached() {
    for length in (120..=240).step_by(20) {
        let mut world = World::new(8, Reach::Window);
        let fork = world.forest.grow(0);
        let mut ends = [fork; 2];
        for (end, length) in ends.iter_mut().zip([length, 50]) {
            for _ in 0..length {
                *end = world.forest.grow(*end);
            }
        }
        let [long, short] = ends;
        world.move_to(long);
        for tip in [short, long, short, long] {
            world.move_to(tip);
            world.check();
        }
    }
}

/// The state's file is made again from the log where it is missing, or of another log, also as an
/// archive; an archive that is given up and wanted again is whole.
#[test]
fn the_flat_file_can_be_made_again() {
    let mut world = World::new(9, Reach::Window);
    for _ in 0..300 {
        let next = world.forest.grow(world.head);
        world.move_to(next);
    }
    world.store.checkpoint_below(2).unwrap();
    let elsewhere = Disk::new();
    drop(std::mem::replace(
        &mut world.store,
        open(&elsewhere, Reach::Window),
    ));
    let file = world.disk.flat_file();
    let saved = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    for reach in [Reach::Archive, Reach::Window, Reach::Archive] {
        world.reach = reach;
        world.reopen();
        world.check();
    }
    let mut other = World::new(10, Reach::Window);
    let next = other.forest.grow(0);
    other.move_to(next);
    drop(std::mem::replace(
        &mut other.store,
        open(&elsewhere_of(), Reach::Window),
    ));
    fs::write(other.disk.flat_file(), saved).unwrap();
    other.store = open(&other.disk, Reach::Window);
    other.check();
}

/// A copy of the log from before its checkpoint's block was executed, beside the later state.
#[test]
fn a_state_later_than_its_log_is_made_again() {
    let mut world = World::new(11, Reach::Window);
    let first = world.forest.grow(0);
    world.move_to(first);
    let next = world.forest.grow(first);
    let block = world.forest.tree[next].block.clone();
    world.store.commit(&joined(&[&block])).unwrap();
    let elsewhere = Disk::new();
    let other = open(&elsewhere, Reach::Window);
    drop(std::mem::replace(&mut world.store, other));
    let old_log = fs::read(world.disk.file()).unwrap();
    world.reopen();
    world.move_to(next);
    world.store.checkpoint_below(0).unwrap();
    assert_eq!(world.store.state().unwrap().0, id(&block));
    let other = open(&elsewhere_of(), Reach::Window);
    drop(std::mem::replace(&mut world.store, other));
    fs::write(world.disk.file(), old_log).unwrap();
    world.reopen();
    world.head = first;
    let checkpoint = world.store.state().unwrap().0;
    assert!(
        checkpoint.height <= 1,
        "not of a block that the log has not executed"
    );
    world.check();
}

fn elsewhere_of() -> Disk {
    Disk::new()
}
