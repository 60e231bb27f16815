//! A recorded run once more: the same core on a store in memory, held against the recording step by
//! step. Nothing in a file is trusted: blocks, headers and transactions of the steps are checked as
//! those of peers are, and the state of the store it starts with must have its head's root.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::Path,
    sync::Arc,
};

use chain::{
    Batch, BlockHash, BlockId, ChainSpec, CheckedHeader, Effect, Header, MemoryStore, Node,
    Reader as _, Store, StoreError, U256,
    record::{self, Stored, Trace},
};
use rayon::prelude::*;
use state::Evm;

use super::{
    Preamble, Standing,
    file::{Entry, FileError, Reader},
};
use crate::failure::{Exit, Failure};

/// Steps that are read and checked at a time, in parallel.
const STEPS_AT_A_TIME: usize = 256;
/// Bytes of them after which no more are read at a time.
const BYTES_AT_A_TIME: usize = 16 * 1024 * 1024;

/// How a replay came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// At the recording's own end, which says the same.
    Whole,
    /// At the last whole entry of a recording without an end.
    Cut,
    /// Where it was told to stop.
    Until,
}

/// A replay that agreed with its recording.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// What the recording says of itself.
    pub preamble: Preamble,
    /// Where the run came to.
    pub standing: Standing,
    /// Why it went no further.
    pub ending: Ending,
}

/// A step as it was read.
struct Recorded {
    trace: [u8; 8],
    bytes: Vec<u8>,
}

/// A run that goes on.
struct Run<R> {
    preamble: Preamble,
    entries: Reader<R>,
    spec: Arc<ChainSpec>,
    node: Node<Evm>,
    store: MemoryStore,
    trace: Trace,
    end: Option<Standing>,
}

/// Runs a recording again, to its end or for the first `until` steps. `progress` is told where the
/// run stands each time that some steps are done.
pub fn replay(
    path: &Path,
    until: Option<u64>,
    progress: impl FnMut(&Standing),
) -> Result<Replayed, Failure> {
    let opened = File::open(path).map_err(|error| Trouble::File(FileError::Io(error)));
    let read = |file| BufReader::with_capacity(1024 * 1024, file);
    let replayed = opened.and_then(|file| replay_all(read(file), until, progress));
    replayed.map_err(|trouble| trouble.of(path))
}

fn replay_all(
    input: impl Read,
    until: Option<u64>,
    mut progress: impl FnMut(&Standing),
) -> Result<Replayed, Trouble> {
    let mut run = Run::open(input)?;
    let until = until.unwrap_or(u64::MAX);
    let mut left = true;
    while left && run.trace.steps() < until {
        left = run.go_on(until)?;
        progress(&run.standing());
    }
    let standing = run.standing();
    let ending = match &run.end {
        _ if left => Ending::Until,
        None => Ending::Cut,
        Some(end) if *end == standing => Ending::Whole,
        Some(end) => {
            let what = format!("the recording ends at {end:?}, this run at {standing:?}");
            return Err(Trouble::Differs(what));
        }
    };
    Ok(Replayed {
        preamble: run.preamble,
        standing,
        ending,
    })
}

/// Why a replay did not come to its end.
#[derive(Debug)]
enum Trouble {
    /// The file.
    File(FileError),
    /// What is in it.
    Content(String),
    /// The run is another than the recorded one.
    Differs(String),
}

