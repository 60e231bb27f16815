//! Jobs for miners outside: a template for each address that is paid, made anew as the head moves.
//!
//! A job is never of an older head for longer than its making takes; beside that it is renewed
//! every [`JOB_LIFE`] for its time and its transactions, and sooner where a connection's difficulty
//! has changed. No two jobs are the same, so no miner does the work of another. Shared by the
//! connections, the answers to the API and its own task.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use api::mining::Rejection;
use chain::{
    Address, Block, BlockHash, CheckedBlock, Execution, Header,
    receipt::receipts_root,
    rules::{self, future_secs_max},
    template,
};
use miner::{
    limits::{BENEFICIARIES_MAX, JOBS_KEPT, TIME_ROLL_SECS},
    stratum::{Job, Now, Payees},
};
use state::Evm;
use tokio::{
    sync::{Notify, watch},
    task,
    time::sleep,
};
use tracing::{error, warn};

use super::metrics::StratumMetrics;
use crate::shell::mining::{NoTemplate, Site};
use crate::shell::{coinbase, view::View};

/// A job is made anew after this long, for its time and its transactions.
pub(super) const JOB_LIFE: Duration = Duration::from_secs(30);
/// Time between two jobs of one head, at least.
pub(super) const RENEWAL_MIN: Duration = Duration::from_secs(1);
/// Once so much time has passed since the head moved, the addresses that wait get a job without
/// transactions first: executing them for many addresses takes time.
const FULL_JOBS_TIME: Duration = Duration::from_millis(25);
/// Time between two rounds, at least: a node that catches up takes a thousand blocks a second.
const ROUND_MIN: Duration = Duration::from_millis(10);
/// Best header above the head from which on the head is not worth mining on.
const BEHIND_BLOCKS: u64 = 6;
/// A template asked for over HTTP is given out again for so long.
const OFFER_LIFE: Duration = Duration::from_secs(2);
/// Time for the core to make a block that it was given its head. As long as that, another block on
/// the same parent would only be its rival.
const TAKE_TIME: Duration = Duration::from_secs(1);
/// An address without connections is forgotten after this long without a question.
pub(super) const POST_LIFE: Duration = Duration::from_secs(120);

/// Bytes of memory that the transactions of all jobs together take: [`JOBS_KEPT`] whole blocks for a
/// few addresses; many have their newest job and fewer of the earlier ones.
pub(super) const BODIES_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A way to make a template at a site: with transactions or without.
type Template = fn(&Site, &View) -> Made<Block>;
type Made<T> = Result<T, NoTemplate>;

/// Makes jobs and takes in blocks.
pub struct Foreman {
    site: Site,
    dev: bool,
    run: [u8; 4],
    pub(super) posts: Mutex<BTreeMap<Address, Post>>,
    /// The parent of the last block handed in, and when that was.
    spent: Mutex<Option<(BlockHash, Instant)>>,
    wake: Notify,
    jobs: AtomicU64,
    connections: AtomicU32,
    metrics: StratumMetrics,
}

/// Work given out: a job, and the block that it is of.
pub struct Work {
    /// As miners see it.
    pub job: Arc<Job>,
    block: Block,
    view: Arc<View>,
    /// Memory that its transactions take, about.
    bytes: usize,
}

impl Work {
    pub(super) fn new(job: Job, block: Block, view: &Arc<View>) -> Arc<Self> {
        let of = |bytes: &Vec<u8>| bytes.len() + size_of_val(bytes);
        Arc::new(Self {
            job: Arc::new(job),
            bytes: block.body.0.iter().map(of).sum(),
            block,
            view: Arc::clone(view),
        })
    }
}

/// An address that is paid.
pub(super) struct Post {
    jobs: watch::Sender<Option<Arc<Work>>>,
    /// Jobs of the latest head that had any, the newest last.
    pub(super) recent: VecDeque<Arc<Work>>,
    /// When the newest was made.
    pub(super) made: Instant,
    /// When somebody last wanted something of it.
    pub(super) used: Instant,
    is_renewal_wanted: bool,
}

impl Post {
    fn new() -> Self {
        Self {
            jobs: watch::channel(None).0,
            recent: VecDeque::new(),
            made: Instant::now(),
            used: Instant::now(),
            is_renewal_wanted: false,
        }
    }

