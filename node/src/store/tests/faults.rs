//! A disk that loses, tears and reorders what was not synced, dies at every operation, refuses
//! every operation, and does so again while the store recovers.
//!
//! Threats S1, S2, S3, S5 and S6. What was acknowledged is there afterwards, or that and the batch
//! that was under way; nothing else, and never half of it.

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use chain::{Batch, Mended, Reader, Store};
use redb::StorageBackend;

use super::{
    super::{
        RedbStore,
        disk::{Medium, Part, Presence},
        merge::Reach,
    },
    checkpoints::Forest,
    founding,
};

/// What a disk writes as a whole.
const SECTOR: usize = 512;

#[derive(Clone, Debug)]
enum Change {
    Write(u64, Vec<u8>),
    Length(u64),
}

/// A file: what is on the disk for sure, what was asked since, and what a reader sees.
#[derive(Clone, Debug, Default)]
struct Image {
    durable: Vec<u8>,
    pending: Vec<Change>,
    seen: Vec<u8>,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The power goes: this operation and all later ones fail.
    Power,
    /// No room, until there is again. Half of the write that fails is done.
    Full,
    /// A sync fails, once.
    Sync,
}

#[derive(Clone, Debug, Default)]
struct State {
    files: Vec<Image>,
    names: BTreeMap<Part, usize>,
    made: BTreeMap<Part, usize>,
    operations: usize,
    fault: Option<(usize, Fault)>,
    random: u64,
}

/// A disk's state, which its files and whoever looks at it share.
type Shared = Mutex<State>;

/// A disk in memory.
#[derive(Clone, Debug, Default)]
struct Sim(Arc<Shared>);

#[derive(Debug)]
struct Handle {
    disk: Sim,
    file: usize,
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Length(length) => bytes.resize(usize::try_from(*length).unwrap(), 0),
        Change::Write(offset, data) => {
            let at = usize::try_from(*offset).unwrap();
            if bytes.len() < at + data.len() {
                bytes.resize(at + data.len(), 0);
            }
            bytes[at..at + data.len()].copy_from_slice(data);
        }
    }
}

impl State {
    fn below(&mut self, end: usize) -> usize {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.random >> 33).unwrap() % end
    }

    /// Counts an operation that changes something; an error if it is to fail.
    fn operate(&mut self, is_sync: bool) -> io::Result<()> {
        self.operations += 1;
        let Some((at, fault)) = self.fault else {
            return Ok(());
        };
        if self.operations <= at {
            return Ok(());
        }
        match fault {
            Fault::Power => Err(io::Error::other("the power is gone")),
            Fault::Full if is_sync => Ok(()),
            Fault::Full => Err(io::ErrorKind::StorageFull.into()),
            Fault::Sync if is_sync => {
                self.fault = None;
                Err(io::Error::other("the disk failed"))
            }
            Fault::Sync => Ok(()),
        }
    }

    /// What a file is after the power was gone: of what was not synced, some is lost, some is
    /// there in part, and the order is any.
    fn torn(&mut self, file: usize) -> Image {
        let Image {
            mut durable,
            mut pending,
            ..
        } = self.files[file].clone();
        for at in (1..pending.len()).rev() {
            let other = self.below(at + 1);
            pending.swap(at, other);
        }
        for change in &pending {
            match (self.below(3), change) {
                (0, _) => {}
                (1, Change::Write(offset, data)) => {
                    for (number, sector) in (0_u64..).zip(data.chunks(SECTOR)) {
                        if self.below(2) == 0 {
                            let at = offset + number * 512;
                            apply(&mut durable, &Change::Write(at, sector.to_vec()));
                        }
                    }
                }
                _ => apply(&mut durable, change),
            }
        }
        Image {
            seen: durable.clone(),
            durable,
            pending: Vec::new(),
        }
    }
}

impl Sim {
    fn failing(mut state: State, at: usize, fault: Fault) -> Self {
        state.fault = Some((state.operations + at, fault));
        Self(Arc::new(Mutex::new(state)))
    }

    /// The disk as a new process finds it after the power was gone.
    fn after_crash(&self, seed: u64) -> State {
        let mut state = self.0.lock().unwrap().clone();
        (state.random, state.fault) = (seed, None);
        state.operations = 0;
        for file in 0..state.files.len() {
            state.files[file] = state.torn(file);
        }
        state.made.clear();
        state
    }

    /// Room again, or nothing more that fails.
    fn heal(&self) {
        self.0.lock().unwrap().fault = None;
    }

    fn operations(&self) -> usize {
        self.0.lock().unwrap().operations
    }

    fn has_failed(&self) -> bool {
        let state = self.0.lock().unwrap();
        state.fault.is_none_or(|(at, _)| state.operations > at)
    }
}

impl Medium for Sim {
    fn path(&self, part: Part) -> PathBuf {
        PathBuf::from(format!("{part:?}"))
    }