impl From<FileError> for Trouble {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

impl Trouble {
    fn of(self, path: &Path) -> Failure {
        let path = path.display();
        match self {
            Self::File(FileError::Io(error)) => {
                Failure::new(Exit::Usage, format!("cannot read {path}: {error}"))
            }
            Self::File(error) => Failure::new(Exit::Damaged, format!("{path}: {error}")),
            Self::Content(what) => Failure::new(Exit::Damaged, format!("{path}: {what}")),
            Self::Differs(what) => Failure::new(Exit::Other, format!("{path}: {what}")),
        }
    }
}

fn content(what: impl std::fmt::Display) -> Trouble {
    Trouble::Content(what.to_string())
}

impl<R: Read> Run<R> {
    /// Reads all that comes before the first step.
    fn open(input: R) -> Result<Self, Trouble> {
        let mut entries = Reader::new(input)?;
        let Some(Entry::Preamble(preamble)) = entries.next()? else {
            return Err(content("the recording ends before its first step"));
        };
        let spec = ChainSpec::parse(&preamble.spec).map_err(content)?.spec;
        let genesis = Node::genesis(&spec, &Evm::new()).0.header;
        if genesis.hash().to_string() != preamble.genesis {
            return Err(content(format!(
                "its network has genesis {}, which this program ({}) makes {}; lignum {} \
                 recorded it",
                preamble.genesis,
                env!("CARGO_PKG_VERSION"),
                genesis.hash(),
                preamble.lignum,
            )));
        }
        let spec = Arc::new(spec);
        let store = read_store(&mut entries, &preamble, &spec, &genesis)?;
        let snapshot = store.snapshot().map_err(content)?;
        let mut node = Node::open(Arc::clone(&spec), Evm::new(), &snapshot).map_err(content)?;
        node.set_salt(preamble.salt);
        let digits = preamble.min_chain_work.trim_start_matches("0x");
        node.set_min_chain_work(U256::from_str_radix(digits, 16).map_err(content)?);
        Ok(Self {
            preamble,
            entries,
            spec,
            node,
            store,
            trace: Trace::default(),
            end: None,
        })
    }

    fn standing(&self) -> Standing {
        Standing::of(&self.node, &self.trace)
    }

    /// Takes some steps. False where the recording has no more.
    fn go_on(&mut self, until: u64) -> Result<bool, Trouble> {
        let wanted = until.saturating_sub(self.trace.steps());
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        let (mut steps, mut bytes, mut left) = (Vec::new(), 0, true);
        while left && steps.len() < wanted.min(STEPS_AT_A_TIME) && bytes < BYTES_AT_A_TIME {
            left = match self.entries.next()? {
                Some(Entry::Step { trace, bytes: step }) => {
                    bytes += step.len();
                    steps.push(Recorded { trace, bytes: step });
                    true
                }
                Some(Entry::End(standing)) => {
                    self.end = Some(standing);
                    self.nothing_follows()?
                }
                Some(_) => return Err(content("an entry of its beginning stands among its steps")),
                None => false,
            };
        }
        let read = |step: &Recorded| record::decode_step(&step.bytes, &self.spec);
        let inputs: Vec<_> = steps.par_iter().map(read).collect();
        for (recorded, input) in steps.iter().zip(inputs) {
            let number = self.trace.steps().saturating_add(1);
            let (now, input) =
                input.map_err(|error| content(format!("step {number} is no step: {error}")))?;
            self.step(number, recorded, now, input)?;
        }
        Ok(left)
    }

    fn nothing_follows(&mut self) -> Result<bool, Trouble> {
        match self.entries.next()? {
            None => Ok(false),
            Some(_) => Err(content("entries follow the recording's end")),
        }
    }

