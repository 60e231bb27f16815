//! `/v1/status`: where the node stands.

use axum::{Json, extract::State};

use crate::{ApiState, view::StatusJson};

/// Where the node stands.
pub async fn status(State(state): State<ApiState>) -> Json<StatusJson> {
    Json(StatusJson::new(&state.view()))
}
