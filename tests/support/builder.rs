//! Mines blocks on any parent, with control of time, transactions and every field.
//!
//! Knows the state after each block it made, so that it can build on any of them; asks no node.

use std::{collections::BTreeMap, sync::Arc};

use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope, TypedTransaction};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Signature, U256, keccak256};
use chain::{
    Address, Block, BlockHash, ChainSpec, CheckedBlock, CheckedHeader, CheckedTransaction,
    Execution, Header,
    hash::sha256,
    header::skip_height,
    rules::Parent,
    template::{self, TemplateOptions, TemplateParent},
};
use secp256k1::{Message, PublicKey, SecretKey, ecdsa::RecoverableSignature};

use super::ledger::{Accounts, Ledger};

pub const GWEI: u128 = 1_000_000_000;
pub const LGN: u128 = GWEI * GWEI;

/// Somebody who signs.
#[derive(Clone)]
pub struct Wallet {
    key: SecretKey,
    pub address: Address,
}

impl Wallet {
    pub fn new(number: u64) -> Self {
        let key = SecretKey::from_secret_bytes(sha256(&number.to_le_bytes())).unwrap();
        let public = PublicKey::from_secret_key(&key).serialize_uncompressed();
        let address = Address::from_slice(&keccak256(&public[1..])[12..]);
        Self { key, address }
    }

    /// The bytes of a signed transaction, whatever is in it.
    pub fn sign_bytes(&self, transaction: impl Into<TypedTransaction>) -> Vec<u8> {
        let transaction = transaction.into();
        let digest = Message::from_digest(transaction.signature_hash().0);
        let (parity, compact) =
            RecoverableSignature::sign_ecdsa_recoverable(digest, &self.key).serialize_compact();
        let signature = Signature::new(
            U256::from_be_slice(&compact[..32]),
            U256::from_be_slice(&compact[32..]),
            parity.to_u8() == 1,
        );
        TxEnvelope::from(transaction.into_signed(signature)).encoded_2718()
    }

    /// A checked transaction.
    pub fn sign(&self, transaction: TxEip1559) -> CheckedTransaction {
        let chain_id = transaction.chain_id;
        CheckedTransaction::check(&self.sign_bytes(transaction), chain_id).unwrap()
    }

    /// A transfer on regtest with a tip of 1 gwei.
    pub fn pay(&self, nonce: u64, to: Address, wei: u128) -> CheckedTransaction {
        self.sign(transfer(nonce, to, wei))
    }
}

/// A transfer on regtest, to be changed by the caller.
pub fn transfer(nonce: u64, to: Address, wei: u128) -> TxEip1559 {
    TxEip1559 {
        chain_id: 1338,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 10 * GWEI,
        max_priority_fee_per_gas: GWEI,
        to: to.into(),
        value: U256::from(wei),
        ..TxEip1559::default()
    }
}

/// The regtest spec with these wallets' accounts alone, 1,000 LGN each.
pub fn regtest(wallets: &[&Wallet]) -> ChainSpec {
    let text = ChainSpec::builtin("regtest").unwrap();
    let mut spec = ChainSpec::parse(text).unwrap().spec;
    let entry = |wallet: &&Wallet| chain::spec::Allocation {
        address: wallet.address,
        account: chain::Account {
            balance: 1_000 * LGN,
            ..chain::Account::default()
        },
        code: Vec::new(),
        storage: Vec::new(),
    };
    spec.alloc = wallets.iter().map(entry).collect();
    spec.alloc.sort_by_key(|entry| entry.address);
    spec
}

/// What the builder keeps of a block it made.
#[derive(Clone)]
struct Made {
    header: Header,
    state: Accounts,
}

/// The builder.
#[derive(Clone)]
pub struct Builder {
    pub spec: Arc<ChainSpec>,
    pub ledger: Ledger,
    pub genesis: BlockHash,
    made: BTreeMap<BlockHash, Made>,
    count: u64,
}

