//! The first pending transaction of each sender, to be had from the best downwards at any base fee.
//!
//! A transaction pays the lower of its max fee and of base fee + priority fee. Which of the two that
//! is, the difference of its fees decides: the max fee, where that difference is below the base fee.
//! So they stand in a tree in the order of this difference, and every node knows the best by
//! priority fee and the best by max fee among all below it. A base fee cuts the tree in two: on one
//! side the max fees count, on the other the priority fees, and in both the best is found by going
//! down where it is known to be.
//!
//! - Each costs O(log n) to put in, to take out and to find, whatever the fees are and whoever chose
//!   them. A new base fee costs nothing, and a template may ask for any.
//! - The tree is balanced by its heights (Adelson-Velsky and Landis, 1962), not by luck: nobody can
//!   shape it by what he sends.
//! - Copy-on-write: a version of it is a pointer. Called by `mod` and by `snapshot`.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    sync::Arc,
};

use alloy_primitives::Address;

use super::{queue::Entry, rank::Ranked};

/// The first pending transactions of all senders.
#[derive(Clone, Debug, Default)]
pub(super) struct Heads(Tree);

type Tree = Option<Arc<Node>>;

/// One sender's first pending transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    /// The base fee above which its max fee decides: that without the priority fee.
    turn: u128,
    tip: u128,
    arrival: u64,
    sender: Address,
}

/// Which of its fees decides what a transaction pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fee {
    Tip,
    Max,
}

/// A place among those for which the same fee decides; the greatest is the best.
type Worth = (u128, Reverse<u64>);

#[derive(Debug)]
struct Node {
    head: Head,
    left: Tree,
    right: Tree,
    height: u32,
    /// The best of this one and of all below it, if the priority fee decides.
    best_by_tip: Worth,
    /// The same if the max fee decides.
    best_by_max: Worth,
}

impl Heads {
    /// Adds an entry.
    pub(super) fn insert(&mut self, entry: &Entry) {
        self.add(Head::of(entry));
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, entry: &Entry) {
        self.0 = removed(&self.0, &Head::of(entry));
    }

    fn add(&mut self, head: Head) {
        self.0 = Some(inserted(&self.0, head));
    }

    /// Each that can pay the base fee once, the best first.
    pub(super) fn best_first(&self, base_fee: u64) -> impl Iterator<Item = Ranked> {
        let mut search = Search {
            base_fee: u128::from(base_fee),
            found: BinaryHeap::new(),
        };
        search.cut(&self.0);
        std::iter::from_fn(move || search.next())
    }
}

impl Head {
    fn of(entry: &Entry) -> Self {
        let transaction = &entry.transaction;
        let tip = transaction.priority_fee();
        Self {
            turn: transaction.max_fee().saturating_sub(tip),
            tip,
            arrival: entry.arrival,
            sender: transaction.sender(),
        }
    }

    fn worth(&self, fee: Fee) -> Worth {
        let fee = match fee {
            Fee::Tip => self.tip,
            Fee::Max => self.tip.saturating_add(self.turn),
        };
        (fee, Reverse(self.arrival))
    }

    /// Its place in the tree: no two have the same.
    fn key(&self) -> (u128, u64) {
        (self.turn, self.arrival)
    }
}

impl Node {
    fn new(left: Tree, head: Head, right: Tree) -> Arc<Self> {
        let best = |fee| {
            let below = [&left, &right].into_iter().flatten();
            let own = head.worth(fee);
            below.map(|node| node.best(fee)).fold(own, Worth::max)
        };
        Arc::new(Self {
            best_by_tip: best(Fee::Tip),
            best_by_max: best(Fee::Max),
            height: height(&left).max(height(&right)).saturating_add(1),
            head,
            left,
            right,
        })
    }

    fn best(&self, fee: Fee) -> Worth {
        match fee {
            Fee::Tip => self.best_by_tip,
            Fee::Max => self.best_by_max,
        }
    }
}

