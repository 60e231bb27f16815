//! Bytes on a stream and back: one frame is a u32 length, little-endian, and that many bytes.
//!
//! The length is held against its limit before a byte of it is read, and memory grows with what
//! arrives, not with what is announced. Called by libp2p's request-response, in the task of the
//! connection.

use std::{fmt, io, sync::Arc};

use chain::{
    message::{Request, Response},
    params::{REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX, SPEC_BYTES_MAX},
};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{StreamProtocol, request_response::Codec};

/// The other side closed the stream instead of answering.
#[derive(Debug)]
pub(crate) struct Declined;

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("closed without an answer")
    }
}

impl std::error::Error for Declined {}

/// What a peer asks. libp2p tells nobody of a request that could not be read, so one that is no
/// message is read as such, and its sender can be charged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A request within its limits.
    Request(Request),
    /// Anything else, and why. Never sent.
    Malformed(String),
}

/// An answer to a peer's question. Ours is encoded before it waits to be written, so that its
/// bytes can be counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// What was read.
    Response(Response),
    /// What is written.
    Bytes(Vec<u8>),
}

/// Requests and answers between nodes of one network.
#[derive(Clone, Default)]
pub(crate) struct MessageCodec;

/// The chain spec, which any node gives to anybody.
#[derive(Clone, Default)]
pub(crate) struct SpecCodec;

impl Codec for MessageCodec {
    type Protocol = StreamProtocol;
    type Request = Asked;
    type Response = Answer;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Asked>
    where
        T: AsyncRead + Unpin + Send,
    {
        let bytes = match read_frame(io, REQUEST_BYTES_MAX).await {
            Ok(bytes) => bytes,
            Err(error) if is_malformed(&error) => return Ok(Asked::Malformed(error.to_string())),
            Err(error) => return Err(error),
        };
        let decoded = Request::decode(&bytes);
        Ok(decoded.map_or_else(|error| Asked::Malformed(error.to_string()), Asked::Request))
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Answer>
    where
        T: AsyncRead + Unpin + Send,
    {
        let bytes = read_frame(io, RESPONSE_BYTES_MAX).await?;
        Response::decode(&bytes)
            .map(Answer::Response)
            .map_err(malformed)
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        asked: Asked,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        match asked {
            Asked::Request(request) => write_frame(io, &request.encode(), REQUEST_BYTES_MAX).await,
            Asked::Malformed(why) => Err(io::Error::new(io::ErrorKind::InvalidInput, why)),
        }
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
            Answer::Bytes(bytes) => write_frame(io, &bytes, RESPONSE_BYTES_MAX).await,
            Answer::Response(response) => {
                write_frame(io, &response.encode(), RESPONSE_BYTES_MAX).await
            }
        }
    }
}

impl Codec for SpecCodec {
    type Protocol = StreamProtocol;
    type Request = ();
    type Response = Arc<str>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<()>
    where
        T: AsyncRead + Unpin + Send,
    {
        read_frame(io, 0).await.map(|_| ())
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Arc<str>>
    where
        T: AsyncRead + Unpin + Send,
    {
        let bytes = read_frame(io, SPEC_BYTES_MAX).await?;
        String::from_utf8(bytes).map(Arc::from).map_err(malformed)
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, (): ()) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write_frame(io, &[], 0).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        spec: Arc<str>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write_frame(io, spec.as_bytes(), SPEC_BYTES_MAX).await
    }
}

