//! `chain`'s store on two files: the log, one durable transaction for each batch, and the flat
//! file, which follows it in the background.
//!
//! Invariants: a commit is in the log as a whole before [`Store::commit`] returns, or not at all;
//! the flat file is always that of some executed block (`flat`), so the log and it may be opened
//! together whatever they went through; after a commit that failed nothing more is written until
//! the store is mended.

use std::{
    fmt,
    sync::Arc,
    thread::{self, JoinHandle},
};

use chain::{
    Batch, BlockId, Mended, Store, StoreError,
    params::{CHECKPOINT_BLOCKS, CHECKPOINT_LAG},
};
use state::State;
use tracing::info;

use super::{
    apply::apply,
    disk::{Medium, Part},
    engine::{Engine, environment},
    flat::{ReadFlat, WriteFlat},
    founding::{
        Founding, Located, head_of, in_flat, in_log, open_flat, open_log, read_flat, read_log,
    },
    kv::Transaction,
    merge::{Merge, Reach, put_past},
    recent::{Recent, RecentBlock, Way, changes_of, parent_of},
    snapshot::{LastBody, RedbSnapshot, Version},
    tables::{ReadTables, WriteTables},
    trouble::{Trouble, guard},
};
use crate::db::progress::Progress;

/// Blocks that one checkpoint undoes and redoes at most, and that memory holds at most.
const WAY_MAX: usize = 4 * CHECKPOINT_BLOCKS;
/// Blocks whose past is written at a time when an archive is begun.
const PAST_BLOCKS: u64 = 256;

/// The store of one data directory.
pub struct RedbStore {
    medium: Arc<dyn Medium>,
    files: Option<Files>,
    founding: Founding,
    wanted: Option<Reach>,
    failed: Option<Located>,
}

/// Both files in use, and where they stand.
struct Files {
    log: Engine,
    flat: Arc<Engine>,
    tables: Arc<ReadTables>,
    base: Arc<ReadFlat>,
    checkpoint: BlockId,
    recent: Arc<Recent>,
    job: Option<JoinHandle<Result<(), Located>>>,
    reach: Reach,
}

impl RedbStore {
    /// Opens a store, or founds it where there is none, and brings its flat file near the head.
    /// The network's name is that of the store, if there is one; so is the reach, unless another
    /// one is wanted.
    pub fn open(
        medium: Arc<dyn Medium>,
        mut founding: Founding,
        wanted: Option<Reach>,
    ) -> Result<Self, Located> {
        let files = Files::open(&*medium, &mut founding, wanted)?;
        Ok(Self {
            medium,
            files: Some(files),
            founding,
            wanted,
            failed: None,
        })
    }

    /// The network's name, as the store was founded with it.
    pub fn network(&self) -> &str {
        &self.founding.network
    }

    /// The checkpoint's block, and the state after it as the flat file has it.
    pub fn state(&self) -> Result<(BlockId, State), StoreError> {
        let files = self.files()?;
        let state = guard(|| files.base.state());
        let state = state.map_err(|trouble| self.told(&in_flat(trouble)))?;
        Ok((files.checkpoint, state))
    }

    /// Number of accounts and slots at the checkpoint.
    pub fn entries(&self) -> Result<u64, StoreError> {
        let files = self.files()?;
        let entries = guard(|| files.base.entries());
        entries.map_err(|trouble| self.told(&in_flat(trouble)))
    }

    /// Makes a checkpoint at a block of the best chain, and waits for it.
    #[cfg(test)]
    pub fn checkpoint_below(&mut self, blocks: usize) -> Result<(), Located> {
        let files = self.files.as_mut().expect("open");
        files.take_checkpoint(0)?;
        files.follow(&Batch::default())?;
        files.begin_checkpoint(blocks);
        files.take_checkpoint(0)?;
        files.follow(&Batch::default())
    }

    /// The next commit finds that a checkpoint of all blocks was made in the background.
    #[cfg(test)]
    pub fn wait_for_checkpoint(&mut self) {
        let files = self.files.as_mut().expect("open");
        files.begin_checkpoint(0);
        while !files.job.as_ref().is_some_and(JoinHandle::is_finished) {
            thread::yield_now();
        }
    }

    /// The next commit learns that a checkpoint in the background found no room.
    #[cfg(test)]
    pub fn fail_checkpoint(&mut self) {
        let files = self.files.as_mut().expect("open");
        let job = thread::spawn(|| Err(in_flat(Trouble::Environment("no room".into()))));
        while !job.is_finished() {
            thread::yield_now();
        }
        files.job = Some(job);
    }

