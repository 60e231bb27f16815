//! The transaction pool: what may be mined next, and what has to wait, by sender and nonce.
//!
//! - A transaction is *pending* if it follows on its account's nonce and the balance covers it and
//!   all of its sender's before it, else *queued*. Nothing is taken that the balance does not
//!   cover; what a block has made too dear or cut off goes on waiting in the queue.
//! - There is one order (`rank`), for templates and for eviction. Queued ones stand below all
//!   pending ones, since they could promise any fee and never pay it.
//! - When room is needed, the worst goes, and before it all of its sender's with higher nonces: no
//!   eviction leaves a hole. A newcomer that needs the room of several must pay more than they.
//!   What a full pool drops sets a floor under what it takes, which falls with time.
//! - What a reorg or a restart gives back is taken whole before room is made, and only meanwhile is
//!   the pool beyond its limits: by what undone blocks, or the journal, may hold.
//! - Every refusal and every departure has its reason, with both numbers.
//!
//! Copy-on-write: a snapshot is a pointer. Called by `node` alone; templates and readers get
//! snapshots. Time and accounts are arguments.

mod departures;
mod error;
mod heads;
mod queue;
mod rank;
mod room;
mod snapshot;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

use alloy_primitives::Address;

pub use departures::{Departure, Reason};
pub use error::PoolError;
pub use queue::{Class, Entry};
pub use rank::price;
pub use snapshot::{PoolSnapshot, Waiting};

use crate::{
    effect::Time,
    execution::Account,
    hash::TxHash,
    params::{POOL_BYTES_MAX, POOL_COUNT_MAX, POOL_EXPIRE_SENDERS},
    store::BlockId,
    transaction::CheckedTransaction,
};
use queue::Queue;
use rank::Ranks;

/// What the pool must know of the head and the clock to judge a transaction.
#[derive(Clone, Copy, Debug)]
pub struct PoolContext {
    /// Gas of the next block.
    pub gas_limit: u64,
    /// Floor of the base fee.
    pub base_fee_min: u64,
    /// The next block's base fee, wei per gas.
    pub base_fee: u64,
    /// The clocks.
    pub now: Time,
}

/// How much a pool holds.
#[derive(Clone, Copy, Debug)]
pub struct PoolLimits {
    /// Transactions.
    pub count: usize,
    /// Their encoded bytes.
    pub bytes: usize,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self {
            count: POOL_COUNT_MAX,
            bytes: POOL_BYTES_MAX,
        }
    }
}

/// Where a transaction comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A peer. It lives on in other pools, so the journal does without it.
    Peer,
    /// A user of this node, who is told that it will survive a restart.
    User,
    /// A block that a reorg undid. Perhaps nobody else has it, and it had been good enough.
    Reorg,
    /// The journal. How long it has waited begins anew.
    Journal,
}

impl Source {
    /// Whether it has not been in the pool or in a block before.
    fn is_new(self) -> bool {
        matches!(self, Self::Peer | Self::User)
    }
}

/// What the journal is to keep from now on, or no longer.
pub type JournalChanges = BTreeMap<TxHash, Option<CheckedTransaction>>;

/// Whose departures are to be told also after a restart from now on, or no longer.
pub type DepartureChanges = BTreeMap<TxHash, Option<Departure>>;

/// The pool of one node.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    shared: Arc<PoolSnapshot>,
    pending: Ranks,
    queued: Ranks,
    /// When the first transaction of each sender is to be given up.
    expiry: BTreeSet<(u64, Address)>,
    arrivals: u64,
    /// Those that the journal keeps, in the order of their hashes.
    durable: BTreeSet<TxHash>,
    journal: JournalChanges,
    /// Departures that the store has, or will have with the next batch.
    kept: BTreeSet<TxHash>,
    departed: DepartureChanges,
}

impl Pool {
    /// An empty pool of this size.
    pub fn new(limits: PoolLimits) -> Self {
        let shared = PoolSnapshot {
            limits,
            ..PoolSnapshot::default()
        };
        Self {
            shared: Arc::new(shared),
            ..Self::default()
        }
    }

    /// Sets how much it holds, from the next transaction on.
    pub fn set_limits(&mut self, limits: PoolLimits) {
        Arc::make_mut(&mut self.shared).limits = limits;
    }

    /// How much it holds.
    pub(crate) fn limits(&self) -> PoolLimits {
        self.shared.limits
    }

    /// The pool as it is now.
    pub fn snapshot(&self) -> Arc<PoolSnapshot> {
        Arc::clone(&self.shared)
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.shared.is_empty()
    }

