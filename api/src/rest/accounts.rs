//! `/v1/accounts`: what accounts have on the chain, and waiting in the pool.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
};
use chain::{Account, Address, BlockId, params::STATE_WINDOW, store::Past};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Segment, address, blocks::find, limit, query, read, read_much};
use crate::{
    ApiState, View,
    error::{Fields, Problem, Refused},
    ledger::Top,
    limits::{BATCH_MAX, TOP_MAX},
    view::{AccountJson, AccountsJson, HeadJson, TopAccountJson, TopAccountsJson},
};

/// When an account is looked at.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct When {
    /// Height, hash or `head`; the head without it.
    #[param(pattern = "^(head|[0-9]{1,19}|(0x)?[0-9a-fA-F]{64})$", example = "0")]
    at: Option<String>,
}

/// Which accounts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Batch {
    /// Up to 100 addresses with commas between them.
    #[param(example = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")]
    address: String,
}

/// A page of the accounts with most.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// Accounts to pass over.
    cursor: Option<usize>,
    /// Accounts on the page.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u64>,
}

/// One account at the head, or as it was after a block of the best chain.
///
/// An account nobody has used is one with nothing. Nodes that run with `--archive` answer for every
/// block of the best chain, others for the last 128.
#[utoipa::path(
    get,
    path = "/v1/accounts/{address}",
    operation_id = "accounts_one",
    tag = "accounts",
    params(("address" = String, Path, description = "0x and 40 hex digits; mixed case is an EIP-55 checksum", pattern = "^0x[0-9a-fA-F]{40}$", example = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"), When),
    responses(
        (status = 200, description = "Found", body = AccountJson),
        (status = 404, description = "There is no such block, or it is not on the best chain", body = Fields, content_type = "application/problem+json"),
        (status = 410, description = "The state of that block is not kept", body = Fields, content_type = "application/problem+json"),
        Refused,
    ),
)]
pub async fn one(
    State(state): State<ApiState>,
    Segment(text): Segment,
    when: Result<Query<When>, QueryRejection>,
) -> Result<Json<AccountJson>, Problem> {
    let when = query(when)?;
    let address = address::parse(&text)?;
    let Some(name) = when.at.filter(|name| name != "head") else {
        let account = read(&state, move |view| Ok(AccountJson::new(&view, address)));
        return account.await.map(Json);
    };
    read_much(&state, move |view, _| {
        let at = best_block(&view, &name)?;
        let account = past(&view, &address, at.height)?;
        Ok(AccountJson::past(&view, address, account, &at))
    })
    .await
    .map(Json)
}

/// Several accounts at one head.
#[utoipa::path(
    get,
    path = "/v1/accounts",
    operation_id = "accounts_several",
    tag = "accounts",
    params(Batch),
    responses(
        (status = 200, description = "Found", body = AccountsJson),
        Refused,
    ),
)]
pub async fn several(
    State(state): State<ApiState>,
    batch: Result<Query<Batch>, QueryRejection>,
) -> Result<Json<AccountsJson>, Problem> {
    let batch = query(batch)?.address;
    let count = batch.split(',').count();
    if count > BATCH_MAX {
        let detail = format!("wanted at most {BATCH_MAX} addresses, got {count}");
        return Err(Problem::bad_request("too_many_addresses", detail));
    }
    let addresses: Vec<Address> = batch
        .split(',')
        .map(address::parse)
        .collect::<Result<_, _>>()?;
    read(&state, move |view| {
        let accounts = addresses.into_iter();
        Ok(AccountsJson {
            accounts: accounts
                .map(|address| AccountJson::new(&view, address))
                .collect(),
            head: HeadJson::new(&view),
        })
    })
    .await
    .map(Json)
}

/// The accounts with most, up to a thousand.
///
/// The first request after a start reads the changes of each block; a long chain takes several
/// requests, which are answered with 503 until the last. Where accounts are many the list is made
/// anew only now and then: it names the head that it was read at.
#[utoipa::path(
    get,
    path = "/v1/accounts/top",
    operation_id = "accounts_top",
    tag = "accounts",
    params(Page),
    responses(
        (status = 200, description = "Found", body = TopAccountsJson),
        (status = 404, description = "Not here", body = Fields, content_type = "application/problem+json"),
        Refused,
    ),
)]
pub async fn top(
    State(state): State<ApiState>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<TopAccountsJson>, Problem> {
    let page = query(page)?;
    let max = u64::try_from(TOP_MAX).unwrap_or(u64::MAX);
    let limit = limit(page.limit, max)?;
    let (ledger, now) = (Arc::clone(&state.ledger), (state.clock)());
    read_much(&state, move |view, deadline| {
        let top = ledger.top(&view, now, deadline)?;
        Ok(page_of(&top, page.cursor.unwrap_or(0), limit))
    })
    .await
    .map(Json)
}

fn page_of(top: &Top, first: usize, limit: usize) -> TopAccountsJson {
    let ranked = (1..).zip(&top.accounts).skip(first).take(limit);
    let accounts: Vec<_> = ranked
        .map(|(rank, (balance, address))| TopAccountJson::new(rank, address, *balance))
        .collect();
    let next = first.saturating_add(accounts.len());
    TopAccountsJson {
        next_cursor: (next < top.accounts.len() && !accounts.is_empty()).then_some(next),
        accounts,
        count: top.count,
        time: top.time,
        head: HeadJson::of(top.head),
    }
}

/// The best chain's block of that name.
fn best_block(view: &View, name: &str) -> Result<BlockId, Problem> {
    let head = view.head.height;
    let missing = || {
        let shown: String = name.chars().take(80).collect();
        let detail = format!("there is no block {shown:?}; the best chain has blocks 0 to {head}");
        Problem::not_found(detail)
    };
    let hash = find(view, name)?.ok_or_else(missing)?;
    let header = view.reader.header(&hash)?.ok_or_else(missing)?;
    let height = header.extension.height;
    let best = view.reader.canonical(height)?;
    if best == Some(hash) {
        return Ok(BlockId { height, hash });
    }
    let instead = best.map_or_else(
        || format!("which ends at height {head}"),
        |best| format!("which has {best} at height {height}"),
    );
    let detail = format!(
        "block {hash} is not on the best chain, {instead}: accounts of other branches are not \
         kept, so ask for a block of the best chain"
    );
    let problem = Problem::new(StatusCode::NOT_FOUND, "not_in_best_chain", detail);
    Err(match best {
        Some(best) => problem.with(&best, &hash),
        None => problem,
    })
}

/// An account after the best chain's block at a height: what the first later block that changed it
/// has found, and the head's if none did.
fn past(view: &View, address: &Address, height: u64) -> Result<Account, Problem> {
    match view.reader.past_account(address, height)? {
        Past::AsInHead => Ok(view.state.account(address).unwrap_or_default()),
        Past::Was(found) => Ok(found.unwrap_or_default()),
        Past::Unknown { lowest } => Err(not_kept(lowest, height)),
    }
}

fn not_kept(lowest: u64, height: u64) -> Problem {
    let detail = format!(
        "this node keeps the accounts of the last {STATE_WINDOW} blocks: wanted block {lowest} or a \
         later one, got {height}; a node that runs with --archive keeps those of every block"
    );
    Problem::new(StatusCode::GONE, "state_not_kept", detail).with(&lowest, &height)
}
