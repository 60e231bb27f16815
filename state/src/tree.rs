//! A persistent binary Merkle tree over 256-bit keys (protocol.md, section 6).
//!
//! Nodes never change: an update shares every untouched node with the version before, so keeping
//! a version costs what differs. The shape and the root are a function of the set of entries
//! alone: a subtree with one entry is that leaf, whatever was there before. Called by `version`.

use std::{fmt, sync::Arc};

use chain::hash::sha256;

/// Where an entry lives: bits are counted from the most significant one of byte 0.
pub type Key = [u8; 32];
/// Hash of a node.
pub type Digest = [u8; 32];

/// Root of a tree or subtree without entries.
pub const TERMINATOR: Digest = [0; 32];

/// The bit that tells a leaf's hash (set) from an inner node's (clear).
const LEAF_BIT: u8 = 0x80;

/// Halves of a large tree are built apart from each other down to this depth.
const APART_DEPTH: usize = 5;

/// What a leaf holds.
pub trait Value {
    /// SHA-256 of the value's bytes.
    fn digest(&self) -> Digest;

    /// Bytes of memory that it holds outside its leaf.
    fn bytes_apart(&self) -> u64 {
        0
    }
}

/// How two pieces of work are done: one after the other, or both at once. This crate knows no
/// threads, so whoever has some brings them.
pub trait Both: Sync {
    /// Does both.
    fn both<A: Send, B: Send>(
        &self,
        first: impl FnOnce() -> A + Send,
        second: impl FnOnce() -> B + Send,
    ) -> (A, B);
}

/// One after the other.
#[derive(Clone, Copy, Debug)]
pub struct InTurn;

impl Both for InTurn {
    fn both<A: Send, B: Send>(
        &self,
        first: impl FnOnce() -> A + Send,
        second: impl FnOnce() -> B + Send,
    ) -> (A, B) {
        (first(), second())
    }
}

/// Bytes of memory that a version takes, as the usual allocators hand it out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// All of it, if it were the only version.
    pub whole: u64,
    /// What it does not share with the version that it was made from.
    pub own: u64,
}

impl Memory {
    /// Of two trees together.
    pub fn and(self, other: Self) -> Self {
        Self {
            whole: self.whole + other.whole,
            own: self.own + other.own,
        }
    }
}

/// One version of a map from keys to values. Cloning copies a pointer.
pub struct Tree<V> {
    root: Link<V>,
    memory: Memory,
}

/// The way from the root towards a key.
#[derive(Debug)]
pub struct Path<'a, V> {
    /// The hashes beside the path, from the root downwards.
    pub siblings: Vec<Digest>,
    /// The entry at its end: the key's own, another one in its place, or none.
    pub leaf: Option<(&'a Key, &'a V)>,
}

/// Two kinds of nodes in allocations of their own, because a leaf is half as large again.
enum Link<V> {
    Empty,
    Leaf(Arc<Leaf<V>>),
    Inner(Arc<Inner<V>>),
}

struct Leaf<V> {
    key: Key,
    hash: Digest,
    value: V,
}

struct Inner<V> {
    hash: Digest,
    children: [Link<V>; 2],
}

impl<V> Default for Tree<V> {
    fn default() -> Self {
        Self {
            root: Link::Empty,
            memory: Memory::default(),
        }
    }
}

impl<V> Clone for Tree<V> {
    fn clone(&self) -> Self {
        Self {
            root: self.root.clone(),
            memory: self.memory,
        }
    }
}

impl<V> fmt::Debug for Tree<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tree({:02x?})", self.root())
    }
}

impl<V> Tree<V> {
    /// The hash of the whole tree.
    pub fn root(&self) -> Digest {
        *self.root.hash()
    }

    /// The memory that it takes.
    pub fn memory(&self) -> Memory {
        self.memory
    }

    /// The value at a key.
    pub fn get(&self, key: &Key) -> Option<&V> {
        let leaf = self.descend(key, |_| {});
        leaf.filter(|leaf| leaf.key == *key).map(|leaf| &leaf.value)
    }

