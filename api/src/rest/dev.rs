//! `/v1/dev`: what a developer does to a network of his own. Rivals, splits, delays, blocks at once.
//!
//! For holders of the data directory's token, never for a page in a browser, and on networks
//! marked `dev` alone.

use axum::{
    Json,
    extract::{FromRequest, Request, State},
    http::{HeaderMap, StatusCode, header},
};
use chain::{Bits, BlockId, U256};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{mpsc::error::TrySendError, oneshot};
use utoipa::ToSchema;

use super::body::{parse_json, read_body};
use crate::{
    ApiState,
    error::{Fields, Problem, Refused},
    operator::{BLOCKED_MAX, BLOCKS_MAX, Command, DELAY_MS_MAX, Made, Order, Outcome, Refusal},
    orders,
};

/// The JSON body of a request that may give orders.
pub struct Authorised(pub(super) Value);

impl FromRequest<ApiState> for Authorised {
    type Rejection = Problem;

    /// Nothing of the body is read before its sender has shown the token.
    async fn from_request(request: Request, state: &ApiState) -> Result<Self, Problem> {
        check(request.headers(), state)?;
        let body = read_body(request).await?;
        parse_json(&body, "wanted a JSON object").map(Self)
    }
}

/// Threats A3 and A4: no browser, no stranger, no network with value.
fn check(headers: &HeaderMap, state: &ApiState) -> Result<(), Problem> {
    if headers.contains_key(header::ORIGIN) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "origin_not_allowed",
            "dev verbs are not for pages in a browser: send no Origin header",
        ));
    }
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if !given.is_some_and(|given| state.operator.token.is(given)) {
        let got = given.map_or("none", |_| "another one");
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            format!(
                "wanted the token of operator.token in the node's data directory, got {got}: send \
                 it as Authorization: Bearer"
            ),
        ));
    }
    if !state.view().spec.dev {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "not_a_dev_network",
            "dev verbs exist only on dev networks, and this network's spec does not say dev",
        ));
    }
    Ok(())
}

/// Refuses the peers named, and no others.
#[utoipa::path(
    post,
    path = "/v1/dev/partition",
    operation_id = "dev_partition",
    tag = "dev",
    request_body = orders::BlockedJson,
    security(("operator" = [])),
    responses(
        (status = 200, description = "Done", body = DoneJson),
        (status = 401, description = "Without the token", body = Fields, content_type = "application/problem+json"),
        (status = 409, description = "In conflict with what there is", body = Fields, content_type = "application/problem+json"),
        (status = 408, description = "The body did not arrive in time", body = Fields, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Fields, content_type = "application/problem+json"),
        Refused,
    ),
)]
pub async fn partition(
    State(state): State<ApiState>,
    Authorised(body): Authorised,
) -> Result<Json<DoneJson>, Problem> {
    let blocked = ids(&body).ok_or_else(|| {
        bad_field(
            &format!("{{\"blocked\": [at most {BLOCKED_MAX} peer ids]}}"),
            &body,
        )
    })?;
    order(&state, Order::Partition { blocked }).await.map(Json)
}

/// Holds back what peers send.
#[utoipa::path(
    post,
    path = "/v1/dev/delay",
    operation_id = "dev_delay",
    tag = "dev",
    request_body = orders::DelayJson,
    security(("operator" = [])),
    responses(
        (status = 200, description = "Done", body = DoneJson),
        (status = 401, description = "Without the token", body = Fields, content_type = "application/problem+json"),
        (status = 409, description = "In conflict with what there is", body = Fields, content_type = "application/problem+json"),
        (status = 408, description = "The body did not arrive in time", body = Fields, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Fields, content_type = "application/problem+json"),
        Refused,
    ),
)]
pub async fn delay(
    State(state): State<ApiState>,
    Authorised(body): Authorised,
) -> Result<Json<DoneJson>, Problem> {
    let milliseconds = number(&body, "milliseconds", 0, DELAY_MS_MAX)?;
    order(&state, Order::Delay { milliseconds }).await.map(Json)
}

