//! `/v1/openapi.json` and `/docs`: the API's description, for programs and for people.
//!
//! The page loads nothing from another host, puts what it shows into text nodes alone, and its
//! policy lets the browser do no more than that (threat A7).

use std::sync::LazyLock;

use axum::{
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};

use super::{Lifetime, cached};
use crate::{
    error::{Fields, Problem, Refused},
    openapi,
};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const VERSION: &str = env!("CARGO_PKG_VERSION");

static DOCUMENT: LazyLock<Result<String, String>> = LazyLock::new(|| {
    openapi::document()
        .to_json()
        .map_err(|error| error.to_string())
});

/// This document.
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    operation_id = "openapi",
    tag = "node",
    responses(
        (status = 200, description = "OpenAPI 3.1", body = Object),
        (status = 304, description = "The client has it already"),
        (status = 404, description = "Not here", body = Fields, content_type = "application/problem+json"),
        Refused,
    )
)]
pub async fn document(headers: HeaderMap) -> Result<Response, Problem> {
    let document = DOCUMENT.as_ref().map_err(Problem::not_found)?;
    let answer = (
        [(header::CONTENT_TYPE, "application/json")],
        document.as_str(),
    );
    Ok(cached(&headers, VERSION, Lifetime::UntilAsked, answer))
}

/// The description as a page.
#[utoipa::path(
    get, path = "/docs", operation_id = "docs", tag = "node",
    responses(
        (status = 200, description = "A page", body = String, content_type = "text/html"),
        (status = 304, description = "The client has it already"),
        Refused,
    )
)]
pub async fn page(headers: HeaderMap) -> Response {
    let text = include_str!("../docs/page.html");
    file(&headers, "text/html; charset=utf-8", text)
}

/// The page's script.
#[utoipa::path(
    get, path = "/docs/page.js", operation_id = "docs_script", tag = "node",
    responses(
        (status = 200, description = "A script", body = String, content_type = "text/javascript"),
        (status = 304, description = "The client has it already"),
        Refused,
    )
)]
pub async fn script(headers: HeaderMap) -> Response {
    let text = include_str!("../docs/page.js");
    file(&headers, "text/javascript; charset=utf-8", text)
}

/// The page's looks.
#[utoipa::path(
    get, path = "/docs/page.css", operation_id = "docs_style", tag = "node",
    responses(
        (status = 200, description = "A style sheet", body = String, content_type = "text/css"),
        (status = 304, description = "The client has it already"),
        Refused,
    )
)]
pub async fn style(headers: HeaderMap) -> Response {
    let text = include_str!("../docs/page.css");
    file(&headers, "text/css; charset=utf-8", text)
}

fn file(headers: &HeaderMap, kind: &'static str, text: &'static str) -> Response {
    let safety = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    let answer = (safety, text).into_response();
    cached(headers, VERSION, Lifetime::UntilAsked, answer)
}
