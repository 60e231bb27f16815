//! Lines of Stratum v1: what miners may say, and what they are told.
//!
//! A line is one JSON object. Whatever a miner sends is either one of these calls or a [`Refusal`]
//! that says what was wanted and what came. Called by `session`.

use alloy_primitives::hex;
use serde_json::{Value, json};

use super::difficulty::Difficulty;
use crate::limits::NAME_BYTES_MAX;

/// Bytes of the extra nonce that tell connections apart.
pub const EXTRA_NONCE_1_BYTES: usize = 8;
/// Bytes of the extra nonce that the miner varies: the rest of the extension's 16.
pub const EXTRA_NONCE_2_BYTES: usize = 8;

/// Why a request is refused, by the customary numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 20: anything else.
    Other(String),
    /// 21: the job is of an older head, or was never given.
    Stale(String),
    /// 22: the share has been taken already.
    Duplicate,
    /// 23: the hash is above the share target.
    LowDifficulty(String),
    /// 24: the worker has not been authorised on this connection.
    Unauthorized(String),
    /// 25: there was no `mining.subscribe`.
    NotSubscribed,
}

impl Refusal {
    /// Its number.
    pub fn code(&self) -> u8 {
        match self {
            Self::Other(_) => 20,
            Self::Stale(_) => 21,
            Self::Duplicate => 22,
            Self::LowDifficulty(_) => 23,
            Self::Unauthorized(_) => 24,
            Self::NotSubscribed => 25,
        }
    }

    /// Its sentence.
    pub fn text(&self) -> &str {
        match self {
            Self::Other(text)
            | Self::Stale(text)
            | Self::LowDifficulty(text)
            | Self::Unauthorized(text) => text,
            Self::Duplicate => "duplicate share",
            Self::NotSubscribed => "not subscribed: send mining.subscribe first",
        }
    }

    /// Whether it speaks against the miner. Stale shares are nobody's fault.
    pub fn is_fault(&self) -> bool {
        !matches!(self, Self::Stale(_))
    }
}

/// A line that is JSON, read as a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Whatever the miner numbers its calls with, to be given back.
    pub id: Value,
    /// The call, or what is wrong with it.
    pub call: Result<Call, Refusal>,
}

/// What a miner asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// `mining.subscribe`; the agent's name and an old session's id are of no interest.
    Subscribe,
    /// `mining.authorize`.
    Authorize {
        /// Who is paid, and after a full stop which machine it is.
        name: String,
        /// A difficulty to begin with, from a password such as `d=1024`.
        difficulty: Option<Difficulty>,
    },
    /// `mining.configure` (BIP 310).
    Configure {
        /// The bits that the miner would roll, if it asks for version rolling.
        version_mask: Option<u32>,
        /// Every extension it asks for.
        extensions: Vec<String>,
    },
    /// `mining.suggest_difficulty`.
    Suggest(Difficulty),
    /// `mining.extranonce.subscribe`: ours never change.
    ExtraNonceSubscribe,
    /// `mining.submit`.
    Submit(Share),
}

/// A share as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Whose it is.
    pub name: String,
    /// The job's id.
    pub job: String,
    /// The miner's part of the extra nonce.
    pub extra_nonce_2: [u8; EXTRA_NONCE_2_BYTES],
    /// Unix seconds.
    pub time: u32,
    /// The header's nonce.
    pub nonce: u32,
    /// The bits of the version that were rolled.
    pub version_bits: u32,
}

impl Request {
    /// Reads a line.
    pub fn parse(line: &[u8]) -> Result<Self, Refusal> {
        let bad = |got: String| Refusal::Other(format!("wanted one JSON object a line, {got}"));
        let value: Value =
            serde_json::from_slice(line).map_err(|error| bad(format!("got other: {error}")))?;
        let Some(method) = value.get("method").and_then(Value::as_str) else {
            return Err(bad("with a method".into()));
        };
        let id = match value.get("id") {
            Some(id @ (Value::Number(_) | Value::String(_))) => id.clone(),
            _ => Value::Null,
        };
        let params = match value.get("params") {
            Some(Value::Array(params)) => params.as_slice(),
            None | Some(Value::Null) => &[],
            Some(_) => return Err(bad("with a list of params".into())),
        };
        let call = Call::parse(method, params);
        Ok(Self { id, call })
    }
}

