//! What goes into a step and what comes out of it, as plain values.
//!
//! The core never calls out. The shell carries out the effects in order, after the step's batch
//! is durable; the simulator and the model checker do the same in their own worlds.

use std::sync::Arc;

use crate::{
    check::{CheckedBlock, CheckedHeader},
    hash::{BlockHash, TxHash},
    message::{Peer, Request, Status},
    pool::{Departure, PoolError},
    store::{Batch, BlockId},
    transaction::CheckedTransaction,
};

/// Time as the shell sees it, Unix milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Wall clock, for rule H5, in Unix seconds.
    pub unix_secs: u64,
    /// A clock that never runs back, for time-outs, in milliseconds since any start.
    pub monotonic_ms: u64,
}

/// A question waiting for its answer, named by the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What can happen to a node.
#[derive(Clone, Debug)]
pub enum Input {
    /// A block by gossip, by request, mined by us or loaded from our store (from nobody).
    Block {
        /// Who sent it.
        from: Option<Peer>,
        /// The block.
        block: CheckedBlock,
    },
    /// A request for blocks has been answered in whole, or the answer to any could not be read.
    Answered {
        /// Who was asked.
        from: Peer,
        /// What had been asked.
        request: Request,
    },
    /// A request that did not reach its peer, because a queue was full or the connection gone, or
    /// that the peer declined: nothing is held against it.
    Unserved {
        /// Who was to be asked.
        to: Peer,
        /// What had been asked.
        request: Request,
    },
    /// A request that the connection has given up waiting for.
    Unanswered {
        /// Who was asked.
        from: Peer,
        /// What had been asked.
        request: Request,
    },
    /// The header of a gossiped block whose signatures were not looked at: it is here already, a block
    /// before it has failed, or it stands for too little work.
    Announced {
        /// Who sent it.
        from: Peer,
        /// Its header.
        header: CheckedHeader,
    },
    /// Headers in answer to a locator, parents first; the request is over with it.
    Headers {
        /// Who sent them.
        from: Peer,
        /// The headers.
        headers: Vec<CheckedHeader>,
    },
    /// A peer's status: in answer to ours, or with its own request.
    Status {
        /// Whose it is.
        from: Peer,
        /// Where it stands.
        status: Status,
    },
    /// Transactions by gossip or request.
    Transactions {
        /// Who sent them.
        from: Peer,
        /// The transactions.
        transactions: Vec<CheckedTransaction>,
    },
    /// Something that failed the stateless check, or could not be read, or never came.
    Refused {
        /// Who sent it.
        from: Peer,
        /// The block it claimed to be, where that is known.
        hash: Option<BlockHash>,
        /// What the sender is charged with.
        fault: Fault,
    },
    /// A transaction from a user.
    Submitted {
        /// Where the answer goes.
        ticket: Ticket,
        /// The transaction.
        transaction: CheckedTransaction,
    },
    /// The pool's journal, as the store had it when the node was opened.
    Journal {
        /// What was in the pool.
        transactions: Vec<CheckedTransaction>,
        /// What had left it, and why.
        departed: Vec<Departure>,
    },
    /// A peer's request.
    Request {
        /// Who asks.
        from: Peer,
        /// Where the answer goes.
        ticket: Ticket,
        /// What it asks.
        request: Request,
    },
    /// A peer is connected.
    Connected(Peer),
    /// A peer is gone.
    Disconnected(Peer),
    /// Time has passed.
    Tick,
    /// There is a block to execute.
    Continue,
}

/// What the shell is asked to do.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Make these writes durable before carrying out anything after it.
    Commit(Batch),
    /// Ask a peer.
    Send {
        /// Whom.
        to: Peer,
        /// What.
        request: Request,
    },
    /// Answer a peer's request from a snapshot.
    Serve {
        /// Where the answer goes.
        ticket: Ticket,
        /// What was asked.
        request: Request,
    },
    /// Drop a peer's request without an answer.
    Decline {
        /// Where the answer would have gone.
        ticket: Ticket,
    },
    /// Gossip a block of ours, or one that was not forwarded when it came.
    AnnounceBlock(CheckedBlock),
    /// Gossip a transaction submitted here.
    AnnounceTransaction(CheckedTransaction),
    /// Answer a user.
    Reply {
        /// Whom.
        ticket: Ticket,
        /// The pool's answer.
        result: Result<TxHash, PoolError>,
    },
    /// Read a stored body, check it and hand it back as a block from nobody.
    Load(BlockHash),
    /// Close the connection.
    Disconnect {
        /// To whom.
        peer: Peer,
        /// Why.
        fault: Fault,
    },
    /// Tell whoever listens.
    Publish(Event),
    /// Come back with [`Input::Continue`].
    Continue,
}

