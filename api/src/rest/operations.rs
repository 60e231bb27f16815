//! `/healthy` and `/metrics`, for whoever operates the node.

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{
    ApiState,
    error::{Problem, Refused},
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
    let detail = "the core has not answered for some seconds; the node's log may say why";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_healthy", detail).into_response()
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
