//! What the devnet prints: one line a block, and a line where the chain changed its mind.
//!
//! Follows node 1, and while the network is split one node of each group.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    client,
    split::{Split, list},
    stream::{Notice, Stream},
};

/// Lines printed at once; older ones are counted in one line.
const LINES_MAX: usize = 20;
/// Heights whose blocks are remembered, for the time between two of them.
const REMEMBERED: usize = 256;
/// Hashes of transactions that a line names.
const HASHES_MAX: usize = 3;
/// Time for the other groups to say how they were healed.
const HEAL_TIME: Duration = Duration::from_secs(30);
/// Time for a node to answer.
const ASK_TIME_OUT: Duration = Duration::from_secs(1);
/// What is listened to.
const TYPES: &str = "head,chain_reorg,fork";

/// Follows the best chain of one node, or of one in each group.
#[derive(Default)]
pub struct Console {
    feeds: Vec<Feed>,
}

/// One node that is followed.
struct Feed {
    number: u32,
    /// Before each line: the group, while there are several.
    prefix: String,
    /// Whether anything but a reorg is printed, and until when.
    ends: Option<Instant>,
    stream: Option<Stream>,
    /// Where to go on.
    last_id: Option<String>,
    /// Hash and time of blocks told, by height.
    told: BTreeMap<u64, (String, u64)>,
}

impl Console {
    /// The network is split, or whole again.
    pub fn set_split(&mut self, split: Option<&Split>) {
        let ends = Instant::now() + HEAL_TIME;
        for feed in &mut self.feeds {
            feed.ends = Some(ends);
        }
        let Some(split) = split else { return };
        for group in split.groups() {
            let Some(number) = group.first().copied() else {
                continue;
            };
            let feed = self.feed(number);
            (feed.prefix, feed.ends) = (format!("[{}] ", list(&group)), None);
        }
    }

    fn feed(&mut self, number: u32) -> &mut Feed {
        let found = self.feeds.iter().position(|feed| feed.number == number);
        let index = found.unwrap_or_else(|| {
            self.feeds.push(Feed::new(number));
            self.feeds.len() - 1
        });
        &mut self.feeds[index]
    }

    /// Lines for what happened since the last look, given where each node listens.
    pub fn poll(&mut self, url: impl Fn(u32) -> Option<String>) -> Vec<String> {
        let is_whole = self.feeds.iter().all(|feed| feed.ends.is_some());
        if is_whole {
            let first = self.feed(1);
            (first.ends, first.prefix) = (None, String::new());
        }
        let now = Instant::now();
        self.feeds
            .retain(|feed| feed.ends.is_none_or(|end| end > now));
        let mut lines = Vec::new();
        for feed in &mut self.feeds {
            if let Some(url) = url(feed.number) {
                lines.extend(feed.poll(&url));
            }
        }
        lines
    }
}

impl Feed {
    fn new(number: u32) -> Self {
        Self {
            number,
            prefix: String::new(),
            ends: None,
            stream: None,
            last_id: None,
            told: BTreeMap::new(),
        }
    }

    fn poll(&mut self, url: &str) -> Vec<String> {
        let notices = self.take(url);
        let is_quiet = !notices.is_empty() && notices.iter().all(|notice| notice.kind.is_empty());
        let mut out = Vec::new();
        if is_quiet && self.told.is_empty() && self.ends.is_none() {
            out.extend(self.first_look(url));
        }
        let wanted = notices.iter().filter(|notice| self.is_wanted(notice));
        let wanted: Vec<_> = wanted.collect();
        let skipped = wanted.len().saturating_sub(LINES_MAX);
        if skipped > 0 {
            out.push(format!("… {skipped} lines"));
        }
        // Asked only where a line wants it.
        let peers = wanted.last().map_or(0, |_| peers(url));
        let said_how = wanted.iter().any(|notice| notice.kind == "chain_reorg");
        if said_how && self.ends.is_some() {
            self.ends = Some(Instant::now());
        }
        let lines = wanted[skipped..].iter();
        out.extend(lines.filter_map(|notice| match notice.kind.as_str() {
            "head" => self.block_line(url, &notice.data, peers),
            "chain_reorg" => Some(reorg_line(&notice.data)),
            _ => Some(fork_line(&notice.data, &tag_of(url, &notice.data))),
        }));
        out.iter_mut()
            .for_each(|line| line.insert_str(0, &self.prefix));
        out
    }

