//! Whether a gossiped block's signatures are looked at, by its header alone: nobody asked for it.
//!
//! Signatures are what costs: a block full of them takes a good part of a second. So the chain is
//! asked first what it would do with such a header, by the core's own rules over the latest view.
//! The core decides again, so a view that is a moment behind costs time and nothing else. Runs on
//! rayon's threads. Called by `inputs`.

use std::sync::Arc;

use chain::{
    ChainSpec, CheckedHeader, Reader, Stage, StoreError,
    forest::Demands,
    rules::{self, Parent, RuleError},
};
use tracing::warn;

use super::view::View;

/// What a gossiped block is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// The whole check.
    Whole,
    /// None at its signatures: the core would drop it, so it learns of the header alone.
    Header,
    /// None at all: the header breaks a rule as a child of its parent, which is known.
    Refused(RuleError),
}

/// The chain as the core showed it last.
pub struct Gate {
    demands: Demands,
    reader: Arc<dyn Reader + Send + Sync>,
}

impl Gate {
    /// The chain of a view.
    pub fn of(view: &View) -> Self {
        Self::new(view.demands, Arc::clone(&view.api.reader))
    }

    /// A chain with these demands.
    pub fn new(demands: Demands, reader: Arc<dyn Reader + Send + Sync>) -> Self {
        Self { demands, reader }
    }

    /// What a gossiped block of this header is worth. Where the store cannot be read it is the
    /// header: a block that is needed comes by sync too.
    pub fn look(&self, header: &CheckedHeader, spec: &ChainSpec) -> Look {
        self.judge(header, spec).unwrap_or_else(|error| {
            warn!("cannot judge a gossiped block: {error}");
            Look::Header
        })
    }

    /// In the order of the forest's own questions.
    fn judge(&self, header: &CheckedHeader, spec: &ChainSpec) -> Result<Look, StoreError> {
        match self.reader.stage(&header.hash())? {
            None => {}
            Some(Stage::Header) => return Ok(Look::Whole),
            Some(Stage::Body | Stage::Executed | Stage::Invalid) => return Ok(Look::Header),
        }
        let hash = header.header().pow.parent;
        let is_worth_it = match self.reader.header(&hash)? {
            None => self.demands.are_met_by_orphan(header),
            Some(_) if self.reader.stage(&hash)? == Some(Stage::Invalid) => false,
            Some(parent) => {
                // Whether the skip is right only the core knows; by then the work is done.
                let skip = header.header().extension.skip;
                let parent = Parent::new(&parent, hash);
                if let Err(error) = rules::check_child(spec, &parent, skip, header) {
                    return Ok(Look::Refused(error));
                }
                true
            }
        };
        let is_worth_it = is_worth_it && self.demands.are_met_by_chain_of(header);
        Ok(if is_worth_it {
            Look::Whole
        } else {
            Look::Header
        })
    }
}
