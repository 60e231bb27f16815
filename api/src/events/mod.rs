//! Events for listeners: a journal that the core's thread writes, and streams that follow it.
//!
//! A stream tells every move of the best chain as a walk: each `head` is a child of the one told
//! before it, unless a `chain_reorg` stands between them, which leads back to a common ancestor.
//! An event's id says where in the journal and at which block the listener is, so that it can go
//! on from there, by the journal if that still reaches so far, by the store if not.

mod body;
mod follow;
mod id;
mod journal;
mod kinds;
mod path;
mod render;

use std::sync::Arc;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{Semaphore, watch};

pub(crate) use follow::open;
pub use journal::{Arrival, Entry, Event, Joined, Journal, Move, PeerChange};
pub(crate) use kinds::Kinds;

use crate::limits::STREAMS_MAX;

/// Where streams read, and the places for them.
#[derive(Clone)]
pub struct Events {
    journal: watch::Receiver<Journal>,
    places: Arc<Semaphore>,
    streams: Gauge,
}

impl Events {
    /// Streams of this journal.
    pub fn new(journal: watch::Receiver<Journal>) -> Self {
        Self {
            journal,
            places: Arc::new(Semaphore::new(STREAMS_MAX)),
            streams: Gauge::default(),
        }
    }

    /// Streams that are open, for whoever counts them.
    pub fn streams(&self) -> &Gauge {
        &self.streams
    }
}
