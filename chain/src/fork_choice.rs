//! Fork choice: which of two blocks is the better one.
//!
//! Rule F1 as a type whose `Ord` is the rule. A strict total order over headers, a function of
//! the blocks alone and not of when they arrived, hence nodes with equal blocks have equal heads
//! (Pîrlea and Sergey, CPP 2018).

use std::cmp::Reverse;

use alloy_primitives::U256;

use crate::hash::BlockHash;

/// Rule F1: more chain work is better; at equal work, the numerically lower hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Rank {
    chain_work: U256,
    hash: Reverse<U256>,
}

impl Rank {
    /// The rank of a block.
    pub fn new(chain_work: U256, hash: &BlockHash) -> Self {
        Self {
            chain_work,
            hash: Reverse(hash.number()),
        }
    }

    /// Cumulative work of the block.
    pub fn chain_work(&self) -> U256 {
        self.chain_work
    }
}
