//! Room: who has to go when the pool is full, and what it asks for after that.
//!
//! A newcomer is taken if it is worth the room that it needs. What comes back has been in a block or
//! in the pool, so all of it is taken, and room is made afterwards by the same order. Called by
//! `mod`, and by `node` after the last of those that come back.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use alloy_primitives::{Address, U256};

use super::{
    Class, Entry, Pool, PoolContext, PoolError, Reason,
    error::raised,
    queue::Queue,
    rank::{Ranked, price},
};
use crate::{params::POOL_FLOOR_HALF_LIFE_SECS, transaction::CheckedTransaction};

/// The least effective priority fee as it was when it was last raised.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Floor {
    tip: u128,
    raised_ms: u64,
}

impl Floor {
    /// Half of it after each half-life.
    pub(super) fn at(&self, now_ms: u64) -> u128 {
        let half_life_ms = POOL_FLOOR_HALF_LIFE_SECS.saturating_mul(1_000);
        let halvings = now_ms.saturating_sub(self.raised_ms) / half_life_ms;
        let halvings = u32::try_from(halvings).unwrap_or(u32::MAX);
        self.tip.checked_shr(halvings).unwrap_or(0)
    }
}

/// One that has to go.
pub(super) struct Victim {
    entry: Entry,
    /// What it is worth: the price of the worst one, for whose sake it goes. Its own may be higher,
    /// but nobody would ever have to pay that with the worst one before it.
    price: u128,
}

impl Victim {
    /// The miner's part of its price, in wei per gas.
    fn tip(&self, base_fee: u64) -> u128 {
        self.price.saturating_sub(u128::from(base_fee))
    }
}

/// Room that is still to be made.
struct Excess {
    count: usize,
    bytes: usize,
}

impl Excess {
    fn is_none(&self) -> bool {
        self.count == 0 && self.bytes == 0
    }

    fn without(&mut self, entry: &Entry) {
        self.count = self.count.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(entry.size());
    }
}

impl Pool {
    /// Whether it pays what a nearly full pool asks for.
    pub(super) fn check_floor(
        &self,
        transaction: &CheckedTransaction,
        context: &PoolContext,
    ) -> Result<(), PoolError> {
        let floor = self.shared.floor(context.now.monotonic_ms);
        let want = floor.saturating_add(u128::from(context.base_fee));
        let (max_fee, tip) = (transaction.max_fee(), transaction.priority_fee());
        let got = price(max_fee, tip, context.base_fee);
        if floor > 0 && got < want {
            return Err(PoolError::Floor { want, got });
        }
        Ok(())
    }

    /// Lets go what is too much: the worst first, and before each of them its sender's later ones. To
    /// be called once after the last of those that come back together: one of them may make others
    /// of its sender worth something that would be the worst without it. What one of them has
    /// replaced stays so, even if that one goes now: it paid less.
    pub fn make_room(&mut self, context: &PoolContext) {
        let victims = self.victims(context.base_fee);
        self.evict(&victims, context);
    }

    /// What has to go for a newcomer. Fails if the newcomer would be among them, or if it is not
    /// worth as much as they are.
    pub(super) fn make_room_for(
        &self,
        sender: Address,
        arrival: u64,
        context: &PoolContext,
    ) -> Result<Vec<Victim>, PoolError> {
        let base_fee = context.base_fee;
        let victims = self.victims(base_fee);
        let is_newcomer = |entry: &Entry| entry.arrival == arrival;
        if let Some(newcomer) = victims.iter().find(|victim| is_newcomer(&victim.entry)) {
            return Err(self.no_room(newcomer, &victims, base_fee));
        }
        let mut queue = self.shared.entries_of(&sender).iter();
        let newcomer = queue.find(|entry| is_newcomer(entry));
        newcomer.map_or(Ok(()), |entry| check_worth(entry, &victims, base_fee))?;
        Ok(victims)
    }

