//! The one order of the pool, at any base fee.
//!
//! A transaction is worth the gas price it pays at the base fee: the lower of its max fee and of
//! base fee + priority fee. The higher price is better, among equal ones the earlier arrival.
//!
//! Prices change with every block, and not all in the same way, so a set sorted by them would
//! have to be sorted anew each time. Instead each transaction stands in two sets that the base fee
//! does not touch, one by priority fee and one by max fee; a price is the lower of two terms, each
//! of which rises along one of the sets. Worst first is exact and lazy: the lowest of lowest terms
//! is the lower of the two sets' first ones. Each step costs O(log n). Best first is in `heads`.
//!
//! Other pools keep sets apart by which fee decides. That is O(log n) at any time, but all that
//! change sides have to be moved when the base fee does, by the core and with every block, and
//! senders of thousands with one max fee decide how many that are. Here a new base fee costs
//! nothing.

use std::{cmp::Reverse, collections::BTreeSet};

use alloy_primitives::Address;

use super::queue::Entry;

/// What a transaction pays for a unit of gas at a base fee, in wei, base fee included. Below the
/// base fee it cannot be mined, and the price is its max fee.
pub fn price(max_fee: u128, tip: u128, base_fee: u64) -> u128 {
    max_fee.min(tip.saturating_add(u128::from(base_fee)))
}

/// A transaction's place in one of the two sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// What the set is sorted by: the priority fee or the max fee.
    fee: u128,
    /// Among equal fees the later arrival is worse.
    arrival: Reverse<u64>,
    /// The other of the two fees.
    other: u128,
    sender: Address,
}

impl Rank {
    fn by_tip(entry: &Entry) -> Self {
        let transaction = &entry.transaction;
        Self {
            fee: transaction.priority_fee(),
            arrival: Reverse(entry.arrival),
            other: transaction.max_fee(),
            sender: transaction.sender(),
        }
    }

    fn by_max_fee(entry: &Entry) -> Self {
        Self::by_tip(entry).in_the_other_set()
    }

    /// As high as the priority fee lets it stand. For the set by priority fee.
    fn term_of_tip(&self, base_fee: u64) -> Ranked {
        self.ranked(self.fee.saturating_add(u128::from(base_fee)))
    }

    /// As high as the max fee lets it stand. For the set by max fee.
    fn term_of_max_fee(&self) -> Ranked {
        self.ranked(self.fee)
    }

    /// The same transaction in the other set.
    fn in_the_other_set(&self) -> Self {
        Self {
            fee: self.other,
            other: self.fee,
            ..*self
        }
    }

    fn ranked(&self, price: u128) -> Ranked {
        Ranked {
            price,
            arrival: self.arrival,
            sender: self.sender,
        }
    }
}

/// A place in the order at one base fee; the greatest is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ranked {
    /// What it pays.
    pub(super) price: u128,
    /// When it came.
    pub(super) arrival: Reverse<u64>,
    /// Whose it is.
    pub(super) sender: Address,
}

impl Ranked {
    /// An entry's place.
    pub(super) fn of(entry: &Entry, base_fee: u64) -> Self {
        let transaction = &entry.transaction;
        let (max_fee, tip) = (transaction.max_fee(), transaction.priority_fee());
        Self {
            price: price(max_fee, tip, base_fee),
            arrival: Reverse(entry.arrival),
            sender: transaction.sender(),
        }
    }
}

/// All transactions of one class, to be had from the worst upwards.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranks {
    by_tip: BTreeSet<Rank>,
    by_max_fee: BTreeSet<Rank>,
}

impl Ranks {
    /// Adds an entry.
    pub(super) fn insert(&mut self, entry: &Entry) {
        self.by_tip.insert(Rank::by_tip(entry));
        self.by_max_fee.insert(Rank::by_max_fee(entry));
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, entry: &Entry) {
        self.by_tip.remove(&Rank::by_tip(entry));
        self.by_max_fee.remove(&Rank::by_max_fee(entry));
    }

    /// Each entry once, the worst first.
    pub(super) fn worst_first(&self, base_fee: u64) -> impl Iterator<Item = Ranked> {
        let mut by_tip = self.by_tip.iter().peekable();
        let mut by_max_fee = self.by_max_fee.iter().peekable();
        std::iter::from_fn(move || {
            loop {
                let tip = by_tip.peek().map(|rank| rank.term_of_tip(base_fee));
                let max_fee = by_max_fee.peek().map(|rank| rank.term_of_max_fee());
                // The higher of its two terms is met later, and is not its place.
                let is_capped = match (tip, max_fee) {
                    (Some(tip), Some(max_fee)) => max_fee < tip,
                    (tip, _) => tip.is_none(),
                };
                if is_capped {
                    let rank = by_max_fee.next()?;
                    let place = rank.term_of_max_fee();
                    if place < rank.in_the_other_set().term_of_tip(base_fee) {
                        return Some(place);
                    }
                } else {
                    let rank = by_tip.next()?;
                    let place = rank.term_of_tip(base_fee);
                    if place <= rank.in_the_other_set().term_of_max_fee() {
                        return Some(place);
                    }
                }
            }
        })
    }
}
