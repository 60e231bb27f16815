//! One miner's connection: what it has said, what it may say, and which of its shares count.
//!
//! A session is fed with lines, jobs and the time, and gives back deeds for its shell to do. It
//! never pays two addresses, never takes a share of another head than the present one, and never
//! the same share twice. Called by the shell's connection task.

use std::{collections::VecDeque, sync::Arc};

use chain::{Address, BlockHash, Header};
use serde_json::{Map, Value, json};

use super::{
    bucket::Bucket,
    difficulty::Difficulty,
    job::Job,
    message::{self, Call, EXTRA_NONCE_1_BYTES, Refusal, Request, Share},
    seen::Seen,
    vardiff::Vardiff,
};
use crate::limits::{
    FAULTS_BURST, FAULTS_PER_MINUTE, GREETING_TIME_OUT, IDLE_TIME_OUT, JOBS_KEPT, LINES_BURST,
    LINES_PER_SEC, TIME_ROLL_SECS, WORKERS_MAX,
};

/// Whom a user name stands for, or a sentence that says why nobody. Given by the shell, which
/// knows the network's ways to name an account.
pub type Payees = Arc<dyn Fn(&str) -> Result<Address, String> + Send + Sync>;

/// The present, as the shell sees it.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// A clock that never goes back, in milliseconds.
    pub ms: u64,
    /// The latest time that a block may bear and be taken at once, Unix seconds (Rule H5).
    pub block_time_max: u64,
    /// The head. No share of a job on another block counts.
    pub head: BlockHash,
}

/// What a shell is to do, in this order.
#[derive(Clone, Debug)]
pub enum Deed {
    /// Write this line.
    Send(String),
    /// Find jobs that pay this address from now on.
    Work(Address),
    /// Count a share that was accepted, worth so many hashes in the mean.
    Accepted(u64),
    /// Count a share that was refused.
    Refused(Refusal),
    /// Hand in this block.
    Block(Found),
    /// Give out a new job soon, for a new difficulty to take effect.
    Renew,
    /// Close the connection.
    Close(Closing),
}

/// A share that is a block.
#[derive(Clone, Debug)]
pub struct Found {
    /// What was worked on.
    pub job: Arc<Job>,
    /// The header that meets its target.
    pub header: Header,
    /// The worker's name.
    pub name: String,
}

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Closing {
    /// No authorisation in time.
    #[error("no mining.subscribe and mining.authorize in time")]
    Greeting,
    /// Silence.
    #[error("silent for too long")]
    Idle,
    /// Too much that had to be refused.
    #[error("too many refused lines or shares")]
    Faults,
}

/// A job given out, and the difficulty that its shares must have.
#[derive(Clone, Debug)]
struct Given {
    job: Arc<Job>,
    difficulty: Difficulty,
}

/// One connection.
pub struct Session {
    extra_nonce_1: [u8; EXTRA_NONCE_1_BYTES],
    payees: Payees,
    is_subscribed: bool,
    version_mask: u32,
    payee: Option<Address>,
    names: Vec<String>,
    jobs: VecDeque<Given>,
    seen: Seen,
    vardiff: Vardiff,
    /// What the miner was last told.
    announced: Option<Difficulty>,
    lines: Bucket,
    faults: Bucket,
    start_ms: u64,
    heard_ms: u64,
}

impl Session {
    /// A new connection. No two connections of all nodes that pay one address may have the same
    /// `extra_nonce_1`.
    pub fn new(extra_nonce_1: [u8; EXTRA_NONCE_1_BYTES], payees: Payees, now_ms: u64) -> Self {
        Self {
            extra_nonce_1,
            payees,
            is_subscribed: false,
            version_mask: 0,
            payee: None,
            names: Vec::new(),
            jobs: VecDeque::new(),
            seen: Seen::default(),
            vardiff: Vardiff::new(Difficulty::FIRST, now_ms),
            announced: None,
            lines: Bucket::new(LINES_BURST, 1_000 / u64::from(LINES_PER_SEC), now_ms),
            faults: Bucket::new(FAULTS_BURST, 60_000 / u64::from(FAULTS_PER_MINUTE), now_ms),
            start_ms: now_ms,
            heard_ms: now_ms,
        }
    }

    /// Milliseconds to wait before the next line is read; to be asked once for each line.
    pub fn pause_ms(&mut self, now_ms: u64) -> u64 {
        self.lines.take(now_ms)
    }

