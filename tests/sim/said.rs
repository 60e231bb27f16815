//! What a node says to others is on its disk: after a crash it still has what it spoke of.
//!
//! Looked at when the shell carries effects out, against the record of what the store was given.

use std::collections::BTreeSet;

use chain::{BlockHash, Effect, Reader, Request, Store, transaction::hash_of};

use super::{host::Host, model::Model};

/// A step's batch is durable before any of its messages leave.
pub fn check_said(host: &Host, model: &Model, effects: &[Effect]) {
    for effect in effects {
        match effect {
            Effect::Send {
                request: Request::Status(status),
                ..
            } => {
                let is_executed = |block| host.durable.is_executed(block);
                assert!(
                    model.find(&status.head).is_some_and(is_executed),
                    "told of head {}, which a crash would take back",
                    status.head
                );
            }
            Effect::Send {
                request: Request::Blocks(hashes),
                ..
            } => check_headers(host, model, hashes),
            Effect::Reply {
                result: Ok(hash), ..
            } if host.node().pool().get(hash).is_some() => {
                let db = host.store.snapshot().unwrap();
                let kept = db.pooled().unwrap();
                let kept: BTreeSet<_> = kept.iter().map(|bytes| hash_of(bytes)).collect();
                assert!(
                    kept.contains(hash),
                    "{hash} was taken from a user and is not in the journal"
                );
            }
            _ => {}
        }
    }
}

/// Bodies are asked for by headers that the store has.
fn check_headers(host: &Host, model: &Model, hashes: &[BlockHash]) {
    for hash in hashes {
        let has_header = |block| host.durable.has_header(block);
        assert!(
            model.find(hash).is_some_and(has_header),
            "the body of {hash} was asked for before its header was committed"
        );
    }
}
