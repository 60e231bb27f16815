//! A synchronous shell around one node: carries out every effect at once, in order, and keeps a
//! record of what left the node.

use std::{collections::VecDeque, sync::Arc};

use chain::{
    Block, BlockHash, ChainSpec, CheckedBlock, CheckedTransaction, Effect, Event, Fault, Input,
    MemoryStore, Node, Peer, Reader, Request, Stage, Store, Ticket, Time, TxHash, Verdict,
    pool::{Departure, PoolError},
};

use super::ledger::{Accounts, Ledger};

/// What left a node, by kind, in order.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    pub sent: Vec<(Peer, Request)>,
    pub served: Vec<(Ticket, Request)>,
    pub declined: Vec<Ticket>,
    pub blocks: Vec<CheckedBlock>,
    pub transactions: Vec<CheckedTransaction>,
    pub replies: Vec<(Ticket, Result<TxHash, PoolError>)>,
    pub disconnected: Vec<(Peer, Fault)>,
    pub events: Vec<Event>,
    pub loads: usize,
}

/// A node and its world.
#[derive(Clone)]
pub struct Shell {
    pub spec: Arc<ChainSpec>,
    pub ledger: Ledger,
    pub node: Node<Ledger>,
    pub store: MemoryStore,
    pub now: Time,
    pub out: Outbox,
    /// Every effect as text, kept only if asked for.
    pub trace: Option<String>,
    /// Inputs that effects asked for.
    pub pending: VecDeque<Input>,
}

impl Shell {
    /// A new node on an empty store, its clock far ahead of what the builder stamps by default.
    pub fn new(spec: &Arc<ChainSpec>) -> Self {
        let ledger = Ledger::fresh();
        let mut store = MemoryStore::default();
        let (_, batch) = Node::genesis(spec, &ledger);
        store.commit(&batch).unwrap();
        Self::open(spec, ledger, store)
    }

    /// A node as its store left it.
    pub fn open(spec: &Arc<ChainSpec>, ledger: Ledger, store: MemoryStore) -> Self {
        Self::open_at(spec, ledger, None, store)
    }

    /// The same from the state after an executed block, as from a checkpoint.
    fn open_at(
        spec: &Arc<ChainSpec>,
        ledger: Ledger,
        base: Option<(BlockHash, Accounts)>,
        store: MemoryStore,
    ) -> Self {
        let db = store.snapshot().unwrap();
        let mut node = Node::open_at(Arc::clone(spec), ledger.clone(), base, &db).unwrap();
        node.set_salt(0x5a17);
        let now = Time {
            unix_secs: u64::from(spec.genesis_time) + 1_000_000,
            monotonic_ms: 0,
        };
        let mut shell = Self {
            spec: Arc::clone(spec),
            ledger,
            node,
            store,
            now,
            out: Outbox::default(),
            trace: None,
            pending: VecDeque::new(),
        };
        let check = |bytes: &Vec<u8>| CheckedTransaction::check(bytes, spec.chain_id).unwrap();
        let journal: Vec<_> = db.pooled().unwrap().iter().map(check).collect();
        let departed = db.departed().unwrap();
        let departed = departed
            .iter()
            .map(|bytes| Departure::decode(bytes).unwrap());
        let departed: Vec<_> = departed.collect();
        if !journal.is_empty() || !departed.is_empty() {
            shell.step(Input::Journal {
                transactions: journal,
                departed,
            });
        }
        shell
    }

    /// The same node after a crash: memory gone, store kept.
    pub fn restarted(&self) -> Self {
        let mut again = Self::open(&self.spec, Ledger::fresh(), self.store.clone());
        again.now = self.now;
        again
    }

    /// The same after a crash, from a checkpoint of this block's state.
    pub fn restarted_at(&self, base: BlockHash, state: &Accounts) -> Self {
        let (base, store) = (Some((base, Arc::clone(state))), self.store.clone());
        let mut again = Self::open_at(&self.spec, Ledger::fresh(), base, store);
        again.now = self.now;
        again
    }

    /// One step; its effects are carried out, what they ask for stays pending.
    pub fn step(&mut self, input: Input) -> Verdict {
        let mut effects = Vec::new();
        let db = self.store.snapshot().unwrap();
        let verdict = self.node.step(self.now, input, &db, &mut effects).unwrap();
        drop(db);
        for effect in effects {
            if let Some(trace) = &mut self.trace {
                trace.push_str(&format!("{effect:?}\n"));
            }
            self.carry_out(effect);
        }
        verdict
    }

    /// A step and all that follows from it, until the node is at rest; then checks the head.
    pub fn input(&mut self, input: Input) -> Verdict {
        let verdict = self.step(input);
        self.settle();
        verdict
    }

