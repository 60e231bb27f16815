//! What a peer may ask of us: requests, and bytes of what they are answered with.
//!
//! A new peer may take a good part of a chain at once; then its budget grows by a fixed rate.
//! Beyond it requests are declined, which costs an honest peer nothing but time. Only one that
//! goes on asking as much again in vain is charged.

use crate::{
    effect::Time,
    forest::Forest,
    message::Request,
    params::{
        BLOCKS_BYTES_MAX, HEADER_WIRE_BYTES, HEADERS_MAX, REQUEST_BUDGET, REQUEST_BUDGET_SECS,
        SERVED_BURST_BYTES, SERVED_BYTES,
    },
    pool::PoolSnapshot,
    store::Stage,
    tree::Tree,
};

/// What becomes of a peer's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spending {
    /// It is within the budget.
    Served,
    /// It is beyond the budget.
    Declined,
    /// It is far beyond the budget.
    Charged,
}

/// What one peer may still ask.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    requests: u32,
    bytes: u64,
    declined: u32,
    declined_bytes: u64,
    refill_due_ms: u64,
}

impl Budget {
    pub(super) fn new(now: Time) -> Self {
        Self {
            requests: REQUEST_BUDGET,
            bytes: SERVED_BURST_BYTES,
            declined: 0,
            declined_bytes: 0,
            refill_due_ms: next_ms(now),
        }
    }

    /// Takes one request whose answer has so many bytes.
    pub(super) fn spend(&mut self, bytes: u64) -> Spending {
        if self.requests > 0 && self.bytes >= bytes {
            self.requests -= 1;
            self.bytes -= bytes;
            return Spending::Served;
        }
        self.declined = self.declined.saturating_add(1);
        self.declined_bytes = self.declined_bytes.saturating_add(bytes);
        if self.declined > REQUEST_BUDGET || self.declined_bytes > SERVED_BYTES {
            Spending::Charged
        } else {
            Spending::Declined
        }
    }

    /// Grows the budget when it is time. Returns whether it was.
    pub(super) fn refill(&mut self, now: Time) -> bool {
        let is_due = self.refill_due_ms <= now.monotonic_ms;
        if is_due {
            let bytes = self.bytes.saturating_add(SERVED_BYTES);
            *self = Self {
                bytes: bytes.min(SERVED_BURST_BYTES),
                ..Self::new(now)
            };
        }
        is_due
    }
}

fn next_ms(now: Time) -> u64 {
    now.monotonic_ms.saturating_add(REQUEST_BUDGET_SECS * 1000)
}

/// Bytes of what a request is answered with, as far as the tree and the pool tell.
pub fn weight(request: &Request, forest: &Forest, pool: &PoolSnapshot) -> u64 {
    let tree = forest.tree();
    let bytes = match request {
        Request::Status(_) | Request::Addresses => 0,
        Request::Headers(locator) => {
            let known = locator.iter().filter_map(|hash| tree.find(hash));
            let mut shared = known.filter(|id| tree.is_ancestor(*id, forest.head()));
            let height = |id| tree[id].id().height;
            let from = shared.next().unwrap_or(Tree::GENESIS);
            let count = height(forest.head()).saturating_sub(height(from));
            let count = usize::try_from(count).map_or(HEADERS_MAX, |count| count.min(HEADERS_MAX));
            count * HEADER_WIRE_BYTES
        }
        Request::Blocks(hashes) => {
            let known = hashes.iter().filter_map(|hash| tree.find(hash));
            let held = known.filter(|id| tree[*id].stage != Stage::Header);
            let size = |id| HEADER_WIRE_BYTES as u64 + u64::from(tree[id].body_bytes);
            let bytes = usize::try_from(held.map(size).sum::<u64>());
            bytes.map_or(BLOCKS_BYTES_MAX, |bytes| bytes.min(BLOCKS_BYTES_MAX))
        }
        Request::Transactions(hashes) => {
            let held = hashes.iter().filter_map(|hash| pool.get(hash));
            let bytes: usize = held.map(|transaction| transaction.bytes().len()).sum();
            bytes.min(BLOCKS_BYTES_MAX)
        }
    };
    bytes as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::{REQUESTS_PER_PEER, UNSERVED_REST_MS};

    /// A peer that asks as our own sync does: four requests at a time, each as large as can be,
    /// answered in no time; declined ones again after the rest.
    #[test]
    fn r1_an_honest_peer_at_full_speed_is_never_charged() {
        let at = |monotonic_ms| Time {
            unix_secs: 0,
            monotonic_ms,
        };
        for answer in [BLOCKS_BYTES_MAX as u64, HEADER_WIRE_BYTES as u64 + 8] {
            let mut budget = Budget::new(at(0));
            let mut served = 0;
            for now_ms in (0..3_600_000).step_by(UNSERVED_REST_MS as usize) {
                budget.refill(at(now_ms));
                let mut declined = 0;
                while declined < REQUESTS_PER_PEER {
                    match budget.spend(answer) {
                        Spending::Served => served += answer,
                        Spending::Declined => declined += 1,
                        Spending::Charged => panic!("after {served} bytes"),
                    }
                }
            }
            let rate = SERVED_BURST_BYTES + 358 * SERVED_BYTES;
            let requests = 359 * u64::from(REQUEST_BUDGET) * answer;
            assert!(served >= rate.min(requests), "{served}");
            assert!(served <= SERVED_BURST_BYTES + 360 * SERVED_BYTES);
        }
    }

    #[test]
    fn r1_asking_in_vain_is_charged() {
        let mut budget = Budget::new(Time::default());
        let answer = BLOCKS_BYTES_MAX as u64;
        let all: Vec<_> = (0..1_000).map(|_| budget.spend(answer)).collect();
        let count = |which| all.iter().filter(|spending| **spending == which).count() as u64;
        assert_eq!(count(Spending::Served), SERVED_BURST_BYTES / answer);
        assert_eq!(count(Spending::Declined), SERVED_BYTES / answer);
        let rest = 1_000 - (SERVED_BURST_BYTES / answer) - (SERVED_BYTES / answer);
        assert_eq!(count(Spending::Charged), rest);
    }
}
