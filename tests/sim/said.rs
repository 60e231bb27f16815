//! What a node says to others is on its disk, so after a crash it still has what it spoke of; and
//! its questions keep their limits.
//!
//! Looked at when the shell carries effects out, against the record of what the store was given.

use std::collections::BTreeSet;

use chain::{
    BlockHash, Effect, Reader, Request, Store,
    params::{BLOCKS_PER_REQUEST, DOWNLOAD_WINDOW, LOCATOR_MAX},
    transaction::hash_of,
};

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
            } => check_bodies(host, model, hashes),
            Effect::Send {
                request: Request::Headers(locator),
                ..
            } => {
                let genesis = model.hash(Model::GENESIS);
                assert_eq!(locator.last(), Some(&genesis), "a locator ends at genesis");
                assert!(locator.len() <= LOCATOR_MAX, "the length of a locator");
            }
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

/// Bodies are asked for by headers that the store has, a few at a time, and
/// no further above the lowest block that is not executed than the window.
fn check_bodies(host: &Host, model: &Model, hashes: &[BlockHash]) {
    assert!(hashes.len() <= BLOCKS_PER_REQUEST, "blocks in a request");
    for hash in hashes {
        let block = model.find(hash).expect("somebody made it");
        assert!(
            host.durable.has_header(block),
            "the body of {hash} was asked for before its header was committed"
        );
        let (mut at, mut ahead) = (block, 0);
        while !host.live.is_executed(at) && ahead <= DOWNLOAD_WINDOW {
            (at, ahead) = (model.blocks[at].parent, ahead + 1);
        }
        assert!(
            ahead <= DOWNLOAD_WINDOW,
            "the body of {hash} was asked for beyond the window"
        );
    }
}
