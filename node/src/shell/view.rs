//! What readers see: one immutable version of everything, published by the core thread.

use std::sync::Arc;

use chain::{Reader, Status, forest::Demands, template::TemplateParent};

/// A version for templates and for peers; `api` is the part that the HTTP handlers see.
#[derive(Clone)]
pub struct View {
    /// Head, state, pool and snapshot.
    pub api: Arc<api::View>,
    /// What the next block stands on.
    pub parent: TemplateParent,
    /// What peers are told.
    pub status: Status,
    /// What is asked of blocks that nobody asked for.
    pub demands: Demands,
}

impl View {
    /// The snapshot of the store.
    pub fn reader(&self) -> &(dyn Reader + Send + Sync) {
        &*self.api.reader
    }
}
