//! Writes a run while it goes on: the core hands each step over, a thread of its own writes.
//!
//! The core never waits for the disk beyond a bounded queue and a bounded patience. What then does not
//! fit, or cannot be written, ends the recording and not the node; the file keeps its whole entries
//! and has no last one, so it does not claim to be complete.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use chain::{
    BlockId, Effect, Input, Root, StoreError, Time, Verdict,
    params::TRANSACTION_MEMORY_BYTES,
    record::{self, Stored, Trace},
};
use tracing::{info, warn};

use super::{
    Preamble, Standing,
    file::{Entry, Writer},
};
use crate::failure::{Exit, Failure};

/// Steps that wait to be written.
const QUEUE: usize = 8 * 1024;
/// Bytes of memory that they keep alive, about.
const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes that are collected for one write.
const BUFFER_BYTES: usize = 256 * 1024;
/// How often the core looks for room in a full queue, a millisecond apart, before it gives up; counted
/// anew once nothing waits any more, so that a disk which is always too slow does not slow the node.
const LOOKS: u32 = 500;

/// A step as the core hands it over.
pub struct Step {
    /// When.
    pub now: Time,
    /// What went in.
    pub input: Input,
    /// What gossip is told.
    pub verdict: Verdict,
    /// What came out, in order.
    pub effects: Vec<Effect>,
}

/// What the writing thread is sent.
enum Item {
    Step(Box<Step>),
    End(BlockId, Root),
}

/// The core's end of a recording.
pub struct Recorder {
    path: PathBuf,
    /// None once the recording has ended.
    items: Option<SyncSender<(usize, Item)>>,
    /// Bytes that wait.
    waiting: Arc<AtomicUsize>,
    looks: u32,
    writer: Option<JoinHandle<()>>,
}

impl Recorder {
    /// Begins a file, which must not exist, with all of the store that the core ever reads. It is
    /// its owner's alone, since it holds the node's salt.
    pub fn start(
        path: &Path,
        preamble: Preamble,
        stored: impl Iterator<Item = Result<Stored, StoreError>>,
    ) -> Result<Self, Failure> {
        let open = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path);
        let file = open.map_err(|error| refused(path, &error))?;
        let out = BufWriter::with_capacity(BUFFER_BYTES, file);
        let recorder = Self::to(path, out, preamble, stored)?;
        info!(file = %path.display(), "recording");
        Ok(recorder)
    }

    /// Records into anything; the path is only named.
    fn to(
        path: &Path,
        out: impl Write + Send + 'static,
        preamble: Preamble,
        stored: impl Iterator<Item = Result<Stored, StoreError>>,
    ) -> Result<Self, Failure> {
        let failed = |error: io::Error| refused(path, &error);
        let mut file = Writer::new(out, preamble).map_err(failed)?;
        for block in stored {
            let block = block.map_err(|error| Failure::new(Exit::Damaged, error))?;
            file.write(&Entry::Stored(block)).map_err(failed)?;
        }
        file.flush().map_err(failed)?;
        let (items, queue) = sync_channel(QUEUE);
        let waiting = Arc::<AtomicUsize>::default();
        let (place, count) = (path.to_owned(), Arc::clone(&waiting));
        let write = move || {
            if let Err(error) = write(file, &queue, &count) {
                let path = place.display();
                warn!("the recording {path} has ended, its disk failed: {error}; the node goes on");
            }
        };
        let writer = thread::Builder::new()
            .name("recorder".into())
            .spawn(write)?;
        Ok(Self {
            path: path.to_owned(),
            items: Some(items),
            waiting,
            looks: LOOKS,
            writer: Some(writer),
        })
    }

    /// Whether steps are still wanted.
    pub fn is_on(&self) -> bool {
        self.items.is_some()
    }

    /// Hands a step over.
    pub fn step(&mut self, step: Step) {
        let weight = weight(&step);
        self.send(weight, Item::Step(Box::new(step)));
    }

    /// Ends the recording in order, at this head, and waits until all is written.
    pub fn end(mut self, head: BlockId, root: Root) {
        self.send(0, Item::End(head, root));
    }

    fn send(&mut self, weight: usize, item: Item) {
        let Some(items) = &self.items else { return };
        let mut item = (weight, item);
        if self.waiting.load(Ordering::Relaxed) == 0 {
            self.looks = LOOKS;
        }
        while self.looks > 0 {
            if self.waiting.load(Ordering::Relaxed) <= QUEUE_BYTES_MAX {
                self.waiting.fetch_add(weight, Ordering::Relaxed);
                match items.try_send(item) {
                    Ok(()) => return,
                    // The writer has said why.
                    Err(TrySendError::Disconnected(_)) => {
                        self.items = None;
                        return;
                    }
                    Err(TrySendError::Full(back)) => item = back,
                }
                self.waiting.fetch_sub(weight, Ordering::Relaxed);
            }
            self.looks -= 1;
            thread::sleep(Duration::from_millis(1));
        }
        self.items = None;
        let path = self.path.display();
        warn!("the recording {path} has ended, its disk did not keep up; the node goes on");
    }
}

