//! Links and what is on its way over them: latency, loss, duplicates, resets, partitions.
//!
//! Requests and answers go over reliable streams, as in the real network: one is lost only with
//! its stream, which the asker learns at once, late or by a time-out. Gossip is lost silently.

use std::sync::Arc;

use chain::{Fault as Blame, Input, Peer, Request, Ticket};

use super::{
    tally::Fault,
    wire::Topic,
    world::{Event, Gossiped, World},
};

/// Milliseconds after which a connection gives up waiting for an answer.
const GIVE_UP_MS: u64 = 64_000;
/// An answer that takes longer may be held against the peer that owes it.
pub const LATE_MS: u64 = 1_900;

/// A connection between two actors; hosts come first in their numbers, then hostile ones.
pub struct Link {
    pub ends: [usize; 2],
    /// Counts connections; what was sent over an earlier one never arrives.
    pub epoch: u64,
    /// Whether each end believes that it is connected.
    pub connected: [bool; 2],
    /// The least milliseconds of a message, and how much more it may take.
    pub latency_ms: (u64, u64),
    /// When the last message for each end is due.
    last_due_ms: [u64; 2],
    /// Answers that were owed to each end for too long, in this connection.
    pub debts: [u64; 2],
    /// Not connected again before this.
    pub rest_until_ms: u64,
}

/// A request under way.
pub struct Pending {
    pub link: usize,
    pub epoch: u64,
    pub asker: usize,
    pub request: Request,
    pub since_ms: u64,
}

/// What is in a parcel.
#[derive(Clone)]
pub enum Body {
    Gossip {
        topic: Topic,
        bytes: Arc<[u8]>,
        again: bool,
    },
    Request {
        id: u64,
        bytes: Vec<u8>,
    },
    Response {
        id: u64,
        bytes: Arc<[u8]>,
    },
    Declined {
        id: u64,
    },
    Closed,
}

/// Something on its way.
#[derive(Clone)]
pub struct Parcel {
    pub link: usize,
    pub epoch: u64,
    /// The end that it goes to.
    pub to: usize,
    pub body: Body,
}

impl Link {
    pub fn new(ends: [usize; 2], latency_ms: (u64, u64)) -> Self {
        Self {
            ends,
            epoch: 0,
            connected: [false; 2],
            latency_ms,
            last_due_ms: [0; 2],
            debts: [0; 2],
            rest_until_ms: 0,
        }
    }

    /// Which end an actor is.
    pub fn end(&self, actor: usize) -> usize {
        usize::from(self.ends[1] == actor)
    }
}

impl World {
    /// The name of a connection: a number that no other connection has.
    pub fn peer(&self, link: usize) -> Peer {
        Peer(self.links[link].epoch << 16 | link as u64)
    }

    pub fn link_of(peer: Peer) -> usize {
        (peer.0 & 0xffff) as usize
    }

    /// The links of an actor on which it believes to be connected.
    pub fn links_of(&self, actor: usize) -> Vec<usize> {
        let is_its = |at: &usize| {
            let link = &self.links[*at];
            link.ends.contains(&actor) && link.connected[link.end(actor)]
        };
        (0..self.links.len()).filter(is_its).collect()
    }

    pub fn is_cut(&self, link: usize) -> bool {
        let [a, b] = self.links[link].ends;
        let side = |actor: usize| self.partition >> actor & 1;
        side(a) != side(b)
    }

    /// Connects whoever can be.
    pub fn maintain(&mut self) {
        for at in 0..self.links.len() {
            let link = &self.links[at];
            let both_up = link.ends.iter().all(|end| self.is_up(*end));
            let rests = link.rest_until_ms > self.now_ms;
            if link.connected == [false; 2] && both_up && !rests && !self.is_cut(at) {
                let link = &mut self.links[at];
                link.epoch += 1;
                (link.connected, link.debts) = ([true; 2], [0; 2]);
                link.last_due_ms = [self.now_ms; 2];
                let peer = self.peer(at);
                for end in self.links[at].ends {
                    if end < self.hosts.len() {
                        self.accounts.open(end, at, self.now_ms);
                        self.input(end, Input::Connected(peer));
                    }
                }
            }
        }
    }

