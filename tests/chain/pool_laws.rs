//! The pool against the naive model: every answer, the contents, the order, the departures.

use std::collections::{BTreeMap, BTreeSet};

use chain::{
    Account, Address, BlockHash, BlockId, CheckedTransaction, TxHash,
    pool::{Class, Pool, PoolLimits, Source},
};
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, TestCaseError, prop_assert_eq, prop_oneof, proptest},
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};

use crate::{
    codec::config,
    pool::{CONTEXT, account},
    pool_model::{Item, Model},
    support::builder::{GWEI, LGN, Wallet, transfer},
};

/// What can happen to a pool.
#[derive(Clone, Copy, Debug)]
enum Op {
    Insert {
        sender: usize,
        /// Above the account's nonce.
        ahead: u64,
        max_fee: u128,
        tip: u128,
        wei: u128,
        bytes: usize,
        source: Source,
    },
    /// A block takes the best ones, and the base fee changes.
    Mined {
        count: usize,
        base_fee: u64,
    },
    /// The same nonces were used by others, or the balance was spent or filled up.
    Account {
        sender: usize,
        nonce: u64,
        balance: u128,
    },
    /// The latest block is undone, and what was in it comes back.
    Undone,
    Passed {
        secs: u64,
    },
    /// What is here comes again.
    Again {
        sender: usize,
        ahead: u64,
    },
    /// A nonce that is used already.
    Stale {
        sender: usize,
    },
    /// A user sends what may be here already.
    Durable {
        sender: usize,
        ahead: u64,
    },
    /// Many of one sender come back, up to all its places.
    Filled {
        ahead: u64,
        count: u64,
    },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let ahead = prop_oneof![8 => 0_u64..5, 1 => 14_u64..19];
    let source = prop_oneof![
        3 => Just(Source::Peer),
        1 => Just(Source::User),
        1 => Just(Source::Journal),
    ];
    let bytes = prop_oneof![3 => 0_usize..30, 1 => 300_usize..700];
    let fees = (0_u128..12, 0_u128..12);
    let insert = (0_usize..4, ahead, fees, 0_u128..3, bytes, source);
    let insert = insert.prop_map(|(sender, ahead, fees, wei, bytes, source)| Op::Insert {
        sender,
        ahead,
        // Steps of 10 % and less, on both sides of the base fee.
        max_fee: GWEI * (100 + 15 * fees.0) / 100,
        tip: (GWEI * (5 * fees.1) / 100).min(GWEI),
        wei: wei * LGN,
        bytes,
        source,
    });
    let base_fee = 100_u64..260;
    let mined = (0_usize..4, base_fee).prop_map(|(count, percent)| Op::Mined {
        count,
        base_fee: percent * 10_000_000,
    });
    let changed = (0_usize..4, 0_u64..5, 0_u128..9);
    let changed = changed.prop_map(|(sender, nonce, balance)| Op::Account {
        sender,
        nonce,
        balance: balance * LGN,
    });
    let passed = prop_oneof![0_u64..900, 3_000_u64..90_000];
    let passed = passed.prop_map(|secs| Op::Passed { secs });
    let durable = (0_usize..4, 0_u64..3).prop_map(|(sender, ahead)| Op::Durable { sender, ahead });
    let undone = Just(Op::Undone);
    let again = (0_usize..4, 0_u64..3).prop_map(|(sender, ahead)| Op::Again { sender, ahead });
    let stale = (0_usize..4).prop_map(|sender| Op::Stale { sender });
    let op = prop_oneof![
        14 => insert, 2 => mined, 1 => changed, 1 => undone, 1 => passed, 1 => durable, 1 => again,
        1 => stale,
    ];
    vec(op, 1..60)
}

/// One sender at the limit of its places: gaps, what fills them, and what is behind them.
fn crowded_ops() -> impl Strategy<Value = Vec<Op>> {
    let filled = (0_u64..4, 58_u64..67).prop_map(|(ahead, count)| Op::Filled { ahead, count });
    let source = prop_oneof![
        Just(Source::User),
        Just(Source::Peer),
        Just(Source::Journal)
    ];
    let insert = (prop_oneof![3 => 0_u64..5, 1 => 55_u64..72], source);
    let insert = insert.prop_map(|(ahead, source)| Op::Insert {
        sender: 0,
        ahead,
        max_fee: 2 * GWEI,
        tip: GWEI,
        wei: 0,
        bytes: 0,
        source,
    });
    let mined = (0_usize..3).prop_map(|count| Op::Mined {
        count,
        base_fee: 1_000_000_000,
    });
    let rest = vec(
        prop_oneof![8 => insert, 1 => mined, 1 => Just(Op::Undone)],
        1..10,
    );
    (filled, rest).prop_map(|(filled, mut rest)| {
        rest.insert(0, filled);
        rest
    })
}

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
        let answer = got.as_ref().map_or_else(kind, |()| "Taken".to_owned());
        *self.answers.entry(answer).or_insert(0) += 1;
        prop_assert_eq!(got, self.model.insert(tx, source));
        Ok(())
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
            Op::Undone => self.undo()?,
            Op::Passed { secs } => {
                let now = &mut self.model.context.now;
                now.monotonic_ms += secs * 1_000;
                now.unix_secs += secs;
                self.pool.expire(self.model.context.now);
                self.model.expire();
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
            Op::Durable { sender, ahead } => {
                if let Some(at) = self.place(sender, ahead) {
                    let item = &mut self.model.list[at];
                    item.is_durable = true;
                    self.pool.make_durable(&item.tx.hash());
                }
            }
        }
        Ok(())
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
        self.model.context.base_fee = base_fee;
        let before = self.model.accounts.clone();
        for address in before.keys() {
            let own = taken.iter().filter(|tx| tx.sender() == *address);
            let spent = own
                .clone()
                .map(|tx| u128::try_from(tx.cost_max().unwrap()).unwrap());
            let old = &before[address];
            let account = account(
                old.nonce + own.count() as u64,
                old.balance - spent.sum::<u128>(),
            );
            if account != *old {
                self.account_changed(*address, &account, &mined);
            }
        }
        self.blocks.push((taken, before));
    }

    fn undo(&mut self) -> Result<(), TestCaseError> {
        let Some((taken, before)) = self.blocks.pop() else {
            return Ok(());
        };
        for (address, account) in before {
            if account != self.model.accounts[&address] {
                self.account_changed(address, &account, &[]);
            }
        }
        for tx in taken {
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
    for _ in 0..256 {
        let (ops, count, bytes) = strategy.new_tree(&mut runner).unwrap().current();
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
        "Floor",
        "Full",
        "Known",
        "NoRoomToWait",
        "NonceTooHigh",
        "NonceTooLow",
        "Taken",
        "Underpriced",
    ];
    for answer in answers {
        assert!(refusals.get(answer) >= Some(&10), "{answer}: {refusals:?}");
    }
    assert!(refusals.contains_key("Displaces"), "{refusals:?}");
    for reason in ["Evicted", "Expired", "Mined", "NonceUsed", "Replaced"] {
        assert!(reasons.get(reason) >= Some(&10), "{reason}: {reasons:?}");
    }
}

/// The name of a variant.
fn kind(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    let end = text.find(|sign: char| !sign.is_alphanumeric());
    text[..end.unwrap_or(text.len())].to_owned()
}
