//! What listeners of the API are told: the core's events, in the order in which they are told.
//!
//! A move of the head is recorded once the view that shows it is published, and before the
//! transactions that it returned to the pool, so that listeners know where those come from.

use std::{mem, sync::Arc};

use api::events::{Arrival, Event as Told, Joined, Journal, Move, PeerChange};
use chain::{BlockId, Effect, Event, Reader, StoreError};
use tokio::sync::watch;

use super::peers::Introduction;

/// The writing end of the journal.
pub struct Recorder {
    journal: watch::Sender<Journal>,
    /// What the network did since the last recording.
    peers: Vec<Told>,
}

impl Recorder {
    /// An empty journal. `run` tells it from those of earlier runs.
    pub fn new(run: u64, head: BlockId) -> (Self, watch::Receiver<Journal>) {
        let (journal, receiver) = watch::channel(Journal::new(run, head));
        let peers = Vec::new();
        (Self { journal, peers }, receiver)
    }

    /// A peer has come or gone; told with the next recording.
    pub fn peer(&mut self, of: &Introduction, change: PeerChange) {
        self.peers.push(Told::Peer {
            id: Arc::clone(&of.id),
            address: Arc::clone(&of.address),
            inbound: of.inbound,
            change,
        });
    }

    /// Tells what steps have published.
    pub fn record(&mut self, effects: &[Effect], reader: &dyn Reader) -> Result<(), StoreError> {
        let mut told = mem::take(&mut self.peers);
        let mut returned = Vec::new();
        for effect in effects {
            let Effect::Publish(event) = effect else {
                continue;
            };
            match event {
                Event::Head { .. } => {
                    told.extend(moved(event, reader)?.map(Told::Moved));
                    told.append(&mut returned);
                }
                Event::Returned { transactions } => returned.push(Told::Transactions {
                    hashes: Arc::clone(transactions),
                    arrival: Arrival::Returned,
                }),
                _ => told.extend(simple(event)),
            }
        }
        told.append(&mut returned);
        if !told.is_empty() {
            let push = |journal: &mut Journal| told.into_iter().for_each(|told| journal.push(told));
            self.journal.send_modify(push);
        }
        Ok(())
    }
}

/// An event that is told as it is.
fn simple(event: &Event) -> Option<Told> {
    match event {
        Event::Block { block, parent } => Some(Told::Block {
            block: *block,
            parent: *parent,
        }),
        Event::Fork {
            block,
            rival,
            behind,
        } => Some(Told::Fork {
            block: *block,
            rival: *rival,
            behind: *behind,
        }),
        Event::Transaction { hash } => Some(Told::Transactions {
            hashes: Arc::new(vec![*hash]),
            arrival: Arrival::Pooled,
        }),
        Event::Head { .. }
        | Event::Returned { .. }
        | Event::Invalid { .. }
        | Event::DeepReorg { .. } => None,
    }
}

/// A move of the head with what listeners want to know of its blocks.
fn moved(event: &Event, reader: &dyn Reader) -> Result<Option<Move>, StoreError> {
    let Event::Head {
        old,
        new,
        undone,
        redone,
    } = event
    else {
        return Ok(None);
    };
    let mut joined = Vec::new();
    for id in redone.iter().take(Move::BLOCKS_MAX) {
        let missing = || StoreError(format!("no header for {}, a head", id.hash));
        let header = reader.header(&id.hash)?.ok_or_else(missing)?;
        joined.push(Joined {
            id: *id,
            parent: header.pow.parent,
            transactions: header.extension.transaction_count,
        });
    }
    let ancestor = joined.first().map(|first| BlockId {
        height: first.id.height.saturating_sub(1),
        hash: first.parent,
    });
    Ok(ancestor.map(|ancestor| Move {
        old: *old,
        new: *new,
        ancestor,
        left: undone.iter().take(Move::BLOCKS_MAX).copied().collect(),
        joined,
    }))
}
