//! The hash of a run: every part of every effect, the verdict, the time and the order count in it.
//!
//! Mistakes made by hand: a batch's `dropped`, the parties of an executed block, a fork's `behind`
//! and the verdict left out, each was caught here.

use std::{collections::BTreeSet, sync::Arc};

use chain::{
    Batch, BlockHash, BlockId, Body, ChangeSet, CheckedTransaction, Effect, Event, Fault, Input,
    Log, Peer, PoolError, Receipt, Request, Ticket, Time, TxHash, Verdict,
    execution::{AccountChange, CodeAdded, SlotChange},
    pool::{Departure, Reason},
    record::{Trace, TraceHash, encode_step},
    store::ExecutedBlock,
};

use crate::record::{Parts, parts, time};

fn departure(unix_secs: u64) -> Departure {
    Departure {
        hash: TxHash([1; 32]),
        reason: Reason::SenderHasCode,
        unix_secs,
    }
}

fn departed(transaction: &CheckedTransaction, change: Option<Departure>) -> Effect {
    commit(|batch| drop(batch.departed.insert(transaction.hash(), change)))
}

fn id(byte: u8) -> BlockId {
    BlockId {
        height: u64::from(byte),
        hash: BlockHash([byte; 32]),
    }
}

fn executed(change: impl Fn(&mut ExecutedBlock)) -> Effect {
    let mut block = ExecutedBlock {
        id: id(1),
        changes: Arc::default(),
        receipts: Arc::default(),
        parties: Arc::default(),
    };
    change(&mut block);
    commit(|batch| batch.executed.push(block.clone()))
}

fn commit(change: impl FnOnce(&mut Batch)) -> Effect {
    let mut batch = Batch::default();
    change(&mut batch);
    Effect::Commit(batch)
}

/// Change sets of one item each.
fn change_sets() -> [ChangeSet; 3] {
    let code = CodeAdded {
        hash: [1; 32],
        bytes: vec![1],
    };
    let codes = ChangeSet {
        codes: vec![code],
        ..ChangeSet::default()
    };
    let account = AccountChange {
        address: [1; 20],
        old: None,
        new: None,
    };
    let accounts = ChangeSet {
        accounts: vec![account],
        ..ChangeSet::default()
    };
    let slot = SlotChange {
        address: [1; 20],
        slot: [1; 32],
        old: [1; 32],
        new: [1; 32],
    };
    let slots = ChangeSet {
        slots: vec![slot],
        ..ChangeSet::default()
    };
    [codes, accounts, slots]
}

fn batches(parts: &Parts) -> Vec<Effect> {
    let header = parts.blocks[0].header().header();
    let transaction = &parts.transactions[0];
    let body = |bytes: &[u8]| Arc::new(Body(vec![bytes.to_vec()]));
    let receipt = |success| Receipt {
        tx_type: 2,
        success,
        cumulative_gas: 1,
        logs: Vec::new(),
    };
    let [codes, accounts, slots] = change_sets();
    let party = |index| [(transaction.sender(), vec![index])];
    let log = Log {
        address: [1; 20],
        topics: Vec::new(),
        data: Vec::new(),
    };
    let mut logged = receipt(true);
    logged.logs.push(log);
    vec![
        commit(|_| {}),
        commit(|batch| batch.headers.push(Arc::clone(header))),
        commit(|batch| batch.bodies.push((id(1), body(b"1")))),
        commit(|batch| batch.bodies.push((id(1), body(b"2")))),
        commit(|batch| batch.dropped.push(id(1))),
        executed(|_| {}),
        executed(|block| block.id = id(2)),
        executed(|block| block.changes = Arc::new(codes.clone())),
        executed(|block| block.receipts = vec![receipt(true)].into()),
        executed(|block| block.receipts = vec![receipt(false)].into()),
        executed(|block| block.changes = Arc::new(accounts.clone())),
        executed(|block| block.changes = Arc::new(slots.clone())),
        executed(|block| block.receipts = vec![logged.clone()].into()),
        executed(|block| block.parties = Arc::new(party(1).into())),
        executed(|block| block.parties = Arc::new(party(2).into())),
        commit(|batch| batch.invalid.push(id(1))),
        commit(|batch| batch.canonical.push((1, None))),
        commit(|batch| batch.canonical.push((1, Some(BlockHash([1; 32]))))),
        commit(|batch| batch.head = Some(id(1))),
        commit(|batch| drop(batch.pooled.insert(transaction.hash(), None))),
        commit(|batch| {
            let kept = Some(transaction.clone());
            batch.pooled.insert(transaction.hash(), kept);
        }),
        departed(transaction, None),
        departed(transaction, Some(departure(1))),
        departed(transaction, Some(departure(2))),
    ]
}

