//! The pool in its node: transactions that are offered to it, and those that come back into it.

use std::{collections::BTreeSet, sync::Arc};

use super::{Node, Step};
use crate::{
    check::CheckedBlock,
    effect::{Effect, Event, Ticket, Time, Verdict},
    execution::Execution,
    hash::TxHash,
    message::Peer,
    params::{EMPTY_BODY_BYTES, REANNOUNCED_MAX, STATE_WINDOW},
    pool::{PoolContext, PoolError, Source},
    rules,
    store::{BlockId, Reader, Stage, StoreError},
    transaction::{CheckedTransaction, hash_of},
    tree::{EntryId, Tree},
};

impl<E: Execution> Node<E> {
    /// A user's transaction: the answer, and the news of it.
    pub(super) fn submit(
        &mut self,
        ticket: Ticket,
        transaction: &CheckedTransaction,
        step: &mut Step<'_>,
    ) {
        let hash = transaction.hash();
        let result = self.pool_insert(transaction, Source::User, step.now);
        match result {
            Ok(()) => {
                step.effects
                    .push(Effect::AnnounceTransaction(transaction.clone()));
                step.effects
                    .push(Effect::Publish(Event::Transaction { hash }));
            }
            Err(PoolError::Known(_)) => self.pool.make_durable(&hash),
            Err(_) => {}
        }
        let result = result.map(|()| hash);
        step.effects.push(Effect::Reply { ticket, result });
    }

    /// The pool's verdict on gossip: its own refusals blame nobody, since heads differ.
    pub(super) fn take_transactions(
        &mut self,
        _from: Peer,
        transactions: &[CheckedTransaction],
        step: &mut Step<'_>,
    ) -> Verdict {
        let mut verdict = Verdict::Ignore;
        for transaction in transactions {
            if self
                .pool_insert(transaction, Source::Peer, step.now)
                .is_ok()
            {
                let hash = transaction.hash();
                step.effects
                    .push(Effect::Publish(Event::Transaction { hash }));
                verdict = Verdict::Accept;
            }
        }
        verdict
    }

    /// Offers a transaction to the pool, as the head stands.
    fn pool_insert(
        &mut self,
        transaction: &CheckedTransaction,
        source: Source,
        now: Time,
    ) -> Result<(), PoolError> {
        let account = self
            .execution
            .account(self.head_state(), &transaction.sender());
        let context = self.pool_context(now);
        self.pool
            .insert(transaction, account.as_ref(), &context, source)
    }

    fn pool_context(&self, now: Time) -> PoolContext {
        let numbers = &self.forest.tree()[self.forest.head()].numbers;
        let next = self.spec.at(numbers.id.height.saturating_add(1));
        PoolContext {
            gas_limit: next.gas_limit,
            base_fee_min: next.base_fee_min,
            base_fee: rules::next_base_fee(&self.spec, numbers),
            now,
        }
    }

    /// Takes back what was in the pool before the node was stopped.
    pub(super) fn take_journal(
        &mut self,
        mut transactions: Vec<CheckedTransaction>,
        step: &mut Step<'_>,
    ) {
        // No nonce lies too far ahead if all before it have been taken.
        transactions.sort_by_key(CheckedTransaction::nonce);
        self.take_back(vec![transactions], Source::Journal, step);
        self.load_undone(step);
    }

    /// What a reorg undid shortly before the node was stopped may not have come back by then, and
    /// the journal had let go of it when it was mined: its blocks are loaded, as after a reorg, down
    /// to where their branch left the best chain.
    fn load_undone(&mut self, step: &mut Step<'_>) {
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
        for id in undone {
            self.load_transactions(id, step);
        }
    }

    /// Asks the store for an undone block, unless it has no transactions.
    fn load_transactions(&mut self, id: EntryId, step: &mut Step<'_>) {
        let entry = &self.forest.tree()[id];
        if entry.body_bytes > EMPTY_BODY_BYTES {
            step.effects.push(Effect::Load(entry.id().hash));
            self.returning.ask(id);
        }
    }

    /// A reorg has undone these blocks, the highest first: their transactions go back into the pool
    /// once all of them are here, but for those that stand elsewhere on the best chain.
    pub(super) fn undone(
        &mut self,
        undone: &[EntryId],
        is_mined: &dyn Fn(&TxHash) -> bool,
        step: &mut Step<'_>,
    ) {
        for id in undone.iter().rev() {
            let version = self.states.get(*id);
            let transactions = version.map(|version| Arc::clone(&version.transactions));
            match transactions.filter(|transactions| !transactions.is_empty()) {
                Some(transactions) => self.returning.hold(*id, transactions),
                None => self.load_transactions(*id, step),
            }
        }
        if self.returning.is_whole() {
            self.return_to_pool(is_mined, step);
        }
    }