    /// Puts a message on its way to the other end, or loses it.
    pub fn transmit(&mut self, link: usize, from: usize, body: &Body) {
        let to = 1 - self.links[link].end(from);
        let epoch = self.links[link].epoch;
        if self.is_cut(link) {
            self.tally.fault(Fault::Lost);
            return;
        }
        let is_gossip = matches!(body, Body::Gossip { .. });
        let mut copies = 1;
        if !self.quiet && is_gossip {
            if self.rng.chance(self.weather.lost) {
                self.tally.fault(Fault::Lost);
                return;
            }
            if self.rng.chance(self.weather.duplicated) {
                self.tally.fault(Fault::Duplicated);
                copies = 2;
            }
        } else if !self.quiet && self.rng.chance(self.weather.streams_lost) {
            self.lose_stream(body);
            return;
        }
        for copy in 0..copies {
            let mut body = body.clone();
            if let Body::Gossip { again, .. } = &mut body {
                *again = copy > 0;
            }
            let due_ms = self.due_ms(link, to);
            let parcel = Parcel {
                link,
                epoch,
                to,
                body,
            };
            self.schedule(due_ms, Event::Deliver(parcel));
        }
    }

    fn due_ms(&mut self, link: usize, to: usize) -> u64 {
        let (least, more) = self.links[link].latency_ms;
        let mut due_ms = self.now_ms + least + self.rng.below(more + 1);
        if !self.quiet && self.rng.chance(self.weather.late) {
            due_ms += self.rng.range(1_000, 20_000);
            self.tally.fault(Fault::Late);
        }
        let last = &mut self.links[link].last_due_ms[to];
        if due_ms < *last {
            self.tally.fault(Fault::Overtaken);
        }
        *last = due_ms.max(*last);
        due_ms
    }

    /// A stream broke: the asker learns of it now, or never and gives up.
    fn lose_stream(&mut self, body: &Body) {
        self.tally.fault(Fault::Lost);
        let (Body::Request { id, .. } | Body::Response { id, .. } | Body::Declined { id }) = body
        else {
            return;
        };
        if self.rng.chance(700) {
            let delay = self.rng.range(1, 3_000);
            self.schedule(self.now_ms + delay, Event::StreamReset(*id));
        }
    }

    /// Sends a request of an actor's.
    pub fn ask(&mut self, from: usize, link: usize, request: Request) {
        self.next_request += 1;
        let id = self.next_request;
        let bytes = request.encode();
        let again = Request::decode(&bytes).expect("what a node sends can be read");
        assert_eq!(again, request, "a request is its bytes");
        let pending = Pending {
            link,
            epoch: self.links[link].epoch,
            asker: from,
            request,
            since_ms: self.now_ms,
        };
        self.pending.insert(id, pending);
        self.schedule(self.now_ms + GIVE_UP_MS, Event::GiveUp(id));
        self.transmit(link, from, &Body::Request { id, bytes });
    }

    /// Takes a request off the list; its asker waited too long if it did.
    fn end_request(&mut self, id: u64) -> Option<(usize, Peer, Request)> {
        let pending = self.pending.remove(&id)?;
        let peer = Peer(pending.epoch << 16 | pending.link as u64);
        let link = &mut self.links[pending.link];
        if self.now_ms - pending.since_ms >= LATE_MS && link.epoch == pending.epoch {
            let end = link.end(pending.asker);
            link.debts[end] += 1;
        }
        (pending.asker < self.hosts.len()).then_some((pending.asker, peer, pending.request))
    }

    /// The stream of a request broke.
    pub fn stream_reset(&mut self, id: u64) {
        if let Some((to_host, to, request)) = self.end_request(id) {
            self.input(to_host, Input::Unserved { to, request });
        }
    }

    /// Nobody waits for this answer any longer.
    pub fn give_up(&mut self, id: u64) {
        if let Some((host, from, request)) = self.end_request(id) {
            self.input(host, Input::Unanswered { from, request });
        }
    }