    /// The newest job, if it is of this head.
    fn current(&self, head: &BlockHash) -> Option<&Arc<Work>> {
        self.recent.back().filter(|work| work.job.parent() == *head)
    }

    fn is_listened_to(&self) -> bool {
        self.jobs.receiver_count() > 0
    }

    /// Whether it should have a new job.
    fn is_due(&self, head: &BlockHash) -> bool {
        let age = self.made.elapsed();
        let is_fresh = self.current(head).is_some() && age < JOB_LIFE;
        let is_renewed = self.is_renewal_wanted && age >= RENEWAL_MIN;
        self.is_listened_to() && (!is_fresh || is_renewed)
    }

    /// Takes a new job, unless it is the one it has.
    pub(super) fn take(&mut self, work: Arc<Work>) {
        if let Some(last) = self.current(&work.job.parent()) {
            if last.job.header() == work.job.header() {
                return;
            }
        } else {
            self.recent.clear();
        }
        self.recent.push_back(Arc::clone(&work));
        if self.recent.len() > JOBS_KEPT {
            self.recent.pop_front();
        }
        (self.made, self.is_renewal_wanted) = (Instant::now(), false);
        self.jobs.send_replace(Some(work));
    }
}

impl Foreman {
    /// A foreman without posts. `run` tells this run of this node from all others.
    pub fn new(site: Site, dev: bool, run: [u8; 4]) -> Arc<Self> {
        Arc::new(Self {
            site,
            dev,
            run,
            posts: Mutex::default(),
            spent: Mutex::default(),
            wake: Notify::new(),
            jobs: AtomicU64::new(1),
            connections: AtomicU32::new(0),
            metrics: StratumMetrics::default(),
        })
    }

    /// Makes jobs as long as the node runs.
    pub async fn run(self: Arc<Self>) {
        let mut views = self.site.views.clone();
        loop {
            let head = views.borrow_and_update().api.head;
            let foreman = Arc::clone(&self);
            if task::spawn_blocking(move || foreman.round()).await.is_err() {
                // A panic, which the log shows: the node stops, since a part of it is lost.
                return;
            }
            sleep(ROUND_MIN).await;
            let moved = async {
                let moved = views.wait_for(|view| view.api.head != head).await;
                moved.is_ok()
            };
            tokio::select! {
                is_moved = moved => {
                    if !is_moved {
                        // The core is gone, and the node stops.
                        return std::future::pending().await;
                    }
                }
                () = self.wake.notified() => {}
                () = sleep(RENEWAL_MIN) => {}
            }
        }
    }

    /// Gives a job to each post that is due.
    pub(super) fn round(&self) {
        self.round_within(FULL_JOBS_TIME);
    }

    /// The same, with full jobs at once for those whose turn comes in this time.
    pub(super) fn round_within(&self, full_jobs_time: Duration) {
        let view = self.site.view();
        self.forget(&view);
        if is_behind(&view) {
            return;
        }
        let start = Instant::now();
        let mut without_transactions = Vec::new();
        for address in self.due(&view) {
            if start.elapsed() < full_jobs_time {
                self.renew_from(&view, address, Site::template);
            } else {
                self.renew_from(&view, address, Site::empty_template);
                without_transactions.push(address);
            }
        }
        for address in without_transactions {
            if self.site.views.borrow().api.head != view.api.head {
                return;
            }
            self.renew_from(&view, address, Site::template);
        }
    }

    /// Forgets posts that nobody wants, and jobs whose blocks would be too late.
    fn forget(&self, view: &View) {
        let mut posts = self.posts();
        posts.retain(|_, post| post.is_listened_to() || post.used.elapsed() < POST_LIFE);
        for post in posts.values_mut() {
            post.recent
                .retain(|work| work.job.parent() == view.api.head.hash);
        }
    }

    /// The posts that should have new jobs.
    fn due(&self, view: &View) -> Vec<Address> {
        let posts = self.posts();
        let due = posts
            .iter()
            .filter(|(_, post)| post.is_due(&view.api.head.hash));
        due.map(|(address, _)| *address).collect()
    }

    /// Makes a job from a view and gives it to its post.
    fn renew_from(&self, view: &Arc<View>, address: Address, template: Template) {
        match self.make(view, address, template) {
            Ok(work) => self.give(address, work),
            Err(error) => error!("there is nothing to mine: {error}"),
        }
    }

