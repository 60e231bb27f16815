//! `/v1/blocks`: the best chain page by page, and single blocks of any branch.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::HeaderMap,
    response::Response,
};
use chain::{BlockHash, Header, Stage};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Lifetime, Segment, cached, limit, query, read, read_much};
use crate::{
    ApiState, View,
    error::{Fields, Problem, Refused},
    limits::{PAGE_MAX, PAGE_TRANSACTIONS_MAX},
    queries::Deadline,
    view::{
        BlockJson, BlockStatusJson, BlockTransactionsJson, BlocksJson, HeadJson, HeaderAnswerJson,
    },
};

/// A page of blocks.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// Height of the first block; the head without it.
    cursor: Option<u64>,
    /// Blocks on the page.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u64>,
}

/// A page of a block's transactions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Transactions {
    /// Index of the first transaction; 0 without it.
    cursor: Option<u32>,
    /// Transactions on the page.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u64>,
}

/// Blocks of the best chain, downwards. A page ends early once it names many transactions or took
/// two seconds.
#[utoipa::path(
    get,
    path = "/v1/blocks",
    operation_id = "blocks_list",
    tag = "blocks",
    params(Page),
    responses(
        (status = 200, description = "Found", body = BlocksJson),
        Refused,
    ),
)]
pub async fn list(
    State(state): State<ApiState>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<BlocksJson>, Problem> {
    let page = query(page)?;
    let limit = u64::try_from(limit(page.limit, PAGE_MAX)?).unwrap_or(PAGE_MAX);
    read_much(&state, move |view, deadline| {
        page_of(&view, page.cursor, limit, deadline)
    })
    .await
    .map(Json)
}

fn page_of(
    view: &View,
    cursor: Option<u64>,
    limit: u64,
    deadline: Deadline,
) -> Result<BlocksJson, Problem> {
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
        if transactions >= PAGE_TRANSACTIONS_MAX || deadline.is_over() {
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
#[utoipa::path(
    get,
    path = "/v1/blocks/{id}",
    operation_id = "blocks_one",
    tag = "blocks",
    params(("id" = String, Path, description = "Hash, height on the best chain, or `head`", pattern = "^(head|[0-9]{1,19}|(0x)?[0-9a-fA-F]{64})$", example = "head")),
    responses(
        (status = 200, description = "Found", body = BlockJson),
        (status = 304, description = "The client has it already"),
        (status = 404, description = "Not here", body = Fields, content_type = "application/problem+json"),
        Refused,
    ),
)]
pub async fn one(
    State(state): State<ApiState>,
    Segment(id): Segment,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (block, tag) = read(&state, move |view| {
        let hash = known(&view, &id)?.0;
        let block = BlockJson::read(&view, hash)?.ok_or_else(|| missing(&id))?;
        let tag = format!("{hash}-{}-{}", view.head.hash, block.stage());
        Ok((block, tag))
    })
    .await?;
    Ok(cached(&headers, &tag, Lifetime::UntilAsked, Json(block)))
}

/// A block's header, in fields and in bytes.
///
/// Nothing in it ever changes, so that the answer to a hash may be kept for ever; it names no head.
#[utoipa::path(
    get,
    path = "/v1/blocks/{id}/header",
    operation_id = "blocks_header",
    tag = "blocks",
    params(("id" = String, Path, description = "Hash, height on the best chain, or `head`", pattern = "^(head|[0-9]{1,19}|(0x)?[0-9a-fA-F]{64})$", example = "head")),
    responses(
        (status = 200, description = "Found", body = HeaderAnswerJson),
        (status = 304, description = "The client has it already"),
        (status = 404, description = "Not here", body = Fields, content_type = "application/problem+json"),
        Refused,
    ),
)]
pub async fn header(
    State(state): State<ApiState>,
    Segment(id): Segment,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let lifetime = lifetime_of_name(&id);
    let (answer, hash) = read(&state, move |view| {
        let (hash, header) = known(&view, &id)?;
        Ok((HeaderAnswerJson::new(hash, &header), hash))
    })
    .await?;
    Ok(cached(&headers, &hash.to_string(), lifetime, Json(answer)))
}

