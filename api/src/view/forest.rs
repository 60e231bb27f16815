//! The block forest: its tips, and the blocks of single branches.

use chain::{Stage, StoreError, U256, forest::Branch};
use serde::Serialize;
use utoipa::ToSchema;

use super::{BlockIdJson, HeadJson, stage_name};
use crate::View;

/// A page of tips, best first.
#[derive(Debug, Serialize, ToSchema)]
pub struct ForestJson {
    /// The branches.
    pub branches: Vec<BranchJson>,
    /// Where the next page starts; absent after the last one.
    pub next_cursor: Option<usize>,
    /// The head this was read at.
    pub head: HeadJson,
}

/// A branch, from where it leaves the best chain to its tip.
#[derive(Debug, Serialize, ToSchema)]
pub struct BranchJson {
    height: u64,
    hash: String,
    chain_work: String,
    /// Chain work of the tip less that of the head, a signed decimal number.
    work_difference: String,
    /// header, body or executed.
    stage: &'static str,
    is_head: bool,
    /// Blocks above the common ancestor; 0 if the tip is on the best chain.
    length: u64,
    common_ancestor: BlockIdJson,
}

impl BranchJson {
    /// A branch of a view's forest.
    pub fn new(view: &View, branch: &Branch) -> Self {
        let tip = &branch.tip;
        let head_work = view.head_header.extension.chain_work;
        Self {
            height: tip.height,
            hash: tip.hash.to_string(),
            chain_work: format!("{:#x}", branch.chain_work),
            work_difference: difference(branch.chain_work, head_work),
            stage: stage_name(branch.stage),
            is_head: *tip == view.head,
            length: tip.height.saturating_sub(branch.ancestor.height),
            common_ancestor: (&branch.ancestor).into(),
        }
    }
}

fn difference(a: U256, b: U256) -> String {
    match a.checked_sub(b) {
        Some(ahead) => ahead.to_string(),
        None => format!("-{}", b.saturating_sub(a)),
    }
}

/// A page of a branch, downwards; the last block of the last page is on the best chain.
#[derive(Debug, Serialize, ToSchema)]
pub struct BranchBlocksJson {
    /// The block that was asked for.
    pub tip: String,
    /// The blocks.
    pub blocks: Vec<BranchBlockJson>,
    /// The block where the next page starts; absent after the last one.
    pub next_cursor: Option<String>,
    /// The head this was read at.
    pub head: HeadJson,
}

/// A block of a branch.
#[derive(Debug, Serialize, ToSchema)]
pub struct BranchBlockJson {
    height: u64,
    hash: String,
    parent: String,
    time: u32,
    chain_work: String,
    transaction_count: u32,
    beneficiary: String,
    stage: &'static str,
    in_best_chain: bool,
}

impl BranchBlockJson {
    /// Reads a block and its parent's hash; `None` if it is not known.
    pub fn read(
        view: &View,
        hash: chain::BlockHash,
    ) -> Result<Option<(Self, chain::BlockHash)>, StoreError> {
        let Some(header) = view.reader.header(&hash)? else {
            return Ok(None);
        };
        let stage = view.reader.stage(&hash)?.unwrap_or(Stage::Header);
        let (pow, extension) = (&header.pow, &header.extension);
        let in_best_chain = view.reader.canonical(extension.height)? == Some(hash);
        let block = Self {
            height: extension.height,
            hash: hash.to_string(),
            parent: pow.parent.to_string(),
            time: pow.time,
            chain_work: format!("{:#x}", extension.chain_work),
            transaction_count: extension.transaction_count,
            beneficiary: extension.beneficiary.to_string(),
            stage: stage_name(stage),
            in_best_chain,
        };
        Ok(Some((block, pow.parent)))
    }

    /// Whether the branch ends here.
    pub fn is_last(&self) -> bool {
        self.in_best_chain || self.height == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_have_a_sign() {
        let (a, b) = (U256::from(7), U256::from(9));
        assert_eq!(difference(a, b), "-2");
        assert_eq!(difference(b, a), "2");
        assert_eq!(difference(a, a), "0");
        assert_eq!(difference(U256::ZERO, U256::MAX), format!("-{}", U256::MAX));
    }
}