    /// An executed block has come from the store, perhaps because a reorg had undone it.
    pub(super) fn undone_loaded(&mut self, id: EntryId, block: &CheckedBlock, step: &mut Step<'_>) {
        if !self.returning.has_come(id) {
            return;
        }
        let transactions = Arc::new(block.transactions().to_vec());
        self.returning.hold(id, transactions);
        if self.returning.is_whole() || self.returning.is_beyond(self.pool.limits()) {
            let db = step.db;
            let is_mined = |hash: &TxHash| matches!(db.transaction(hash), Ok(Some(_)));
            self.return_to_pool(&is_mined, step);
        }
    }

    /// Puts back what undone blocks had, but for what stands elsewhere on the best chain, or again
    /// where it was.
    fn return_to_pool(&mut self, is_mined: &dyn Fn(&TxHash) -> bool, step: &mut Step<'_>) {
        let blocks = self.returning.take().into_values().map(|transactions| {
            let others = transactions.iter().filter(|one| !is_mined(&one.hash()));
            others.cloned().collect()
        });
        self.take_back(blocks.collect(), Source::Reorg, step);
    }

    /// Takes back the transactions of blocks, or of the journal, and makes room after the last one.
    /// Until then the pool is beyond its limits: by what the undone blocks in the window of states
    /// have, which are in memory anyway, and by loaded ones with no more than a pool and a block.
    fn take_back(
        &mut self,
        mut blocks: Vec<Vec<CheckedTransaction>>,
        source: Source,
        step: &mut Step<'_>,
    ) {
        for transactions in &mut blocks {
            transactions.retain(|transaction| self.takes_back(transaction, source, step.now));
        }
        self.pool.make_room(&self.pool_context(step.now));
        let pool = self.pool.snapshot();
        for mut taken in blocks {
            taken.retain(|transaction| pool.get(&transaction.hash()).is_some());
            if taken.is_empty() {
                continue;
            }
            let hashes: Vec<_> = taken.iter().map(CheckedTransaction::hash).collect();
            // Those who followed the other branch all along may never have heard of them.
            taken.truncate(REANNOUNCED_MAX);
            let announced = taken.into_iter().map(Effect::AnnounceTransaction);
            step.effects.extend(announced);
            step.effects.push(Effect::Publish(Event::Returned {
                transactions: hashes.into(),
            }));
        }
    }

    /// Whether the pool has taken back one that it had not; there may be no room for it yet.
    fn takes_back(&mut self, transaction: &CheckedTransaction, source: Source, now: Time) -> bool {
        let hash = transaction.hash();
        match self.pool_insert(transaction, source, now) {
            Ok(()) => return true,
            Err(PoolError::Known(_)) => self.pool.make_durable(&hash),
            // A refusal is final here: the best chain has decided otherwise.
            Err(error) => self.pool.not_taken_back(hash, error, now),
        }
        false
    }

    /// Where the transactions of these executed blocks stand. What memory has let go of, or has never
    /// had since a restart, is read from the store: what is told of a transaction is kept.
    pub(super) fn places(&self, blocks: &[EntryId], db: &dyn Reader) -> Result<Places, StoreError> {
        let mut places = Places::default();
        for id in blocks {
            let entry = &self.forest.tree()[*id];
            let block = entry.id();
            let version = self.states.get(*id);
            match version.map(|version| &version.transactions) {
                Some(transactions) if !transactions.is_empty() => {
                    places.add(block, transactions.iter().map(CheckedTransaction::hash));
                }
                _ if entry.body_bytes > EMPTY_BODY_BYTES => {
                    let hash = block.hash;
                    let missing = || StoreError(format!("no body for executed block {hash}"));
                    let body = db.body(&hash)?.ok_or_else(missing)?;
                    places.add(block, body.0.iter().map(|bytes| hash_of(bytes)));
                }
                _ => {}
            }
        }
        places.sort();
        Ok(places)
    }
}

/// Transactions by their hashes, and the blocks that have them. A list that is sorted once: a reorg
/// over many full blocks has too many of them for a tree.
#[derive(Default)]
pub(super) struct Places {
    blocks: Vec<BlockId>,
    /// With the places of their blocks.
    list: Vec<(Key, usize)>,
}

/// A hash behind its beginning: most comparisons end with the first number.
type Key = (u64, TxHash);

fn key(hash: TxHash) -> Key {
    let first = hash.0.first_chunk().expect("a hash has more than 8 bytes");
    (u64::from_be_bytes(*first), hash)
}

impl Places {
    fn add(&mut self, block: BlockId, hashes: impl Iterator<Item = TxHash>) {
        let place = self.blocks.len();
        self.blocks.push(block);
        self.list.extend(hashes.map(|hash| (key(hash), place)));
    }

    fn sort(&mut self) {
        self.list.sort_unstable();
    }

    /// The block that has this transaction.
    pub(super) fn get(&self, hash: &TxHash) -> Option<BlockId> {
        let wanted = key(*hash);
        let at = self.list.binary_search_by(|(key, _)| key.cmp(&wanted));
        at.ok().map(|at| self.blocks[self.list[at].1])
    }
}
