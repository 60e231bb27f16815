//! A naive pool: one list, every rule written out and searched anew for every question.
//!
//! What `pool_against_the_naive_model` compares the real one with. It shares no line with it.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::U256;
use chain::{
    Account, Address, BlockId, CheckedTransaction, PoolError, TxHash,
    pool::{Class, PoolContext, PoolLimits, Reason, Source, Waiting},
    transaction::LimitError,
};

/// The least gas of a transaction without an access list: what its bytes cost, or the floor.
fn gas_min(tx: &CheckedTransaction) -> u64 {
    let costs = |zero, other| -> u64 {
        let cost = |byte: &u8| if *byte == 0 { zero } else { other };
        tx.input().iter().map(cost).sum()
    };
    let words = (tx.input().len() as u64).div_ceil(32);
    let create = if tx.to().is_none() {
        32_000 + 2 * words
    } else {
        0
    };
    21_000 + (costs(4, 16) + create).max(costs(10, 40))
}

#[derive(Clone)]
pub struct Item {
    pub tx: CheckedTransaction,
    pub arrival: u64,
    pub is_pending: bool,
    pub since_ms: u64,
    pub is_durable: bool,
}

impl Item {
    fn price(&self, base_fee: u64) -> u128 {
        self.tx
            .max_fee()
            .min(self.tx.priority_fee() + u128::from(base_fee))
    }

    fn tip(&self, base_fee: u64) -> u128 {
        self.price(base_fee).saturating_sub(u128::from(base_fee))
    }

    fn deadline(&self) -> u64 {
        let hours = if self.is_pending { 24 } else { 3 };
        self.since_ms + hours * 3_600_000
    }
}

pub struct Model {
    pub list: Vec<Item>,
    pub accounts: BTreeMap<Address, Account>,
    pub context: PoolContext,
    pub limits: PoolLimits,
    pub gone: Vec<(TxHash, Reason)>,
    arrivals: u64,
    floor: (u128, u64),
}

impl Model {
    pub fn new(
        limits: PoolLimits,
        accounts: BTreeMap<Address, Account>,
        context: PoolContext,
    ) -> Self {
        Self {
            list: Vec::new(),
            accounts,
            context,
            limits,
            gone: Vec::new(),
            arrivals: 0,
            floor: (0, 0),
        }
    }

    fn now_ms(&self) -> u64 {
        self.context.now.monotonic_ms
    }

    /// A sender's items by rising nonce.
    pub fn of(&self, sender: Address) -> Vec<Item> {
        let own = self.list.iter().filter(|item| item.tx.sender() == sender);
        let mut own: Vec<_> = own.cloned().collect();
        own.sort_by_key(|item| item.tx.nonce());
        own
    }

    pub fn bytes(&self) -> usize {
        self.list.iter().map(|item| item.tx.bytes().len()).sum()
    }

    pub fn durable(&self) -> BTreeSet<TxHash> {
        let durable = self.list.iter().filter(|item| item.is_durable);
        durable.map(|item| item.tx.hash()).collect()
    }

    pub fn next_nonce(&self, sender: Address) -> u64 {
        let waits = |nonce| self.of(sender).iter().any(|item| item.tx.nonce() == nonce);
        (self.accounts[&sender].nonce..)
            .find(|nonce| !waits(*nonce))
            .unwrap()
    }

    fn cost_up_to(&self, sender: Address, nonce: u64) -> U256 {
        let own = self.of(sender);
        let counted = own.iter().filter(|item| item.tx.nonce() <= nonce);
        counted.fold(U256::ZERO, |sum, item| sum + item.tx.cost_max().unwrap())
    }

    /// Which of a sender's could be mined now.
    fn settle(&mut self, sender: Address) {
        let account = self.accounts[&sender].clone();
        let own = self.of(sender);
        for at in 0..self.list.len() {
            if self.list[at].tx.sender() != sender {
                continue;
            }
            let nonce = self.list[at].tx.nonce();
            let has = |wanted| own.iter().any(|item| item.tx.nonce() == wanted);
            let is_next = (account.nonce..nonce).all(has);
            // Costs only rise with the nonce, so all before it are covered too.
            let is_covered = self.cost_up_to(sender, nonce) <= U256::from(account.balance);
            let (is_pending, now) = (is_next && is_covered, self.now_ms());
            let item = &mut self.list[at];
            if item.is_pending != is_pending {
                (item.is_pending, item.since_ms) = (is_pending, now);
            }
        }
    }

