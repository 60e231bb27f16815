//! Requests under way: ours, by the shell's id, and peers', by ticket. Both bounded.
//!
//! Each request of ours ends in exactly one answer or failure; a peer's ends when it is answered,
//! declined, out of time or its connection is gone. Owned by the swarm's task.

use std::collections::HashMap;

use chain::message::{Peer, Response};
use libp2p::request_response::{InboundRequestId, OutboundRequestId, ResponseChannel};

use crate::limits::{SENT_PER_PEER, TICKETS_MAX};

/// The tables.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    sent: HashMap<OutboundRequestId, (Peer, u64)>,
    tickets: HashMap<u64, (InboundRequestId, ResponseChannel<Response>)>,
    by_request: HashMap<InboundRequestId, u64>,
    last_ticket: u64,
}

impl Requests {
    /// Whether one more request may be sent to a peer.
    pub(crate) fn has_room(&self, peer: Peer) -> bool {
        let under_way = self.sent.values().filter(|(to, _)| *to == peer).count();
        under_way < SENT_PER_PEER
    }

    /// A request was handed to libp2p.
    pub(crate) fn sent(&mut self, request: OutboundRequestId, peer: Peer, id: u64) {
        self.sent.insert(request, (peer, id));
    }

    /// A request of ours has ended: whose it was and the shell's id.
    pub(crate) fn ended(&mut self, request: OutboundRequestId) -> Option<(Peer, u64)> {
        self.sent.remove(&request)
    }

    /// A peer asked something: its ticket, or nothing if too many wait already. Then the channel
    /// is dropped, which declines the request.
    pub(crate) fn asked(
        &mut self,
        request: InboundRequestId,
        channel: ResponseChannel<Response>,
    ) -> Option<u64> {
        if self.tickets.len() >= TICKETS_MAX {
            return None;
        }
        self.last_ticket += 1;
        self.tickets.insert(self.last_ticket, (request, channel));
        self.by_request.insert(request, self.last_ticket);
        Some(self.last_ticket)
    }

    /// Takes the channel of a ticket, if it still waits. Dropping it declines the request.
    pub(crate) fn take(&mut self, ticket: u64) -> Option<ResponseChannel<Response>> {
        let (request, channel) = self.tickets.remove(&ticket)?;
        self.by_request.remove(&request);
        Some(channel)
    }

    /// A peer's request can no longer be answered.
    pub(crate) fn lapsed(&mut self, request: InboundRequestId) {
        if let Some(ticket) = self.by_request.remove(&request) {
            self.tickets.remove(&ticket);
        }
    }
}
