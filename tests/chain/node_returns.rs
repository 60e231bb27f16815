//! What a reorg undoes goes back into a full pool: all of it first, and room is made once.

use chain::{
    BlockHash, CheckedTransaction, Event, Input, Peer, Ticket, TxHash,
    pool::{PoolLimits, Reason},
};

use crate::support::{
    builder::{Builder, GWEI, LGN, Wallet, hash, regtest, transfer},
    shell::Shell,
};

/// Two senders and a node whose pool holds four transactions.
#[derive(Clone)]
struct World {
    rich: Wallet,
    poor: Wallet,
    builder: Builder,
    shell: Shell,
    limits: PoolLimits,
    /// The blocks that a reorg is to undo.
    mined: Vec<BlockHash>,
}

impl World {
    fn new() -> Self {
        let (rich, poor) = (Wallet::new(1), Wallet::new(2));
        let builder = Builder::new(regtest(&[&rich, &poor]));
        let mut world = Self {
            shell: Shell::new(&builder.spec),
            limits: PoolLimits {
                count: 4,
                bytes: 1 << 20,
            },
            rich,
            poor,
            builder,
            mined: Vec::new(),
        };
        world.shell.node.set_pool_limits(world.limits);
        world
    }

    fn mine(&mut self, transactions: &[CheckedTransaction]) {
        let parent = self.shell.head();
        let block = self.builder.mine_with(parent, transactions);
        self.shell.own(&block);
        self.mined.push(hash(&block));
    }

    /// What one sender has in two blocks, and what follows on that in the pool.
    fn mined_and_waiting(&mut self) -> Vec<CheckedTransaction> {
        let rich: Vec<_> = (0..4).map(|nonce| paying(&self.rich, nonce, 9)).collect();
        self.mine(&rich[..1]);
        self.mine(&rich[1..2]);
        rich[2..].iter().for_each(|one| self.submit(one));
        rich
    }

    /// What pays less than that.
    fn cheap(&self) -> [CheckedTransaction; 2] {
        [0, 1].map(|nonce| paying(&self.poor, nonce, 1))
    }

    fn submit(&mut self, transaction: &CheckedTransaction) {
        let (ticket, transaction) = (Ticket(1), transaction.clone());
        self.shell.input(Input::Submitted {
            ticket,
            transaction,
        });
    }

    /// The same after a restart, with so much room in the pool.
    fn again(&self, limits: PoolLimits) -> Self {
        let mut again = Self {
            shell: self.shell.restarted(),
            limits,
            ..self.clone()
        };
        again.shell.node.set_pool_limits(limits);
        // What the journal gave back.
        again.shell.out.events.clear();
        again
    }

    /// A better branch from genesis, with these in its first block. The undone blocks that the node
    /// asks of its store stay pending.
    fn reorg(&mut self, transactions: &[CheckedTransaction]) {
        let first = self.builder.mine_with(self.builder.genesis, transactions);
        let mut blocks = vec![first];
        blocks.extend(self.builder.chain(hash(&blocks[0]), self.mined.len()));
        for block in blocks.clone() {
            let from = Some(Peer(1));
            self.shell.step(Input::Block { from, block });
        }
        let mut loaded = Vec::new();
        while let Some(next) = self.shell.pending.pop_front() {
            match &next {
                Input::Block { block, .. } if self.mined.contains(&hash(block)) => {
                    loaded.push(next);
                }
                _ => drop(self.shell.step(next)),
            }
        }
        assert_eq!(self.shell.head(), hash(blocks.last().unwrap()));
        self.shell.pending.extend(loaded);
    }

    fn held(&self) -> Vec<TxHash> {
        let pool = self.shell.node.pool();
        let page = pool.page(None, 99);
        page.map(|entry| entry.transaction.hash()).collect()
    }

    fn assert_holds(&self, wanted: &[CheckedTransaction]) {
        let mut wanted: Vec<_> = wanted.iter().map(CheckedTransaction::hash).collect();
        wanted.sort();
        assert_eq!(self.held(), wanted);
        assert_eq!(self.shell.node.pool().pending(), wanted.len());
    }

    fn returned(&self) -> Vec<TxHash> {
        let events = self.shell.out.events.iter();
        let returned = events.filter_map(|event| match event {
            Event::Returned { transactions } => Some(transactions.to_vec()),
            _ => None,
        });
        returned.flatten().collect()
    }
}

/// A payment whose priority fee is a tenth of a gwei, so many times.
fn paying(wallet: &Wallet, nonce: u64, tenths: u128) -> CheckedTransaction {
    let mut tx = transfer(nonce, Wallet::new(9).address, LGN);
    tx.max_priority_fee_per_gas = GWEI * tenths / 10;
    tx.max_fee_per_gas = 9 * GWEI;
    wallet.sign(tx)
}

fn hashes(transactions: &[CheckedTransaction]) -> Vec<TxHash> {
    transactions.iter().map(CheckedTransaction::hash).collect()
}