    /// Feeds the pending inputs until there are none.
    pub fn settle(&mut self) {
        while let Some(input) = self.pending.pop_front() {
            self.step(input);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        let out = &mut self.out;
        match effect {
            Effect::Commit(batch) => self.store.commit(&batch).unwrap(),
            Effect::Send { to, request } => out.sent.push((to, request)),
            Effect::Serve { ticket, request } => out.served.push((ticket, request)),
            Effect::Decline { ticket } => out.declined.push(ticket),
            Effect::AnnounceBlock(block) => out.blocks.push(block),
            Effect::AnnounceTransaction(transaction) => out.transactions.push(transaction),
            Effect::Reply { ticket, result } => out.replies.push((ticket, result)),
            Effect::Disconnect { peer, fault } => out.disconnected.push((peer, fault)),
            Effect::Publish(event) => out.events.push(event),
            Effect::Continue => self.pending.push_back(Input::Continue),
            Effect::Load(hash) => {
                out.loads += 1;
                let block = self.load(&hash);
                self.pending.push_back(Input::Block { from: None, block });
            }
        }
    }

    /// A stored block.
    pub fn load(&self, hash: &BlockHash) -> CheckedBlock {
        let db = self.store.snapshot().unwrap();
        let header = db.header(hash).unwrap().expect("a header to load");
        let body = db.body(hash).unwrap().expect("a body to load");
        let block = Block {
            header: (*header).clone(),
            body: (*body).clone(),
        };
        CheckedBlock::check(block, &self.spec).unwrap()
    }

    /// A block by gossip.
    pub fn gossip(&mut self, from: u64, block: &CheckedBlock) -> Verdict {
        let from = Some(Peer(from));
        let block = block.clone();
        self.input(Input::Block { from, block })
    }

    /// A block of our own.
    pub fn own(&mut self, block: &CheckedBlock) -> Verdict {
        let block = block.clone();
        self.input(Input::Block { from: None, block })
    }

    pub fn connect(&mut self, peer: u64) {
        self.input(Input::Connected(Peer(peer)));
    }

    /// A peer's status: its head is this block.
    pub fn claim(&mut self, from: u64, block: &CheckedBlock) {
        let extension = &block.header().header().extension;
        let mut status = self.node.status(self.now);
        (status.height, status.head) = (extension.height, block.id().hash);
        status.chain_work = extension.chain_work.to_le_bytes();
        let from = Peer(from);
        self.input(Input::Status { from, status });
    }

    /// Headers as an answer: a boast makes the node ask, and is taken back afterwards.
    pub fn headers(&mut self, from: u64, blocks: &[CheckedBlock]) {
        let mut status = self.node.status(self.now);
        (status.head, status.chain_work) = (BlockHash([0xee; 32]), [0xff; 32]);
        self.input(Input::Status {
            from: Peer(from),
            status,
        });
        let headers = blocks.iter().map(|block| block.header().clone()).collect();
        self.input(Input::Headers {
            from: Peer(from),
            headers,
        });
        self.claim(from, blocks.last().unwrap());
    }

    /// Hashes asked of a peer as blocks, in order; forgets them.
    pub fn asked_blocks(&mut self, of: u64) -> Vec<BlockHash> {
        let (these, others) = std::mem::take(&mut self.out.sent)
            .into_iter()
            .partition(|(to, request)| to.0 == of && matches!(request, Request::Blocks(_)));
        self.out.sent = others;
        let these: Vec<(Peer, Request)> = these;
        let lists = these.into_iter().filter_map(|(_, request)| match request {
            Request::Blocks(hashes) => Some(hashes),
            _ => None,
        });
        lists.flatten().collect()
    }

    /// Lets time pass, in whole seconds, a tick in each.
    pub fn pass(&mut self, secs: u64) {
        for _ in 0..secs {
            self.sleep(1);
        }
    }

    /// Lets time pass without a tick but at its end.
    pub fn sleep(&mut self, secs: u64) {
        self.now.unix_secs += secs;
        self.now.monotonic_ms += secs * 1_000;
        self.input(Input::Tick);
    }

    pub fn head(&self) -> BlockHash {
        self.node.head().hash
    }

    /// The head is the best valid block held with all its ancestors (Rules F1 and F2), worked
    /// out from the store alone.
    pub fn assert_head_is_best_held(&self) {
        let db = self.store.snapshot().unwrap();
        let mut held = std::collections::BTreeMap::new();
        let mut best = None;
        db.for_each_header(&mut |header, stage| {
            let rank = (
                header.extension.chain_work,
                std::cmp::Reverse(header.hash().number()),
            );
            let parent = header.pow.parent;
            let is_genesis = header.extension.height == 0;
            let is_held = matches!(stage, Stage::Body | Stage::Executed)
                && (is_genesis || held.contains_key(&parent));
            if is_held {
                held.insert(header.hash(), stage);
                if best.as_ref().is_none_or(|(other, _)| *other < rank) {
                    best = Some((rank, header.hash()));
                }
            }
        })
        .unwrap();
        assert_eq!(
            Some(self.head()),
            best.map(|(_, hash)| hash),
            "head is the best held"
        );
        assert_eq!(
            db.head().unwrap(),
            Some(self.node.head()),
            "store and node agree"
        );
        let hash = self.head();
        let height = self.node.head().height;
        assert_eq!(
            db.canonical(height).unwrap(),
            Some(hash),
            "the height index follows"
        );
        assert_eq!(
            db.canonical(height + 1).unwrap(),
            None,
            "nothing above the head"
        );
    }
}
