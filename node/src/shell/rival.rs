//! A branch mined in secret from a block below the head, until it is the better one.
//!
//! The state at its root is the head's with the change sets of the blocks above undone. Its blocks
//! are empty, so that what it undoes returns to the pool, and bear the times of those they stand
//! beside, so that the difficulty is theirs too. Used by `operator` alone.

use std::sync::Arc;

use chain::{
    BlockHash, BlockId, CheckedBlock, Execution, Header, Rank, StoreError,
    header::skip_height,
    rules::Parent,
    template::{self, TemplateParent},
};
use state::{Evm, State};

use super::{mining::Mining, view::View};

/// The branch so far.
pub struct Rival {
    /// The block it grows from.
    pub root: BlockId,
    /// Its blocks, upwards.
    pub blocks: Vec<CheckedBlock>,
    /// The head it began below; what is under its root never changes for it.
    base: Arc<View>,
    root_header: Arc<Header>,
    /// The state after its last block.
    state: State,
    evm: Evm,
}

impl Rival {
    /// A branch without blocks yet, from `depth` blocks below this view's head, which must be
    /// at least that high.
    pub fn new(base: Arc<View>, depth: u64) -> Result<Self, StoreError> {
        let (reader, evm) = (base.reader(), Evm::new());
        let height = base.api.head.height.saturating_sub(depth);
        let mut state = base.api.state.clone();
        for undone in (height + 1..=base.api.head.height).rev() {
            let hash = canonical(&base, undone)?;
            let missing = || StoreError(format!("no change set for block {hash}"));
            state = evm.revert(&state, &*reader.changes(&hash)?.ok_or_else(missing)?);
        }
        let hash = canonical(&base, height)?;
        let missing = || StoreError(format!("no header for block {hash}"));
        let root_header = reader.header(&hash)?.ok_or_else(missing)?;
        Ok(Self {
            root: BlockId { height, hash },
            blocks: Vec::new(),
            base,
            root_header,
            state,
            evm,
        })
    }

    /// Whether it outranks the head (Rule F1 decides as it will for everybody).
    pub fn is_better_than_head(&self, view: &View) -> bool {
        let head = Rank::new(view.parent.numbers.chain_work, &view.api.head.hash);
        let tip = self.blocks.last().map(|block| block.header().rank());
        tip.is_some_and(|tip| tip > head)
    }

    /// Mines its next block. `None` if the search was stopped.
    pub fn extend(&mut self, mining: &Mining) -> Result<Option<()>, StoreError> {
        let parent = self.parent()?;
        let block_hash = |height| self.hash_at(height).ok().flatten();
        let now = mining.site.clock.now().unix_secs;
        let options = mining.site.options(self.time(now)?);
        let spec = &self.base.api.spec;
        let built = template::build(
            spec,
            &self.evm,
            &parent,
            &self.state,
            &[],
            &block_hash,
            &options,
        );
        let Some(block) = built else { return Ok(None) };
        // From the ordinary beginning the search might find the very block beside this one.
        let (extra_nonce, _) = self
            .base
            .api
            .head
            .hash
            .0
            .split_first_chunk()
            .expect("32 bytes");
        let Some(header) = mining.search(&block.header, *extra_nonce, || false) else {
            return Ok(None);
        };
        let env = template::env(spec, &header, &block_hash);
        let executed = self.evm.execute(&self.state, &env, &[]);
        let executed = executed.expect("a block without transactions has none at fault");
        let Some(checked) = mining.site.check(header, block, &self.base) else {
            return Ok(None);
        };
        self.state = executed.state;
        self.blocks.push(checked);
        Ok(Some(()))
    }

    /// What its next block stands on.
    fn parent(&self) -> Result<TemplateParent, StoreError> {
        let numbers = match self.blocks.last() {
            Some(block) => Parent::new(block.header().header(), block.id().hash),
            None => Parent::new(&self.root_header, self.root.hash),
        };
        let skipped = skip_height(numbers.id.height + 1);
        let missing = || StoreError(format!("no block at height {skipped}"));
        let skip = self.hash_at(skipped)?.ok_or_else(missing)?;
        Ok(TemplateParent { numbers, skip })
    }

    /// This branch's block at a height.
    fn hash_at(&self, height: u64) -> Result<Option<BlockHash>, StoreError> {
        let Some(above) = height.checked_sub(self.root.height + 1) else {
            return self.base.reader().canonical(height);
        };
        let index = usize::try_from(above).unwrap_or(usize::MAX);
        Ok(self.blocks.get(index).map(|block| block.id().hash))
    }

    /// The time of the block that its next one stands beside; above the head, the present.
    fn time(&self, now: u64) -> Result<u64, StoreError> {
        let made = u64::try_from(self.blocks.len()).unwrap_or(u64::MAX);
        let height = self.root.height.saturating_add(made).saturating_add(1);
        let reader = self.base.reader();
        let beside = match reader.canonical(height)? {
            Some(hash) => reader.header(&hash)?,
            None => None,
        };
        Ok(beside.map_or(now, |header| now.min(u64::from(header.pow.time))))
    }
}

fn canonical(view: &View, height: u64) -> Result<BlockHash, StoreError> {
    let hash = view.reader().canonical(height)?;
    hash.ok_or_else(|| StoreError(format!("no block of the best chain at height {height}")))
}
