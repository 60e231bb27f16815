//! `/v1/accounts/{address}`: what an account has on the chain, and waiting in the pool.

use axum::{Json, extract::State};

use super::{Segment, address, read};
use crate::{ApiState, error::Problem, view::AccountJson};

/// One account at the head. An account nobody has used is one with nothing.
pub async fn one(
    State(state): State<ApiState>,
    Segment(text): Segment,
) -> Result<Json<AccountJson>, Problem> {
    let address = address::parse(&text)?;
    read(&state, move |view| Ok(AccountJson::new(&view, address)))
        .await
        .map(Json)
}
