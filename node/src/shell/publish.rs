//! Where views come from: the core thread makes a new one when something changed and it is time.
//!
//! A view is published before any effect of the steps it shows is carried out, so that whoever
//! hears of a change finds it. Owned by the core thread alone.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use api::{
    events::{Journal, PeerChange},
    network::{PeerInfo, SyncInfo},
};
use chain::{Effect, Event, Node, Peer, PoolSnapshot, Reader, StoreError, forest::Branch};
use state::Evm;
use tokio::sync::watch;

use super::{
    clock::Clock,
    journal::Recorder,
    metrics::Metrics,
    peers::{Introduction, Peers},
    view::View,
};

/// Views in which the head is the same are published at least this far apart while inputs wait.
const VIEW_INTERVAL: Duration = Duration::from_millis(50);

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
    /// For those who listen.
    pub journal: watch::Receiver<Journal>,
}

/// The writing end of all that readers see.
pub struct Publisher {
    views: watch::Sender<Arc<View>>,
    api_views: watch::Sender<Arc<api::View>>,
    clock: Clock,
    metrics: Arc<Metrics>,
    identity: Identity,
    peers: Peers,
    recorder: Recorder,
    published: Instant,
    /// The forest's when the last view was made.
    revision: u64,
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
        let live = Live {
            peer_list: Arc::default(),
            branches: Arc::new(node.forest().branches(api::BRANCHES_MAX)),
            sync: sync_info(node),
        };
        let first = view(node, reader, clock, &identity, live)?;
        metrics.published(&first);
        let (api_views_in, api_views) = watch::channel(Arc::clone(&first.api));
        let (views_in, views) = watch::channel(Arc::new(first));
        // Two runs of one second are two processes.
        let run = clock.now().unix_secs << 32 | u64::from(std::process::id());
        let (recorder, journal) = Recorder::new(run, node.head());
        let publisher = Self {
            views: views_in,
            api_views: api_views_in,
            clock,
            metrics,
            identity,
            peers: Peers::default(),
            recorder,
            published: Instant::now(),
            revision: node.forest().revision(),
        };
        let readers = Readers {
            views,
            api_views,
            journal,
        };
        Ok((publisher, readers))
    }

    /// A peer has come.
    pub fn connected(&mut self, introduction: Introduction) {
        let now = self.clock.now().unix_secs;
        self.recorder.peer(&introduction, PeerChange::Connected);
        self.peers.connected(introduction, now);
    }

    /// A peer is gone.
    pub fn disconnected(&mut self, peer: Peer) {
        if let Some(introduction) = self.peers.disconnected(peer) {
            self.recorder.peer(&introduction, PeerChange::Disconnected);
        }
    }

    /// A peer has answered a ping.
    pub fn pinged(&mut self, peer: Peer, rtt: Duration) {
        self.peers.pinged(peer, rtt);
    }

    /// Publishes a view if it is time, and tells what has happened.
    pub fn publish<S: Reader + Clone + Send + Sync + 'static>(
        &mut self,
        node: &Node<Evm>,
        snapshot: &S,
        effects: &[Effect],
        is_idle: bool,
    ) -> Result<(), StoreError> {
        self.publish_view(node, snapshot, effects, is_idle)?;
        self.recorder.record(effects, snapshot)
    }

    /// Gives readers the same view over a store that was opened again. A commit that seemed to fail
    /// may have come through: then the store is ahead of the view, and readers keep what they have
    /// until they get the next one.
    pub fn replace_reader<S: Reader + Clone + Send + Sync + 'static>(&mut self, snapshot: &S) {
        let mut api = (**self.api_views.borrow()).clone();
        if snapshot.head() != Ok(Some(api.head)) {
            return;
        }
        api.reader = Arc::new(snapshot.clone());
        let api = Arc::new(api);
        let mut view = (**self.views.borrow()).clone();
        view.api = Arc::clone(&api);
        self.api_views.send_replace(api);
        self.views.send_replace(Arc::new(view));
    }

    /// Publishes a view if the head moved, or something else changed and it is time. It is time
    /// at once when a user is about to hear that a transaction was taken or a branch has begun.
    fn publish_view<S: Reader + Clone + Send + Sync + 'static>(
        &mut self,
        node: &Node<Evm>,
        snapshot: &S,
        effects: &[Effect],
        is_idle: bool,
    ) -> Result<(), StoreError> {
        let last = Arc::clone(&self.api_views.borrow());
        if !self.is_due(node, &last, effects, is_idle) {
            return Ok(());
        }
        let live = self.live(node, &last);
        let reader = Arc::new(snapshot.clone());
        let view = view(node, reader, self.clock, &self.identity, live)?;
        self.metrics.published(&view);
        // In this order: whoever has seen a head over HTTP gets templates on it, and none older.
        let for_api = Arc::clone(&view.api);
        self.views.send_replace(Arc::new(view));
        self.api_views.send_replace(for_api);
        self.published = Instant::now();
        self.revision = node.forest().revision();
        Ok(())
    }

    /// What must be seen soon is a matter of one comparison; what may wait is looked at only
    /// after a while, since it changes with almost every step.
    fn is_due(
        &self,
        node: &Node<Evm>,
        last: &api::View,
        effects: &[Effect],
        is_idle: bool,
    ) -> bool {
        let is_awaited = |effect: &Effect| {
            matches!(
                effect,
                Effect::Reply { result: Ok(_), .. } | Effect::Publish(Event::Fork { .. })
            )
        };
        if last.head != node.head() || effects.iter().any(is_awaited) {
            return true;
        }
        let has_waited = self.published.elapsed() >= VIEW_INTERVAL;
        let same_pool = Arc::<PoolSnapshot>::ptr_eq(&last.pool, &node.pool());
        let same_peers = last.peer_list.len() == self.peers.count();
        if !(same_pool && same_peers) && (is_idle || has_waited) {
            return true;
        }
        has_waited
            && (self.revision != node.forest().revision()
                || last.sync != sync_info(node)
                || *last.peer_list != self.peers.list(&node.sync().summaries()))
    }

    /// What changes without the head; parts that are the same as in the last view are shared.
    fn live(&self, node: &Node<Evm>, last: &api::View) -> Live {
        let list = self.peers.list(&node.sync().summaries());
        let same_forest = self.revision == node.forest().revision();
        Live {
            peer_list: if *last.peer_list == list {
                Arc::clone(&last.peer_list)
            } else {
                Arc::new(list)
            },
            branches: if same_forest {
                Arc::clone(&last.branches)
            } else {
                Arc::new(node.forest().branches(api::BRANCHES_MAX))
            },
            sync: sync_info(node),
        }
    }
}

/// What a view says beside the head, the state and the pool.
struct Live {
    peer_list: Arc<Vec<PeerInfo>>,
    branches: Arc<Vec<Branch>>,
    sync: SyncInfo,
}

fn sync_info(node: &Node<Evm>) -> SyncInfo {
    let forest = node.forest();
    SyncInfo {
        is_syncing: node.is_syncing(),
        best_header: forest.tree()[forest.best_header()].id(),
        bodies_under_way: node.sync().bodies_under_way(),
    }
}

fn view(
    node: &Node<Evm>,
    reader: Arc<dyn Reader + Send + Sync>,
    clock: Clock,
    identity: &Identity,
    live: Live,
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
        peer_list: live.peer_list,
        branches: live.branches,
        sync: live.sync,
        mining: identity.mining,
        version: env!("CARGO_PKG_VERSION"),
    };
    let (parent, status) = (node.template_parent(), node.status(clock.now()));
    Ok(View {
        api: Arc::new(api),
        parent,
        status,
        demands: node.forest().demands(),
    })
}