impl Drop for Recorder {
    /// What was handed over is written before the process may end.
    fn drop(&mut self) {
        self.items = None;
        if let Some(writer) = self.writer.take() {
            // A panic of the writer has been told already.
            let _ = writer.join();
        }
    }
}

fn refused(path: &Path, error: &io::Error) -> Failure {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::AlreadyExists => {
            let what = format!("--record {path}: the file exists; give another name");
            Failure::new(Exit::Usage, what)
        }
        _ => Failure::new(Exit::Other, format!("--record {path}: {error}")),
    }
}

/// Writes until the core has no more. Where nothing waits, all goes to the operating system, so that
/// a killed process leaves all but its last moment.
fn write(
    mut file: Writer<impl Write>,
    queue: &Receiver<(usize, Item)>,
    waiting: &AtomicUsize,
) -> io::Result<()> {
    let mut trace = Trace::default();
    loop {
        let next = match queue.try_recv() {
            Err(TryRecvError::Empty) => {
                file.flush()?;
                queue.recv().ok()
            }
            next => next.ok(),
        };
        let Some((weight, item)) = next else {
            return file.flush();
        };
        match item {
            Item::Step(step) => {
                let bytes = record::encode_step(step.now, &step.input);
                let trace = trace.add(&bytes, step.verdict, &step.effects).prefix();
                file.write(&Entry::Step { trace, bytes })?;
            }
            Item::End(head, root) => file.write(&Entry::End(Standing::at(head, root, &trace)))?,
        }
        waiting.fetch_sub(weight, Ordering::Relaxed);
    }
}

/// Bytes of memory that a step keeps alive while it waits, about.
fn weight(step: &Step) -> usize {
    let transaction = |it: &chain::CheckedTransaction| it.bytes().len() + TRANSACTION_MEMORY_BYTES;
    let input = match &step.input {
        Input::Block { block, .. } => block.memory(),
        Input::Headers { headers, .. } => headers.len() * 1_024,
        Input::Transactions { transactions, .. } | Input::Journal { transactions, .. } => {
            transactions.iter().map(transaction).sum()
        }
        _ => 1_024,
    };
    let effects = step.effects.iter().map(|effect| match effect {
        Effect::Commit(batch) => batch.executed.iter().map(executed).sum(),
        _ => 256,
    });
    input + effects.sum::<usize>()
}

