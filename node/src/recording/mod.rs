//! Recorded runs: all that the core was given, in a file, and the same run again from it.
//!
//! A file is self-contained: network, settings, every input with its time. The core is handed to
//! `recorder` by the shell; `replay` is what `lignum replay` does; `file` is what both agree on.

pub mod file;
pub mod recorder;
pub mod replay;

use std::{path::Path, sync::Arc};

use chain::{
    BlockId, Header, Node, Reader, Root, Stage, Store, StoreError, U256,
    record::{Stored, Trace},
};
use serde::{Deserialize, Serialize};
use state::Evm;

use crate::{
    failure::{Exit, Failure},
    store::opened::Opened,
};
use recorder::Recorder;

/// What comes before the first step: all that a node is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preamble {
    /// The version of the program that recorded.
    pub lignum: String,
    /// The network's name.
    pub network: String,
    /// Its genesis hash.
    pub genesis: String,
    /// Its chain spec, whole.
    pub spec: String,
    /// The least chain work of peers' headers, in hex.
    pub min_chain_work: String,
    /// The number that peers cannot know.
    pub salt: u64,
    /// How many blocks the store held, genesis included; an entry each follows.
    pub blocks: u64,
    /// The head that it had.
    pub head: String,
}

/// Where a run has come to; the last entry of a recording that was ended in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Steps taken.
    pub steps: u64,
    /// The head's height.
    pub height: u64,
    /// The head.
    pub head: String,
    /// The root of the state after it.
    pub state_root: String,
    /// The hash of all that went in and came out.
    pub trace: String,
}

impl Standing {
    /// Where a node stands after the steps of a trace.
    pub fn of(node: &Node<Evm>, trace: &Trace) -> Self {
        Self::at(node.head(), node.head_state().root(), trace)
    }

    /// A head and its state after the steps of a trace.
    pub fn at(head: BlockId, root: Root, trace: &Trace) -> Self {
        Self {
            steps: trace.steps(),
            height: head.height,
            head: head.hash.to_string(),
            state_root: root.to_string(),
            trace: trace.hash().to_string(),
        }
    }
}

/// Begins to record a node that has not taken a step: all it was made of, and all of its store that
/// it may read.
pub fn start(path: &Path, opened: &Opened, min_chain_work: U256) -> Result<Recorder, Failure> {
    let fail = |error: StoreError| Failure::new(Exit::Damaged, error);
    let db = opened.store.snapshot().map_err(fail)?;
    let mut headers = Vec::new();
    db.for_each_header(&mut |header, stage| headers.push((header, stage)))
        .map_err(fail)?;
    let preamble = Preamble {
        lignum: env!("CARGO_PKG_VERSION").to_owned(),
        network: opened.network.name.clone(),
        genesis: opened.node.genesis_hash().to_string(),
        spec: opened.network.text.clone(),
        min_chain_work: format!("{min_chain_work:#x}"),
        salt: opened.salt,
        blocks: u64::try_from(headers.len()).expect("a length fits 64 bits"),
        head: opened.node.head().hash.to_string(),
    };
    let stored = headers
        .into_iter()
        .map(|(header, stage)| read_stored(&db, header, stage));
    Recorder::start(path, preamble, stored)
}

fn read_stored(db: &impl Reader, header: Arc<Header>, stage: Stage) -> Result<Stored, StoreError> {
    let hash = header.hash();
    let body = match stage {
        Stage::Header => None,
        _ => db.body(&hash)?,
    };
    let changes = match stage {
        Stage::Executed => db.changes(&hash)?,
        _ => None,
    };
    Ok(Stored {
        header,
        stage,
        body,
        changes,
    })
}