    /// Gives a job to its post. Where all jobs together have become too large, the posts with the most
    /// lose their oldest; each keeps its newest.
    pub(super) fn give(&self, address: Address, work: Arc<Work>) {
        let mut posts = self.posts();
        if let Some(post) = posts.get_mut(&address) {
            post.take(work);
        }
        let works = posts.values().flat_map(|post| &post.recent);
        let mut bytes: usize = works.map(|work| work.bytes).sum();
        while bytes > BODIES_BYTES_MAX {
            let largest = posts.values_mut().max_by_key(|post| post.recent.len());
            let Some(post) = largest.filter(|post| post.recent.len() > 1) else {
                return;
            };
            let oldest = post.recent.pop_front();
            bytes -= oldest.map_or(0, |work| work.bytes);
        }
    }

    fn make(&self, view: &Arc<View>, address: Address, template: Template) -> Made<Arc<Work>> {
        let site = Site {
            beneficiary: address,
            ..self.site.clone()
        };
        let block = template(&site, view)?;
        let number = self.jobs.fetch_add(1, Ordering::Relaxed);
        let job = Job::new(number, block.header.clone()).ok_or(NoTemplate::End)?;
        self.metrics.jobs.inc();
        Ok(Work::new(job, block, view))
    }

    fn posts(&self) -> MutexGuard<'_, BTreeMap<Address, Post>> {
        self.posts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counters.
    pub fn metrics(&self) -> &StratumMetrics {
        &self.metrics
    }

    /// The site that blocks are made at.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// The present, for a session.
    pub fn now(&self) -> Now {
        let (time, view) = (self.site.clock.now(), self.site.views.borrow());
        Now {
            ms: time.monotonic_ms,
            block_time_max: time
                .unix_secs
                .saturating_add(future_secs_max(&view.api.spec)),
            head: view.api.head.hash,
        }
    }