    /// What no state lifts, and what no sender with code may send.
    fn refusal(&self, tx: &CheckedTransaction, account: &Account) -> Option<PoolError> {
        let (want, got) = (gas_min(tx), tx.gas_limit());
        let limit = |error| Some(PoolError::Limit(error));
        if got < want {
            return limit(LimitError::GasTooLow { want, got });
        }
        if got > 1 << 24 {
            return limit(LimitError::GasTooHigh { got });
        }
        if tx.to().is_none() && tx.input().len() > 48 * 1_024 {
            let got = tx.input().len();
            return limit(LimitError::Initcode { got });
        }
        let (max_fee, tip) = (tx.max_fee(), tx.priority_fee());
        if tip > max_fee {
            let got = tip;
            return limit(LimitError::Tip { max_fee, got });
        }
        let want = self.context.gas_limit;
        if got > want {
            return Some(PoolError::BlockGas { want, got });
        }
        let (want, got) = (self.context.base_fee_min, max_fee);
        if got < u128::from(want) {
            return Some(PoolError::FeeTooLow { want, got });
        }
        let has_code = account.code_hash.is_some();
        has_code.then(|| PoolError::SenderHasCode(tx.sender()))
    }

    /// One that came back from a block or from the journal was refused.
    pub fn not_taken_back(&mut self, hash: TxHash, error: PoolError) {
        self.gone.push((hash, Reason::NotTakenBack(error)));
    }

    /// The journal keeps one that is here.
    pub fn make_durable(&mut self, hash: &TxHash) {
        let found = self.list.iter_mut().find(|item| item.tx.hash() == *hash);
        found.expect("it is here").is_durable = true;
    }

    pub fn floor(&self) -> u128 {
        let tight = |got: usize, limit: usize| got >= limit - limit / 4;
        if !tight(self.list.len(), self.limits.count) && !tight(self.bytes(), self.limits.bytes) {
            return 0;
        }
        self.decayed()
    }

    pub fn insert(&mut self, tx: &CheckedTransaction, source: Source) -> Result<(), PoolError> {
        let (sender, nonce) = (tx.sender(), tx.nonce());
        let account = self.accounts[&sender].clone();
        if self.list.iter().any(|item| item.tx == *tx) {
            return Err(PoolError::Known(tx.hash()));
        }
        if let Some(error) = self.refusal(tx, &account) {
            return Err(error);
        }
        if nonce < account.nonce {
            let (want, got) = (account.nonce, nonce);
            return Err(PoolError::NonceTooLow { want, got });
        }
        let highest = self.next_nonce(sender) + 16;
        let is_new = matches!(source, Source::Peer | Source::User);
        if is_new && nonce > highest {
            let (want, got) = (highest, nonce);
            return Err(PoolError::NonceTooHigh { want, got });
        }
        let (floor, own) = (self.floor(), self.of(sender));
        let rival = own.into_iter().find(|item| item.tx.nonce() == nonce);
        if let Some(old) = &rival {
            for (old, got) in [
                (old.tx.max_fee(), tx.max_fee()),
                (old.tx.priority_fee(), tx.priority_fee()),
            ] {
                let tenth = old / 10 + u128::from(old % 10 != 0);
                let want = old + tenth.max(1);
                if got < want {
                    return Err(PoolError::Underpriced { nonce, want, got });
                }
            }
        }
        let displaced = match &rival {
            Some(_) => None,
            None => self.displaced(sender, nonce)?,
        };
        self.arrivals += 1;
        let item = Item {
            tx: tx.clone(),
            arrival: self.arrivals,
            is_pending: false,
            since_ms: self.now_ms(),
            is_durable: source != Source::Peer,
        };
        let before = self.list.clone();
        for gone in rival.iter().chain(&displaced) {
            self.list.retain(|item| item.arrival != gone.arrival);
        }
        if let Err(error) = self.try_with(item, floor, source) {
            self.list = before;
            return Err(error);
        }
        if let Some(old) = rival {
            self.gone
                .push((old.tx.hash(), Reason::Replaced { by: tx.hash() }));
        }
        if let Some(old) = displaced {
            self.gone
                .push((old.tx.hash(), Reason::Displaced { by: tx.hash() }));
        }
        Ok(())
    }