/// Makes blocks at once; answers when they are made.
#[utoipa::path(
    post,
    path = "/v1/dev/mine",
    operation_id = "dev_mine",
    tag = "dev",
    request_body = orders::MineJson,
    security(("operator" = [])),
    responses(
        (status = 200, description = "Done", body = DoneJson),
        (status = 401, description = "Without the token", body = Fields, content_type = "application/problem+json"),
        (status = 409, description = "In conflict with what there is", body = Fields, content_type = "application/problem+json"),
        (status = 408, description = "The body did not arrive in time", body = Fields, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Fields, content_type = "application/problem+json"),
        Refused,
    ),
)]
pub async fn mine(
    State(state): State<ApiState>,
    Authorised(body): Authorised,
) -> Result<Json<DoneJson>, Problem> {
    let blocks = number(&body, "blocks", 1, BLOCKS_MAX)?;
    order(&state, Order::Mine { blocks }).await.map(Json)
}

/// Replaces the last blocks by others; answers when that is done.
#[utoipa::path(
    post,
    path = "/v1/dev/reorg",
    operation_id = "dev_reorg",
    tag = "dev",
    request_body = orders::ReorgJson,
    security(("operator" = [])),
    responses(
        (status = 200, description = "Done", body = DoneJson),
        (status = 401, description = "Without the token", body = Fields, content_type = "application/problem+json"),
        (status = 409, description = "In conflict with what there is", body = Fields, content_type = "application/problem+json"),
        (status = 408, description = "The body did not arrive in time", body = Fields, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Fields, content_type = "application/problem+json"),
        Refused,
    ),
)]
pub async fn reorg(
    State(state): State<ApiState>,
    Authorised(body): Authorised,
) -> Result<Json<DoneJson>, Problem> {
    let depth = number(&body, "depth", 1, BLOCKS_MAX)?;
    order(&state, Order::Reorg { depth }).await.map(Json)
}

fn ids(body: &Value) -> Option<Vec<String>> {
    let list = body.get("blocked")?.as_array()?;
    let ids = list.iter().map(|id| id.as_str().map(str::to_owned));
    let ids: Option<Vec<String>> = ids.collect();
    ids.filter(|ids| ids.len() <= BLOCKED_MAX)
}

fn number(body: &Value, field: &str, least: u64, most: u64) -> Result<u64, Problem> {
    let number = body.get(field).and_then(Value::as_u64);
    let number = number.filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| {
        let why = if field == "milliseconds" {
            ", since gossip waits no more than 5 s for a verdict"
        } else {
            ""
        };
        bad_field(
            &format!("{{\"{field}\": N}} with N from {least} to {most}{why}"),
            body,
        )
    })
}

pub(super) fn bad_field(wanted: &str, got: &Value) -> Problem {
    let got: String = got.to_string().chars().take(80).collect();
    Problem::bad_request("bad_order", format!("wanted {wanted}; got {got}"))
}

/// Hands an order to the shell and waits for its outcome, however long it takes: the shell limits
/// the time, and gives up when this request is gone.
async fn order(state: &ApiState, order: Order) -> Result<DoneJson, Problem> {
    let (reply, outcome) = oneshot::channel();
    let stopping = || Refusal::Stopping("the node is stopping".into());
    state
        .operator
        .orders
        .try_send(Command { order, reply })
        .map_err(|error| match error {
            TrySendError::Full(_) => Refusal::Busy("too many orders are waiting".into()),
            TrySendError::Closed(_) => stopping(),
        })?;
    let outcome = outcome.await.unwrap_or_else(|_| Err(stopping()))?;
    Ok(DoneJson::from(outcome))
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (status, code, detail) = match refusal {
            Refusal::Invalid(detail) => (StatusCode::BAD_REQUEST, "bad_order", detail),
            Refusal::Busy(detail) => (StatusCode::SERVICE_UNAVAILABLE, "busy", detail),
            Refusal::Unfinished(detail) => (StatusCode::CONFLICT, "unfinished", detail),
            Refusal::Stopping(detail) => (StatusCode::SERVICE_UNAVAILABLE, "stopping", detail),
        };
        Self::new(status, code, detail)
    }
}

/// What an order has done.
#[derive(Debug, Serialize, ToSchema)]
pub struct DoneJson {
    done: bool,
    /// Absent where no blocks were to be made.
    #[serde(flatten)]
    #[schema(value_type = MadeJson)]
    made: Option<MadeJson>,
}

