//! The Origin check: what pages of other sites may ask of this node.
//!
//! None may, unless its origin is named by `--http.corsdomain`; then it may read, and hand in signed
//! transactions, which carry their own authority. Pages that this node serves itself may too.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{ApiState, error::Problem};

/// The one path to which other sites may send.
const SENDS: &str = "/v1/transactions";

/// Lets a request pass if it comes from no page, from a page of ours, or is one that its page may
/// send (threat A3). The browser is told that the page may see the answer.
pub async fn check(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let Some(origin) = headers.get(header::ORIGIN).cloned() else {
        return next.run(request).await;
    };
    if is_own(headers, &origin) {
        return next.run(request).await;
    }
    let is_listed = origin
        .to_str()
        .is_ok_and(|text| is_listed(text, &state.origins));
    if !is_listed {
        let shown = String::from_utf8_lossy(origin.as_bytes());
        let shown: String = shown.chars().take(80).collect();
        return refused(format!(
            "pages of {shown:?} may ask nothing of this node: allow them with --http.corsdomain"
        ));
    }
    let (method, path) = (request.method(), request.uri().path());
    let mut answer = if is_preflight(method, headers) {
        permission()
    } else if may_send(method, path) {
        next.run(request).await
    } else {
        refused("pages of other sites may read and hand in signed transactions, no more".into())
    };
    let headers = answer.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    let exposed = HeaderValue::from_static("etag, retry-after");
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    answer
}

fn refused(detail: String) -> Response {
    Problem::new(StatusCode::FORBIDDEN, "origin_not_allowed", detail).into_response()
}

/// Whether the page came from the host that it asks now; the Host check has passed that.
fn is_own(headers: &HeaderMap, origin: &HeaderValue) -> bool {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let origin = origin.to_str().ok();
    let name = origin.and_then(|origin| origin.split_once("://"));
    host.zip(name)
        .is_some_and(|(host, (_, name))| host.eq_ignore_ascii_case(name))
}

fn is_listed(origin: &str, listed: &[String]) -> bool {
    listed
        .iter()
        .any(|one| one == "*" || one.eq_ignore_ascii_case(origin))
}

fn may_send(method: &Method, path: &str) -> bool {
    matches!(*method, Method::GET | Method::HEAD) || (*method == Method::POST && path == SENDS)
}

/// A browser's question ahead of a request (Fetch standard, section 3.2.2).
fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn permission() -> Response {
    let headers: [(HeaderName, &str); 3] = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, POST"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "content-type, if-none-match, last-event-id",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}
