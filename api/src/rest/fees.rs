//! `/v1/fees`: what to pay.

use std::sync::Arc;

use axum::{Json, extract::State};

use super::read;
use crate::{
    ApiState,
    error::{Problem, Refused},
    view::FeesJson,
};

/// Estimates for the next block, and for 3 and 10 blocks.
#[utoipa::path(
    get,
    path = "/v1/fees",
    operation_id = "fees_estimates",
    tag = "pool",
    responses(
        (status = 200, description = "Found", body = FeesJson),
        Refused,
    ),
)]
pub async fn estimates(State(state): State<ApiState>) -> Result<Json<FeesJson>, Problem> {
    let (fees, now) = (Arc::clone(&state.fees), (state.clock)());
    read(&state, move |view| {
        Ok(FeesJson::new(&*fees.at(&view, now)?))
    })
    .await
    .map(Json)
}
