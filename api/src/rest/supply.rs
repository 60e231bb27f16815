//! `/v1/supply`: how much money there is.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};

use super::read_much;
use crate::{
    ApiState,
    error::{Problem, Refused},
    ledger::Unready,
    view::SupplyJson,
};

/// How much was allocated, paid as rewards and burnt, and what is left.
///
/// The first request after a start reads a header of each block; a long chain takes several
/// requests, which are answered with 503 until the last.
#[utoipa::path(
    get,
    path = "/v1/supply",
    operation_id = "supply_supply",
    tag = "node",
    responses(
        (status = 200, description = "Found", body = SupplyJson),
        Refused,
    ),
)]
pub async fn supply(State(state): State<ApiState>) -> Result<Json<SupplyJson>, Problem> {
    let ledger = Arc::clone(&state.ledger);
    read_much(&state, move |view, deadline| {
        let totals = ledger.totals(&view, deadline)?;
        Ok(SupplyJson::new(&view, &totals))
    })
    .await
    .map(Json)
}

impl From<Unready> for Problem {
    fn from(unready: Unready) -> Self {
        let wait = |detail: String| Self::new(StatusCode::SERVICE_UNAVAILABLE, "indexing", detail);
        match unready {
            Unready::Busy => wait("another request reads the chain for this; try again".into()),
            Unready::Behind(height, of) => {
                wait(format!("read up to block {height} of {of}; try again"))
            }
            Unready::TooMany => Self::not_found(
                "this network has more accounts than the list of the top ones is made for",
            ),
            Unready::Store(error) => error.into(),
        }
    }
}
