//! The transaction pool: what may be mined next, by sender and nonce.
//!
//! Holds only transactions that were affordable together at the head when they came or when
//! their sender's account last changed. Copy-on-write: a snapshot is a pointer. Called by
//! `node` alone; templates and readers get snapshots.

mod error;

use std::{
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    sync::Arc,
};

use alloy_primitives::{Address, U256};

pub use error::PoolError;

use crate::{
    execution::Account,
    hash::TxHash,
    params::{POOL_BUMP_PERCENT, POOL_BYTES_MAX, POOL_COUNT_MAX, POOL_NONCE_GAP, POOL_PER_SENDER},
    transaction::CheckedTransaction,
};

/// The highest nonce that can be mined (Rule T4).
const NONCE_MAX: u64 = u64::MAX - 1;

/// What the pool must know of the head to judge a transaction.
#[derive(Clone, Copy, Debug)]
pub struct PoolContext {
    /// Gas of the next block.
    pub gas_limit: u64,
    /// Floor of the base fee.
    pub base_fee_min: u64,
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

/// The transactions of one sender, and the account they were judged by.
#[derive(Clone, Debug, Default)]
struct Queue {
    nonce: u64,
    balance: u128,
    transactions: BTreeMap<u64, CheckedTransaction>,
}

/// One immutable version of the pool.
#[derive(Clone, Debug, Default)]
pub struct PoolSnapshot {
    senders: BTreeMap<Address, Queue>,
    by_hash: BTreeMap<TxHash, (Address, u64)>,
    /// The priority fee of each sender's last transaction: the next to be evicted comes first.
    tails: BTreeSet<(u128, Address)>,
    bytes: usize,
    limits: PoolLimits,
}

/// The pool of one node.
#[derive(Clone, Debug, Default)]
pub struct Pool(Arc<PoolSnapshot>);

impl Pool {
    /// An empty pool of this size.
    pub fn new(limits: PoolLimits) -> Self {
        Self(Arc::new(PoolSnapshot {
            limits,
            ..PoolSnapshot::default()
        }))
    }

    /// The pool as it is now.
    pub fn snapshot(&self) -> Arc<PoolSnapshot> {
        Arc::clone(&self.0)
    }

    /// Takes a transaction, judged by its sender's account at the head.
    pub fn insert(
        &mut self,
        transaction: &CheckedTransaction,
        account: Option<&Account>,
        context: PoolContext,
    ) -> Result<(), PoolError> {
        self.0.admit(transaction, account, context)?;
        let inner = Arc::make_mut(&mut self.0);
        let (nonce, balance) = account.map_or((0, 0), |account| (account.nonce, account.balance));
        inner.edit(transaction.sender(), |queue| {
            (queue.nonce, queue.balance) = (nonce, balance);
            queue
                .transactions
                .insert(transaction.nonce(), transaction.clone());
        });
        inner.evict();
        if inner.by_hash.contains_key(&transaction.hash()) {
            return Ok(());
        }
        // Nothing in the pool pays less than the newcomer did.
        let want = inner.tails.first().map_or(0, |(fee, _)| *fee);
        Err(PoolError::Full {
            want,
            got: transaction.priority_fee(),
        })
    }

    /// Judges a sender's transactions again after its account changed.
    pub fn account_changed(&mut self, address: &Address, account: Option<&Account>) {
        if !self.0.senders.contains_key(address) {
            return;
        }
        let (nonce, balance) = account.map_or((0, 0), |account| (account.nonce, account.balance));
        let has_code = account.is_some_and(|account| account.code_hash.is_some());
        Arc::make_mut(&mut self.0).edit(*address, |queue| {
            (queue.nonce, queue.balance) = (nonce, balance);
            queue.transactions = queue.transactions.split_off(&nonce);
            if has_code {
                queue.transactions.clear();
            }
            queue.drop_unaffordable();
        });
    }
}

impl Queue {
    /// The first nonce that is not waiting.
    fn nonce_next(&self) -> u64 {
        let mut next = self.nonce;
        for nonce in self.transactions.keys() {
            if *nonce != next {
                break;
            }
            next = next.saturating_add(1);
        }
        next
    }

    /// What all waiting transactions can cost together; overflow counts as the largest number.
    fn cost(&self) -> U256 {
        let costs = self
            .transactions
            .values()
            .map(|tx| tx.cost_max().unwrap_or(U256::MAX));
        costs.fold(U256::ZERO, U256::saturating_add)
    }

    fn drop_unaffordable(&mut self) {
        while self.cost() > U256::from(self.balance) {
            self.transactions.pop_last();
        }
    }

    fn tail_fee(&self) -> Option<u128> {
        self.transactions
            .last_key_value()
            .map(|(_, transaction)| transaction.priority_fee())
    }
}

impl PoolSnapshot {
    /// A transaction of the pool.
    pub fn get(&self, hash: &TxHash) -> Option<&CheckedTransaction> {
        let (sender, nonce) = self.by_hash.get(hash)?;
        self.senders.get(sender)?.transactions.get(nonce)
    }

    /// A sender's transactions by rising nonce.
    pub fn of(&self, sender: &Address) -> impl Iterator<Item = &CheckedTransaction> {
        self.senders
            .get(sender)
            .into_iter()
            .flat_map(|queue| queue.transactions.values())
    }

