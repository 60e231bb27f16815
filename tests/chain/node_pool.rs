//! The pool in its node: verdicts, replies, and what blocks do to it.

use std::collections::BTreeSet;

use chain::{
    Address, Batch, BlockHash, CheckedBlock, CheckedTransaction, Execution, Input, MemoryStore,
    Peer, PoolError, Reader, Store, Ticket, TxHash, Verdict,
    pool::Reason,
    template::{self, TemplateOptions},
};
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_oneof, proptest},
};

use crate::{
    codec::config,
    support::{
        builder::{Builder, GWEI, LGN, Wallet, hash, mined, regtest, transfer},
        ledger::Ledger,
        shell::Shell,
    },
};

/// What a node says to users and to gossip, and M7: what the pool offers makes a valid block.
#[test]
fn m7_pool_of_a_node() {
    let (one, two) = (Wallet::new(1), Wallet::new(2));
    let mut builder = Builder::new(regtest(&[&one, &two]));
    let mut shell = Shell::new(&builder.spec);
    shell.connect(1);
    let gossip = |shell: &mut Shell, tx: &CheckedTransaction| {
        let (from, transactions) = (Peer(1), vec![tx.clone()]);
        shell.input(Input::Transactions { from, transactions })
    };
    let first = one.pay(0, two.address, LGN);
    assert_eq!(gossip(&mut shell, &first), Verdict::Accept);
    assert_eq!(gossip(&mut shell, &first), Verdict::Ignore);
    let poor = Wallet::new(3).pay(0, two.address, LGN);
    assert_eq!(
        gossip(&mut shell, &poor),
        Verdict::Ignore,
        "heads differ: nobody's fault"
    );
    assert_eq!(shell.out.disconnected, []);
    for (ticket, nonce) in [(1, 1), (2, 0)] {
        let (ticket, transaction) = (Ticket(ticket), one.pay(nonce, two.address, LGN));
        shell.input(Input::Submitted {
            ticket,
            transaction,
        });
    }
    let second = one.pay(1, two.address, LGN);
    let known = PoolError::Known(first.hash());
    assert_eq!(
        shell.out.replies,
        [(Ticket(1), Ok(second.hash())), (Ticket(2), Err(known))]
    );
    assert_eq!(
        shell.out.transactions,
        std::slice::from_ref(&second),
        "what is taken is announced"
    );
    let candidates = shell.node.pool().candidates(GWEI as u64, 100);
    assert_eq!(candidates, [first, second.clone()]);
    let block = builder.mine_with(shell.head(), &candidates);
    shell.own(&block);
    assert_eq!(shell.head(), hash(&block));
    assert!(shell.node.pool().is_empty(), "mined ones leave");
    // A block that empties an account leaves what it had waiting in the queue.
    let waiting = two.pay(0, one.address, 600 * LGN);
    assert_eq!(gossip(&mut shell, &waiting), Verdict::Accept);
    let spent = two.pay(0, one.address, 900 * LGN);
    let third = two.pay(1, one.address, 200 * LGN);
    assert_eq!(gossip(&mut shell, &third), Verdict::Accept);
    let block = builder.mine_with(shell.head(), &[spent]);
    shell.own(&block);
    assert_eq!(shell.head(), hash(&block));
    let pool = shell.node.pool();
    assert_eq!(
        (pool.len(), pool.pending()),
        (1, 0),
        "one has become too dear"
    );
    assert_eq!(pool.candidates(1, 9), []);
    let reason = |tx: &CheckedTransaction| pool.departure(&tx.hash()).unwrap().reason.clone();
    let (want, got) = (1, 0);
    assert_eq!(reason(&waiting), Reason::NonceUsed { want, got });
    assert_eq!(reason(&second).code(), "mined");
}

fn submit(shell: &mut Shell, transaction: &CheckedTransaction) {
    let (ticket, transaction) = (Ticket(1), transaction.clone());
    shell.input(Input::Submitted {
        ticket,
        transaction,
    });
}

fn tell(shell: &mut Shell, transaction: &CheckedTransaction) {
    let (from, transactions) = (Peer(1), vec![transaction.clone()]);
    shell.input(Input::Transactions { from, transactions });
}

