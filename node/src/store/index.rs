//! Where the best chain's transactions stand, in memory.
//!
//! A persistent map: a snapshot is a pointer, and keeps the index that belongs to its blocks.
//! Rebuilt from the bodies on opening.

use chain::{BlockId, Body, TxHash, store::TransactionPlace, transaction::hash_of};
use rpds::HashTrieMapSync;

/// One version of the index.
#[derive(Clone, Debug, Default)]
pub struct Index(HashTrieMapSync<[u8; 32], TransactionPlace>);

impl Index {
    /// Where a transaction stands.
    pub fn get(&self, hash: &TxHash) -> Option<TransactionPlace> {
        self.0.get(&hash.0).copied()
    }

    /// A block joined the best chain.
    pub fn add(&mut self, block: BlockId, body: &Body) {
        for (index, bytes) in (0..).zip(&body.0) {
            self.0
                .insert_mut(hash_of(bytes).0, TransactionPlace { block, index });
        }
    }

    /// A block left the best chain. A transaction that stands elsewhere by now stays there.
    pub fn remove(&mut self, block: BlockId, body: &Body) {
        for bytes in &body.0 {
            let key = hash_of(bytes).0;
            if self.0.get(&key).is_some_and(|place| place.block == block) {
                self.0.remove_mut(&key);
            }
        }
    }
}