fn executed(block: &chain::store::ExecutedBlock) -> usize {
    let (changes, receipts) = (&block.changes, &block.receipts);
    let codes = changes.codes.iter().map(|code| code.bytes.len());
    let logs = receipts.iter().flat_map(|receipt| &receipt.logs);
    let logs = logs.map(|log| 128 + log.data.len());
    let items = changes.accounts.len() + changes.slots.len() + receipts.len();
    items * 192 + codes.sum::<usize>() + logs.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, SeekFrom};

    use super::{super::file::Reader, *};

    /// A disk that takes so many bytes and then fails.
    struct Disk {
        file: File,
        room: usize,
        /// The first step waits until the other end is gone.
        hold: Option<Receiver<()>>,
        is_begun: bool,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if let Some(hold) = self.hold.take_if(|_| self.is_begun) {
                let _ = hold.recv();
            }
            let full = || io::Error::from(io::ErrorKind::StorageFull);
            self.room = self.room.checked_sub(bytes.len()).ok_or_else(full)?;
            self.file.write_all(bytes)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            self.is_begun = true;
            Ok(())
        }
    }

    /// A recording on such a disk, and its file.
    fn on_disk(room: usize, hold: Option<Receiver<()>>) -> (Recorder, File) {
        let file = tempfile::tempfile().unwrap();
        let disk = Disk {
            file: file.try_clone().unwrap(),
            room,
            hold,
            is_begun: false,
        };
        let recorder = Recorder::to(Path::new("x"), disk, preamble(), empty());
        (recorder.unwrap(), file)
    }

    fn preamble() -> Preamble {
        Preamble {
            lignum: String::new(),
            network: String::new(),
            genesis: String::new(),
            spec: String::new(),
            min_chain_work: String::new(),
            salt: 0,
            blocks: 0,
            head: String::new(),
        }
    }

    fn empty() -> impl Iterator<Item = Result<Stored, StoreError>> {
        std::iter::empty()
    }

    fn tick(ms: u64) -> Step {
        Step {
            now: Time {
                unix_secs: 1,
                monotonic_ms: ms,
            },
            input: Input::Tick,
            verdict: Verdict::Ignore,
            effects: vec![Effect::Continue],
        }
    }

    fn entries(mut file: File) -> Vec<Entry> {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        let mut reader = Reader::new(&bytes[..]).unwrap();
        std::iter::from_fn(|| reader.next().unwrap()).collect()
    }

    #[test]
    fn all_steps_and_the_end_are_written_before_the_recorder_is_gone() {
        let (mut recorder, file) = on_disk(usize::MAX, None);
        (0..100).for_each(|ms| recorder.step(tick(ms)));
        recorder.end(BlockId::default(), Root::default());
        let found = entries(file);
        assert_eq!(found.len(), 102);
        let mut trace = Trace::default();
        for (ms, entry) in (0..).zip(&found[1..101]) {
            let step = tick(ms);
            let bytes = record::encode_step(step.now, &step.input);
            let trace = trace.add(&bytes, step.verdict, &step.effects).prefix();
            assert_eq!(*entry, Entry::Step { trace, bytes });
        }
        let last = Standing::at(BlockId::default(), Root::default(), &trace);
        assert_eq!(found[101], Entry::End(last));
    }

    #[test]
    fn a_full_disk_ends_the_recording_and_the_file_does_not_claim_an_end() {
        let (mut recorder, file) = on_disk(2_000, None);
        let mut ms = 0;
        while recorder.is_on() {
            recorder.step(tick(ms));
            ms += 1;
        }
        recorder.step(tick(ms));
        recorder.end(BlockId::default(), Root::default());
        let found = entries(file);
        assert!(
            matches!(found.last(), Some(Entry::Step { .. })),
            "{found:?}"
        );
    }

    #[test]
    fn a_disk_that_does_not_keep_up_ends_the_recording_and_holds_up_nobody() {
        let (release, hold) = sync_channel(0);
        let (mut recorder, file) = on_disk(usize::MAX, Some(hold));
        let mut ms = 0;
        while recorder.is_on() {
            recorder.step(tick(ms));
            ms += 1;
        }
        drop(release);
        recorder.end(BlockId::default(), Root::default());
        let found = entries(file);
        // One was being written.
        assert!(
            found.len() >= QUEUE && found.len() <= QUEUE + 2,
            "{}",
            found.len()
        );
        assert!(matches!(found.last(), Some(Entry::Step { .. })));
    }

    #[test]
    fn no_file_is_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run");
        drop(Recorder::start(&path, preamble(), empty()).unwrap());
        let before = std::fs::read(&path).unwrap();
        let failure = Recorder::start(&path, preamble(), empty()).err().unwrap();
        assert_eq!(failure.code(), Exit::Usage as u8);
        assert!(failure.to_string().contains("exists"), "{failure}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}
