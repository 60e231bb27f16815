//! `/v1/events`: what happens, as server-sent events.

use axum::{
    Extension,
    body::Body,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use tokio::sync::watch;
use utoipa::IntoParams;

use crate::{
    ApiState,
    error::{Problem, Refused},
    events::{self, Kinds},
    limits::STREAMS_MAX,
};

/// Changes when the server stops.
#[derive(Clone)]
pub struct Stopped(pub watch::Receiver<()>);

/// What a listener wants.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Names of event types with commas between them; all without it.
    types: Option<String>,
    /// The id after which the stream begins, for clients that cannot set the header.
    last_event_id: Option<String>,
}

/// Events from now on, or from an id on. The header wins over the query: it is the newer one
/// where a browser connects again to the same URL.
#[utoipa::path(
    get,
    path = "/v1/events",
    operation_id = "events_stream",
    tag = "node",
    params(Wanted),
    responses(
        (status = 200, description = "As text", body = String, content_type = "text/event-stream"),
        Refused,
    ),
)]
pub async fn stream(
    State(state): State<ApiState>,
    Extension(Stopped(stopped)): Extension<Stopped>,
    headers: HeaderMap,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(wanted) =
        wanted.map_err(|error| Problem::bad_request("bad_query", error.body_text()))?;
    let kinds = match &wanted.types {
        Some(types) => Kinds::parse(types)?,
        None => Kinds::ALL,
    };
    let header = headers.get("last-event-id");
    // What is no text is no id of ours, and is answered as such.
    let header = header.map(|id| id.to_str().unwrap_or("?").to_owned());
    let after = header.or(wanted.last_event_id);
    let after = after.filter(|id| !id.is_empty());
    let full = || {
        let detail = format!("all {STREAMS_MAX} event streams are taken; try again later");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_streams", detail)
    };
    let views = state.views.clone();
    let body = events::open(&state.events, views, kinds, after, stopped).ok_or_else(full)?;
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::new(body)).into_response())
}
