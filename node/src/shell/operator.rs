//! Carries out an operator's orders: splits, delays, blocks at once, rival branches.
//!
//! Splits and delays are done on the spot. Orders that make blocks take their time on a thread of
//! their own, one at a time, at full speed on all cores, while the node's ordinary mining rests;
//! they end when they are done, when their caller has gone, or when their time is over.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use api::{
    network::hash_rate,
    operator::{Command, Made, Order, Outcome, Refusal},
};
use chain::{Bits, BlockId, CheckedBlock, StoreError, rules};
use miner::Miner;
use tokio::{
    sync::{Semaphore, mpsc, oneshot, watch},
    task::{self, JoinHandle},
    time::{sleep, timeout},
};

use super::{
    mining::{Mining, Round, Site},
    rival::Rival,
    view::View,
};

/// Orders waiting.
pub const ORDERS_MAX: usize = 16;
/// Time for an order that makes blocks.
const ORDER_TIME_MAX: Duration = Duration::from_secs(600);
/// How often it is looked whether an order is still wanted.
const POLL: Duration = Duration::from_millis(50);
/// Blocks of a rival branch beyond twice the depth asked for: the others mine on meanwhile.
const CHASE_BLOCKS_MAX: u64 = 1_000;
/// Time for the core to take a branch and move its head.
const TAKE_TIME_MAX: Duration = Duration::from_secs(60);

/// What the task is given.
pub struct Operator {
    /// From the API.
    pub orders: mpsc::Receiver<Command>,
    /// To the network.
    pub network: mpsc::Sender<p2p::Command>,
    /// How long the bridge holds back what peers send.
    pub delay: watch::Sender<Duration>,
    /// Where blocks are made.
    pub site: Site,
    /// What readers over HTTP see.
    pub seen: watch::Receiver<Arc<api::View>>,
    /// Set when the node stops.
    pub stop: Arc<AtomicBool>,
    /// Rests the node's own mining.
    pub paused: Arc<AtomicBool>,
}

impl Operator {
    /// Runs until the API is gone.
    pub async fn run(mut self) {
        let place = Arc::new(Semaphore::new(1));
        while let Some(Command { order, reply }) = self.orders.recv().await {
            let outcome = match order {
                Order::Partition { blocked } => self.partition(blocked).await,
                Order::Delay { milliseconds } => {
                    self.delay.send_replace(Duration::from_millis(milliseconds));
                    Ok(Outcome::Done)
                }
                Order::Mine { .. } | Order::Reorg { .. } => {
                    match Arc::clone(&place).try_acquire_owned() {
                        Ok(permit) => {
                            let made = self.make(order, reply);
                            task::spawn(async move {
                                made.await;
                                drop(permit);
                            });
                            continue;
                        }
                        Err(_) => Err(Refusal::Busy(
                            "another order is making blocks: wait for its end".into(),
                        )),
                    }
                }
            };
            // A caller that has gone away needs no answer.
            let _ = reply.send(outcome);
        }
    }

    async fn partition(&self, blocked: Vec<String>) -> Result<Outcome, Refusal> {
        let told = self.network.send(p2p::Command::Block(blocked)).await;
        told.map(|()| Outcome::Done).map_err(|_| stopping())
    }

    /// Starts an order that makes blocks; what it gives back looks after it to its end.
    fn make(
        &self,
        order: Order,
        mut reply: oneshot::Sender<Result<Outcome, Refusal>>,
    ) -> impl Future<Output = ()> + use<> {
        let give_up = Arc::new(AtomicBool::new(false));
        let yard = Yard {
            site: self.site.clone(),
            give_up: Arc::clone(&give_up),
            paused: Arc::clone(&self.paused),
        };
        let work = task::spawn_blocking(move || yard.carry_out(&order));
        let (node_stop, mut seen) = (Arc::clone(&self.stop), self.seen.clone());
        async move {
            let outcome = oversee(work, &mut reply, &give_up, &node_stop).await;
            if let Ok(Outcome::Made(made)) = &outcome {
                until_seen(&mut seen, made.new_head).await;
            }
            let _ = reply.send(outcome);
        }
    }
}

fn stopping() -> Refusal {
    Refusal::Stopping("the node is stopping".into())
}

/// Waits for an order's end, and brings it about where nobody waits for it any more.
async fn oversee(
    mut work: JoinHandle<Result<Outcome, Refusal>>,
    reply: &mut oneshot::Sender<Result<Outcome, Refusal>>,
    give_up: &AtomicBool,
    node_stop: &AtomicBool,
) -> Result<Outcome, Refusal> {
    let start = Instant::now();
    loop {
        tokio::select! {
            outcome = &mut work => {
                let bug = || Refusal::Unfinished("the order failed: the log says why".into());
                return outcome.unwrap_or_else(|_| Err(bug()));
            }
            () = sleep(POLL) => {
                let is_unwanted = reply.is_closed() || node_stop.load(Ordering::Relaxed);
                if is_unwanted || start.elapsed() >= ORDER_TIME_MAX {
                    give_up.store(true, Ordering::Relaxed);
                }
            }
        }
    }
}

/// Blocks are made on the view of templates, which is there an instant before that of readers over
/// HTTP. They shall find what an order's answer tells; a head that was replaced meanwhile is not
/// waited for long.
async fn until_seen(seen: &mut watch::Receiver<Arc<api::View>>, head: BlockId) {
    let has_it = |view: &Arc<api::View>| {
        let at_height = view.reader.canonical(head.height);
        at_height.is_ok_and(|hash| hash == Some(head.hash))
    };
    let _ = timeout(POLL, seen.wait_for(has_it)).await;
}

/// Where an order makes its blocks.
struct Yard {
    site: Site,
    give_up: Arc<AtomicBool>,
    paused: Arc<AtomicBool>,
}

