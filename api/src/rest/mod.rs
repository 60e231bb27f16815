//! The REST handlers, a file a noun.

pub mod accounts;
mod address;
pub mod blocks;
mod body;
mod caching;
pub mod desk;
pub mod dev;
pub mod docs;
pub mod events;
pub mod faucet;
pub mod fees;
pub mod forest;
pub mod history;
pub mod mining;
pub mod network;
pub mod operations;
pub mod peers;
pub mod pool;
pub mod search;
pub mod status;
pub mod supply;
pub mod transactions;

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, Path, Query, rejection::QueryRejection},
    http::request::Parts,
};
use chain::TxHash;
use serde::de::DeserializeOwned;

use caching::{Lifetime, cached};

use crate::{ApiState, View, error::Problem, limits::PAGE_DEFAULT, queries::Deadline};

/// The variable part of a path; what is no text is a problem like any other.
pub struct Segment(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(text)| Self(text))
            .map_err(|error| Problem::bad_request("bad_path", error.body_text()))
    }
}

/// Runs a reading handler off the event loop, on one view: reads may wait for the disk.
async fn read<T: Send + 'static>(
    state: &ApiState,
    handler: impl FnOnce(Arc<View>) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let view = state.view();
    let result = tokio::task::spawn_blocking(move || handler(view)).await;
    result.unwrap_or_else(|_| Err(Problem::internal()))
}

/// The same for a handler that reads many blocks: it waits for a place, and should end early once
/// its deadline is over.
async fn read_much<T: Send + 'static>(
    state: &ApiState,
    handler: impl FnOnce(Arc<View>, Deadline) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let views = state.clone();
    let query = move |deadline| handler(views.view(), deadline);
    state.queries.run(query).await
}

/// The query of a request; one that cannot be read is a problem like any other.
fn query<T: DeserializeOwned>(page: Result<Query<T>, QueryRejection>) -> Result<T, Problem> {
    let page = page.map_err(|error| Problem::bad_request("bad_query", error.body_text()));
    page.map(|Query(page)| page)
}

/// Items on a page: as many as the client names, within bounds.
fn limit(given: Option<u64>, max: u64) -> Result<usize, Problem> {
    let limit = given.unwrap_or(PAGE_DEFAULT);
    let fits = usize::try_from(limit).ok();
    fits.filter(|_| (1..=max).contains(&limit)).ok_or_else(|| {
        let detail = format!("limit is {limit}, wanted 1 to {max}");
        Problem::bad_request("bad_limit", detail)
    })
}

/// A transaction's hash.
fn transaction_hash(text: &str) -> Result<TxHash, Problem> {
    let parsed = text.parse();
    parsed.map_err(|error| Problem::bad_request("bad_hash", format!("{error}")))
}