    /// Takes a line, without its end.
    pub fn line(&mut self, line: &[u8], now: &Now) -> Vec<Deed> {
        self.heard_ms = now.ms;
        let mut deeds = Vec::new();
        let (id, result) = match Request::parse(line) {
            Ok(Request { id, call }) => {
                let result = call.and_then(|call| self.call(call, now, &mut deeds));
                (id, result)
            }
            Err(refusal) => (Value::Null, Err(refusal)),
        };
        // Before what else there is to say: a miner looks for the answer to its call.
        deeds.insert(0, Deed::Send(message::reply(&id, &result)));
        if let Err(refusal) = result
            && refusal.is_fault()
            && self.faults.take(now.ms) > 0
        {
            deeds.push(Deed::Close(Closing::Faults));
        }
        deeds
    }

    /// Gives out a job, if the miner is ready for one.
    pub fn job(&mut self, job: Arc<Job>) -> Vec<Deed> {
        if !self.is_ready() {
            return Vec::new();
        }
        let parent = self.jobs.back().map(|given| given.job.parent());
        let is_clean = parent != Some(job.parent());
        if is_clean {
            self.jobs.clear();
            self.seen.clear();
        }
        let difficulty = self.difficulty_of(&job);
        let mut deeds = Vec::new();
        if self.announced != Some(difficulty) {
            deeds.push(self.announce(difficulty));
        }
        let line = if is_clean {
            job.notify_clean()
        } else {
            job.notify_more()
        };
        deeds.push(Deed::Send(line));
        self.jobs.push_back(Given { job, difficulty });
        if self.jobs.len() > JOBS_KEPT {
            self.jobs.pop_front();
        }
        deeds
    }

    /// Looks at the time; to be called every few seconds.
    pub fn tick(&mut self, now_ms: u64) -> Vec<Deed> {
        let since = |ms: u64| u128::from(now_ms.saturating_sub(ms));
        if self.names.is_empty() && since(self.start_ms) >= GREETING_TIME_OUT.as_millis() {
            return vec![Deed::Close(Closing::Greeting)];
        }
        if since(self.heard_ms) >= IDLE_TIME_OUT.as_millis() {
            return vec![Deed::Close(Closing::Idle)];
        }
        let mut deeds = Vec::new();
        self.retarget(now_ms, &mut deeds);
        deeds
    }

    /// Whether it knows where its shares belong and whom they pay.
    pub fn is_ready(&self) -> bool {
        self.is_subscribed && self.payee.is_some()
    }

    fn call(&mut self, call: Call, now: &Now, deeds: &mut Vec<Deed>) -> Result<Value, Refusal> {
        match call {
            Call::Subscribe => {
                self.is_subscribed = true;
                deeds.extend(self.payee.map(Deed::Work));
                Ok(message::subscribed(&self.extra_nonce_1))
            }
            Call::Authorize { name, difficulty } => {
                deeds.extend(self.authorize(name, difficulty, now)?);
                Ok(Value::Bool(true))
            }
            Call::Configure {
                version_mask,
                extensions,
            } => Ok(self.configure(version_mask, extensions)),
            Call::Suggest(difficulty) => {
                self.vardiff = Vardiff::new(difficulty, now.ms);
                self.change_difficulty(deeds);
                Ok(Value::Bool(true))
            }
            Call::ExtraNonceSubscribe => Ok(Value::Bool(true)),
            Call::Submit(share) => {
                let judged = self.judge(&share, now).inspect_err(|refusal| {
                    deeds.push(Deed::Refused(refusal.clone()));
                })?;
                deeds.extend(judged);
                self.vardiff.count();
                self.retarget(now.ms, deeds);
                Ok(Value::Bool(true))
            }
        }
    }

    fn authorize(
        &mut self,
        name: String,
        difficulty: Option<Difficulty>,
        now: &Now,
    ) -> Result<Option<Deed>, Refusal> {
        if self.names.contains(&name) {
            return Ok(None);
        }
        let payee = name.split_once('.').map_or(&*name, |(payee, _)| payee);
        let address = (self.payees)(payee).map_err(|error| {
            Refusal::Unauthorized(format!(
                "a user name is the address to be paid, or ADDRESS.WORKER: {error}"
            ))
        })?;
        if let Some(paid) = self.payee.filter(|paid| *paid != address) {
            return Err(Refusal::Unauthorized(format!(
                "this connection pays {paid}: open another one to pay {address}"
            )));
        }
        if self.names.len() == WORKERS_MAX {
            return Err(Refusal::Unauthorized(format!(
                "a connection has at most {WORKERS_MAX} workers"
            )));
        }
        self.names.push(name);
        if self.payee.replace(address).is_some() {
            return Ok(None);
        }
        let first = difficulty.unwrap_or(self.vardiff.difficulty());
        self.vardiff = Vardiff::new(first, now.ms);
        Ok(self.is_subscribed.then_some(Deed::Work(address)))
    }