    /// The nonce a sender's next transaction should have, given its nonce at the head.
    pub fn nonce_next(&self, sender: &Address, head_nonce: u64) -> u64 {
        self.senders
            .get(sender)
            .map_or(head_nonce, Queue::nonce_next)
    }

    /// Number of transactions.
    pub fn len(&self) -> usize {
        self.by_hash.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }

    /// Encoded bytes of all transactions.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Those that could be mined now, best effective tip first, each sender's in nonce order.
    pub fn candidates(&self, base_fee: u64, count_max: usize) -> Vec<CheckedTransaction> {
        let mut heap = BinaryHeap::new();
        for (sender, queue) in &self.senders {
            push_candidate(&mut heap, sender, queue, queue.nonce, base_fee);
        }
        let mut out = Vec::new();
        while let Some(next) = heap.pop() {
            if out.len() == count_max {
                break;
            }
            let queue = &self.senders[&next.sender];
            out.push(queue.transactions[&next.nonce].clone());
            push_candidate(&mut heap, &next.sender, queue, next.nonce + 1, base_fee);
        }
        out
    }

    /// Whether a transaction may come in, the full pool aside.
    fn admit(
        &self,
        transaction: &CheckedTransaction,
        account: Option<&Account>,
        context: PoolContext,
    ) -> Result<(), PoolError> {
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
        let mut queue = self
            .senders
            .get(&transaction.sender())
            .cloned()
            .unwrap_or_default();
        (queue.nonce, queue.balance) = account.map_or((0, 0), |a| (a.nonce, a.balance));
        queue.admit(transaction)
    }

    /// Changes a sender's queue and everything derived from it.
    fn edit(&mut self, sender: Address, change: impl FnOnce(&mut Queue)) {
        let mut queue = self.senders.remove(&sender).unwrap_or_default();
        if let Some(fee) = queue.tail_fee() {
            self.tails.remove(&(fee, sender));
        }
        for transaction in queue.transactions.values() {
            self.by_hash.remove(&transaction.hash());
            self.bytes -= transaction.bytes().len();
        }
        change(&mut queue);
        for (nonce, transaction) in &queue.transactions {
            self.by_hash.insert(transaction.hash(), (sender, *nonce));
            self.bytes += transaction.bytes().len();
        }
        if let Some(fee) = queue.tail_fee() {
            self.tails.insert((fee, sender));
            self.senders.insert(sender, queue);
        }
    }

    /// Drops the worst paying tails until the limits hold.
    fn evict(&mut self) {
        while self.by_hash.len() > self.limits.count || self.bytes > self.limits.bytes {
            let (_, sender) = *self
                .tails
                .first()
                .expect("a pool over its limits is not empty");
            self.edit(sender, |queue| {
                queue.transactions.pop_last();
            });
        }
    }
}

impl Queue {
    /// Nonce, replacement and balance, given the account at the head.
    fn admit(&mut self, transaction: &CheckedTransaction) -> Result<(), PoolError> {
        let nonce = transaction.nonce();
        if nonce < self.nonce {
            return Err(PoolError::NonceTooLow {
                want: self.nonce,
                got: nonce,
            });
        }
        let highest = self
            .nonce_next()
            .saturating_add(POOL_NONCE_GAP)
            .min(NONCE_MAX);
        if nonce > highest {
            return Err(PoolError::NonceTooHigh {
                want: highest,
                got: nonce,
            });
        }
        if let Some(old) = self.transactions.get(&nonce) {
            check_replacement(old, transaction)?;
        } else if self.transactions.len() >= POOL_PER_SENDER {
            let got = self.transactions.len();
            return Err(PoolError::SenderFull {
                want: POOL_PER_SENDER,
                got,
            });
        }
        self.transactions.insert(nonce, transaction.clone());
        let want = self.cost();
        if want > U256::from(self.balance) {
            return Err(PoolError::Balance {
                want,
                got: self.balance,
            });
        }
        Ok(())
    }
}

/// Both fees must rise by the bump, or the replacement is spam.
fn check_replacement(old: &CheckedTransaction, new: &CheckedTransaction) -> Result<(), PoolError> {
    let raised = |fee: u128| {
        let bump = u128::from(100 + POOL_BUMP_PERCENT);
        fee.saturating_mul(bump)
            .div_ceil(100)
            .max(fee.saturating_add(1))
    };
    for (old_fee, got) in [
        (old.max_fee(), new.max_fee()),
        (old.priority_fee(), new.priority_fee()),
    ] {
        let want = raised(old_fee);
        if got < want {
            return Err(PoolError::Underpriced {
                nonce: new.nonce(),
                want,
                got,
            });
        }
    }
    Ok(())
}

/// The next transaction of a sender in the race for a place in the template.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    tip: u128,
    sender: Address,
    nonce: u64,
}

fn push_candidate(
    heap: &mut BinaryHeap<Candidate>,
    sender: &Address,
    queue: &Queue,
    nonce: u64,
    base_fee: u64,
) {
    let transaction = queue.transactions.get(&nonce);
    if let Some(tip) = transaction.and_then(|transaction| transaction.effective_tip(base_fee)) {
        heap.push(Candidate {
            tip,
            sender: *sender,
            nonce,
        });
    }
}
