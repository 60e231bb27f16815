//! The transactions of one sender: which of them follow on its account, and which have to wait.
//!
//! A queue is a value of at most `POOL_PER_SENDER` entries. Whoever changes one makes a new one
//! and has it settled; the pool compares the two and brings its indexes up to date.

use alloy_primitives::{Address, U256};

use crate::{
    execution::Account,
    params::{POOL_NONCE_GAP, POOL_PENDING_SECS, POOL_PER_SENDER, POOL_QUEUED_SECS},
    transaction::CheckedTransaction,
};

use super::{PoolError, Reason, Source};

/// The highest nonce that can be mined (Rule T4).
const NONCE_MAX: u64 = u64::MAX - 1;

/// Whether a transaction could stand in the next block, its fees aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A nonce before its own is missing, or the balance does not reach as far.
    Queued,
    /// It follows on the account's nonce, and the balance covers it and all before it.
    Pending,
}

impl Class {
    /// How long one waits before it is given up, in milliseconds.
    fn life_ms(self) -> u64 {
        let secs = match self {
            Self::Pending => POOL_PENDING_SECS,
            Self::Queued => POOL_QUEUED_SECS,
        };
        secs.saturating_mul(1_000)
    }
}

/// A transaction and what the pool has noted of it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The transaction.
    pub transaction: CheckedTransaction,
    /// When it came, in transactions taken before it: no two are equal.
    pub arrival: u64,
    /// Whether it could be mined now.
    pub class: Class,
    /// When it came or last changed its class, in monotonic milliseconds.
    pub since_ms: u64,
    /// Gas that it uses in any case.
    pub gas_min: u64,
    /// Whether the journal has it, so that a restart keeps it.
    pub is_durable: bool,
}

impl Entry {
    /// Its encoded bytes.
    pub fn size(&self) -> usize {
        self.transaction.bytes().len()
    }

    fn expires_ms(&self) -> u64 {
        self.since_ms.saturating_add(self.class.life_ms())
    }

    fn cost_max(&self) -> U256 {
        self.transaction.cost_max().unwrap_or(U256::MAX)
    }
}

/// A sender's transactions by rising nonce, and the account they were judged by.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    nonce: u64,
    balance: u128,
    entries: Vec<Entry>,
    pending: usize,
}

impl Queue {
    /// All entries by rising nonce; the pending ones come first.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Those that could be mined now.
    pub(super) fn pending(&self) -> &[Entry] {
        &self.entries[..self.pending]
    }

    /// The entry of a nonce.
    pub(super) fn get(&self, nonce: u64) -> Option<&Entry> {
        self.place(nonce).ok().map(|place| &self.entries[place])
    }

    /// The entry of a nonce, if it is this very one.
    pub(super) fn same(&self, entry: &Entry) -> Option<&Entry> {
        self.get(entry.transaction.nonce())
            .filter(|found| found.arrival == entry.arrival)
    }

    /// The account's balance.
    pub(super) fn balance(&self) -> u128 {
        self.balance
    }

    /// What the entries up to a nonce can cost; overflow counts as the largest number.
    pub(super) fn cost_up_to(&self, nonce: u64) -> U256 {
        let counted = self.entries.iter();
        counted
            .take_while(|entry| entry.transaction.nonce() <= nonce)
            .map(Entry::cost_max)
            .fold(U256::ZERO, U256::saturating_add)
    }

    /// The first nonce that is not waiting.
    pub(super) fn nonce_next(&self) -> u64 {
        let mut next = self.nonce;
        for entry in &self.entries {
            if entry.transaction.nonce() != next {
                break;
            }
            next = next.saturating_add(1);
        }
        next
    }

    /// When the first entry is to be given up, in monotonic milliseconds.
    pub(super) fn expires_ms(&self) -> Option<u64> {
        self.entries.iter().map(Entry::expires_ms).min()
    }

    /// Judges the entries by the account. Those that it has made impossible are taken out.
    pub(super) fn judge(&mut self, account: Option<&Account>, now_ms: u64) -> Vec<Entry> {
        (self.nonce, self.balance) = account.map_or((0, 0), |a| (a.nonce, a.balance));
        let has_code = account.is_some_and(|account| account.code_hash.is_some());
        let nonce = self.nonce;
        self.take_out(now_ms, |entry| {
            has_code || entry.transaction.nonce() < nonce
        })
    }