    /// The store's words for trouble.
    fn told(&self, located: &Located) -> StoreError {
        located.1.at(&self.medium.path(located.0))
    }

    fn files(&self) -> Result<&Files, StoreError> {
        let closed = || StoreError("the store is closed".into());
        let told = |located| self.told(located);
        let failed = || self.failed.as_ref().map_or_else(closed, told);
        self.files.as_ref().ok_or_else(failed)
    }

    /// Whether trouble passes.
    fn prospect(&self, located: &Located) -> Mended {
        let error = self.told(located);
        match located.1 {
            Trouble::Environment(_) => Mended::NotYet(error),
            _ => Mended::Never(error),
        }
    }
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("RedbStore");
        shown.field("medium", &self.medium).finish_non_exhaustive()
    }
}

impl Store for RedbStore {
    type Snapshot = RedbSnapshot;

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        if let Some(located) = &self.failed {
            return Err(self.told(located));
        }
        if batch.is_empty() {
            return Ok(());
        }
        let files = self.files.as_mut().expect("open unless it failed");
        let Err(located) = files.commit(batch) else {
            return Ok(());
        };
        let error = self.told(&located);
        self.failed = Some(located);
        Err(error)
    }

    fn mend(&mut self) -> Mended {
        // Opening reads little: the same commit would meet damage elsewhere again and again.
        let failed = self.failed.as_ref().map(|located| self.prospect(located));
        if let Some(never @ Mended::Never(_)) = failed {
            return never;
        }
        if let Some(located) = self.files.as_ref().and_then(Files::lasting) {
            return self.prospect(&located);
        }
        if let Err(error) = self.medium.probe() {
            return self.prospect(&in_log(environment(error)));
        }
        // Both are closed before they are opened again: the engine locks its file.
        self.files = None;
        match Files::open(&*self.medium, &mut self.founding, self.wanted) {
            Ok(files) => {
                (self.files, self.failed) = (Some(files), None);
                Mended::Ready
            }
            Err(located) => self.prospect(&located),
        }
    }

    fn snapshot(&self) -> Result<RedbSnapshot, StoreError> {
        let files = self.files()?;
        Ok(RedbSnapshot(Arc::new(Version {
            tables: Arc::clone(&files.tables),
            flat: Arc::clone(&files.base),
            recent: Arc::clone(&files.recent),
            reach: files.reach,
            log_path: self.medium.path(Part::Log),
            flat_path: self.medium.path(Part::Flat),
            last_body: LastBody::default(),
        })))
    }
}

impl Files {
    fn open(
        medium: &dyn Medium,
        founding: &mut Founding,
        wanted: Option<Reach>,
    ) -> Result<Self, Located> {
        let log = open_log(medium, founding).map_err(in_log)?;
        let tables = Arc::new(read_log(&log).map_err(in_log)?);
        let flat = Arc::new(open_flat(medium, founding, &tables)?);
        let base = Arc::new(read_flat(&flat).map_err(in_flat)?);
        let checkpoint = guard(|| base.checkpoint()).map_err(in_flat)?;
        let mut files = Self {
            log,
            flat,
            tables,
            base,
            checkpoint,
            recent: Arc::new(Recent::at(checkpoint)),
            job: None,
            reach: Reach::Window,
        };
        files.set_reach(wanted)?;
        files.follow(&Batch::default())?;
        Ok(files)
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), Located> {
        let write =
            |transaction: &dyn Transaction| apply(&mut WriteTables::write(transaction)?, batch);
        self.log.write(write).map_err(in_log)?;
        let (tables, base) = (Arc::clone(&self.tables), Arc::clone(&self.base));
        let (checkpoint, recent) = (self.checkpoint, Arc::clone(&self.recent));
        let followed = self.follow_commit(batch);
        if followed.is_err() {
            // What readers are shown has to be of one head, so it is what there was before.
            (self.tables, self.base) = (tables, base);
            (self.checkpoint, self.recent) = (checkpoint, recent);
        }
        followed
    }

    /// Readers see what was committed from now on.
    fn follow_commit(&mut self, batch: &Batch) -> Result<(), Located> {
        self.tables = Arc::new(read_log(&self.log).map_err(in_log)?);
        self.take_checkpoint(WAY_MAX)?;
        self.follow(batch)?;
        self.start_checkpoint();
        Ok(())
    }