fn events() -> Vec<Effect> {
    let ids = |byte| Arc::new(vec![id(byte)]);
    let head = |old, new, undone, redone| Event::Head {
        old: id(old),
        new: id(new),
        undone: ids(undone),
        redone: ids(redone),
    };
    let fork = |block, rival, behind| Event::Fork {
        block: id(block),
        rival: id(rival),
        behind,
    };
    let (block, parent, reason) = (id(1), BlockHash([1; 32]), "no".to_owned());
    let hash = TxHash([1; 32]);
    let events = vec![
        head(1, 1, 1, 1),
        head(2, 1, 1, 1),
        head(1, 2, 1, 1),
        head(1, 1, 2, 1),
        head(1, 1, 1, 2),
        Event::Invalid { block, reason },
        Event::DeepReorg { depth: 1 },
        Event::DeepReorg { depth: 2 },
        Event::Block { block, parent },
        fork(1, 1, 1),
        fork(2, 1, 1),
        fork(1, 2, 1),
        fork(1, 1, 2),
        Event::Transaction { hash },
        Event::Returned {
            transactions: vec![hash].into(),
        },
    ];
    events.into_iter().map(Effect::Publish).collect()
}

fn others(parts: &Parts) -> Vec<Effect> {
    let mut effects = vec![
        Effect::AnnounceBlock(parts.blocks[0].clone()),
        Effect::AnnounceBlock(parts.blocks[1].clone()),
        Effect::AnnounceTransaction(parts.transactions[0].clone()),
        Effect::AnnounceTransaction(parts.transactions[1].clone()),
        Effect::Load(BlockHash([1; 32])),
        Effect::Continue,
    ];
    for (number, fault) in [(1, Fault::Full), (1, Fault::Timeout), (2, Fault::Full)] {
        let (to, ticket, peer) = (Peer(number), Ticket(number), Peer(number));
        let asked = if fault == Fault::Full {
            Request::Addresses
        } else {
            Request::Blocks(Vec::new())
        };
        let request = asked.clone();
        effects.push(Effect::Send { to, request });
        let request = asked;
        effects.push(Effect::Serve { ticket, request });
        effects.push(Effect::Disconnect { peer, fault });
    }
    for ticket in [Ticket(1), Ticket(2)] {
        effects.push(Effect::Decline { ticket });
        let answers = [
            Ok(TxHash([1; 32])),
            Err(PoolError::Known(TxHash([1; 32]))),
            Err(PoolError::NonceTooLow { want: 1, got: 1 }),
            Err(PoolError::NonceTooLow { want: 2, got: 1 }),
        ];
        effects.extend(answers.map(|result| Effect::Reply { ticket, result }));
    }
    effects
}

#[test]
fn every_part_of_a_step_counts_in_the_trace() {
    let parts = parts();
    let effects = [batches(&parts), events(), others(&parts)].concat();
    let step = encode_step(Time::default(), &Input::Tick);
    let mut hashes = BTreeSet::new();
    let mut add = |step: &[u8], verdict, effects: &[Effect]| {
        let TraceHash(hash) = Trace::default().add(step, verdict, effects);
        assert!(
            hashes.insert(hash),
            "{verdict:?} {effects:?} does not count"
        );
    };
    for effect in &effects {
        add(&step, Verdict::Ignore, std::slice::from_ref(effect));
    }
    add(&step, Verdict::Ignore, &[]);
    add(&step, Verdict::Accept, &[]);
    add(&step, Verdict::Reject, &[]);
    add(&step, Verdict::Ignore, &effects[..2]);
    add(
        &step,
        Verdict::Ignore,
        &[effects[1].clone(), effects[0].clone()],
    );
    add(&encode_step(time(1, 0), &Input::Tick), Verdict::Ignore, &[]);
    add(&encode_step(time(0, 1), &Input::Tick), Verdict::Ignore, &[]);
    let mut trace = Trace::default();
    let first = trace.add(&step, Verdict::Ignore, &[]);
    assert_ne!(trace.add(&step, Verdict::Ignore, &[]), first);
    assert_eq!((trace.steps(), trace.hash().prefix().len()), (2, 8));
}
