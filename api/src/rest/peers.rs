//! `/v1/peers`: who is connected.

use axum::{Json, extract::State};

use crate::{ApiState, view::PeersJson};

/// All connected peers. There are never so many that they would need pages.
pub async fn list(State(state): State<ApiState>) -> Json<PeersJson> {
    Json(PeersJson::new(&state.view()))
}