    /// What a proof of the key's presence or absence is made of.
    pub fn path(&self, key: &Key) -> Path<'_, V> {
        let mut siblings = Vec::new();
        let leaf = self.descend(key, |sibling| siblings.push(sibling));
        let leaf = leaf.map(|leaf| (&leaf.key, &leaf.value));
        Path { siblings, leaf }
    }

    /// All entries by rising key.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &V)> {
        let mut stack = vec![&self.root];
        std::iter::from_fn(move || {
            loop {
                match stack.pop()? {
                    Link::Empty => {}
                    Link::Leaf(leaf) => return Some((&leaf.key, &leaf.value)),
                    Link::Inner(inner) => {
                        stack.extend([&inner.children[1], &inner.children[0]]);
                    }
                }
            }
        })
    }

    /// Goes down to the only place where the key can be, showing the siblings passed; returns
    /// the leaf there.
    fn descend(&self, key: &Key, mut sibling: impl FnMut(Digest)) -> Option<&Leaf<V>> {
        let mut link = &self.root;
        let mut depth = 0;
        loop {
            match link {
                Link::Empty => return None,
                Link::Leaf(leaf) => return Some(leaf),
                Link::Inner(inner) => {
                    let side = usize::from(bit(key, depth));
                    sibling(*inner.children[1 - side].hash());
                    link = &inner.children[side];
                    depth += 1;
                }
            }
        }
    }
}

impl<V: Value> Tree<V> {
    /// The tree with the changes made: `Some` puts a value, `None` deletes. Every key once.
    ///
    /// One pass over the sorted changes, so that each inner node is hashed once however many
    /// entries below it change.
    pub fn update(&self, mut changes: Vec<(Key, Option<V>)>) -> Self {
        sort(&mut changes);
        let mut tally = Tally::default();
        let root = apply(&self.root, 0, &mut changes, &mut tally);
        let whole = self.memory.whole + tally.made - tally.left;
        let own = tally.made;
        Self {
            root,
            memory: Memory { whole, own },
        }
    }
}

impl<V: Value + Send + Sync> Tree<V> {
    /// The tree of these entries alone, its halves built apart. Every key once.
    pub fn build(entries: Vec<(Key, V)>, both: &impl Both) -> Self {
        let entries = entries.into_iter();
        let mut entries: Vec<_> = entries.map(|(key, value)| (key, Some(value))).collect();
        let (root, made) = build(&mut entries, 0, both);
        Self {
            root,
            memory: Memory {
                whole: made,
                own: made,
            },
        }
    }
}

/// Bytes of nodes that an update made, and of those that its outcome has no more.
#[derive(Default)]
struct Tally {
    made: u64,
    left: u64,
}

/// What an allocator takes for something that is counted by two words: a word of its own, and
/// all of it in steps of 16 bytes.
fn allocated(bytes: usize) -> u64 {
    let words = 3 * size_of::<usize>();
    let taken = (bytes + words).next_multiple_of(16);
    u64::try_from(taken).expect("a node is in memory")
}

fn leaf_bytes<V: Value>(value: &V) -> u64 {
    allocated(size_of::<Leaf<V>>()) + value.bytes_apart()
}

fn inner_bytes<V>() -> u64 {
    allocated(size_of::<Inner<V>>())
}

impl<V> Clone for Link<V> {
    fn clone(&self) -> Self {
        match self {
            Self::Empty => Self::Empty,
            Self::Leaf(leaf) => Self::Leaf(Arc::clone(leaf)),
            Self::Inner(inner) => Self::Inner(Arc::clone(inner)),
        }
    }
}

