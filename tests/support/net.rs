//! Several shells joined by messages, delivered in order and through their bytes.
//!
//! Node `i` is `Peer(i)` to all others. A link can be dead: what is sent over it is lost.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chain::{
    CheckedBlock, CheckedHeader, CheckedTransaction, Gossip, Input, Peer, Request, Response, Store,
    Ticket, Verdict, sync::serve,
};

use super::shell::Shell;

enum Message {
    Request(Vec<u8>),
    Response { request: Request, bytes: Vec<u8> },
    Declined { request: Request },
    Block(Vec<u8>),
    Transaction(Vec<u8>),
}

/// The network.
pub struct Net {
    pub nodes: Vec<Shell>,
    /// Nodes that never answer a request.
    pub silent: BTreeSet<usize>,
    queue: VecDeque<(usize, usize, Message)>,
    /// Requests that wait for an answer: who asked what.
    tickets: BTreeMap<Ticket, (usize, Request)>,
    /// Requests sent, by sender and receiver.
    pub requests: Vec<(usize, usize, Request)>,
    /// Blocks and transactions forwarded or announced over a link.
    pub gossiped: usize,
    /// Transactions that each node has announced so far.
    announced: Vec<usize>,
    /// Whether gossiped transactions get lost.
    pub loses_transactions: bool,
    delivered: u64,
    /// Who is connected with whom, the lower number first.
    links: BTreeSet<(usize, usize)>,
    /// If not zero, messages overtake each other, and gossip gets lost or comes twice: the state
    /// of a generator of what happens.
    pub chaos: u64,
}

impl Net {
    pub fn new(nodes: Vec<Shell>) -> Self {
        Self {
            announced: vec![0; nodes.len()],
            loses_transactions: false,
            nodes,
            silent: BTreeSet::new(),
            queue: VecDeque::new(),
            tickets: BTreeMap::new(),
            requests: Vec::new(),
            gossiped: 0,
            delivered: 0,
            links: BTreeSet::new(),
            chaos: 0,
        }
    }

    /// Connects everybody with everybody.
    pub fn connect_all(&mut self) {
        for a in 0..self.nodes.len() {
            for b in 0..self.nodes.len() {
                if a != b && self.links.insert((a.min(b), a.max(b))) {
                    self.nodes[a].connect(b as u64);
                    self.nodes[b].connect(a as u64);
                    self.collect(a);
                    self.collect(b);
                }
            }
        }
        self.run();
    }

    /// Cuts the links for which `is_cut` is true; what is under way on them is lost.
    pub fn cut(&mut self, is_cut: impl Fn(usize, usize) -> bool) {
        let (cut, left) = std::mem::take(&mut self.links)
            .into_iter()
            .partition(|(a, b)| is_cut(*a, *b));
        self.links = left;
        let cut: BTreeSet<(usize, usize)> = cut;
        for (a, b) in cut {
            self.nodes[a].input(Input::Disconnected(Peer(b as u64)));
            self.nodes[b].input(Input::Disconnected(Peer(a as u64)));
            self.collect(a);
            self.collect(b);
        }
        self.run();
    }

    fn is_linked(&self, a: usize, b: usize) -> bool {
        self.links.contains(&(a.min(b), a.max(b)))
    }

    /// A number below `below` from the generator.
    pub fn draw(&mut self, below: usize) -> usize {
        self.chaos ^= self.chaos << 13;
        self.chaos ^= self.chaos >> 7;
        self.chaos ^= self.chaos << 17;
        (self.chaos % below as u64) as usize
    }

    fn next(&mut self) -> Option<(usize, usize, Message)> {
        if self.chaos == 0 || self.queue.is_empty() {
            return self.queue.pop_front();
        }
        let place = self.draw(self.queue.len().min(8));
        self.queue.remove(place)
    }

    /// Delivers until nothing is under way.
    pub fn run(&mut self) {
        while let Some((from, to, message)) = self.next() {
            if self.is_linked(from, to) {
                self.deliver(from, to, message);
                self.collect(to);
            }
        }
    }

    /// A node dies, with all its links, and comes back from its store.
    pub fn restart(&mut self, node: usize) {
        self.cut(|a, b| a == node || b == node);
        self.nodes[node] = self.nodes[node].restarted();
        self.announced[node] = 0;
        self.collect(node);
    }

    /// Time passes for all, second by second.
    pub fn pass(&mut self, secs: u64) {
        for _ in 0..secs {
            for node in 0..self.nodes.len() {
                self.nodes[node].pass(1);
                self.collect(node);
            }
            self.run();
        }
    }

    /// A node mines a block; the others hear of it.
    pub fn mined(&mut self, node: usize, block: &CheckedBlock) {
        self.nodes[node].own(block);
        self.collect(node);
        self.run();
    }

