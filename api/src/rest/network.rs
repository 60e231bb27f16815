//! `/v1/network`: which network this is and how it does.

use axum::{Json, extract::State};

use super::read;
use crate::{
    ApiState,
    error::{Problem, Refused},
    view::NetworkJson,
};

/// The network's parameters, its difficulty and its hash rate.
#[utoipa::path(
    get,
    path = "/v1/network",
    operation_id = "network_network",
    tag = "node",
    responses(
        (status = 200, description = "Found", body = NetworkJson),
        Refused,
    ),
)]
pub async fn network(State(state): State<ApiState>) -> Result<Json<NetworkJson>, Problem> {
    read(&state, |view| Ok(NetworkJson::read(&view)?))
        .await
        .map(Json)
}
