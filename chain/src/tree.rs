//! The header tree: every header that passed the rules on a known parent, of all branches.
//!
//! An arena in order of arrival, so parents come before children. Each entry names its parent
//! and its skip ancestor; ancestors are found in O(log n) hops. Called by `forest` alone.

use std::collections::BTreeMap;

use alloy_primitives::U256;

use crate::{
    check::CheckedHeader,
    fork_choice::Rank,
    hash::BlockHash,
    header::{Header, skip_height},
    rules::{self, Parent, RuleError},
    spec::ChainSpec,
    store::{BlockId, Stage},
};

/// An entry of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryId(u32);

/// What the tree keeps of a header.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What its children depend on.
    pub numbers: Parent,
    /// Bytes of its body.
    pub body_bytes: u32,
    /// How far it has come.
    pub stage: Stage,
    /// Its parent; the genesis block is its own.
    pub parent: EntryId,
    skip: EntryId,
}

/// All headers known.
#[derive(Clone, Debug)]
pub struct Tree {
    entries: Vec<Entry>,
    by_hash: BTreeMap<BlockHash, EntryId>,
}

impl Entry {
    /// Height and hash.
    pub fn id(&self) -> BlockId {
        self.numbers.id
    }

    /// Rule F1's rank.
    pub fn rank(&self) -> Rank {
        Rank::new(self.numbers.chain_work, &self.numbers.id.hash)
    }

    /// Cumulative work.
    pub fn chain_work(&self) -> U256 {
        self.numbers.chain_work
    }
}

impl std::ops::Index<EntryId> for Tree {
    type Output = Entry;
    fn index(&self, id: EntryId) -> &Entry {
        &self.entries[index(id)]
    }
}

fn index(id: EntryId) -> usize {
    usize::try_from(id.0).expect("32 bits fit a pointer")
}

impl Tree {
    /// The genesis block, executed.
    pub const GENESIS: EntryId = EntryId(0);

    /// A tree of the genesis block alone.
    pub fn new(genesis: &Header) -> Self {
        let mut tree = Self {
            entries: Vec::new(),
            by_hash: BTreeMap::new(),
        };
        tree.push(
            genesis,
            genesis.hash(),
            Self::GENESIS,
            Self::GENESIS,
            Stage::Executed,
        );
        tree
    }

    /// The entry of a hash.
    pub fn find(&self, hash: &BlockHash) -> Option<EntryId> {
        self.by_hash.get(hash).copied()
    }

    /// Number of headers.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Never: the genesis block is always there.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Changes an entry's stage.
    pub fn set_stage(&mut self, id: EntryId, stage: Stage) {
        self.entries[index(id)].stage = stage;
    }

    /// Entries that came after `id`: its descendants are among them.
    pub fn after(&self, id: EntryId) -> impl Iterator<Item = EntryId> + use<> {
        let len = u32::try_from(self.entries.len()).expect("checked when pushed");
        (id.0 + 1..len).map(EntryId)
    }

    /// Checks a header on its parent (Rules H2, H3, H4, B2).
    pub fn check(
        &self,
        spec: &ChainSpec,
        parent: EntryId,
        header: &CheckedHeader,
    ) -> Result<(), RuleError> {
        rules::check_child(spec, &self[parent].numbers, self.skip_hash(parent), header)
    }

    /// Adds a checked header below its parent.
    pub fn join(&mut self, parent: EntryId, header: &CheckedHeader, stage: Stage) -> EntryId {
        let skip = self.skip_entry(parent);
        self.push(header.header(), header.hash(), parent, skip, stage)
    }

    /// Adds a stored header below its parent, which was stored before it.
    pub fn restore(&mut self, header: &Header, stage: Stage) -> Option<EntryId> {
        let wanted = &header.pow.parent;
        // Mostly it is the one that came just before, which saves a search in all of them.
        let parent = match self.entries.last() {
            Some(last) if last.id().hash == *wanted => self.last(),
            _ => self.find(wanted)?,
        };
        let skip = self.skip_entry(parent);
        Some(self.push(header, header.hash(), parent, skip, stage))
    }

    /// The hash that a child of `parent` must name in its skip field.
    pub fn skip_hash(&self, parent: EntryId) -> BlockHash {
        self[self.skip_entry(parent)].id().hash
    }

    fn skip_entry(&self, parent: EntryId) -> EntryId {
        self.ancestor(parent, skip_height(self[parent].id().height + 1))
    }

    fn push(
        &mut self,
        header: &Header,
        hash: BlockHash,
        parent: EntryId,
        skip: EntryId,
        stage: Stage,
    ) -> EntryId {
        let numbers = Parent::new(header, hash);
        let body_bytes = header.extension.body_bytes;
        self.entries.push(Entry {
            numbers,
            body_bytes,
            stage,
            parent,
            skip,
        });
        let id = self.last();
        self.by_hash.insert(hash, id);
        id
    }

    /// The entry that came last.
    fn last(&self) -> EntryId {
        let last = u32::try_from(self.entries.len() - 1);
        EntryId(last.expect("fewer than 2^32 headers"))
    }

    /// The ancestor of `id` at `height`, or `id` itself where that is not below it.
    pub fn ancestor(&self, id: EntryId, height: u64) -> EntryId {
        self.descend(id, |entry| entry.id().height >= height)
    }

    /// The last common ancestor of two entries.
    pub fn common_ancestor(&self, a: EntryId, b: EntryId) -> EntryId {
        let height = self[a].id().height.min(self[b].id().height);
        let (mut a, mut b) = (self.ancestor(a, height), self.ancestor(b, height));
        while a != b {
            // Equal heights have equal skip heights: jump together while the targets differ.
            let (skip_a, skip_b) = (self[a].skip, self[b].skip);
            (a, b) = if skip_a == skip_b {
                (self[a].parent, self[b].parent)
            } else {
                (skip_a, skip_b)
            };
        }
        a
    }

    /// The lowest ancestor-or-self for which `holds` is true, given that it is true of `id` and,
    /// downwards, true up to some point and false from there on.
    pub fn descend(&self, id: EntryId, holds: impl Fn(&Entry) -> bool) -> EntryId {
        let mut at = id;
        while at != Self::GENESIS {
            let entry = &self[at];
            at = if entry.skip != at && holds(&self[entry.skip]) {
                entry.skip
            } else if holds(&self[entry.parent]) {
                entry.parent
            } else {
                break;
            };
        }
        at
    }

    /// Entries from `top` down to, and without, its ancestor `bottom`.
    pub fn branch(&self, top: EntryId, bottom: EntryId) -> Vec<EntryId> {
        let mut out = Vec::new();
        let mut at = top;
        while at != bottom && at != Self::GENESIS {
            out.push(at);
            at = self[at].parent;
        }
        out
    }

    /// Whether `ancestor` is `id` or one of its ancestors.
    pub fn is_ancestor(&self, ancestor: EntryId, id: EntryId) -> bool {
        self.ancestor(id, self[ancestor].id().height) == ancestor
    }
}
