//! Lines of bounded length from a socket. Used by `connection`.

use std::io;

use miner::limits::LINE_BYTES_MAX;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes asked of the socket at a time.
const CHUNK_BYTES: usize = 2 * 1024;

/// Reads lines. A call that is given up loses nothing.
pub struct Lines<R> {
    reader: R,
    /// What has come and is not given out yet.
    held: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Lines of this reader.
    pub fn new(reader: R) -> Self {
        Self {
            reader,
            held: Vec::new(),
        }
    }

    /// The next line without its end; nothing where the other side has said its last.
    ///
    /// # Errors
    /// Where the socket fails or a line is too long.
    pub async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = self.held.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.held.drain(..=end).collect();
                line.truncate(end);
                return Ok(Some(line));
            }
            if self.held.len() > LINE_BYTES_MAX {
                let what = format!("a line has at most {LINE_BYTES_MAX} bytes");
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            let mut chunk = [0; CHUNK_BYTES];
            let count = self.reader.read(&mut chunk).await?;
            if count == 0 {
                return Ok(None);
            }
            self.held.extend_from_slice(&chunk[..count]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_come_whole_and_bounded() {
        let long = "x".repeat(LINE_BYTES_MAX);
        let text = format!("a\n\nbc\r\n{long}\n{long}yy{long}");
        let mut lines = Lines::new(text.as_bytes());
        let next = async |lines: &mut Lines<&[u8]>| lines.next().await.unwrap().unwrap();
        assert_eq!(next(&mut lines).await, b"a");
        assert_eq!(next(&mut lines).await, b"");
        assert_eq!(next(&mut lines).await, b"bc\r");
        assert_eq!(next(&mut lines).await.len(), LINE_BYTES_MAX);
        assert!(lines.next().await.is_err());
        let mut cut = Lines::new(&b"no end"[..]);
        assert!(cut.next().await.unwrap().is_none());
    }
}
