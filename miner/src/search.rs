//! One search: what its threads share, and the loop that each of them runs.
//!
//! Threads draw pieces of the job from one counter and work on them in slices, short enough that
//! the end of the search is noticed soon, and rest between two slices if they are throttled.
//! Called by `Miner`.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use chain::Header;

use crate::{
    job::{Job, Piece},
    kernel::{Hit, Kernel, Work, rolled},
    pace::Pace,
    slice::Slices,
};

/// A search that is going on.
pub(crate) struct Search<'a> {
    job: &'a Job,
    kernel: Kernel,
    stop: &'a AtomicBool,
    next_ticket: AtomicU64,
    hashes: AtomicU64,
    found: OnceLock<Header>,
}

impl<'a> Search<'a> {
    /// A search that no thread works on yet.
    pub fn new(job: &'a Job, kernel: Kernel, stop: &'a AtomicBool) -> Self {
        Self {
            job,
            kernel,
            stop,
            next_ticket: AtomicU64::new(0),
            hashes: AtomicU64::new(0),
            found: OnceLock::new(),
        }
    }

    /// Works until the search is over; run by every thread, at its own pace. Adds its hashes to
    /// `total` too.
    pub fn work(&self, pace: &mut Pace, total: &AtomicU64) {
        pace.rested(Instant::now());
        pace.rest(|| self.is_over());
        let mut slices = Slices::new();
        while !self.is_over() {
            let ticket = self.next_ticket.fetch_add(1, Ordering::Relaxed);
            self.work_on(self.job.piece(ticket), &mut slices, pace, total);
        }
    }

    /// What was found, if anything, and the hashes tried.
    pub fn finish(self) -> (Option<Header>, u64) {
        (self.found.into_inner(), self.hashes.into_inner())
    }

    /// Searches one piece, or as much of it as there is time for.
    fn work_on(&self, piece: Piece, slices: &mut Slices, pace: &mut Pace, total: &AtomicU64) {
        let versions = self.kernel.versions;
        let work = Work::new(&piece.header.pow, versions, self.job.target);
        let (mut start, end) = piece.nonces.into_inner();
        while !self.is_over() {
            let last = start.saturating_add(slices.nonces(versions) - 1).min(end);
            let began = Instant::now();
            let hit = (self.kernel.search)(&work, start..=last);
            let end_of_slice = hit.map_or(last, |hit| hit.nonce);
            let tried = (u64::from(end_of_slice - start) + 1) * u64::from(versions);
            self.hashes.fetch_add(tried, Ordering::Relaxed);
            total.fetch_add(tried, Ordering::Relaxed);
            let ended = Instant::now();
            slices.took(tried, ended - began);
            pace.worked(ended);
            if let Some(hit) = hit {
                return self.report(piece.header, hit);
            }
            if last == end {
                return;
            }
            start = last + 1;
            pace.rest(|| self.is_over());
        }
    }

    /// Keeps the first hit. It is checked by the protocol's own hash, not by the kernel's.
    fn report(&self, mut header: Header, hit: Hit) {
        header.pow.nonce = hit.nonce;
        header.pow.version = rolled(header.pow.version, hit.versions.trailing_zeros());
        assert!(
            self.job.target.is_met_by(&header.hash()),
            "the kernel {} reported {header:?}, which does not meet the target",
            self.kernel.name
        );
        // Another thread may have been faster; one header is enough.
        let _ = self.found.set(header);
    }

    fn is_over(&self) -> bool {
        self.found.get().is_some() || self.stop.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::ops::RangeInclusive;

    use chain::{Target, U256};

    use super::*;
    use crate::kernel;

    fn job(target: U256) -> Job {
        Job {
            header: Header::default(),
            target: Target::new(target).unwrap(),
        }
    }

    fn portable() -> Kernel {
        kernel::named("portable").unwrap()
    }

    #[test]
    fn one_thread_finds_the_first_header_of_the_space() {
        let job = job(U256::MAX >> 12);
        let stop = AtomicBool::new(false);
        let search = Search::new(&job, portable(), &stop);
        let total = AtomicU64::new(0);
        search.work(&mut Pace::new(100, Instant::now()), &total);
        let (found, hashes) = search.finish();
        let found = found.unwrap();

        let mut candidate = job.piece(0).header;
        while !job.target.is_met_by(&candidate.hash()) {
            candidate.pow.nonce += 1;
        }
        assert_eq!(found, candidate);
        assert_eq!(hashes, u64::from(candidate.pow.nonce) + 1);
        assert_eq!(total.into_inner(), hashes);
    }

    /// One thread's result is a function of the job and of the number of versions.
    #[test]
    fn every_kernel_finds_the_same_header() {
        for versions in [1, 7, 16] {
            let job = job(U256::MAX >> 17);
            let mut results = kernel::all().into_iter().map(|kernel| {
                let stop = AtomicBool::new(false);
                let search = Search::new(&job, Kernel { versions, ..kernel }, &stop);
                search.work(&mut Pace::new(100, Instant::now()), &AtomicU64::new(0));
                search.finish()
            });
            let first = results.next().unwrap();
            assert!(first.0.is_some());
            assert!(results.all(|result| result == first));
        }
    }

    /// The second piece is reached when the first holds nothing.
    #[test]
    fn pieces_without_a_hit_are_left_behind() {
        fn only_in_the_second_piece(work: &Work, range: RangeInclusive<u32>) -> Option<Hit> {
            (*range.start() >= 1 << 16)
                .then(|| (portable().search)(work, range))
                .flatten()
        }
        let job = job(U256::MAX >> 4);
        let stop = AtomicBool::new(false);
        let kernel = Kernel {
            search: only_in_the_second_piece,
            ..portable()
        };
        let search = Search::new(&job, kernel, &stop);
        search.work(&mut Pace::new(100, Instant::now()), &AtomicU64::new(0));
        let (found, hashes) = search.finish();
        assert!(found.unwrap().pow.nonce >= 1 << 16);
        assert!(hashes > 1 << 16);
    }

    #[test]
    #[should_panic(expected = "does not meet the target")]
    fn a_lying_kernel_is_caught() {
        let job = job(U256::from(1));
        let stop = AtomicBool::new(false);
        let lie = |_: &Work, range: RangeInclusive<u32>| {
            let nonce = *range.start();
            Some(Hit { nonce, versions: 1 })
        };
        let kernel = Kernel {
            search: lie,
            ..portable()
        };
        let search = Search::new(&job, kernel, &stop);
        search.work(&mut Pace::new(100, Instant::now()), &AtomicU64::new(0));
    }
}
