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

#[cfg(test)]
pub mod tests {
    //! A view for the tests of those that read one.

    use chain::{ChainSpec, MemoryStore, Node, Store};
    use state::Evm;

    use super::{
        super::{
            clock::Clock,
            publish::{Identity, Publisher},
        },
        *,
    };

    /// The view of a network's genesis block.
    pub fn of_genesis(spec: &str) -> View {
        let spec = Arc::new(ChainSpec::parse(spec).unwrap().spec);
        let mut store = MemoryStore::default();
        store.commit(&Node::genesis(&spec, &Evm::new()).1).unwrap();
        let snapshot = store.snapshot().unwrap();
        let node = Node::open(spec, Evm::new(), &snapshot).unwrap();
        let identity = Identity {
            network: "test".into(),
            mining: false,
        };
        let (reader, metrics) = (Arc::new(snapshot), Arc::default());
        let made = Publisher::new(&node, reader, Clock::start(), metrics, identity).unwrap();
        View::clone(&made.1.views.borrow())
    }
}
