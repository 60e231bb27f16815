//! The pool against the naive model: every answer, the contents, the order, the departures.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::TxKind;
use chain::{
    Account, Address, BlockHash, BlockId, CheckedTransaction, PoolError, TxHash,
    pool::{Class, Pool, PoolLimits, Source},
};
use proptest::{
    prelude::{Strategy, TestCaseError, prop_assert_eq, proptest},
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};

use crate::{
    codec::config,
    pool::{CONTEXT, account},
    pool_model::{Item, Model},
    pool_ops::{Edge, Op, crowded_ops, ops},
    support::builder::{GWEI, LGN, Wallet, transfer},
};

/// The pool, the model, and the world around both.
struct World {
    wallets: Vec<Wallet>,
    pool: Pool,
    model: Model,
    journal: BTreeSet<TxHash>,
    /// How often each answer was given, by its name.
    answers: BTreeMap<String, u32>,
    /// What the latest blocks took, and the accounts before.
    blocks: Vec<(Vec<CheckedTransaction>, BTreeMap<Address, Account>)>,
}

impl World {
    fn new(limits: PoolLimits) -> Self {
        let wallets: Vec<_> = (1..5).map(Wallet::new).collect();
        let accounts = wallets
            .iter()
            .map(|wallet| (wallet.address, account(0, 8 * LGN)));
        Self {
            pool: Pool::new(limits),
            model: Model::new(limits, accounts.collect(), CONTEXT),
            wallets,
            journal: BTreeSet::new(),
            answers: BTreeMap::new(),
            blocks: Vec::new(),
        }
    }

    fn insert(&mut self, tx: &CheckedTransaction, source: Source) -> Result<(), TestCaseError> {
        let account = self.model.accounts[&tx.sender()].clone();
        let got = self
            .pool
            .insert(tx, Some(&account), &self.model.context, source);
        if got.is_ok() && source == Source::Journal {
            self.journal.insert(tx.hash());
        }
        self.refused(tx, source, got.as_ref().err());
        let answer = got.as_ref().map_or_else(kind, |()| "Taken".to_owned());
        *self.answers.entry(answer).or_insert(0) += 1;
        prop_assert_eq!(got, self.model.insert(tx, source));
        Ok(())
    }

    /// Room for all that came back together.
    fn make_room(&mut self) {
        self.pool.make_room(&self.model.context);
        self.model.make_room();
    }

    /// What comes back and is refused leaves for good, as the node has it.
    fn refused(&mut self, tx: &CheckedTransaction, source: Source, error: Option<&PoolError>) {
        let comes_back = matches!(source, Source::Journal | Source::Reorg);
        match error.filter(|_| comes_back) {
            None => {}
            Some(PoolError::Known(hash)) => {
                self.pool.make_durable(hash);
                self.model.make_durable(hash);
            }
            Some(error) => {
                let (hash, now) = (tx.hash(), self.model.context.now);
                self.pool.not_taken_back(hash, error.clone(), now);
                self.model.not_taken_back(hash, error.clone());
            }
        }
    }

    fn account_changed(
        &mut self,
        address: Address,
        account: &Account,
        mined: &[(TxHash, BlockId)],
    ) {
        let place = |hash: &TxHash| {
            let found = mined.iter().find(|(other, _)| other == hash);
            found.map(|(_, block)| *block)
        };
        let now = self.model.context.now;
        self.pool
            .account_changed(&address, Some(account), &place, now);
        self.model.account_changed(address, account, mined);
    }