    /// Who goes where all 64 places are taken: the last one, for the first nonce that is missing.
    fn displaced(&self, sender: Address, nonce: u64) -> Result<Option<Item>, PoolError> {
        let last = match self.of(sender).as_slice() {
            own if own.len() < 64 => return Ok(None),
            own => own[own.len() - 1].clone(),
        };
        if self.next_nonce(sender) == nonce && last.tx.nonce() > nonce {
            return Ok(Some(last));
        }
        let (want, got) = (64, 64);
        Err(PoolError::SenderFull { want, got })
    }

    fn try_with(&mut self, new: Item, floor: u128, source: Source) -> Result<(), PoolError> {
        let (sender, nonce, arrival) = (new.tx.sender(), new.tx.nonce(), new.arrival);
        let base_fee = self.context.base_fee;
        let price = new.price(base_fee);
        self.list.push(new);
        let want = self.cost_up_to(sender, nonce);
        let got = self.accounts[&sender].balance;
        let is_new = matches!(source, Source::Peer | Source::User);
        if is_new && want > U256::from(got) {
            return Err(PoolError::Balance { want, got });
        }
        let want = floor + u128::from(base_fee);
        if is_new && floor > 0 && price < want {
            return Err(PoolError::Floor { want, got: price });
        }
        self.settle(sender);
        match is_new {
            true => self.room_for(Some(arrival)),
            false => Ok(()),
        }
    }

    /// All that come back together are here.
    pub fn make_room(&mut self) {
        self.room_for(None).unwrap();
    }