    /// BIP 310. Other extensions than version rolling are unknown here.
    fn configure(&mut self, version_mask: Option<u32>, extensions: Vec<String>) -> Value {
        let others = extensions.into_iter().filter(|it| it != "version-rolling");
        let mut result: Map<String, Value> =
            others.map(|name| (name, Value::Bool(false))).collect();
        if let Some(mask) = version_mask {
            self.version_mask = mask & chain::params::VERSION_ROLL_MASK;
            let mask = format!("{:08x}", self.version_mask);
            result.insert("version-rolling".into(), json!(self.version_mask != 0));
            result.insert("version-rolling.mask".into(), json!(mask));
        }
        Value::Object(result)
    }

    /// Whether a share counts, for what, and the block that it is.
    fn judge(&mut self, share: &Share, now: &Now) -> Result<Vec<Deed>, Refusal> {
        if !self.is_subscribed {
            return Err(Refusal::NotSubscribed);
        }
        if !self.names.contains(&share.name) {
            let text = "this worker is not authorised: send mining.authorize first";
            return Err(Refusal::Unauthorized(text.into()));
        }
        let given = self.jobs.iter().find(|given| given.job.id() == share.job);
        let Some(Given { job, difficulty }) = given else {
            return Err(Refusal::Stale("there is no such job, or no more".into()));
        };
        if job.parent() != now.head {
            return Err(Refusal::Stale("stale: the job is of an older head".into()));
        }
        check_time(job, share.time, now)?;
        let header = job.assemble(&self.extra_nonce_1, share, self.version_mask);
        let hash = header.hash();
        if self.seen.has(&hash) {
            return Err(Refusal::Duplicate);
        }
        if !difficulty.target().is_met_by(&hash) {
            let number = difficulty.number();
            return Err(Refusal::LowDifficulty(format!(
                "the share's hash {hash} is above the target of difficulty {number}"
            )));
        }
        let mut deeds = vec![Deed::Accepted(difficulty.hashes())];
        if job.target().is_met_by(&hash) {
            deeds.push(Deed::Block(Found {
                job: Arc::clone(job),
                header,
                name: share.name.clone(),
            }));
        }
        self.seen.insert(&hash);
        Ok(deeds)
    }

    fn retarget(&mut self, now_ms: u64, deeds: &mut Vec<Deed>) {
        let Some(job) = self.jobs.back().map(|given| Arc::clone(&given.job)) else {
            return;
        };
        let max = Difficulty::of_blocks(job.target());
        self.vardiff.look(now_ms, max);
        self.change_difficulty(deeds);
    }

    /// Tells the miner its difficulty where that is another than before. Shares of jobs that it
    /// has already may be of the old or the new one.
    fn change_difficulty(&mut self, deeds: &mut Vec<Deed>) {
        let Some(job) = self.jobs.back().map(|given| Arc::clone(&given.job)) else {
            return;
        };
        let difficulty = self.difficulty_of(&job);
        if self.announced == Some(difficulty) {
            return;
        }
        for given in &mut self.jobs {
            given.difficulty = given.difficulty.min(difficulty);
        }
        deeds.push(self.announce(difficulty));
        deeds.push(Deed::Renew);
    }

    fn announce(&mut self, difficulty: Difficulty) -> Deed {
        self.announced = Some(difficulty);
        Deed::Send(message::set_difficulty(difficulty))
    }

    fn difficulty_of(&self, job: &Job) -> Difficulty {
        let blocks = Difficulty::of_blocks(job.target());
        self.vardiff.difficulty().min(blocks)
    }
}

/// A share's time is its job's or somewhat later, and no block of it may be early (Rule H5).
fn check_time(job: &Job, time: u32, now: &Now) -> Result<(), Refusal> {
    let first = job.header().pow.time;
    let last = first.saturating_add(TIME_ROLL_SECS);
    // The job's own time is the node's clock: if that was set back, the block waits a little.
    let is_early = time > first && u64::from(time) > now.block_time_max;
    if time < first || time > last || is_early {
        return Err(Refusal::Other(format!(
            "ntime {time:08x} is out of range: wanted {first:08x} to {last:08x}, and not in the \
             future"
        )));
    }
    Ok(())
}
