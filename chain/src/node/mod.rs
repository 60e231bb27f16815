//! The node as a function: `step` takes an input, changes the state, returns effects.
//!
//! The only way protocol state changes. Deterministic: equal inputs and equal reads give equal
//! outputs, to the byte. It never blocks, never calls out, and executes at most one block a step,
//! and only on [`Input::Continue`].

mod admit;
mod advance;
mod bodies;
mod headers;
mod peers;
mod pooled;
mod reminders;
mod returning;

use std::{collections::BTreeSet, fmt, sync::Arc};

use alloy_primitives::U256;

use crate::{
    block::Block,
    early::EarlyBlocks,
    effect::{Effect, Input, Time, Verdict},
    execution::Execution,
    forest::Forest,
    hash::{BlockHash, Root},
    message::Status,
    orphans::Orphans,
    params::{PROTOCOL_VERSION, STATE_WINDOW},
    pool::{Pool, PoolLimits, PoolSnapshot},
    spec::ChainSpec,
    states::{States, Version},
    store::{Batch, BlockId, ExecutedBlock, Reader, StoreError},
    sync::Sync,
    template::TemplateParent,
    tree::{EntryId, Tree},
};
use bodies::{Ready, SideBodies};
use reminders::Reminders;
use returning::Returning;

/// A full node's protocol state. A clone shares what is immutable and goes on by itself.
#[derive(Clone)]
pub struct Node<E: Execution> {
    spec: Arc<ChainSpec>,
    execution: E,
    genesis: BlockHash,
    forest: Forest,
    states: States<E::State>,
    pool: Pool,
    returning: Returning,
    sync: Sync,
    orphans: Orphans,
    /// Blocks whose time has not come (Rule H5).
    early: EarlyBlocks,
    ready: Ready,
    side: SideBodies,
    /// Blocks asked of our own store.
    loading: BTreeSet<EntryId>,
    /// Blocks that gossip has not forwarded when they came.
    unannounced: BTreeSet<EntryId>,
    continue_asked: bool,
    reminders: Reminders,
    salt: u64,
}

/// One step's surroundings and yield.
struct Step<'a> {
    now: Time,
    db: &'a dyn Reader,
    batch: Batch,
    effects: Vec<Effect>,
}

/// All that later steps depend on, without what never changes: the spec, the execution, the salt.
/// Two nodes of one network that print the same take equal steps.
impl<E: Execution<State: fmt::Debug>> fmt::Debug for Node<E> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Taken apart by name, so that no new field is forgotten.
        let Self {
            spec: _,
            execution: _,
            genesis: _,
            salt: _,
            forest,
            states,
            pool,
            returning,
            sync,
            orphans,
            early,
            ready,
            side,
            loading,
            unannounced,
            continue_asked,
            reminders,
        } = self;
        out.debug_struct("Node")
            .field("forest", forest)
            .field("states", states)
            .field("pool", pool)
            .field("returning", returning)
            .field("sync", sync)
            .field("orphans", orphans)
            .field("early", early)
            .field("ready", ready)
            .field("side", side)
            .field("loading", loading)
            .field("unannounced", unannounced)
            .field("continue_asked", continue_asked)
            .field("reminders", reminders)
            .finish_non_exhaustive()
    }
}

impl<E: Execution> Node<E> {
    /// The genesis block, and the batch that puts it into an empty store.
    pub fn genesis(spec: &ChainSpec, execution: &E) -> (Block, Batch) {
        let root = execution.root(&execution.genesis(spec));
        let block = spec.genesis(root);
        let id = BlockId {
            height: 0,
            hash: block.header.hash(),
        };
        let batch = Batch {
            headers: vec![Arc::new(block.header.clone())],
            bodies: vec![(id, Arc::new(block.body.clone()))],
            executed: vec![ExecutedBlock {
                id,
                changes: Arc::default(),
                receipts: Arc::default(),
                parties: Arc::default(),
            }],
            canonical: vec![(0, Some(id.hash))],
            head: Some(id),
            ..Batch::default()
        };
        (block, batch)
    }

    /// The node as its store left it: headers and stages as they were, the state redone from the
    /// change sets of the best chain and compared with the head's state root.
    pub fn open(spec: Arc<ChainSpec>, execution: E, db: &dyn Reader) -> Result<Self, StoreError> {
        Self::open_at(spec, execution, None, db)
    }

