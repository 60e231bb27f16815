//! Execution: one block a step, and what follows when the head moves.
//!
//! Executed means valid, with all ancestors: a block runs only on an executed parent, and is
//! marked executed only if gas, receipts and state are what its header says (Rule S1).

use std::{collections::BTreeSet, sync::Arc};

use alloy_primitives::Address;

use super::{Node, Step};
use crate::{
    check::CheckedBlock,
    effect::{Effect, Event},
    execution::{Executed, Execution},
    hash::TxHash,
    history::parties,
    params::{BLOCKHASH_WINDOW, REORG_ALARM_DEPTH},
    receipt::receipts_root,
    states::Version,
    store::{BlockId, ExecutedBlock, Reader, StoreError},
    template,
    tree::EntryId,
};

impl<E: Execution> Node<E> {
    /// Executes the next block, if there is one, or asks the store for it.
    pub(super) fn advance(&mut self, step: &mut Step<'_>) -> Result<(), StoreError> {
        let Some(id) = self.next_to_execute() else {
            return Ok(());
        };
        let Some(block) = self.ready.take(id) else {
            self.loading.insert(id);
            step.effects
                .push(Effect::Load(self.forest.tree()[id].id().hash));
            return Ok(());
        };
        let parent = self.forest.tree()[id].parent;
        let state = self
            .states
            .state_of(parent, &self.forest, &self.execution, step.db)?;
        match self.execute(parent, &state, &block) {
            Ok(executed) => self.accept(id, &block, executed, step),
            Err(reason) => {
                self.condemn(id, reason, step);
                Ok(())
            }
        }
    }

    /// Rule S1: executing the body on the parent's state gives exactly what the header says.
    fn execute(
        &self,
        parent: EntryId,
        state: &E::State,
        block: &CheckedBlock,
    ) -> Result<Executed<E::State>, String> {
        let header = block.header().header();
        let tree = self.forest.tree();
        let height = header.extension.height;
        let block_hash = |wanted: u64| {
            let in_window = wanted < height && wanted.saturating_add(BLOCKHASH_WINDOW) >= height;
            in_window.then(|| tree[tree.ancestor(parent, wanted)].id().hash)
        };
        let env = template::env(&self.spec, header, &block_hash);
        let executed = self
            .execution
            .execute(state, &env, block.transactions())
            .map_err(|fault| fault.to_string())?;
        let extension = &header.extension;
        let differs = |field: &str, want: &dyn ToString, got: &dyn ToString| {
            let (want, got) = (want.to_string(), got.to_string());
            if want == got {
                Ok(())
            } else {
                Err(format!("{field} is {got}, header says {want}"))
            }
        };
        differs("gas_used", &extension.gas_used, &executed.gas_used)?;
        let receipts_root = receipts_root(&executed.receipts);
        differs("receipts_root", &extension.receipts_root, &receipts_root)?;
        differs("state_root", &extension.state_root, &executed.state_root)?;
        Ok(executed)
    }

    fn accept(
        &mut self,
        id: EntryId,
        block: &CheckedBlock,
        executed: Executed<E::State>,
        step: &mut Step<'_>,
    ) -> Result<(), StoreError> {
        let changes = Arc::new(executed.changes);
        step.batch.executed.push(ExecutedBlock {
            id: block.id(),
            changes: Arc::clone(&changes),
            receipts: Arc::new(executed.receipts),
            parties: Arc::new(parties(block.transactions())),
        });
        let transactions = Arc::new(block.transactions().to_vec());
        self.states.insert(
            id,
            Version {
                state: executed.state,
                changes,
                transactions,
            },
        );
        let old = self.forest.head();
        if self.forest.executed(id) {
            self.head_moved(old, id, step)?;
            self.release_ready(step);
            self.announce(id, block, step);
        }
        self.states.prune(&self.forest, id);
        Ok(())
    }

