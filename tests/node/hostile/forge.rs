//! Chains made outside any node: headers that keep every rule, with real proof of work.

use std::{fs, path::Path};

use chain::{
    Block, BlockHash, Body, ChainSpec, Header, Node, Status, U256, header::skip_height, merkle,
    params::PROTOCOL_VERSION, receipt::receipts_root, rules, rules::Parent,
};
use state::Evm;

/// A network as its members know it.
#[derive(Clone)]
pub struct Network {
    pub spec: ChainSpec,
    pub genesis: Header,
}

impl Network {
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let spec = ChainSpec::parse(&text).unwrap().spec;
        let (genesis, _) = Node::genesis(&spec, &Evm::new());
        Self {
            spec,
            genesis: genesis.header,
        }
    }

    /// What the names of its protocols hold.
    pub fn tag(&self) -> String {
        let text = self.genesis.hash().to_string();
        text[text.len() - 8..].to_owned()
    }

    /// A status that claims this chain work at a head that nobody has.
    pub fn claim(&self, chain_work: U256) -> Status {
        let genesis = self.genesis.hash();
        let fork = self.spec.fork_id(genesis, 0);
        Status {
            version: PROTOCOL_VERSION,
            genesis,
            fork_digest: fork.digest,
            fork_next: fork.next,
            height: 1_000_000,
            head: BlockHash([0xab; 32]),
            chain_work: chain_work.to_le_bytes(),
            time: u64::from(self.genesis.pow.time),
        }
    }

    /// A chain of its own from genesis on.
    pub fn forge(&self) -> Forge {
        Forge {
            spec: self.spec.clone(),
            hashes: vec![self.genesis.hash()],
            headers: vec![self.genesis.clone()],
        }
    }
}

/// A chain that grows by one header at a time, each with an empty body.
pub struct Forge {
    spec: ChainSpec,
    hashes: Vec<BlockHash>,
    /// By height, genesis first.
    pub headers: Vec<Header>,
}

impl Forge {
    /// The last header.
    pub fn tip(&self) -> &Header {
        self.headers.last().unwrap()
    }

    /// One more header, at a time.
    pub fn mine(&mut self, time: u32) {
        let parent = Parent::new(self.tip(), *self.hashes.last().unwrap());
        let height = usize::try_from(skip_height(parent.id.height + 1)).unwrap();
        let header = rules::child(&self.spec, &parent, self.hashes[height], time).unwrap();
        let header = mined(with_body(header, &Body::default()));
        self.hashes.push(header.hash());
        self.headers.push(header);
    }

    /// At most `count` headers after the first hash of a locator that stands on this chain.
    pub fn after(&self, locator: &[BlockHash], count: usize) -> Vec<Header> {
        let known = |hash| self.hashes.iter().rposition(|known| known == hash);
        let from = locator.iter().find_map(known).unwrap_or(0) + 1;
        let to = (from + count).min(self.headers.len());
        self.headers[from.min(to)..to].to_vec()
    }
}

/// The header of a block with this body and no receipts.
pub fn with_body(mut header: Header, body: &Body) -> Header {
    header.extension.transactions_root = merkle::root(&body.0);
    header.extension.receipts_root = receipts_root(&[]);
    header.extension.transaction_count = u32::try_from(body.0.len()).unwrap();
    header.extension.body_bytes = u32::try_from(body.encoded_len()).unwrap();
    header
}

/// The header with its commitment and a nonce that meets its target.
pub fn mined(header: Header) -> Header {
    let mut header = Header::sealed(header.pow, header.extension);
    let target = header.pow.bits.target().unwrap();
    while !target.is_met_by(&header.hash()) {
        header.pow.nonce += 1;
    }
    header
}

/// The same header with a nonce that misses its target.
pub fn missed(mut header: Header) -> Header {
    let target = header.pow.bits.target().unwrap();
    while target.is_met_by(&header.hash()) {
        header.pow.nonce = header.pow.nonce.wrapping_add(1);
    }
    header
}

/// A block whose parent nobody has, with as little work as its bits ask for, of a chain that claims
/// the most.
pub fn orphan(network: &Network, number: u64, bits: u32, body: &Body) -> Block {
    let mut header = network.genesis.clone();
    header.pow.parent.0[..8].copy_from_slice(&number.to_le_bytes());
    header.pow.parent.0[31] = 0xee;
    header.pow.bits = chain::Bits(bits);
    header.extension.height = 1_000_000;
    header.extension.chain_work = super::boast();
    Block {
        header: mined(with_body(header, body)),
        body: body.clone(),
    }
}
