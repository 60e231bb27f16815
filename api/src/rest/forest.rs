//! `/v1/forest`: the tips of all branches, and the way from a tip down to the best chain.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use chain::BlockHash;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Segment, limit, query, read_much};
use crate::{
    ApiState, View,
    error::{Fields, Problem, Refused},
    limits::{BRANCHES_MAX, PAGE_MAX},
    queries::Deadline,
    view::{BranchBlockJson, BranchBlocksJson, BranchJson, ForestJson, HeadJson},
};

/// A page of tips.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Tips {
    /// Tips to pass over.
    cursor: Option<usize>,
    /// Tips on the page.
    #[param(minimum = 1, maximum = 256)]
    limit: Option<u64>,
}

/// A page of a branch.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Blocks {
    /// Hash of the first block; the tip without it.
    #[param(pattern = "^(0x)?[0-9a-fA-F]{64}$")]
    cursor: Option<String>,
    /// Blocks on the page.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u64>,
}

/// The best tips, best first.
#[utoipa::path(
    get,
    path = "/v1/forest",
    operation_id = "forest_tips",
    tag = "blocks",
    params(Tips),
    responses(
        (status = 200, description = "Found", body = ForestJson),
        Refused,
    ),
)]
pub async fn tips(
    State(state): State<ApiState>,
    page: Result<Query<Tips>, QueryRejection>,
) -> Result<Json<ForestJson>, Problem> {
    let page = query(page)?;
    let max = u64::try_from(BRANCHES_MAX).unwrap_or(u64::MAX);
    let limit = limit(page.limit, max)?;
    let view = state.view();
    let first = page.cursor.unwrap_or(0);
    let rest = view.branches.iter().skip(first);
    let branches: Vec<_> = rest
        .take(limit)
        .map(|branch| BranchJson::new(&view, branch))
        .collect();
    let next = first.saturating_add(branches.len());
    Ok(Json(ForestJson {
        next_cursor: (next < view.branches.len()).then_some(next),
        branches,
        head: HeadJson::new(&view),
    }))
}

/// A branch from any known block down to, and with, the first one on the best chain. A page that
/// took two seconds ends early.
#[utoipa::path(
    get,
    path = "/v1/forest/{tip}",
    operation_id = "forest_blocks",
    tag = "blocks",
    params(("tip" = String, Path, description = "Hash of any known block", pattern = "^(0x)?[0-9a-fA-F]{64}$"), Blocks),
    responses(
        (status = 200, description = "Found", body = BranchBlocksJson),
        (status = 404, description = "Not here", body = Fields, content_type = "application/problem+json"),
        Refused,
    ),
)]
pub async fn blocks(
    State(state): State<ApiState>,
    Segment(tip): Segment,
    page: Result<Query<Blocks>, QueryRejection>,
) -> Result<Json<BranchBlocksJson>, Problem> {
    let page = query(page)?;
    let limit = limit(page.limit, PAGE_MAX)?;
    let tip = hash(&tip)?;
    let first = page.cursor.as_deref().map_or(Ok(tip), hash)?;
    read_much(&state, move |view, deadline| {
        page_of(&view, tip, (first, limit), deadline)
    })
    .await
    .map(Json)
}

fn page_of(
    view: &View,
    tip: BlockHash,
    (first, limit): (BlockHash, usize),
    deadline: Deadline,
) -> Result<BranchBlocksJson, Problem> {
    let missing = |hash| Problem::not_found(format!("there is no block {hash}"));
    if view.reader.header(&tip)?.is_none() {
        return Err(missing(tip));
    }
    let (mut blocks, mut next) = (Vec::new(), Some(first));
    let is_full = |shown: usize| shown >= limit || (shown > 0 && deadline.is_over());
    while let Some(hash) = next.filter(|_| !is_full(blocks.len())) {
        let read = BranchBlockJson::read(view, hash)?;
        let (block, parent) = read.ok_or_else(|| missing(hash))?;
        next = (!block.is_last()).then_some(parent);
        blocks.push(block);
    }
    Ok(BranchBlocksJson {
        tip: tip.to_string(),
        blocks,
        next_cursor: next.map(|hash| hash.to_string()),
        head: HeadJson::new(view),
    })
}

fn hash(text: &str) -> Result<BlockHash, Problem> {
    let parsed = text.parse();
    parsed.map_err(|error| Problem::bad_request("bad_hash", format!("{error}")))
}
