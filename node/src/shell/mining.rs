//! The mining thread: template, search, block, again.
//!
//! Works on the view's head and on nothing older: a new head stops the search at once, a changed
//! pool or a passing second gives it a fresher template. What it finds enters the core like any
//! other block, from nobody.

use std::{
    cell::Cell,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use chain::{
    Address, Block, BlockId, CheckedBlock, CheckedTransaction, Header, Input, StoreError,
    template::{self, TemplateOptions},
};
use miner::{Job, Miner, Outcome};
use state::Evm;
use tokio::sync::{mpsc, watch};
use tracing::{error, info};

use super::{
    check::{self, Senders},
    clock::Clock,
    core::Message,
    metrics::Metrics,
    view::View,
};

/// A template is made anew after this long, for its time and its transactions.
const TEMPLATE_LIFE: Duration = Duration::from_secs(1);
/// How often the search looks whether it is to stop; a new head wakes it at once.
const HEAD_POLL: Duration = Duration::from_millis(5);

/// Where blocks are made: what goes into them, what they are made on, and where they go.
#[derive(Clone)]
pub struct Site {
    /// Who is paid.
    pub beneficiary: Address,
    /// The tag in extra data.
    pub extra_data: [u8; 32],
    /// Where the search begins: another place for each node, so that two that pay the same
    /// beneficiary never make the same block.
    pub extra_nonce: [u8; 16],
    /// What to mine on.
    pub views: watch::Receiver<Arc<View>>,
    /// Where blocks go.
    pub inbox: mpsc::Sender<Message>,
    /// The clocks.
    pub clock: Clock,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

/// What the mining thread is given.
pub struct Mining {
    /// The search threads.
    pub miner: Miner,
    /// What they work on.
    pub site: Site,
    /// Ends the thread.
    pub stop: Arc<AtomicBool>,
    /// Set while an operator's order has the place to itself.
    pub paused: Arc<AtomicBool>,
}

/// Why there is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTemplate {
    /// The chain cannot go on.
    #[error("the clock or the chain's work is at the end of its range")]
    End,
    /// A block hash that a transaction asked for is not to be had: the block would be invalid.
    #[error("a block hash for its transactions could not be read: the log says why")]
    Hash,
}

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// This block was found and handed to the core.
    Mined(BlockId),
    /// Nothing was found on this template.
    Empty,
    /// The core is gone.
    Over,
}

impl Mining {
    /// Mines until it is stopped or the core is gone.
    pub fn run(mut self) {
        while !self.stop.load(Ordering::Relaxed) {
            if self.paused.load(Ordering::Relaxed) {
                thread::sleep(HEAD_POLL);
            } else if self.round() == Round::Over {
                return;
            }
        }
    }

    /// Works on one template of the present head, until it is out of date or a block is found.
    pub fn round(&mut self) -> Round {
        let view = Arc::clone(&self.site.views.borrow_and_update());
        let block = match self.site.template(&view) {
            Ok(block) => block,
            Err(error) => {
                error!("there is nothing to mine: {error}");
                thread::sleep(TEMPLATE_LIFE);
                return Round::Empty;
            }
        };
        let start = Instant::now();
        let is_stale = || {
            let has_new_head = self.site.views.borrow().api.head != view.api.head;
            has_new_head || start.elapsed() >= TEMPLATE_LIFE || self.paused.load(Ordering::Relaxed)
        };
        let header = self.search(&block.header, self.site.extra_nonce, is_stale);
        let Some(header) = header else {
            return Round::Empty;
        };
        let Some(checked) = self.site.check(header, block, &view) else {
            return Round::Empty;
        };
        let id = checked.id();
        if !self.site.submit(checked) {
            return Round::Over;
        }
        self.wait_for_another_head(&view);
        let now = self.site.view();
        if let Ok(Some(there)) = now.api.reader.canonical(id.height)
            && there != id.hash
        {
            self.site.metrics.mined_stale.inc();
        }
        Round::Mined(id)
    }

