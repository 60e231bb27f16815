//! The newest template of a node, kept at hand by long polls.
//!
//! [`Source::fill`] asks, [`Feed`] holds what came, and the search that works on it is told when
//! something newer is there. Called by the verb `mine`.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use chain::{Address, Block, BlockHash, Target};
use serde_json::Value;

use crate::devnet::client;

/// A template is asked for anew after this long, for its time and its transactions.
const TEMPLATE_LIFE_SECS: u64 = 2;
/// Time for an answer beyond the wait that was asked for.
const ANSWER_TIME_OUT: Duration = Duration::from_secs(10);
/// Pause after a question that found no node.
const RETRY: Duration = Duration::from_secs(1);

/// A block to find a proof of work for.
#[derive(Debug)]
pub struct Template {
    /// The block, with any nonce.
    pub block: Block,
    /// What its hash must meet.
    pub target: Target,
}

/// What a feed holds.
#[derive(Debug, Default)]
struct Held {
    newest: Option<Arc<Template>>,
    /// A block that has a child by us which is the head: templates on it were made before that.
    past: Option<BlockHash>,
}

/// The newest template, for one search at a time.
#[derive(Debug, Default)]
pub struct Feed {
    held: Mutex<Held>,
    has_come: Condvar,
    /// Whether the search under way is on something older, or is to end.
    is_past: AtomicBool,
    is_closed: AtomicBool,
}

impl Feed {
    /// The newest template, if there is one or one comes within `wait`. A search on it ends when
    /// [`Feed::is_past`] is set.
    pub fn next(&self, wait: Duration) -> Option<Arc<Template>> {
        let waited = self
            .has_come
            .wait_timeout_while(self.lock(), wait, |held| held.newest.is_none());
        let (held, _) = waited.unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that a newer one that comes now sets it again.
        let is_closed = self.is_closed.load(Ordering::Relaxed);
        self.is_past.store(is_closed, Ordering::Relaxed);
        held.newest.clone()
    }

    /// Set when the search is to end.
    pub fn is_past(&self) -> &AtomicBool {
        &self.is_past
    }

    /// What the present search has to meet.
    pub fn target(&self) -> Option<Target> {
        self.lock().newest.as_ref().map(|template| template.target)
    }

    /// Ends the search, and every later one.
    pub fn close(&self) {
        let _held = self.lock();
        self.is_closed.store(true, Ordering::Relaxed);
        self.is_past.store(true, Ordering::Relaxed);
    }

    /// Nothing more is to be found on this template.
    pub fn give_up(&self, template: &Arc<Template>) {
        let mut held = self.lock();
        let is_it = |newest: &Arc<Template>| Arc::ptr_eq(newest, template);
        if held.newest.as_ref().is_some_and(is_it) {
            held.newest = None;
        }
    }

    /// A block on this template is the head, so its parent is not; a template on it may still be
    /// under way.
    pub fn succeed(&self, template: &Arc<Template>) {
        let mut held = self.lock();
        held.past = Some(template.block.header.pow.parent);
        let is_on = |newest: &Arc<Template>| Some(newest.block.header.pow.parent) == held.past;
        if held.newest.as_ref().is_some_and(is_on) {
            held.newest = None;
        }
    }

    /// Puts a template, or none, in the place of the one before.
    fn put(&self, template: Option<Template>) {
        let mut held = self.lock();
        let past = held.past;
        let template = template.filter(|new| Some(new.block.header.pow.parent) != past);
        held.newest = template.map(Arc::new);
        self.is_past.store(true, Ordering::Relaxed);
        self.has_come.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where templates come from.
#[derive(Clone, Debug)]
pub struct Source {
    url: String,
    /// The question, without what it waits for.
    path: String,
}

impl Source {
    /// A node's templates that pay this address and carry this text.
    pub fn new(url: &str, beneficiary: Address, tag: &str) -> Self {
        let tag: String = tag.bytes().map(|byte| format!("%{byte:02x}")).collect();
        Self {
            url: url.to_owned(),
            path: format!("/v1/mining/template?beneficiary={beneficiary}&tag={tag}"),
        }
    }

    /// Keeps the feed filled, until the process ends. Says once when the node is lost.
    pub fn fill(&self, feed: &Feed) {
        let (mut parent, mut is_lost) = (None, false);
        while !feed.is_closed.load(Ordering::Relaxed) {
            match self.ask(parent) {
                Ok(template) => {
                    parent = Some(template.block.header.pow.parent);
                    is_lost = false;
                    feed.put(Some(template));
                }
                Err(reason) => {
                    // Its head may have moved meanwhile.
                    feed.put(None);
                    if !is_lost {
                        eprintln!("no template from {}: {reason}; trying again", self.url);
                    }
                    (parent, is_lost) = (None, true);
                    thread::sleep(RETRY);
                }
            }
        }
    }

    /// A template, at once or when the head is no longer `parent`.
    fn ask(&self, parent: Option<BlockHash>) -> Result<Template, String> {
        let path = match parent {
            None => self.path.clone(),
            Some(parent) => {
                format!(
                    "{}&after={parent}&wait_secs={TEMPLATE_LIFE_SECS}",
                    self.path
                )
            }
        };
        let time_out = ANSWER_TIME_OUT + Duration::from_secs(TEMPLATE_LIFE_SECS);
        Template::read(&client::get(&self.url, &path, time_out)?)
    }
}

impl Template {
    /// Reads a node's answer.
    fn read(answer: &Value) -> Result<Self, String> {
        let bytes = answer["block"].as_str().and_then(bytes);
        let bytes = bytes.ok_or("the answer has no block in hex")?;
        let block = Block::decode(&bytes).map_err(|error| error.to_string())?;
        let target = block.header.pow.bits.target();
        let target = target.ok_or("the block's bits are no target")?;
        Ok(Self { block, target })
    }
}

/// The bytes of hex digits after `0x`.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.strip_prefix("0x")?.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| {
        let digits = std::str::from_utf8(pair).ok()?;
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        is_hex
            .then(|| u8::from_str_radix(digits, 16).ok())
            .flatten()
    };
    rest.is_empty().then(|| pairs.iter().map(byte).collect())?
}

