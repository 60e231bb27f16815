//! One version of the pool, for readers and templates: a copy is a handful of pointers.
//!
//! The maps are persistent: a pool that goes on changing leaves the versions that others hold as
//! they are, and copies no more than the path to what it changes.

use std::{cmp::Ordering, collections::BinaryHeap, sync::Arc};

use alloy_primitives::{Address, U256};
use rpds::RedBlackTreeMapSync;

use super::{
    Class, Departure, Entry, PoolContext, PoolError, PoolLimits, Reason, Source,
    departures::Departures,
    heads::Heads,
    queue::{Place, Queue},
    rank::Ranked,
    room::Floor,
};
use crate::{
    execution::Account,
    hash::TxHash,
    params::{POOL_ROOM_DIVISOR, TURNS_COUNTED_MAX},
    transaction::CheckedTransaction,
};

/// One immutable version of the pool.
#[derive(Clone, Debug, Default)]
pub struct PoolSnapshot {
    pub(super) senders: RedBlackTreeMapSync<Address, Arc<Queue>>,
    pub(super) by_hash: RedBlackTreeMapSync<TxHash, Place>,
    pub(super) heads: Heads,
    pub(super) departures: Departures,
    pub(super) pending: usize,
    pub(super) bytes: usize,
    pub(super) floor: Floor,
    pub(super) limits: PoolLimits,
}

/// Why a transaction of the pool is not in the next block, or where it stands if it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Waiting {
    /// A transaction before it is missing.
    #[error("nonce is {got}, nonce {want} is missing before it")]
    Nonce {
        /// The first nonce that is missing.
        want: u64,
        /// The transaction's.
        got: u64,
    },
    /// The balance does not cover it and those before it.
    #[error("balance is {got} wei, needed {want} with those before it")]
    Balance {
        /// The most that all of them can cost.
        want: U256,
        /// The account's balance.
        got: u128,
    },
    /// Its max fee is below the base fee.
    #[error("max fee is {got} wei per gas, the base fee is {want}")]
    BaseFee {
        /// The base fee.
        want: u64,
        /// The transaction's max fee.
        got: u128,
    },
    /// One before it cannot pay the base fee.
    #[error("behind {hash} of nonce {nonce}, whose max fee is below the base fee")]
    Behind {
        /// That one.
        hash: TxHash,
        /// Its nonce.
        nonce: u64,
    },
    /// It may be mined: so many better paying ones come before it.
    #[error("{ahead} transactions of {gas_ahead} gas are before it")]
    Turn {
        /// Transactions before it.
        ahead: usize,
        /// Their gas limits together.
        gas_ahead: u64,
    },
    /// It may be mined, but more come before it than are counted.
    #[error("{ahead} transactions and more are before it")]
    Later {
        /// At least so many.
        ahead: usize,
    },
}

impl Waiting {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Nonce { .. } => "nonce_missing",
            Self::Balance { .. } => "balance_too_low",
            Self::BaseFee { .. } => "base_fee_too_high",
            Self::Behind { .. } => "behind_another",
            Self::Turn { .. } => "turn",
            Self::Later { .. } => "later",
        }
    }
}

impl PoolSnapshot {
    /// A transaction of the pool.
    pub fn get(&self, hash: &TxHash) -> Option<&CheckedTransaction> {
        self.entry(hash).map(|entry| &entry.transaction)
    }

    /// A transaction with what the pool has noted of it.
    pub fn entry(&self, hash: &TxHash) -> Option<&Entry> {
        let (sender, nonce) = self.by_hash.get(hash)?;
        self.senders.get(sender)?.get(*nonce)
    }

    /// A sender's transactions by rising nonce, pending and queued.
    pub fn of(&self, sender: &Address) -> impl Iterator<Item = &CheckedTransaction> {
        self.entries_of(sender)
            .iter()
            .map(|entry| &entry.transaction)
    }

    /// The same with what the pool has noted of them.
    pub fn entries_of(&self, sender: &Address) -> &[Entry] {
        self.senders
            .get(sender)
            .map_or(&[], |queue| queue.entries())
    }