    /// What is to be written to the journal since this was last asked.
    pub fn take_journal(&mut self) -> JournalChanges {
        std::mem::take(&mut self.journal)
    }

    /// What is to be written of departures since this was last asked.
    pub fn take_departed(&mut self) -> DepartureChanges {
        std::mem::take(&mut self.departed)
    }

    /// Takes back what was told of departures before the node was stopped.
    pub fn remember(&mut self, mut departures: Vec<Departure>) {
        departures.sort_by_key(|departure| (departure.unix_secs, departure.hash));
        for departure in departures {
            self.kept.insert(departure.hash);
            self.push(departure);
        }
    }

    /// Those that the journal keeps, in the order of their hashes, after one or from the beginning.
    pub fn durable_after(
        &self,
        after: Option<&TxHash>,
    ) -> impl Iterator<Item = &CheckedTransaction> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let durable = self.durable.range::<TxHash, _>((from, Bound::Unbounded));
        durable.filter_map(|hash| self.shared.get(hash))
    }

    /// Takes a transaction, judged by its sender's account at the head. For a new one room is made
    /// at once, if it is worth it; after what comes back, [`Pool::make_room`] is to be called.
    pub fn insert(
        &mut self,
        transaction: &CheckedTransaction,
        account: Option<&Account>,
        context: &PoolContext,
        source: Source,
    ) -> Result<(), PoolError> {
        let (sender, hash) = (transaction.sender(), transaction.hash());
        let entry = self.entry(transaction, context, source);
        let arrival = entry.arrival;
        let (queue, gone) = self.shared.admit(entry, account, context, source)?;
        if source.is_new() {
            self.check_floor(transaction, context)?;
        }
        let before = self.shared.senders.get(&sender).cloned();
        self.put(sender, queue);
        self.arrivals = arrival;
        if source.is_new() {
            match self.make_room_for(sender, arrival, context) {
                Ok(victims) => self.evict(&victims, context),
                Err(error) => {
                    let before = before.map(|queue| Queue::clone(&queue));
                    self.put(sender, before.unwrap_or_default());
                    return Err(error);
                }
            }
        }
        if let Some((entry, reason)) = gone {
            self.departed(&entry, reason, context.now);
        }
        if matches!(source, Source::User | Source::Reorg) {
            self.journal.insert(hash, Some(transaction.clone()));
        }
        Ok(())
    }

    /// Lets a restart keep a transaction of the pool: a user has sent what a peer had sent before.
    pub fn make_durable(&mut self, hash: &TxHash) {
        let Some((sender, nonce)) = self.shared.by_hash.get(hash).copied() else {
            return;
        };
        let Some(queue) = self.shared.senders.get(&sender) else {
            return;
        };
        let mut queue = Queue::clone(queue);
        if let Some(transaction) = queue.make_durable(nonce) {
            self.put(sender, queue);
            self.durable.insert(*hash);
            self.journal.insert(*hash, Some(transaction));
        }
    }

    /// Notes that a transaction that had been in a block or in the journal was not taken back.
    pub fn not_taken_back(&mut self, hash: TxHash, error: PoolError, now: Time) {
        self.journal.insert(hash, None);
        self.keep(Departure {
            hash,
            reason: Reason::NotTakenBack(error),
            unix_secs: now.unix_secs,
        });
    }

    /// Whether there are transactions of this sender.
    pub fn has_sender(&self, address: &Address) -> bool {
        self.shared.senders.contains_key(address)
    }

    /// Judges a sender's transactions again after a block changed its account. `mined` says in
    /// which block of the best chain a transaction stands, of those that joined it just now.
    pub fn account_changed(
        &mut self,
        address: &Address,
        account: Option<&Account>,
        mined: &dyn Fn(&TxHash) -> Option<BlockId>,
        now: Time,
    ) {
        let Some(queue) = self.shared.senders.get(address) else {
            return;
        };
        let mut queue = Queue::clone(queue);
        let gone = queue.judge(account, now.monotonic_ms);
        self.put(*address, queue);
        let want = account.map_or(0, |account| account.nonce);
        for entry in gone {
            let got = entry.transaction.nonce();
            let reason = match mined(&entry.transaction.hash()) {
                Some(block) => Reason::Mined(block),
                None if got < want => Reason::NonceUsed { want, got },
                None => Reason::SenderHasCode,
            };
            self.departed(&entry, reason, now);
        }
    }

    /// Gives up what has waited too long, of a bounded number of senders.
    pub fn expire(&mut self, now: Time) {
        for _ in 0..POOL_EXPIRE_SENDERS {
            let due = self.expiry.first().copied();
            let Some((_, sender)) = due.filter(|(at, _)| *at <= now.monotonic_ms) else {
                return;
            };
            let queue = self.shared.senders.get(&sender);
            let mut queue = queue.map(|queue| Queue::clone(queue)).unwrap_or_default();
            let gone = queue.expire(now.monotonic_ms);
            self.put(sender, queue);
            for entry in gone {
                let waited_ms = now.monotonic_ms.saturating_sub(entry.since_ms);
                let secs = waited_ms / 1_000;
                self.departed(&entry, Reason::Expired { secs }, now);
            }
        }
    }
}

