//! Hostile peers: each knows all that the model knows, and a few tricks. What they answer is in
//! `lies`.

use std::sync::Arc;

use chain::{Block, Body as BlockBody, Peer, Request, U256, merkle, rules::future_secs_max};

use super::{
    model::{Model, Truth},
    net::{Body, Parcel},
    support::builder::Plan,
    tally::Fault,
    wire::Topic,
    world::{Event, World},
};

/// What a hostile peer can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trick {
    BadWork,
    BadHeader,
    WrongBody,
    GarbageBody,
    InvalidBlock,
    Orphans,
    LowHeaders,
    Transactions,
    Withhold,
    Rival,
    Early,
    Boast,
    Garbage,
    Stall,
    /// Shows one chain and delivers another, in long worlds alone.
    TwoFaced,
}

impl Trick {
    /// Those of usual worlds.
    pub const ALL: [Self; 14] = [
        Self::BadWork,
        Self::BadHeader,
        Self::WrongBody,
        Self::GarbageBody,
        Self::InvalidBlock,
        Self::Orphans,
        Self::LowHeaders,
        Self::Transactions,
        Self::Withhold,
        Self::Rival,
        Self::Early,
        Self::Boast,
        Self::Garbage,
        Self::Stall,
    ];
}

/// A hostile peer.
pub struct Hostile {
    tricks: Vec<Trick>,
    /// To whom a two-faced one has shown a chain.
    pub has_shown: Option<Peer>,
}

impl Hostile {
    pub fn new(tricks: Vec<Trick>) -> Self {
        let has_shown = None;
        Self { tricks, has_shown }
    }

    pub fn knows(&self, trick: Trick) -> bool {
        self.tricks.contains(&trick)
    }
}

impl World {
    pub fn actor(&self, hostile: usize) -> usize {
        self.hosts.len() + hostile
    }

