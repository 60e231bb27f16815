//! A response body that is fed by a task through a bounded queue.
//!
//! When the client is gone the server drops the body, and the task ends; when the task ends, so
//! does the response.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use hyper::body::{Body, Bytes, Frame};
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// Chunks that wait for the client.
const CHUNKS_MAX: usize = 2;

/// A place among the open streams.
pub struct Place {
    _permit: OwnedSemaphorePermit,
    open: Gauge,
}

impl Place {
    /// Counts a stream for as long as this is kept.
    pub fn new(permit: OwnedSemaphorePermit, open: Gauge) -> Self {
        open.inc();
        Self {
            _permit: permit,
            open,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.dec();
    }
}

/// The reading end; it holds the stream's place.
pub struct StreamBody {
    chunks: mpsc::Receiver<String>,
    _place: Place,
}

impl StreamBody {
    /// A body, and where its chunks go.
    pub fn new(place: Place) -> (mpsc::Sender<String>, Self) {
        let (sender, chunks) = mpsc::channel(CHUNKS_MAX);
        let body = Self {
            chunks,
            _place: place,
        };
        (sender, body)
    }
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let chunk = self.chunks.poll_recv(context);
        chunk.map(|chunk| chunk.map(|text| Ok(Frame::data(Bytes::from(text)))))
    }
}
