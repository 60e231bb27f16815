//! The block forest: header tree, stages, head and the choice of what to execute next.
//!
//! Insertion commutes and is idempotent: the head is a function of the set of blocks held with
//! all their ancestors (Rule F1), not of the order in which they came. Execution is lazy
//! (Rule F2): only on the paths to headers that outrank the head. Called by `node` alone.

use std::{
    collections::BTreeSet,
    ops::Bound::{Excluded, Unbounded},
};

use alloy_primitives::U256;

use crate::{
    check::CheckedHeader,
    fork_choice::Rank,
    hash::BlockHash,
    header::Header,
    params::{ORPHAN_WORK_DIVISOR, RELAY_DEPTH, UNSOLICITED_DEPTH},
    rules::{self, RuleError},
    spec::ChainSpec,
    store::{BlockId, Stage},
    tree::{EntryId, Tree},
};

/// What became of a header offered to the forest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Insert {
    /// It is new and joined the tree.
    Joined(EntryId),
    /// It was there already.
    Known(EntryId),
    /// Its parent is not known.
    Orphan {
        /// The parent's hash.
        missing: BlockHash,
    },
    /// Rule H5: its time has not come.
    Early,
    /// It breaks a rule.
    Invalid(RuleError),
    /// It descends from a block known to be invalid.
    Condemned,
    /// It was not asked for and its chain has too little work to be kept.
    TooLow,
}

/// Whether we asked for a header or it just came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In answer to a request of ours, mined by us, or from our store.
    Solicited,
    /// By gossip.
    Unsolicited,
}

/// What the head asks of blocks that nobody asked for. Shells hold a copy against a block's header
/// before they spend time on its signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demands {
    chain_work: U256,
    orphan_work: U256,
}

impl Demands {
    /// Whether a block's chain claims the work to be kept; as a child of a known block its claim is
    /// true (Rule H2).
    pub fn are_met_by_chain_of(&self, header: &CheckedHeader) -> bool {
        header.rank().chain_work() >= self.chain_work
    }

    /// Whether an orphan stands for enough work by itself to be kept.
    pub fn are_met_by_orphan(&self, orphan: &CheckedHeader) -> bool {
        orphan.work() >= self.orphan_work
    }
}

/// A branch of the forest, from where it leaves the best chain to its tip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// Its last block.
    pub tip: BlockId,
    /// Chain work of the tip.
    pub chain_work: U256,
    /// How far the tip has come.
    pub stage: Stage,
    /// The best chain's block that it grows from; the tip itself if that is on the best chain.
    pub ancestor: BlockId,
}

/// All known blocks and which of them is the head.
#[derive(Clone, Debug)]
pub struct Forest {
    tree: Tree,
    head: EntryId,
    min_chain_work: U256,
    /// Grows with each change.
    revision: u64,
    /// Headers without valid children, by rank.
    tips: BTreeSet<(Rank, EntryId)>,
}

impl Forest {
    /// The genesis block alone, as the head.
    pub fn new(genesis: &Header) -> Self {
        let tree = Tree::new(genesis);
        let tips = BTreeSet::from([(tree[Tree::GENESIS].rank(), Tree::GENESIS)]);
        Self {
            tree,
            head: Tree::GENESIS,
            min_chain_work: U256::ZERO,
            revision: 0,
            tips,
        }
    }

    /// The headers.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The head: the best executed block.
    pub fn head(&self) -> EntryId {
        self.head
    }

    /// The head's rank.
    pub fn head_rank(&self) -> Rank {
        self.tree[self.head].rank()
    }

    /// The best header that is not known to be invalid, executed or not.
    pub fn best_header(&self) -> EntryId {
        self.tips.last().map_or(self.head, |(_, id)| *id)
    }

    /// Headers without valid children, worst first.
    pub fn tips(&self) -> impl DoubleEndedIterator<Item = EntryId> {
        self.tips.iter().map(|(_, id)| *id)
    }

    /// A number that is the same only as long as nothing changes.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The branches with the best tips, best first, at most `max`; the best chain is one of them
    /// unless it is known to go on.
    pub fn branches(&self, max: usize) -> Vec<Branch> {
        let branch = |tip: EntryId| {
            let entry = &self.tree[tip];
            Branch {
                tip: entry.id(),
                chain_work: entry.chain_work(),
                stage: entry.stage,
                ancestor: self.tree[self.tree.common_ancestor(tip, self.head)].id(),
            }
        };
        self.tips().rev().take(max).map(branch).collect()
    }

