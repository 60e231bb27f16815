//! Recorded steps: every kind of input comes back to the byte, and a run from its bytes is the same
//! run. What came of a step is in `trace`.

use std::sync::Arc;

use chain::{
    Batch, BlockHash, BlockId, CheckedBlock, CheckedTransaction, Effect, Fault, Input, MemoryStore,
    Node, Overlay, Peer, Request, Stage, Store, Ticket, Time, TxHash,
    pool::{Departure, Reason},
    record::{RecordError, Stored, Trace, TraceHash, decode_step, encode_step},
};
use proptest::{
    collection::vec,
    option,
    prelude::{any, proptest},
};

use crate::{
    codec::{body, change_set, config, header, request, status},
    support::{
        builder::{Builder, Wallet, regtest},
        ledger::Ledger,
        shell::Shell,
    },
};

/// Blocks, the second of them with transactions, and what they are checked for.
pub struct Parts {
    pub builder: Builder,
    pub blocks: Vec<CheckedBlock>,
    pub transactions: Vec<CheckedTransaction>,
}

pub fn parts() -> Parts {
    let wallet = Wallet::new(1);
    let mut builder = Builder::new(regtest(&[&wallet]));
    let pay = |nonce| wallet.pay(nonce, wallet.address, 1);
    let transactions: Vec<_> = (0..3).map(pay).collect();
    let first = builder.mine(builder.genesis);
    let second = builder.mine_with(first.id().hash, &transactions[..2]);
    Parts {
        builder,
        blocks: vec![first, second],
        transactions,
    }
}

const FAULTS: [Fault; 12] = [
    Fault::InvalidWork,
    Fault::Mismatch,
    Fault::InvalidBlock,
    Fault::InvalidTransaction,
    Fault::Malformed,
    Fault::WrongNetwork,
    Fault::Unsolicited,
    Fault::Contradiction,
    Fault::NoProgress,
    Fault::Timeout,
    Fault::TooManyRequests,
    Fault::Full,
];

fn departure(hash: TxHash, number: u64) -> Departure {
    let reason = Reason::Told {
        code: "replaced",
        text: format!("number {number}"),
    };
    Departure {
        hash,
        reason,
        unix_secs: number,
    }
}

/// Inputs of every kind from a few drawn values.
fn inputs(
    parts: &Parts,
    number: u64,
    choice: usize,
    hash: Option<[u8; 32]>,
    asked: &Request,
    status: &chain::Status,
) -> Vec<Input> {
    let (peer, ticket, request) = (Peer(number), Ticket(!number), asked.clone());
    let transactions = parts.transactions[..choice % 4].to_vec();
    let headers = parts.blocks[..choice % 3].iter();
    vec![
        Input::Block {
            from: hash.map(|_| peer),
            block: parts.blocks[choice % 2].clone(),
        },
        Input::Answered {
            from: peer,
            request: request.clone(),
        },
        Input::Unserved {
            to: peer,
            request: request.clone(),
        },
        Input::Unanswered {
            from: peer,
            request: request.clone(),
        },
        Input::Announced {
            from: peer,
            header: parts.blocks[choice % 2].header().clone(),
        },
        Input::Headers {
            from: peer,
            headers: headers.map(|block| block.header().clone()).collect(),
        },
        Input::Status {
            from: peer,
            status: status.clone(),
        },
        Input::Transactions {
            from: peer,
            transactions: transactions.clone(),
        },
        Input::Refused {
            from: peer,
            hash: hash.map(BlockHash),
            fault: FAULTS[choice % 12],
        },
        Input::Submitted {
            ticket,
            transaction: parts.transactions[choice % 3].clone(),
        },
        Input::Journal {
            transactions,
            departed: vec![departure(parts.transactions[choice % 3].hash(), number)],
        },
        Input::Request {
            from: peer,
            ticket,
            request,
        },
        Input::Connected(peer),
        Input::Disconnected(peer),
        Input::Tick,
        Input::Continue,
    ]
}