    fn is_wanted(&self, notice: &Notice) -> bool {
        match notice.kind.as_str() {
            "chain_reorg" => true,
            "head" | "fork" => self.ends.is_none(),
            _ => false,
        }
    }

    /// What has come; a connection that has ended is made again next time.
    fn take(&mut self, url: &str) -> Vec<Notice> {
        let mut notices = Vec::new();
        let after = self.last_id.as_deref();
        let stream = self
            .stream
            .get_or_insert_with(|| Stream::open(url, TYPES, after));
        loop {
            match stream.next() {
                Ok(Some(notice)) => {
                    self.last_id = Some(notice.id.clone());
                    notices.push(notice);
                }
                Ok(None) => return notices,
                Err(()) => {
                    self.stream = None;
                    return notices;
                }
            }
        }
    }

    /// The head as it is when the node is first followed, unless that is the genesis block.
    fn first_look(&mut self, url: &str) -> Option<String> {
        let status = client::get(url, "/v1/status", ASK_TIME_OUT).ok()?;
        let head = &status["head"];
        head["height"].as_u64().filter(|height| *height > 0)?;
        self.block_line(url, head, status["peers"].as_u64().unwrap_or(0))
    }

    /// A line for a block, unless it was told already.
    fn block_line(&mut self, url: &str, id: &Value, peers: u64) -> Option<String> {
        let (height, hash) = (id["height"].as_u64()?, id["hash"].as_str()?);
        if self.told.get(&height).is_some_and(|(told, _)| told == hash) {
            return None;
        }
        let block = client::get(url, &format!("/v1/blocks/{hash}"), ASK_TIME_OUT).ok()?;
        let time = block["time"].as_u64().unwrap_or(0);
        let before = height
            .checked_sub(1)
            .and_then(|height| self.told.get(&height));
        let gap = before.map_or(String::new(), |(_, before)| {
            format!("  +{} s", time.saturating_sub(*before))
        });
        let count = block["transaction_count"].as_u64().unwrap_or(0);
        let (tag, short) = (tag_of_block(&block), shorten(hash));
        self.told.insert(height, (hash.to_owned(), time));
        while self.told.len() > REMEMBERED {
            self.told.pop_first();
        }
        Some(format!(
            "#{height} {short}  {tag}  {count} tx{gap}  peers {peers}"
        ))
    }
}

fn peers(url: &str) -> u64 {
    let status = client::get(url, "/v1/status", ASK_TIME_OUT).unwrap_or_default();
    status["peers"].as_u64().unwrap_or(0)
}

fn reorg_line(reorg: &Value) -> String {
    let number = |name: &str| reorg[name].as_u64().unwrap_or(0);
    let (left, joined) = (number("old_branch_length"), number("new_branch_length"));
    let from = &reorg["common_ancestor"]["height"];
    let blocks = if left == 1 { "block" } else { "blocks" };
    let line = format!("reorg: {left} {blocks} left, {joined} joined, from #{from}");
    let list = |name: &str| reorg[name].as_array().map_or(&[][..], Vec::as_slice);
    let redone = list("redone");
    let back = list("undone").iter().filter(|hash| !redone.contains(hash));
    let back: Vec<_> = back.filter_map(Value::as_str).collect();
    let count = number("undone_count").saturating_sub(u64::try_from(redone.len()).unwrap_or(0));
    if count == 0 {
        return line;
    }
    let named: Vec<_> = back.iter().take(HASHES_MAX).copied().map(shorten).collect();
    let more = if back.len() > HASHES_MAX { ", …" } else { "" };
    let transactions = if count == 1 {
        "transaction"
    } else {
        "transactions"
    };
    let named = named.join(", ");
    format!("{line}; {count} {transactions} back in the pool: {named}{more}")
}

