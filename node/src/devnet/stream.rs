//! A node's events, read from `/v1/events` on a thread of their own.
//!
//! A stream ends with its connection; whoever wants to go on opens another one after the last id.

use std::{
    io::{self, BufRead, BufReader, Read},
    sync::mpsc::{self, TryRecvError},
    thread,
    time::Duration,
};

use serde_json::Value;

/// Notices that wait to be taken; the node keeps the rest.
const NOTICES_MAX: usize = 256;
/// Bytes of a line that are read; the longest names the transactions of a reorg.
const LINE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Time to connect and for the head of the answer.
const CONNECT_TIME_OUT: Duration = Duration::from_secs(5);

/// An event as the node tells it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Notice {
    /// Where a later stream goes on.
    pub id: String,
    /// Its name; empty where there is nothing but an id.
    pub kind: String,
    /// Its data.
    pub data: Value,
}

/// A connection's events.
pub struct Stream {
    notices: mpsc::Receiver<Notice>,
}

impl Stream {
    /// Asks a node for events of some types: from now on, or after an id.
    pub fn open(url: &str, types: &str, after: Option<&str>) -> Self {
        let (sender, notices) = mpsc::sync_channel(NOTICES_MAX);
        let url = format!("{url}/v1/events?types={types}");
        let after = after.map(str::to_owned);
        thread::spawn(move || {
            let agent: ureq::Agent = ureq::Agent::config_builder()
                .timeout_connect(Some(CONNECT_TIME_OUT))
                .timeout_recv_response(Some(CONNECT_TIME_OUT))
                .proxy(None)
                .build()
                .into();
            let request = agent.get(url);
            let request = match &after {
                Some(id) => request.header("last-event-id", id),
                None => request,
            };
            // No answer is an end like any other.
            if let Ok(response) = request.call() {
                let lines = BufReader::new(response.into_body().into_reader());
                let _ = read(lines, |notice| sender.send(notice).is_ok());
            }
        });
        Self { notices }
    }

    /// The next notice that has come; `Err` when there will be none.
    pub fn next(&self) -> Result<Option<Notice>, ()> {
        match self.notices.try_recv() {
            Ok(notice) => Ok(Some(notice)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(()),
        }
    }
}

/// Reads notices until the end, or until nobody takes them.
fn read(mut lines: impl BufRead, mut take: impl FnMut(Notice) -> bool) -> io::Result<()> {
    let (mut notice, mut line) = (Notice::default(), Vec::new());
    loop {
        line.clear();
        let read = lines
            .by_ref()
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            let whole = std::mem::take(&mut notice);
            if !whole.id.is_empty() && !take(whole) {
                return Ok(());
            }
            continue;
        }
        let (field, value) = text.split_once(": ").unwrap_or((text, ""));
        match field {
            "id" => value.clone_into(&mut notice.id),
            "event" => value.clone_into(&mut notice.kind),
            "data" => notice.data = serde_json::from_str(value).unwrap_or_default(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn frames_become_notices_and_signs_of_life_are_ids() {
        let text = "retry: 1000\nid: a-1\n\nid: a-2\nevent: head\ndata: {\"height\":7}\n\n\
                    : here\nid: a-3\n\nid: a-4\nevent: head\ndata: {\"cut\":";
        let mut notices = Vec::new();
        read(text.as_bytes(), |notice| {
            notices.push(notice);
            true
        })
        .unwrap();
        let notice = |id: &str, kind: &str, data| Notice {
            id: id.into(),
            kind: kind.into(),
            data,
        };
        let wanted = [
            notice("a-1", "", Value::Null),
            notice("a-2", "head", json!({ "height": 7 })),
            notice("a-3", "", Value::Null),
        ];
        assert_eq!(notices, wanted, "what is cut off is not told");
    }
}
