//! The REST handlers, a file a noun.

pub mod accounts;
mod address;
pub mod blocks;
pub mod dev;
pub mod events;
pub mod forest;
pub mod history;
pub mod operations;
pub mod peers;
pub mod status;
pub mod transactions;

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};

use crate::{ApiState, View, error::Problem};

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
    result.unwrap_or_else(|_| {
        let status = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
        Err(Problem::new(
            status,
            "internal",
            "the request failed; the node's log says why",
        ))
    })
}
