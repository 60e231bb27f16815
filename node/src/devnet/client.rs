//! JSON over HTTP from a node on this machine.

use std::time::Duration;

use serde_json::Value;

use crate::failure::{Exit, Failure};

/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: u64 = 8 * 1024 * 1024;

fn agent(time_out: Duration) -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(time_out))
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .build()
        .into()
}

fn read(mut response: ureq::http::Response<ureq::Body>) -> Result<Value, ureq::Error> {
    let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX);
    body.read_json()
}

/// Asks `url` for `path`. The error is a short reason.
pub fn get(url: &str, path: &str, time_out: Duration) -> Result<Value, String> {
    let answer = agent(time_out).get(format!("{url}{path}")).call();
    let response = answer.map_err(|error| error.to_string())?;
    if !response.status().is_success() {
        return Err(format!("http status: {}", response.status().as_u16()));
    }
    read(response).map_err(|error| error.to_string())
}

/// Brings a node a block in the network's encoding. The error is a short reason.
pub fn bring(url: &str, path: &str, block: &[u8], time_out: Duration) -> Result<Value, String> {
    let answer = agent(time_out)
        .post(format!("{url}{path}"))
        .content_type("application/octet-stream")
        .send(block);
    let response = answer.map_err(|error| error.to_string())?;
    let is_taken = response.status().is_success();
    let value = read(response).map_err(|error| error.to_string())?;
    if is_taken {
        return Ok(value);
    }
    Err(value["detail"].as_str().unwrap_or("no reason given").into())
}

/// Gives a node an order, with its data directory's token, and waits for the outcome.
pub fn post(
    url: &str,
    path: &str,
    token: &str,
    body: &Value,
    time_out: Duration,
) -> Result<Value, Failure> {
    let unreachable = |error: ureq::Error| {
        let hint = "does it still run?";
        Failure::new(
            Exit::Unreachable,
            format!("node {url} does not answer ({error}): {hint}"),
        )
    };
    let answer = agent(time_out)
        .post(format!("{url}{path}"))
        .header("authorization", &format!("Bearer {token}"))
        .send_json(body);
    let response = answer.map_err(unreachable)?;
    let status = response.status();
    let value = read(response).map_err(unreachable)?;
    if status.is_success() {
        return Ok(value);
    }
    let exit = if status.as_u16() == 400 {
        Exit::Usage
    } else {
        Exit::Other
    };
    let detail = value["detail"].as_str().unwrap_or("no reason given");
    Err(Failure::new(exit, format!("node {url} says no: {detail}")))
}