/// A block's transactions in order, with what they did once it is executed.
///
/// Of an executed block that is named by its hash the answer may be kept for ever; it names no head.
#[utoipa::path(
    get,
    path = "/v1/blocks/{id}/transactions",
    operation_id = "blocks_transactions",
    tag = "blocks",
    params(("id" = String, Path, description = "Hash, height on the best chain, or `head`", pattern = "^(head|[0-9]{1,19}|(0x)?[0-9a-fA-F]{64})$", example = "head"), Transactions),
    responses(
        (status = 200, description = "Found", body = BlockTransactionsJson),
        (status = 304, description = "The client has it already"),
        (status = 404, description = "Not here", body = Fields, content_type = "application/problem+json"),
        Refused,
    ),
)]
pub async fn transactions(
    State(state): State<ApiState>,
    Segment(id): Segment,
    page: Result<Query<Transactions>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let page = query(page)?;
    let limit = limit(page.limit, PAGE_MAX)?;
    let first = page.cursor.unwrap_or(0);
    let named = lifetime_of_name(&id);
    let (answer, stage) = read_much(&state, move |view, _| {
        let (hash, header) = known(&view, &id)?;
        let stage = view.reader.stage(&hash)?.unwrap_or(Stage::Header);
        let answer = BlockTransactionsJson::read(&view, hash, &header, (first, limit))?;
        let answer = answer.ok_or_else(|| {
            let detail = format!("the body of block {hash} is not here yet; try again later");
            Problem::not_found(detail)
        })?;
        Ok((answer, stage))
    })
    .await?;
    let lifetime = match stage {
        Stage::Executed => named,
        _ => Lifetime::UntilAsked,
    };
    let tag = format!("{}-{first}-{limit}-{}", answer.block(), stage as u8);
    Ok(cached(&headers, &tag, lifetime, Json(answer)))
}

/// Whether a block is on the best chain, how deep, and how far it has come.
#[utoipa::path(
    get,
    path = "/v1/blocks/{id}/status",
    operation_id = "blocks_standing",
    tag = "blocks",
    params(("id" = String, Path, description = "Hash, height on the best chain, or `head`", pattern = "^(head|[0-9]{1,19}|(0x)?[0-9a-fA-F]{64})$", example = "head")),
    responses(
        (status = 200, description = "Found", body = BlockStatusJson),
        (status = 404, description = "Not here", body = Fields, content_type = "application/problem+json"),
        Refused,
    ),
)]
pub async fn standing(
    State(state): State<ApiState>,
    Segment(id): Segment,
) -> Result<Json<BlockStatusJson>, Problem> {
    read(&state, move |view| {
        let (hash, header) = known(&view, &id)?;
        Ok(BlockStatusJson::read(&view, hash, &header)?)
    })
    .await
    .map(Json)
}

/// What is named by its hash stays the same thing.
fn lifetime_of_name(id: &str) -> Lifetime {
    if id.parse::<u64>().is_err() && id != "head" {
        return Lifetime::ForEver;
    }
    Lifetime::UntilAsked
}

/// The block of that name and its header.
fn known(view: &View, id: &str) -> Result<(BlockHash, std::sync::Arc<Header>), Problem> {
    let hash = find(view, id)?.ok_or_else(|| missing(id))?;
    let header = view.reader.header(&hash)?.ok_or_else(|| missing(id))?;
    Ok((hash, header))
}

fn missing(id: &str) -> Problem {
    let shown: String = id.chars().take(80).collect();
    Problem::not_found(format!("there is no block {shown:?}"))
}

/// The hash that a name stands for: itself, a height on the best chain, or `head`.
pub(super) fn find(view: &View, id: &str) -> Result<Option<BlockHash>, Problem> {
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
