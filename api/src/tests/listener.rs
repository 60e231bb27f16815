//! The reading end of an event stream over TCP.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;

use super::Server;

/// A frame of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    pub id: String,
    pub event: String,
    pub data: Value,
}

/// A stream's reading end.
pub struct Listener {
    stream: BufReader<TcpStream>,
    text: String,
}

impl Listener {
    pub fn ask(server: &Server, query: &str, header: &[u8]) -> (u16, Self) {
        let stream = TcpStream::connect(server.address).unwrap();
        let patience = Some(Duration::from_secs(20));
        stream.set_read_timeout(patience).unwrap();
        let mut request = format!("GET /v1/events{query} HTTP/1.1\r\nHost: localhost\r\n");
        if !header.is_empty() {
            request.push_str("Last-Event-ID: ");
        }
        let mut request = request.into_bytes();
        request.extend(header);
        request.extend(if header.is_empty() {
            &b"\r\n"[..]
        } else {
            b"\r\n\r\n"
        });
        (&stream).write_all(&request).unwrap();
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        while !line.trim().is_empty() {
            line.clear();
            stream.read_line(&mut line).unwrap();
        }
        let text = String::new();
        (status, Self { stream, text })
    }

    /// The head of the answer to a request with this line in its head.
    pub fn ask_with(server: &Server, line: &str) -> String {
        let mut stream = TcpStream::connect(server.address).unwrap();
        let patience = Some(Duration::from_secs(20));
        stream.set_read_timeout(patience).unwrap();
        let request = format!("GET /v1/events HTTP/1.1\r\nHost: localhost\r\n{line}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = String::new();
        let mut stream = BufReader::new(stream);
        while !head.ends_with("\r\n\r\n") {
            stream.read_line(&mut head).unwrap();
        }
        head
    }

    /// A stream that has begun: its first frame is here.
    pub fn open(server: &Server, query: &str, after: &str) -> Self {
        let (status, mut listener) = Self::ask(server, query, after.as_bytes());
        assert_eq!(status, 200);
        listener.fill();
        listener
    }

    /// One more chunk; `false` at the end.
    pub fn fill(&mut self) -> bool {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        let Ok(size) = usize::from_str_radix(line.trim(), 16) else {
            return false;
        };
        let mut chunk = vec![0; size + 2];
        self.stream.read_exact(&mut chunk).unwrap();
        chunk.truncate(size);
        self.text.push_str(&String::from_utf8(chunk).unwrap());
        size > 0
    }

    /// The next frame with an event in it.
    pub fn next(&mut self) -> Frame {
        loop {
            while !self.text.contains("\n\n") {
                assert!(self.fill(), "the stream has ended");
            }
            let (text, rest) = self.text.split_once("\n\n").unwrap();
            let field = |name: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(name));
                line.unwrap_or_default().to_owned()
            };
            let (id, event, data) = (field("id: "), field("event: "), field("data: "));
            self.text = rest.to_owned();
            if !event.is_empty() {
                let data = serde_json::from_str(&data).unwrap();
                return Frame { id, event, data };
            }
        }
    }

    pub fn take(&mut self, count: usize) -> Vec<Frame> {
        (0..count).map(|_| self.next()).collect()
    }
}