/// Rests the node's own mining as long as it lives.
struct Pause<'a>(&'a AtomicBool);

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl Yard {
    fn carry_out(&self, order: &Order) -> Result<Outcome, Refusal> {
        self.paused.store(true, Ordering::Relaxed);
        let _pause = Pause(&self.paused);
        let mining = self.mining()?;
        let made = match order {
            Order::Mine { blocks } => self.mine(mining, *blocks),
            Order::Reorg { depth } => self.reorg(&mining, *depth),
            Order::Partition { .. } | Order::Delay { .. } => unreachable!("done on the spot"),
        };
        made.map(Outcome::Made)
    }

    /// A miner at full speed, which nothing but this order's end stops.
    fn mining(&self) -> Result<Mining, Refusal> {
        let config = miner::Config {
            threads: thread::available_parallelism().map_or(1, usize::from),
            throttle_percent: 100,
            kernel: None,
        };
        let miner = Miner::new(config).map_err(|error| Refusal::Unfinished(error.to_string()))?;
        Ok(Mining {
            miner,
            site: self.site.clone(),
            stop: Arc::clone(&self.give_up),
            paused: Arc::new(AtomicBool::new(false)),
        })
    }

    fn mine(&self, mut mining: Mining, asked: u64) -> Result<Made, Refusal> {
        let before = self.site.view();
        let mut blocks = Vec::new();
        let mut count = 0;
        while count < asked && !self.is_given_up() {
            match mining.round() {
                // Another node's block may have won at the same height.
                Round::Mined(id) if is_best(&self.site.view(), id)? => {
                    blocks.push(id);
                    count += 1;
                }
                Round::Mined(_) | Round::Empty => {}
                Round::Over => return Err(stopping()),
            }
        }
        let stopped = (count < asked).then(|| {
            let limit = ORDER_TIME_MAX.as_secs();
            format!("stopped after {limit} s with {count} of {asked} blocks")
        });
        made(asked, &before, &self.site.view(), blocks, stopped)
    }

    fn reorg(&self, mining: &Mining, depth: u64) -> Result<Made, Refusal> {
        let start = self.site.view();
        let height = start.api.head.height;
        if depth > height {
            return Err(Refusal::Invalid(format!(
                "wanted a depth from 1 to {height}, the height of the head, got {depth}"
            )));
        }
        let mut rival = Rival::new(start, depth)?;
        let mut handed_in = 0;
        let blocks_max = 2 * depth + CHASE_BLOCKS_MAX;
        for length in 0..=blocks_max {
            let before = self.site.view();
            if rival.is_better_than_head(&before) {
                let all_taken = rival.blocks[handed_in..]
                    .iter()
                    .all(|block| self.site.submit(block.clone()));
                if !all_taken {
                    return Err(stopping());
                }
                handed_in = rival.blocks.len();
                if let Some(after) = self.wait_until_taken(&rival)? {
                    let blocks = rival.blocks.iter().map(CheckedBlock::id).collect();
                    return made(depth, &before, &after, blocks, None);
                }
            }
            if length == blocks_max || rival.extend(mining)?.is_none() {
                break;
            }
        }
        Err(unfinished(&rival, &self.site.view()))
    }

    /// Waits until the core has made the branch its best chain; nothing if the others have
    /// overtaken it in the meantime.
    fn wait_until_taken(&self, rival: &Rival) -> Result<Option<Arc<View>>, Refusal> {
        let Some(tip) = rival.blocks.last().map(CheckedBlock::id) else {
            return Ok(None);
        };
        let start = Instant::now();
        while start.elapsed() < TAKE_TIME_MAX && !self.is_given_up() {
            let view = self.site.view();
            if is_best(&view, tip)? {
                return Ok(Some(view));
            }
            if !rival.is_better_than_head(&view) {
                return Ok(None);
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(None)
    }

    fn is_given_up(&self) -> bool {
        self.give_up.load(Ordering::Relaxed)
    }
}

/// How far a branch came that was given up.
fn unfinished(rival: &Rival, view: &View) -> Refusal {
    let (root, blocks, head) = (rival.root.height, rival.blocks.len(), view.api.head.height);
    Refusal::Unfinished(format!(
        "given up: the branch from #{root} has {blocks} blocks and still less work than the head \
         #{head}; nothing has changed. Try a smaller depth, or fewer or slower miners"
    ))
}

/// Whether a block is on a view's best chain.
fn is_best(view: &View, id: BlockId) -> Result<bool, StoreError> {
    Ok(view.reader().canonical(id.height)? == Some(id.hash))
}

/// What an order has done, from the views before and after.
fn made(
    asked: u64,
    before: &View,
    after: &View,
    blocks: Vec<BlockId>,
    stopped: Option<String>,
) -> Result<Made, Refusal> {
    Ok(Made {
        asked,
        blocks,
        old_head: before.api.head,
        new_head: after.api.head,
        depth: left(before, after)?,
        bits: (next_bits(before), next_bits(after)),
        hash_rate: hash_rate(&before.api)?,
        stopped,
    })
}

/// Blocks of one view's best chain that are not on the other's.
fn left(before: &View, after: &View) -> Result<u64, StoreError> {
    let height = before.api.head.height;
    let mut common = height;
    while before.reader().canonical(common)? != after.reader().canonical(common)? {
        common -= 1;
    }
    Ok(height - common)
}

/// The target of the next block.
fn next_bits(view: &View) -> Bits {
    let (numbers, skip) = (&view.parent.numbers, view.parent.skip);
    let child = rules::child(&view.api.spec, numbers, skip, numbers.time);
    // Without a child the chain's work is at its end.
    child.map_or(numbers.bits, |child| child.pow.bits)
}
