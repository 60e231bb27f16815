//! State versions of executed blocks, and the way to any other from stored change sets.
//!
//! Versions within the window below the head are kept and share their structure. An older one is
//! rebuilt: undo from the head down to the common ancestor, redo up the branch. No depth limits
//! this (Rule F3). Called by `node`.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    execution::{ChangeSet, Execution},
    forest::Forest,
    params::STATE_WINDOW,
    store::{Reader, StoreError},
    transaction::CheckedTransaction,
    tree::EntryId,
};

/// An executed block's state and what made it.
#[derive(Clone, Debug)]
pub struct Version<S> {
    /// The state after the block.
    pub state: S,
    /// What the block changed.
    pub changes: Arc<ChangeSet>,
    /// Its transactions, to be put back into the pool by a reorg.
    pub transactions: Arc<Vec<CheckedTransaction>>,
}

impl<S> Version<S> {
    /// As a restart knows it: its transactions stayed in the store, and are loaded if it is undone.
    pub fn restored(state: S, changes: Arc<ChangeSet>) -> Self {
        Self {
            state,
            changes,
            transactions: Arc::default(),
        }
    }
}

/// The versions in memory.
#[derive(Clone, Debug)]
pub struct States<S> {
    versions: BTreeMap<EntryId, Version<S>>,
    /// Blocks below the head whose versions are kept.
    window: u64,
}

impl<S: Clone> States<S> {
    /// One version: the lowest of those on the way to the head.
    pub fn new(lowest: EntryId, version: Version<S>) -> Self {
        Self {
            versions: BTreeMap::from([(lowest, version)]),
            window: STATE_WINDOW,
        }
    }

    /// Sets how many blocks below the head versions are kept, from the next one on.
    pub fn set_window(&mut self, window: u64) {
        self.window = window;
    }

    /// A version in memory.
    pub fn get(&self, id: EntryId) -> Option<&Version<S>> {
        self.versions.get(&id)
    }

    /// All versions in memory.
    pub fn iter(&self) -> impl Iterator<Item = &S> {
        self.versions.values().map(|version| &version.state)
    }

    /// Keeps a version.
    pub fn insert(&mut self, id: EntryId, version: Version<S>) {
        self.versions.insert(id, version);
    }

    /// Drops versions below the window, but neither the head's nor the latest one's: a deep
    /// branch is executed upwards, each block on the one before it.
    pub fn prune(&mut self, forest: &Forest, latest: EntryId) {
        let head = forest.head();
        let floor = forest.tree()[head].id().height.saturating_sub(self.window);
        self.versions.retain(|id, _| {
            *id == head || *id == latest || forest.tree()[*id].id().height >= floor
        });
    }

    /// The state after an executed block, from memory or by undoing and redoing.
    pub fn state_of<E: Execution<State = S>>(
        &self,
        id: EntryId,
        forest: &Forest,
        execution: &E,
        db: &dyn Reader,
    ) -> Result<S, StoreError> {
        if let Some(version) = self.versions.get(&id) {
            return Ok(version.state.clone());
        }
        let (tree, head) = (forest.tree(), forest.head());
        let common = tree.common_ancestor(head, id);
        let mut state = self.versions[&head].state.clone();
        for undone in tree.branch(head, common) {
            state = execution.revert(&state, &*self.changes_of(undone, forest, db)?);
        }
        for redone in tree.branch(id, common).into_iter().rev() {
            state = execution.apply(&state, &*self.changes_of(redone, forest, db)?);
        }
        Ok(state)
    }

    /// What an executed block changed, from memory or from the store.
    pub fn changes_of(
        &self,
        id: EntryId,
        forest: &Forest,
        db: &dyn Reader,
    ) -> Result<Arc<ChangeSet>, StoreError> {
        if let Some(version) = self.versions.get(&id) {
            return Ok(Arc::clone(&version.changes));
        }
        let hash = forest.tree()[id].id().hash;
        let missing = || StoreError(format!("no change set for executed block {hash}"));
        db.changes(&hash)?.ok_or_else(missing)
    }
}
