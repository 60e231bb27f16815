//! `/v1/search`: what a height, a hash or an address stands for.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use chain::{BlockHash, BlockId, TxHash};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{address, query, read};
use crate::{
    ApiState, View,
    error::{Problem, Refused},
    view::{FoundJson, HeadJson, SearchJson},
};

/// What is looked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// A height, the hash of a block or a transaction, or an address.
    #[param(example = "0")]
    q: String,
}

/// What a text may mean. Nothing found is an answer too; what nothing could have for a name is a
/// problem.
#[utoipa::path(
    get,
    path = "/v1/search",
    operation_id = "search_search",
    tag = "node",
    params(Wanted),
    responses(
        (status = 200, description = "Found", body = SearchJson),
        Refused,
    ),
)]
pub async fn search(
    State(state): State<ApiState>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<SearchJson>, Problem> {
    let wanted = query(wanted)?.q;
    read(&state, move |view| {
        Ok(SearchJson {
            found: find(&view, wanted.trim())?,
            head: HeadJson::new(&view),
        })
    })
    .await
    .map(Json)
}

fn find(view: &View, text: &str) -> Result<Vec<FoundJson>, Problem> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    if let (Ok(hash), Ok(transaction)) = (text.parse::<BlockHash>(), text.parse::<TxHash>()) {
        let block = view.reader.header(&hash)?.map(|header| {
            let height = header.extension.height;
            FoundJson::block(&BlockId { height, hash })
        });
        let is_known = view.pool.entry(&transaction).is_some()
            || view.reader.transaction(&transaction)?.is_some()
            || view.pool.departure(&transaction).is_some();
        let transaction = is_known.then(|| FoundJson::transaction(&transaction));
        return Ok(block.into_iter().chain(transaction).collect());
    }
    if digits.len() == 40 {
        let address = address::parse(&format!("0x{digits}"))?;
        return Ok(vec![FoundJson::account(&address)]);
    }
    let height = text.parse::<u64>().map_err(|_| {
        let shown: String = text.chars().take(80).collect();
        let detail = format!("looked for are heights, hashes and addresses, got {shown:?}");
        Problem::bad_request("bad_search", detail)
    })?;
    let hash = view.reader.canonical(height)?;
    let block = hash.map(|hash| FoundJson::block(&BlockId { height, hash }));
    Ok(block.into_iter().collect())
}