    /// Searches from `extra_nonce` on until a header is found, `is_stale`, or the thread is to end.
    pub fn search(
        &self,
        header: &Header,
        extra_nonce: [u8; 16],
        is_stale: impl Fn() -> bool + Sync,
    ) -> Option<Header> {
        let mut job = Job::for_block(header.clone())?;
        job.header.extension.extra_nonce = extra_nonce;
        let (stop, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
        let before = self.miner.hashes();
        let outcome = thread::scope(|scope| {
            let watch = scope.spawn(|| {
                let mut views = self.site.views.clone();
                while !is_over.load(Ordering::Relaxed) {
                    views.mark_unchanged();
                    if self.stop.load(Ordering::Relaxed) || is_stale() {
                        stop.store(true, Ordering::Relaxed);
                        return;
                    }
                    // Also woken when the search is over: easy blocks come faster than this passes.
                    park_until_changed(&mut views);
                }
            });
            let outcome = self.miner.search(&job, &stop);
            is_over.store(true, Ordering::Relaxed);
            watch.thread().unpark();
            outcome
        });
        let tried = self.miner.hashes().saturating_sub(before);
        self.site
            .metrics
            .tried(self.site.clock.now().monotonic_ms, tried);
        match outcome {
            Outcome::Found(header) => Some(*header),
            Outcome::Stopped => None,
        }
    }

    /// Without this the next search would start on the same parent again.
    fn wait_for_another_head(&self, view: &View) {
        let mut waited = Duration::ZERO;
        while self.site.views.borrow().api.head == view.api.head
            && waited < TEMPLATE_LIFE
            && !self.stop.load(Ordering::Relaxed)
        {
            thread::sleep(Duration::from_millis(1));
            waited += Duration::from_millis(1);
        }
    }
}

/// Wakes the thread that it holds.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Sleeps until there is a new view, something else wakes this thread, or [`HEAD_POLL`] has passed.
fn park_until_changed(views: &mut watch::Receiver<Arc<View>>) {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let changed = pin!(views.changed());
    match changed.poll(&mut Context::from_waker(&waker)) {
        Poll::Ready(Ok(())) => {}
        // No view will come when the core is gone; the flags still count.
        Poll::Ready(Err(_)) | Poll::Pending => thread::park_timeout(HEAD_POLL),
    }
}

impl Site {
    /// The newest view.
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.views.borrow())
    }

    /// What our part of a block is, at this time.
    pub fn options(&self, now_unix_secs: u64) -> TemplateOptions {
        TemplateOptions {
            beneficiary: self.beneficiary,
            extra_data: self.extra_data,
            now_unix_secs,
        }
    }

    /// The best block on a view's head.
    pub fn template(&self, view: &View) -> Result<Block, NoTemplate> {
        let base_fee = chain::rules::next_base_fee(&view.api.spec, &view.parent.numbers);
        self.template_of(view, view.api.pool.ready(base_fee))
    }

    /// The block without transactions on a view's head, which takes no time to make.
    pub fn empty_template(&self, view: &View) -> Result<Block, NoTemplate> {
        self.template_of(view, [])
    }

    fn template_of<'a>(
        &self,
        view: &View,
        candidates: impl IntoIterator<Item = &'a CheckedTransaction>,
    ) -> Result<Block, NoTemplate> {
        let api = &view.api;
        let failure = Cell::new(None);
        let block_hash = |height| {
            let missing = || StoreError(format!("the best chain has no block at height {height}"));
            let hash = api.reader.canonical(height);
            let hash = hash.and_then(|hash| hash.ok_or_else(missing));
            // The machine goes on with zero; what it makes of that is thrown away.
            hash.map_err(|error| failure.set(Some(error))).ok()
        };
        let (spec, evm, parent) = (&api.spec, Evm::new(), &view.parent);
        let built = template::build(
            spec,
            &evm,
            parent,
            &api.state,
            candidates,
            &block_hash,
            &self.options(self.clock.now().unix_secs),
        );
        match failure.take() {
            Some(error) => {
                error!("no template without a block hash of the chain: {error}");
                Err(NoTemplate::Hash)
            }
            None => built.ok_or(NoTemplate::End),
        }
    }

    /// A found header and its body as a block that the core takes; nothing if it fails the check
    /// that all blocks pass.
    pub fn check(&self, header: Header, block: Block, view: &View) -> Option<CheckedBlock> {
        let found = Block {
            header,
            body: block.body,
        };
        let senders = Senders::of(&view.api.pool, &self.metrics.senders);
        match check::block(found, &view.api.spec, &senders) {
            Ok(checked) => Some(checked),
            Err(error) => {
                error!("the miner made a block that fails its own check: {error}");
                None
            }
        }
    }

    /// Hands a block to the core. `false` if that is gone.
    pub fn submit(&self, block: CheckedBlock) -> bool {
        let id = block.id();
        info!(height = id.height, hash = %id.hash, "mined a block");
        self.metrics.mined.inc();
        let input = Input::Block { from: None, block };
        self.inbox.blocking_send(Message::Input(input)).is_ok()
    }
}

#[cfg(test)]
mod tests;
