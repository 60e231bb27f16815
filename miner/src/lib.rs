//! Proof-of-work search: many threads look for a nonce that makes a header meet its target.
//!
//! A shell makes a [`Job`] from a block template and calls [`Miner::search`] on a thread of its
//! own; it stops the search when the template is out of date. The miner knows no chain and no
//! clock time: whoever wants another time, parent or body in the header starts another job. What
//! a search finds is checked again by the protocol's own hash, so a wrong kernel cannot make the
//! node announce a block without work.

pub mod job;
pub mod kernel;
pub mod limits;
mod pace;
mod search;
mod slice;
pub mod stratum;

use std::{
    error::Error,
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use chain::{Header, Target, U256};
use rayon::{ThreadPool, ThreadPoolBuilder};

pub use job::Job;
use kernel::Kernel;
use pace::Pace;
use search::Search;
use slice::SLICE;

/// More threads than this are refused: it is a typing error.
pub const THREADS_MAX: usize = 1_024;

/// How much of the machine a miner may use.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Threads that search, 1 to [`THREADS_MAX`].
    pub threads: usize,
    /// Share of its time that each thread works, 1 to 100 percent; it sleeps for the rest.
    pub throttle_percent: u8,
    /// The loop that each thread runs; the fastest here if absent, see [`kernel::best`].
    pub kernel: Option<Kernel>,
}

/// Why there is no miner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// No thread at all, or more than any machine has.
    Threads(usize),
    /// Not a share of time.
    Throttle(u8),
    /// The system gave no threads; its reason.
    Spawn(String),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Threads(got) => {
                write!(
                    f,
                    "a miner has 1 to {THREADS_MAX} threads, got {got}; to mine nothing, do not mine"
                )
            }
            Self::Throttle(got) => write!(f, "a throttle is 1 to 100 percent, got {got}"),
            Self::Spawn(reason) => write!(f, "cannot start the mining threads: {reason}"),
        }
    }
}

impl Error for ConfigError {}

/// How a search ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// A header of the job that meets its target, commitment included.
    Found(Box<Header>),
    /// The caller's flag was set first.
    Stopped,
}

/// Threads that search, idle between two jobs.
#[derive(Debug)]
pub struct Miner {
    pool: ThreadPool,
    kernel: Kernel,
    /// One for each thread.
    paces: Vec<Mutex<Pace>>,
    hashes: AtomicU64,
}

impl Miner {
    /// Starts the threads; they end when the miner is dropped.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        if !(1..=THREADS_MAX).contains(&config.threads) {
            return Err(ConfigError::Threads(config.threads));
        }
        if !(1..=100).contains(&config.throttle_percent) {
            return Err(ConfigError::Throttle(config.throttle_percent));
        }
        let pool = ThreadPoolBuilder::new()
            .num_threads(config.threads)
            .thread_name(|index| format!("miner-{index}"))
            .build()
            .map_err(|error| ConfigError::Spawn(error.to_string()))?;
        let pace = || Mutex::new(Pace::new(config.throttle_percent, Instant::now()));
        Ok(Self {
            pool,
            kernel: config.kernel.unwrap_or_else(kernel::best),
            paces: (0..config.threads).map(|_| pace()).collect(),
            hashes: AtomicU64::new(0),
        })
    }

    /// The loop that the threads run.
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// How many threads search.
    pub fn threads(&self) -> usize {
        self.paces.len()
    }

    /// Searches until a header meets the job's target or `stop` is set, which is noticed within
    /// 5 ms, also while the threads sleep.
    ///
    /// Blocks the caller. One search at a time: a second one waits for the first to end.
    pub fn search(&self, job: &Job, stop: &AtomicBool) -> Outcome {
        match self.run(job, stop) {
            (Some(header), _) => Outcome::Found(Box::new(header)),
            (None, _) => Outcome::Stopped,
        }
    }

    /// Hashes tried since the miner was made, over all threads.
    pub fn hashes(&self) -> u64 {
        self.hashes.load(Ordering::Relaxed)
    }

    /// Searches in vain for about `duration` and gives the hashes per second of all threads
    /// together, throttled as configured.
    pub fn measure(&self, duration: Duration) -> u64 {
        let job = impossible();
        let stop = AtomicBool::new(false);
        let start = Instant::now();
        let hashes = thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(duration);
                stop.store(true, Ordering::Relaxed);
            });
            self.run(&job, &stop).1
        });
        let micros = start.elapsed().as_micros().max(1);
        u64::try_from(u128::from(hashes) * 1_000_000 / micros).unwrap_or(u64::MAX)
    }

    /// How long after a new job the last thread had left the old one, measured so many times: a
    /// search in vain is stopped some milliseconds after its start.
    pub fn stop_times(&self, times: u32) -> Vec<Duration> {
        let job = impossible();
        let measure = |number: u32| {
            let stop = AtomicBool::new(false);
            // Not always at the same place of a slice.
            let delay = SLICE * 2 + SLICE * (number % 20) / 20;
            thread::scope(|scope| {
                let watch = scope.spawn(|| {
                    thread::sleep(delay);
                    let now = Instant::now();
                    stop.store(true, Ordering::Relaxed);
                    now
                });
                self.run(&job, &stop);
                let left = Instant::now();
                let stopped = watch.join().expect("it only sleeps");
                left.saturating_duration_since(stopped)
            })
        };
        (0..times).map(measure).collect()
    }

    /// Runs one search on all threads; gives what was found and the hashes it took.
    fn run(&self, job: &Job, stop: &AtomicBool) -> (Option<Header>, u64) {
        let search = Search::new(job, self.kernel, stop);
        self.pool.broadcast(|thread| {
            // Only this thread uses it; after a panic its account is as good as any.
            let mut pace = self.paces[thread.index()]
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            search.work(&mut pace, &self.hashes);
        });
        search.finish()
    }
}

