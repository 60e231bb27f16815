//! `/v1/pool`: what waits to be mined, as a whole and page by page.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use chain::{Time, TxHash};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{limit, query, read, transaction_hash};
use crate::{
    ApiState, View,
    error::{Problem, Refused},
    limits::PAGE_MAX,
    view::{HeadJson, PoolJson, PoolPageJson, PooledJson},
};

/// A page of the pool.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// Hash of the last transaction of the page before, which may have left since.
    #[param(pattern = "^(0x)?[0-9a-fA-F]{64}$")]
    cursor: Option<String>,
    /// Transactions on the page.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u64>,
}

/// How full the pool is and what it asks for.
#[utoipa::path(
    get,
    path = "/v1/pool",
    operation_id = "pool_summary",
    tag = "pool",
    responses(
        (status = 200, description = "Found", body = PoolJson),
        Refused,
    ),
)]
pub async fn summary(State(state): State<ApiState>) -> Json<PoolJson> {
    Json(PoolJson::new(&state.view(), (state.clock)()))
}

/// Transactions of the pool by their hashes: an order in which none is met twice, or passed over,
/// while others come and go between two pages.
#[utoipa::path(
    get,
    path = "/v1/pool/transactions",
    operation_id = "pool_list",
    tag = "pool",
    params(Page),
    responses(
        (status = 200, description = "Found", body = PoolPageJson),
        Refused,
    ),
)]
pub async fn list(
    State(state): State<ApiState>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<PoolPageJson>, Problem> {
    let page = query(page)?;
    let limit = limit(page.limit, PAGE_MAX)?;
    let after = page.cursor.as_deref().map(transaction_hash).transpose()?;
    let now = (state.clock)();
    read(&state, move |view| Ok(page_of(&view, after, limit, now)))
        .await
        .map(Json)
}

fn page_of(view: &View, after: Option<TxHash>, limit: usize, now: Time) -> PoolPageJson {
    // One more than wanted tells whether there is a next page.
    let count = limit.saturating_add(1);
    let mut entries: Vec<_> = view.pool.page(after.as_ref(), count).collect();
    let is_last = entries.len() <= limit;
    entries.truncate(limit);
    let last = entries.last().map(|entry| entry.transaction.hash());
    PoolPageJson {
        transactions: entries
            .iter()
            .map(|entry| PooledJson::new(entry, now))
            .collect(),
        next_cursor: last.filter(|_| !is_last).map(|hash| hash.to_string()),
        head: HeadJson::new(view),
    }
}
