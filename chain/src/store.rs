//! The seam to storage: what a step writes, and what may be read back.
//!
//! Two of the three traits. A step's writes leave as one [`Batch`], which the shell makes
//! durable before anything else the step asked for. Implemented by `memory` here and by the
//! engines in the node crate.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use alloy_primitives::Address;
use wincode::{SchemaRead, SchemaWrite};

use crate::{
    block::Body,
    execution::{Account, ChangeSet},
    hash::{BlockHash, TxHash},
    header::Header,
    history::{self, Parties, Row},
    pool::Departure,
    receipt::Receipt,
    transaction::CheckedTransaction,
};

/// A block's place and name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, SchemaRead, SchemaWrite)]
pub struct BlockId {
    /// Number of blocks before it.
    pub height: u64,
    /// Its hash.
    pub hash: BlockHash,
}

/// Where on the best chain a transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct TransactionPlace {
    /// Its block.
    pub block: BlockId,
    /// Its index in the block.
    pub index: u32,
}

/// How far a block has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The header is in the tree, the body is not here.
    Header,
    /// The body is here and not executed.
    Body,
    /// Executed, hence valid with all ancestors.
    Executed,
    /// Failed execution, or descends from a block that did.
    Invalid,
}

/// A block's execution, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutedBlock {
    /// Which block.
    pub id: BlockId,
    /// What it changed.
    pub changes: Arc<ChangeSet>,
    /// What its transactions did.
    pub receipts: Arc<Vec<Receipt>>,
    /// Whose its transactions are.
    pub parties: Arc<Parties>,
}

/// All writes of one step, or of several in order. Durable as a whole or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Headers that joined the tree, parents first.
    pub headers: Vec<Arc<Header>>,
    /// Bodies to keep, unexecuted so far.
    pub bodies: Vec<(BlockId, Arc<Body>)>,
    /// Bodies given up: unexecuted ones that exceeded their sender's budget.
    pub dropped: Vec<BlockId>,
    /// Blocks executed.
    pub executed: Vec<ExecutedBlock>,
    /// Blocks found invalid.
    pub invalid: Vec<BlockId>,
    /// Changes of the best chain in order: the hash at a height, or none above a shorter head.
    pub canonical: Vec<(u64, Option<BlockHash>)>,
    /// The new head, if it moved.
    pub head: Option<BlockId>,
    /// The pool's journal: transactions to keep for the next start, or no longer.
    pub pooled: BTreeMap<TxHash, Option<CheckedTransaction>>,
    /// The journal of those that left the pool: why, to be told after the next start, or no longer.
    pub departed: BTreeMap<TxHash, Option<Departure>>,
}

impl Batch {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Appends a later batch, so that both are committed as one.
    ///
    /// A store writes bodies before it drops any, so a body that comes back after it was given up
    /// is taken off the list of those dropped.
    pub fn append(&mut self, later: Batch) {
        self.headers.extend(later.headers);
        if !self.dropped.is_empty() {
            let back: BTreeSet<_> = later.bodies.iter().map(|(id, _)| *id).collect();
            self.dropped.retain(|id| !back.contains(id));
        }
        self.bodies.extend(later.bodies);
        self.dropped.extend(later.dropped);
        self.executed.extend(later.executed);
        self.invalid.extend(later.invalid);
        self.canonical.extend(later.canonical);
        self.head = later.head.or(self.head);
        self.pooled.extend(later.pooled);
        self.departed.extend(later.departed);
    }
}

/// What is known of a value after a block below the head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Past<V> {
    /// Nothing has changed it since: it is as in the head's state.
    AsInHead,
    /// It was this; none where it was absent.
    Was(Option<V>),
    /// The store reaches back to the block of this height only.
    Unknown {
        /// The lowest height whose state can be asked for.
        lowest: u64,
    },
}

/// The store failed: the disk, the file, the engine. The node stops; a restart is safe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store failed: {0}")]
pub struct StoreError(pub String);

/// Reads of one consistent version of the store.
pub trait Reader {
    /// The head; none in an empty store.
    fn head(&self) -> Result<Option<BlockId>, StoreError>;

    /// The best chain's block at a height.
    fn canonical(&self, height: u64) -> Result<Option<BlockHash>, StoreError>;

    /// A header of any branch.
    fn header(&self, hash: &BlockHash) -> Result<Option<Arc<Header>>, StoreError>;

    /// How far a block of any branch has come.
    fn stage(&self, hash: &BlockHash) -> Result<Option<Stage>, StoreError>;

    /// A body of any branch.
    fn body(&self, hash: &BlockHash) -> Result<Option<Arc<Body>>, StoreError>;

    /// What an executed block changed.
    fn changes(&self, hash: &BlockHash) -> Result<Option<Arc<ChangeSet>>, StoreError>;

    /// The receipts of an executed block.
    fn receipts(&self, hash: &BlockHash) -> Result<Option<Arc<Vec<Receipt>>>, StoreError>;

    /// Where on the best chain a transaction stands.
    fn transaction(&self, hash: &TxHash) -> Result<Option<TransactionPlace>, StoreError>;

    /// An account's rows by falling height and hash: up to `count` of those below a block. All of
    /// the best chain's are among them, and there may be some of branches that were left.
    fn rows(
        &self,
        address: &Address,
        below: Option<BlockId>,
        count: usize,
    ) -> Result<Vec<Row>, StoreError>;

    /// Where an account's transactions stand on the best chain, newest first: up to `limit`,
    /// before a height and an index in its block.
    fn history(
        &self,
        address: &Address,
        before: Option<(u64, u32)>,
        limit: usize,
    ) -> Result<Vec<TransactionPlace>, StoreError> {
        history::read(self, address, before, limit)
    }

    /// What an account was when the first best-chain block above a height that changed it was
    /// executed: with the head's state this is the account after any block.
    fn past_account(&self, address: &Address, above: u64) -> Result<Past<Account>, StoreError>;

    /// The same of a storage slot; zero where it was absent.
    fn past_slot(
        &self,
        address: &Address,
        slot: &[u8; 32],
        above: u64,
    ) -> Result<Past<[u8; 32]>, StoreError>;

    /// The pool's journal: encodings of transactions, in the order of their hashes.
    fn pooled(&self) -> Result<Vec<Vec<u8>>, StoreError>;

    /// The journal of departures from the pool, encoded, in the order of the transactions' hashes.
    fn departed(&self) -> Result<Vec<Vec<u8>>, StoreError>;

    /// Visits every header with its stage, parents before children.
    fn for_each_header(&self, visit: &mut dyn FnMut(Arc<Header>, Stage)) -> Result<(), StoreError>;
}

/// What became of a store whose commit failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mended {
    /// It takes the same batch again, whether or not the failed commit had come through.
    Ready,
    /// The cause is still there: the sentence says which. Ask again later.
    NotYet(StoreError),
    /// What the disk holds is uncertain, or wrong: the process must end.
    Never(StoreError),
}

/// A single writer with cheap snapshots for many readers.
pub trait Store {
    /// One consistent version, valid as long as it is held.
    type Snapshot: Reader + Clone + Send + Sync + 'static;

    /// Makes a batch durable, as a whole or not at all.
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError>;

    /// After a commit that failed: opens the store as the last durable commit left it. Snapshots
    /// of before may fail from then on, but are never wrong.
    fn mend(&mut self) -> Mended;

    /// The store as the last commit left it.
    fn snapshot(&self) -> Result<Self::Snapshot, StoreError>;
}