    fn presence(&self, part: Part) -> io::Result<Presence> {
        let state = self.0.lock().unwrap();
        Ok(match state.names.get(&part) {
            None => Presence::Absent,
            Some(file) if state.files[*file].seen.is_empty() => Presence::Empty,
            Some(_) => Presence::There,
        })
    }

    fn make(&self, part: Part) -> io::Result<Box<dyn StorageBackend>> {
        let mut state = self.0.lock().unwrap();
        state.operate(false)?;
        state.files.push(Image::default());
        let file = state.files.len() - 1;
        state.made.insert(part, file);
        let disk = self.clone();
        Ok(Box::new(Handle { disk, file }))
    }

    fn keep(&self, part: Part) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        let file = state.made[&part];
        // Where the power goes here, the name may be there or not.
        let done = state.operate(false);
        if done.is_ok() || state.operations.is_multiple_of(2) {
            state.names.insert(part, file);
        }
        done
    }

    fn open(&self, part: Part) -> io::Result<Box<dyn StorageBackend>> {
        let file = self.0.lock().unwrap().names[&part];
        let disk = self.clone();
        Ok(Box::new(Handle { disk, file }))
    }

    fn probe(&self) -> io::Result<()> {
        self.0.lock().unwrap().operate(false)
    }
}

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        let state = self.disk.0.lock().unwrap();
        Ok(u64::try_from(state.files[self.file].seen.len()).unwrap())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.disk.0.lock().unwrap();
        let at = usize::try_from(offset).unwrap();
        let bytes = state.files[self.file].seen.get(at..at + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock().unwrap();
        state.operate(false)?;
        let image = &mut state.files[self.file];
        apply(&mut image.seen, &Change::Length(length));
        image.pending.push(Change::Length(length));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.0.lock().unwrap();
        state.operate(true)?;
        let image = &mut state.files[self.file];
        image.pending.clear();
        image.durable.clone_from(&image.seen);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.disk.0.lock().unwrap();
        let done = state.operate(false);
        let count = if done.is_ok() {
            data.len()
        } else {
            data.len() / 2
        };
        let image = &mut state.files[self.file];
        let change = Change::Write(offset, data[..count].to_vec());
        apply(&mut image.seen, &change);
        image.pending.push(change);
        done
    }
}

/// What a store is made to do.
enum Act {
    /// A batch, and the head after it.
    Commit(Box<Batch>, usize),
    /// A checkpoint so many blocks below the head.
    Checkpoint(usize),
}

/// A few blocks, a checkpoint, a reorg below it, another checkpoint, and back. Bodies are as long
/// as to take several pieces.
fn scenario() -> (Forest, Vec<Act>) {
    let mut forest = Forest::new(5);
    forest.padding = 5_000;
    let mut acts = Vec::new();
    let mut head = 0;
    let mut go = |forest: &mut Forest, acts: &mut Vec<Act>, to| {
        acts.push(Act::Commit(Box::new(forest.batch(head, to)), to));
        head = to;
    };
    let a1 = forest.grow(0);
    go(&mut forest, &mut acts, a1);
    let a2 = forest.grow(a1);
    let a3 = forest.grow(a2);
    go(&mut forest, &mut acts, a3);
    acts.push(Act::Checkpoint(0));
    let b2 = forest.grow(a1);
    let b3 = forest.grow(b2);
    let b4 = forest.grow(b3);
    go(&mut forest, &mut acts, b4);
    acts.push(Act::Checkpoint(1));
    go(&mut forest, &mut acts, a2);
    acts.push(Act::Checkpoint(0));
    (forest, acts)
}

fn open(disk: &Sim) -> Option<RedbStore> {
    RedbStore::open(Arc::new(disk.clone()), founding(), Some(Reach::Archive)).ok()
}

/// Runs a scenario until something fails; the heads that were acknowledged, and the one that was
/// under way.
fn run(store: &mut RedbStore, acts: &[Act]) -> (usize, Option<usize>) {
    let mut acked = 0;
    for act in acts {
        match act {
            Act::Commit(batch, head) => match store.commit(batch) {
                Ok(()) => acked = *head,
                Err(_) => return (acked, Some(*head)),
            },
            Act::Checkpoint(lag) => {
                if store.checkpoint_below(*lag).is_err() {
                    return (acked, None);
                }
            }
        }
    }
    (acked, None)
}

/// A store on a disk after a crash is whole, and goes on.
fn assert_recovers(forest: &Forest, state: State, acked: usize, under_way: Option<usize>) {
    let mut forest = forest.clone();
    let disk = Sim(Arc::new(Mutex::new(state)));
    let mut store = open(&disk).expect("a store that was acknowledged opens");
    let head = forest.head_of(&store);
    assert!(
        head == acked || Some(head) == under_way,
        "{head}, not {acked}"
    );
    forest.check(&store, Reach::Archive);
    let next = forest.grow(head);
    let batch = forest.batch(head, next);
    store.commit(&batch).unwrap();
    store.checkpoint_below(0).unwrap();
    forest.check(&store, Reach::Archive);
}