    /// The worst of all: any queued one before any pending one, then the lowest price, then the
    /// latest arrival.
    fn worst<'a>(&self, among: impl Iterator<Item = &'a Item>) -> Option<Item> {
        let base_fee = self.context.base_fee;
        let worst = among.min_by_key(|item| {
            (
                item.is_pending,
                item.price(base_fee),
                u64::MAX - item.arrival,
            )
        });
        worst.cloned()
    }

    /// Room for a newcomer, or for those that came back.
    fn room_for(&mut self, arrival: Option<u64>) -> Result<(), PoolError> {
        let base_fee = self.context.base_fee;
        let is_new = |item: &&Item| Some(item.arrival) == arrival;
        let new = self.list.iter().find(is_new).cloned();
        // Each with what it is worth behind the one for whose sake it goes.
        let mut victims: Vec<(Item, u128)> = Vec::new();
        while self.list.len() > self.limits.count || self.bytes() > self.limits.bytes {
            let worst = self.worst(self.list.iter()).unwrap();
            let tail = self.of(worst.tx.sender()).pop().unwrap();
            if Some(tail.arrival) == arrival {
                let sender = tail.tx.sender();
                if !tail.is_pending {
                    let (want, got) = (self.next_nonce(sender), tail.tx.nonce());
                    return Err(PoolError::NoRoomToWait { want, got });
                }
                let others = self.list.iter().filter(|item| item.tx.sender() != sender);
                let got = worst.price(base_fee);
                let want = self.worst(others).map_or(got, |item| item.price(base_fee));
                return Err(PoolError::Full { want, got });
            }
            self.list.retain(|item| item.arrival != tail.arrival);
            victims.push((tail, worst.tip(base_fee)));
        }
        let sure = |item: &Item, tip: u128| U256::from(tip) * U256::from(item.tx.gas_min());
        if let Some(new) = new.filter(|_| victims.len() > 1) {
            let rivals = victims
                .iter()
                .filter(|(item, _)| item.is_pending == new.is_pending);
            let want = rivals.fold(U256::ZERO, |sum, (item, tip)| sum + sure(item, *tip));
            let (count, got) = (victims.len(), sure(&new, new.tip(base_fee)));
            if got < want {
                return Err(PoolError::Displaces { count, want, got });
            }
        }
        let pending = victims.iter().filter(|(item, _)| item.is_pending);
        if let Some(tip) = pending.map(|(_, tip)| *tip).max() {
            let tenth = (tip / 10 + u128::from(tip % 10 != 0)).max(1);
            if tip + tenth >= self.decayed() {
                self.floor = (tip + tenth, self.now_ms());
            }
        }
        let floor = self.decayed();
        let gone = victims.iter();
        self.gone
            .extend(gone.map(|(item, _)| (item.tx.hash(), Reason::Evicted { floor })));
        Ok(())
    }

    fn decayed(&self) -> u128 {
        let halvings = (self.now_ms() - self.floor.1) / 600_000;
        (0..halvings).fold(self.floor.0, |floor, _| floor / 2)
    }

    /// A sender's account is another one now; `mined` stand in a block.
    pub fn account_changed(
        &mut self,
        sender: Address,
        account: &Account,
        mined: &[(TxHash, BlockId)],
    ) {
        self.accounts.insert(sender, account.clone());
        for item in self.of(sender) {
            let (hash, got, want) = (item.tx.hash(), item.tx.nonce(), account.nonce);
            if got >= want && account.code_hash.is_none() {
                continue;
            }
            let block = mined.iter().find(|(other, _)| *other == hash);
            let reason = match block {
                Some((_, block)) => Reason::Mined(*block),
                None if got < want => Reason::NonceUsed { want, got },
                None => Reason::SenderHasCode,
            };
            self.list.retain(|other| other.arrival != item.arrival);
            self.gone.push((hash, reason));
        }
        self.settle(sender);
    }

    pub fn expire(&mut self) {
        let now = self.now_ms();
        loop {
            let due = self.list.iter().filter(|item| item.deadline() <= now);
            let Some((_, sender)) = due.map(|item| (item.deadline(), item.tx.sender())).min()
            else {
                return;
            };
            for item in self.of(sender) {
                if item.deadline() <= now {
                    let secs = (now - item.since_ms) / 1_000;
                    self.list.retain(|other| other.arrival != item.arrival);
                    self.gone.push((item.tx.hash(), Reason::Expired { secs }));
                }
            }
            self.settle(sender);
        }
    }

    /// Again and again the best paying one of those whose turn it is.
    pub fn candidates(&self) -> Vec<Item> {
        let base_fee = self.context.base_fee;
        let mut given: Vec<Item> = Vec::new();
        loop {
            let is_given = |item: &Item| given.iter().any(|other| other.arrival == item.arrival);
            let is_next = |item: &Item| {
                let own = self.of(item.tx.sender());
                let mut before = own.iter().take_while(|other| other.arrival != item.arrival);
                before.all(is_given)
            };
            let ready = self.list.iter().filter(|item| {
                let pays = item.tx.max_fee() >= u128::from(base_fee);
                item.is_pending && pays && !is_given(item) && is_next(item)
            });
            let best = ready.max_by_key(|item| (item.price(base_fee), u64::MAX - item.arrival));
            match best.cloned() {
                Some(best) => given.push(best),
                None => return given,
            }
        }
    }

    pub fn why_waiting(&self, item: &Item, candidates: &[Item]) -> Waiting {
        let (sender, got) = (item.tx.sender(), item.tx.nonce());
        let want = self.next_nonce(sender);
        if want < got {
            return Waiting::Nonce { want, got };
        }
        let (want, got) = (self.cost_up_to(sender, got), self.accounts[&sender].balance);
        if want > U256::from(got) {
            return Waiting::Balance { want, got };
        }
        let (want, got) = (self.context.base_fee, item.tx.max_fee());
        if got < u128::from(want) {
            return Waiting::BaseFee { want, got };
        }
        let own = self.of(sender);
        let mut before = own
            .iter()
            .filter(|other| other.tx.nonce() < item.tx.nonce());
        if let Some(poor) = before.find(|other| other.tx.max_fee() < u128::from(want)) {
            let (hash, nonce) = (poor.tx.hash(), poor.tx.nonce());
            return Waiting::Behind { hash, nonce };
        }
        let at = candidates
            .iter()
            .position(|other| other.arrival == item.arrival);
        let ahead = at.expect("a pending one that pays is a candidate");
        let gas = candidates[..ahead].iter().map(|other| other.tx.gas_limit());
        let gas_ahead = gas.sum();
        Waiting::Turn { ahead, gas_ahead }
    }

    /// The class of every transaction.
    pub fn classes(&self) -> BTreeMap<TxHash, Class> {
        let class = |item: &Item| match item.is_pending {
            true => Class::Pending,
            false => Class::Queued,
        };
        let classes = self.list.iter().map(|item| (item.tx.hash(), class(item)));
        classes.collect()
    }
}