impl Pool {
    fn entry(
        &self,
        transaction: &CheckedTransaction,
        context: &PoolContext,
        source: Source,
    ) -> Entry {
        Entry {
            transaction: transaction.clone(),
            arrival: self.arrivals.saturating_add(1),
            class: Class::Queued,
            since_ms: context.now.monotonic_ms,
            gas_min: transaction.gas_min(),
            is_durable: source != Source::Peer,
        }
    }

    /// Puts a sender's new queue in place of the old one and brings the indexes up to date.
    fn put(&mut self, sender: Address, queue: Queue) {
        let shared = Arc::make_mut(&mut self.shared);
        let old = shared.senders.get(&sender).cloned().unwrap_or_default();
        for entry in old.entries() {
            let now = queue.same(entry);
            if now.is_some_and(|now| now.class == entry.class) {
                continue;
            }
            ranks(&mut self.pending, &mut self.queued, entry.class).remove(entry);
            match now {
                Some(now) => ranks(&mut self.pending, &mut self.queued, now.class).insert(now),
                None => {
                    self.durable.remove(&entry.transaction.hash());
                    shared.by_hash.remove_mut(&entry.transaction.hash());
                    shared.bytes = shared.bytes.saturating_sub(entry.size());
                }
            }
        }
        for entry in queue.entries() {
            if old.same(entry).is_none() {
                if entry.is_durable {
                    self.durable.insert(entry.transaction.hash());
                }
                let place = (sender, entry.transaction.nonce());
                shared.by_hash.insert_mut(entry.transaction.hash(), place);
                shared.bytes = shared.bytes.saturating_add(entry.size());
                ranks(&mut self.pending, &mut self.queued, entry.class).insert(entry);
            }
        }
        self.replace(sender, &old, queue);
    }

    /// The part of `put` that concerns a sender as a whole.
    fn replace(&mut self, sender: Address, old: &Queue, queue: Queue) {
        let shared = Arc::make_mut(&mut self.shared);
        let (was, is) = (old.pending(), queue.pending());
        shared.pending = shared
            .pending
            .saturating_sub(was.len())
            .saturating_add(is.len());
        let arrival = |entries: &[Entry]| entries.first().map(|entry| entry.arrival);
        if arrival(was) != arrival(is) {
            was.first().inspect(|entry| shared.heads.remove(entry));
            is.first().inspect(|entry| shared.heads.insert(entry));
        }
        let (was, is) = (old.expires_ms(), queue.expires_ms());
        if was != is {
            was.map(|at| self.expiry.remove(&(at, sender)));
            is.map(|at| self.expiry.insert((at, sender)));
        }
        if queue.entries().is_empty() {
            shared.senders.remove_mut(&sender);
        } else {
            shared.senders.insert_mut(sender, Arc::new(queue));
        }
    }

    fn departed(&mut self, entry: &Entry, reason: Reason, now: Time) {
        let hash = entry.transaction.hash();
        if entry.is_durable {
            self.journal.insert(hash, None);
        }
        // Where a transaction was mined is told by the chain.
        let keeps = entry.is_durable && !matches!(reason, Reason::Mined(_));
        let departure = Departure {
            hash,
            reason,
            unix_secs: now.unix_secs,
        };
        if keeps {
            self.keep(departure);
        } else {
            self.push(departure);
        }
    }

    /// Notes a departure that is to outlive a restart.
    fn keep(&mut self, departure: Departure) {
        self.kept.insert(departure.hash);
        self.departed
            .insert(departure.hash, Some(departure.clone()));
        self.push(departure);
    }

    fn push(&mut self, departure: Departure) {
        let departures = &mut Arc::make_mut(&mut self.shared).departures;
        if let Some(forgotten) = departures
            .push(departure)
            .filter(|hash| self.kept.remove(hash))
        {
            self.departed.insert(forgotten, None);
        }
    }
}

fn ranks<'a>(pending: &'a mut Ranks, queued: &'a mut Ranks, class: Class) -> &'a mut Ranks {
    match class {
        Class::Pending => pending,
        Class::Queued => queued,
    }
}
