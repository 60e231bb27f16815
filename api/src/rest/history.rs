//! `/v1/accounts/{address}/transactions`: an account's mined transactions, newest first.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use chain::Address;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Segment, address::parse, limit, query, read_much};
use crate::{
    ApiState, View,
    error::{Fields, Problem, Refused},
    limits::{HISTORY_BYTES_MAX, HISTORY_DEFAULT, PAGE_MAX, PAGE_TRANSACTIONS_MAX},
    queries::Deadline,
    view::{HeadJson, HistoryJson, MinedBlock},
};

/// A page of transactions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// Where the page before ended; the newest transaction without it.
    #[param(pattern = "^[0-9]{1,19}\\.[0-9]{1,9}$")]
    cursor: Option<String>,
    /// Transactions on the page.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u64>,
}

/// Transactions that the account signed, is paid or called by, or was created by, on the best
/// chain. Rewards are no transactions, and what contracts send to each other is not listed.
///
/// A page ends early once its blocks are many or large, or it took two seconds. A reorg between two
/// pages shows in their heads.
#[utoipa::path(
    get,
    path = "/v1/accounts/{address}/transactions",
    operation_id = "history_list",
    tag = "accounts",
    params(("address" = String, Path, description = "0x and 40 hex digits; mixed case is an EIP-55 checksum", pattern = "^0x[0-9a-fA-F]{40}$", example = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"), Page),
    responses(
        (status = 200, description = "Found", body = HistoryJson),
        (status = 404, description = "Not here", body = Fields, content_type = "application/problem+json"),
        Refused,
    ),
)]
pub async fn list(
    State(state): State<ApiState>,
    Segment(address): Segment,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<HistoryJson>, Problem> {
    let page = query(page)?;
    let address = parse(&address)?;
    let limit = limit(page.limit.or(Some(HISTORY_DEFAULT)), PAGE_MAX)?;
    let before = page.cursor.as_deref().map(parse_cursor).transpose()?;
    read_much(&state, move |view, deadline| {
        page_of(&view, address, (before, limit), deadline)
    })
    .await
    .map(Json)
}

/// Height and index of the last transaction of the page before, as in `812.3`.
fn parse_cursor(text: &str) -> Result<(u64, u32), Problem> {
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let parts = text.split_once('.');
    let parts = parts.filter(|(height, index)| is_number(height) && is_number(index));
    let cursor =
        parts.and_then(|(height, index)| Some((height.parse().ok()?, index.parse().ok()?)));
    cursor.ok_or_else(|| {
        let shown: String = text.chars().take(80).collect();
        let detail = format!("a cursor is height.index as in 812.3, got {shown:?}");
        Problem::bad_request("bad_cursor", detail)
    })
}

fn page_of(
    view: &View,
    address: Address,
    (before, limit): (Option<(u64, u32)>, usize),
    deadline: Deadline,
) -> Result<HistoryJson, Problem> {
    // One more tells whether there is another page.
    let places = view.reader.history(&address, before, limit + 1)?;
    let (mut transactions, mut count, mut bytes) = (Vec::new(), 0, 0);
    for places in places[..places.len().min(limit)].chunk_by(|one, two| one.block == two.block) {
        let block = MinedBlock::read(view, places[0].block)?;
        for place in places {
            transactions.push(block.entry(view, &address, place.index)?);
        }
        count += block.transaction_count();
        bytes += block.bytes();
        let is_large = count >= PAGE_TRANSACTIONS_MAX || bytes >= HISTORY_BYTES_MAX;
        if is_large || deadline.is_over() {
            break;
        }
    }
    let shown = transactions.len();
    let last = (shown < places.len()).then(|| shown.checked_sub(1).map(|at| places[at]));
    let next_cursor = last.flatten();
    Ok(HistoryJson {
        transactions,
        next_cursor: next_cursor.map(|place| format!("{}.{}", place.block.height, place.index)),
        head: HeadJson::new(view),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_two_numbers() {
        assert_eq!(parse_cursor("812.3").unwrap(), (812, 3));
        let most = format!("{}.{}", u64::MAX, u32::MAX);
        assert_eq!(parse_cursor(&most).unwrap(), (u64::MAX, u32::MAX));
        let bad = [
            "", ".", "1", "1.", ".1", "+1.1", "1.-1", "1.1.1", "a.b", "1. 2",
        ];
        for text in bad
            .into_iter()
            .chain(["1.4294967296", "18446744073709551616.0"])
        {
            assert!(parse_cursor(text).is_err(), "{text}");
        }
    }
}
