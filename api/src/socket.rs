//! A connection that does not wait for ever, neither for the rest of a request's head nor for a
//! client to take its answer.
//!
//! A client that asks and never reads would hold its place, and the answer in memory, without end.
//! hyper counts a head's time from the end of the answer before, so that its limit is one on idle
//! connections; a head that has begun has less time, and is watched here.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// How long a connection waits.
#[derive(Clone, Copy)]
pub struct Patience {
    /// For a head that has begun.
    pub head: Duration,
    /// For a request.
    pub idle: Duration,
    /// For a client to take some bytes.
    pub write: Duration,
}

/// How many requests of a connection have come, and how many are answered; shared by its stream
/// and whoever answers.
#[derive(Clone, Default)]
pub struct Requests(Arc<(AtomicU64, AtomicU64)>);

impl Requests {
    /// A head has come whole.
    pub fn begin(&self) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Its answer begins.
    pub fn end(&self) {
        self.0.1.fetch_add(1, Ordering::Relaxed);
    }

    fn begun(&self) -> u64 {
        self.0.0.load(Ordering::Relaxed)
    }

    fn is_answering(&self) -> bool {
        self.begun() != self.0.1.load(Ordering::Relaxed)
    }
}

/// A stream whose reads fail once a head is late, and whose writes fail once nothing could be
/// written for a while.
pub struct Socket<S> {
    stream: S,
    patience: Patience,
    /// Runs out while writes wait.
    timer: Pin<Box<Sleep>>,
    is_waiting: bool,
    requests: Requests,
    /// Runs out while a head is coming.
    head_timer: Pin<Box<Sleep>>,
    /// The number of the request whose head is coming.
    coming: Option<u64>,
}

impl<S> Socket<S> {
    /// A stream that waits so long for its peer.
    pub fn new(stream: S, patience: Patience, requests: Requests) -> Self {
        Self {
            stream,
            patience,
            timer: Box::pin(sleep(patience.write)),
            is_waiting: false,
            requests,
            head_timer: Box::pin(sleep(patience.head)),
            coming: None,
        }
    }

    /// Passes a read's result on, and watches for how long a head is coming.
    fn watch_head(
        &mut self,
        context: &mut Context<'_>,
        read: Poll<io::Result<()>>,
        bytes: usize,
    ) -> Poll<io::Result<()>> {
        if self.requests.is_answering() {
            return read;
        }
        let number = self.requests.begun();
        if bytes > 0 && self.coming != Some(number) {
            self.coming = Some(number);
            let until = Instant::now() + self.patience.head;
            self.head_timer.as_mut().reset(until);
        }
        if self.coming == Some(number) && self.head_timer.as_mut().poll(context).is_ready() {
            let error = io::Error::new(io::ErrorKind::TimedOut, "the request's head is late");
            return Poll::Ready(Err(error));
        }
        read
    }

    /// Passes a write's result on, and watches for how long there is none.
    fn watch<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.is_waiting = false;
            return written;
        }
        if !self.is_waiting {
            self.is_waiting = true;
            self.timer
                .as_mut()
                .reset(Instant::now() + self.patience.write);
        }
        ready!(self.timer.as_mut().poll(context));
        let error = io::Error::new(io::ErrorKind::TimedOut, "the client takes no answer");
        Poll::Ready(Err(error))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let bytes = buffer.filled().len() - before;
        self.watch_head(context, read, bytes)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.watch(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.stream).poll_shutdown(context);
        self.watch(context, closed)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(test);
    }

    fn socket(
        stream: DuplexStream,
        write: Duration,
        head: Duration,
    ) -> (Socket<DuplexStream>, Requests) {
        let (idle, requests) = (Duration::from_secs(60), Requests::default());
        let patience = Patience { head, idle, write };
        (Socket::new(stream, patience, requests.clone()), requests)
    }

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(50);

    /// Threat A1. Neither silence nor a body has the time of a head.
    #[test]
    fn a_head_that_has_begun_must_come() {
        run(async {
            let (ours, mut theirs) = duplex(16);
            let (mut socket, requests) = socket(ours, LONG, SHORT);
            let mut byte = [0];
            let silence = tokio::time::timeout(4 * SHORT, socket.read(&mut byte));
            assert!(silence.await.is_err(), "it was given up");
            theirs.write_all(b"G").await.unwrap();
            assert_eq!(socket.read(&mut byte).await.unwrap(), 1);
            requests.begin();
            let body = tokio::time::timeout(4 * SHORT, socket.read(&mut byte));
            assert!(body.await.is_err(), "it was given up");
            requests.end();
            let silence = tokio::time::timeout(4 * SHORT, socket.read(&mut byte));
            assert!(silence.await.is_err(), "it was given up");
            theirs.write_all(b"G").await.unwrap();
            assert_eq!(socket.read(&mut byte).await.unwrap(), 1);
            let error = socket.read(&mut byte).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        });
    }

    /// Threat A1.
    #[test]
    fn a_peer_that_reads_nothing_is_given_up() {
        run(async {
            let (ours, _theirs) = duplex(16);
            let (mut socket, _) = socket(ours, SHORT, LONG);
            let error = socket.write_all(&[0; 1_000]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        });
    }

    #[test]
    fn a_peer_that_reads_slowly_is_served() {
        run(async {
            let (ours, mut theirs) = duplex(16);
            let (mut socket, _) = socket(ours, LONG, LONG);
            let reader = async {
                let mut got = Vec::new();
                let mut buffer = [0; 7];
                while got.len() < 1_000 {
                    let read = theirs.read(&mut buffer).await.unwrap();
                    got.extend_from_slice(&buffer[..read]);
                    tokio::task::yield_now().await;
                }
                got
            };
            let (written, got) = tokio::join!(socket.write_all(&[7; 1_000]), reader);
            written.unwrap();
            assert_eq!(got, [7; 1_000]);
        });
    }
}