    /// Brings the index in memory from wherever it stands to the head.
    fn follow(&mut self, batch: &Batch) -> Result<(), Located> {
        let head = guard(|| head_of(&self.tables)).map_err(in_log)?;
        if let Some(recent) = guard(|| self.near(batch, head)).map_err(in_log)? {
            self.recent = Arc::new(recent);
            return Ok(());
        }
        self.take_checkpoint(0)?;
        let (from, to) = (self.checkpoint.height, head.height);
        info!("the state of block {from} is brought up to block {to}");
        let mut progress = Progress::between("state", from, Some(to));
        // Looked for once: each look goes through the headers of all blocks that are left.
        let way = guard(|| Way::between(&self.tables, self.checkpoint, head)).map_err(in_log)?;
        let (mut down, mut up) = (way.down.as_slice(), way.up.as_slice());
        while down.len() + up.len() > WAY_MAX {
            let (undone, more) = down.split_at(down.len().min(WAY_MAX));
            let (redone, above) = up.split_at(up.len().min(WAY_MAX - undone.len()));
            (down, up) = (more, above);
            self.step_along(undone, redone)?;
            progress.at(self.checkpoint.height);
        }
        // From the checkpoint itself: the way so far may have led away from its branch.
        self.recent = Arc::new(Recent::at(self.checkpoint));
        let recent = guard(|| self.near(batch, head)).map_err(in_log)?;
        self.recent = Arc::new(recent.expect("no more blocks are left than memory may hold"));
        progress.end();
        Ok(())
    }

    /// The way to the head, if memory may hold it.
    fn near(&self, batch: &Batch, head: BlockId) -> Result<Option<Recent>, Trouble> {
        let mut new = Vec::new();
        let mut at = head;
        let kept = loop {
            if let Some(place) = self.recent.position(&at) {
                break Some(place + 1);
            }
            if at == self.recent.ancestor {
                break Some(0);
            }
            if at.height <= self.recent.ancestor.height || new.len() > WAY_MAX {
                break None;
            }
            new.push(at);
            at = parent_of(&self.tables, &at)?;
        };
        let mut recent = (*self.recent).clone();
        match kept {
            Some(kept) => {
                recent.blocks.truncate(kept);
                new.reverse();
            }
            None => {
                let way = Way::between(&self.tables, self.checkpoint, head)?;
                recent = Recent {
                    undone: way.down,
                    ancestor: way.ancestor,
                    blocks: Vec::new(),
                };
                new = way.up;
            }
        }
        if recent.len() + new.len() > WAY_MAX {
            return Ok(None);
        }
        for id in new {
            let known = self.recent.position(&id).map(|at| &self.recent.blocks[at]);
            let block = match known {
                Some(block) => Arc::clone(block),
                None => Arc::new(RecentBlock::find(&self.tables, batch, id)?),
            };
            recent.blocks.push(block);
        }
        Ok(Some(recent))
    }

    /// One checkpoint on the way to a head that is far away: the next blocks of that way.
    fn step_along(&mut self, undone: &[BlockId], redone: &[BlockId]) -> Result<(), Located> {
        let merge = guard(|| {
            let find = |id: &BlockId| {
                RecentBlock::find(&self.tables, &Batch::default(), *id).map(Arc::new)
            };
            let target = match (redone.last(), undone.last()) {
                (Some(block), _) => *block,
                (None, Some(last)) => parent_of(&self.tables, last)?,
                (None, None) => self.checkpoint,
            };
            Ok(Merge {
                undone: undone.to_vec(),
                redone: redone.iter().map(find).collect::<Result<_, _>>()?,
                target,
                reach: self.reach,
            })
        });
        let merge = merge.map_err(in_log)?;
        merge.run(&self.flat, &self.tables)?;
        self.base = Arc::new(read_flat(&self.flat).map_err(in_flat)?);
        self.checkpoint = merge.target;
        self.recent = Arc::new(Recent::at(self.checkpoint));
        Ok(())
    }

