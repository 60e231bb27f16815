//! `POST /mining`: `getblocktemplate` and `submitblock` (BIP 22, BIP 23) as JSON-RPC, for miners that
//! speak no Stratum.
//!
//! What a miner takes for the coinbase transaction is the header's extension, opaque to it, and the
//! block has no other transactions as far as it knows. So what comes back is 80 bytes, a count of 1
//! and the extension, and the extension says which template it was.

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, header},
};
use base64::prelude::{BASE64_STANDARD, Engine};
use chain::{
    Extension, Header, PowHeader,
    params::{EXTENSION_BYTES, HEADER_BYTES},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{sync::oneshot, time::timeout};

use super::body::{parse_json, read_body};
use crate::{
    ApiState,
    error::{Fields, Problem, Refused},
    limits::SUBMIT_TIME_OUT,
    mining::{LONG_POLL_MAX, Offer, Question},
    orders,
    view::hex_bytes,
};

/// Bytes of a block as it comes back: the count of its transactions is one byte.
const BLOCK_BYTES: usize = HEADER_BYTES + 1 + EXTENSION_BYTES;
/// Seconds after which a miner should ask for another template though it was told nothing.
const EXPIRES_SECS: u32 = 120;

/// A call.
#[derive(Deserialize)]
struct Call {
    #[serde(default)]
    id: Value,
    method: String,
    #[serde(default)]
    params: Vec<Value>,
}

/// A call's failure: JSON-RPC's number and a sentence.
struct Failure(i32, String);

impl Failure {
    fn params(what: impl Into<String>) -> Self {
        Self(-32_602, what.into())
    }

    fn busy() -> Self {
        Self(-32_000, "the node is busy or stopping: try again".into())
    }
}

/// Answers a call. Failures of the call are answers too; only what is no call is a problem.
#[utoipa::path(
    post, path = "/mining", operation_id = "mining_call", tag = "mining",
    request_body = orders::CallJson,
    responses(
        (status = 200, description = "A result or a JSON-RPC error", body = orders::AnswerJson),
        (status = 408, description = "The body did not arrive in time", body = Fields, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Fields, content_type = "application/problem+json"),
        Refused,
    )
)]
pub async fn call(State(state): State<ApiState>, request: Request) -> Result<Json<Value>, Problem> {
    let name = user(request.headers());
    let body = read_body(request).await?;
    let wanted = "wanted {\"id\": …, \"method\": \"getblocktemplate\" or \"submitblock\", \
                  \"params\": […]}";
    let call: Call = parse_json(&body, wanted)?;
    let result = match &*call.method {
        "getblocktemplate" => template(&state, name, &call.params).await,
        "submitblock" => submit(&state, &call.params).await,
        other => {
            let shown: String = other.chars().take(40).collect();
            Err(Failure(-32_601, format!("there is no method {shown:?}")))
        }
    };
    let (result, error) = match result {
        Ok(result) => (result, Value::Null),
        Err(Failure(code, message)) => (Value::Null, json!({"code": code, "message": message})),
    };
    Ok(Json(
        json!({"result": result, "error": error, "id": call.id}),
    ))
}

/// The user name of HTTP's basic authentication, which names whom to pay. Its password is nothing.
fn user(headers: &HeaderMap) -> Option<String> {
    let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let decoded = BASE64_STANDARD.decode(given.strip_prefix("Basic ")?).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let name = text.split_once(':').map_or(&*text, |(name, _)| name);
    (!name.is_empty()).then(|| name.to_owned())
}

async fn template(
    state: &ApiState,
    name: Option<String>,
    params: &[Value],
) -> Result<Value, Failure> {
    let option = |key: &str| params.first()?.get(key)?.as_str();
    if option("mode").is_some_and(|mode| mode != "template") {
        return Err(Failure::params("the only mode is \"template\""));
    }
    // An id that is not ours is of no head, so there is nothing to wait for.
    let known = option("longpollid").and_then(|id| id.parse().ok());
    let (reply, answer) = oneshot::channel();
    let question = Question::Template { name, known, reply };
    let offered = ask(state, question, answer).await?;
    let offer = offered.map_err(|reason| Failure(-32_000, reason))?;
    offer_json(&offer)
}

/// A template in the words of BIP 22.
fn offer_json(offer: &Offer) -> Result<Value, Failure> {
    let (pow, extension) = (&offer.header.pow, &offer.header.extension);
    let target = pow.bits.target().ok_or_else(Failure::busy)?;
    let plain = |text: String| text.trim_start_matches("0x").to_owned();
    Ok(json!({
        "version": pow.version,
        "previousblockhash": plain(pow.parent.to_string()),
        "transactions": [],
        "coinbasetxn": { "data": hex(&extension.encode()) },
        "coinbaseaux": {},
        "target": format!("{:064x}", target.value()),
        "bits": format!("{:08x}", pow.bits.0),
        "height": extension.height,
        "curtime": pow.time,
        "mintime": pow.time,
        "maxtime": offer.time_max,
        "mutable": [],
        "noncerange": "00000000ffffffff",
        "expires": EXPIRES_SECS,
        "longpollid": plain(pow.parent.to_string()),
    }))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `null` where the block was taken, else BIP 22's word for why not.
async fn submit(state: &ApiState, params: &[Value]) -> Result<Value, Failure> {
    let text = params.first().and_then(Value::as_str).unwrap_or_default();
    let header = hex_bytes(text).as_deref().and_then(decode).ok_or_else(|| {
        Failure::params(format!(
            "wanted a block of {BLOCK_BYTES} bytes in hex: 80 of header, 01, and the {EXTENSION_BYTES} \
             of coinbasetxn; got {} characters",
            text.len()
        ))
    })?;
    let (reply, answer) = oneshot::channel();
    let header = Box::new(header);
    let handed_in = ask(state, Question::Block { header, reply }, answer).await?;
    Ok(handed_in.map_or_else(|rejection| json!(rejection.word()), |()| Value::Null))
}

/// The header in a block's bytes.
fn decode(bytes: &[u8]) -> Option<Header> {
    let (pow, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    let extension: &[u8; EXTENSION_BYTES] = rest.strip_prefix(&[1])?.try_into().ok()?;
    Some(Header {
        pow: PowHeader::decode(pow),
        extension: Extension::decode(extension),
    })
}

async fn ask<T>(
    state: &ApiState,
    question: Question,
    answer: oneshot::Receiver<T>,
) -> Result<T, Failure> {
    state
        .mining
        .try_send(question)
        .map_err(|_| Failure::busy())?;
    let answered = timeout(LONG_POLL_MAX + SUBMIT_TIME_OUT, answer).await;
    answered
        .map_err(|_| Failure::busy())?
        .map_err(|_| Failure::busy())
}
