//! Streams on which anything can be sent: the node's protocol with no care for its rules.

use std::{future::pending, io};

use chain::{Request, Response};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{StreamProtocol, request_response::Codec};

/// No answer that is read here is longer.
const ANSWER_BYTES_MAX: u64 = 8 << 20;

/// What is asked: bytes as they are, and what becomes of the answer.
#[derive(Debug)]
pub enum Ask {
    /// The answer is read to its end.
    Read(Vec<u8>),
    /// Nothing is ever read, and the stream stays open.
    Unread(Vec<u8>),
    /// The stream stays open after these bytes, as if more were to come.
    Unfinished(Vec<u8>),
}

/// What is answered.
#[derive(Debug)]
pub enum Answer {
    /// These bytes, and the end of the stream.
    Bytes(Vec<u8>),
    /// These bytes, and then nothing for ever.
    Stall(Vec<u8>),
    /// The end of the stream at once.
    Decline,
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self::Bytes(frame(&response.encode()))
    }
}

impl From<&Request> for Ask {
    fn from(request: &Request) -> Self {
        Self::Read(frame(&request.encode()))
    }
}

/// A frame of the protocol.
pub fn frame(bytes: &[u8]) -> Vec<u8> {
    announced(u32::try_from(bytes.len()).unwrap(), bytes)
}

/// A frame that announces a length and holds these bytes.
pub fn announced(length: u32, bytes: &[u8]) -> Vec<u8> {
    let mut frame = length.to_le_bytes().to_vec();
    frame.extend_from_slice(bytes);
    frame
}

/// Bytes like any others, the same in every run.
pub fn noise(count: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..count).map(|_| next()).collect()
}

/// Writes what it is given. Made anew for each stream, so it may remember what was asked there.
#[derive(Clone, Default)]
pub struct Raw {
    never_reads: bool,
}

impl Codec for Raw {
    type Protocol = StreamProtocol;
    type Request = Ask;
    type Response = Answer;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Ask>
    where
        T: AsyncRead + Unpin + Send,
    {
        let mut length = [0; 4];
        io.read_exact(&mut length).await?;
        let mut bytes = vec![0; usize::try_from(u32::from_le_bytes(length)).unwrap()];
        io.read_exact(&mut bytes).await?;
        Ok(Ask::Read(bytes))
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Answer>
    where
        T: AsyncRead + Unpin + Send,
    {
        if self.never_reads {
            pending::<()>().await;
        }
        let mut bytes = Vec::new();
        io.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes).await?;
        Ok(Answer::Bytes(bytes))
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, ask: Ask) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        let (Ask::Read(bytes) | Ask::Unread(bytes) | Ask::Unfinished(bytes)) = &ask;
        io.write_all(bytes).await?;
        io.flush().await?;
        match ask {
            Ask::Read(_) => {}
            Ask::Unread(_) => self.never_reads = true,
            Ask::Unfinished(_) => pending().await,
        }
        Ok(())
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        answer: Answer,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        match answer {
            Answer::Bytes(bytes) => io.write_all(&bytes).await,
            Answer::Stall(bytes) => {
                io.write_all(&bytes).await?;
                io.flush().await?;
                pending().await
            }
            Answer::Decline => Ok(()),
        }
    }
}