/// A job that nobody finishes.
fn impossible() -> Job {
    Job {
        header: Header::default(),
        target: Target::new(U256::from(1)).expect("one is not zero"),
    }
}

#[cfg(test)]
mod tests {
    use chain::params::VERSION_ROLL_MASK;

    use super::*;

    fn miner(threads: usize, throttle_percent: u8) -> Result<Miner, ConfigError> {
        Miner::new(Config {
            threads,
            throttle_percent,
            kernel: None,
        })
    }

    fn job(target: U256) -> Job {
        let mut header = Header::default();
        header.pow.version = 0x2000_0000;
        header.extension.height = 7;
        Job {
            header,
            target: Target::new(target).unwrap(),
        }
    }

    #[test]
    fn impossible_configurations_are_refused_with_what_came() {
        assert_eq!(miner(0, 100).unwrap_err(), ConfigError::Threads(0));
        assert_eq!(miner(9_999, 100).unwrap_err(), ConfigError::Threads(9_999));
        assert_eq!(miner(1, 0).unwrap_err(), ConfigError::Throttle(0));
        let error = miner(1, 101).unwrap_err();
        assert_eq!(error.to_string(), "a throttle is 1 to 100 percent, got 101");
    }

    #[test]
    fn every_number_of_threads_finds_a_valid_header_of_the_job() {
        for threads in [1, 4] {
            let miner = miner(threads, 100).unwrap();
            for shift in 4..16 {
                let job = job(U256::MAX >> shift);
                let Outcome::Found(header) = miner.search(&job, &AtomicBool::new(false)) else {
                    panic!("stopped without a reason");
                };
                assert!(job.target.is_met_by(&header.hash()));
                assert_eq!(header.pow.commitment, header.extension.commitment());
                let rolled = header.pow.version ^ job.header.pow.version;
                assert_eq!(rolled & !VERSION_ROLL_MASK, 0);
                assert_eq!(header.extension.height, 7);
            }
            assert!(miner.hashes() > 0);
        }
    }

    #[test]
    fn a_throttled_search_still_finds() {
        let job = job(U256::MAX >> 14);
        let outcome = miner(2, 5).unwrap().search(&job, &AtomicBool::new(false));
        assert!(matches!(outcome, Outcome::Found(_)));
    }

    #[test]
    fn a_search_that_is_stopped_before_it_starts_hashes_nothing() {
        let miner = miner(2, 100).unwrap();
        let outcome = miner.search(&job(U256::MAX), &AtomicBool::new(true));
        assert_eq!(outcome, Outcome::Stopped);
        assert_eq!(miner.hashes(), 0);
    }

    #[test]
    fn a_search_in_vain_ends_when_it_is_stopped_also_asleep() {
        for throttle_percent in [1, 100] {
            let miner = miner(2, throttle_percent).unwrap();
            let stop = AtomicBool::new(false);
            let outcome = thread::scope(|scope| {
                let search = scope.spawn(|| miner.search(&job(U256::from(1)), &stop));
                while miner.hashes() == 0 {
                    thread::yield_now();
                }
                stop.store(true, Ordering::Relaxed);
                search.join().unwrap()
            });
            assert_eq!(outcome, Outcome::Stopped);
        }
    }

    #[test]
    fn as_many_stops_are_measured_as_were_asked_for() {
        let miner = miner(2, 100).unwrap();
        assert_eq!(miner.stop_times(3).len(), 3);
        assert!(miner.hashes() > 0);
    }

    #[test]
    fn a_measurement_counts_hashes() {
        let miner = miner(1, 50).unwrap();
        assert!(miner.measure(Duration::from_millis(20)) > 0);
        assert!(miner.hashes() > 0);
    }
}