    /// Takes over a checkpoint that is done; waits for it where memory holds more blocks than
    /// `waiting`.
    fn take_checkpoint(&mut self, waiting: usize) -> Result<(), Located> {
        let is_due = self.recent.len() >= waiting;
        let Some(job) = self.job.take_if(|job| job.is_finished() || is_due) else {
            return Ok(());
        };
        let gave_up = || Trouble::Damaged("the checkpoint's thread gave up".into());
        job.join().unwrap_or_else(|_| Err(in_flat(gave_up())))?;
        self.base = Arc::new(read_flat(&self.flat).map_err(in_flat)?);
        self.checkpoint = guard(|| self.base.checkpoint()).map_err(in_flat)?;
        let mut recent = Recent::at(self.checkpoint);
        // Where the head has left its branch meanwhile, the way is looked for anew.
        if let Some(place) = self.recent.position(&self.checkpoint) {
            recent.blocks = self.recent.blocks[place + 1..].to_vec();
        }
        self.recent = Arc::new(recent);
        Ok(())
    }

    /// Starts a checkpoint in the background, if there is enough for one.
    fn start_checkpoint(&mut self) {
        let due = self.recent.blocks.len() >= CHECKPOINT_BLOCKS + CHECKPOINT_LAG;
        if self.job.is_none() && due {
            self.begin_checkpoint(CHECKPOINT_LAG);
        }
    }

    /// Starts a checkpoint of all blocks but so many at the head.
    fn begin_checkpoint(&mut self, lag: usize) {
        let recent = &self.recent;
        let count = recent.blocks.len().saturating_sub(lag);
        let redone = recent.blocks[..count].to_vec();
        let merge = Merge {
            undone: recent.undone.clone(),
            target: redone.last().map_or(recent.ancestor, |block| block.id),
            redone,
            reach: self.reach,
        };
        let (flat, log) = (Arc::clone(&self.flat), Arc::clone(&self.tables));
        self.job = Some(thread::spawn(move || merge.run(&flat, &log)));
    }

    /// Trouble that opening the files again would not end.
    fn lasting(&self) -> Option<Located> {
        let of = |part, engine: &Engine| match engine.health() {
            Err(trouble @ Trouble::Unsynced(_)) => Some(Located(part, trouble)),
            _ => None,
        };
        of(Part::Log, &self.log).or_else(|| of(Part::Flat, &self.flat))
    }

    /// Begins an archive where one is wanted and is not whole, or gives it up.
    fn set_reach(&mut self, wanted: Option<Reach>) -> Result<(), Located> {
        let found = match guard(|| self.base.archive()).map_err(in_flat)? {
            Some(_) => Reach::Archive,
            None => Reach::Window,
        };
        self.reach = wanted.unwrap_or(found);
        match (found, self.reach) {
            (Reach::Archive, Reach::Archive) | (Reach::Window, Reach::Window) => return Ok(()),
            (Reach::Archive, Reach::Window) => {
                let give_up = |transaction: &dyn Transaction| {
                    WriteFlat::write(transaction)?.set_archive(None)
                };
                self.flat.write(give_up).map_err(in_flat)?;
            }
            (Reach::Window, Reach::Archive) => self.begin_archive()?,
        }
        self.base = Arc::new(read_flat(&self.flat).map_err(in_flat)?);
        Ok(())
    }

    /// Writes what was before each block of the checkpoint's chain; the last part says that it is
    /// whole, so that one that was interrupted is begun again.
    fn begin_archive(&self) -> Result<(), Located> {
        let target = self.checkpoint.height;
        info!("the archive of {target} blocks is made from their change sets");
        let forget = |transaction: &dyn Transaction| WriteFlat::forget_past(transaction);
        self.flat.write(forget).map_err(in_flat)?;
        let mut at = self.checkpoint;
        let mut progress = Progress::new("archive", target);
        loop {
            let mut blocks = Vec::new();
            while at.height > 0 && blocks.len() < usize::try_from(PAST_BLOCKS).unwrap_or(1) {
                let changes = guard(|| changes_of(&self.tables, &at)).map_err(in_log)?;
                blocks.push((at.height, changes));
                at = guard(|| parent_of(&self.tables, &at)).map_err(in_log)?;
            }
            let written = self.flat.write(|transaction| {
                let mut tables = WriteFlat::write(transaction)?;
                put_past(
                    &mut tables,
                    blocks.iter().map(|(height, set)| (*height, set)),
                )?;
                if at.height == 0 {
                    tables.set_archive(Some(0))
                } else {
                    Ok(())
                }
            });
            written.map_err(in_flat)?;
            progress.at(target - at.height);
            if at.height == 0 {
                progress.end();
                return Ok(());
            }
        }
    }
}

impl Drop for Files {
    /// A checkpoint under way is finished: it holds the file open.
    fn drop(&mut self) {
        if let Some(job) = self.job.take() {
            let _ = job.join();
        }
    }
}