    /// What has to go so that the limits hold, in order: the worst first, and before each of them
    /// its sender's later ones.
    fn victims(&self, base_fee: u64) -> Vec<Victim> {
        let shared = &self.shared;
        let mut excess = Excess {
            count: shared.len().saturating_sub(shared.limits.count),
            bytes: shared.bytes.saturating_sub(shared.limits.bytes),
        };
        let (mut victims, mut chosen) = (Vec::new(), BTreeSet::new());
        let mut ranks = self.worst_first(base_fee);
        while !excess.is_none() {
            let worst = ranks.next().expect("what is over a limit is in the pool");
            for entry in shared.entries_of(&worst.sender).iter().rev() {
                if excess.is_none() {
                    break;
                }
                if chosen.insert(entry.arrival) {
                    excess.without(entry);
                    let (entry, price) = (entry.clone(), worst.price);
                    victims.push(Victim { entry, price });
                }
                if entry.arrival == worst.arrival.0 {
                    break;
                }
            }
        }
        victims
    }

    /// Any queued one before any pending one.
    fn worst_first(&self, base_fee: u64) -> impl Iterator<Item = Ranked> {
        let queued = self.queued.worst_first(base_fee);
        queued.chain(self.pending.worst_first(base_fee))
    }

    /// Why a newcomer would have to go itself: what it would have had to pay more than.
    fn no_room(&self, newcomer: &Victim, victims: &[Victim], base_fee: u64) -> PoolError {
        let transaction = &newcomer.entry.transaction;
        let (sender, got) = (transaction.sender(), newcomer.price);
        if newcomer.entry.class == Class::Queued {
            return PoolError::NoRoomToWait {
                want: self.shared.nonce_next(&sender, 0),
                got: transaction.nonce(),
            };
        }
        let chosen: BTreeSet<_> = victims.iter().map(|victim| victim.entry.arrival).collect();
        let mut others = self.worst_first(base_fee);
        let next = others.find(|rank| rank.sender != sender && !chosen.contains(&rank.arrival.0));
        let want = next.map_or(got, |rank| rank.price);
        PoolError::Full { want, got }
    }

    /// Drops the victims: of each sender they are the last ones.
    pub(super) fn evict(&mut self, victims: &[Victim], context: &PoolContext) {
        if victims.is_empty() {
            return;
        }
        let mut counts: BTreeMap<Address, usize> = BTreeMap::new();
        for victim in victims {
            let sender = victim.entry.transaction.sender();
            let count = counts.entry(sender).or_default();
            *count = count.saturating_add(1);
        }
        for (sender, count) in counts {
            let queue = self.shared.senders.get(&sender);
            let mut queue = queue.map(|queue| Queue::clone(queue)).unwrap_or_default();
            queue.cut(count);
            self.put(sender, queue);
        }
        let pending = victims
            .iter()
            .filter(|victim| victim.entry.class == Class::Pending);
        let tips = pending.map(|victim| victim.tip(context.base_fee));
        if let Some(highest) = tips.max() {
            self.raise_floor(raised(highest), context.now.monotonic_ms);
        }
        let floor = self.shared.floor.at(context.now.monotonic_ms);
        for Victim { entry, .. } in victims {
            self.departed(entry, Reason::Evicted { floor }, context.now);
        }
    }

    fn raise_floor(&mut self, tip: u128, now_ms: u64) {
        let floor = &mut Arc::make_mut(&mut self.shared).floor;
        if tip >= floor.at(now_ms) {
            let raised_ms = now_ms;
            *floor = Floor { tip, raised_ms };
        }
    }
}

/// One may take the place of one that pays less. For the room of several it must pay more than all
/// of them together, counting the gas that each uses in any case: else one large newcomer could
/// drive out a thousand small ones for the price of a few.
fn check_worth(newcomer: &Entry, victims: &[Victim], base_fee: u64) -> Result<(), PoolError> {
    let count = victims.len();
    if count <= 1 {
        return Ok(());
    }
    let sure = |tip: u128, gas: u64| U256::from(tip).saturating_mul(U256::from(gas));
    let rivals = victims
        .iter()
        .filter(|victim| victim.entry.class == newcomer.class)
        .map(|victim| sure(victim.tip(base_fee), victim.entry.gas_min));
    let want = rivals.fold(U256::ZERO, U256::saturating_add);
    let tip = newcomer.transaction.effective_tip(base_fee);
    let got = sure(tip.unwrap_or(0), newcomer.gas_min);
    if got < want {
        return Err(PoolError::Displaces { count, want, got });
    }
    Ok(())
}
