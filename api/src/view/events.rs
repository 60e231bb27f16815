//! What listeners are told, the data of each event. Every one names the head it happened at.

use chain::{BlockHash, BlockId, TxHash};
use serde::Serialize;
use utoipa::ToSchema;

use super::HeadJson;
use crate::events::{Arrival, Joined, Move, PeerChange};

/// A block's place and name.
#[derive(Debug, Serialize, ToSchema)]
pub struct BlockIdJson {
    height: u64,
    hash: String,
}

impl From<&BlockId> for BlockIdJson {
    fn from(id: &BlockId) -> Self {
        let (height, hash) = (id.height, id.hash.to_string());
        Self { height, hash }
    }
}

/// `head`: the best chain has one block more.
#[derive(Debug, Serialize, ToSchema)]
pub struct HeadEventJson {
    height: u64,
    hash: String,
    parent: String,
    transactions: u32,
    /// The head before the move that brought this block.
    old: BlockIdJson,
    head: HeadJson,
}

impl HeadEventJson {
    /// A block that joined with a move.
    pub fn new(moved: &Move, joined: &Joined, head: BlockId) -> Self {
        Self {
            height: joined.id.height,
            hash: joined.id.hash.to_string(),
            parent: joined.parent.to_string(),
            transactions: joined.transactions,
            old: (&moved.old).into(),
            head: HeadJson::of(head),
        }
    }
}

/// `chain_reorg`: the best chain has left blocks.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReorgEventJson {
    old_head: BlockIdJson,
    new_head: BlockIdJson,
    common_ancestor: BlockIdJson,
    /// From the old head down, without the common ancestor.
    old_branch: Vec<BlockIdJson>,
    old_branch_length: u64,
    /// From the common ancestor's child up to the new head.
    new_branch: Vec<BlockIdJson>,
    new_branch_length: u64,
    /// Transactions of the old branch, in the order of its blocks from the common ancestor up.
    undone: Vec<String>,
    undone_count: u64,
    /// Those of `undone` that are on the new branch too.
    redone: Vec<String>,
    /// Whether a list is not whole; the counts always are.
    truncated: bool,
    head: HeadJson,
}

/// Transactions of both branches of a reorg.
#[derive(Debug, Default)]
pub struct ReorgTransactions {
    /// Those of the old branch.
    pub undone: Vec<TxHash>,
    /// How many those are.
    pub undone_count: u64,
    /// Those of them on the new branch.
    pub redone: Vec<TxHash>,
    /// Whether all were read.
    pub is_whole: bool,
}

impl ReorgEventJson {
    /// A move with the transactions on its way.
    pub fn new(moved: &Move, transactions: &ReorgTransactions, head: BlockId) -> Self {
        let texts = |hashes: &[TxHash]| hashes.iter().map(TxHash::to_string).collect();
        let named_left = u64::try_from(moved.left.len()).unwrap_or(u64::MAX);
        let is_whole =
            transactions.is_whole && moved.is_whole() && named_left == moved.left_count();
        Self {
            old_head: (&moved.old).into(),
            new_head: (&moved.new).into(),
            common_ancestor: (&moved.ancestor).into(),
            old_branch: moved.left.iter().map(BlockIdJson::from).collect(),
            old_branch_length: moved.left_count(),
            new_branch: moved
                .joined
                .iter()
                .map(|joined| (&joined.id).into())
                .collect(),
            new_branch_length: moved.joined_count(),
            undone: texts(&transactions.undone),
            undone_count: transactions.undone_count,
            redone: texts(&transactions.redone),
            truncated: !is_whole,
            head: HeadJson::of(head),
        }
    }
}

/// `block`: a block of any branch is here.
#[derive(Debug, Serialize, ToSchema)]
pub struct BlockEventJson {
    height: u64,
    hash: String,
    parent: String,
    head: HeadJson,
}

impl BlockEventJson {
    /// A block and its parent.
    pub fn new(block: BlockId, parent: BlockHash, head: BlockId) -> Self {
        Self {
            height: block.height,
            hash: block.hash.to_string(),
            parent: parent.to_string(),
            head: HeadJson::of(head),
        }
    }
}

/// `transaction`: the pool has one more.
#[derive(Debug, Serialize, ToSchema)]
pub struct TransactionEventJson {
    hash: String,
    /// pooled or returned.
    status: &'static str,
    head: HeadJson,
}

impl TransactionEventJson {
    /// A transaction and where it came from.
    pub fn new(hash: TxHash, arrival: Arrival, head: BlockId) -> Self {
        Self {
            hash: hash.to_string(),
            status: match arrival {
                Arrival::Pooled => "pooled",
                Arrival::Returned => "returned",
            },
            head: HeadJson::of(head),
        }
    }
}

/// `fork`: a branch has begun.
#[derive(Debug, Serialize, ToSchema)]
pub struct ForkEventJson {
    height: u64,
    hash: String,
    /// The best chain's block at that height.
    rival: String,
    /// Blocks of the best chain above the rival.
    behind: u64,
    head: HeadJson,
}

impl ForkEventJson {
    /// A block and its rival.
    pub fn new(block: BlockId, rival: BlockId, behind: u64, head: BlockId) -> Self {
        Self {
            height: block.height,
            hash: block.hash.to_string(),
            rival: rival.hash.to_string(),
            behind,
            head: HeadJson::of(head),
        }
    }
}

/// `peer`: one has come or gone.
#[derive(Debug, Serialize, ToSchema)]
pub struct PeerEventJson<'a> {
    /// Its peer id.
    pub id: &'a str,
    /// Where it is.
    pub address: &'a str,
    /// Whether it dialled us.
    pub inbound: bool,
    change: &'static str,
    head: HeadJson,
}

impl<'a> PeerEventJson<'a> {
    /// A peer and what became of it.
    pub fn new(
        (id, address): (&'a str, &'a str),
        inbound: bool,
        change: PeerChange,
        head: BlockId,
    ) -> Self {
        Self {
            id,
            address,
            inbound,
            change: match change {
                PeerChange::Connected => "connected",
                PeerChange::Disconnected => "disconnected",
            },
            head: HeadJson::of(head),
        }
    }
}

/// `gap`: events between the id and now are lost, but for what the best chain tells.
#[derive(Debug, Serialize, ToSchema)]
pub struct GapEventJson {
    /// The wanted types of which events may be missing.
    pub lost: Vec<&'static str>,
    /// The head now.
    pub head: HeadJson,
}

/// `reset`: the listener has to read again what it follows.
#[derive(Debug, Serialize, ToSchema)]
pub struct ResetEventJson {
    /// unknown_id, too_long or too_slow.
    pub reason: &'static str,
    /// Paths of what to read.
    pub reread: [&'static str; 3],
    /// The head now.
    pub head: HeadJson,
}