    /// Tells everybody but where it came from.
    pub fn gossip(&mut self, from: usize, except: Option<usize>, topic: Topic, bytes: &Arc<[u8]>) {
        for link in self.links_of(from) {
            if Some(link) != except {
                let bytes = Arc::clone(bytes);
                let again = false;
                self.transmit(
                    link,
                    from,
                    &Body::Gossip {
                        topic,
                        bytes,
                        again,
                    },
                );
            }
        }
    }

    /// A parcel arrives at a host.
    pub fn deliver(&mut self, parcel: Parcel) {
        let link = &mut self.links[parcel.link];
        if link.epoch != parcel.epoch || !link.connected[parcel.to] {
            return;
        }
        let (me, from) = (link.ends[parcel.to], self.peer(parcel.link));
        if me >= self.hosts.len() {
            self.hostile_receives(me, parcel);
            return;
        }
        match parcel.body {
            Body::Gossip {
                topic,
                bytes,
                again,
            } => {
                let link = parcel.link;
                self.deliver_gossip(me, Gossiped { topic, bytes, link }, again);
            }
            Body::Request { id, bytes } => match Request::decode(&bytes) {
                Ok(request) => {
                    let ticket = Ticket(id);
                    self.input(
                        me,
                        Input::Request {
                            from,
                            ticket,
                            request,
                        },
                    );
                }
                Err(_) => {
                    let (hash, fault) = (None, Blame::Malformed);
                    self.input(me, Input::Refused { from, hash, fault });
                }
            },
            Body::Response { id, bytes } => {
                if let Some((_, from, request)) = self.end_request(id) {
                    for input in self.wire.response(from, request, &bytes, &self.model.spec) {
                        self.answered(me, parcel.link, input);
                    }
                }
            }
            Body::Declined { id } => {
                self.tally.fault(Fault::Declined);
                self.stream_reset(id);
            }
            Body::Closed => self.closed(parcel.link, parcel.to),
        }
    }

    fn deliver_gossip(&mut self, me: usize, gossip: Gossiped, again: bool) {
        let is_news = self.hosts[me].is_news(&gossip.bytes, self.now_ms);
        if !is_news && !again {
            return;
        }
        let (from, spec) = (self.peer(gossip.link), &self.model.spec);
        let input = self.wire.gossip(from, gossip.topic, &gossip.bytes, spec);
        self.step(me, input, Some(gossip));
    }

    /// An end learns that the connection is gone.
    pub fn closed(&mut self, at: usize, end: usize) {
        let link = &mut self.links[at];
        if !std::mem::replace(&mut link.connected[end], false) {
            return;
        }
        let (me, epoch) = (link.ends[end], link.epoch);
        link.rest_until_ms = self.now_ms + 1_000;
        if me >= self.hosts.len() || !self.is_up(me) {
            return;
        }
        let is_over =
            |pending: &Pending| pending.link == at && pending.epoch == epoch && pending.asker == me;
        let over = self.pending.iter().filter(|(_, pending)| is_over(pending));
        let over: Vec<_> = over.map(|(id, _)| *id).collect();
        for id in over {
            self.stream_reset(id);
        }
        self.input(me, Input::Disconnected(self.peer(at)));
    }

    /// One end closes the connection, the other hears of it.
    pub fn close(&mut self, at: usize, end: usize) {
        let (epoch, me) = (self.links[at].epoch, self.links[at].ends[end]);
        if !self.is_cut(at) && self.links[at].connected[end] {
            let due_ms = self.now_ms + self.links[at].latency_ms.0;
            let (link, to, body) = (at, 1 - end, Body::Closed);
            let parcel = Parcel {
                link,
                epoch,
                to,
                body,
            };
            self.schedule(due_ms, Event::Deliver(parcel));
        } else if self.links[at].connected[1 - end] {
            // Behind a cut it notices by itself, some time.
            let due_ms = self.now_ms + self.rng.range(5_000, 15_000);
            let (link, to, body) = (at, 1 - end, Body::Closed);
            let parcel = Parcel {
                link,
                epoch,
                to,
                body,
            };
            self.schedule(due_ms, Event::Deliver(parcel));
        }
        let life = self.life(me);
        self.schedule(
            self.now_ms,
            Event::Gone {
                link: at,
                end,
                epoch,
                life,
            },
        );
    }
}
