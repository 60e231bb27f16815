//! What a user was told: the node took the transaction. From then on it is mined, pooled, or the
//! node can tell why not (property of users, over reorgs, restarts and floods).

use chain::{CheckedTransaction, Reader, Store, pool::Departure, pool::Reason};

use super::{
    host::Host,
    model::Model,
    tally::{Reached, Tally},
    told::way,
};

/// A transaction that a node has taken from a user.
#[derive(Clone)]
pub struct Promise {
    pub transaction: CheckedTransaction,
}

/// A reorg from one head to another: what it undid, and nobody else may have, is mined again, in
/// the pool, or the node says why not.
pub fn owe_undone(host: &mut Host, model: &Model, old: usize, head: usize) {
    for block in way(model, old, head).0 {
        for bytes in &model.block(block).body.0 {
            let checked = CheckedTransaction::check(bytes, model.spec.chain_id);
            let transaction = checked.expect("it was mined");
            let promise = Promise { transaction };
            host.promises.insert(promise.transaction.hash(), promise);
        }
    }
}

/// Looks after every promise of a host, when nothing is on its way from its store.
pub fn check_promises(host: &mut Host, tally: &mut Tally) {
    if host.promises.is_empty() || !host.is_up() || !host.loads.is_empty() {
        return;
    }
    let db = host.store.snapshot().unwrap();
    let pool = host.node().pool();
    let mut told = Vec::new();
    for (hash, promise) in &host.promises {
        if pool.get(hash).is_some() || db.transaction(hash).unwrap().is_some() {
            continue;
        }
        let Some(departure) = pool.departure(hash) else {
            let (sender, nonce) = (promise.transaction.sender(), promise.transaction.nonce());
            panic!("{hash} of {sender}, nonce {nonce}, has vanished without a reason");
        };
        check_reason(promise, departure, tally);
        told.push(*hash);
    }
    for hash in told {
        host.told.extend(host.promises.remove_entry(&hash));
    }
}

/// A reason must be one that can be: what it says of the account may have changed since.
fn check_reason(promise: &Promise, departure: &Departure, tally: &mut Tally) {
    let transaction = &promise.transaction;
    match &departure.reason {
        Reason::Mined(block) => panic!("said to be mined in {block:?}, which is not so"),
        Reason::Replaced { by } => {
            assert_ne!(*by, transaction.hash());
            tally.reach(Reached::Replaced);
        }
        Reason::Displaced { by } => assert_ne!(*by, transaction.hash()),
        Reason::NonceUsed { want, got } => {
            assert!(
                got < want && *got == transaction.nonce(),
                "nonces of a reason"
            );
        }
        Reason::Evicted { .. } => tally.reach(Reached::PoolEviction),
        Reason::NotTakenBack(_) => tally.reach(Reached::NotTakenBack),
        Reason::Told { text, .. } => {
            assert!(!text.is_empty());
            tally.reach(Reached::ToldAgain);
        }
        Reason::Expired { secs } => assert!(*secs >= 3 * 3_600, "expired after {secs} s"),
        Reason::SenderHasCode => panic!("no sender has code here"),
    }
}
