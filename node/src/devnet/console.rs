//! What the devnet prints: one line a block, and a word where the chain changed its mind.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use super::client;

/// Blocks printed at once after a pause; older ones are counted in one line.
const LINES_MAX: u64 = 20;
/// Heights that are watched for a reorg.
const WATCHED: usize = 256;

/// Follows the best chain of one node.
pub struct Console {
    url: String,
    /// Hash and time of the blocks printed, by height.
    printed: BTreeMap<u64, (String, u64)>,
}

impl Console {
    /// Follows the node at `url` from its present head on.
    pub fn new(url: String) -> Self {
        Self {
            url,
            printed: BTreeMap::new(),
        }
    }

    /// Follows the node at another address after a restart.
    pub fn set_url(&mut self, url: String) {
        self.url = url;
    }

    /// Lines for what happened since the last look. No answer gives no lines.
    pub fn poll(&mut self) -> Vec<String> {
        let Ok(status) = client::get(&self.url, "/v1/status", Duration::from_millis(900)) else {
            return Vec::new();
        };
        let Some(height) = status["head"]["height"].as_u64() else {
            return Vec::new();
        };
        let peers = status["peers"].as_u64().unwrap_or(0);
        self.follow(height, peers)
    }

    fn follow(&mut self, head: u64, peers: u64) -> Vec<String> {
        let undone = self.forget_undone(head);
        let first = match self.printed.last_key_value() {
            Some((last, _)) => last + 1,
            // The first look: the head alone, or nothing before the first block.
            None => head.max(1),
        };
        let mut lines = Vec::new();
        let start = first.max((head + 1).saturating_sub(LINES_MAX));
        if start > first {
            lines.push(format!("… {} blocks", start - first));
        }
        for height in start..=head {
            let Ok(block) = client::get(
                &self.url,
                &format!("/v1/blocks/{height}"),
                Duration::from_secs(1),
            ) else {
                break;
            };
            let note = if height == first && undone > 0 {
                format!("  fork: a rival branch is heavier, switched {undone} blocks")
            } else {
                String::new()
            };
            lines.push(self.line(height, &block, peers, &note));
        }
        while self.printed.len() > WATCHED {
            self.printed.pop_first();
        }
        lines
    }

    /// Drops printed blocks that are no longer on the best chain; returns how many.
    fn forget_undone(&mut self, head: u64) -> usize {
        let mut undone = 0;
        while let Some((height, (hash, _))) = self.printed.last_key_value() {
            let height = *height;
            let is_there = height <= head
                && client::get(
                    &self.url,
                    &format!("/v1/blocks/{height}"),
                    Duration::from_secs(1),
                )
                .map_or(true, |block| block["hash"].as_str() == Some(hash));
            if is_there {
                break;
            }
            self.printed.remove(&height);
            undone += 1;
        }
        undone
    }

    fn line(&mut self, height: u64, block: &Value, peers: u64, note: &str) -> String {
        let hash = block["hash"].as_str().unwrap_or("?").to_owned();
        let time = block["time"].as_u64().unwrap_or(0);
        let previous = height
            .checked_sub(1)
            .and_then(|height| self.printed.get(&height));
        let gap = previous.map_or(String::new(), |(_, before)| {
            format!("  +{} s", time.saturating_sub(*before))
        });
        let tag = miner_tag(block["extra_data"].as_str().unwrap_or(""));
        let count = block["transaction_count"].as_u64().unwrap_or(0);
        let line = format!(
            "#{height} {}  {tag}  {count} tx{gap}  peers {peers}{note}",
            shorten(&hash)
        );
        self.printed.insert(height, (hash, time));
        line
    }
}

/// The first and last digits of a hash.
pub fn shorten(hash: &str) -> String {
    match (
        hash.get(..10),
        hash.len().checked_sub(4).and_then(|at| hash.get(at..)),
    ) {
        (Some(head), Some(tail)) => format!("{head}…{tail}"),
        _ => hash.to_owned(),
    }
}

/// The miner's tag: the printable characters of the extra data.
fn miner_tag(extra_data: &str) -> String {
    let digits = extra_data.trim_start_matches("0x").as_bytes();
    let bytes = digits
        .chunks(2)
        .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    let text: String = bytes
        .take_while(|byte| (b' '..=b'~').contains(byte))
        .map(char::from)
        .collect();
    if text.is_empty() {
        "unnamed miner".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_the_printable_start_of_the_extra_data() {
        assert_eq!(miner_tag("0x6e6f64652031000000"), "node 1");
        assert_eq!(miner_tag("0x0000"), "unnamed miner");
        assert_eq!(miner_tag("0xzz"), "unnamed miner");
    }

    #[test]
    fn a_hash_is_shortened_in_the_middle() {
        let hash = format!("0x{}", "ab".repeat(32));
        assert_eq!(shorten(&hash), "0xabababab…abab");
        assert_eq!(shorten("?"), "?");
    }
}