    fn step(
        &mut self,
        number: u64,
        recorded: &Recorded,
        now: chain::Time,
        input: chain::Input,
    ) -> Result<(), Trouble> {
        let kind = name(&input);
        let mut effects = Vec::new();
        let failed = |error: StoreError| {
            Trouble::Differs(format!("step {number} ({kind}) fails here: {error}"))
        };
        let snapshot = self.store.snapshot().map_err(failed)?;
        let verdict = self
            .node
            .step(now, input, &snapshot, &mut effects)
            .map_err(failed)?;
        // A store without readers is changed in its place.
        drop(snapshot);
        for effect in &effects {
            if let Effect::Commit(batch) = effect {
                self.store.commit(batch).map_err(failed)?;
            }
        }
        let trace = self.trace.add(&recorded.bytes, verdict, &effects);
        if trace.prefix() == recorded.trace {
            return Ok(());
        }
        let effects: Vec<_> = effects.iter().map(name).collect();
        Err(Trouble::Differs(format!(
            "step {number} ({kind}) is the first that differs from the recording: here it gives \
             {verdict:?} and [{}]; lignum {} recorded, this is {}",
            effects.join(", "),
            self.preamble.lignum,
            env!("CARGO_PKG_VERSION"),
        )))
    }
}

/// The name of a variant.
fn name(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    let name = text.split([' ', '(', '{']).next();
    name.unwrap_or_default().to_owned()
}

/// The store on which the recorded node was opened.
fn read_store(
    entries: &mut Reader<impl Read>,
    preamble: &Preamble,
    spec: &ChainSpec,
    genesis: &Header,
) -> Result<MemoryStore, Trouble> {
    let mut store = MemoryStore::default();
    for number in 0..preamble.blocks {
        let Some(Entry::Stored(block)) = entries.next()? else {
            let want = preamble.blocks;
            return Err(content(format!(
                "the recording ends before its first step: it has {number} blocks of the store it \
                 starts with, wanted {want}"
            )));
        };
        check_stored(&store, &block, spec, genesis)?;
        store.commit(&block.batch()).map_err(content)?;
    }
    let head: BlockHash = preamble.head.parse().map_err(content)?;
    let chain = best_chain(&store, head).map_err(content)?;
    let batch = Batch {
        head: chain.last().copied(),
        canonical: chain.iter().map(|id| (id.height, Some(id.hash))).collect(),
        ..Batch::default()
    };
    store.commit(&batch).map_err(content)?;
    Ok(store)
}

/// That a block of the recorded store is genesis, or has the work that it claims and its place above
/// a block that is there: what the core takes for granted of its store.
fn check_stored(
    store: &MemoryStore,
    block: &Stored,
    spec: &ChainSpec,
    genesis: &Header,
) -> Result<(), Trouble> {
    if *block.header == *genesis {
        return Ok(());
    }
    let (hash, extension) = (block.id().hash, &block.header.extension);
    let bad = |what: &dyn std::fmt::Display| content(format!("stored block {hash}: {what}"));
    let header = Header::clone(&block.header);
    let checked = CheckedHeader::check(header, spec).map_err(|error| bad(&error))?;
    let db = store.snapshot().map_err(content)?;
    let parent = db.header(&block.header.pow.parent).map_err(content)?;
    let parent = parent.ok_or_else(|| bad(&"its parent is not there"))?;
    let height = parent.extension.height.checked_add(1);
    let chain_work = parent.extension.chain_work.checked_add(checked.work());
    if (height, chain_work) != (Some(extension.height), Some(extension.chain_work)) {
        return Err(bad(
            &"its height or chain work does not follow its parent's",
        ));
    }
    Ok(())
}

/// The blocks from genesis to a head.
fn best_chain(store: &MemoryStore, head: BlockHash) -> Result<Vec<BlockId>, StoreError> {
    let db = store.snapshot()?;
    let mut chain = Vec::new();
    let mut hash = head;
    loop {
        let missing = || StoreError(format!("no header for block {hash} of its best chain"));
        let header = db.header(&hash)?.ok_or_else(missing)?;
        let height = header.extension.height;
        chain.push(BlockId { height, hash });
        if height == 0 {
            chain.reverse();
            return Ok(chain);
        }
        hash = header.pow.parent;
    }
}

#[cfg(test)]
mod tests {
    use chain::{
        CheckedBlock, CheckedTransaction, Fault, Input, Peer, Ticket, Time,
        template::{self, TemplateOptions},
    };

    use super::{super::file::Writer, *};

    const STEPS: u64 = 6;