impl Call {
    fn parse(method: &str, params: &[Value]) -> Result<Self, Refusal> {
        match method {
            "mining.subscribe" => Ok(Self::Subscribe),
            "mining.authorize" => Ok(Self::Authorize {
                name: text(params, 0, "a user name")?,
                difficulty: params.get(1).and_then(Value::as_str).and_then(wish),
            }),
            "mining.configure" => configure(params),
            "mining.suggest_difficulty" => {
                let number = params.first().and_then(Value::as_f64);
                let difficulty = number.and_then(Difficulty::at_most);
                let wanted = || Refusal::Other("wanted a difficulty above 0".into());
                difficulty.map(Self::Suggest).ok_or_else(wanted)
            }
            "mining.extranonce.subscribe" => Ok(Self::ExtraNonceSubscribe),
            "mining.submit" => share(params).map(Self::Submit),
            other => {
                let shown: String = other.chars().take(40).collect();
                Err(Refusal::Other(format!("there is no method {shown:?}")))
            }
        }
    }
}

/// The difficulty that a password asks for.
fn wish(password: &str) -> Option<Difficulty> {
    let parts = password.split([',', ';', ' ']);
    let number = parts
        .filter_map(|part| part.strip_prefix("d="))
        .find_map(|number| number.parse().ok());
    number.and_then(Difficulty::at_most)
}

fn configure(params: &[Value]) -> Result<Call, Refusal> {
    let list = params.first().and_then(Value::as_array);
    let list = list.ok_or_else(|| Refusal::Other("wanted a list of extensions".into()))?;
    let names = list.iter().filter_map(Value::as_str).map(str::to_owned);
    let extensions: Vec<String> = names.collect();
    let option = |name: &str| params.get(1)?.get(name)?.as_str();
    let version_mask = if extensions.iter().any(|name| name == "version-rolling") {
        let given = option("version-rolling.mask").unwrap_or("ffffffff");
        Some(word(given, "version-rolling.mask")?)
    } else {
        None
    };
    Ok(Call::Configure {
        version_mask,
        extensions,
    })
}

fn share(params: &[Value]) -> Result<Share, Refusal> {
    let extra_nonce_2 = text(params, 2, "extranonce2")?;
    let field = |index, what| text(params, index, what).and_then(|text| word(&text, what));
    Ok(Share {
        name: text(params, 0, "a user name")?,
        job: text(params, 1, "a job id")?,
        extra_nonce_2: hex_bytes(&extra_nonce_2).ok_or_else(|| {
            let (digits, got) = (2 * EXTRA_NONCE_2_BYTES, extra_nonce_2.len());
            Refusal::Other(format!(
                "wanted an extranonce2 of {digits} hex digits, got {got} characters"
            ))
        })?,
        time: field(3, "ntime")?,
        nonce: field(4, "nonce")?,
        version_bits: match params.get(5) {
            None | Some(Value::Null) => 0,
            Some(_) => field(5, "version bits")?,
        },
    })
}

/// A parameter that is a text of bounded length.
fn text(params: &[Value], index: usize, what: &str) -> Result<String, Refusal> {
    let got = params.get(index).and_then(Value::as_str);
    let fits = got.filter(|text| (1..=NAME_BYTES_MAX).contains(&text.len()));
    fits.map(str::to_owned).ok_or_else(|| {
        Refusal::Other(format!(
            "wanted {what} of 1 to {NAME_BYTES_MAX} characters as parameter {}",
            index + 1
        ))
    })
}

/// Four bytes in hex, most significant first, as Stratum writes all numbers of a header.
fn word(text: &str, what: &str) -> Result<u32, Refusal> {
    let bytes = hex_bytes(text).ok_or_else(|| {
        let shown: String = text.chars().take(20).collect();
        Refusal::Other(format!("wanted {what} of 8 hex digits, got {shown:?}"))
    })?;
    Ok(u32::from_be_bytes(bytes))
}

fn hex_bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_hex = text.len() == 2 * N && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut bytes = [0; N];
    (is_hex && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(bytes)
}

/// The answer to a call.
pub fn reply(id: &Value, result: &Result<Value, Refusal>) -> String {
    let line = match result {
        Ok(result) => json!({"id": id, "result": result, "error": null}),
        Err(refusal) => {
            let error = json!([refusal.code(), refusal.text(), null]);
            json!({"id": id, "result": null, "error": error})
        }
    };
    format!("{line}\n")
}

/// The result of `mining.subscribe`.
pub fn subscribed(extra_nonce_1: &[u8; EXTRA_NONCE_1_BYTES]) -> Value {
    let name = hex::encode(extra_nonce_1);
    json!([
        [["mining.set_difficulty", name], ["mining.notify", name]],
        name,
        EXTRA_NONCE_2_BYTES
    ])
}