/// The blocks that an order has made.
#[derive(Debug, Serialize, ToSchema)]
struct MadeJson {
    #[schema(required = false)]
    asked: u64,
    #[schema(required = false)]
    blocks: Vec<IdJson>,
    #[schema(required = false)]
    old_head: IdJson,
    #[schema(required = false)]
    new_head: IdJson,
    /// Blocks that left the best chain.
    #[schema(required = false)]
    depth: u64,
    #[schema(required = false)]
    difficulty_before: DifficultyJson,
    #[schema(required = false)]
    difficulty_after: DifficultyJson,
    /// Of the whole network, from the blocks before.
    #[schema(required = false)]
    hashes_per_second: Option<String>,
    #[schema(required = false)]
    stopped: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct IdJson {
    height: u64,
    hash: String,
}

/// What the next block takes.
#[derive(Debug, Serialize, ToSchema)]
struct DifficultyJson {
    bits: String,
    /// Hashes expected.
    hashes: String,
    /// At the network's hash rate.
    expected_ms: Option<u64>,
}

impl From<Outcome> for DoneJson {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self {
                done: true,
                made: None,
            },
            Outcome::Made(made) => Self {
                done: made.stopped.is_none(),
                made: Some(made.into()),
            },
        }
    }
}

impl From<Made> for MadeJson {
    fn from(made: Made) -> Self {
        let difficulty = |bits| DifficultyJson::new(bits, made.hash_rate);
        Self {
            asked: made.asked,
            old_head: made.old_head.into(),
            new_head: made.new_head.into(),
            depth: made.depth,
            difficulty_before: difficulty(made.bits.0),
            difficulty_after: difficulty(made.bits.1),
            hashes_per_second: made.hash_rate.map(|rate| rate.to_string()),
            blocks: made.blocks.into_iter().map(IdJson::from).collect(),
            stopped: made.stopped,
        }
    }
}

impl From<BlockId> for IdJson {
    fn from(id: BlockId) -> Self {
        Self {
            height: id.height,
            hash: id.hash.to_string(),
        }
    }
}

impl DifficultyJson {
    fn new(bits: Bits, hash_rate: Option<U256>) -> Self {
        let hashes = bits.target().map_or(U256::ZERO, chain::Target::work);
        let rate = hash_rate.filter(|rate| !rate.is_zero());
        let expected = rate.map(|rate| hashes.saturating_mul(U256::from(1_000)) / rate);
        Self {
            bits: bits.to_string(),
            hashes: hashes.to_string(),
            expected_ms: expected.map(|ms| u64::try_from(ms).unwrap_or(u64::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_out_of_range_are_refused_with_what_was_wanted() {
        for body in [json!({}), json!({"blocks": 0}), json!({"blocks": 1001})] {
            assert!(number(&body, "blocks", 1, BLOCKS_MAX).is_err(), "{body}");
        }
        for body in [json!({"blocks": "5"}), json!({"blocks": -1}), json!([5])] {
            assert!(number(&body, "blocks", 1, BLOCKS_MAX).is_err(), "{body}");
        }
        let most = number(&json!({"blocks": 1000}), "blocks", 1, BLOCKS_MAX);
        assert_eq!(most.ok(), Some(1_000));
    }

    #[test]
    fn a_list_of_ids_is_text_and_bounded() {
        assert_eq!(ids(&json!({"blocked": []})), Some(vec![]));
        assert_eq!(ids(&json!({"blocked": ["a"]})), Some(vec!["a".into()]));
        assert_eq!(ids(&json!({"blocked": [1]})), None);
        assert_eq!(ids(&json!({"blocked": vec!["a"; BLOCKED_MAX + 1]})), None);
    }

    #[test]
    fn the_expected_time_is_work_over_rate() {
        let bits = Bits(0x1e7f_ffff);
        let json = DifficultyJson::new(bits, Some(U256::from(65_536)));
        assert_eq!(json.hashes, "131072");
        assert_eq!(json.expected_ms, Some(2_000));
        let unknown = DifficultyJson::new(bits, Some(U256::ZERO));
        assert_eq!(unknown.expected_ms, None);
    }
}