    /// The same from the state after an executed block of any branch, which then saves the way
    /// from genesis: what lies between it and the common ancestor with the head is undone first.
    pub fn open_at(
        spec: Arc<ChainSpec>,
        execution: E,
        base: Option<(BlockHash, E::State)>,
        db: &dyn Reader,
    ) -> Result<Self, StoreError> {
        let state = execution.genesis(&spec);
        let genesis = spec.genesis(execution.root(&state)).header;
        let head = db
            .head()?
            .ok_or_else(|| StoreError("the store has no head".into()))?;
        let mut forest = Forest::new(&genesis);
        restore_headers(&mut forest, &genesis.hash(), db)?;
        let missing = || StoreError(format!("the head {} is not among the headers", head.hash));
        let head = forest.tree().find(&head.hash).ok_or_else(missing)?;
        forest.restore_head(head);
        let (base, state) = match base {
            None => (Tree::GENESIS, state),
            Some((hash, state)) => {
                let missing = || StoreError(format!("block {hash}, whose state is stored, is not"));
                (forest.tree().find(&hash).ok_or_else(missing)?, state)
            }
        };
        let states = restore_states(&forest, &execution, (base, state), db)?;
        Ok(Self {
            spec,
            execution,
            genesis: genesis.hash(),
            forest,
            states,
            pool: Pool::default(),
            returning: Returning::default(),
            sync: Sync::default(),
            orphans: Orphans::default(),
            early: EarlyBlocks::default(),
            ready: Ready::default(),
            side: SideBodies::default(),
            loading: BTreeSet::new(),
            unannounced: BTreeSet::new(),
            continue_asked: false,
            reminders: Reminders::default(),
            salt: 0,
        })
    }

    /// Sets the chain work below which no peer's headers are kept: what the network had long ago.
    /// A setting of the node's owner, no part of consensus; zero unless it is set.
    pub fn set_min_chain_work(&mut self, min_chain_work: U256) {
        self.forest.set_min_chain_work(min_chain_work);
    }

    /// Sets how much the pool holds. A setting of the node's owner, made before the first step.
    pub fn set_pool_limits(&mut self, limits: PoolLimits) {
        self.pool.set_limits(limits);
    }

    /// Sets how many blocks below the head the state is kept in memory, [`STATE_WINDOW`] unless it is
    /// set. Less saves memory; a reorg below it takes its way through the store's change sets.
    pub fn set_state_window(&mut self, window: u64) {
        self.states.set_window(window);
    }

    /// Sets the number that peers cannot know, drawn afresh at each start.
    pub fn set_salt(&mut self, salt: u64) {
        self.salt = salt;
    }

    /// Takes one input. Effects are appended to `out` in the order in which they are to be
    /// carried out; a [`Effect::Commit`] comes before all that depends on it.
    ///
    /// # Errors
    /// If a read of the store fails. The node must then be dropped and opened again.
    pub fn step(
        &mut self,
        now: Time,
        input: Input,
        db: &dyn Reader,
        out: &mut Vec<Effect>,
    ) -> Result<Verdict, StoreError> {
        let mut step = Step {
            now,
            db,
            batch: Batch::default(),
            effects: Vec::new(),
        };
        let verdict = self.dispatch(input, &mut step)?;
        self.ask_to_continue(&mut step);
        step.batch.pooled = self.pool.take_journal();
        step.batch.departed = self.pool.take_departed();
        if !step.batch.is_empty() {
            out.push(Effect::Commit(step.batch));
        }
        out.append(&mut step.effects);
        Ok(verdict)
    }

    fn dispatch(&mut self, input: Input, step: &mut Step<'_>) -> Result<Verdict, StoreError> {
        match input {
            Input::Block { from, block } => return Ok(self.admit_block(from, block, step)),
            Input::Continue => {
                self.continue_asked = false;
                self.advance(step)?;
                // The window has moved up, or another branch is the best one now.
                self.sync
                    .ask_blocks(&self.forest, step.now, &mut step.effects);
            }
            Input::Transactions { from, transactions } => {
                return Ok(self.take_transactions(from, &transactions, step));
            }
            Input::Submitted {
                ticket,
                transaction,
            } => self.submit(ticket, &transaction, step),
            Input::Journal {
                transactions,
                departed,
            } => {
                self.pool.remember(departed);
                self.take_journal(transactions, step);
            }
            Input::Announced { from, header } => self.take_announced(from, &header, step),
            Input::Headers { from, headers } => self.take_headers(from, &headers, step),
            Input::Status { from, status } => self.take_status(from, &status, step),
            Input::Answered { from, request } => self.take_answered(from, &request, step),
            Input::Unserved { to, request } => self.take_unserved(to, &request, step),
            Input::Unanswered { from, request } => self.take_unanswered(from, &request, step),
            Input::Refused { from, hash, fault } => {
                self.take_refused(from, hash, fault, step);
                return Ok(Verdict::Reject);
            }
            Input::Request {
                from,
                ticket,
                request,
            } => {
                self.take_request(from, ticket, request, step);
            }
            Input::Connected(peer) => self.connected(peer, step),
            Input::Disconnected(peer) => self.disconnected(peer, step),
            Input::Tick => self.tick(step),
        }
        Ok(Verdict::Ignore)
    }

    /// Exactly one [`Effect::Continue`] is under way while there is a block to execute.
    fn ask_to_continue(&mut self, step: &mut Step<'_>) {
        if !self.continue_asked && self.next_to_execute().is_some() {
            self.continue_asked = true;
            step.effects.push(Effect::Continue);
        }
    }

    fn next_to_execute(&self) -> Option<EntryId> {
        self.forest
            .next_to_execute(|id| !self.loading.contains(&id))
    }

