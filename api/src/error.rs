//! Errors as RFC 9457 problems: a stable code for programs, one sentence for people.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chain::{PoolError, StoreError, pool::Departure, transaction::TransactionError};
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use crate::limits::DETAIL_CHARS_MAX;

/// A problem, `application/problem+json`.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Problem(Box<Fields>);

/// What a problem tells.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Fields {
    /// Always about:blank: `code` says more.
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    /// One sentence for people.
    detail: String,
    /// For programs; it stays the same.
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    want: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    got: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// The refusals that any path may answer with.
#[derive(IntoResponses)]
#[allow(
    dead_code,
    reason = "it describes answers that Problem gives, and is never made"
)]
pub enum Refused {
    /// A part of the request cannot be read
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(Fields),
    /// Host or Origin are not allowed
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Fields),
    /// The node failed
    #[response(status = 500, content_type = "application/problem+json")]
    Failed(Fields),
    /// Not now; ask again
    #[response(status = 503, content_type = "application/problem+json")]
    Busy(Fields),
}

impl Problem {
    /// A problem with a code and a sentence.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Fields {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: shortened(detail.into()),
            code,
            want: None,
            got: None,
            reason: None,
        }))
    }

    /// A mistake of ours in answering.
    pub fn internal() -> Self {
        let detail = "the request failed; the node's log says why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// A malformed part of a request.
    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// An object that is not there.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// A transaction that the pool had and no longer has; `reason` is the departure's code.
    pub fn departed(departure: &Departure) -> Self {
        let detail = format!(
            "transaction {} is not mined and has left the pool: {}",
            departure.hash, departure.reason
        );
        let mut problem = Self::new(StatusCode::NOT_FOUND, "transaction_departed", detail);
        problem.0.reason = Some(departure.reason.code());
        problem
    }

    /// The same with a few words before its sentence.
    pub fn after(mut self, words: &str) -> Self {
        self.0.detail = format!("{words}: {}", self.0.detail);
        self
    }

    /// The same with what was wanted and what came, for programs.
    pub fn with(mut self, want: &impl ToString, got: &impl ToString) -> Self {
        (self.0.want, self.0.got) = (Some(want.to_string()), Some(got.to_string()));
        self
    }
}

/// A sentence of bounded length.
fn shortened(mut detail: String) -> String {
    if let Some((end, _)) = detail.char_indices().nth(DETAIL_CHARS_MAX) {
        detail.truncate(end);
        detail.push('…');
    }
    detail
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl From<TransactionError> for Problem {
    fn from(error: TransactionError) -> Self {
        let code = match &error {
            TransactionError::TooLarge(_) => "transaction_too_large",
            TransactionError::Malformed(_) => "transaction_malformed",
            TransactionError::NotCanonical => "transaction_not_canonical",
            TransactionError::Type(_) => "transaction_type_unsupported",
            TransactionError::ChainId { .. } | TransactionError::NoChainId { .. } => {
                "wrong_chain_id"
            }
            TransactionError::HighS | TransactionError::Signature => "invalid_signature",
        };
        let problem = Self::bad_request(code, error.to_string());
        match error {
            TransactionError::ChainId { want, got } => problem.with(&want, &got),
            _ => problem,
        }
    }
}

impl From<PoolError> for Problem {
    fn from(error: PoolError) -> Self {
        let status = match &error {
            PoolError::Known(_) | PoolError::Underpriced { .. } => StatusCode::CONFLICT,
            // Not the transaction's fault: the same bytes may be taken later.
            error if error.is_for_now() => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let problem = Self::new(status, error.code(), error.to_string());
        match error.numbers() {
            Some((want, got)) => problem.with(&want, &got),
            None => problem,
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!("{error}");
        let detail = "the node cannot read its store; its log says why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "store_failed", detail)
    }
}
