//! `/v1/status`: where the node stands.

use axum::{Json, extract::State};

use crate::{ApiState, error::Refused, view::StatusJson};

/// Where the node stands.
#[utoipa::path(
    get,
    path = "/v1/status",
    operation_id = "status_status",
    tag = "node",
    responses(
        (status = 200, description = "Found", body = StatusJson),
        Refused,
    ),
)]
pub async fn status(State(state): State<ApiState>) -> Json<StatusJson> {
    Json(StatusJson::new(&state.view(), &(state.desk.miners)()))
}
