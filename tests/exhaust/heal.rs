//! What messages promise, and how a network that is left in peace comes to one head.

use std::collections::VecDeque;

use chain::{BlockHash, Request, Response, Status, params::STATUS_INTERVAL_SECS};

use crate::{
    bank::{Asked, Letter},
    place::{Cue, Message, What},
    support::shell::Shell,
    world::{NODES, Number, World},
};

/// Status exchanges within which nodes that hear each other agree.
const ROUNDS: u64 = 3;

impl World {
    /// A message as the invariants see it; its number is not known here.
    pub fn read(&self, message: &Message) -> Letter {
        let (tells, asks) = match &message.what {
            What::Block(number) => (*number, Asked::Nothing),
            What::Request(request) => self.read_request(request),
            What::Response { response, .. } => (self.read_response(response), Asked::Nothing),
        };
        Letter {
            number: 0,
            from: message.from,
            to: message.to,
            is_gossip: matches!(message.what, What::Block(_)),
            tells,
            asks,
        }
    }

    fn read_request(&self, request: &Request) -> (Number, Asked) {
        match request {
            Request::Status(status) => (self.best_of(&[status.head]), Asked::Head),
            Request::Headers(_) => (0, Asked::Head),
            Request::Blocks(hashes) => (0, Asked::Block(self.best_of(hashes))),
            Request::Transactions(_) | Request::Addresses => (0, Asked::Nothing),
        }
    }

    fn read_response(&self, response: &Response) -> Number {
        let hashes: Vec<BlockHash> = match response {
            Response::Status(Status { head, .. }) => vec![*head],
            Response::Headers(headers) => headers.iter().map(chain::Header::hash).collect(),
            Response::Blocks(blocks) => blocks.iter().map(|block| block.header.hash()).collect(),
            Response::Transactions(_) | Response::Addresses(_) => Vec::new(),
        };
        self.best_of(&hashes)
    }

    fn best_of(&self, hashes: &[BlockHash]) -> Number {
        let numbers = hashes.iter().filter_map(|hash| self.number(hash));
        numbers
            .max_by_key(|number| self.place(*number))
            .unwrap_or(0)
    }

    /// A message in words, for a counterexample.
    pub fn text(&self, message: &Message) -> String {
        let Message { from, to, what } = message;
        let letter = self.read(message);
        let what = match what {
            What::Block(number) => format!("block {number}"),
            What::Request(Request::Status(_)) => format!("status: head {}", letter.tells),
            What::Request(Request::Headers(_)) => "headers?".to_owned(),
            What::Request(Request::Blocks(_)) => format!("blocks up to {:?}?", letter.asks),
            What::Response { response, .. } => {
                let kind = match response {
                    Response::Status(_) => "status",
                    Response::Headers(_) => "headers",
                    _ => "blocks",
                };
                format!("answer: {kind} up to {}", letter.tells)
            }
            What::Request(other) => format!("{other:?}"),
        };
        format!("{from}->{to} {what}")
    }

    /// Lets time pass for nodes at rest, a second at a time, while every message arrives; whether
    /// all heads are equal within so many status exchanges.
    pub fn heal(&self, mut shells: [Shell; NODES]) -> bool {
        for second in 0..=ROUNDS * STATUS_INTERVAL_SECS + 1 {
            let mut queue = VecDeque::new();
            for (node, shell) in (0..).zip(&mut shells) {
                shell.now.unix_secs += 1;
                shell.now.monotonic_ms += 1_000;
                queue.extend(self.happens(node, shell, &Cue::Tick));
            }
            self.deliver(&mut shells, queue);
            // The first ticks may find nothing due.
            let head = shells[0].head();
            if second > 1 && shells.iter().all(|shell| shell.head() == head) {
                return true;
            }
        }
        false
    }

    fn deliver(&self, shells: &mut [Shell; NODES], mut queue: VecDeque<Message>) {
        loop {
            for (node, shell) in (0..).zip(shells.iter_mut()) {
                while !shell.pending.is_empty() {
                    queue.extend(self.happens(node, shell, &Cue::Pending));
                }
            }
            let Some(message) = queue.pop_front() else {
                return;
            };
            let node = message.to;
            let shell = &mut shells[usize::from(node)];
            queue.extend(self.happens(node, shell, &Cue::Message(message)));
        }
    }
}
