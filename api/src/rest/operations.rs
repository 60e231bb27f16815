//! `/healthy`, `/ready` and `/metrics`, for whoever operates the node.

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{
    ApiState,
    error::{Problem, Refused},
    network::{Unready, readiness},
};

/// 200 while the core answers.
#[utoipa::path(
    get,
    path = "/healthy",
    operation_id = "operations_healthy",
    tag = "node",
    responses(
        (status = 200, description = "As text", body = String, content_type = "text/plain"),
        Refused,
    ),
)]
pub async fn healthy(State(state): State<ApiState>) -> Response {
    if (state.is_healthy)() {
        return (StatusCode::OK, "ok\n").into_response();
    }
    not_healthy().into_response()
}

/// 200 while the node is up with its network, so that a proxy may send it requests.
///
/// That is: the core answers; a peer has said where it stands, or the node mines, or the network is
/// a dev network; and the head is at most 3 blocks below the best header known, and below what most
/// peers claim. Otherwise 503 with the code `not_healthy`, `no_peers` or `syncing`.
#[utoipa::path(
    get,
    path = "/ready",
    operation_id = "operations_ready",
    tag = "node",
    responses(
        (status = 200, description = "As text", body = String, content_type = "text/plain"),
        Refused,
    ),
)]
pub async fn ready(State(state): State<ApiState>) -> Result<Response, Problem> {
    if !(state.is_healthy)() {
        return Err(not_healthy());
    }
    readiness(&state.view())?;
    Ok((StatusCode::OK, "ok\n").into_response())
}

fn not_healthy() -> Problem {
    let detail = "the core has not answered for some seconds; the node's log may say why";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_healthy", detail)
}

impl From<Unready> for Problem {
    fn from(unready: Unready) -> Self {
        let code = match unready {
            Unready::Alone => "no_peers",
            Unready::Behind { .. } => "syncing",
        };
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, unready.to_string());
        match unready {
            Unready::Alone => problem,
            Unready::Behind { want, got } => problem.with(&want, &got),
        }
    }
}

/// Metrics in the OpenMetrics text format.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "operations_metrics",
    tag = "node",
    responses(
        (status = 200, description = "As text", body = String, content_type = "application/openmetrics-text"),
        Refused,
    ),
)]
pub async fn metrics(State(state): State<ApiState>) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &state.registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            Problem::new(status, "internal", error.to_string()).into_response()
        }
    }
}
