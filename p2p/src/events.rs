//! What the shell tells the network task and what it is told, as plain values.

use std::time::Duration;

use chain::{
    Fault,
    effect::Verdict,
    message::{Gossip, Peer, Request, Response},
};

use crate::gossip::GossipToken;

/// What the task is asked to do. Something that can no longer be done (a peer gone, a ticket
/// lapsed) is dropped without an error, but for [`Command::Send`].
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "moved once, through a queue: a box costs more"
)]
pub enum Command {
    /// Ask a peer. Ends in exactly one [`Event::Response`] or [`Event::Failed`] with this id.
    Send {
        /// Whom.
        peer: Peer,
        /// The shell's name for the request.
        id: u64,
        /// What.
        request: Request,
    },
    /// Answer a peer's request.
    Respond {
        /// The request's ticket.
        ticket: u64,
        /// The answer.
        response: Response,
    },
    /// Drop a peer's request without an answer.
    Decline {
        /// The request's ticket.
        ticket: u64,
    },
    /// Tell everybody. What has been told or received within a minute is not told again.
    Publish(Gossip),
    /// Decide about a gossiped message.
    Verdict {
        /// The message.
        token: GossipToken,
        /// What to do with it.
        verdict: Verdict,
    },
    /// Close all connections to a peer. A hostile fault also bans it: it is neither let in nor
    /// dialled for a while. What is no hostility (another network, no place, no answer) does not.
    Disconnect {
        /// Whom.
        peer: Peer,
        /// What it did.
        fault: Fault,
    },
    /// Refuse these peer ids, as text, in both directions from now on, instead of those named
    /// before; an empty list ends it. At most 64, and what is no peer id is passed over: either
    /// gives a warning. Of those that are let in again, four are dialled at once where an address
    /// is known, and all while fewer peers than wanted have been reached.
    Block(Vec<String>),
    /// Connect to an address, in any form that bootnodes have.
    Dial(String),
    /// Close everything and end.
    Shutdown,
}

/// What happened.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "moved once, through a queue: a box costs more"
)]
pub enum Event {
    /// A peer has shown that it speaks our protocol. Nothing else comes from it before this.
    Connected {
        /// Its number, not used before.
        peer: Peer,
        /// Its peer id.
        id: String,
        /// Where it is, as a multiaddr.
        address: String,
        /// Whether it dialled us.
        inbound: bool,
    },
    /// The last connection to a peer is closed. Failures of requests to it may still follow.
    Disconnected {
        /// The peer.
        peer: Peer,
    },
    /// A gossiped message, forwarded only after [`Command::Verdict`] says so.
    Gossip {
        /// Who passed it to us.
        peer: Peer,
        /// Names it for the verdict.
        token: GossipToken,
        /// The message.
        message: Gossip,
    },
    /// A peer asks. Ends by `Respond`, `Decline` or by itself after 64 s.
    Request {
        /// Who.
        peer: Peer,
        /// Names the request for the answer.
        ticket: u64,
        /// What it asks.
        request: Request,
    },
    /// An answer to a request of ours.
    Response {
        /// Whose.
        peer: Peer,
        /// The shell's name for the request.
        id: u64,
        /// The answer.
        response: Response,
    },
    /// A request of ours got no answer.
    Failed {
        /// Whom it was sent to.
        peer: Peer,
        /// The shell's name for the request.
        id: u64,
        /// Why.
        reason: Failure,
    },
    /// A peer has answered a ping; at most one for each peer in a ping interval of 15 s.
    Ping {
        /// The peer.
        peer: Peer,
        /// The time from the ping to its answer.
        rtt: Duration,
    },
    /// A peer gossiped or asked something that is no message. It was neither kept nor forwarded.
    Malformed {
        /// Who.
        peer: Peer,
    },
    /// Somebody of another network or version. The connection is being closed.
    WrongNetwork {
        /// Its peer id.
        id: String,
        /// Where it is.
        address: String,
        /// Its network's tag, and after a slash the protocol version where that differs from ours.
        theirs: String,
    },
    /// Something an operator should read.
    Warning(String),
}

/// Why a request got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nothing came in time.
    #[error("no answer in time")]
    Timeout,
    /// What came is not an answer within its limits. The peer's fault.
    #[error("the answer is no message")]
    Malformed,
    /// It speaks none of our protocols.
    #[error("the peer does not speak the protocol")]
    Unsupported,
    /// The peer chose not to answer, or has too much to do.
    #[error("the peer declined")]
    Declined,
    /// The connection or stream broke, or there was none.
    #[error("not connected")]
    Closed,
    /// Too many requests to this peer are under way; this one was not sent.
    #[error("too many requests to this peer are under way")]
    Busy,
}

/// Why a command was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The queue of commands is full.
    #[error("the network has too many commands waiting")]
    Full,
    /// The task has ended.
    #[error("the network has ended")]
    Ended,
}
