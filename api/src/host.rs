//! The Host check: a page of another site, whose name was rebound to this machine, gets nothing.

use axum::{
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{ApiState, error::Problem};

/// Lets a request pass if its Host is this machine or one of the configured names.
pub async fn check(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    if host.is_some_and(|host| is_allowed(host, &state.vhosts)) {
        return next.run(request).await;
    }
    let got: String = host.unwrap_or("none").chars().take(80).collect();
    Problem::new(
        StatusCode::FORBIDDEN,
        "host_not_allowed",
        format!("this node does not answer to host {got:?}: allow it with --http.vhosts"),
    )
    .into_response()
}

/// Whether a Host header, with or without a port, is one of ours.
pub fn is_allowed(host: &str, vhosts: &[String]) -> bool {
    let name = without_port(host);
    let is_local = ["localhost", "127.0.0.1", "[::1]"]
        .iter()
        .any(|local| name.eq_ignore_ascii_case(local));
    is_local
        || vhosts
            .iter()
            .any(|vhost| vhost == "*" || name.eq_ignore_ascii_case(vhost))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // The colons inside a bracketed IPv6 address belong to it.
        Some((name, port)) if !port.contains(']') => name,
        _ => host,
    }
}
