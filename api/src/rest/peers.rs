//! `/v1/peers`: who is connected.

use axum::{Json, extract::State};

use crate::{ApiState, error::Refused, view::PeersJson};

/// All connected peers. There are never so many that they would need pages.
#[utoipa::path(
    get,
    path = "/v1/peers",
    operation_id = "peers_list",
    tag = "node",
    responses(
        (status = 200, description = "Found", body = PeersJson),
        Refused,
    ),
)]
pub async fn list(State(state): State<ApiState>) -> Json<PeersJson> {
    Json(PeersJson::new(&state.view()))
}