/// What a user was told is taken survives a restart until it is mined, and no longer; a reorg makes
/// it survive again.
#[test]
fn the_journal_of_the_pool() {
    let (one, two) = (Wallet::new(1), Wallet::new(2));
    let mut builder = Builder::new(regtest(&[&one, &two]));
    let mut shell = Shell::new(&builder.spec);
    let [a, b, c] = [0, 1, 2].map(|nonce| one.pay(nonce, two.address, LGN));
    let (d, e) = (two.pay(0, one.address, LGN), two.pay(1, one.address, LGN));
    for tx in [&a, &b, &c] {
        submit(&mut shell, tx);
    }
    for tx in [&d, &e] {
        tell(&mut shell, tx);
    }
    // A user sends again what a peer has sent: it is known, and is kept from now on.
    submit(&mut shell, &d);
    assert_eq!(shell.out.replies[3].1, Err(PoolError::Known(d.hash())));
    let held = |shell: &Shell| -> BTreeSet<TxHash> {
        let pool = shell.node.pool();
        pool.page(None, 99)
            .map(|entry| entry.transaction.hash())
            .collect()
    };
    let hashes = |list: &[&CheckedTransaction]| list.iter().map(|tx| tx.hash()).collect();
    let mut shell = shell.restarted();
    assert_eq!(held(&shell), hashes(&[&a, &b, &c, &d]));
    assert_eq!(shell.node.pool().pending(), 4);
    let block = builder.mine_with(builder.genesis, &[a.clone(), b.clone(), d.clone()]);
    shell.own(&block);
    let mut shell = shell.restarted();
    assert_eq!(held(&shell), hashes(&[&c]));
    // Another branch uses one nonce otherwise; what it did not mine is kept again.
    let other = one.pay(0, two.address, 7 * LGN);
    let rival = builder.mine_with(builder.genesis, std::slice::from_ref(&other));
    let best = builder.mine(hash(&rival));
    shell.out.transactions.clear();
    shell.own(&rival);
    shell.own(&best);
    assert_eq!(shell.head(), hash(&best));
    assert_eq!(held(&shell), hashes(&[&b, &c, &d]));
    let announced = shell.out.transactions.iter().collect::<Vec<_>>();
    assert_eq!(
        hashes(&announced),
        hashes(&[&b, &d]),
        "others may not have heard of them"
    );
    let gone = shell
        .node
        .pool()
        .departure(&a.hash())
        .unwrap()
        .reason
        .clone();
    let (want, got) = (1, 0);
    assert_eq!(
        gone,
        Reason::NotTakenBack(PoolError::NonceTooLow { want, got })
    );
    let shell = shell.restarted();
    assert_eq!(held(&shell), hashes(&[&b, &c, &d]));
    // What the store still has and the pool refuses is struck off.
    let mut shell = shell.restarted();
    shell.input(Input::Journal {
        transactions: vec![other.clone()],
        departed: Vec::new(),
    });
    assert_eq!(held(&shell), hashes(&[&b, &c, &d]));
    let gone = shell.node.pool().departure(&other.hash()).cloned();
    assert_eq!(gone.unwrap().reason.code(), "not_taken_back");
}

/// Several steps committed as one: the last word on a transaction holds.
#[test]
fn the_journal_in_merged_batches() {
    let tx = Wallet::new(1).pay(0, Address::ZERO, 1);
    let word = |is_kept: bool| Batch {
        pooled: [(tx.hash(), is_kept.then(|| tx.clone()))].into(),
        ..Batch::default()
    };
    for words in [[true, false], [false, true]] {
        let (mut single, mut merged) = (MemoryStore::default(), Batch::default());
        for is_kept in words {
            single.commit(&word(is_kept)).unwrap();
            merged.append(word(is_kept));
        }
        let mut whole = MemoryStore::default();
        whole.commit(&merged).unwrap();
        let held = |store: &MemoryStore| store.snapshot().unwrap().pooled().unwrap().len();
        assert_eq!([held(&single), held(&whole)], [usize::from(words[1]); 2]);
    }
}

/// What can happen to a node.
#[derive(Clone, Copy, Debug)]
enum Op {
    Pay {
        who: usize,
        ahead: u64,
        tip: u128,
        lgn: u128,
        is_ours: bool,
    },
    Mine,
    /// A branch from below takes over, with some of the transactions in it or without any.
    Fork {
        has_some: bool,
    },
    Restart,
    Pass {
        hours: u64,
    },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let fees = (
        0_u128..5,
        prop_oneof![9 => 0_u128..300, 1 => 900_u128..1_100],
    );
    let pay = (0_usize..3, 0_u64..4, fees, any::<bool>());
    let pay = pay.prop_map(|(who, ahead, (tip, lgn), is_ours)| Op::Pay {
        who,
        ahead,
        tip,
        lgn,
        is_ours,
    });
    let fork = any::<bool>().prop_map(|has_some| Op::Fork { has_some });
    let pass = (0_u64..5).prop_map(|hours| Op::Pass { hours });
    vec(
        prop_oneof![16 => pay, 4 => Just(Op::Mine), 2 => fork, 1 => Just(Op::Restart), 1 => pass],
        1..50,
    )
}

/// A node, its miner, and everything that was ever sent to it.
struct World {
    wallets: [Wallet; 3],
    builder: Builder,
    shell: Shell,
    /// The latest block of the best chain that the builder knows.
    base: (u64, BlockHash),
    sent: Vec<CheckedTransaction>,
}