fn height(tree: &Tree) -> u32 {
    tree.as_ref().map_or(0, |node| node.height)
}

/// A tree of two whose heights differ by two at most, in which no two siblings differ by more than
/// one.
fn balanced(left: Tree, head: Head, right: Tree) -> Arc<Node> {
    let (on_left, on_right) = (height(&left), height(&right));
    match (&left, &right) {
        (Some(high), _) if on_left > on_right.saturating_add(1) => match &high.right {
            Some(inner) if inner.height > height(&high.left) => Node::new(
                Some(Node::new(high.left.clone(), high.head, inner.left.clone())),
                inner.head,
                Some(Node::new(inner.right.clone(), head, right)),
            ),
            inner => Node::new(
                high.left.clone(),
                high.head,
                Some(Node::new(inner.clone(), head, right)),
            ),
        },
        (_, Some(high)) if on_right > on_left.saturating_add(1) => match &high.left {
            Some(inner) if inner.height > height(&high.right) => Node::new(
                Some(Node::new(left, head, inner.left.clone())),
                inner.head,
                Some(Node::new(
                    inner.right.clone(),
                    high.head,
                    high.right.clone(),
                )),
            ),
            inner => Node::new(
                Some(Node::new(left, head, inner.clone())),
                high.head,
                high.right.clone(),
            ),
        },
        _ => Node::new(left, head, right),
    }
}

fn inserted(tree: &Tree, head: Head) -> Arc<Node> {
    let Some(node) = tree else {
        return Node::new(None, head, None);
    };
    if head.key() < node.head.key() {
        let left = Some(inserted(&node.left, head));
        balanced(left, node.head, node.right.clone())
    } else {
        let right = Some(inserted(&node.right, head));
        balanced(node.left.clone(), node.head, right)
    }
}

fn removed(tree: &Tree, head: &Head) -> Tree {
    let node = tree.as_ref()?;
    match head.key().cmp(&node.head.key()) {
        Ordering::Less => {
            let left = removed(&node.left, head);
            Some(balanced(left, node.head, node.right.clone()))
        }
        Ordering::Greater => {
            let right = removed(&node.right, head);
            Some(balanced(node.left.clone(), node.head, right))
        }
        Ordering::Equal => match &node.right {
            None => node.left.clone(),
            Some(right) => {
                let (first, rest) = without_first(right);
                Some(balanced(node.left.clone(), first, rest))
            }
        },
    }
}

/// The first of a tree, and the tree of the others.
fn without_first(node: &Arc<Node>) -> (Head, Tree) {
    match &node.left {
        None => (node.head, node.right.clone()),
        Some(left) => {
            let (first, rest) = without_first(left);
            let rest = balanced(rest, node.head, node.right.clone());
            (first, Some(rest))
        }
    }
}

/// What is left to be given, the best first: single ones, and trees by the best that is in them.
struct Search<'a> {
    base_fee: u128,
    found: BinaryHeap<Found<'a>>,
}

struct Found<'a> {
    /// The price and the arrival of it, or of the best in it.
    place: Worth,
    what: What<'a>,
}

