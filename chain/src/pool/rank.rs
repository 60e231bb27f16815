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
//! - Best first walks down one of the sets, whichever fee decides, and keeps what it meets until
//!   nothing unmet can be better. The max fee decides where the base fee is above the difference of
//!   max fee and priority fee, so pairs of sets are kept apart by the number of bits of that
//!   difference. At any base fee all pairs but one are decided by one fee alone, and cost O(log n)
//!   a transaction. In the one that is mixed the walk may pass over some that the other fee holds
//!   down: all of them at worst, O(n), on a template's thread, for somebody who has a funded sender
//!   for each.
//!
//! Other pools keep sets apart by which fee decides. That is O(log n) at any time, but all that
//! change sides have to be moved when the base fee does, by the core and with every block, and
//! senders of thousands with one max fee decide how many that are. Here a new base fee costs
//! nothing, and a template may ask for any.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    iter::Peekable,
};

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

/// Sets of the pool's snapshots: a copy is a pointer.
type SharedRanks = rpds::RedBlackTreeSetSync<Rank>;

/// The first pending transaction of each sender, to be had from the best downwards: apart by the
/// number of bits of the base fee at which the max fee begins to decide.
#[derive(Clone, Debug, Default)]
pub(super) struct Heads(BTreeMap<u32, Alike>);

/// Heads of which mostly the same fee decides.
#[derive(Clone, Debug, Default)]
struct Alike {
    by_tip: SharedRanks,
    by_max_fee: SharedRanks,
}

impl Heads {
    /// Adds an entry.
    pub(super) fn insert(&mut self, entry: &Entry) {
        let alike = self.0.entry(bits(entry)).or_default();
        alike.by_tip.insert_mut(Rank::by_tip(entry));
        alike.by_max_fee.insert_mut(Rank::by_max_fee(entry));
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, entry: &Entry) {
        let alike = self.0.entry(bits(entry)).or_default();
        alike.by_tip.remove_mut(&Rank::by_tip(entry));
        alike.by_max_fee.remove_mut(&Rank::by_max_fee(entry));
        if alike.by_tip.is_empty() {
            self.0.remove(&bits(entry));
        }
    }

    /// Each that can pay the base fee once, the best first.
    pub(super) fn best_first(&self, base_fee: u64) -> Peekable<impl Iterator<Item = Ranked>> {
        let all = self.0.iter();
        let mut all: Vec<_> = all
            .map(|(bits, alike)| alike.best_first(*bits, base_fee))
            .collect();
        let next = move || {
            let best = (0..all.len()).max_by_key(|at| all[*at].peek().copied());
            all[best?].next()
        };
        std::iter::from_fn(next).peekable()
    }
}

impl Alike {
    /// The same for these.
    fn best_first(&self, bits: u32, base_fee: u64) -> Peekable<impl Iterator<Item = Ranked>> {
        let is_by_tip = match bits.cmp(&bits_of(u128::from(base_fee))) {
            Ordering::Greater => true,
            Ordering::Less => false,
            // Mixed: either will do, and the one that begins lower passes over fewer.
            Ordering::Equal => {
                let tip = self.by_tip.last().map(|rank| rank.term_of_tip(base_fee));
                tip <= self.by_max_fee.last().map(Rank::term_of_max_fee)
            }
        };
        let set = if is_by_tip {
            &self.by_tip
        } else {
            &self.by_max_fee
        };
        let mut unmet = set.iter().rev().peekable();
        let mut met = BinaryHeap::new();
        let next = move || loop {
            let term = |rank: &Rank, is_by_tip| {
                if is_by_tip {
                    rank.term_of_tip(base_fee)
                } else {
                    rank.term_of_max_fee()
                }
            };
            let bound = unmet.peek().map(|rank| term(rank, is_by_tip));
            if met.peek() >= bound.as_ref() {
                return met.pop();
            }
            let rank = unmet.next()?;
            let place = term(rank, is_by_tip).min(term(&rank.in_the_other_set(), !is_by_tip));
            if place.price >= u128::from(base_fee) {
                met.push(place);
            }
        };
        std::iter::from_fn(next).peekable()
    }
}

/// Bits of the base fee at which the max fee begins to decide.
fn bits(entry: &Entry) -> u32 {
    let (max_fee, tip) = (
        entry.transaction.max_fee(),
        entry.transaction.priority_fee(),
    );
    bits_of(max_fee.saturating_sub(tip))
}

fn bits_of(fee: u128) -> u32 {
    u128::BITS.saturating_sub(fee.leading_zeros())
}