pub fn time(unix_secs: u64, monotonic_ms: u64) -> Time {
    Time {
        unix_secs,
        monotonic_ms,
    }
}

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn every_input_comes_back(
        number: u64, secs: u64, choice in 0_usize..12, hash in option::of(any::<[u8; 32]>()),
        asked in request(), status in status(), flips in vec(any::<u32>(), 12),
    ) {
        let parts = parts();
        let spec = &parts.builder.spec;
        for input in inputs(&parts, number, choice, hash, &asked, &status) {
            let now = time(secs, number);
            let bytes = encode_step(now, &input);
            let (then, again) = decode_step(&bytes, spec).unwrap();
            assert_eq!((then, format!("{again:?}")), (now, format!("{input:?}")));
            assert_eq!(encode_step(then, &again), bytes);
            for flip in &flips {
                let mut mutant = bytes.clone();
                let bit = *flip as usize % (8 * mutant.len());
                mutant[bit / 8] ^= 1 << (bit % 8);
                if let Ok((then, other)) = decode_step(&mutant, spec) {
                    assert_eq!(encode_step(then, &other), mutant, "canonical");
                }
                let cut = *flip as usize % bytes.len();
                assert!(decode_step(&bytes[..cut], spec).is_err(), "a cut step");
            }
            assert!(decode_step(&[&bytes[..], &[0]].concat(), spec).is_err());
        }
    }

    #[test]
    fn stored_blocks_come_back(
        header in header(), body in body(), changes in change_set(), kind in 0_usize..5,
        flips in vec(any::<u32>(), 12),
    ) {
        let (stage, has_body) = [
            (Stage::Header, false),
            (Stage::Body, true),
            (Stage::Executed, true),
            (Stage::Invalid, true),
            (Stage::Invalid, false),
        ][kind];
        let has_changes = stage == Stage::Executed;
        let stored = Stored {
            header: Arc::new(header),
            stage,
            body: has_body.then(|| Arc::new(body.clone())),
            changes: has_changes.then(|| Arc::new(changes.clone())),
        };
        let bytes = stored.encode();
        let mut odd = stored.clone();
        odd.changes = (!has_changes).then(|| Arc::new(changes));
        assert!(Stored::decode(&odd.encode()).is_err(), "what its stage does not have");
        assert_eq!(Stored::decode(&bytes), Ok(stored));
        for flip in flips {
            let mut mutant = bytes.clone();
            let bit = flip as usize % (8 * mutant.len());
            mutant[bit / 8] ^= 1 << (bit % 8);
            if let Ok(other) = Stored::decode(&mutant) {
                assert_eq!(other.encode(), mutant, "canonical");
            }
            assert!(Stored::decode(&bytes[..flip as usize % bytes.len()]).is_err());
        }
    }
}

/// A file is no authority: what breaks a rule is no step, whatever its checksum says.
#[test]
fn what_is_invalid_is_not_read() {
    let parts = parts();
    let mut spec = (*parts.builder.spec).clone();
    let now = Time::default();
    let block = parts.blocks[1].clone();
    let block = encode_step(now, &Input::Block { from: None, block });
    let journal = encode_step(
        now,
        &Input::Journal {
            transactions: parts.transactions.clone(),
            departed: Vec::new(),
        },
    );
    spec.chain_id += 1;
    let refused = decode_step(&block, &spec).unwrap_err();
    assert!(matches!(refused, RecordError::Block(_)), "{refused}");
    let refused = decode_step(&journal, &spec).unwrap_err();
    assert!(matches!(refused, RecordError::Transaction(_)), "{refused}");
    // A count that nothing stands behind.
    let mut endless = journal[..17].to_vec();
    endless.extend(u64::MAX.to_le_bytes());
    assert!(decode_step(&endless, &parts.builder.spec).is_err());
}

/// A shell that keeps the bytes of all that its node is given.
struct Recording {
    shell: Shell,
    steps: Vec<Vec<u8>>,
}

impl Recording {
    fn input(&mut self, input: Input) {
        self.steps.push(encode_step(self.shell.now, &input));
        self.shell.step(input);
        while let Some(next) = self.shell.pending.pop_front() {
            self.steps.push(encode_step(self.shell.now, &next));
            self.shell.step(next);
        }
    }
}

