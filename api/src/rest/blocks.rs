//! `/v1/blocks`: the best chain page by page, and single blocks of any branch.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use chain::BlockHash;
use serde::Deserialize;

use super::{Segment, limit, query, read};
use crate::{
    ApiState, View,
    error::Problem,
    limits::{PAGE_MAX, PAGE_TRANSACTIONS_MAX},
    view::{BlockJson, BlocksJson, HeadJson},
};

/// A page of blocks.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// Height of the first block; the head without it.
    cursor: Option<u64>,
    /// Blocks on the page.
    limit: Option<u64>,
}

/// Blocks of the best chain, downwards. A page ends early once it names many transactions.
pub async fn list(
    State(state): State<ApiState>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<BlocksJson>, Problem> {
    let page = query(page)?;
    let limit = u64::try_from(limit(page.limit, PAGE_MAX)?).unwrap_or(PAGE_MAX);
    read(&state, move |view| page_of(&view, page.cursor, limit))
        .await
        .map(Json)
}

fn page_of(view: &View, cursor: Option<u64>, limit: u64) -> Result<BlocksJson, Problem> {
    let first = cursor.unwrap_or(view.head.height).min(view.head.height);
    let mut last = first.saturating_sub(limit - 1);
    let mut blocks = Vec::new();
    let mut transactions = 0;
    for height in (last..=first).rev() {
        let Some(hash) = view.reader.canonical(height)? else {
            break;
        };
        let block = BlockJson::read(view, hash)?;
        transactions += block.as_ref().map_or(0, BlockJson::transactions_named);
        blocks.extend(block);
        if transactions >= PAGE_TRANSACTIONS_MAX {
            last = height;
            break;
        }
    }
    let next_cursor = last.checked_sub(1);
    Ok(BlocksJson {
        blocks,
        next_cursor,
        head: HeadJson::new(view),
    })
}

/// One block, by hash, by height on the best chain, or `head`.
///
/// The answer may be kept but not be used unasked: also of a block that is named by its hash,
/// confirmations and stage change. Asking again costs no body while the head is the same.
pub async fn one(
    State(state): State<ApiState>,
    Segment(id): Segment,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (block, tag) = read(&state, move |view| {
        let shown: String = id.chars().take(80).collect();
        let missing = || Problem::not_found(format!("there is no block {shown:?}"));
        let hash = find(&view, &id)?.ok_or_else(missing)?;
        let block = BlockJson::read(&view, hash)?.ok_or_else(missing)?;
        let tag = format!("\"{hash}-{}-{}\"", view.head.hash, block.stage());
        Ok((block, tag))
    })
    .await?;
    let known = headers.get(header::IF_NONE_MATCH);
    let is_known = known.is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let caching = [
        (header::ETAG, tag),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
    ];
    if is_known {
        return Ok((StatusCode::NOT_MODIFIED, caching).into_response());
    }
    Ok((caching, Json(block)).into_response())
}

fn find(view: &View, id: &str) -> Result<Option<BlockHash>, Problem> {
    if id == "head" {
        return Ok(Some(view.head.hash));
    }
    if let Ok(height) = id.parse::<u64>() {
        return Ok(view.reader.canonical(height)?);
    }
    id.parse().map(Some).map_err(|_| {
        let shown: String = id.chars().take(80).collect();
        let detail = format!("a block is named by hash, height or `head`, got {shown:?}");
        Problem::bad_request("bad_block_id", detail)
    })
}