/// Seeds of tears at each operation.
fn tears() -> u64 {
    let text = std::env::var("TEARS").ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(2)
}

/// The number of operations of the whole scenario.
fn length(acts: &[Act]) -> usize {
    let disk = Sim::default();
    let mut store = open(&disk).unwrap();
    assert!(run(&mut store, acts).1.is_none());
    disk.operations()
}

#[test]
fn the_power_may_go_at_every_operation() {
    let (forest, acts) = scenario();
    let length = length(&acts);
    assert!(length > 50, "only {length} operations");
    for at in 0..length {
        let disk = Sim::failing(State::default(), at, Fault::Power);
        let ended = open(&disk).map(|mut store| run(&mut store, &acts));
        let (acked, under_way) = ended.unwrap_or((0, None));
        for seed in 0..tears() {
            let state = disk.after_crash(seed);
            assert_recovers(&forest, state.clone(), acked, under_way);
            // And again while it recovers.
            let second = Sim::failing(state, usize::try_from(seed).unwrap() % 9, Fault::Power);
            drop(open(&second));
            let state = second.after_crash(seed + 1_000);
            assert_recovers(&forest, state, acked, under_way);
        }
    }
}

/// Threat S5: every operation in turn finds no room; readers go on, and so does the store once
/// there is room.
#[test]
fn a_full_disk_is_mended_at_every_operation() {
    let (forest, acts) = scenario();
    let begin = {
        let disk = Sim::default();
        drop(open(&disk).unwrap());
        disk.operations()
    };
    for at in begin..length(&acts) {
        let disk = Sim::failing(State::default(), at, Fault::Full);
        let mut store = open(&disk).unwrap();
        let before = store.snapshot().unwrap();
        let mut head = 0;
        for act in &acts {
            let outcome = match act {
                Act::Commit(batch, _) => store.commit(batch).map_err(|error| error.to_string()),
                Act::Checkpoint(lag) => {
                    let made = store.checkpoint_below(*lag);
                    made.map_err(|located| format!("{located:?}"))
                }
            };
            if let Act::Commit(_, to) = act
                && outcome.is_ok()
            {
                head = *to;
            }
            let Err(told) = outcome else { continue };
            assert!(disk.has_failed());
            assert!(told.contains("free some space"), "{told}");
            // What there was is still shown.
            assert_eq!(before.head().unwrap().map(|id| id.height), Some(0));
            forest.check(&store, Reach::Archive);
            assert_eq!(forest.head_of(&store), head);
            assert!(matches!(store.mend(), Mended::NotYet(_)));
            disk.heal();
            assert_eq!(store.mend(), Mended::Ready);
            if let Act::Commit(batch, to) = act {
                store.commit(batch).unwrap();
                head = *to;
            }
        }
        assert_eq!(forest.head_of(&store), head);
        forest.check(&store, Reach::Archive);
    }
}

/// Threat S5: what the engine has not read before the disk refused is read afterwards.
#[test]
fn readers_go_on_on_a_full_disk() {
    let mut forest = Forest::new(8);
    let disk = Sim::default();
    let mut store = open(&disk).unwrap();
    let mut tip = 0;
    for _ in 0..120 {
        tip = forest.grow(tip);
    }
    let batch = forest.batch(0, tip);
    store.commit(&batch).unwrap();
    // So that opening it again reads little more than the head.
    store.checkpoint_below(0).unwrap();
    drop(store);
    let mut store = open(&disk).unwrap();
    let next = forest.grow(tip);
    let batch = forest.batch(tip, next);
    {
        let mut state = disk.0.lock().unwrap();
        state.fault = Some((state.operations, Fault::Full));
    }
    assert!(store.commit(&batch).is_err());
    assert_eq!(forest.head_of(&store), tip);
    forest.check(&store, Reach::Archive);
}

/// Threat S6: nobody asks a second time whether the disk has what it failed to sync.
#[test]
fn a_failed_sync_is_final() {
    let (forest, acts) = scenario();
    for at in 0..length(&acts) {
        let disk = Sim::failing(State::default(), at, Fault::Sync);
        let Some(mut store) = open(&disk) else {
            continue;
        };
        let (acked, under_way) = run(&mut store, &acts);
        if !disk.has_failed() {
            continue;
        }
        let is_log = under_way.is_some();
        if is_log {
            assert!(matches!(store.mend(), Mended::Never(_)), "at {at}");
        }
        drop(store);
        let state = disk.after_crash(1);
        assert_recovers(&forest, state, acked, under_way);
    }
}