/// What is to be mined; every field has an easy default.
pub struct Plan<'a> {
    /// Unix seconds; the parent's time + 1 by default.
    pub time: Option<u32>,
    pub transactions: &'a [CheckedTransaction],
    pub beneficiary: Address,
    /// Applied to header and body after they were built, before the proof of work.
    pub alter: &'a dyn Fn(&mut Block),
}

impl Default for Plan<'_> {
    fn default() -> Self {
        Self {
            time: None,
            transactions: &[],
            beneficiary: Address::repeat_byte(0xbe),
            alter: &|_| {},
        }
    }
}

impl Builder {
    pub fn new(spec: ChainSpec) -> Self {
        let ledger = Ledger::fresh();
        let state = ledger.genesis(&spec);
        let header = spec.genesis(ledger.root(&state)).header;
        let genesis = header.hash();
        Self {
            spec: Arc::new(spec),
            ledger,
            genesis,
            made: BTreeMap::from([(genesis, Made { header, state })]),
            count: 0,
        }
    }

    pub fn header(&self, hash: &BlockHash) -> &Header {
        &self.made[hash].header
    }

    pub fn state(&self, hash: &BlockHash) -> &Accounts {
        &self.made[hash].state
    }

    /// An empty block on `parent`, one second after it.
    pub fn mine(&mut self, parent: BlockHash) -> CheckedBlock {
        self.plan(parent, &Plan::default())
    }

    /// A block at a given time.
    pub fn mine_at(&mut self, parent: BlockHash, time: u32) -> CheckedBlock {
        let time = Some(time);
        self.plan(
            parent,
            &Plan {
                time,
                ..Plan::default()
            },
        )
    }

    /// A block with transactions.
    pub fn mine_with(
        &mut self,
        parent: BlockHash,
        transactions: &[CheckedTransaction],
    ) -> CheckedBlock {
        self.plan(
            parent,
            &Plan {
                transactions,
                ..Plan::default()
            },
        )
    }

    /// A chain of empty blocks on `parent`, lowest first.
    pub fn chain(&mut self, parent: BlockHash, count: usize) -> Vec<CheckedBlock> {
        let mut at = parent;
        let mut out = Vec::with_capacity(count);
        for _ in 0..count {
            out.push(self.mine(at));
            at = hash(out.last().unwrap());
        }
        out
    }

    /// Headers alone on `parent`, `gap` seconds apart, lowest first: a hundred thousand of them
    /// are made in a second or two. `tag` makes equal calls give different chains.
    pub fn headers(
        &self,
        parent: BlockHash,
        gaps: impl Iterator<Item = u32>,
        tag: u8,
    ) -> Vec<CheckedHeader> {
        self.headers_after(parent, &[], gaps, tag)
    }

    /// The same after headers that were made on `parent` before; these included.
    pub fn headers_after(
        &self,
        parent: BlockHash,
        before: &[CheckedHeader],
        gaps: impl Iterator<Item = u32>,
        tag: u8,
    ) -> Vec<CheckedHeader> {
        let base = self.header(&parent);
        let base_height = base.extension.height;
        let mut out = before.to_vec();
        let mut numbers = out.last().map_or(Parent::new(base, parent), |last| {
            Parent::new(last.header(), last.hash())
        });
        for gap in gaps {
            let wanted = skip_height(numbers.id.height + 1);
            let skip = match wanted.checked_sub(base_height + 1) {
                Some(above) => out[usize::try_from(above).unwrap()].hash(),
                None => self.ancestor(parent, wanted),
            };
            let time = numbers.time + gap;
            let mut header = chain::rules::child(&self.spec, &numbers, skip, time).unwrap();
            header.extension.extra_data[0] = tag;
            header.extension.body_bytes = 8;
            let header = CheckedHeader::check(mined(header), &self.spec).unwrap();
            numbers = Parent::new(header.header(), header.hash());
            out.push(header);
        }
        out
    }

    /// A block as planned. Panics where the plan breaks a stateless rule.
    pub fn plan(&mut self, parent: BlockHash, plan: &Plan<'_>) -> CheckedBlock {
        let block = self.raw(parent, plan);
        CheckedBlock::check(block, &self.spec).unwrap()
    }