    /// The best chain's block beside which `id` begins a branch, if it does.
    pub fn rival_of(&self, id: EntryId) -> Option<EntryId> {
        let height = self.tree[id].id().height;
        let rival = self.tree.ancestor(self.head, height);
        // The genesis block is its own parent, and no rival of its first child.
        let is_rival = rival != id
            && self.tree[rival].id().height == height
            && self.tree[rival].parent == self.tree[id].parent;
        is_rival.then_some(rival)
    }

    /// Offers a header (Rules H2 to H5, B2; F2's threshold). Idempotent.
    pub fn insert(
        &mut self,
        spec: &ChainSpec,
        header: &CheckedHeader,
        now_unix_secs: u64,
        origin: Origin,
    ) -> Insert {
        if let Some(id) = self.tree.find(&header.hash()) {
            let invalid = self.tree[id].stage == Stage::Invalid;
            return if invalid {
                Insert::Condemned
            } else {
                Insert::Known(id)
            };
        }
        let missing = header.header().pow.parent;
        let Some(parent) = self.tree.find(&missing) else {
            return Insert::Orphan { missing };
        };
        if self.tree[parent].stage == Stage::Invalid {
            return Insert::Condemned;
        }
        if let Err(error) = self.tree.check(spec, parent, header) {
            return Insert::Invalid(error);
        }
        // Before its time is looked at: whatever is kept aside has cost its sender work.
        if origin == Origin::Unsolicited && !self.demands().are_met_by_chain_of(header) {
            return Insert::TooLow;
        }
        if rules::is_early(spec, header.header().pow.time, now_unix_secs) {
            return Insert::Early;
        }
        self.revision += 1;
        let id = self.tree.join(parent, header, Stage::Header);
        self.tips.remove(&(self.tree[parent].rank(), parent));
        self.tips.insert((header.rank(), id));
        Insert::Joined(id)
    }

    /// Adds a stored header; parents must come first. `None` if its parent is missing.
    pub fn restore(&mut self, header: &Header, stage: Stage) -> Option<EntryId> {
        let id = self.tree.restore(header, stage)?;
        if stage != Stage::Invalid {
            let parent = self.tree[id].parent;
            self.tips.remove(&(self.tree[parent].rank(), parent));
            self.tips.insert((self.tree[id].rank(), id));
        }
        Some(id)
    }

    /// Makes a stored head the head again.
    pub fn restore_head(&mut self, id: EntryId) {
        self.head = id;
    }

    /// Sets the chain work below which no peer's headers are kept, whatever our head.
    pub fn set_min_chain_work(&mut self, min_chain_work: U256) {
        self.min_chain_work = min_chain_work;
    }

    /// The chain work that a peer's chain must reach to be kept: never less than the set minimum,
    /// nor than the head's less that of 144 blocks like it.
    pub fn threshold(&self) -> U256 {
        self.below_head(UNSOLICITED_DEPTH).max(self.min_chain_work)
    }

    /// The head's chain work less that of `depth` blocks like it.
    fn below_head(&self, depth: u64) -> U256 {
        let head = &self.tree[self.head].numbers;
        let slack = head.own_work().saturating_mul(U256::from(depth));
        head.chain_work.saturating_sub(slack)
    }

    /// Whether gossip forwards a block of this header (section 8 of the protocol).
    pub fn is_worth_relaying(&self, header: &CheckedHeader) -> bool {
        header.rank().chain_work() >= self.below_head(RELAY_DEPTH)
    }

    /// What the head asks of blocks that nobody asked for.
    pub fn demands(&self) -> Demands {
        let own = self.tree[self.head].numbers.own_work();
        Demands {
            chain_work: self.threshold(),
            orphan_work: own / U256::from(ORPHAN_WORK_DIVISOR),
        }
    }

    /// A body for this header is in the store.
    pub fn body_stored(&mut self, id: EntryId) {
        if self.tree[id].stage == Stage::Header {
            self.revision += 1;
            self.tree.set_stage(id, Stage::Body);
        }
    }

    /// A side branch's body was given up.
    pub fn body_dropped(&mut self, id: EntryId) {
        self.revision += 1;
        self.tree.set_stage(id, Stage::Header);
    }