fn fork_line(fork: &Value, tag: &str) -> String {
    let hash = shorten(fork["hash"].as_str().unwrap_or("?"));
    let late = match fork["behind"].as_u64().unwrap_or(0) {
        0 => String::new(),
        behind => format!(", {behind} below the head"),
    };
    format!(
        "fork: {tag} mined {hash}, a rival of #{}{late}",
        fork["height"]
    )
}

/// Who mined the block that a notice names.
fn tag_of(url: &str, id: &Value) -> String {
    let hash = id["hash"].as_str().unwrap_or("");
    let block = client::get(url, &format!("/v1/blocks/{hash}"), ASK_TIME_OUT);
    tag_of_block(&block.unwrap_or_default())
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
fn tag_of_block(block: &Value) -> String {
    let digits = block["extra_data"].as_str().unwrap_or("");
    let digits = digits.trim_start_matches("0x").as_bytes();
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
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tag_is_the_printable_start_of_the_extra_data() {
        let tag = |digits: &str| tag_of_block(&json!({ "extra_data": digits }));
        assert_eq!(tag("0x6e6f64652031000000"), "node 1");
        assert_eq!(tag("0x0000"), "unnamed miner");
        assert_eq!(tag("0xzz"), "unnamed miner");
    }

    #[test]
    fn a_hash_is_shortened_in_the_middle() {
        let hash = format!("0x{}", "ab".repeat(32));
        assert_eq!(shorten(&hash), "0xabababab…abab");
        assert_eq!(shorten("?"), "?");
    }

    #[test]
    fn a_reorg_says_what_went_back_to_the_pool() {
        let hash = |digit: &str| format!("0x{}", digit.repeat(64));
        let reorg = |undone: &[&str], redone: &[&str]| {
            let list = |digits: &[&str]| digits.iter().map(|digit| hash(digit)).collect::<Vec<_>>();
            json!({
                "old_branch_length": 3, "new_branch_length": 5,
                "common_ancestor": { "height": 10 }, "undone": list(undone),
                "undone_count": undone.len(), "redone": list(redone),
            })
        };
        let start = "reorg: 3 blocks left, 5 joined, from #10";
        assert_eq!(reorg_line(&reorg(&[], &[])), start);
        assert_eq!(reorg_line(&reorg(&["a"], &["a"])), start);
        let one = reorg_line(&reorg(&["a", "b"], &["a"]));
        assert_eq!(
            one,
            format!("{start}; 1 transaction back in the pool: 0xbbbbbbbb…bbbb")
        );
        let many = reorg_line(&reorg(&["a", "b", "c", "d"], &[]));
        assert!(
            many.contains("4 transactions") && many.ends_with("0xcccccccc…cccc, …"),
            "{many}"
        );
    }

    #[test]
    fn a_fork_says_whose_rival_it_is() {
        let fork = json!({ "height": 13, "hash": "?", "behind": 2 });
        let line = fork_line(&fork, "node 2");
        assert_eq!(
            line,
            "fork: node 2 mined ?, a rival of #13, 2 below the head"
        );
    }

    #[test]
    fn one_node_of_each_group_is_followed_while_there_are_several() {
        let mut console = Console::default();
        console.poll(|_| None);
        let text = r#"{"groups": [[{"number":1,"id":"a"},{"number":2,"id":"b"}],
                       [{"number":3,"id":"c"}]]}"#;
        let split: Split = serde_json::from_str(text).unwrap();
        console.set_split(Some(&split));
        console.poll(|_| None);
        let shown = |console: &Console| -> Vec<(u32, String, bool)> {
            let feeds = console.feeds.iter();
            let shown = |feed: &Feed| (feed.number, feed.prefix.clone(), feed.ends.is_none());
            feeds.map(shown).collect()
        };
        let (first, last) = ("[1 2] ".to_owned(), "[3] ".to_owned());
        assert_eq!(shown(&console), [(1, first, true), (3, last.clone(), true)]);
        console.set_split(None);
        console.poll(|_| None);
        let wanted = [(1, String::new(), true), (3, last, false)];
        assert_eq!(shown(&console), wanted, "the other says how it was healed");
    }
}
