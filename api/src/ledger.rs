//! What only the whole chain tells: how much was issued and burnt, and whom the state knows.
//!
//! The state's keys are hashes, so that its accounts are found by the change sets of the blocks.
//! Both accounts of the chain are made when first asked for, a bounded number of blocks a request,
//! and then follow the head of the asker's view, also back and onto another branch. They live in
//! memory alone. Called by the REST handlers, on threads that may wait.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
    sync::{Arc, Mutex, PoisonError, TryLockError},
};

use chain::{Address, BlockHash, BlockId, ChainSpec, ChangeSet, Header, StoreError, Time, U256};

use crate::{
    View,
    limits::{
        LEDGER_ACCOUNTS_MAX, LEDGER_BLOCKS_MAX, LEDGER_CHANGES_MAX, TOP_ACCOUNTS_PER_MS, TOP_MAX,
    },
    queries::Deadline,
};

/// Both accounts of the chain.
#[derive(Default)]
pub struct Ledger {
    totals: Mutex<Totals>,
    known: Mutex<Known>,
}

/// Sums over the best chain up to a block.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    at: Option<BlockId>,
    /// Wei paid as rewards.
    pub rewards: U256,
    /// Wei of base fees.
    pub burnt: U256,
}

/// The accounts with most at a head.
#[derive(Debug)]
pub struct Top {
    /// The head.
    pub head: BlockId,
    /// Its time stamp.
    pub time: u32,
    /// Accounts that exist.
    pub count: u64,
    /// By falling balance, then by address.
    pub accounts: Vec<(u128, Address)>,
}

/// Why there is no answer yet, or none at all.
#[derive(Debug)]
pub enum Unready {
    /// Another request is at work on it.
    Busy,
    /// So many blocks of so many are read.
    Behind(u64, u64),
    /// More accounts than are kept.
    TooMany,
    /// The store failed.
    Store(StoreError),
}

impl From<StoreError> for Unready {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Every address that had an account after some block read, of any branch.
#[derive(Default)]
struct Known {
    at: Option<BlockId>,
    addresses: BTreeSet<Address>,
    top: Option<(u64, Arc<Top>)>,
}

impl Ledger {
    /// The sums at a view's head. Costs a header for each block not read yet, until the deadline.
    pub fn totals(&self, view: &View, deadline: Deadline) -> Result<Totals, Unready> {
        let mut totals = lock(&self.totals)?;
        let Totals {
            mut at,
            mut rewards,
            mut burnt,
        } = *totals;
        let spec = &view.spec;
        let mut blocks = 0;
        let step = follow(view, &mut at, |header, way| {
            let reward = U256::from(spec.reward(header.extension.height));
            let fees = burnt_in(header);
            (rewards, burnt) = match way {
                Way::Joins => (rewards.saturating_add(reward), burnt.saturating_add(fees)),
                Way::Leaves => (rewards.saturating_sub(reward), burnt.saturating_sub(fees)),
            };
            blocks += 1;
            Ok(blocks < LEDGER_BLOCKS_MAX && !deadline.is_over())
        });
        *totals = Totals { at, rewards, burnt };
        step?;
        at_head(view, at).map(|()| *totals)
    }

    /// The accounts with most. Costs the change set of each block not read yet, until the deadline,
    /// and about a microsecond for every account there is, after which the list rests for ten times
    /// as long.
    pub fn top(&self, view: &View, now: Time, deadline: Deadline) -> Result<Arc<Top>, Unready> {
        let mut known = lock(&self.known)?;
        known.catch_up(view, deadline)?;
        let rest_ms = u64::try_from(known.addresses.len() / TOP_ACCOUNTS_PER_MS).unwrap_or(0);
        let resting = known.top.as_ref().filter(|(made_ms, top)| {
            top.head == view.head || now.monotonic_ms.saturating_sub(*made_ms) < rest_ms
        });
        if let Some((_, top)) = resting {
            return Ok(Arc::clone(top));
        }
        let top = Arc::new(known.rank(view));
        known.top = Some((now.monotonic_ms, Arc::clone(&top)));
        Ok(top)
    }
}

/// Wei that a spec gives to its first accounts.
pub fn allocation(spec: &ChainSpec) -> U256 {
    let balances = spec.alloc.iter().map(|one| U256::from(one.account.balance));
    balances.fold(U256::ZERO, U256::saturating_add)
}

fn burnt_in(header: &Header) -> U256 {
    let extension = &header.extension;
    U256::from(extension.base_fee).saturating_mul(U256::from(extension.gas_used))
}

impl Known {
    fn catch_up(&mut self, view: &View, deadline: Deadline) -> Result<(), Unready> {
        if self.at.is_none() {
            self.addresses
                .extend(view.spec.alloc.iter().map(|one| one.address));
        }
        let Self { at, addresses, .. } = self;
        let (mut blocks, mut changes) = (0, 0);
        follow(view, at, |header, way| {
            // An address of a branch that was left is asked for in vain, and may come back.
            if matches!(way, Way::Joins) && header.extension.height > 0 {
                let set = changed_by(view, &header.hash())?;
                let accounts = set.accounts.iter();
                addresses.extend(accounts.map(|change| Address::from(change.address)));
                changes += set.accounts.len();
            }
            blocks += 1;
            let is_room = addresses.len() <= LEDGER_ACCOUNTS_MAX;
            let has_time = blocks < LEDGER_BLOCKS_MAX && changes < LEDGER_CHANGES_MAX;
            Ok(is_room && has_time && !deadline.is_over())
        })?;
        if self.addresses.len() > LEDGER_ACCOUNTS_MAX {
            return Err(Unready::TooMany);
        }
        at_head(view, self.at)
    }

