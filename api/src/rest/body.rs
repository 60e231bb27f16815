//! Reading a request's body, with limits on its bytes, its time, and the depth of its JSON.

use std::time::Duration;

use axum::{body::Bytes, extract::Request, http::StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::{
    error::Problem,
    limits::{BODY_BYTES_MAX, BODY_TIME_OUT, JSON_DEPTH_MAX},
};

/// A request's whole body.
pub async fn read_body(request: Request) -> Result<Bytes, Problem> {
    read_up_to(request, BODY_BYTES_MAX).await
}

/// The same of a request whose body may have another number of bytes.
pub async fn read_up_to(request: Request, bytes_max: usize) -> Result<Bytes, Problem> {
    read_within(request, bytes_max, BODY_TIME_OUT).await
}

/// What JSON says. `wanted` is for whoever sent something else.
///
/// What reads JSON calls itself for each array and object within another, so that their depth is
/// counted first, and limited (threat A2).
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8], wanted: &str) -> Result<T, Problem> {
    let depth = depth_of(bytes);
    if depth > JSON_DEPTH_MAX {
        let detail = format!(
            "arrays and objects of the JSON are {depth} deep within each other, wanted at most \
             {JSON_DEPTH_MAX}; {wanted}"
        );
        let problem = Problem::bad_request("json_too_deep", detail);
        return Err(problem.with(&JSON_DEPTH_MAX, &depth));
    }
    serde_json::from_slice(bytes)
        .map_err(|error| Problem::bad_request("bad_body", format!("{wanted}: {error}")))
}

/// How deep arrays and objects are within each other, at most; brackets in strings are none.
fn depth_of(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut is_escaped) = (false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

async fn read_within(
    request: Request,
    bytes_max: usize,
    patience: Duration,
) -> Result<Bytes, Problem> {
    let limited = Limited::new(request.into_body(), bytes_max);
    match timeout(patience, limited.collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!("a body has at most {bytes_max} bytes here"),
        )),
        Ok(Err(error)) => Err(Problem::bad_request("bad_body", error.to_string())),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_too_slow",
            format!("the body did not arrive within {} s", patience.as_secs()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        pin::Pin,
        task::{Context, Poll},
    };

    use axum::{body::Body, response::IntoResponse};
    use hyper::body::Frame;
    use serde_json::Value;

    use super::*;

    /// A body that is promised and never comes.
    struct Never;

    impl hyper::body::Body for Never {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }

    async fn status(body: Body, patience: Duration) -> StatusCode {
        let read = read_within(Request::new(body), BODY_BYTES_MAX, patience).await;
        read.map_or_else(
            |problem| problem.into_response().status(),
            |_| StatusCode::OK,
        )
    }

    /// Threats A1 and A2.
    #[tokio::test]
    async fn bodies_that_never_come_or_never_end_are_refused() {
        let slow = status(Body::new(Never), Duration::from_millis(20)).await;
        assert_eq!(slow, StatusCode::REQUEST_TIMEOUT);
        let long = |bytes| status(Body::from(vec![b'x'; bytes]), BODY_TIME_OUT);
        assert_eq!(long(BODY_BYTES_MAX).await, StatusCode::OK);
        assert_eq!(
            long(BODY_BYTES_MAX + 1).await,
            StatusCode::PAYLOAD_TOO_LARGE
        );
    }

    /// Threat A2: a limit well before that of what reads JSON, and one that brackets in a string do
    /// not reach.
    #[test]
    fn json_has_a_depth() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(depth_of(b"0"), 0);
        assert_eq!(depth_of(nested(3).as_bytes()), 3);
        assert_eq!(depth_of(br#"[{"a": [1]}, [], [], {"b": {}}]"#), 3);
        assert_eq!(depth_of(br#"{"[[[": "{{{", "a\\": "\"[[["}"#), 1);
        assert_eq!(depth_of(b"]]][[\\\""), 2);
        let parse = |depth| parse_json::<Value>(nested(depth).as_bytes(), "wanted a number");
        assert!(parse(JSON_DEPTH_MAX).is_ok());
        let problem = format!("{:?}", parse(JSON_DEPTH_MAX + 1).unwrap_err());
        assert!(problem.contains("json_too_deep"), "{problem}");
        assert!(problem.contains("wanted a number"), "{problem}");
        // Counted without a call for each, and though the rest is no JSON.
        let million = "[".repeat(BODY_BYTES_MAX);
        assert_eq!(depth_of(million.as_bytes()), BODY_BYTES_MAX);
    }
}