    /// Up to `count` transactions in the order of their hashes, after one or from the beginning.
    pub fn page(&self, after: Option<&TxHash>, count: usize) -> impl Iterator<Item = &Entry> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        let range = self.by_hash.range::<TxHash, _>((from, Unbounded));
        range
            .take(count)
            .filter_map(|(_, (sender, nonce))| self.senders.get(sender)?.get(*nonce))
    }

    /// The nonce a sender's next transaction should have, given its nonce at the head.
    pub fn nonce_next(&self, sender: &Address, head_nonce: u64) -> u64 {
        let queue = self.senders.get(sender);
        queue.map_or(head_nonce, |queue| queue.nonce_next())
    }

    /// Number of transactions, pending and queued.
    pub fn len(&self) -> usize {
        self.by_hash.size()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }

    /// Number of pending transactions.
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// Encoded bytes of all transactions.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How much the pool holds.
    pub fn limits(&self) -> PoolLimits {
        self.limits
    }

    /// The least effective priority fee that is taken at a time, in wei per gas: above 0 after
    /// better paying transactions have pushed out others, and as long as the pool is nearly full.
    pub fn floor(&self, now_ms: u64) -> u128 {
        let is_full =
            |got: usize, limit: usize| got >= limit.saturating_sub(limit / POOL_ROOM_DIVISOR);
        let is_tight =
            is_full(self.len(), self.limits.count) || is_full(self.bytes, self.limits.bytes);
        if is_tight { self.floor.at(now_ms) } else { 0 }
    }

    /// The latest transactions that left, the last one first.
    pub fn departures(&self) -> impl Iterator<Item = &Departure> {
        self.departures.latest()
    }

    /// The last departure of a transaction, if it is among the latest ones.
    pub fn departure(&self, hash: &TxHash) -> Option<&Departure> {
        self.departures.of(hash)
    }

    /// Those that could be mined now, best price first, each sender's in nonce order: found one by
    /// one, as they are asked for.
    pub fn ready(&self, base_fee: u64) -> impl Iterator<Item = &CheckedTransaction> {
        self.best_first(base_fee).map(|entry| &entry.transaction)
    }

    /// The first so many of them.
    pub fn candidates(&self, base_fee: u64, count_max: usize) -> Vec<CheckedTransaction> {
        self.ready(base_fee).take(count_max).cloned().collect()
    }

    /// What keeps a transaction of the pool out of the next block, or how many are before it.
    pub fn why_waiting(&self, hash: &TxHash, base_fee: u64) -> Option<Waiting> {
        let entry = self.entry(hash)?;
        let (sender, nonce) = (entry.transaction.sender(), entry.transaction.nonce());
        let queue = self.senders.get(&sender)?;
        if entry.class == Class::Queued {
            return Some(why_queued(queue, nonce));
        }
        let pays = |entry: &Entry| entry.transaction.max_fee() >= u128::from(base_fee);
        if !pays(entry) {
            let (want, got) = (base_fee, entry.transaction.max_fee());
            return Some(Waiting::BaseFee { want, got });
        }
        let before = queue
            .pending()
            .iter()
            .take_while(|other| other.arrival != entry.arrival);
        if let Some(poor) = before.into_iter().find(|other| !pays(other)) {
            let (hash, nonce) = (poor.transaction.hash(), poor.transaction.nonce());
            return Some(Waiting::Behind { hash, nonce });
        }
        let mut gas_ahead = 0_u64;
        let looked_at = self.best_first(base_fee).take(TURNS_COUNTED_MAX);
        for (ahead, other) in looked_at.enumerate() {
            if other.arrival == entry.arrival {
                return Some(Waiting::Turn { ahead, gas_ahead });
            }
            gas_ahead = gas_ahead.saturating_add(other.transaction.gas_limit());
        }
        let ahead = TURNS_COUNTED_MAX;
        Some(Waiting::Later { ahead })
    }

    /// Pending ones that can pay the base fee, each as soon as the one before it has been given.
    fn best_first(&self, base_fee: u64) -> impl Iterator<Item = &Entry> {
        let mut heads = self.heads.best_first(base_fee).peekable();
        let mut next: BinaryHeap<Next<'_>> = BinaryHeap::new();
        std::iter::from_fn(move || {
            let is_head = heads.peek() > next.peek().map(|next| &next.ranked);
            let (entry, rest) = if is_head {
                let head = heads.next()?;
                self.senders.get(&head.sender)?.pending().split_first()?
            } else {
                let next = next.pop()?;
                (next.entry, next.rest)
            };
            if let Some((entry, rest)) = rest.split_first()
                && entry.transaction.max_fee() >= u128::from(base_fee)
            {
                let ranked = Ranked::of(entry, base_fee);
                next.push(Next {
                    ranked,
                    entry,
                    rest,
                });
            }
            Some(entry)
        })
    }

    /// A sender's queue with a transaction in it, and which one left for it and why; room aside.
    pub(super) fn admit(
        &self,
        entry: Entry,
        account: Option<&Account>,
        context: &PoolContext,
        source: Source,
    ) -> Result<(Queue, Option<(Entry, Reason)>), PoolError> {
        let transaction = &entry.transaction;
        if self.by_hash.contains_key(&transaction.hash()) {
            return Err(PoolError::Known(transaction.hash()));
        }
        transaction.check_limits()?;
        if transaction.gas_limit() > context.gas_limit {
            let (want, got) = (context.gas_limit, transaction.gas_limit());
            return Err(PoolError::BlockGas { want, got });
        }
        if transaction.max_fee() < u128::from(context.base_fee_min) {
            let (want, got) = (context.base_fee_min, transaction.max_fee());
            return Err(PoolError::FeeTooLow { want, got });
        }
        if account.is_some_and(|account| account.code_hash.is_some()) {
            return Err(PoolError::SenderHasCode(transaction.sender()));
        }
        let queue = self.senders.get(&transaction.sender());
        let mut queue = queue.map(|queue| Queue::clone(queue)).unwrap_or_default();
        queue.judge(account, entry.since_ms);
        let gone = queue.admit(entry, source)?;
        Ok((queue, gone))
    }
}

fn why_queued(queue: &Queue, nonce: u64) -> Waiting {
    let missing = queue.nonce_next();
    if missing < nonce {
        let (want, got) = (missing, nonce);
        return Waiting::Nonce { want, got };
    }
    let (want, got) = (queue.cost_up_to(nonce), queue.balance());
    Waiting::Balance { want, got }
}

/// The next transaction of a sender of which one was given.
struct Next<'a> {
    ranked: Ranked,
    entry: &'a Entry,
    rest: &'a [Entry],
}

impl PartialEq for Next<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.ranked == other.ranked
    }
}

impl Eq for Next<'_> {}

impl PartialOrd for Next<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Next<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.ranked.cmp(&other.ranked)
    }
}