    /// A block as planned, unchecked but with its proof of work.
    pub fn raw(&mut self, parent: BlockHash, plan: &Plan<'_>) -> Block {
        let (mut block, state) = self.draft(parent, plan);
        (plan.alter)(&mut block);
        let header = mined(block.header);
        let made = Made {
            header: header.clone(),
            state,
        };
        self.made.insert(header.hash(), made);
        Block {
            header,
            body: block.body,
        }
    }

    /// Learns a block that somebody else made from a template, so that others can be built on it.
    /// Panics unless executing it gives what its header says.
    pub fn adopt(&mut self, block: &Block, transactions: &[CheckedTransaction]) {
        let (header, none) = (&block.header, |_| None);
        let env = template::env(&self.spec, header, &none);
        let parent = &self.made[&header.pow.parent].state;
        let executed = Ledger::fresh().execute(parent, &env, transactions).unwrap();
        let extension = &header.extension;
        assert_eq!(extension.state_root, executed.state_root);
        assert_eq!(extension.gas_used, executed.gas_used);
        let receipts_root = chain::receipt::receipts_root(&executed.receipts);
        assert_eq!(extension.receipts_root, receipts_root);
        let made = Made {
            header: header.clone(),
            state: executed.state,
        };
        self.made.insert(header.hash(), made);
    }

    fn draft(&mut self, parent: BlockHash, plan: &Plan<'_>) -> (Block, Accounts) {
        self.count += 1;
        let mut extra_data = [0; 32];
        extra_data[..8].copy_from_slice(&self.count.to_be_bytes());
        let before = &self.made[&parent];
        let time = plan.time.unwrap_or(before.header.pow.time + 1);
        let options = TemplateOptions {
            beneficiary: plan.beneficiary,
            extra_data,
            now_unix_secs: u64::from(time),
        };
        let numbers = Parent::new(&before.header, parent);
        let on = TemplateParent {
            numbers,
            skip: self.skip(parent),
        };
        let none = |_| None;
        let transactions = plan.transactions;
        let (spec, state) = (&self.spec, &before.state);
        let block = template::build(
            spec,
            &self.ledger,
            &on,
            state,
            transactions,
            &none,
            &options,
        )
        .expect("the chain goes on");
        assert_eq!(
            block.body.0.len(),
            transactions.len(),
            "all can be executed"
        );
        let env = template::env(spec, &block.header, &none);
        let executed = Ledger::fresh().execute(state, &env, transactions).unwrap();
        (block, executed.state)
    }

    /// The hash of the ancestor that a child of `parent` names.
    fn skip(&self, parent: BlockHash) -> BlockHash {
        let wanted = skip_height(self.header(&parent).extension.height + 1);
        self.ancestor(parent, wanted)
    }

    fn ancestor(&self, of: BlockHash, wanted: u64) -> BlockHash {
        let mut at = of;
        loop {
            let header = self.header(&at);
            let height = header.extension.height;
            if height == wanted {
                return at;
            }
            let is_short = height >= 1 && skip_height(height) >= wanted;
            at = if is_short {
                header.extension.skip
            } else {
                header.pow.parent
            };
        }
    }
}

/// The block's hash.
pub fn hash(block: &CheckedBlock) -> BlockHash {
    block.id().hash
}

/// The header with its commitment and a nonce that meets its target.
pub fn mined(header: Header) -> Header {
    let mut header = Header::sealed(header.pow, header.extension);
    let target = header.pow.bits.target().expect("bits that decode");
    while !target.is_met_by(&header.hash()) {
        header.pow.nonce += 1;
    }
    header
}

/// The same header with another nonce and so another hash, also within its target.
pub fn mined_again(mut header: Header) -> Header {
    header.pow.nonce += 1;
    mined(header)
}

/// The checked headers of blocks.
pub fn headers(blocks: &[CheckedBlock]) -> Vec<CheckedHeader> {
    blocks.iter().map(|block| block.header().clone()).collect()
}