/// M5: while its first transactions are on their way back, a sender's later ones cannot be mined; a
/// full pool keeps them all the same if they pay more than others.
#[test]
fn m5_followers_of_undone_transactions_stay_in_a_full_pool() {
    let mut world = World::new();
    let rich = world.mined_and_waiting();
    let poor = world.cheap();
    poor.iter()
        .for_each(|transaction| world.submit(transaction));
    assert_eq!(world.held().len(), 4, "the pool is full");
    world.reorg(&[]);
    world.assert_holds(&rich);
    assert_eq!(world.returned(), hashes(&rich[..2]));
    let pool = world.shell.node.pool();
    for transaction in &poor {
        let reason = &pool.departure(&transaction.hash()).unwrap().reason;
        assert!(matches!(reason, Reason::Evicted { .. }), "{reason}");
    }
}

/// M5: the same where the blocks come from the store, in whatever order that gives them.
#[test]
fn m5_followers_stay_while_undone_blocks_are_loaded() {
    for is_reversed in [false, true] {
        let mut world = World::new();
        let rich = world.mined_and_waiting();
        let poor = world.cheap();
        poor.iter()
            .for_each(|transaction| world.submit(transaction));
        world = world.again(world.limits);
        world.reorg(&[]);
        assert_eq!(world.shell.pending.len(), 2, "two blocks are loaded");
        if is_reversed {
            world.shell.pending.make_contiguous().reverse();
        }
        world.shell.settle();
        world.assert_holds(&rich);
        assert_eq!(world.returned(), hashes(&rich[..2]), "the oldest first");
    }
}

/// M5: nothing has to go if the new branch takes out as many as come back.
#[test]
fn m5_a_branch_that_makes_room_itself() {
    for restart in [false, true] {
        let mut world = World::new();
        let rich = world.mined_and_waiting();
        let poor = world.cheap();
        poor.iter()
            .for_each(|transaction| world.submit(transaction));
        if restart {
            world = world.again(world.limits);
        }
        world.reorg(&poor);
        world.shell.settle();
        world.assert_holds(&rich);
        let pool = world.shell.node.pool();
        let mut left = pool.departures();
        assert!(left.all(|departure| departure.reason.code() == "mined"));
    }
}

/// M3, M5: what comes back and pays least goes again at once: nobody is told that it returned, and
/// its user is told why not, also after a restart.
#[test]
fn m5_what_comes_back_and_pays_least_goes_again() {
    let mut world = World::new();
    let poor = world.cheap();
    world.mine(&poor);
    let rich: Vec<_> = (0..4).map(|nonce| paying(&world.rich, nonce, 9)).collect();
    rich.iter()
        .for_each(|transaction| world.submit(transaction));
    world.shell.out.transactions.clear();
    world.reorg(&[]);
    world.shell.settle();
    world.assert_holds(&rich);
    assert_eq!(world.returned(), []);
    assert_eq!(world.shell.out.transactions, []);
    world = world.again(world.limits);
    for transaction in &poor {
        let pool = world.shell.node.pool();
        let reason = pool.departure(&transaction.hash()).unwrap().reason.clone();
        assert_eq!(reason.code(), "evicted");
    }
}

/// R1, M5: of a reorg that undoes more than the pool holds, what has been loaded does not wait for the
/// rest.
#[test]
fn r1_what_waits_for_the_rest_is_bounded() {
    let (count, bytes) = (2, 1 << 20);
    let mut world = World::new();
    let rich: Vec<_> = (0..4).map(|nonce| paying(&world.rich, nonce, 9)).collect();
    rich.chunks(1).for_each(|one| world.mine(one));
    let size = rich[0].bytes().len();
    for limits in [(count, bytes), (9, 2 * size + 1)] {
        let (count, bytes) = limits;
        let mut world = world.again(PoolLimits { count, bytes });
        world.reorg(&[]);
        for waiting in [4, 3, 2] {
            assert_eq!(world.shell.pending.len(), waiting);
            assert_eq!(world.returned(), []);
            let next = world.shell.pending.pop_front().unwrap();
            world.shell.step(next);
        }
        world.assert_holds(&rich[..2]);
        assert_eq!(world.returned(), hashes(&rich[..2]));
        world.shell.settle();
        world.assert_holds(&rich[..2]);
    }
}

/// M5: what waits for other blocks to be loaded stays away from the pool if the best chain comes back
/// to its block meanwhile.
#[test]
fn m5_a_branch_that_comes_back_has_its_transactions() {
    let mut world = World::new();
    let rich = world.mined_and_waiting();
    world = world.again(world.limits);
    world.reorg(&[]);
    let second = world.shell.pending.pop_back().unwrap();
    world.shell.settle();
    assert_eq!(world.returned(), [], "the first waits for the second");
    let mined = world.mined.clone();
    for block in world.builder.chain(mined[1], 2) {
        world.shell.gossip(1, &block);
    }
    world.shell.input(second);
    world.assert_holds(&rich[2..]);
    assert_eq!(world.returned(), []);
    assert_eq!(world.shell.node.pool().departures().count(), 0);
}
