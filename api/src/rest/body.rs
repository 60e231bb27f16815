//! Reading a request's body, with a limit on its bytes and on its time.

use std::time::Duration;

use axum::{body::Bytes, extract::Request, http::StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use crate::{
    error::Problem,
    limits::{BODY_BYTES_MAX, BODY_TIME_OUT},
};

/// A request's whole body.
pub async fn read_body(request: Request) -> Result<Bytes, Problem> {
    read_within(request, BODY_TIME_OUT).await
}

async fn read_within(request: Request, patience: Duration) -> Result<Bytes, Problem> {
    let limited = Limited::new(request.into_body(), BODY_BYTES_MAX);
    match timeout(patience, limited.collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!("a body has at most {BODY_BYTES_MAX} bytes"),
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
        let read = read_within(Request::new(body), patience).await;
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
}
