//! What the pool is told of the head, and transactions that come back into it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Node, Step};
use crate::{
    effect::{Effect, Event, Time},
    execution::Execution,
    hash::TxHash,
    params::{EMPTY_BODY_BYTES, REANNOUNCED_MAX, STATE_WINDOW},
    pool::{PoolContext, PoolError, Source},
    rules,
    store::{BlockId, Stage},
    transaction::CheckedTransaction,
    tree::{EntryId, Tree},
};

impl<E: Execution> Node<E> {
    /// Offers a transaction to the pool, as the head stands.
    pub(super) fn pool_insert(
        &mut self,
        transaction: &CheckedTransaction,
        source: Source,
        now: Time,
    ) -> Result<(), PoolError> {
        let head = self.forest.head();
        let account = self
            .execution
            .account(self.head_state(), &transaction.sender());
        let numbers = &self.forest.tree()[head].numbers;
        let next = self.spec.at(numbers.id.height.saturating_add(1));
        let context = PoolContext {
            gas_limit: next.gas_limit,
            base_fee_min: next.base_fee_min,
            base_fee: rules::next_base_fee(&self.spec, numbers),
            now,
        };
        self.pool
            .insert(transaction, account.as_ref(), &context, source)
    }

    /// Takes back what was in the pool before the node was stopped.
    pub(super) fn take_journal(
        &mut self,
        mut transactions: Vec<CheckedTransaction>,
        step: &mut Step<'_>,
    ) {
        // No nonce lies too far ahead if all before it have been taken.
        transactions.sort_by_key(CheckedTransaction::nonce);
        self.take_back(&transactions, Source::Journal, step);
        self.load_undone(step);
    }

    /// What a reorg undid shortly before the node was stopped may not have come back by then, and
    /// the journal had let go of it when it was mined: its blocks are loaded, as after a reorg, down
    /// to where their branch left the best chain.
    fn load_undone(&self, step: &mut Step<'_>) {
        let (tree, head) = (self.forest.tree(), self.forest.head());
        let floor = tree[head].id().height.saturating_sub(STATE_WINDOW);
        let recent = tree.after(Tree::GENESIS).filter(|id| {
            let entry = &tree[*id];
            entry.id().height > floor && entry.stage == Stage::Executed
        });
        let mut undone = BTreeSet::new();
        for mut id in recent {
            while !tree.is_ancestor(id, head) && undone.insert(id) {
                id = tree[id].parent;
            }
        }
        let to_load = undone
            .into_iter()
            .filter(|id| tree[*id].body_bytes > EMPTY_BODY_BYTES);
        let load = |id| Effect::Load(tree[id].id().hash);
        step.effects.extend(to_load.map(load));
    }

    /// Puts undone transactions back, but for those that stand elsewhere on the best chain.
    pub(super) fn return_to_pool(
        &mut self,
        transactions: &[CheckedTransaction],
        is_mined: &dyn Fn(&TxHash) -> bool,
        step: &mut Step<'_>,
    ) {
        let mut transactions = transactions.to_vec();
        transactions.retain(|transaction| !is_mined(&transaction.hash()));
        self.take_back(&transactions, Source::Reorg, step);
    }

    fn take_back(
        &mut self,
        transactions: &[CheckedTransaction],
        source: Source,
        step: &mut Step<'_>,
    ) {
        let (mut taken, mut announced) = (Vec::new(), Vec::new());
        for transaction in transactions {
            let hash = transaction.hash();
            match self.pool_insert(transaction, source, step.now) {
                Ok(()) => {
                    taken.push(hash);
                    announced.push(Effect::AnnounceTransaction(transaction.clone()));
                }
                Err(PoolError::Known(_)) => self.pool.make_durable(&hash),
                // A refusal is final here: the best chain has decided otherwise.
                Err(error) => self.pool.not_taken_back(hash, error, step.now),
            }
        }
        // Those who followed the other branch all along may never have heard of them.
        announced.truncate(REANNOUNCED_MAX);
        step.effects.append(&mut announced);
        if !taken.is_empty() {
            step.effects.push(Effect::Publish(Event::Returned {
                transactions: taken.into(),
            }));
        }
    }

    /// Where the transactions of these blocks stand, as far as they are in memory.
    pub(super) fn places(&self, blocks: &[EntryId]) -> BTreeMap<TxHash, BlockId> {
        let mut places = BTreeMap::new();
        for id in blocks {
            let block = self.forest.tree()[*id].id();
            if let Some(version) = self.states.get(*id) {
                let hashes = version.transactions.iter().map(CheckedTransaction::hash);
                places.extend(hashes.map(|hash| (hash, block)));
            }
        }
        places
    }
}