    /// The head's height and hash.
    pub fn head(&self) -> BlockId {
        self.forest.tree()[self.forest.head()].id()
    }

    /// The state after the head.
    pub fn head_state(&self) -> &E::State {
        &self
            .states
            .get(self.forest.head())
            .expect("the head's version is always kept")
            .state
    }

    /// The state versions in memory: those of recent blocks, in no order that means anything.
    pub fn state_versions(&self) -> impl Iterator<Item = &E::State> {
        self.states.iter()
    }

    /// The pool as it is now.
    pub fn pool(&self) -> Arc<PoolSnapshot> {
        self.pool.snapshot()
    }

    /// The forest, to be read.
    pub fn forest(&self) -> &Forest {
        &self.forest
    }

    /// The orphans, to be read.
    pub fn orphans(&self) -> &Orphans {
        &self.orphans
    }

    /// The blocks whose time has not come, to be read.
    pub fn early(&self) -> &EarlyBlocks {
        &self.early
    }

    /// What is known of the peers and under way with them, to be read.
    pub fn sync(&self) -> &Sync {
        &self.sync
    }

    /// The network's parameters.
    pub fn spec(&self) -> &Arc<ChainSpec> {
        &self.spec
    }

    /// The genesis hash.
    pub fn genesis_hash(&self) -> BlockHash {
        self.genesis
    }

    /// Whether a header better than the head waits for bodies or execution.
    pub fn is_syncing(&self) -> bool {
        self.forest.best_header() != self.forest.head()
    }

    /// What a template for the next block is built on.
    pub fn template_parent(&self) -> TemplateParent {
        let head = self.forest.head();
        let tree = self.forest.tree();
        TemplateParent {
            numbers: tree[head].numbers,
            skip: tree.skip_hash(head),
        }
    }

    /// What we tell other nodes of ourselves.
    pub fn status(&self, now: Time) -> Status {
        let head = self.head();
        let fork_id = self.spec.fork_id(self.genesis, head.height);
        Status {
            version: PROTOCOL_VERSION,
            genesis: self.genesis,
            fork_digest: fork_id.digest,
            fork_next: fork_id.next,
            height: head.height,
            head: head.hash,
            chain_work: self.forest.head_rank().chain_work().to_le_bytes(),
            time: now.unix_secs,
        }
    }
}

fn restore_headers(
    forest: &mut Forest,
    genesis: &BlockHash,
    db: &dyn Reader,
) -> Result<(), StoreError> {
    let mut broken = None;
    db.for_each_header(&mut |header, stage| {
        // The height first: a hash of every header would cost more than all that follows.
        let is_genesis = header.extension.height == 0 && header.hash() == *genesis;
        if !is_genesis && forest.restore(&header, stage).is_none() {
            broken.get_or_insert(header.hash());
        }
    })?;
    match broken {
        Some(hash) => Err(StoreError(format!(
            "header {hash} has no parent in the store"
        ))),
        None => Ok(()),
    }
}

/// Goes from a state to the head's by undoing and redoing; of the versions on the way up, those
/// within the window are kept.
fn restore_states<E: Execution>(
    forest: &Forest,
    execution: &E,
    (base, mut state): (EntryId, E::State),
    db: &dyn Reader,
) -> Result<States<E::State>, StoreError> {
    let (tree, head) = (forest.tree(), forest.head());
    let head_id = tree[head].id();
    check_root(&execution.root(&state), &tree[base].id(), db)?;
    let changes_of = |id: EntryId| {
        let hash = tree[id].id().hash;
        let missing = || StoreError(format!("no change set for executed block {hash}"));
        db.changes(&hash)?.ok_or_else(missing)
    };
    let common = tree.common_ancestor(head, base);
    for id in tree.branch(base, common) {
        state = execution.revert(&state, &*changes_of(id)?);
    }
    // A reorg from below may undo the common ancestor as well; genesis alone changed nothing.
    let changes = if common == Tree::GENESIS {
        Arc::default()
    } else {
        changes_of(common)?
    };
    let mut states = States::new(common, Version::restored(state.clone(), changes));
    for id in tree.branch(head, common).into_iter().rev() {
        let changes = changes_of(id)?;
        state = execution.apply(&state, &changes);
        if tree[id].id().height.saturating_add(STATE_WINDOW) >= head_id.height {
            states.insert(id, Version::restored(state.clone(), changes));
        }
    }
    check_root(&execution.root(&state), &head_id, db)?;
    states.prune(forest, head);
    Ok(states)
}

/// That a state is the one which a block's header names.
fn check_root(got: &Root, block: &BlockId, db: &dyn Reader) -> Result<(), StoreError> {
    let missing = || StoreError(format!("no header for block {}", block.hash));
    let header = db.header(&block.hash)?.ok_or_else(missing)?;
    let want = header.extension.state_root;
    if *got == want {
        return Ok(());
    }
    Err(StoreError(format!(
        "the state of block {} has root {got}, its header says {want}",
        block.hash
    )))
}
