//! JSON over HTTP from a node on this machine.

use std::time::Duration;

use serde_json::Value;

/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Asks `url` for `path`. The error is a short reason.
pub fn get(url: &str, path: &str, time_out: Duration) -> Result<Value, String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(time_out))
        .proxy(None)
        .build()
        .into();
    let mut response = agent
        .get(format!("{url}{path}"))
        .call()
        .map_err(|error| error.to_string())?;
    let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX);
    body.read_json().map_err(|error| error.to_string())
}