impl World {
    fn new() -> Self {
        let wallets = [1, 2, 3].map(Wallet::new);
        let builder = Builder::new(regtest(&[&wallets[0], &wallets[1], &wallets[2]]));
        Self {
            shell: Shell::new(&builder.spec),
            base: (0, builder.genesis),
            wallets,
            builder,
            sent: Vec::new(),
        }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Pay {
                who,
                ahead,
                tip,
                lgn,
                is_ours,
            } => {
                let wallet = &self.wallets[who];
                let account = self.shell.node.head_state().get(&wallet.address);
                let nonce = account.map_or(0, |account| account.nonce) + ahead;
                let to = self.wallets[(who + 1) % 3].address;
                let mut tx = transfer(nonce, to, lgn * LGN);
                tx.max_priority_fee_per_gas = GWEI * (100 + 6 * tip) / 100;
                tx.max_fee_per_gas = 2 * tx.max_priority_fee_per_gas;
                let transaction = wallet.sign(tx);
                self.sent.push(transaction.clone());
                let (ticket, from) = (Ticket(0), Peer(1));
                self.shell.input(match is_ours {
                    true => Input::Submitted {
                        ticket,
                        transaction,
                    },
                    false => Input::Transactions {
                        from,
                        transactions: vec![transaction],
                    },
                });
            }
            Op::Mine => {
                let block = self.template();
                self.shell.own(&block);
                assert_eq!(self.shell.head(), hash(&block));
            }
            Op::Fork { has_some } => self.fork(has_some),
            Op::Restart => {
                let pool = self.shell.node.pool();
                let durable = pool.page(None, 99).filter(|entry| entry.is_durable);
                let before: Vec<_> = durable.map(|entry| entry.transaction.clone()).collect();
                self.shell = self.shell.restarted();
                let pool = self.shell.node.pool();
                assert_eq!(pool.len(), before.len(), "what was promised is here");
                assert!(before.iter().all(|tx| pool.get(&tx.hash()) == Some(tx)));
            }
            Op::Pass { hours } => self.shell.pass(hours * 3_600),
        }
    }

    /// M7: a template of whatever the pool offers is a valid block; and so it says itself.
    fn template(&self) -> CheckedBlock {
        let node = &self.shell.node;
        let (spec, parent, ledger) = (node.spec(), node.template_parent(), Ledger::fresh());
        let base_fee = chain::rules::next_base_fee(spec, &parent.numbers);
        let candidates = node.pool().candidates(base_fee, 1_000);
        let (beneficiary, extra_data) = (Address::repeat_byte(9), [0; 32]);
        let options = TemplateOptions {
            beneficiary,
            extra_data,
            now_unix_secs: u64::from(parent.numbers.time) + 1,
        };
        let (state, none) = (node.head_state(), |_| None);
        let block = template::build(spec, &ledger, &parent, state, &candidates, &none, &options);
        let mut block = block.unwrap();
        assert_eq!(
            block.body.0.len(),
            candidates.len(),
            "what is pending can be mined"
        );
        block.header = mined(block.header);
        let checked = CheckedBlock::check(block, spec).unwrap();
        let header = checked.header().header();
        let env = template::env(spec, header, &none);
        let executed = ledger.execute(state, &env, checked.transactions()).unwrap();
        assert_eq!(executed.state_root, header.extension.state_root);
        checked
    }

    fn fork(&mut self, has_some: bool) {
        let (height, base) = self.base;
        let mut best = Vec::new();
        if has_some {
            let header = self.builder.header(&base).clone();
            let parent = chain::rules::Parent::new(&header, base);
            let skip = BlockHash::default();
            let child = chain::rules::child(&self.builder.spec, &parent, skip, parent.time + 1);
            let env = template::env(&self.builder.spec, child.as_ref().unwrap(), &|_| None);
            let state = self.builder.state(&base);
            let (_, taken) = Ledger::fresh().select(state, &env, &self.sent, 1 << 20);
            best = taken
                .into_iter()
                .map(|index| self.sent[index].clone())
                .collect();
        }
        let first = self.builder.mine_with(base, &best);
        let longer = self.shell.node.head().height - height;
        let mut blocks = vec![first];
        blocks.extend(self.builder.chain(hash(&blocks[0]), longer as usize));
        for block in &blocks {
            self.shell.gossip(2, block);
        }
        let last = blocks.last().unwrap();
        assert_eq!(self.shell.head(), hash(last));
        self.base = (last.id().height, hash(last));
    }
}

proptest! {
    #![proptest_config(config(150))]

    /// M5, M7: after any run of events every template is a valid block, of all that is pending, and
    /// whoever asks is told why a transaction waits or where it went.
    #[test]
    fn m7_templates_are_valid(ops in ops()) {
        let mut world = World::new();
        for op in ops {
            let is_restart = matches!(op, Op::Restart);
            world.apply(op);
            world.template();
            if is_restart {
                world.sent.clear();
            }
            let (pool, db) = (world.shell.node.pool(), world.shell.store.snapshot().unwrap());
            for entry in pool.page(None, usize::MAX) {
                let hash = entry.transaction.hash();
                assert!(db.transaction(&hash).unwrap().is_none(), "mined ones have left");
                assert!(pool.why_waiting(&hash, 1).is_some());
            }
        }
    }
}
