//! The mining thread: template, search, block, again.
//!
//! Works on the view's head and on nothing older: a new head stops the search at once, a changed
//! pool or a passing second gives it a fresher template. What it finds enters the core like any
//! other block, from nobody.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use chain::{
    Address, Block, CheckedBlock, Input,
    params::TEMPLATE_CANDIDATES_MAX,
    template::{self, TemplateOptions},
};
use miner::{Job, Miner, Outcome};
use state::Evm;
use tokio::sync::{mpsc, watch};
use tracing::{error, info};

use super::{clock::Clock, core::Message, metrics::Metrics, view::View};

/// A template is made anew after this long, for its time and its transactions.
const TEMPLATE_LIFE: Duration = Duration::from_secs(1);
/// How often the search looks for a new head.
const HEAD_POLL: Duration = Duration::from_millis(5);

/// What the mining thread is given.
pub struct Mining {
    /// The search threads.
    pub miner: Miner,
    /// Who is paid.
    pub beneficiary: Address,
    /// The tag in extra data.
    pub extra_data: [u8; 32],
    /// What to mine on.
    pub views: watch::Receiver<Arc<View>>,
    /// Where blocks go.
    pub inbox: mpsc::Sender<Message>,
    /// The clocks.
    pub clock: Clock,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Ends the thread.
    pub stop: Arc<AtomicBool>,
}

impl Mining {
    /// Mines until it is stopped or the core is gone.
    pub fn run(mut self) {
        while !self.stop.load(Ordering::Relaxed) {
            let view = Arc::clone(&self.views.borrow_and_update());
            let Some(block) = self.template(&view) else {
                error!("the clock or the chain's work is at the end of its range: nothing to mine");
                thread::sleep(TEMPLATE_LIFE);
                continue;
            };
            if let Some(found) = self.search(&block, &view)
                && !self.submit(found, block, &view)
            {
                return;
            }
        }
    }

    fn template(&self, view: &View) -> Option<Block> {
        let api = &view.api;
        let options = TemplateOptions {
            beneficiary: self.beneficiary,
            extra_data: self.extra_data,
            now_unix_secs: self.clock.now().unix_secs,
        };
        let base_fee = chain::rules::next_base_fee(&api.spec, &view.parent.numbers);
        let candidates = api.pool.candidates(base_fee, TEMPLATE_CANDIDATES_MAX);
        let block_hash = |height| api.reader.canonical(height).ok().flatten();
        let (spec, evm, parent) = (&api.spec, Evm::new(), &view.parent);
        template::build(
            spec,
            &evm,
            parent,
            &api.state,
            &candidates,
            &block_hash,
            &options,
        )
    }

    /// Searches until a header is found or the template is out of date.
    fn search(&self, block: &Block, view: &View) -> Option<chain::Header> {
        let job = Job::for_block(block.header.clone())?;
        let is_stale = AtomicBool::new(false);
        let is_over = AtomicBool::new(false);
        let before = self.miner.hashes();
        let outcome = thread::scope(|scope| {
            let watch = scope.spawn(|| self.watch(view, &is_stale, &is_over));
            let outcome = self.miner.search(&job, &is_stale);
            is_over.store(true, Ordering::Relaxed);
            watch.thread().unpark();
            outcome
        });
        self.metrics
            .hashes
            .inc_by(self.miner.hashes().saturating_sub(before));
        match outcome {
            Outcome::Found(header) => Some(*header),
            Outcome::Stopped => None,
        }
    }

    /// Sets `is_stale` on a new head, on a stop, or when the template has lived long enough.
    fn watch(&self, view: &View, is_stale: &AtomicBool, is_over: &AtomicBool) {
        let start = Instant::now();
        while !is_over.load(Ordering::Relaxed) {
            let has_new_head = self.views.borrow().api.head != view.api.head;
            if has_new_head || start.elapsed() >= TEMPLATE_LIFE || self.stop.load(Ordering::Relaxed)
            {
                is_stale.store(true, Ordering::Relaxed);
                return;
            }
            // Woken when the search is over: easy blocks come faster than this passes.
            thread::park_timeout(HEAD_POLL);
        }
    }

    /// Checks the block, hands it to the core and waits for the head to move. `false` if the core
    /// is gone.
    fn submit(&mut self, header: chain::Header, block: Block, view: &View) -> bool {
        let found = Block {
            header,
            body: block.body,
        };
        let checked = match CheckedBlock::check(found, &view.api.spec) {
            Ok(checked) => checked,
            Err(error) => {
                error!("the miner made a block that fails its own check: {error}");
                return true;
            }
        };
        let id = checked.id();
        info!(height = id.height, hash = %id.hash, "mined a block");
        self.metrics.mined.inc();
        let input = Input::Block {
            from: None,
            block: checked,
        };
        if self.inbox.blocking_send(Message::Input(input)).is_err() {
            return false;
        }
        // Without this the next search would start on the same parent again.
        let mut waited = Duration::ZERO;
        while self.views.borrow().api.head == view.api.head
            && waited < TEMPLATE_LIFE
            && !self.stop.load(Ordering::Relaxed)
        {
            thread::sleep(Duration::from_millis(1));
            waited += Duration::from_millis(1);
        }
        true
    }
}
