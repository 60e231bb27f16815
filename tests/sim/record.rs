//! What one node's batches say that it has: worked out from what it wrote, never from the node.
//!
//! Two of these are kept for each node: one of all its steps and one of what its store was given,
//! which is all that it may have after a crash.

use chain::{Batch, BlockHash, Stage};

use super::model::Model;

const HEADER: u8 = 1;
const BODY: u8 = 2;
/// Valid, and held with all ancestors.
const WHOLE: u8 = 4;
const EXECUTED: u8 = 8;
const INVALID: u8 = 16;

/// The record of one node.
#[derive(Clone)]
pub struct Record {
    flags: Vec<u8>,
    pub headers: usize,
    pub executed: usize,
    /// The best valid block held with all its ancestors.
    pub best_whole: usize,
    pub best_executed: usize,
    /// The head that it last wrote.
    pub head: usize,
}

impl Record {
    /// Of an empty store with the genesis block.
    pub fn new() -> Self {
        Self {
            flags: vec![HEADER | BODY | WHOLE | EXECUTED],
            headers: 1,
            executed: 1,
            best_whole: Model::GENESIS,
            best_executed: Model::GENESIS,
            head: Model::GENESIS,
        }
    }

    fn flags(&self, block: usize) -> u8 {
        self.flags.get(block).copied().unwrap_or_default()
    }

    fn set(&mut self, block: usize, flag: u8) {
        if block >= self.flags.len() {
            self.flags.resize(block + 1, 0);
        }
        self.flags[block] |= flag;
    }

    pub fn has_header(&self, block: usize) -> bool {
        self.flags(block) & HEADER != 0
    }

    pub fn has_body(&self, block: usize) -> bool {
        self.flags(block) & BODY != 0
    }

    pub fn is_executed(&self, block: usize) -> bool {
        self.flags(block) & EXECUTED != 0
    }

    pub fn is_invalid(&self, block: usize) -> bool {
        self.flags(block) & INVALID != 0
    }

    /// Its blocks.
    pub fn blocks(&self) -> impl Iterator<Item = usize> {
        (0..self.flags.len()).filter(|block| self.has_header(*block))
    }

    /// The stage that a node opened from this must give it.
    pub fn stage(&self, block: usize) -> Stage {
        let flags = self.flags(block);
        if flags & INVALID != 0 {
            Stage::Invalid
        } else if flags & EXECUTED != 0 {
            Stage::Executed
        } else if flags & BODY != 0 {
            Stage::Body
        } else {
            Stage::Header
        }
    }

    /// Takes a batch, and holds each of its lines against the model: nothing joins that must
    /// not, nothing invalid is executed, nothing valid condemned.
    pub fn apply(&mut self, batch: &Batch, model: &Model) {
        let find = |hash: &BlockHash| model.find(hash).expect("a block that somebody made");
        for header in &batch.headers {
            let block = find(&header.hash());
            let known = &model.blocks[block];
            assert!(
                known.header_fits,
                "{} breaks a rule and joined",
                known.id.hash
            );
            assert!(self.has_header(known.parent), "parents are stored first");
            assert!(!self.is_invalid(known.parent), "joined an invalid branch");
            assert!(!self.has_header(block), "a header is stored once");
            self.headers += 1;
            self.set(block, HEADER);
        }
        for (id, _) in &batch.bodies {
            let block = find(&id.hash);
            assert!(self.has_header(block), "a body without its header");
            self.set(block, BODY);
            self.join(block, model);
        }
        for id in &batch.dropped {
            self.drop_body(find(&id.hash), model);
        }
        for executed in &batch.executed {
            let block = find(&executed.id.hash);
            let known = &model.blocks[block];
            assert!(known.is_valid, "executed {:?}, which is invalid", known.id);
            assert!(
                self.is_executed(known.parent),
                "executed without its parent"
            );
            assert!(!self.is_executed(block), "executed {:?} twice", known.id);
            assert!(self.has_body(block), "executed without a stored body");
            self.executed += 1;
            self.set(block, EXECUTED);
            if known.rank > model.blocks[self.best_executed].rank {
                self.best_executed = block;
            }
        }
        for id in &batch.invalid {
            let block = find(&id.hash);
            assert!(
                !model.blocks[block].is_valid,
                "condemned {id:?}, which is valid"
            );
            self.set(block, INVALID);
        }
        if !batch.invalid.is_empty() {
            self.check_heirs(model);
        }
        if let Some(head) = batch.head {
            self.head = find(&head.hash);
        }
        assert_eq!(
            self.head, self.best_executed,
            "the head is the best executed"
        );
    }

    /// What descends from an invalid block is invalid with it.
    fn check_heirs(&self, model: &Model) {
        for block in self.blocks() {
            let known = &model.blocks[block];
            let is_heir = self.is_invalid(known.parent) && !self.is_invalid(block);
            assert!(!is_heir, "{:?} outlives its invalid parent", known.id);
        }
    }

    /// A body came: it is held whole if its parent is, and then its children may be too.
    fn join(&mut self, block: usize, model: &Model) {
        let mut waiting = vec![block];
        while let Some(block) = waiting.pop() {
            let known = &model.blocks[block];
            let is_whole = self.has_body(block)
                && known.is_valid
                && self.flags(known.parent) & WHOLE != 0
                && self.flags(block) & WHOLE == 0;
            if is_whole {
                self.set(block, WHOLE);
                if known.rank > model.blocks[self.best_whole].rank {
                    self.best_whole = block;
                }
                waiting.extend(&known.children);
            }
        }
    }

    fn drop_body(&mut self, block: usize, model: &Model) {
        assert!(
            !self.is_executed(block),
            "executed blocks keep their bodies"
        );
        self.flags[block] &= !(BODY | WHOLE);
        let mut waiting = model.blocks[block].children.clone();
        while let Some(child) = waiting.pop() {
            if self.flags(child) & WHOLE != 0 {
                assert!(!self.is_executed(child), "executed without its parent");
                self.flags[child] &= !WHOLE;
                waiting.extend(&model.blocks[child].children);
            }
        }
        assert!(
            self.flags(self.best_whole) & WHOLE != 0,
            "the best body was dropped"
        );
    }
}
