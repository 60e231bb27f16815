//! One node with its store and its pending inputs, and what a message or event does to it.
//!
//! Everything here is the shipped core over `MemoryStore` and the toy ledger; the clock stands.

use chain::{
    CheckedHeader, Input, Peer, Reader, Request, Response, Stage, Store, Ticket, Verdict,
    params::REQUESTS_PER_PEER,
    sync::{PeerSummary, serve},
};

use crate::{
    bank::Wrong,
    support::shell::Shell,
    world::{Carrier, Number, STRANGER, Set, World, has},
};

/// What is on its way from one node to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub from: u8,
    pub to: u8,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Block(Number),
    Request(Request),
    Response {
        request: Request,
        response: Response,
    },
}

/// What can happen to a node.
#[derive(Clone, Debug)]
pub enum Cue {
    /// Its miner has found this block.
    Mined(Number),
    /// The first of its pending inputs is taken: a continuation, or a block that was loaded.
    Pending,
    /// It has crashed and starts again from its store; its links are up again.
    Crashed,
    /// A neighbour has crashed and is back.
    Returned(u8),
    /// Time has passed.
    Tick,
    Message(Message),
}

/// What a node is seen to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    pub head: Number,
    /// The bodies it has, executed or not.
    pub held: Set,
    pub executed: Set,
    pub invalid: Set,
    pub orphans: Set,
    /// A continuation or a loaded block waits.
    pub is_pending: bool,
    /// What a node must never show, see [`Wrong`]: one bit each.
    pub wrong: u8,
}

impl World {
    /// What is seen of a node, and which of its own promises it breaks.
    pub fn facts(&self, shell: &Shell) -> Facts {
        let tree = shell.node.forest().tree();
        let stage = |number| tree.find(self.hash(number)).map(|id| tree[id].stage);
        let set = |holds: &dyn Fn(Stage) -> bool| {
            let those = self
                .numbers()
                .filter(|number| stage(*number).is_some_and(holds));
            those.fold(0, |set, number| set | 1 << number)
        };
        let orphans = shell.node.orphans();
        let is_orphan = |number: &Number| orphans.root_of(self.hash(*number)).is_some();
        let mut facts = Facts {
            head: self.number(&shell.node.head().hash).unwrap(),
            held: set(&|stage| matches!(stage, Stage::Body | Stage::Executed)),
            executed: set(&|stage| stage == Stage::Executed),
            invalid: set(&|stage| stage == Stage::Invalid),
            orphans: self
                .numbers()
                .filter(is_orphan)
                .fold(0, |set, number| set | 1 << number),
            is_pending: !shell.pending.is_empty(),
            wrong: 0,
        };
        let checks = [
            (Wrong::Safety, self.is_safe(shell, &facts)),
            (Wrong::Bounds, self.is_bounded(shell)),
            (Wrong::Blame, is_blameless(shell)),
        ];
        for (wrong, holds) in checks {
            facts.wrong |= if holds { 0 } else { wrong.bit() };
        }
        facts
    }

    /// Executed means valid, with all ancestors; the head is the best of these, and with nothing
    /// pending the best valid block held with all its ancestors; the store says the same.
    fn is_safe(&self, shell: &Shell, facts: &Facts) -> bool {
        let db = shell.store.snapshot().unwrap();
        let numbers = || self.numbers();
        let connected = |number| self.path(number) & facts.executed == self.path(number);
        let executed = |number: &Number| has(facts.executed, *number);
        let best = self.best_connected(facts.held & self.valid);
        facts.executed & !self.valid == 0
            && facts.invalid & self.valid == 0
            && numbers().filter(executed).all(connected)
            && facts.head == self.best_connected(facts.executed)
            && (facts.is_pending || facts.head == best)
            && db.head().unwrap() == Some(shell.node.head())
            && numbers().all(|number| {
                let tree = shell.node.forest().tree();
                let stage = tree.find(self.hash(number)).map(|id| tree[id].stage);
                db.stage(self.hash(number)).unwrap() == stage
            })
    }

    /// Nothing is kept, asked for or waited for more often than there are blocks.
    fn is_bounded(&self, shell: &Shell) -> bool {
        let node = &shell.node;
        let blocks = self.numbers().count();
        let requests = |peer: &PeerSummary| peer.requests <= REQUESTS_PER_PEER + 1;
        node.forest().tree().len() <= blocks
            && node.orphans().len() < blocks
            && node.sync().bodies_under_way() < blocks
            && node.sync().summaries().iter().all(requests)
            && shell.pending.len() <= blocks
    }

    /// A node that has just been started and joined with its neighbours.
    pub fn fresh(&self, node: u8) -> (Shell, Vec<Message>) {
        let mut shell = Shell::new(&self.spec);
        self.connect(node, &mut shell);
        let sent = self.collect(node, &mut shell);
        (shell, sent)
    }