    /// Rule F2: the next block to execute: the lowest unexecuted one on the path to a header that
    /// outranks the head, best header first, among those for which `ready` is true.
    pub fn next_to_execute(&self, ready: impl Fn(EntryId) -> bool) -> Option<EntryId> {
        self.candidates()
            .map(|tip| self.frontier(tip))
            .find(|frontier| self.tree[*frontier].stage == Stage::Body && ready(*frontier))
    }

    /// Bodies wanted on the paths to headers that outrank the head, best header first, lowest
    /// first, at most `window` blocks above each path's lowest unexecuted one; of those for which
    /// `can_come` is true the first `window`, each once.
    pub fn wanted_bodies(&self, window: usize, can_come: impl Fn(EntryId) -> bool) -> Vec<EntryId> {
        let (mut out, mut seen) = (Vec::new(), BTreeSet::new());
        for tip in self.candidates() {
            let frontier = self.frontier(tip);
            let last = self.tree[frontier]
                .id()
                .height
                .saturating_add(window as u64 - 1);
            let top = self
                .tree
                .ancestor(tip, last.min(self.tree[tip].id().height));
            // What is seen on the way down was seen with all below it down to the frontier, which
            // is the same: many tips on one path cost one look at the path.
            let (mut path, mut at) = (Vec::new(), top);
            let bottom = self.tree[frontier].parent;
            while at != bottom && seen.insert(at) {
                path.push(at);
                at = self.tree[at].parent;
            }
            let missing = path.into_iter().rev();
            out.extend(missing.filter(|id| self.tree[*id].stage == Stage::Header && can_come(*id)));
            if out.len() >= window {
                break;
            }
        }
        out.truncate(window);
        out
    }

    /// Whether a block lies on the path to a header that outranks the head.
    pub fn is_on_candidate_path(&self, id: EntryId) -> bool {
        self.tree[id].rank() > self.head_rank()
            || self.candidates().any(|tip| self.tree.is_ancestor(id, tip))
    }

    /// Tips that outrank the head, best first.
    fn candidates(&self) -> impl Iterator<Item = EntryId> {
        let above = (Excluded((self.head_rank(), self.head)), Unbounded);
        self.tips.range(above).rev().map(|(_, id)| *id)
    }

    /// The lowest unexecuted block on the path to `tip`, which is not executed itself or is the
    /// answer as it stands.
    fn frontier(&self, tip: EntryId) -> EntryId {
        self.tree
            .descend(tip, |entry| entry.stage != Stage::Executed)
    }

    /// Marks a block executed; it becomes the head if it outranks it. Returns whether it did.
    pub fn executed(&mut self, id: EntryId) -> bool {
        self.revision += 1;
        self.tree.set_stage(id, Stage::Executed);
        let better = self.tree[id].rank() > self.head_rank();
        if better {
            self.head = id;
        }
        better
    }

    /// Marks a block and its descendants invalid; returns them.
    pub fn condemn(&mut self, id: EntryId) -> Vec<EntryId> {
        self.revision += 1;
        let mut condemned = vec![id];
        self.tree.set_stage(id, Stage::Invalid);
        for later in self.tree.after(id).collect::<Vec<_>>() {
            if self.tree[self.tree[later].parent].stage == Stage::Invalid
                && self.tree[later].stage != Stage::Invalid
            {
                self.tree.set_stage(later, Stage::Invalid);
                condemned.push(later);
            }
        }
        for entry in &condemned {
            self.tips.remove(&(self.tree[*entry].rank(), *entry));
        }
        self.parent_may_be_a_tip(self.tree[id].parent);
        condemned
    }

    fn parent_may_be_a_tip(&mut self, parent: EntryId) {
        let has_child = self
            .tree
            .after(parent)
            .any(|id| self.tree[id].parent == parent && self.tree[id].stage != Stage::Invalid);
        if !has_child {
            self.tips.insert((self.tree[parent].rank(), parent));
        }
    }

    /// Hashes to find a common ancestor by: ten dense ones from `from` down, then ever sparser
    /// ones, the genesis block last.
    pub fn locator(&self, from: EntryId) -> Vec<BlockHash> {
        let mut out = Vec::new();
        let (mut at, mut step) = (from, 1);
        loop {
            let entry = &self.tree[at];
            out.push(entry.id().hash);
            if at == Tree::GENESIS {
                return out;
            }
            if out.len() >= 10 {
                step *= 2;
            }
            at = self
                .tree
                .ancestor(at, entry.id().height.saturating_sub(step));
        }
    }
}