    /// Takes out entries that have waited too long.
    pub(super) fn expire(&mut self, now_ms: u64) -> Vec<Entry> {
        self.take_out(now_ms, |entry| entry.expires_ms() <= now_ms)
    }

    /// Takes out the last `count` entries.
    pub(super) fn cut(&mut self, count: usize) -> Vec<Entry> {
        let kept = self.entries.len().saturating_sub(count);
        self.pending = self.pending.min(kept);
        self.entries.split_off(kept)
    }

    /// Notes that the journal has an entry; `None` if it had it before, or there is none.
    pub(super) fn make_durable(&mut self, nonce: u64) -> Option<CheckedTransaction> {
        let place = self.place(nonce).ok()?;
        let entry = &mut self.entries[place];
        let is_new = !entry.is_durable;
        entry.is_durable = true;
        is_new.then(|| entry.transaction.clone())
    }

    /// Takes an entry in: nonce, places, replacement and balance. Gives the one that it replaces,
    /// or that had to make room for it, and which of the two it was.
    /// One that comes back may wait where a new one may not: what was before it may be gone.
    pub(super) fn admit(
        &mut self,
        entry: Entry,
        source: Source,
    ) -> Result<Option<(Entry, Reason)>, PoolError> {
        let (nonce, now_ms) = (entry.transaction.nonce(), entry.since_ms);
        let by = entry.transaction.hash();
        self.check_nonce(nonce, source)?;
        let gone = match self.place(nonce) {
            Ok(place) => {
                let old = &mut self.entries[place];
                PoolError::check_replacement(&old.transaction, &entry.transaction)?;
                let replaced = std::mem::replace(old, entry);
                Some((replaced, Reason::Replaced { by }))
            }
            Err(place) => {
                let displaced = self.make_place(nonce)?;
                self.entries.insert(place, entry);
                displaced.map(|displaced| (displaced, Reason::Displaced { by }))
            }
        };
        let (want, got) = (self.cost_up_to(nonce), self.balance);
        if source.is_new() && want > U256::from(got) {
            return Err(PoolError::Balance { want, got });
        }
        self.settle(now_ms);
        Ok(gone)
    }

    /// Makes sure that a place is left for a nonce. If none is, the first nonce that is missing
    /// takes that of the furthest one behind it, which without it could not be mined either: else
    /// a sender whose places are all taken behind a gap could never close it.
    fn make_place(&mut self, nonce: u64) -> Result<Option<Entry>, PoolError> {
        let (want, got) = (POOL_PER_SENDER, self.entries.len());
        if got < want {
            return Ok(None);
        }
        let furthest = self.entries.last().map(|entry| entry.transaction.nonce());
        if nonce != self.nonce_next() || furthest < Some(nonce) {
            return Err(PoolError::SenderFull { want, got });
        }
        Ok(self.cut(1).pop())
    }

    fn check_nonce(&self, got: u64, source: Source) -> Result<(), PoolError> {
        let want = self.nonce;
        if got < want {
            return Err(PoolError::NonceTooLow { want, got });
        }
        let ahead = self.nonce_next().saturating_add(POOL_NONCE_GAP);
        let highest = if source.is_new() { ahead } else { NONCE_MAX };
        let want = highest.min(NONCE_MAX);
        if got > want {
            return Err(PoolError::NonceTooHigh { want, got });
        }
        Ok(())
    }

    fn place(&self, nonce: u64) -> Result<usize, usize> {
        self.entries
            .binary_search_by_key(&nonce, |entry| entry.transaction.nonce())
    }

    fn take_out(&mut self, now_ms: u64, is_out: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        let entries = std::mem::take(&mut self.entries);
        let (out, kept) = entries.into_iter().partition(is_out);
        self.entries = kept;
        self.settle(now_ms);
        out
    }

    /// Says of each entry whether it could be mined now.
    fn settle(&mut self, now_ms: u64) {
        let (mut next, mut cost, mut is_open) = (self.nonce, U256::ZERO, true);
        let balance = U256::from(self.balance);
        self.pending = 0;
        for entry in &mut self.entries {
            cost = cost.saturating_add(entry.cost_max());
            is_open &= entry.transaction.nonce() == next && cost <= balance;
            next = next.saturating_add(1);
            self.pending += usize::from(is_open);
            let class = if is_open {
                Class::Pending
            } else {
                Class::Queued
            };
            if class != entry.class {
                (entry.class, entry.since_ms) = (class, now_ms);
            }
        }
    }
}

/// A sender and one of its nonces.
pub(super) type Place = (Address, u64);