    fn input(number: u64, node: &Node<Evm>) -> Input {
        let transfer = wallet::sign::Transfer {
            chain_id: 1338,
            nonce: number,
            to: chain::Address::repeat_byte(7),
            value: 1,
            gas_limit: 21_000,
            max_fee: 4_000_000_000,
            tip: 1_000_000_000,
            input: Vec::new(),
        };
        let bytes = wallet::sign::sign_transfer(&wallet::dev_key(0), &transfer);
        match number {
            0 | 1 => Input::Submitted {
                ticket: Ticket(number),
                transaction: CheckedTransaction::check(&bytes, 1338).unwrap(),
            },
            2 => Input::Connected(Peer(1)),
            3 => Input::Refused {
                from: Peer(1),
                hash: None,
                fault: Fault::InvalidBlock,
            },
            4 => Input::Block {
                from: Some(Peer(2)),
                block: block(node),
            },
            _ => Input::Continue,
        }
    }

    /// An empty block on the head.
    fn block(node: &Node<Evm>) -> CheckedBlock {
        let (spec, evm) = (node.spec(), Evm::new());
        let options = TemplateOptions {
            beneficiary: chain::Address::repeat_byte(7),
            extra_data: [0; 32],
            now_unix_secs: u64::from(spec.genesis_time) + 1,
        };
        let (parent, state) = (node.template_parent(), node.head_state());
        let built = template::build(spec, &evm, &parent, state, &[], &|_| None, &options);
        let mut block = built.unwrap();
        // On regtest, one hash in two meets the target.
        loop {
            match CheckedBlock::check(block.clone(), spec) {
                Ok(checked) => return checked,
                Err(_) => block.header.pow.nonce += 1,
            }
        }
    }

    /// A short recording, whose entries may be altered before they are written.
    fn recording(alter: impl Fn(u64, &mut Entry)) -> Vec<u8> {
        recording_of("0x0", alter)
    }

    /// One that claims another setting than it was made with, which is none.
    fn recording_of(min_chain_work: &str, alter: impl Fn(u64, &mut Entry)) -> Vec<u8> {
        let text = ChainSpec::builtin("regtest").unwrap();
        let spec = Arc::new(ChainSpec::parse(text).unwrap().spec);
        let (genesis, batch) = Node::genesis(&spec, &Evm::new());
        let mut store = MemoryStore::default();
        store.commit(&batch).unwrap();
        let db = store.snapshot().unwrap();
        let mut node = Node::open(Arc::clone(&spec), Evm::new(), &db).unwrap();
        let preamble = Preamble {
            lignum: "0.0.0".into(),
            network: "regtest".into(),
            genesis: genesis.header.hash().to_string(),
            spec: text.into(),
            min_chain_work: min_chain_work.into(),
            salt: 0,
            blocks: 1,
            head: genesis.header.hash().to_string(),
        };
        let mut bytes = Vec::new();
        let mut file = Writer::new(&mut bytes, preamble).unwrap();
        let hash = genesis.header.hash();
        let mut entries = vec![Entry::Stored(Stored {
            header: Arc::new(genesis.header),
            stage: chain::Stage::Executed,
            body: db.body(&hash).unwrap(),
            changes: db.changes(&hash).unwrap(),
        })];
        let mut trace = Trace::default();
        for number in 0..STEPS {
            let now = Time {
                unix_secs: u64::from(spec.genesis_time) + 2,
                monotonic_ms: number,
            };
            let input = input(number, &node);
            let bytes = record::encode_step(now, &input);
            let mut effects = Vec::new();
            let db = store.snapshot().unwrap();
            let verdict = node.step(now, input, &db, &mut effects).unwrap();
            drop(db);
            for effect in &effects {
                if let Effect::Commit(batch) = effect {
                    store.commit(batch).unwrap();
                }
            }
            let trace = trace.add(&bytes, verdict, &effects).prefix();
            entries.push(Entry::Step { trace, bytes });
        }
        entries.push(Entry::End(Standing::of(&node, &trace)));
        for (number, mut entry) in (0..).zip(entries) {
            alter(number, &mut entry);
            file.write(&entry).unwrap();
        }
        bytes
    }

    fn run(bytes: &[u8], until: Option<u64>) -> Result<Replayed, Trouble> {
        replay_all(bytes, until, |_| {})
    }