    /// A block that failed is invalid with all its descendants; no relayer could know.
    pub(super) fn condemn(&mut self, id: EntryId, reason: String, step: &mut Step<'_>) {
        let condemned = self.forest.condemn(id);
        for entry in &condemned {
            self.ready.take(*entry);
            self.loading.remove(entry);
            self.unannounced.remove(entry);
            step.batch.invalid.push(self.forest.tree()[*entry].id());
        }
        let block = self.forest.tree()[id].id();
        step.effects
            .push(Effect::Publish(Event::Invalid { block, reason }));
        // The head was not announced while this block was to replace it.
        let head = self.forest.head();
        if self.unannounced.contains(&head) && self.next_to_execute().is_none() {
            let hash = self.forest.tree()[head].id().hash;
            step.effects.push(Effect::Load(hash));
        }
    }

    /// The best chain changed: the height index, the pool and the listeners follow.
    fn head_moved(
        &mut self,
        old: EntryId,
        new: EntryId,
        step: &mut Step<'_>,
    ) -> Result<(), StoreError> {
        let tree = self.forest.tree();
        let common = tree.common_ancestor(old, new);
        let undone = tree.branch(old, common);
        let redone: Vec<_> = tree.branch(new, common).into_iter().rev().collect();
        let ids = |entries: &[EntryId]| -> Vec<BlockId> {
            entries.iter().map(|entry| tree[*entry].id()).collect()
        };
        let (undone_ids, redone_ids) = (ids(&undone), ids(&redone));
        let (old_id, new_id) = (tree[old].id(), tree[new].id());
        let above = (new_id.height + 1..=old_id.height).map(|height| (height, None));
        step.batch.canonical.extend(above);
        let joined = redone_ids.iter().map(|id| (id.height, Some(id.hash)));
        step.batch.canonical.extend(joined);
        step.batch.head = Some(new_id);
        self.pool_follows(&undone, &redone, step)?;
        let depth = u64::try_from(undone.len()).expect("a length fits 64 bits");
        if depth > REORG_ALARM_DEPTH {
            step.effects
                .push(Effect::Publish(Event::DeepReorg { depth }));
        }
        step.effects.push(Effect::Publish(Event::Head {
            old: old_id,
            new: new_id,
            undone: Arc::new(undone_ids),
            redone: Arc::new(redone_ids),
        }));
        Ok(())
    }

    /// Judges again what the change touched, and takes back what was undone.
    fn pool_follows(
        &mut self,
        undone: &[EntryId],
        redone: &[EntryId],
        step: &mut Step<'_>,
    ) -> Result<(), StoreError> {
        // While a node with an empty pool catches up, nothing can have changed for it.
        if undone.is_empty() && self.pool.is_empty() {
            return Ok(());
        }
        let touched = self.touched_senders(undone.iter().chain(redone), step.db)?;
        let places = self.places(redone, step.db)?;
        let mined = |hash: &TxHash| places.get(hash);
        for address in touched {
            let account = self.execution.account(self.head_state(), &address);
            self.pool
                .account_changed(&address, account.as_ref(), &mined, step.now);
        }
        let is_mined = |hash: &TxHash| places.get(hash).is_some();
        self.undone(undone, &is_mined, step);
        Ok(())
    }

    /// The senders in the pool whose accounts these blocks changed.
    fn touched_senders<'a>(
        &self,
        blocks: impl Iterator<Item = &'a EntryId>,
        db: &dyn Reader,
    ) -> Result<BTreeSet<Address>, StoreError> {
        let mut touched = BTreeSet::new();
        // What the blocks changed may have to be read from the store.
        if self.pool.is_empty() {
            return Ok(touched);
        }
        for id in blocks {
            let changes = self.states.changes_of(*id, &self.forest, db)?;
            let addresses = changes.accounts.iter().map(|change| change.address.into());
            touched.extend(addresses.filter(|address| self.pool.has_sender(address)));
        }
        Ok(touched)
    }

    /// Announces a new head that gossip did not forward when it came, unless a better block is
    /// about to replace it; should that one fail, `condemn` comes back to this.
    pub(super) fn announce(&mut self, id: EntryId, block: &CheckedBlock, step: &mut Step<'_>) {
        if self.next_to_execute().is_none() && self.unannounced.remove(&id) {
            step.effects.push(Effect::AnnounceBlock(block.clone()));
            // Gossip passes on nothing twice, so peers that ignored the block when it came too
            // early or as an orphan hear of it from our status.
            self.tell_status(step);
        }
    }
}