/// The line that sets the share difficulty from the next job on.
pub fn set_difficulty(difficulty: Difficulty) -> String {
    let number = difficulty.number();
    // Whole numbers without a point: some firmware reads no others.
    let whole = (number >= 1.0 && number < 2.0_f64.powi(53)).then_some(number as u64);
    let number = whole.map_or_else(|| json!(number), |whole| json!(whole));
    let line = json!({"id": null, "method": "mining.set_difficulty", "params": [number]});
    format!("{line}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(line: &str) -> Result<Call, Refusal> {
        Request::parse(line.as_bytes()).and_then(|request| request.call)
    }

    #[test]
    fn shares_have_five_parameters_or_six() {
        let five = r#"{"id":4,"method":"mining.submit","params":["a.b","1f","00000000000000ff","65000001","DEADBEEF"]}"#;
        let want = Share {
            name: "a.b".into(),
            job: "1f".into(),
            extra_nonce_2: [0, 0, 0, 0, 0, 0, 0, 255],
            time: 0x6500_0001,
            nonce: 0xdead_beef,
            version_bits: 0,
        };
        assert_eq!(call(five), Ok(Call::Submit(want.clone())));
        let six = five.replace("\"]", "\",\"04000000\"]");
        let want = Share {
            version_bits: 0x0400_0000,
            ..want
        };
        assert_eq!(call(&six), Ok(Call::Submit(want)));
    }

    #[test]
    fn what_is_no_call_is_refused_with_what_was_wanted() {
        for (line, said) in [
            ("", "JSON object"),
            ("{", "JSON object"),
            ("[]", "with a method"),
            ("{\"id\":1}", "with a method"),
            (r#"{"method":"x","params":{}}"#, "list of params"),
            (r#"{"method":"x"}"#, "no method \"x\""),
            (
                r#"{"method":"mining.authorize","params":[7]}"#,
                "a user name",
            ),
            (r#"{"method":"mining.configure"}"#, "list of extensions"),
            (
                r#"{"method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":"x"}]}"#,
                "mask of 8 hex",
            ),
            (
                r#"{"method":"mining.suggest_difficulty","params":[0]}"#,
                "above 0",
            ),
            (r#"{"method":"mining.submit","params":[]}"#, "parameter 3"),
            (
                r#"{"method":"mining.submit","params":["a","1","00","00000000","00000000"]}"#,
                "16 hex digits, got 2",
            ),
            (
                r#"{"method":"mining.submit","params":["a","1","0000000000000000","0x000000","00000000"]}"#,
                "ntime of 8",
            ),
            (
                r#"{"method":"mining.submit","params":["a","1","0000000000000000","00000000",5]}"#,
                "wanted nonce",
            ),
            (
                r#"{"method":"mining.submit","params":["a","1","0000000000000000","00000000","00000000","é0000000"]}"#,
                "version bits",
            ),
        ] {
            let refusal = call(line).unwrap_err();
            assert_eq!(refusal.code(), 20, "{line}");
            assert!(refusal.text().contains(said), "{line}: {}", refusal.text());
        }
        let long = format!(
            r#"{{"method":"mining.authorize","params":["{}"]}}"#,
            "a".repeat(129)
        );
        assert!(call(&long).is_err());
        let deep = "[".repeat(4_000);
        assert!(call(&deep).is_err());
    }

    #[test]
    fn passwords_and_masks_are_read() {
        let authorize = |password: &str| {
            let line = format!(r#"{{"method":"mining.authorize","params":["x","{password}"]}}"#);
            match call(&line) {
                Ok(Call::Authorize { difficulty, .. }) => difficulty.map(Difficulty::number),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(authorize("x"), None);
        assert_eq!(authorize("x,d=1000"), Some(512.0));
        assert_eq!(authorize("d=-1"), None);
        let line = r#"{"method":"mining.configure","params":[["version-rolling","x"],{}]}"#;
        let want = Call::Configure {
            version_mask: Some(u32::MAX),
            extensions: vec!["version-rolling".into(), "x".into()],
        };
        assert_eq!(call(line), Ok(want));
    }

    #[test]
    fn answers_carry_the_id_as_it_came() {
        let request = Request::parse(br#"{"id":"x","method":"mining.subscribe"}"#).unwrap();
        let line = reply(&request.id, &Ok(json!(true)));
        assert_eq!(line, "{\"error\":null,\"id\":\"x\",\"result\":true}\n");
        let line = reply(&json!(3), &Err(Refusal::Duplicate));
        let want = "{\"error\":[22,\"duplicate share\",null],\"id\":3,\"result\":null}\n";
        assert_eq!(line, want);
    }

    #[test]
    fn difficulties_are_whole_where_they_can_be() {
        let line = |number: f64| set_difficulty(Difficulty::at_most(number).unwrap());
        assert!(line(1_024.0).contains("[1024]"));
        assert!(line(0.5).contains("[0.5]"));
        assert!(line(1e-30).contains("[2.3283064365386963e-10]"));
    }
}
