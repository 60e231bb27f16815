//! `/v1/accounts/{address}`: what an account has on the chain, and waiting in the pool.

use axum::{Json, extract::State};
use chain::Address;

use super::{Segment, read};
use crate::{ApiState, error::Problem, view::AccountJson};

/// One account at the head. An account nobody has used is one with nothing.
pub async fn one(
    State(state): State<ApiState>,
    Segment(address): Segment,
) -> Result<Json<AccountJson>, Problem> {
    let address = parse(&address)?;
    read(&state, move |view| Ok(AccountJson::new(&view, address)))
        .await
        .map(Json)
}

/// An address in hex; mixed case must be EIP-55's checksum.
fn parse(text: &str) -> Result<Address, Problem> {
    let bad = |detail: String| Problem::bad_request("bad_address", detail);
    let shown: String = text.chars().take(80).collect();
    let address: Address = text
        .strip_prefix("0x")
        .filter(|digits| digits.len() == 40)
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| bad(format!("an address is 0x and 40 hex digits, got {shown:?}")))?;
    let digits = &text[2..];
    let is_mixed = digits.bytes().any(|byte| byte.is_ascii_lowercase())
        && digits.bytes().any(|byte| byte.is_ascii_uppercase());
    if is_mixed && address.to_checksum(None) != text {
        return Err(bad(format!(
            "the checksum of address {shown} is wrong (EIP-55): a typing error?"
        )));
    }
    Ok(address)
}
