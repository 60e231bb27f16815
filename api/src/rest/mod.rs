//! The REST handlers, a file a noun.

pub mod accounts;
pub mod blocks;
pub mod operations;
pub mod status;
pub mod transactions;

use std::sync::Arc;

use crate::{ApiState, View, error::Problem};

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