/// A run with orphans, a payment, and a reorg that undoes it and is itself undone.
fn recording(parts: &mut Parts) -> Recording {
    let builder = &mut parts.builder;
    let rivals = builder.chain(builder.genesis, 3);
    let tip = parts.blocks[1].id().hash;
    let more = builder.chain(tip, 140);
    let mut run = Recording {
        shell: Shell::new(&builder.spec),
        steps: Vec::new(),
    };
    let block = |from, block: &CheckedBlock| Input::Block {
        from,
        block: block.clone(),
    };
    let peer = Peer(1);
    run.input(Input::Connected(peer));
    run.input(Input::Tick);
    for (ticket, transaction) in (0..).zip(&parts.transactions) {
        run.input(Input::Submitted {
            ticket: Ticket(ticket),
            transaction: transaction.clone(),
        });
    }
    run.input(block(None, &parts.blocks[0]));
    run.input(block(None, &parts.blocks[1]));
    run.input(block(Some(peer), &rivals[0]));
    run.input(block(Some(peer), &rivals[2]));
    run.input(block(Some(peer), &rivals[1]));
    assert_eq!(run.shell.head(), rivals[2].id().hash, "a reorg");
    more.iter().for_each(|it| run.input(block(Some(peer), it)));
    assert_eq!(run.shell.head(), more[139].id().hash, "and back");
    // Deep enough that undone blocks are loaded from the store.
    let long = parts.builder.chain(rivals[2].id().hash, 141);
    long.iter().for_each(|it| run.input(block(Some(peer), it)));
    assert_eq!(run.shell.head(), long[140].id().hash);
    assert!(run.shell.out.loads > 0, "undone blocks are loaded");
    run.shell.now.unix_secs += 1;
    run.input(Input::Tick);
    run
}

/// Runs steps from their bytes, so many of them in a commit. The pool, since what it remembers is
/// no effect, is part of the result.
fn replay(parts: &Parts, steps: &[Vec<u8>], group: usize) -> (TraceHash, BlockId, String) {
    let spec = &parts.builder.spec;
    let ledger = Ledger::fresh();
    let mut store = MemoryStore::default();
    store.commit(&Node::genesis(spec, &ledger).1).unwrap();
    let mut node = Node::open(Arc::clone(spec), ledger, &store.snapshot().unwrap()).unwrap();
    node.set_salt(0x5a17);
    let mut trace = Trace::default();
    for steps in steps.chunks(group) {
        let (base, mut batch) = (store.snapshot().unwrap(), Batch::default());
        for bytes in steps {
            let (now, input) = decode_step(bytes, spec).unwrap();
            let mut effects = Vec::new();
            let verdict = {
                let db = Overlay::new(&base, &batch);
                node.step(now, input, &db, &mut effects).unwrap()
            };
            trace.add(bytes, verdict, &effects);
            for effect in effects {
                if let Effect::Commit(writes) = effect {
                    batch.append(writes);
                }
            }
        }
        drop(base);
        store.commit(&batch).unwrap();
    }
    let pool = node.pool();
    let departed = parts
        .transactions
        .iter()
        .map(|it| pool.departure(&it.hash()));
    (
        trace.hash(),
        node.head(),
        format!("{:?}", departed.collect::<Vec<_>>()),
    )
}

/// Invariant 11, and what recordings rest on: a run is a function of its inputs, however its writes
/// were grouped into commits.
#[test]
fn a_run_from_its_bytes_is_the_same_run() {
    let mut parts = parts();
    let run = recording(&mut parts);
    let one = replay(&parts, &run.steps, 1);
    assert_eq!(one.1, run.shell.node.head());
    for group in [2, 7, 64, run.steps.len()] {
        assert_eq!(
            replay(&parts, &run.steps, group),
            one,
            "{group} in a commit"
        );
    }
    let other = replay(&parts, &run.steps[1..], 1);
    assert_ne!(other.0, one.0, "without the first step");
}
