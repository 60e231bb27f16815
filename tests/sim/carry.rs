//! What a node's effects do to the world, and what no honest peer may suffer from them.

use std::sync::Arc;

use chain::{
    Effect, Event as Told, Fault as Blame, Peer, Request, Response, Store, Ticket, sync::serve,
};

use super::{
    net::{Body, LATE_MS, Pending},
    tally::Reached,
    told,
    wire::Topic,
    world::{Event, World},
};

impl World {
    /// Does what a node asked for, in order.
    pub fn carry_out(&mut self, me: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Commit(_) | Effect::Continue => unreachable!("the host keeps these"),
                Effect::Send { to, request } => {
                    let link = Self::link_of(to);
                    if self.peer(link) == to {
                        self.ask(me, link, request);
                    }
                }
                Effect::Serve { ticket, request } => self.serve(me, ticket, &request),
                Effect::Decline { ticket } => {
                    self.check_declined(ticket);
                    self.answer(me, ticket.0, &Body::Declined { id: ticket.0 });
                }
                Effect::AnnounceBlock(block) => {
                    let index = self.model.find(&block.id().hash).expect("somebody made it");
                    assert!(
                        self.hosts[me].durable.has_body(index),
                        "committed, then announced"
                    );
                    self.publish(me, Topic::Blocks, &block.to_block().encode().into());
                }
                Effect::AnnounceTransaction(transaction) => {
                    self.publish(me, Topic::Transactions, &transaction.bytes().into());
                }
                Effect::Reply { ticket, result } => self.replied(me, ticket, &result),
                Effect::Load(hash) => {
                    let (host, life) = (me, self.hosts[me].life);
                    let due_ms = self.now_ms + self.rng.below(50);
                    self.schedule(due_ms, Event::Load { host, life, hash });
                }
                Effect::Disconnect { peer, fault } => self.let_go(me, peer, fault),
                Effect::Publish(Told::Returned { .. }) => self.tally.reach(Reached::Returned),
                Effect::Publish(_) => {}
            }
        }
    }

    /// Publishes something of its own; like the real network nothing twice in a minute.
    fn publish(&mut self, me: usize, topic: Topic, bytes: &Arc<[u8]>) {
        if self.hosts[me].is_news(bytes, self.now_ms) {
            self.gossip(me, None, topic, bytes);
        }
    }

    /// Answers from a snapshot, unless the shell has no room for it.
    fn serve(&mut self, me: usize, ticket: Ticket, request: &Request) {
        if !self.quiet && self.rng.chance(self.weather.declined) {
            self.answer(me, ticket.0, &Body::Declined { id: ticket.0 });
            return;
        }
        self.check_served(me, ticket);
        let host = &self.hosts[me];
        let db = host.store.snapshot().unwrap();
        let status = host.node().status(host.now(self.now_ms));
        let response = serve(request, &status, &host.node().pool(), &db).unwrap();
        told::check_answer(host, &self.model, request, &response);
        let bytes: Arc<[u8]> = response.encode().into();
        drop(db);
        let again = Response::decode(&bytes).expect("what a node answers can be read");
        assert!(again == response, "an answer is its bytes");
        self.answer(
            me,
            ticket.0,
            &Body::Response {
                id: ticket.0,
                bytes,
            },
        );
    }

    /// Sends an answer to whoever asked.
    pub fn answer(&mut self, me: usize, id: u64, body: &Body) {
        let Some(pending) = self.pending.get(&id) else {
            return;
        };
        if self.links[pending.link].epoch == pending.epoch {
            self.transmit(pending.link, me, body);
        }
    }

    /// No honest peer is let go, unless it, or the network for it, owed answers for too long.
    fn let_go(&mut self, me: usize, peer: Peer, blame: Blame) {
        let at = Self::link_of(peer);
        if self.peer(at) != peer {
            return;
        }
        let end = self.links[at].end(me);
        if self.links[at].ends[1 - end] < self.hosts.len() {
            assert_eq!(blame, Blame::Timeout, "an honest peer was let go");
            self.check_points(me, at);
        } else {
            self.tally.reach(Reached::HostilePunished);
            if blame == Blame::TooManyRequests {
                self.tally.reach(Reached::FloodStopped);
            }
        }
        self.links[at].rest_until_ms = self.now_ms + 5_000;
        self.close(at, end);
    }

    /// An honest peer is charged with no more than the answers it owed for too long.
    pub fn check_points(&mut self, me: usize, at: usize) {
        let (link, peer) = (&self.links[at], self.peer(at));
        let end = link.end(me);
        if link.ends[1 - end] >= self.hosts.len() || !link.connected[end] {
            return;
        }
        let is_late = |pending: &&Pending| {
            let is_this = pending.link == at && pending.epoch == link.epoch && pending.asker == me;
            is_this && self.now_ms - pending.since_ms >= LATE_MS
        };
        let owed = link.debts[end] + self.pending.values().filter(is_late).count() as u64;
        let summaries = self.hosts[me].node().sync().summaries();
        let summary = summaries.iter().find(|summary| summary.peer == peer);
        let points = summary.map_or(0, |summary| u64::from(summary.points));
        let most = owed * u64::from(Blame::Timeout.points());
        if points > 0 {
            self.tally.reach(Reached::Charged);
        }
        assert!(
            points <= most,
            "host {me} charges {peer:?} with {points} points, it owed {owed} answers"
        );
    }
}