    fn apply(&mut self, op: Op) -> Result<(), TestCaseError> {
        match op {
            Op::Insert {
                sender,
                ahead,
                max_fee,
                tip,
                wei,
                bytes,
                source,
            } => {
                let wallet = &self.wallets[sender];
                let nonce = self.model.accounts[&wallet.address].nonce + ahead;
                let mut tx = transfer(nonce, Address::ZERO, wei);
                (tx.max_fee_per_gas, tx.max_priority_fee_per_gas) = (max_fee, tip);
                tx.input = vec![0; bytes].into();
                tx.gas_limit = 30_000;
                let tx = wallet.sign(tx);
                self.insert(&tx, source)?;
            }
            Op::Filled { ahead, count } => {
                let nonce = self.model.accounts[&self.wallets[0].address].nonce + ahead;
                for nonce in nonce..nonce + count {
                    let tx = self.wallets[0].sign(transfer(nonce, Address::ZERO, 0));
                    self.insert(&tx, Source::Journal)?;
                }
            }
            Op::Undone { depth, rival, used } => self.undo(depth, rival, used)?,
            Op::Edge {
                sender,
                ahead,
                edge,
                beyond,
                source,
            } => {
                let tx = self.at_the_edge(sender, ahead, edge, beyond);
                self.insert(&tx, source)?;
            }
            Op::Again { sender, ahead } => {
                if let Some(at) = self.place(sender, ahead) {
                    let tx = self.model.list[at].tx.clone();
                    self.insert(&tx, Source::Peer)?;
                }
            }
            Op::Stale { sender } => {
                let wallet = &self.wallets[sender];
                if let Some(used) = self.model.accounts[&wallet.address].nonce.checked_sub(1) {
                    let tx = wallet.pay(used, Address::ZERO, 0);
                    self.insert(&tx, Source::User)?;
                }
            }
            other => self.happens(other),
        }
        self.make_room();
        Ok(())
    }

    /// What is no transaction.
    fn happens(&mut self, op: Op) {
        match op {
            Op::Mined { count, base_fee } => self.mine(count, base_fee),
            Op::Account {
                sender,
                nonce,
                balance,
            } => {
                let address = self.wallets[sender].address;
                let nonce = self.model.accounts[&address].nonce + nonce / 3;
                self.blocks.clear();
                self.account_changed(address, &account(nonce, balance), &[]);
            }
            Op::Code { sender } => {
                let address = self.wallets[sender].address;
                let mut account = self.model.accounts[&address].clone();
                account.code_hash = Some([7; 32]);
                self.blocks.clear();
                self.account_changed(address, &account, &[]);
            }
            Op::Limits {
                gas_limit,
                base_fee_min,
            } => {
                let context = &mut self.model.context;
                (context.gas_limit, context.base_fee_min) = (gas_limit, base_fee_min);
                context.base_fee = context.base_fee.max(base_fee_min);
            }
            Op::Passed { secs } => {
                let now = &mut self.model.context.now;
                now.monotonic_ms += secs * 1_000;
                now.unix_secs += secs;
                self.pool.expire(self.model.context.now);
                self.model.expire();
            }
            Op::Durable { sender, ahead } => {
                if let Some(at) = self.place(sender, ahead) {
                    let hash = self.model.list[at].tx.hash();
                    self.model.make_durable(&hash);
                    self.pool.make_durable(&hash);
                }
            }
            other => unreachable!("{other:?} brings a transaction"),
        }
    }

    /// A transaction with as much, or as little, as a rule allows, or one beyond that.
    fn at_the_edge(
        &self,
        sender: usize,
        ahead: u64,
        edge: Edge,
        beyond: u64,
    ) -> CheckedTransaction {
        let (wallet, context) = (&self.wallets[sender], &self.model.context);
        let nonce = self.model.accounts[&wallet.address].nonce + ahead;
        let mut tx = transfer(nonce, Address::ZERO, 0);
        (tx.max_fee_per_gas, tx.max_priority_fee_per_gas) = (2 * GWEI, GWEI);
        match edge {
            Edge::GasMin => {
                tx.input = vec![0, 1, 0].into();
                tx.gas_limit = 21_000 + 60 - beyond;
            }
            Edge::GasMax => tx.gas_limit = (1 << 24) + beyond,
            Edge::BlockGas => tx.gas_limit = context.gas_limit + beyond,
            Edge::Initcode => {
                (tx.to, tx.gas_limit) = (TxKind::Create, 600_000);
                tx.input = vec![0; 49_152 + beyond as usize].into();
            }
            Edge::Tip => tx.max_priority_fee_per_gas += GWEI + u128::from(beyond),
            Edge::Fee => {
                tx.max_fee_per_gas = u128::from(context.base_fee_min - beyond);
                tx.max_priority_fee_per_gas = 1;
            }
        }
        wallet.sign(tx)
    }