impl<V> Link<V> {
    fn hash(&self) -> &Digest {
        match self {
            Self::Empty => &TERMINATOR,
            Self::Leaf(leaf) => &leaf.hash,
            Self::Inner(inner) => &inner.hash,
        }
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Empty, Self::Empty) => true,
            (Self::Leaf(a), Self::Leaf(b)) => Arc::ptr_eq(a, b),
            (Self::Inner(a), Self::Inner(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

/// The subtree at `depth` with the changes made, which all belong below it.
///
/// Recursion ends at depth 256 at the latest, since keys are distinct and have 256 bits.
fn apply<V: Value>(
    link: &Link<V>,
    depth: usize,
    changes: &mut [(Key, Option<V>)],
    tally: &mut Tally,
) -> Link<V> {
    match (link, &mut *changes) {
        (_, []) => return link.clone(),
        (Link::Empty, [(key, value)]) => return leaf(*key, value.take(), tally),
        (Link::Leaf(old), [(key, value)]) if old.key == *key => {
            tally.left += leaf_bytes(&old.value);
            return leaf(*key, value.take(), tally);
        }
        _ => {}
    }
    let middle = changes.partition_point(|(key, _)| !bit(key, depth));
    let (zeros, ones) = changes.split_at_mut(middle);
    let [left, right] = sides(link, depth);
    let children = [
        apply(left, depth + 1, zeros, tally),
        apply(right, depth + 1, ones, tally),
    ];
    if let Link::Inner(_) = link {
        if children[0].is(left) && children[1].is(right) {
            return link.clone();
        }
        tally.left += inner_bytes::<V>();
    }
    join(children, tally)
}

/// The subtree at `depth` of these entries, and its bytes. The halves are parted before they are
/// sorted, so that all of the work is done apart.
fn build<V: Value + Send + Sync>(
    entries: &mut [(Key, Option<V>)],
    depth: usize,
    both: &impl Both,
) -> (Link<V>, u64) {
    let mut tally = Tally::default();
    if depth == APART_DEPTH {
        sort(entries);
        return (apply(&Link::Empty, depth, entries, &mut tally), tally.made);
    }
    let middle = part(entries, depth);
    let (zeros, ones) = entries.split_at_mut(middle);
    let (left, right) = both.both(
        || build(zeros, depth + 1, both),
        || build(ones, depth + 1, both),
    );
    let root = join([left.0, right.0], &mut tally);
    (root, left.1 + right.1 + tally.made)
}

/// Moves entries whose bit is clear before the others; gives their number.
fn part<V>(entries: &mut [(Key, V)], depth: usize) -> usize {
    let mut zeros = 0;
    for at in 0..entries.len() {
        if !bit(&entries[at].0, depth) {
            entries.swap(zeros, at);
            zeros += 1;
        }
    }
    zeros
}

fn sort<V>(changes: &mut [(Key, V)]) {
    changes.sort_unstable_by_key(|(key, _)| *key);
    let unique = changes.windows(2).all(|pair| pair[0].0 != pair[1].0);
    assert!(unique, "a change set holds every key once");
}

/// The two halves of a subtree. A lone leaf stands for all the levels it could be on.
fn sides<V>(link: &Link<V>, depth: usize) -> [&Link<V>; 2] {
    match link {
        Link::Empty => [&Link::Empty, &Link::Empty],
        Link::Leaf(leaf) if bit(&leaf.key, depth) => [&Link::Empty, link],
        Link::Leaf(_) => [link, &Link::Empty],
        Link::Inner(inner) => [&inner.children[0], &inner.children[1]],
    }
}

/// Puts two halves together; a single entry moves up and stands for the whole.
fn join<V>(children: [Link<V>; 2], tally: &mut Tally) -> Link<V> {
    match children {
        [Link::Empty, Link::Empty] => Link::Empty,
        [Link::Empty, leaf @ Link::Leaf(_)] | [leaf @ Link::Leaf(_), Link::Empty] => leaf,
        children => {
            tally.made += inner_bytes::<V>();
            let hash = inner_hash(children[0].hash(), children[1].hash());
            Link::Inner(Arc::new(Inner { hash, children }))
        }
    }
}

fn leaf<V: Value>(key: Key, value: Option<V>, tally: &mut Tally) -> Link<V> {
    value.map_or(Link::Empty, |value| {
        tally.made += leaf_bytes(&value);
        let hash = leaf_hash(&key, &value.digest());
        Link::Leaf(Arc::new(Leaf { key, hash, value }))
    })
}

/// Bit `depth` of a key, counted from the most significant one of byte 0.
pub(crate) fn bit(key: &Key, depth: usize) -> bool {
    key[depth / 8] & (0x80 >> (depth % 8)) != 0
}

/// Hash of a leaf: sha256(key ‖ sha256(value)), first bit set.
pub(crate) fn leaf_hash(key: &Key, value_digest: &Digest) -> Digest {
    let mut hash = pair_hash(key, value_digest);
    hash[0] |= LEAF_BIT;
    hash
}

/// Hash of an inner node: sha256(left ‖ right), first bit clear.
pub(crate) fn inner_hash(left: &Digest, right: &Digest) -> Digest {
    let mut hash = pair_hash(left, right);
    hash[0] &= !LEAF_BIT;
    hash
}

fn pair_hash(left: &Digest, right: &Digest) -> Digest {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(left);
    bytes[32..].copy_from_slice(right);
    sha256(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Value for u8 {
        fn digest(&self) -> Digest {
            sha256(&[*self])
        }
    }

    fn key(first: u8, last: u8) -> Key {
        let mut key = [0; 32];
        (key[0], key[31]) = (first, last);
        key
    }

    #[test]
    fn the_empty_tree_has_a_root_of_zeros() {
        assert_eq!(Tree::<u8>::default().root(), [0; 32]);
    }

    #[test]
    fn a_lone_leaf_is_the_root() {
        let tree = Tree::default().update(vec![(key(1, 0), Some(7_u8))]);
        assert_eq!(tree.root(), leaf_hash(&key(1, 0), &sha256(&[7])));
        assert_eq!(tree.get(&key(1, 0)), Some(&7));
        assert_eq!(tree.get(&key(1, 1)), None);
    }

    #[test]
    fn a_deletion_lets_the_last_leaf_move_up() {
        let one = Tree::default().update(vec![(key(0, 0), Some(1_u8))]);
        // These two keys differ only in the last bit: 256 levels.
        let two = one.update(vec![(key(0, 1), Some(2))]);
        assert_eq!(two.path(&key(0, 1)).siblings.len(), 256);
        let back = two.update(vec![(key(0, 1), None)]);
        assert_eq!(back.root(), one.root());
        assert!(back.root.is(&one.root), "the leaf itself is shared");
    }

    #[test]
    fn untouched_subtrees_are_shared() {
        let keys = (0..=255).map(|first| (key(first, 0), Some(first)));
        let tree = Tree::default().update(keys.collect());
        let after = tree.update(vec![(key(0, 0), Some(9)), (key(9, 9), None)]);
        let [Link::Inner(before), Link::Inner(after)] = [&tree.root, &after.root] else {
            panic!("256 entries make inner nodes");
        };
        assert!(before.children[1].is(&after.children[1]));
        assert!(!before.children[0].is(&after.children[0]));
        let same = tree.update(vec![(key(9, 9), None)]);
        assert!(same.root.is(&tree.root), "deleting nothing changes nothing");
    }

    #[test]
    fn entries_come_by_rising_key() {
        let keys = [200, 3, 77, 255, 0].map(|first| (key(first, 1), Some(first)));
        let tree = Tree::default().update(keys.to_vec());
        let found: Vec<_> = tree.iter().map(|(_, value)| *value).collect();
        assert_eq!(found, [0, 3, 77, 200, 255]);
    }

    /// What a walk over all nodes finds.
    fn walked(link: &Link<u8>) -> u64 {
        match link {
            Link::Empty => 0,
            Link::Leaf(leaf) => leaf_bytes(&leaf.value),
            Link::Inner(inner) => {
                inner_bytes::<u8>() + inner.children.iter().map(walked).sum::<u64>()
            }
        }
    }

    #[test]
    fn memory_is_that_of_the_nodes() {
        let mut tree = Tree::default();
        let mut random = 7_u64;
        for round in 0..200 {
            let mut changes = std::collections::BTreeMap::new();
            for _ in 0..=round % 9 {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let [first, last, value, ..] = random.to_be_bytes();
                let value = (value % 3 > 0).then_some(value);
                changes.insert(key(first % 64, last % 4), value);
            }
            let before: u64 = walked(&tree.root);
            let after = tree.update(changes.into_iter().collect());
            let memory = after.memory();
            assert_eq!(memory.whole, walked(&after.root), "in round {round}");
            assert!(memory.whole <= before + memory.own, "in round {round}");
            tree = after;
        }
        let entries: Vec<_> = tree.iter().map(|(key, value)| (*key, *value)).collect();
        assert!(entries.len() > 50, "{} entries", entries.len());
        let built = Tree::build(entries.into_iter().rev().collect(), &InTurn);
        assert_eq!(built.root(), tree.root());
        assert_eq!(built.memory().whole, tree.memory().whole);
        assert_eq!(built.memory().own, built.memory().whole);
        assert_eq!(Tree::<u8>::build(Vec::new(), &InTurn).memory().whole, 0);
    }

    #[test]
    #[should_panic(expected = "every key once")]
    fn one_key_twice_is_refused() {
        let _ = Tree::default().update(vec![(key(0, 0), Some(1_u8)), (key(0, 0), None)]);
    }
}