    /// Takes what left a node and puts it on its way.
    pub fn collect(&mut self, node: usize) {
        let out = std::mem::take(&mut self.nodes[node].out);
        for (to, request) in out.sent {
            let to = to.0 as usize;
            self.requests.push((node, to, request.clone()));
            self.queue
                .push_back((node, to, Message::Request(request.encode())));
        }
        for (ticket, request) in out.served {
            let shell = &self.nodes[node];
            let db = shell.store.snapshot().unwrap();
            let status = shell.node.status(shell.now);
            let response = serve(&request, &status, &shell.node.pool(), &db).unwrap();
            let bytes = response.encode();
            let (to, _) = self.tickets.remove(&ticket).unwrap();
            self.queue
                .push_back((node, to, Message::Response { request, bytes }));
        }
        for ticket in out.declined {
            let (to, request) = self.tickets.remove(&ticket).unwrap();
            self.queue
                .push_back((node, to, Message::Declined { request }));
        }
        for block in out.blocks {
            let bytes = block.to_block().encode();
            self.gossip(node, None, || Message::Block(bytes.clone()));
        }
        for transaction in &out.transactions[self.announced[node]..] {
            let bytes = transaction.bytes().to_vec();
            self.gossip(node, None, || Message::Transaction(bytes.clone()));
        }
        self.announced[node] = out.transactions.len();
        let shell = &mut self.nodes[node];
        (shell.out.events, shell.out.disconnected) = (out.events, out.disconnected);
        (shell.out.transactions, shell.out.loads) = (out.transactions, out.loads);
    }

    fn gossip(&mut self, node: usize, except: Option<usize>, message: impl Fn() -> Message) {
        for to in 0..self.nodes.len() {
            if to != node && Some(to) != except && self.is_linked(node, to) {
                let copies = match self.chaos {
                    0 => 1,
                    _ => [0, 1, 1, 1, 1, 1, 1, 2][self.draw(8)],
                };
                self.gossiped += copies;
                for _ in 0..copies {
                    self.queue.push_back((node, to, message()));
                }
            }
        }
    }

    fn deliver(&mut self, from: usize, to: usize, message: Message) {
        let peer = Peer(from as u64);
        let shell = &mut self.nodes[to];
        match message {
            Message::Request(_) if self.silent.contains(&to) => {}
            Message::Request(bytes) => {
                let ticket = Ticket(self.delivered);
                self.delivered += 1;
                let request = Request::decode(&bytes).unwrap();
                self.tickets.insert(ticket, (from, request.clone()));
                shell.input(Input::Request {
                    from: peer,
                    ticket,
                    request,
                });
            }
            Message::Declined { request } => {
                shell.input(Input::Unserved { to: peer, request });
            }
            Message::Response { request, bytes } => {
                take_response(shell, peer, request, Response::decode(&bytes).unwrap());
            }
            Message::Block(bytes) => {
                let Ok(Gossip::Block(block)) = Gossip::decode_block(&bytes) else {
                    panic!("a block was sent");
                };
                let block = CheckedBlock::check(block, &shell.spec).unwrap();
                let input = Input::Block {
                    from: Some(peer),
                    block,
                };
                if shell.input(input) == Verdict::Accept {
                    self.gossip(to, Some(from), || Message::Block(bytes.clone()));
                }
            }
            Message::Transaction(_) if self.loses_transactions => {}
            Message::Transaction(bytes) => {
                let transaction = CheckedTransaction::check(&bytes, shell.spec.chain_id).unwrap();
                let input = Input::Transactions {
                    from: peer,
                    transactions: vec![transaction],
                };
                if shell.input(input) == Verdict::Accept {
                    self.gossip(to, Some(from), || Message::Transaction(bytes.clone()));
                }
            }
        }
    }
}

/// What a shell does with an answer.
pub fn take_response(shell: &mut Shell, from: Peer, request: Request, response: Response) {
    match response {
        Response::Status(status) => {
            shell.input(Input::Status { from, status });
        }
        Response::Headers(headers) => {
            let check = |header| CheckedHeader::check(header, &shell.spec).unwrap();
            let headers = headers.into_iter().map(check).collect();
            shell.input(Input::Headers { from, headers });
        }
        Response::Blocks(blocks) => {
            for block in blocks {
                let block = CheckedBlock::check(block, &shell.spec).unwrap();
                shell.input(Input::Block {
                    from: Some(from),
                    block,
                });
            }
            shell.input(Input::Answered { from, request });
        }
        Response::Transactions(items) => {
            let chain_id = shell.spec.chain_id;
            let check = |bytes: &Vec<u8>| CheckedTransaction::check(bytes, chain_id).unwrap();
            let transactions = items.iter().map(check).collect();
            shell.input(Input::Transactions { from, transactions });
        }
        Response::Addresses(_) => unreachable!("no core asks for addresses"),
    }
}
