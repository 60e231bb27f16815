//! `/v1/transactions`: submit one, and look one up on the best chain or in the pool.

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use chain::{CheckedTransaction, PoolError, TxHash};
use serde::Serialize;
use serde_json::Value;
use tokio::{
    sync::{mpsc::error::TrySendError, oneshot},
    time::timeout,
};
use utoipa::ToSchema;

use super::{
    Segment,
    body::{parse_json, read_body},
    read, transaction_hash,
};
use crate::{
    ApiState, Submission,
    error::{Fields, Problem, Refused},
    limits::SUBMIT_TIME_OUT,
    orders,
    view::{StandingJson, TransactionJson, hex_bytes},
};

/// The pool has taken a transaction.
#[derive(Debug, Serialize, ToSchema)]
pub struct Submitted {
    hash: String,
    /// Whether a restart of the node would keep it.
    durable: bool,
}

/// Takes a signed transaction: its bytes in hex, as text, as a JSON string, or as `{"raw": …}`.
#[utoipa::path(
    post,
    path = "/v1/transactions",
    operation_id = "transactions_submit",
    tag = "transactions",
    request_body(content((String = "text/plain"), (orders::RawJson = "application/json")), description = "A signed transaction: hex text, a JSON string or an object"),
    responses(
        (status = 202, description = "Done", body = Submitted),
        (status = 409, description = "In conflict with what there is", body = Fields, content_type = "application/problem+json"),
        (status = 422, description = "Not valid where it stands", body = Fields, content_type = "application/problem+json"),
        (status = 408, description = "The body did not arrive in time", body = Fields, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Fields, content_type = "application/problem+json"),
        Refused,
    ),
)]
pub async fn submit(
    State(state): State<ApiState>,
    request: Request,
) -> Result<(StatusCode, Json<Submitted>), Problem> {
    let body = read_body(request).await?;
    let bytes = raw_bytes(&body)?;
    let chain_id = state.view().spec.chain_id;
    // Recovering the sender is work for a thread that may be busy with it.
    let check = move || CheckedTransaction::check(&bytes, chain_id);
    let checked = tokio::task::spawn_blocking(check).await;
    let transaction = checked.map_err(|_| unavailable("the check was cut off"))??;
    let hash = hand_in(&state, transaction).await??;
    let submitted = Submitted {
        hash: hash.to_string(),
        durable: true,
    };
    Ok((StatusCode::ACCEPTED, Json(submitted)))
}

/// Hands a transaction to the core and waits for the pool's answer.
pub(super) async fn hand_in(
    state: &ApiState,
    transaction: CheckedTransaction,
) -> Result<Result<TxHash, PoolError>, Problem> {
    let (reply, answer) = oneshot::channel();
    state
        .submissions
        .try_send(Submission { transaction, reply })
        .map_err(|error| match error {
            TrySendError::Full(_) => unavailable("too many transactions are waiting"),
            TrySendError::Closed(_) => unavailable("the node is stopping"),
        })?;
    match timeout(SUBMIT_TIME_OUT, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(unavailable(
            "the node is stopping, or its disk takes nothing",
        )),
        Err(_) => Err(unavailable(
            "the node is busy and may still take the transaction",
        )),
    }
}

pub(super) fn unavailable(detail: &str) -> Problem {
    let detail = format!("{detail}; try again");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail)
}

/// The transaction's bytes out of any of the accepted forms.
fn raw_bytes(body: &[u8]) -> Result<Vec<u8>, Problem> {
    let bad = |detail: String| Problem::bad_request("bad_body", detail);
    let wanted = "a signed transaction as hex text, a JSON string or {\"raw\": \"0x…\"}";
    let text = std::str::from_utf8(body)
        .map_err(|_| bad(format!("the body is not text; wanted {wanted}")))?
        .trim();
    let hex = if text.starts_with(['{', '"', '[']) {
        let json: Value = parse_json(text.as_bytes(), &format!("wanted {wanted}"))?;
        let raw = json.get("raw").unwrap_or(&json).as_str().map(str::to_owned);
        raw.ok_or_else(|| bad(format!("wanted {wanted}")))?
    } else {
        text.to_owned()
    };
    hex_bytes(&hex).ok_or_else(|| {
        let shown: String = hex.chars().take(20).collect();
        bad(format!("{shown:?} is not hex; wanted {wanted}"))
    })
}

/// A transaction of the best chain or of the pool; of one that has left it the reason.
#[utoipa::path(
    get,
    path = "/v1/transactions/{hash}",
    operation_id = "transactions_one",
    tag = "transactions",
    params(("hash" = String, Path, description = "Hash of the transaction", pattern = "^(0x)?[0-9a-fA-F]{64}$")),
    responses(
        (status = 200, description = "Found", body = TransactionJson),
        (status = 404, description = "Not here", body = Fields, content_type = "application/problem+json"),
        Refused,
    ),
)]
pub async fn one(
    State(state): State<ApiState>,
    Segment(hash): Segment,
) -> Result<Json<TransactionJson>, Problem> {
    let hash = transaction_hash(&hash)?;
    let now = (state.clock)();
    read(&state, move |view| {
        TransactionJson::find(&view, hash, now)?.ok_or_else(|| {
            let departure = view.pool.departure(&hash);
            departure.map_or_else(|| unknown(&hash), Problem::departed)
        })
    })
    .await
    .map(Json)
}

fn unknown(hash: &TxHash) -> Problem {
    let what = "is neither mined, nor in the pool, nor among those that left it lately";
    Problem::not_found(format!("transaction {hash} {what}"))
}

/// Where a transaction stands, and why there.
#[utoipa::path(
    get,
    path = "/v1/transactions/{hash}/status",
    operation_id = "transactions_standing",
    tag = "transactions",
    params(("hash" = String, Path, description = "Hash of the transaction", pattern = "^(0x)?[0-9a-fA-F]{64}$")),
    responses(
        (status = 200, description = "Found", body = StandingJson),
        (status = 404, description = "Not here", body = Fields, content_type = "application/problem+json"),
        Refused,
    ),
)]
pub async fn standing(
    State(state): State<ApiState>,
    Segment(hash): Segment,
) -> Result<Json<StandingJson>, Problem> {
    let hash = transaction_hash(&hash)?;
    let now = (state.clock)();
    read(&state, move |view| {
        StandingJson::find(&view, hash, now)?.ok_or_else(|| unknown(&hash))
    })
    .await
    .map(Json)
}