enum What<'a> {
    One(&'a Head),
    Below(&'a Node, Fee),
}

impl<'a> Search<'a> {
    /// Begins with the parts into which the base fee cuts the tree.
    fn cut(&mut self, mut tree: &'a Tree) {
        while let Some(node) = tree {
            if node.head.turn < self.base_fee {
                self.push_one(&node.head, Fee::Max);
                self.push_tree(&node.left, Fee::Max);
                tree = &node.right;
            } else {
                self.push_one(&node.head, Fee::Tip);
                self.push_tree(&node.right, Fee::Tip);
                tree = &node.left;
            }
        }
    }

    fn push_one(&mut self, head: &'a Head, fee: Fee) {
        self.push(head.worth(fee), fee, What::One(head));
    }

    fn push_tree(&mut self, tree: &'a Tree, fee: Fee) {
        if let Some(node) = tree {
            self.push(node.best(fee), fee, What::Below(node, fee));
        }
    }

    fn push(&mut self, (paid, arrival): Worth, fee: Fee, what: What<'a>) {
        let price = match fee {
            Fee::Tip => paid.saturating_add(self.base_fee),
            Fee::Max => paid,
        };
        if price >= self.base_fee {
            let place = (price, arrival);
            self.found.push(Found { place, what });
        }
    }

    fn next(&mut self) -> Option<Ranked> {
        let Found { place, what } = self.found.pop()?;
        let head = match what {
            What::One(head) => head,
            What::Below(node, fee) => self.descend(node, fee),
        };
        let (price, arrival) = place;
        let sender = head.sender;
        Some(Ranked {
            price,
            arrival,
            sender,
        })
    }

    /// Goes down to the best of a tree, and keeps all that is passed over on the way.
    fn descend(&mut self, mut node: &'a Node, fee: Fee) -> &'a Head {
        let goal = node.best(fee);
        loop {
            let is_there = |tree: &'a Tree| tree.as_deref().filter(|node| node.best(fee) == goal);
            if let Some(left) = is_there(&node.left) {
                self.push_one(&node.head, fee);
                self.push_tree(&node.right, fee);
                node = left;
            } else if let Some(right) = is_there(&node.right) {
                self.push_one(&node.head, fee);
                self.push_tree(&node.left, fee);
                node = right;
            } else {
                self.push_tree(&node.left, fee);
                self.push_tree(&node.right, fee);
                return &node.head;
            }
        }
    }
}

impl PartialEq for Found<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl Eq for Found<'_> {}

impl PartialOrd for Found<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Found<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place.cmp(&other.place)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// The order as the rule says it: the lower of the two terms, then the earlier arrival.
    fn sorted(heads: &[Head], base_fee: u64) -> Vec<u64> {
        let base_fee = u128::from(base_fee);
        let price = |head: &Head| (head.tip + head.turn).min(head.tip + base_fee);
        let mut able: Vec<_> = heads
            .iter()
            .filter(|head| price(head) >= base_fee)
            .collect();
        able.sort_by_key(|head| (Reverse(price(head)), head.arrival));
        able.into_iter().map(|head| head.arrival).collect()
    }

    /// Order, heights and what the nodes know; gives the height.
    fn checked(tree: &Tree) -> u32 {
        let Some(node) = tree else {
            return 0;
        };
        let (left, right) = (checked(&node.left), checked(&node.right));
        assert!(left.abs_diff(right) <= 1, "out of balance: {left}, {right}");
        assert_eq!(node.height, left.max(right) + 1);
        for fee in [Fee::Tip, Fee::Max] {
            let below = [&node.left, &node.right].into_iter().flatten();
            let best = below.map(|node| node.best(fee)).max();
            let own = Some(node.head.worth(fee));
            assert_eq!(Some(node.best(fee)), own.max(best));
        }
        left.max(right) + 1
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_base_fee_finds_them_in_order(
            fees in vec((0_u128..40, 0_u128..40, any::<prop::sample::Index>()), 1..120),
            base_fees in vec(0_u64..60, 4),
        ) {
            let (mut heads, mut list, versions) = (Heads::default(), Vec::new(), &mut Vec::new());
            for (arrival, (turn, tip, index)) in fees.into_iter().enumerate() {
                let (arrival, sender) = (arrival as u64, Address::ZERO);
                let head = Head { turn, tip, arrival, sender };
                heads.add(head);
                list.push(head);
                if arrival % 3 == 2 {
                    let head: Head = list.swap_remove(index.index(list.len()));
                    heads.0 = removed(&heads.0, &head);
                }
                checked(&heads.0);
                versions.push((heads.clone(), list.clone()));
            }
            for (heads, list) in versions {
                for base_fee in &base_fees {
                    let found = heads.best_first(*base_fee).map(|ranked| ranked.arrival.0);
                    prop_assert_eq!(found.collect::<Vec<_>>(), sorted(list, *base_fee));
                }
            }
        }
    }
}