    fn rank(&self, view: &View) -> Top {
        // The least of the best is on top of the heap, to be replaced.
        let mut best = BinaryHeap::with_capacity(TOP_MAX + 1);
        let mut count = 0;
        for address in &self.addresses {
            let Some(account) = view.state.account(address) else {
                continue;
            };
            count += 1;
            best.push(Reverse((account.balance, Reverse(*address))));
            if best.len() > TOP_MAX {
                best.pop();
            }
        }
        let accounts = best.into_sorted_vec().into_iter();
        Top {
            head: view.head,
            time: view.head_header.pow.time,
            count,
            accounts: accounts
                .map(|Reverse((balance, Reverse(address)))| (balance, address))
                .collect(),
        }
    }
}

/// What a block of the best chain changed.
fn changed_by(view: &View, hash: &BlockHash) -> Result<Arc<ChangeSet>, StoreError> {
    let missing = || StoreError(format!("no change set for executed block {hash}"));
    view.reader.changes(hash)?.ok_or_else(missing)
}

/// Waits for nobody: a thread that waited here would be missing for other requests.
fn lock<T>(mutex: &Mutex<T>) -> Result<std::sync::MutexGuard<'_, T>, Unready> {
    match mutex.try_lock() {
        Ok(guard) => Ok(guard),
        Err(TryLockError::Poisoned(poisoned)) => Ok(PoisonError::into_inner(poisoned)),
        Err(TryLockError::WouldBlock) => Err(Unready::Busy),
    }
}

fn at_head(view: &View, at: Option<BlockId>) -> Result<(), Unready> {
    if at == Some(view.head) {
        return Ok(());
    }
    let height = at.map_or(0, |at| at.height);
    Err(Unready::Behind(height, view.head.height))
}

/// What a block does to the chain that is followed.
#[derive(Clone, Copy)]
enum Way {
    Joins,
    Leaves,
}

/// Goes from `at` down to the view's best chain and up towards its head, until `step` has had
/// enough or failed; `at` is the last block whose step succeeded.
fn follow(
    view: &View,
    at: &mut Option<BlockId>,
    mut step: impl FnMut(&Header, Way) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let missing = |what: &dyn std::fmt::Display| StoreError(format!("there is no header {what}"));
    while *at != Some(view.head) {
        let above = match *at {
            Some(id) if view.reader.canonical(id.height)? != Some(id.hash) => {
                let header = view.reader.header(&id.hash)?;
                let header = header.ok_or_else(|| missing(&id.hash))?;
                let goes_on = step(&header, Way::Leaves)?;
                *at = id.height.checked_sub(1).map(|height| BlockId {
                    height,
                    hash: header.pow.parent,
                });
                if goes_on {
                    continue;
                }
                return Ok(());
            }
            Some(id) => id.height + 1,
            None => 0,
        };
        let hash = view.reader.canonical(above)?;
        let hash = hash.ok_or_else(|| missing(&above))?;
        let header = view.reader.header(&hash)?;
        let header = header.ok_or_else(|| missing(&hash))?;
        let goes_on = step(&header, Way::Joins)?;
        *at = Some(BlockId {
            height: above,
            hash,
        });
        if !goes_on {
            return Ok(());
        }
    }
    Ok(())
}