    /// A part of the extra nonce that nobody else has.
    pub fn extra_nonce(&self) -> [u8; 8] {
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&self.run);
        bytes[4..].copy_from_slice(&number.to_be_bytes());
        bytes
    }

    /// How user names are read. A name that is taken has its post.
    pub fn payees(self: &Arc<Self>) -> Payees {
        let foreman = Arc::clone(self);
        Arc::new(move |name| {
            let address = foreman.payee(name)?;
            foreman.reserve(address)?;
            Ok(address)
        })
    }

    /// The address that a name stands for.
    pub fn payee(&self, name: &str) -> Result<Address, String> {
        coinbase::payee(name, self.dev)
    }

    /// Makes a post for an address, if there is room for one more.
    pub(super) fn reserve(&self, address: Address) -> Result<(), String> {
        let mut posts = self.posts();
        if posts.len() >= BENEFICIARIES_MAX && !posts.contains_key(&address) {
            posts.retain(|_, post| post.is_listened_to());
        }
        if posts.len() >= BENEFICIARIES_MAX && !posts.contains_key(&address) {
            return Err(format!(
                "this node pays {BENEFICIARIES_MAX} addresses already: try again later"
            ));
        }
        posts.entry(address).or_insert_with(Post::new).used = Instant::now();
        Ok(())
    }

    /// The jobs of an address from now on, the present one first.
    pub fn join(&self, address: Address) -> watch::Receiver<Option<Arc<Work>>> {
        let mut jobs = self
            .posts()
            .entry(address)
            .or_insert_with(Post::new)
            .jobs
            .subscribe();
        jobs.mark_changed();
        self.wake.notify_one();
        jobs
    }

    /// Asks for a new job soon.
    pub fn renew(&self, address: Address) {
        if let Some(post) = self.posts().get_mut(&address) {
            post.is_renewal_wanted = true;
        }
        self.wake.notify_one();
    }

    /// A template's header for whoever asks once, with an extra nonce of its own. Takes the time
    /// of executing the transactions.
    pub fn offer(&self, address: Address) -> Result<Header, String> {
        let view = self.site.view();
        if is_behind(&view) {
            return Err("the node is catching up with its peers: try again later".into());
        }
        self.reserve(address)?;
        let head = view.api.head.hash;
        let is_fresh = |post: &&Post| post.made.elapsed() < OFFER_LIFE;
        let found = |posts: &BTreeMap<Address, Post>| {
            let post = posts.get(&address).filter(is_fresh)?;
            post.current(&head).cloned()
        };
        let known = found(&self.posts());
        let work = match known {
            Some(work) => work,
            None => {
                let made = self.make(&view, address, Site::template);
                let work = made.map_err(|error| format!("there is nothing to mine: {error}"))?;
                self.give(address, Arc::clone(&work));
                work
            }
        };
        let (pow, mut extension) = (work.block.header.pow, work.block.header.extension.clone());
        extension.extra_nonce[..8].copy_from_slice(&self.extra_nonce());
        Ok(Header::sealed(pow, extension))
    }

    /// Takes in a block that is a job's.
    pub fn hand_in_job(&self, job: &Job, header: Header) -> Result<(), Rejection> {
        let found = |work: &Work| work.job.id() == job.id();
        let work = self.find(found).ok_or(Rejection::StalePrevious)?;
        self.hand_in(&work, header)
    }

    /// Takes in a block by its header alone: the extension says which template it is of.
    pub fn hand_in_header(&self, header: Header) -> Result<(), Rejection> {
        let view = self.site.view();
        let is_known = view.reader().header(&header.hash());
        if is_known.is_ok_and(|known| known.is_some()) {
            return Err(Rejection::Duplicate);
        }
        if header.pow.parent != view.api.head.hash {
            return Err(Rejection::StalePrevious);
        }
        let mut extension = header.extension.clone();
        extension.extra_nonce = [0; 16];
        let found = |work: &Work| work.block.header.extension == extension;
        let work = self.find(found).ok_or(Rejection::UnknownWork)?;
        self.hand_in(&work, header)
    }

    pub(super) fn find(&self, is_wanted: impl Fn(&Work) -> bool) -> Option<Arc<Work>> {
        let posts = self.posts();
        let works = posts.values().flat_map(|post| &post.recent);
        works.rev().find(|work| is_wanted(work)).cloned()
    }

    /// Checks a block and hands it to the core.
    fn hand_in(&self, work: &Work, header: Header) -> Result<(), Rejection> {
        let (view, made) = (&work.view, &work.block);
        if header.pow.parent != self.site.views.borrow().api.head.hash {
            return Err(Rejection::StalePrevious);
        }
        if !work.job.target().is_met_by(&header.hash()) {
            return Err(Rejection::HighHash);
        }
        let (time, first) = (header.pow.time, made.header.pow.time);
        let last = first.saturating_add(TIME_ROLL_SECS);
        if time < first || time > last || u64::from(time) > self.now().block_time_max {
            return Err(Rejection::Time);
        }
        let block = made.clone();
        let checked = self.site.check(header, block, view);
        let checked = checked.ok_or(Rejection::Rejected)?;
        if time != first && !holds_at_its_time(&checked, view) {
            warn!("a miner rolled the time of a block whose transactions look at it: block lost");
            return Err(Rejection::Time);
        }
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let parent = checked.header().header().pow.parent;
        let is_spent =
            |(spent, since): (BlockHash, Instant)| spent == parent && since.elapsed() < TAKE_TIME;
        if spent.is_some_and(is_spent) {
            return Err(Rejection::StalePrevious);
        }
        if self.site.submit(checked) {
            self.metrics.blocks.inc();
            *spent = Some((parent, Instant::now()));
        }
        Ok(())
    }
}

/// Whether a node has too much to catch up with for its head to be worth mining on.
fn is_behind(view: &View) -> bool {
    let (sync, head) = (&view.api.sync, view.api.head);
    sync.is_syncing && sync.best_header.height > head.height.saturating_add(BEHIND_BLOCKS)
}

/// Whether a block whose time is another than its template's is valid all the same: its
/// transactions may have looked at the time, and a standstill may have grown (Rule H2).
fn holds_at_its_time(block: &CheckedBlock, view: &View) -> bool {
    let (header, api) = (block.header().header(), &view.api);
    let (numbers, skip) = (&view.parent.numbers, view.parent.skip);
    let child = rules::child(&api.spec, numbers, skip, header.pow.time);
    let want = &header.extension;
    if child.is_none_or(|child| child.extension.forgiven != want.forgiven) {
        return false;
    }
    let block_hash = |height| api.reader.canonical(height).ok().flatten();
    let env = template::env(&api.spec, header, &block_hash);
    let executed = Evm::new().execute(&api.state, &env, block.transactions());
    executed.is_ok_and(|executed| {
        executed.state_root == want.state_root
            && executed.gas_used == want.gas_used
            && receipts_root(&executed.receipts) == want.receipts_root
    })
}
