//! Block templates: the next block, filled from the pool and ready for the search.
//!
//! Built off the core thread from a snapshot: the parent, its state, the candidates. Those are asked
//! for one by one until the block is full, whatever its limits are. A template that meets its target
//! is a valid block. Called by shells.

use alloy_primitives::Address;

use crate::{
    block::{Block, Body},
    execution::{BlockEnv, Execution},
    hash::BlockHash,
    header::Header,
    merkle,
    receipt::receipts_root,
    rules::{self, Parent},
    spec::ChainSpec,
    transaction::CheckedTransaction,
};

/// What a template is built on: a head, seen from its child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TemplateParent {
    /// The head's numbers.
    pub numbers: Parent,
    /// What the child must name in its skip field.
    pub skip: BlockHash,
}

/// The miner's part of a template.
#[derive(Clone, Copy, Debug)]
pub struct TemplateOptions {
    /// Who is paid.
    pub beneficiary: Address,
    /// The miner's tag.
    pub extra_data: [u8; 32],
    /// Wall clock, Unix seconds.
    pub now_unix_secs: u64,
}

/// Builds the best block on `parent` from the candidates; `None` if the chain cannot go on
/// (its work or its time is at the end of its range).
pub fn build<'a, E: Execution>(
    spec: &ChainSpec,
    execution: &E,
    parent: &TemplateParent,
    state: &E::State,
    candidates: impl IntoIterator<Item = &'a CheckedTransaction>,
    block_hash: &dyn Fn(u64) -> Option<BlockHash>,
    options: &TemplateOptions,
) -> Option<Block> {
    let time = u32::try_from(options.now_unix_secs)
        .ok()?
        .max(parent.numbers.time);
    let mut header = rules::child(spec, &parent.numbers, parent.skip, time)?;
    header.extension.beneficiary = options.beneficiary;
    header.extension.extra_data = options.extra_data;
    let env = env(spec, &header, block_hash);
    let bytes_max = spec.at(env.height).block_bytes_max;
    let mut tried = Vec::new();
    let candidates = candidates
        .into_iter()
        .inspect(|candidate| tried.push(*candidate));
    let (executed, taken) = execution.select(state, &env, candidates, bytes_max);
    let taken = taken.iter().map(|index| tried[*index].bytes().to_vec());
    let body = Body(taken.collect());
    let extension = &mut header.extension;
    extension.state_root = executed.state_root;
    extension.transactions_root = merkle::root(&body.0);
    extension.receipts_root = receipts_root(&executed.receipts);
    extension.gas_used = executed.gas_used;
    extension.transaction_count = u32::try_from(body.0.len()).ok()?;
    extension.body_bytes = u32::try_from(body.encoded_len()).ok()?;
    let header = Header::sealed(header.pow, header.extension);
    Some(Block { header, body })
}

/// What a block's transactions see, from its header.
pub fn env<'a>(
    spec: &'a ChainSpec,
    header: &Header,
    block_hash: &'a dyn Fn(u64) -> Option<BlockHash>,
) -> BlockEnv<'a> {
    BlockEnv {
        spec,
        height: header.extension.height,
        time: header.pow.time,
        beneficiary: header.extension.beneficiary,
        gas_limit: header.extension.gas_limit,
        base_fee: header.extension.base_fee,
        parent: header.pow.parent,
        block_hash,
    }
}