    /// Sends gossip over one link.
    pub fn throw(&mut self, hostile: usize, link: usize, topic: Topic, bytes: &[u8]) {
        let (bytes, again) = (Arc::from(bytes), true);
        let from = self.actor(hostile);
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

    /// Sends a known block over every link, or over one of them.
    fn throw_block(&mut self, hostile: usize, block: usize, to_all: Scope) {
        let links = self.links_of(self.actor(hostile));
        let bytes = Arc::clone(&self.model.blocks[block].bytes);
        let links = match to_all {
            Scope::All => links,
            Scope::One => links
                .get(self.rng.index(links.len().max(1)))
                .copied()
                .into_iter()
                .collect(),
        };
        for link in links {
            self.throw(hostile, link, Topic::Blocks, &bytes);
        }
    }

    /// A hostile peer does one of its tricks.
    pub fn act(&mut self, at: usize) {
        let pause = self.rng.exponential(self.plan.act_pause_ms).max(50);
        self.after(pause, Event::Act(at));
        if self.links_of(self.actor(at)).is_empty() {
            return;
        }
        let trick = *self.rng.pick(&self.hostiles[at].tricks);
        match trick {
            Trick::BadWork => self.bad_work(at),
            Trick::BadHeader => self.bad_header(at),
            Trick::WrongBody => self.wrong_body(at),
            Trick::GarbageBody => self.garbage_body(at),
            Trick::InvalidBlock => self.invalid_branch(at),
            Trick::Orphans => self.orphans(at),
            Trick::Transactions => self.bad_transactions(at),
            Trick::Withhold => self.withhold(at),
            Trick::Rival => self.rival(at),
            Trick::Early => self.early(at),
            Trick::Boast | Trick::LowHeaders | Trick::Stall | Trick::TwoFaced => self.boast(at),
            Trick::Garbage => self.garbage(at),
        }
    }

    fn now_secs(&self) -> u32 {
        u32::try_from(self.now_ms / 1_000).expect("before 2106")
    }

    /// A block on a parent as late as it may be today.
    fn forge(&mut self, parent: usize, truth: Truth, alter: &dyn Fn(&mut Block)) -> usize {
        let time = self.now_secs().max(self.model.blocks[parent].time);
        let time = Some(time);
        let beneficiary = chain::Address::repeat_byte(0xee);
        self.model.mine(
            parent,
            &Plan {
                time,
                beneficiary,
                alter,
                ..Plan::default()
            },
            truth,
        )
    }

    fn bad_work(&mut self, at: usize) {
        let best = self.model.best;
        if best == Model::GENESIS {
            return;
        }
        let mut block = self.model.block(best);
        let target = block.header.pow.bits.target().expect("decodes");
        while target.is_met_by(&block.header.hash()) {
            block.header.pow.nonce += 1;
        }
        self.throw_bytes(at, &block.encode());
        self.tally.fault(Fault::BadWork);
    }

    fn throw_bytes(&mut self, at: usize, bytes: &[u8]) {
        let links = self.links_of(self.actor(at));
        let link = *self.rng.pick(&links);
        self.throw(at, link, Topic::Blocks, bytes);
    }

    /// A header field that the parent determines is another one.
    fn bad_header(&mut self, at: usize) {
        let best = self.model.best;
        let which = self.rng.below(6);
        let parent_time = self.model.blocks[best].time;
        let bad = self.forge(best, Truth::BadHeader, &|block| {
            let extension = &mut block.header.extension;
            match which {
                0 => extension.height += 1,
                1 => extension.chain_work += U256::from(1_000_000),
                2 => extension.forgiven += 7,
                3 => extension.skip.0[0] ^= 1,
                4 => extension.base_fee += 1,
                _ => block.header.pow.time = parent_time - 1,
            }
        });
        self.throw_block(at, bad, Scope::One);
        self.tally.fault(Fault::BadHeader);
    }

    /// The newest block with somebody else's body.
    fn wrong_body(&mut self, at: usize) {
        let block = self.altered(self.model.best);
        self.throw_bytes(at, &block.encode());
        self.tally.fault(Fault::WrongBody);
    }

    pub fn altered(&mut self, block: usize) -> Block {
        let mut block = match block {
            Model::GENESIS => Block::default(),
            other => self.model.block(other),
        };
        block.body.0.push(vec![self.rng.below(256) as u8; 20]);
        block
    }

    /// A body that matches its header and holds what is no transaction.
    fn garbage_body(&mut self, at: usize) {
        let bad = self.forge(self.model.best, Truth::BadBody, &|block| {
            block.body = BlockBody(vec![vec![7; 40]]);
            let extension = &mut block.header.extension;
            extension.transactions_root = merkle::root(&block.body.0);
            extension.transaction_count = 1;
            extension.body_bytes = block.body.encoded_len() as u32;
        });
        self.throw_block(at, bad, Scope::One);
        self.tally.fault(Fault::GarbageBody);
    }

    /// A block that fails execution, and others on top of it that could do no harm by themselves.
    fn invalid_branch(&mut self, at: usize) {
        let depth = self.rng.below(3);
        let fork = self.model.below(self.model.best, depth);
        let which = self.rng.below(3);
        let bad = self.forge(fork, Truth::BadBody, &|block| {
            let extension = &mut block.header.extension;
            match which {
                0 => extension.state_root.0[0] ^= 1,
                1 => extension.receipts_root.0[0] ^= 1,
                _ => extension.gas_used += 21_000,
            }
        });
        let mut branch = vec![bad];
        for _ in 0..self.rng.below(4) {
            let parent = *branch.last().expect("it has one");
            branch.push(self.forge(parent, Truth::Valid, &|_| {}));
        }
        self.tally.fault(Fault::InvalidBlock);
        if self.rng.chance(300) {
            branch.reverse();
        }
        for block in branch {
            self.throw_block(at, block, Scope::All);
        }
    }

    /// Blocks on one that nobody is shown.
    fn orphans(&mut self, at: usize) {
        let mut parent = self.forge(self.model.best, Truth::Valid, &|_| {});
        let heavy = self.model.blocks[parent]
            .header
            .pow
            .bits
            .target()
            .expect("decodes")
            .work();
        let many = self.rng.chance(60) && heavy < U256::from(200);
        for _ in 0..if many { 80 } else { self.rng.range(2, 8) } {
            parent = self.forge(parent, Truth::Valid, &|_| {});
            self.throw_block(at, parent, Scope::One);
            self.tally.fault(Fault::OrphanFlood);
        }
    }

    /// A branch made in private and shown later, tip first or in order.
    fn withhold(&mut self, at: usize) {
        let deep = self.rng.chance(50);
        let depth = if deep {
            self.rng.range(7, 20)
        } else {
            self.rng.below(5)
        };
        let mut parent = self.model.below(self.model.best, depth);
        let height = self.model.blocks[self.model.best].id.height;
        let above = self.model.blocks[parent].id.height;
        let length = height - above + self.rng.range(0, 2);
        let mut blocks = Vec::new();
        for _ in 0..length.max(1) {
            parent = self.forge(parent, Truth::Valid, &|_| {});
            blocks.push(parent);
        }
        if self.rng.chance(300) {
            blocks.reverse();
        }
        self.tally.fault(Fault::Withheld);
        let delay = self.rng.below(20_000);
        self.after(
            delay,
            Event::Release {
                hostile: at,
                blocks,
            },
        );
    }

    pub fn release(&mut self, at: usize, blocks: &[usize]) {
        for block in blocks {
            self.throw_block(at, *block, Scope::All);
        }
    }

    /// A block of equal work beside the best one.
    fn rival(&mut self, at: usize) {
        let parent = self.model.below(self.model.best, 1);
        let rival = self.forge(parent, Truth::Valid, &|_| {});
        self.throw_block(at, rival, Scope::All);
        self.tally.fault(Fault::Rival);
    }

    /// A block whose time has not come.
    fn early(&mut self, at: usize) {
        let ahead = future_secs_max(&self.model.spec) + self.rng.range(5, 120);
        let time = Some(self.now_secs() + ahead as u32);
        let plan = Plan {
            time,
            ..Plan::default()
        };
        let early = self.model.mine(self.model.best, &plan, Truth::Valid);
        self.throw_block(at, early, Scope::All);
        self.tally.fault(Fault::Early);
    }

    /// Claims work that nobody has, so that it is asked.
    fn boast(&mut self, at: usize) {
        let links = self.links_of(self.actor(at));
        let link = *self.rng.pick(&links);
        let Some(host) = self.running().first().copied() else {
            return;
        };
        let mut status = self.hosts[host]
            .node()
            .status(self.hosts[host].now(self.now_ms));
        status.chain_work = [0x7f; 32];
        status.head.0[0] ^= 0xff;
        let from = self.actor(at);
        self.ask(from, link, Request::Status(status));
        self.tally.fault(Fault::Boast);
    }

    fn garbage(&mut self, at: usize) {
        let bytes: Vec<_> = (0..self.rng.range(1, 400))
            .map(|_| self.rng.next() as u8)
            .collect();
        let links = self.links_of(self.actor(at));
        let link = *self.rng.pick(&links);
        let topic = *self.rng.pick(&[Topic::Blocks, Topic::Transactions]);
        self.throw(at, link, topic, &bytes);
        self.tally.fault(Fault::Garbage);
    }

    /// A parcel arrives at a hostile peer.
    pub fn hostile_receives(&mut self, actor: usize, parcel: Parcel) {
        match parcel.body {
            Body::Request { id, bytes } => {
                let request = Request::decode(&bytes).expect("honest nodes write well");
                self.hostile_answers(actor, parcel.link, id, &request);
            }
            Body::Closed => self.closed(parcel.link, parcel.to),
            Body::Response { id, .. } | Body::Declined { id } => drop(self.pending.remove(&id)),
            Body::Gossip { .. } => {}
        }
    }
}

/// Over how many of its links.
#[derive(Clone, Copy)]
enum Scope {
    All,
    One,
}