    /// Where the model's list has the transaction so far ahead of its sender's account.
    fn place(&self, sender: usize, ahead: u64) -> Option<usize> {
        let address = self.wallets[sender].address;
        let nonce = self.model.accounts[&address].nonce + ahead;
        let is_it = |item: &Item| item.tx.sender() == address && item.tx.nonce() == nonce;
        self.model.list.iter().position(is_it)
    }

    fn mine(&mut self, count: usize, base_fee: u64) {
        let best = self.model.candidates().into_iter().take(count);
        let taken: Vec<_> = best.map(|item| item.tx).collect();
        let block = BlockId {
            height: 7,
            hash: BlockHash([7; 32]),
        };
        let mined: Vec<_> = taken.iter().map(|tx| (tx.hash(), block)).collect();
        self.model.context.base_fee = base_fee.max(self.model.context.base_fee_min);
        let before = self.model.accounts.clone();
        for address in before.keys() {
            let own = taken.iter().filter(|tx| tx.sender() == *address);
            let spent = own
                .clone()
                .map(|tx| u128::try_from(tx.cost_max().unwrap()).unwrap());
            let old = &before[address];
            let account = Account {
                nonce: old.nonce + own.count() as u64,
                balance: old.balance - spent.sum::<u128>(),
                code_hash: old.code_hash,
            };
            if account != *old {
                self.account_changed(*address, &account, &mined);
            }
        }
        self.blocks.push((taken, before));
    }

    fn undo(&mut self, depth: usize, rival: usize, used: u64) -> Result<(), TestCaseError> {
        let lowest = self.blocks.len().saturating_sub(depth);
        let undone = self.blocks.split_off(lowest);
        let Some(mut before) = undone.first().map(|(_, before)| before.clone()) else {
            return Ok(());
        };
        if used > 0 {
            // What was undone before cannot be undone on this branch.
            self.blocks.clear();
            let account = before.get_mut(&self.wallets[rival].address);
            account.expect("everybody has one").nonce += used;
        }
        for (address, account) in before {
            if account != self.model.accounts[&address] {
                self.account_changed(address, &account, &[]);
            }
        }
        // The oldest first; room is made after the last.
        for tx in undone.into_iter().flat_map(|(taken, _)| taken) {
            self.insert(&tx, Source::Reorg)?;
        }
        Ok(())
    }

    fn compare(&mut self) -> Result<(), TestCaseError> {
        let (snapshot, model) = (self.pool.snapshot(), &self.model);
        for (hash, change) in self.pool.take_journal() {
            match change {
                Some(_) => self.journal.insert(hash),
                None => self.journal.remove(&hash),
            };
        }
        prop_assert_eq!(&self.journal, &model.durable(), "the journal");
        let classes = model.classes();
        let pending = classes
            .values()
            .filter(|class| **class == Class::Pending)
            .count();
        let sizes = (model.list.len(), model.bytes(), pending);
        prop_assert_eq!(
            (snapshot.len(), snapshot.bytes(), snapshot.pending()),
            sizes
        );
        let page = snapshot.page(None, usize::MAX);
        let page: Vec<_> = page
            .map(|entry| (entry.transaction.hash(), entry.class))
            .collect();
        prop_assert_eq!(page, classes.into_iter().collect::<Vec<_>>());
        let departures = snapshot.departures().take(8);
        let departures: Vec<_> = departures
            .map(|gone| (gone.hash, gone.reason.clone()))
            .collect();
        let gone: Vec<_> = model.gone.iter().rev().take(8).cloned().collect();
        prop_assert_eq!(departures, gone);
        prop_assert_eq!(
            snapshot.floor(model.context.now.monotonic_ms),
            model.floor()
        );
        for (address, account) in &model.accounts {
            let next = snapshot.nonce_next(address, account.nonce);
            prop_assert_eq!(next, model.next_nonce(*address));
            let own = model.of(*address).into_iter().map(|item| item.tx);
            prop_assert_eq!(
                snapshot.of(address).cloned().collect::<Vec<_>>(),
                own.collect::<Vec<_>>()
            );
        }
        self.compare_order()
    }

