//! A connection that does not wait for ever for a client to take its answer.
//!
//! The server bounds how long a request may take to come; a client that asks and never reads
//! would hold its place, and the answer in memory, without end.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// A stream whose writes fail once nothing could be written for a while.
pub struct Socket<S> {
    stream: S,
    patience: Duration,
    /// Runs out while writes wait.
    timer: Pin<Box<Sleep>>,
    is_waiting: bool,
}

impl<S> Socket<S> {
    /// A stream that waits this long for its peer.
    pub fn new(stream: S, patience: Duration) -> Self {
        let timer = Box::pin(sleep(patience));
        Self {
            stream,
            patience,
            timer,
            is_waiting: false,
        }
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
            self.timer.as_mut().reset(Instant::now() + self.patience);
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
        Pin::new(&mut self.stream).poll_read(context, buffer)
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(test);
    }

    /// Threat A1.
    #[test]
    fn a_peer_that_reads_nothing_is_given_up() {
        run(async {
            let (ours, _theirs) = duplex(16);
            let mut socket = Socket::new(ours, Duration::from_millis(50));
            let error = socket.write_all(&[0; 1_000]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        });
    }

    #[test]
    fn a_peer_that_reads_slowly_is_served() {
        run(async {
            let (ours, mut theirs) = duplex(16);
            let mut socket = Socket::new(ours, Duration::from_secs(60));
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
