//! The transaction pool: what may be mined next, by sender and nonce.
//!
//! Holds only transactions that were affordable together at the head when they came or when
//! their sender's account last changed. Copy-on-write: a snapshot is a pointer. Called by
//! `node` alone; templates and readers get snapshots.

use std::{
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    sync::Arc,
};

use alloy_primitives::{Address, U256};

use crate::{
    execution::Account,
    hash::TxHash,
    params::{POOL_BUMP_PERCENT, POOL_BYTES_MAX, POOL_COUNT_MAX, POOL_NONCE_GAP, POOL_PER_SENDER},
    transaction::{CheckedTransaction, LimitError},
};

/// The highest nonce that can be mined (Rule T4).
const NONCE_MAX: u64 = u64::MAX - 1;

/// Why the pool refuses a transaction. Every variant carries both numbers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// It is here already.
    #[error("transaction {0} is already in the pool")]
    Known(TxHash),
    /// A limit that no state can lift.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// It could never fit a block.
    #[error("gas limit is {got}, a block has {want}")]
    BlockGas {
        /// A block's gas.
        want: u64,
        /// The transaction's.
        got: u64,
    },
    /// It could never pay the base fee.
    #[error("max fee is {got} wei per gas, the network's minimum is {want}")]
    FeeTooLow {
        /// The floor of the base fee.
        want: u64,
        /// The transaction's max fee.
        got: u128,
    },
    /// Its sender has code (EIP-3607).
    #[error("sender {0} is a contract and cannot send transactions")]
    SenderHasCode(Address),
    /// Its nonce was used.
    #[error("nonce is {got}, the account's next is {want}")]
    NonceTooLow {
        /// The account's nonce at the head.
        want: u64,
        /// The transaction's.
        got: u64,
    },
    /// Its nonce lies too far ahead.
    #[error("nonce is {got}, at most {want} can wait now")]
    NonceTooHigh {
        /// The highest that would be taken.
        want: u64,
        /// The transaction's.
        got: u64,
    },
    /// The account cannot pay for it and for what it has waiting.
    #[error(
        "balance is {got} wei, needed {want} with what is waiting (value + gas limit x max fee)"
    )]
    Balance {
        /// All waiting transactions of the sender and this one.
        want: U256,
        /// The account's balance at the head.
        got: u128,
    },
    /// Another transaction has its nonce, and it does not pay enough more.
    #[error("replacing nonce {nonce} needs fees of {want} wei or more, got {got}")]
    Underpriced {
        /// The nonce of both.
        nonce: u64,
        /// What the lower of its two fees must reach.
        want: u128,
        /// What it offers there.
        got: u128,
    },
    /// Its sender has all its places taken.
    #[error("sender has {got} transactions waiting, at most {want} are kept")]
    SenderFull {
        /// Places a sender has.
        want: usize,
        /// Those taken.
        got: usize,
    },
    /// The pool is full of better paying ones.
    #[error("the pool is full; a priority fee above {want} wei per gas is needed, got {got}")]
    Full {
        /// The cheapest one in the pool.
        want: u128,
        /// The transaction's.
        got: u128,
    },
}

impl PoolError {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Known(_) => "already_known",
            Self::Limit(LimitError::GasTooLow { .. }) => "gas_limit_too_low",
            Self::Limit(LimitError::GasTooHigh { .. }) | Self::BlockGas { .. } => {
                "gas_limit_too_high"
            }
            Self::Limit(LimitError::Initcode { .. }) => "initcode_too_large",
            Self::Limit(LimitError::Tip { .. }) => "priority_fee_above_max_fee",
            Self::FeeTooLow { .. } => "fee_too_low",
            Self::SenderHasCode(_) => "sender_has_code",
            Self::NonceTooLow { .. } => "nonce_too_low",
            Self::NonceTooHigh { .. } => "nonce_too_high",
            Self::Balance { .. } => "balance_too_low",
            Self::Underpriced { .. } => "replacement_underpriced",
            Self::SenderFull { .. } => "sender_full",
            Self::Full { .. } => "pool_full",
        }
    }

    /// What was wanted and what came, as text, where both are numbers.
    pub fn numbers(&self) -> Option<(String, String)> {
        let pair =
            |want: &dyn ToString, got: &dyn ToString| Some((want.to_string(), got.to_string()));
        match self {
            Self::Known(_) | Self::SenderHasCode(_) => None,
            Self::Limit(LimitError::GasTooLow { want, got }) | Self::BlockGas { want, got } => {
                pair(want, got)
            }
            Self::Limit(LimitError::GasTooHigh { got }) => {
                pair(&crate::params::TRANSACTION_GAS_MAX, got)
            }
            Self::Limit(LimitError::Initcode { got }) => {
                pair(&crate::params::INITCODE_BYTES_MAX, got)
            }
            Self::Limit(LimitError::Tip { max_fee, got }) => pair(max_fee, got),
            Self::FeeTooLow { want, got } => pair(want, got),
            Self::NonceTooLow { want, got } | Self::NonceTooHigh { want, got } => pair(want, got),
            Self::Balance { want, got } => pair(want, got),
            Self::Underpriced { want, got, .. } | Self::Full { want, got } => pair(want, got),
            Self::SenderFull { want, got } => pair(want, got),
        }
    }
}

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
