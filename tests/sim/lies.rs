//! What hostile peers answer: what an honest one would, something else, too much, or nothing.

use std::sync::OnceLock;

use chain::{
    Header, Request, Response, Store, U256,
    params::{HEADERS_MAX, RESPONSE_BYTES_MAX, TRANSACTION_BYTES_MAX},
    sync::serve,
};

use super::{
    hostile::Trick, model::Model, net::Body, passes::Face, support::builder::Builder, tally::Fault,
    world::World,
};

/// Work of the whole of [`low_headers`], at most.
const LOW_WORK: u64 = 3_500;

/// A full answer of headers with hardly any work, as bytes; the same for all seeds.
fn low_headers(builder: &Builder) -> &'static [u8] {
    static LOW: OnceLock<Vec<u8>> = OnceLock::new();
    LOW.get_or_init(|| {
        let gaps = (0..HEADERS_MAX).map(|at| if at < 5 { 1_199 } else { 10 });
        let headers = builder.headers(builder.genesis, gaps, 0);
        let last = headers.last().expect("there are some").header();
        assert!(last.extension.chain_work < U256::from(LOW_WORK));
        let headers = headers.iter().map(|header| Header::clone(header.header()));
        Response::Headers(headers.collect()).encode()
    })
}

/// An answer that could be read but for its length in bytes.
fn oversized() -> &'static [u8] {
    static OVERSIZED: OnceLock<Vec<u8>> = OnceLock::new();
    OVERSIZED.get_or_init(|| {
        let item = vec![0; TRANSACTION_BYTES_MAX];
        let count = RESPONSE_BYTES_MAX / TRANSACTION_BYTES_MAX + 1;
        Response::Transactions(vec![item; count]).encode()
    })
}

impl World {
    /// An answer to an honest node, honest or not.
    pub fn hostile_answers(&mut self, actor: usize, link: usize, id: u64, request: &Request) {
        let hostile = actor - self.hosts.len();
        let knows = |world: &Self, trick| world.hostiles[hostile].knows(trick);
        if knows(self, Trick::Stall) && self.rng.chance(600) {
            self.tally.fault(Fault::Stalled);
            return;
        }
        let victim = self.links[link].ends[0];
        let minimum = self.hosts[victim].settings.min_chain_work;
        let face = match request {
            Request::Headers(locator) if knows(self, Trick::TwoFaced) => {
                self.face(hostile, victim, link, locator)
            }
            _ => Face::Honest,
        };
        match face {
            Face::Honest => {}
            Face::Other(bytes) => {
                self.answer(actor, id, &Body::Response { id, bytes });
                return;
            }
            Face::Silent => return,
        }
        let bytes = match request {
            Request::Headers(_)
                if knows(self, Trick::LowHeaders) && minimum > U256::from(LOW_WORK) =>
            {
                self.tally.fault(Fault::LowWorkHeaders);
                low_headers(&self.model.builder).to_vec()
            }
            Request::Blocks(hashes) if knows(self, Trick::WrongBody) => {
                let known = hashes.iter().filter_map(|hash| self.model.find(hash));
                let known: Vec<_> = known
                    .filter(|at| !self.model.blocks[*at].bytes.is_empty())
                    .collect();
                let blocks = known.into_iter().map(|block| self.altered(block)).collect();
                self.tally.fault(Fault::WrongBody);
                Response::Blocks(blocks).encode()
            }
            _ if knows(self, Trick::Garbage) && self.rng.chance(300) => self.bad_answer(request),
            Request::Blocks(hashes) => self.all_blocks(hashes),
            other => {
                let Some(bytes) = self.honest_answer(victim, other) else {
                    return;
                };
                bytes
            }
        };
        let bytes = bytes.into();
        self.answer(actor, id, &Body::Response { id, bytes });
    }

    /// What the victim itself would answer, with the model's claims.
    fn honest_answer(&mut self, victim: usize, request: &Request) -> Option<Vec<u8>> {
        let others: Vec<_> = self
            .running()
            .into_iter()
            .filter(|at| *at != victim)
            .collect();
        let source = others.get(self.rng.index(others.len().max(1))).copied();
        let host = &self.hosts[source.unwrap_or(victim)];
        let node = host.node.as_ref()?;
        let status = node.status(host.now(self.now_ms));
        let db = host.store.snapshot().unwrap();
        let response = serve(request, &status, &node.pool(), &db).unwrap();
        Some(response.encode())
    }

    /// Blocks that were asked for, withheld ones too.
    fn all_blocks(&self, hashes: &[chain::BlockHash]) -> Vec<u8> {
        let known = hashes.iter().filter_map(|hash| self.model.find(hash));
        let blocks = known
            .filter(|at| *at != Model::GENESIS)
            .map(|at| self.model.block(at));
        Response::Blocks(blocks.collect()).encode()
    }

    /// Bytes that are no answer, too long a one, or one to another question.
    fn bad_answer(&mut self, request: &Request) -> Vec<u8> {
        match self.rng.below(3) {
            0 => {
                self.tally.fault(Fault::Garbage);
                (0..self.rng.range(1, 200))
                    .map(|_| self.rng.next() as u8)
                    .collect()
            }
            1 if self.more.chance(125) => {
                self.tally.fault(Fault::OversizedBytes);
                oversized().to_vec()
            }
            1 => {
                self.tally.fault(Fault::Oversized);
                // A list of more items than may be, and hardly any bytes.
                let mut bytes = 1_u32.to_le_bytes().to_vec();
                bytes.extend(u64::MAX.to_le_bytes());
                bytes
            }
            _ => {
                self.tally.fault(Fault::Unsolicited);
                match request {
                    Request::Headers(_) => Response::Blocks(Vec::new()).encode(),
                    _ => Response::Headers(Vec::new()).encode(),
                }
            }
        }
    }
}
