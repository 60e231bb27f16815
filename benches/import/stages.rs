//! What each stage of a block costs by itself: one thread, CPU time where the system tells it.
//!
//! The shares say where the time of an import goes; what an import takes beside them is its commits,
//! its checkpoints and its own overhead.

use std::{fs, hint::black_box, sync::Arc, time::Duration};

use chain::{
    Block, BlockHash, ChainSpec, CheckedBlock, Execution, MatchedBlock, codec, history::parties,
    merkle, receipt::receipts_root, template, transaction::hash_of,
};
use secp256k1::{Message, ecdsa::RecoverableSignature, ecdsa::RecoveryId};
use state::Evm;

use crate::chain_file::ChainFile;

/// Blocks that are looked at.
const BLOCKS: usize = 40;

/// A signature and what it signs.
pub type Signed = ([u8; 64], RecoveryId, [u8; 32]);

/// Nanoseconds of CPU that this thread has used.
fn cpu_ns() -> u64 {
    // The system counts up to the last time that the thread was put aside.
    std::thread::sleep(Duration::from_micros(50));
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

fn timed<V>(work: impl FnOnce() -> V) -> (V, u64) {
    let before = cpu_ns();
    let value = work();
    let after = cpu_ns();
    (value, after - before)
}

/// The signatures of blocks, ready to be recovered.
pub fn signatures(blocks: &[CheckedBlock]) -> Vec<Signed> {
    let transactions = blocks.iter().flat_map(CheckedBlock::transactions);
    transactions
        .map(|transaction| {
            let envelope = transaction.envelope();
            let signature = envelope.signature();
            let mut compact = [0; 64];
            compact[..32].copy_from_slice(&signature.r().to_be_bytes::<32>());
            compact[32..].copy_from_slice(&signature.s().to_be_bytes::<32>());
            let parity = RecoveryId::from_u8_masked(u8::from(signature.v()));
            (compact, parity, envelope.signature_hash().0)
        })
        .collect()
}

/// The public key of one signature.
pub fn recover((compact, parity, digest): &Signed) -> secp256k1::PublicKey {
    let signature = RecoverableSignature::from_compact(compact, *parity).unwrap();
    signature
        .recover_ecdsa(Message::from_digest(*digest))
        .unwrap()
}

type Done = chain::Executed<<Evm as Execution>::State>;

/// Stages by their names, and what they took.
#[derive(Default)]
struct Table(Vec<(&'static str, u64)>);

impl Table {
    fn note(&mut self, name: &'static str, ns: u64) {
        self.0.push((name, ns));
    }

    /// Does the same for each and notes what all took.
    fn each<V, W>(&mut self, name: &'static str, of: &[V], work: impl Fn(&V) -> W) -> Vec<W> {
        let (done, ns) = timed(|| of.iter().map(work).collect());
        self.note(name, ns);
        done
    }

    /// Bytes to blocks that passed the stateless check.
    fn checks(&mut self, records: &[Vec<u8>], spec: &ChainSpec) -> Vec<CheckedBlock> {
        let decode = |bytes: &Vec<u8>| Block::decode(bytes).unwrap();
        let blocks = self.each("decode a block", records, decode);
        self.each("transactions root", &blocks, |block| {
            merkle::root(&block.body.0)
        });
        let check = |block: Block| {
            let matched = MatchedBlock::check(block, spec).unwrap();
            let check = |bytes: &Vec<u8>| chain::CheckedTransaction::check(bytes, spec.chain_id);
            let results = matched.transactions().iter().map(check).collect();
            matched.assemble(results).unwrap()
        };
        let (blocks, whole) = timed(|| blocks.into_iter().map(check).collect::<Vec<_>>());
        let signed = signatures(&blocks);
        let (_, bare) = timed(|| {
            signed.iter().for_each(|signed| {
                black_box(recover(signed));
            });
        });
        self.note("bare recovery", bare);
        let rest = whole.saturating_sub(bare);
        self.note("the rest of the stateless check", rest);
        blocks
    }

    /// Blocks to their outcomes, each on the one before it.
    fn execution(&mut self, blocks: &[CheckedBlock], spec: &ChainSpec) -> Vec<Done> {
        let evm = Evm::new();
        let mut state = evm.genesis(spec);
        let none = |_: u64| -> Option<BlockHash> { None };
        let (executed, ns) = timed(|| {
            let run = |block: &CheckedBlock| {
                let env = template::env(spec, block.header().header(), &none);
                let executed = evm.execute(&state, &env, block.transactions()).unwrap();
                let before = std::mem::replace(&mut state, executed.state.clone());
                (before, executed)
            };
            blocks.iter().map(run).collect::<Vec<_>>()
        });
        let (_, tree) = timed(|| {
            executed.iter().for_each(|(before, executed)| {
                drop(black_box(evm.apply(before, &executed.changes)));
            });
        });
        self.note("execution without the tree", ns.saturating_sub(tree));
        self.note("state tree", tree);
        executed.into_iter().map(|(_, executed)| executed).collect()
    }

    /// What is made of blocks and outcomes before they are written.
    fn writing(&mut self, blocks: &[CheckedBlock], executed: &[Done]) {
        self.each("receipts root", executed, |done| {
            receipts_root(&done.receipts)
        });
        self.each("whose transactions", blocks, |block| {
            Arc::new(parties(block.transactions()))
        });
        let both: Vec<_> = blocks.iter().zip(executed).collect();
        self.each("encoding", &both, |(block, done)| {
            let changes = codec::encode(&done.changes);
            (
                block.body().encode(),
                changes,
                codec::encode(&done.receipts),
            )
        });
        self.each("hashes of the transactions", blocks, |block| {
            let hashes = block.body().0.iter().map(|bytes| hash_of(bytes));
            hashes.collect::<Vec<_>>()
        });
    }
}

/// Names of stages, and nanoseconds a transfer.
pub fn measure(file: &ChainFile) -> Vec<(&'static str, f64)> {
    let records: Vec<_> = file.records().into_iter().take(BLOCKS).collect();
    let mut table = Table::default();
    let blocks = table.checks(&records, &file.spec);
    let executed = table.execution(&blocks, &file.spec);
    table.writing(&blocks, &executed);
    let count = blocks.iter().map(|block| block.transactions().len());
    let count = count.sum::<usize>() as f64;
    let each = |(name, ns): (&'static str, u64)| (name, ns as f64 / count);
    table.0.into_iter().map(each).collect()
}