    #[test]
    fn a_whole_recording_ends_as_it_says_and_stops_where_it_is_told() {
        let whole = recording(|_, _| {});
        let replayed = run(&whole, None).unwrap();
        assert_eq!(
            (replayed.ending, replayed.standing.steps),
            (Ending::Whole, STEPS)
        );
        for until in 0..=STEPS {
            let part = run(&whole, Some(until)).unwrap();
            assert_eq!((part.ending, part.standing.steps), (Ending::Until, until));
        }
        let beyond = run(&whole, Some(STEPS + 1)).unwrap();
        assert_eq!(beyond.standing, replayed.standing);
    }

    #[test]
    fn a_recording_cut_anywhere_is_replayed_as_far_as_it_goes() {
        let whole = recording(|_, _| {});
        let parts: Vec<_> = (0..=STEPS)
            .map(|until| run(&whole, Some(until)).unwrap().standing)
            .collect();
        let mut found = Vec::new();
        for length in 0..whole.len() {
            match run(&whole[..length], None) {
                Ok(cut) => {
                    assert_eq!(cut.ending, Ending::Cut, "{length}");
                    found.push(cut.standing);
                }
                Err(Trouble::Content(what)) => {
                    assert!(
                        what.contains("ends before its first step"),
                        "{length}: {what}"
                    );
                }
                Err(Trouble::File(FileError::Foreign)) if length < 12 => {}
                Err(other) => panic!("{length}: {other:?}"),
            }
        }
        found.dedup();
        assert_eq!(found, parts, "each step is lost at its own length");
    }

    #[test]
    fn no_flipped_bit_is_replayed() {
        let whole = recording(|_, _| {});
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            assert!(run(&flipped, None).is_err(), "byte {at}");
        }
    }

    #[test]
    fn the_first_step_that_differs_is_named() {
        for wrong in 1..=STEPS {
            let altered = recording(|number, entry| {
                if let Entry::Step { trace, .. } = entry
                    && number == wrong
                {
                    trace[0] ^= 1;
                }
            });
            let Err(Trouble::Differs(what)) = run(&altered, None) else {
                panic!("step {wrong} passes");
            };
            assert!(what.contains(&format!("step {wrong} (")), "{what}");
            assert!(run(&altered, Some(wrong - 1)).is_ok());
        }
        let other_end = recording(|_, entry| {
            if let Entry::End(standing) = entry {
                standing.height += 1;
            }
        });
        assert!(matches!(run(&other_end, None), Err(Trouble::Differs(_))));
    }

    /// The fifth step is a block of a peer, with less work than that.
    #[test]
    fn a_replay_has_the_settings_of_the_recording() {
        let replayed = run(&recording(|_, _| {}), None).unwrap();
        assert_eq!(replayed.standing.height, 1);
        let Err(Trouble::Differs(what)) = run(&recording_of("0xffff", |_, _| {}), None) else {
            panic!("the least chain work does not count");
        };
        assert!(what.contains("step 5 (Block)"), "{what}");
    }

    #[test]
    fn well_formed_lies_are_refused() {
        let replaced = |at: u64, with: Entry| {
            let bytes = recording(|number, entry| {
                if number == at {
                    *entry = with.clone();
                }
            });
            match run(&bytes, None) {
                Err(Trouble::Content(what)) => what,
                other => panic!("{other:?}"),
            }
        };
        let step = |bytes: &[u8]| Entry::Step {
            trace: [0; 8],
            bytes: bytes.to_vec(),
        };
        assert!(replaced(0, step(&[])).contains("0 blocks of the store"));
        assert!(replaced(2, step(&[9; 40])).contains("step 2 is no step"));
        let stranger = Stored {
            header: Arc::default(),
            stage: chain::Stage::Header,
            body: None,
            changes: None,
        };
        assert!(replaced(0, Entry::Stored(stranger.clone())).contains("stored block"));
        assert!(replaced(3, Entry::Stored(stranger)).contains("stands among its steps"));
        let end = Standing {
            steps: 0,
            height: 0,
            head: String::new(),
            state_root: String::new(),
            trace: String::new(),
        };
        assert!(replaced(4, Entry::End(end)).contains("entries follow"));
    }
}
