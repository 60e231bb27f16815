//! The HTTP API: REST over immutable views, and one way in for transactions.
//!
//! A handler reads one [`View`] for its whole answer and names the head it was read at. Nothing
//! here touches the core thread but a bounded queue of submitted transactions. Called by `node`.

#![forbid(unsafe_code)]

pub mod desk;
mod error;
pub mod events;
pub mod faucet;
pub mod fees;
mod host;
pub mod ledger;
mod limits;
pub mod mining;
pub mod network;
mod openapi;
pub mod operator;
mod orders;
mod origin;
pub mod queries;
mod rest;
mod server;
mod socket;
#[cfg(test)]
mod tests;
pub mod view;

use std::sync::Arc;

use chain::PoolSnapshot;
use chain::{
    BlockHash, BlockId, ChainSpec, CheckedTransaction, Header, PoolError, Reader, Time, TxHash,
};
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, oneshot, watch};

pub use limits::BRANCHES_MAX;
pub use server::serve;

/// One immutable version of everything that a reader may ask for.
#[derive(Clone)]
pub struct View {
    /// The network's parameters.
    pub spec: Arc<ChainSpec>,
    /// The network's name.
    pub network: String,
    /// Its genesis hash.
    pub genesis: BlockHash,
    /// The head.
    pub head: BlockId,
    /// The head's header.
    pub head_header: Arc<Header>,
    /// The state after the head.
    pub state: state::State,
    /// The store as it was then.
    pub reader: Arc<dyn Reader + Send + Sync>,
    /// The pool as it was then.
    pub pool: Arc<PoolSnapshot>,
    /// Connected peers, by number.
    pub peer_list: Arc<Vec<network::PeerInfo>>,
    /// The branches with the best tips, best first, at most [`BRANCHES_MAX`].
    pub branches: Arc<Vec<chain::forest::Branch>>,
    /// How far the node is with catching up.
    pub sync: network::SyncInfo,
    /// Whether this node mines.
    pub mining: bool,
    /// The program's version.
    pub version: &'static str,
}

/// A user's transaction on its way to the core.
pub struct Submission {
    /// The transaction.
    pub transaction: CheckedTransaction,
    /// Where the pool's answer goes.
    pub reply: oneshot::Sender<Result<TxHash, PoolError>>,
}

/// What the handlers share.
#[derive(Clone)]
pub struct ApiState {
    /// The latest view.
    pub views: watch::Receiver<Arc<View>>,
    /// To the core.
    pub submissions: mpsc::Sender<Submission>,
    /// What `/metrics` shows.
    pub registry: Arc<Registry>,
    /// The clocks that the pool reckons with.
    pub clock: Arc<dyn Fn() -> Time + Send + Sync>,
    /// Whether the core has answered lately.
    pub is_healthy: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Host names answered to, beside this machine's own; `*` for any.
    pub vhosts: Arc<Vec<String>>,
    /// Origins of pages that may ask from elsewhere; `*` for any.
    pub origins: Arc<Vec<String>>,
    /// What `/v1/events` follows.
    pub events: events::Events,
    /// Where templates come from and mined blocks go.
    pub desk: desk::Desk,
    /// The operator's token, and where orders go.
    pub operator: operator::Operator,
    /// What to pay, as it was a moment ago.
    pub fees: Arc<fees::Fees>,
    /// What was burnt, and whom the state knows.
    pub ledger: Arc<ledger::Ledger>,
    /// Who gives money away; on dev networks alone.
    pub faucet: Option<Arc<faucet::Faucet>>,
    /// Places for requests that read many blocks.
    pub queries: queries::Queries,
    /// Where miners' questions go.
    pub mining: mpsc::Sender<mining::Question>,
}

impl ApiState {
    /// The view for one answer.
    fn view(&self) -> Arc<View> {
        Arc::clone(&self.views.borrow())
    }
}