    fn compare_order(&self) -> Result<(), TestCaseError> {
        let (snapshot, model) = (self.pool.snapshot(), &self.model);
        let (base_fee, best) = (model.context.base_fee, model.candidates());
        let want: Vec<_> = best.iter().map(|item| item.tx.clone()).collect();
        prop_assert_eq!(&snapshot.candidates(base_fee, 100), &want);
        prop_assert_eq!(
            &snapshot.candidates(base_fee, 2),
            &want[..want.len().min(2)]
        );
        for item in &model.list {
            let hash = item.tx.hash();
            prop_assert_eq!(snapshot.get(&hash), Some(&item.tx));
            let entry = snapshot.entry(&hash).unwrap();
            prop_assert_eq!(entry.since_ms, item.since_ms);
            prop_assert_eq!(entry.is_durable, item.is_durable);
            let why = snapshot.why_waiting(&hash, base_fee);
            prop_assert_eq!(why, Some(model.why_waiting(item, &best)));
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(Config { cases: Config::default().cases.max(256), ..config(0) })]

    /// M1, M3, M4, M5, M6: after any run of events the pool is what the model is.
    #[test]
    fn pool_against_the_naive_model(ops in ops(), count in 3_usize..14, bytes in 500_usize..3_000) {
        let mut world = World::new(PoolLimits { count, bytes });
        for op in ops {
            world.apply(op)?;
            world.compare()?;
        }
    }
}

proptest! {
    #![proptest_config(Config { cases: Config::default().cases.min(48), ..config(0) })]

    /// M3: the same of one sender whose places are all taken, with gaps among its nonces.
    #[test]
    fn m3_a_crowded_sender_against_the_naive_model(ops in crowded_ops()) {
        let mut world = World::new(PoolLimits { count: 90, bytes: 1 << 20 });
        for op in ops {
            world.apply(op)?;
            world.compare()?;
        }
    }
}

/// A model that is never led to a rule says nothing of it: how often each answer was given and each
/// way to leave was taken, over the same events.
#[test]
fn the_model_is_led_to_every_answer() {
    let mut runner = TestRunner::new(config(0));
    let (mut refusals, mut reasons) = (BTreeMap::new(), BTreeMap::new());
    let strategy = (ops(), 3_usize..14, 500_usize..3_000);
    let crowded = crowded_ops().prop_map(|ops| (ops, 90, 1 << 20));
    for at in 0..384 {
        let case = match at < 256 {
            true => strategy.new_tree(&mut runner).unwrap().current(),
            false => crowded.new_tree(&mut runner).unwrap().current(),
        };
        let (ops, count, bytes) = case;
        let mut world = World::new(PoolLimits { count, bytes });
        for op in ops {
            world.apply(op).unwrap();
        }
        for (_, reason) in &world.model.gone {
            *reasons.entry(kind(reason)).or_insert(0) += 1;
        }
        for (answer, times) in world.answers {
            *refusals.entry(answer).or_insert(0) += times;
        }
    }
    let answers = [
        "Balance",
        "BlockGas",
        "FeeTooLow",
        "Floor",
        "Full",
        "Known",
        "Limit",
        "NoRoomToWait",
        "NonceTooHigh",
        "NonceTooLow",
        "SenderFull",
        "SenderHasCode",
        "Taken",
        "Underpriced",
    ];
    for answer in answers {
        assert!(refusals.get(answer) >= Some(&10), "{answer}: {refusals:?}");
    }
    assert!(refusals.contains_key("Displaces"), "{refusals:?}");
    let leavings = [
        "Displaced",
        "Evicted",
        "Expired",
        "Mined",
        "NonceUsed",
        "NotTakenBack",
        "Replaced",
        "SenderHasCode",
    ];
    for reason in leavings {
        assert!(reasons.get(reason) >= Some(&10), "{reason}: {reasons:?}");
    }
}

/// The name of a variant.
fn kind(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    let end = text.find(|sign: char| !sign.is_alphanumeric());
    text[..end.unwrap_or(text.len())].to_owned()
}
