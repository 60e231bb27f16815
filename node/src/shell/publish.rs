//! Where views come from: the core thread makes a new one when something changed and it is time.
//!
//! A view is published before any effect of the steps it shows is carried out, so that whoever
//! hears of a change finds it. Owned by the core thread alone.

use std::{sync::Arc, time::Instant};

use chain::{Effect, Node, PoolSnapshot, Reader, StoreError};
use state::Evm;
use tokio::sync::watch;

use super::{clock::Clock, metrics::Metrics, view::View};

/// Views of a changed pool are published at least this far apart while inputs are waiting.
const POOL_VIEW_INTERVAL_MS: u128 = 50;

/// What stays the same in every view.
#[derive(Clone)]
pub struct Identity {
    /// The network's name.
    pub network: String,
    /// Whether this node mines.
    pub mining: bool,
}

/// What readers are given.
pub struct Readers {
    /// For the miner and for answers to peers.
    pub views: watch::Receiver<Arc<View>>,
    /// For the HTTP handlers.
    pub api_views: watch::Receiver<Arc<api::View>>,
}

/// The writing end of all that readers see.
pub struct Publisher {
    views: watch::Sender<Arc<View>>,
    api_views: watch::Sender<Arc<api::View>>,
    clock: Clock,
    metrics: Arc<Metrics>,
    identity: Identity,
    peers: usize,
    published: Instant,
}

impl Publisher {
    /// Publishes a first view.
    pub fn new(
        node: &Node<Evm>,
        reader: Arc<dyn Reader + Send + Sync>,
        clock: Clock,
        metrics: Arc<Metrics>,
        identity: Identity,
    ) -> Result<(Self, Readers), StoreError> {
        let first = view(node, reader, clock, &identity, 0)?;
        metrics.published(&first);
        let (api_views_in, api_views) = watch::channel(Arc::clone(&first.api));
        let (views_in, views) = watch::channel(Arc::new(first));
        let publisher = Self {
            views: views_in,
            api_views: api_views_in,
            clock,
            metrics,
            identity,
            peers: 0,
            published: Instant::now(),
        };
        Ok((publisher, Readers { views, api_views }))
    }

    /// A peer has come.
    pub fn connected(&mut self) {
        self.peers += 1;
    }

    /// A peer is gone.
    pub fn disconnected(&mut self) {
        self.peers = self.peers.saturating_sub(1);
    }

    /// Publishes a view if the head moved, or the pool or the peers changed and it is time. It is
    /// time at once when a user is about to hear that a transaction was taken.
    pub fn publish<S: Reader + Clone + Send + Sync + 'static>(
        &mut self,
        node: &Node<Evm>,
        snapshot: &S,
        effects: &[Effect],
        is_idle: bool,
    ) -> Result<(), StoreError> {
        let (head, pool) = (node.head(), node.pool());
        let (same_head, same_rest) = {
            let last = self.api_views.borrow();
            let same_pool = Arc::<PoolSnapshot>::ptr_eq(&last.pool, &pool);
            (last.head == head, same_pool && last.peers == self.peers)
        };
        let takes = |effect: &Effect| matches!(effect, Effect::Reply { result: Ok(_), .. });
        let is_due = effects.iter().any(takes)
            || is_idle
            || self.published.elapsed().as_millis() >= POOL_VIEW_INTERVAL_MS;
        if same_head && (same_rest || !is_due) {
            return Ok(());
        }
        let reader = Arc::new(snapshot.clone());
        let view = view(node, reader, self.clock, &self.identity, self.peers)?;
        self.metrics.published(&view);
        self.api_views.send_replace(Arc::clone(&view.api));
        self.views.send_replace(Arc::new(view));
        self.published = Instant::now();
        Ok(())
    }
}

fn view(
    node: &Node<Evm>,
    reader: Arc<dyn Reader + Send + Sync>,
    clock: Clock,
    identity: &Identity,
    peers: usize,
) -> Result<View, StoreError> {
    let head = node.head();
    let missing = || StoreError(format!("no header for the head {}", head.hash));
    let head_header = reader.header(&head.hash)?.ok_or_else(missing)?;
    let api = api::View {
        spec: Arc::clone(node.spec()),
        network: identity.network.clone(),
        genesis: node.genesis_hash(),
        head,
        head_header,
        state: node.head_state().clone(),
        reader,
        pool: node.pool(),
        peers,
        mining: identity.mining,
        version: env!("CARGO_PKG_VERSION"),
    };
    let (parent, status) = (node.template_parent(), node.status(clock.now()));
    Ok(View {
        api: Arc::new(api),
        parent,
        status,
    })
}
