//! `POST /v1/dev/faucet`: money for an account of a dev network.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use chain::{Address, PoolError, U256};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    address::parse,
    dev::{Authorised, bad_field},
    read,
    transactions::{hand_in, unavailable},
};
use crate::{
    ApiState,
    error::{Fields, Problem, Refused},
    faucet::{Faucet, Paid, Payment, is_nonce_taken, shortage},
    limits::{FAUCET_DEFAULT, FAUCET_MAX},
    orders,
    view::{HeadJson, display_lgn},
};

/// Nonces that are tried where others use the faucet's key too.
const ATTEMPTS: usize = 3;
/// Blocks within which a payment should be mined.
const WITHIN: u64 = 3;

/// A payment on its way.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaidJson {
    hash: String,
    from: String,
    to: String,
    value: String,
    display: String,
    nonce: u64,
    /// Whether a restart of the node would keep it.
    durable: bool,
    /// The head that the nonce was read at.
    head: HeadJson,
}

/// Pays; the answer comes when the pool has taken the payment.
#[utoipa::path(
    post,
    path = "/v1/dev/faucet",
    operation_id = "faucet_pay",
    tag = "dev",
    request_body = orders::FaucetJson,
    security(("operator" = [])),
    responses(
        (status = 202, description = "Done", body = PaidJson),
        (status = 404, description = "Not here", body = Fields, content_type = "application/problem+json"),
        (status = 401, description = "Without the token", body = Fields, content_type = "application/problem+json"),
        (status = 409, description = "In conflict with what there is", body = Fields, content_type = "application/problem+json"),
        (status = 422, description = "Not valid where it stands", body = Fields, content_type = "application/problem+json"),
        (status = 408, description = "The body did not arrive in time", body = Fields, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Fields, content_type = "application/problem+json"),
        Refused,
    ),
)]
pub async fn pay(
    State(state): State<ApiState>,
    Authorised(body): Authorised,
) -> Result<(StatusCode, Json<PaidJson>), Problem> {
    let (to, value) = (recipient(&body)?, amount(&body)?);
    let faucet = state.faucet.as_ref().map(Arc::clone);
    let Some(faucet) = faucet else {
        return Err(none().await);
    };
    let _turn = faucet
        .turn()
        .await
        .ok_or_else(|| unavailable("too many payments of the faucet are waiting"))?;
    for _ in 0..ATTEMPTS {
        let (payment, head) = draft(&state, faucet.address(), to, value).await?;
        let answer = hand_in(&state, faucet.signed(&payment)).await?;
        match answer {
            Ok(hash) => {
                let paid = PaidJson::new(&faucet, Paid { hash, payment }, head);
                return Ok((StatusCode::ACCEPTED, Json(paid)));
            }
            Err(error) if is_nonce_taken(&error) => {}
            Err(error) => return Err(refusal(&faucet, error)),
        }
    }
    Err(unavailable("others use the faucet's account too"))
}

/// The answer to any request where there is no faucet.
pub async fn none() -> Problem {
    Problem::not_found("only dev networks have a faucet, and this network's spec does not say dev")
}

fn recipient(body: &Value) -> Result<Address, Problem> {
    let text = body.get("address").and_then(Value::as_str);
    let wanted = "{\"address\": \"0x…\", \"amount\": \"wei\"}, the amount as you like";
    text.map_or_else(|| Err(bad_field(wanted, body)), parse)
}

/// A decimal string in wei, as everywhere.
fn amount(body: &Value) -> Result<u128, Problem> {
    let Some(given) = body.get("amount").filter(|given| !given.is_null()) else {
        return Ok(FAUCET_DEFAULT);
    };
    let is_decimal = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
    let wei = given.as_str().filter(is_decimal);
    let wei: Option<u128> = wei.and_then(|text| text.parse().ok());
    match wei {
        Some(wei) if (1..=FAUCET_MAX).contains(&wei) => Ok(wei),
        wei => Err(bad_amount(wei, given)),
    }
}

fn bad_amount(wei: Option<u128>, given: &Value) -> Problem {
    let got = match wei {
        Some(wei) => display_lgn(U256::from(wei)),
        None => given.to_string().chars().take(80).collect(),
    };
    let most = display_lgn(U256::from(FAUCET_MAX));
    let detail = format!(
        "the faucet pays 1 wei to {most} at once, written in wei as a decimal string; got {got}"
    );
    Problem::bad_request("bad_amount", detail).with(&FAUCET_MAX, &got)
}

/// The payment with the nonce and the fees of this moment, and the head that they are of.
async fn draft(
    state: &ApiState,
    from: Address,
    to: Address,
    value: u128,
) -> Result<(Payment, HeadJson), Problem> {
    let (fees, now) = (Arc::clone(&state.fees), (state.clock)());
    read(state, move |view| {
        let account = |address| view.state.account(address).unwrap_or_default();
        if account(&to).code_hash.is_some() {
            let detail = format!("{to} is a contract; the faucet pays accounts without code");
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return Err(Problem::new(status, "faucet_to_contract", detail));
        }
        let fees = fees.at(&view, now)?;
        let soon = fees.estimates.iter().filter(|fee| fee.blocks <= WITHIN);
        let fee = soon.max_by_key(|fee| fee.blocks);
        let payment = Payment {
            chain_id: view.spec.chain_id,
            nonce: view.pool.nonce_next(&from, account(&from).nonce),
            to,
            value,
            max_fee: fee.map_or(u128::from(fees.base_fee), |fee| fee.max_fee),
            tip: fee.map_or(0, |fee| fee.tip),
        };
        Ok((payment, HeadJson::new(&view)))
    })
    .await
}

/// What the pool says, in words of the faucet.
fn refusal(faucet: &Faucet, error: PoolError) -> Problem {
    let address = faucet.address();
    let Some((want, got)) = shortage(&error) else {
        return Problem::from(error).after("the pool does not take the faucet's payment");
    };
    let detail = format!(
        "the faucet {address} has {}, needed {} with what it has waiting: ask for less, or pay it \
         something first",
        display_lgn(got),
        display_lgn(want)
    );
    Problem::new(StatusCode::CONFLICT, "faucet_empty", detail).with(&want, &got)
}

impl PaidJson {
    fn new(faucet: &Faucet, paid: Paid, head: HeadJson) -> Self {
        let Paid { hash, payment } = paid;
        Self {
            hash: hash.to_string(),
            from: faucet.address().to_string(),
            to: payment.to.to_string(),
            value: payment.value.to_string(),
            display: display_lgn(U256::from(payment.value)),
            nonce: payment.nonce,
            durable: true,
            head,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn amounts_are_wei_within_bounds() {
        let address = "0x00000000000000000000000000000000000000aa";
        let read = |given: Value| amount(&json!({ "address": address, "amount": given })).ok();
        assert_eq!(amount(&json!({})).ok(), Some(FAUCET_DEFAULT));
        assert_eq!(read(Value::Null), Some(FAUCET_DEFAULT));
        assert_eq!(read(json!("1")), Some(1));
        assert_eq!(read(json!(FAUCET_MAX.to_string())), Some(FAUCET_MAX));
        let above = (FAUCET_MAX + 1).to_string();
        for bad in [
            json!("0"),
            json!(above),
            json!(5),
            json!("1.5"),
            json!("-1"),
            json!("+1"),
        ] {
            assert_eq!(read(bad.clone()), None, "{bad}");
        }
        for bad in [json!(""), json!("1 LGN"), json!([]), json!("9".repeat(60))] {
            assert_eq!(read(bad.clone()), None, "{bad}");
        }
    }
}