/// Reads one frame. A stream that ends before its first byte is [`Declined`].
async fn read_frame<T>(io: &mut T, bytes_max: usize) -> io::Result<Vec<u8>>
where
    T: AsyncRead + Unpin + Send,
{
    let mut length = [0; 4];
    if io.read(&mut length[..1]).await? == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, Declined));
    }
    io.read_exact(&mut length[1..]).await?;
    let length = u32::from_le_bytes(length);
    let want = usize::try_from(length)
        .ok()
        .filter(|want| *want <= bytes_max);
    let Some(want) = want else {
        return Err(malformed(format!(
            "a frame has at most {bytes_max} bytes, announced {length}"
        )));
    };
    let mut bytes = Vec::new();
    io.take(u64::from(length)).read_to_end(&mut bytes).await?;
    if bytes.len() == want {
        Ok(bytes)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

async fn write_frame<T>(io: &mut T, bytes: &[u8], bytes_max: usize) -> io::Result<()>
where
    T: AsyncWrite + Unpin + Send,
{
    let length = u32::try_from(bytes.len())
        .ok()
        .filter(|_| bytes.len() <= bytes_max);
    let Some(length) = length else {
        let got = bytes.len();
        let text = format!("a frame has at most {bytes_max} bytes, wanted to send {got}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    };
    io.write_all(&length.to_le_bytes()).await?;
    io.write_all(bytes).await
}

/// What the other side sent is wrong, as opposed to missing.
fn malformed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Whether reading failed because of what the other side sent.
pub(crate) fn is_malformed(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData
}

/// Whether the other side closed the stream before its first byte.
pub(crate) fn is_declined(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Declined>())
}

#[cfg(test)]
mod tests {
    use chain::{BlockHash, params::LOCATOR_MAX};
    use futures::{executor::block_on, io::Cursor};

    use super::*;

    const PROTOCOL: StreamProtocol = StreamProtocol::new("/lignum/00000000/1");

    fn read(bytes: &[u8], limit: usize) -> io::Result<Vec<u8>> {
        block_on(read_frame(&mut Cursor::new(bytes.to_vec()), limit))
    }

    fn asked(bytes: &[u8]) -> io::Result<Asked> {
        block_on(MessageCodec.read_request(&PROTOCOL, &mut Cursor::new(bytes.to_vec())))
    }

    fn frame(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        block_on(write_frame(&mut out, bytes, usize::MAX)).unwrap();
        out
    }

    #[test]
    fn a_frame_comes_back() {
        for bytes in [vec![], vec![1], vec![7; 100_000]] {
            assert_eq!(read(&frame(&bytes), 100_000).unwrap(), bytes);
        }
    }

    #[test]
    fn a_hostile_length_is_refused_before_its_bytes() {
        for length in [17, 1 << 24, u32::MAX - 1, u32::MAX] {
            let error = read(&length.to_le_bytes(), 16).unwrap_err();
            assert!(is_malformed(&error), "{error}");
        }
    }

    #[test]
    fn a_frame_cut_short_is_not_malformed_but_missing() {
        let whole = frame(&[5; 20]);
        for end in 1..whole.len() {
            let error = read(&whole[..end], 64).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
            assert!(!is_malformed(&error) && !is_declined(&error));
        }
        assert!(is_declined(&read(&[], 64).unwrap_err()));
    }

    /// A stream that announces four megabytes and then sends nothing must cost nothing.
    #[test]
    fn memory_follows_what_arrives() {
        let mut bytes = Vec::new();
        let sent = [1_u8; 10];
        block_on(Cursor::new(sent).take(4 << 20).read_to_end(&mut bytes)).unwrap();
        assert!(bytes.capacity() < 4_096, "{}", bytes.capacity());
    }

    #[test]
    fn requests_go_through_and_too_long_lists_do_not() {
        let mut codec = MessageCodec;
        let good = Request::Headers(vec![BlockHash([1; 32]); LOCATOR_MAX]);
        let mut out = Vec::new();
        let good_bytes = good.encode();
        let good = Asked::Request(good);
        block_on(codec.write_request(&PROTOCOL, &mut out, good.clone())).unwrap();
        let back = block_on(codec.read_request(&PROTOCOL, &mut Cursor::new(out))).unwrap();
        assert_eq!(back, good);

        let long = Request::Headers(vec![BlockHash([1; 32]); LOCATOR_MAX + 1]);
        assert!(matches!(
            asked(&frame(&long.encode())),
            Ok(Asked::Malformed(_))
        ));
        let announced = u32::try_from(REQUEST_BYTES_MAX + 1).unwrap().to_le_bytes();
        assert!(matches!(asked(&announced), Ok(Asked::Malformed(_))));
        assert!(
            asked(&frame(&good_bytes)[..9]).is_err(),
            "cut short, and nobody's fault"
        );
    }

    #[test]
    fn noise_and_trailing_bytes_are_malformed() {
        let mut codec = MessageCodec;
        let mut trailing = Request::Blocks(vec![]).encode();
        trailing.push(0);
        let noise: Vec<u8> = (0..=255).collect();
        for bytes in [trailing, noise, vec![], vec![255; 16]] {
            assert!(matches!(asked(&frame(&bytes)), Ok(Asked::Malformed(_))));
            let mut wire = Cursor::new(frame(&bytes));
            assert!(block_on(codec.read_response(&PROTOCOL, &mut wire)).is_err());
        }
    }

    #[test]
    fn a_spec_is_text_of_at_most_a_mebibyte() {
        let mut codec = SpecCodec;
        let mut out = Vec::new();
        let spec: Arc<str> = "x".repeat(SPEC_BYTES_MAX).into();
        block_on(codec.write_response(&PROTOCOL, &mut out, spec.clone())).unwrap();
        let back = block_on(codec.read_response(&PROTOCOL, &mut Cursor::new(out))).unwrap();
        assert_eq!(back, spec);

        let long: Arc<str> = "x".repeat(SPEC_BYTES_MAX + 1).into();
        assert!(block_on(codec.write_response(&PROTOCOL, &mut Vec::new(), long)).is_err());
        let mut wire = Cursor::new(frame(&[0xff, 0xfe]));
        assert!(is_malformed(
            &block_on(codec.read_response(&PROTOCOL, &mut wire)).unwrap_err()
        ));
        assert!(block_on(codec.read_request(&PROTOCOL, &mut Cursor::new(frame(&[1])))).is_err());
    }
}
