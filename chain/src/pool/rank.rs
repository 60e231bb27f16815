//! The one order of the pool, at any base fee.
//!
//! A transaction is worth the gas price it pays at the base fee: the lower of its max fee and of
//! base fee + priority fee. The higher price is better, among equal ones the earlier arrival.
//!
//! Prices change with every block, and not all in the same way, so a set sorted by them would
//! have to be sorted anew each time. Instead each transaction stands in two sets that the base fee
//! does not touch, one by priority fee and one by max fee; a price is the lower of two terms, each
//! of which rises along one of the sets.
//! - Worst first is exact and lazy: the lowest of lowest terms is the lower of the two sets' first
//!   ones. Each step costs O(log n).
//! - Best first has to pass over those that stand high in one set but are held down by the other.
//!   That costs O(n) at the very worst, on a template's thread and over one transaction a sender,
//!   and nothing when a head moves. Sets kept apart by which term holds, as other pools have them,
//!   give O(log n) there; but then the core pays for all that change sides when the base fee
//!   moves, which a sender of thousands with one max fee could make it do with every block.

use std::{cmp::Reverse, collections::BTreeSet, iter::Peekable};

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
        let rank = Self::by_tip(entry);
        Self {
            fee: rank.other,
            other: rank.fee,
            ..rank
        }
    }

    /// Its place in the order, if the priority fee holds its price down. For the set by tip.
    fn held_by_tip(&self, base_fee: u64) -> Option<Ranked> {
        let paid = self.fee.saturating_add(u128::from(base_fee));
        (paid <= self.other).then(|| self.ranked(paid))
    }

    /// Its place in the order, if the max fee holds its price down. For the set by max fee.
    fn held_by_max_fee(&self, base_fee: u64) -> Option<Ranked> {
        let paid = self.other.saturating_add(u128::from(base_fee));
        (self.fee < paid).then(|| self.ranked(self.fee))
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
                let low = by_tip.peek().map(|rank| {
                    let paid = rank.fee.saturating_add(u128::from(base_fee));
                    rank.ranked(paid)
                });
                let capped = by_max_fee.peek().map(|rank| rank.ranked(rank.fee));
                // What is held down by its other fee has been met there already.
                let found = match (low, capped) {
                    (Some(low), Some(capped)) if capped < low => {
                        by_max_fee.next()?.held_by_max_fee(base_fee)
                    }
                    (Some(_), _) => by_tip.next()?.held_by_tip(base_fee),
                    (None, _) => by_max_fee.next()?.held_by_max_fee(base_fee),
                };
                if found.is_some() {
                    return found;
                }
            }
        })
    }
}

/// Sets of the pool's snapshots: a copy is a pointer.
type SharedRanks = rpds::RedBlackTreeSetSync<Rank>;

/// The first pending transaction of each sender, to be had from the best downwards.
#[derive(Clone, Debug, Default)]
pub(super) struct Heads {
    by_tip: SharedRanks,
    by_max_fee: SharedRanks,
}

impl Heads {
    /// Adds an entry.
    pub(super) fn insert(&mut self, entry: &Entry) {
        self.by_tip.insert_mut(Rank::by_tip(entry));
        self.by_max_fee.insert_mut(Rank::by_max_fee(entry));
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, entry: &Entry) {
        self.by_tip.remove_mut(&Rank::by_tip(entry));
        self.by_max_fee.remove_mut(&Rank::by_max_fee(entry));
    }

    /// Each that can pay the base fee once, the best first.
    pub(super) fn best_first(&self, base_fee: u64) -> Peekable<impl Iterator<Item = Ranked>> {
        let by_tip = self.by_tip.iter().rev();
        let mut by_tip = by_tip
            .filter_map(move |rank| rank.held_by_tip(base_fee))
            .peekable();
        let by_max_fee = self.by_max_fee.iter().rev();
        let mut by_max_fee = by_max_fee
            .take_while(move |rank| rank.fee >= u128::from(base_fee))
            .filter_map(move |rank| rank.held_by_max_fee(base_fee))
            .peekable();
        std::iter::from_fn(move || {
            if by_tip.peek() >= by_max_fee.peek() {
                by_tip.next()
            } else {
                by_max_fee.next()
            }
        })
        .peekable()
    }
}