#[cfg(test)]
mod tests {
    use chain::{Bits, Header};
    use serde_json::json;

    use super::*;

    fn template(height: u64) -> Template {
        let mut header = Header::default();
        header.extension.height = height;
        header.pow.bits = Bits(0x1e7f_ffff);
        let body = chain::Body(vec![vec![1, 2], vec![3]]);
        let target = header.pow.bits.target().unwrap();
        Template {
            block: Block { header, body },
            target,
        }
    }

    #[test]
    fn a_search_ends_when_something_newer_comes_and_not_before() {
        let feed = Feed::default();
        assert!(feed.next(Duration::ZERO).is_none());
        feed.put(Some(template(1)));
        let first = feed.next(Duration::ZERO).unwrap();
        assert_eq!(first.block.header.extension.height, 1);
        assert!(!feed.is_past().load(Ordering::Relaxed));
        feed.put(Some(template(2)));
        assert!(feed.is_past().load(Ordering::Relaxed));
        // What is found late does not drop what is newer.
        feed.give_up(&first);
        let second = feed.next(Duration::ZERO).unwrap();
        assert_eq!(second.block.header.extension.height, 2);
        feed.give_up(&second);
        assert!(feed.next(Duration::ZERO).is_none());
    }

    /// A long poll that ended just before our block came is answered after it was taken.
    #[test]
    fn a_template_under_way_when_its_parent_got_a_child_is_not_searched() {
        let feed = Feed::default();
        feed.put(Some(template(1)));
        let first = feed.next(Duration::ZERO).unwrap();
        feed.succeed(&first);
        feed.put(Some(template(1)));
        assert!(feed.next(Duration::ZERO).is_none());
        let mut next = template(2);
        next.block.header.pow.parent = BlockHash([2; 32]);
        feed.put(Some(next));
        let next = feed.next(Duration::ZERO).unwrap();
        assert_eq!(next.block.header.extension.height, 2);
    }

    #[test]
    fn without_a_node_there_is_nothing_to_search_and_the_end_is_final() {
        let feed = Feed::default();
        feed.put(Some(template(1)));
        feed.next(Duration::ZERO).unwrap();
        feed.put(None);
        assert!(feed.is_past().load(Ordering::Relaxed));
        assert!(feed.target().is_none());
        feed.close();
        feed.put(Some(template(2)));
        feed.next(Duration::ZERO).unwrap();
        assert!(feed.is_past().load(Ordering::Relaxed));
    }

    #[test]
    fn an_answer_is_read_to_the_same_block_or_refused() {
        let block = template(7).block;
        let digits: String = block.encode().iter().map(|b| format!("{b:02x}")).collect();
        let read = Template::read(&json!({ "block": format!("0x{digits}") })).unwrap();
        assert_eq!(read.block, block);
        for bad in ["", "0x", "0x0", "0x+1", &format!("0x{digits}00")] {
            assert!(Template::read(&json!({ "block": bad })).is_err(), "{bad}");
        }
        assert!(Template::read(&json!({})).is_err());
    }

    #[test]
    fn tags_are_safe_in_a_question() {
        let source = Source::new("http://x", Address::ZERO, "a&b c");
        assert!(
            source.path.ends_with("&tag=%61%26%62%20%63"),
            "{}",
            source.path
        );
    }
}