/// What listeners are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The head moved.
    Head {
        /// The head before.
        old: BlockId,
        /// The head now.
        new: BlockId,
        /// Blocks left, from the old head down; empty unless it is a reorg.
        undone: Arc<Vec<BlockId>>,
        /// Blocks joined, upwards to the new head.
        redone: Arc<Vec<BlockId>>,
    },
    /// A block failed execution.
    Invalid {
        /// The block.
        block: BlockId,
        /// Why.
        reason: String,
    },
    /// A reorg deeper than the alarm depth (Rule F3).
    DeepReorg {
        /// Blocks undone.
        depth: u64,
    },
    /// A block is held whole for the first time, executed or not.
    Block {
        /// The block.
        block: BlockId,
        /// Its parent.
        parent: BlockHash,
    },
    /// A branch has begun: a block came whose parent, on the best chain, has a child there.
    Fork {
        /// The first block of the branch.
        block: BlockId,
        /// The best chain's block at its height.
        rival: BlockId,
        /// Blocks of the best chain above the rival: a late block more often means withholding.
        behind: u64,
    },
    /// The pool took a transaction that came from a user or a peer.
    Transaction {
        /// Its hash.
        hash: TxHash,
    },
    /// The pool took transactions back that a reorg had undone, or that its journal had kept.
    Returned {
        /// Their hashes.
        transactions: Arc<Vec<TxHash>>,
    },
}

/// What gossip does with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Forward it.
    Accept,
    /// Neither forward it nor blame anybody.
    Ignore,
    /// Do not forward it, and charge the sender.
    Reject,
}

/// What a peer did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Fault {
    /// A header without the work it claims.
    #[error("sent a header without valid proof of work")]
    InvalidWork,
    /// An extension or body that does not match its 80 bytes.
    #[error("sent an extension or body that does not match its header")]
    Mismatch,
    /// A block that breaks a rule.
    #[error("sent an invalid block")]
    InvalidBlock,
    /// A transaction that breaks T1 to T3.
    #[error("sent an invalid transaction")]
    InvalidTransaction,
    /// Bytes that are no message, or beyond a limit.
    #[error("sent an unreadable or oversized message")]
    Malformed,
    /// Another genesis, protocol version or set of upgrades.
    #[error("belongs to another network")]
    WrongNetwork,
    /// An answer that does not fit the request.
    #[error("answered something that was not asked")]
    Unsolicited,
    /// Headers that differ from those it has shown before.
    #[error("delivered other headers than it had shown")]
    Contradiction,
    /// Headers that lead no further.
    #[error("sent headers that lead no further")]
    NoProgress,
    /// No answer in time.
    #[error("did not answer in time")]
    Timeout,
    /// More requests than its budget.
    #[error("asked more than its budget allows")]
    TooManyRequests,
    /// Too many peers already.
    #[error("came when all places were taken")]
    Full,
}

impl Fault {
    /// Points charged; at [`Fault::LIMIT`] the peer is disconnected.
    pub fn points(self) -> u32 {
        match self {
            Self::InvalidWork | Self::InvalidBlock | Self::WrongNetwork | Self::Full => 100,
            // Once may be an honest peer's deep reorg between two passes.
            Self::Malformed | Self::Mismatch | Self::Contradiction => 50,
            Self::InvalidTransaction | Self::Unsolicited => 25,
            Self::Timeout | Self::NoProgress => 10,
            Self::TooManyRequests => 1,
        }
    }

    /// Points at which a peer is disconnected.
    pub const LIMIT: u32 = 100;
}