    fn connect(&self, node: u8, shell: &mut Shell) {
        for peer in self.neighbours(node).chain([STRANGER]) {
            shell.step(Input::Connected(Peer(peer.into())));
        }
    }

    /// Lets something happen to a node; returns what it sends.
    pub fn happens(&self, node: u8, shell: &mut Shell, cue: &Cue) -> Vec<Message> {
        let mut forwarded = Vec::new();
        match cue {
            Cue::Mined(number) => {
                let block = self.block(*number).clone();
                shell.step(Input::Block { from: None, block });
            }
            Cue::Pending => {
                if let Some(input) = shell.pending.pop_front() {
                    shell.step(input);
                }
            }
            Cue::Crashed => {
                *shell = shell.restarted();
                self.connect(node, shell);
            }
            Cue::Returned(peer) => {
                let peer = Peer((*peer).into());
                shell.step(Input::Disconnected(peer));
                shell.step(Input::Connected(peer));
            }
            Cue::Tick => {
                shell.step(Input::Tick);
            }
            Cue::Message(message) => {
                if self.delivered(shell, message) == Verdict::Accept {
                    forwarded = self.gossip(node, message.from, &message.what);
                }
            }
        }
        forwarded.extend(self.collect(node, shell));
        forwarded
    }

    fn delivered(&self, shell: &mut Shell, message: &Message) -> Verdict {
        let from = Peer(message.from.into());
        match message.what.clone() {
            What::Block(number) => {
                let (from, block) = (Some(from), self.block(number).clone());
                return shell.step(Input::Block { from, block });
            }
            What::Request(request) => {
                let ticket = Ticket(message.from.into());
                shell.step(Input::Request {
                    from,
                    ticket,
                    request,
                });
            }
            What::Response { request, response } => self.answered(shell, from, request, response),
        }
        Verdict::Ignore
    }

    /// An answer's blocks come in one go, as the shell hands them over.
    fn answered(&self, shell: &mut Shell, from: Peer, request: Request, response: Response) {
        match response {
            Response::Status(status) => {
                shell.step(Input::Status { from, status });
            }
            Response::Headers(headers) => {
                let check = |header| CheckedHeader::check(header, &self.spec).unwrap();
                let headers = headers.into_iter().map(check).collect();
                shell.step(Input::Headers { from, headers });
            }
            Response::Blocks(blocks) => {
                for block in blocks {
                    let number = self.number(&block.header.hash()).unwrap();
                    let block = self.block(number).clone();
                    let from = Some(from);
                    shell.step(Input::Block { from, block });
                }
                shell.step(Input::Answered { from, request });
            }
            Response::Transactions(_) | Response::Addresses(_) => unreachable!("never asked for"),
        }
    }

    /// What a node says to all its neighbours but one.
    fn gossip(&self, node: u8, except: u8, what: &What) -> Vec<Message> {
        if self.scenario.carrier == Carrier::Requests {
            return Vec::new();
        }
        let others = self.neighbours(node).filter(|to| *to != except);
        let message = |to| Message {
            from: node,
            to,
            what: what.clone(),
        };
        others.map(message).collect()
    }

    /// What has left a node, on its way.
    fn collect(&self, node: u8, shell: &mut Shell) -> Vec<Message> {
        let out = std::mem::take(&mut shell.out);
        shell.out.disconnected = out.disconnected;
        let mut sent = Vec::new();
        for block in out.blocks {
            let number = self.number(&block.id().hash).unwrap();
            sent.extend(self.gossip(node, node, &What::Block(number)));
        }
        let message = |to: u64, what| Message {
            from: node,
            to: to as u8,
            what,
        };
        for (to, request) in out.sent {
            sent.push(message(to.0, What::Request(request)));
        }
        for (ticket, request) in out.served {
            let db = shell.store.snapshot().unwrap();
            let status = shell.node.status(shell.now);
            let response = serve(&request, &status, &shell.node.pool(), &db).unwrap();
            sent.push(message(ticket.0, What::Response { request, response }));
        }
        assert!(
            out.declined.is_empty(),
            "the budgets are never used up here"
        );
        let is_carried = |message: &Message| match message.what {
            What::Block(_) => true,
            _ => message.to != STRANGER && self.scenario.carrier != Carrier::Gossip,
        };
        sent.retain(is_carried);
        sent
    }
}

/// Nobody is charged: losses and crashes are no faults, and no relayer could know that a block
/// fails execution.
fn is_blameless(shell: &Shell) -> bool {
    let peers = shell.node.sync().summaries();
    shell.out.disconnected.is_empty() && peers.iter().all(|peer| peer.points == 0)
}
