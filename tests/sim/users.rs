//! Honest users: they send, replace and cancel through a node of theirs, and remember what it
//! promised.

use alloy_primitives::U256;
use chain::{CheckedTransaction, Input, PoolError, Ticket, TxHash};

use super::{
    promise::Promise,
    support::builder::{GWEI, Wallet, transfer},
    tally::Fault,
    wire::Topic,
    world::{Event, World},
};

/// Tickets of users lie above those of peers.
const USER_TICKETS: u64 = 1 << 40;

/// Somebody with a wallet.
pub struct User {
    pub wallet: Wallet,
    pub home: usize,
}

/// A submission that waits for its answer.
pub struct Ask {
    life: u64,
    transaction: CheckedTransaction,
}

impl World {
    pub fn user_acts(&mut self, at: usize) {
        let pause = self.rng.exponential(self.plan.user_pause_ms).max(50);
        self.after(pause, Event::User(at));
        let home = self.users[at].home;
        let asleep = self.hosts[home].asleep_until_ms > self.now_ms;
        if !self.is_up(home) || asleep {
            return;
        }
        let address = self.users[at].wallet.address;
        let node = self.hosts[home].node();
        let pool = node.pool();
        let account = node.head_state().get(&address);
        let nonce = pool.nonce_next(&address, account.map_or(0, |account| account.nonce));
        let old = pool.of(&address).last().cloned();
        let tip = u128::from(self.rng.range(1, 20)) * GWEI;
        let mut next = transfer(
            nonce,
            self.someone(),
            1_000 + u128::from(self.rng.below(1_000)),
        );
        next.max_priority_fee_per_gas = tip;
        next.max_fee_per_gas = 30 * GWEI + tip;
        match (self.rng.below(10), old) {
            // A replacement, and a cancellation: the same nonce for a better price.
            (0..=1, Some(old)) => {
                next.nonce = old.nonce();
                next.max_fee_per_gas = old.max_fee() * 112 / 100 + 1;
                next.max_priority_fee_per_gas = old.priority_fee() * 112 / 100 + 1;
                if self.rng.chance(500) {
                    (next.to, next.value) = (address.into(), U256::ZERO);
                }
            }
            // Out of order: the one before it comes later.
            (2, _) => next.nonce += 1,
            _ => {}
        }
        let bytes = self.users[at].wallet.sign_bytes(next);
        let spec = &self.model.spec;
        let transaction = self
            .wire
            .transaction(&bytes, spec)
            .expect("a user signs well");
        self.next_request += 1;
        let ticket = Ticket(USER_TICKETS + self.next_request);
        let life = self.hosts[home].life;
        let ask = Ask {
            life,
            transaction: transaction.clone(),
        };
        self.asks.insert(ticket.0, ask);
        self.input(
            home,
            Input::Submitted {
                ticket,
                transaction,
            },
        );
    }

    fn someone(&mut self) -> chain::Address {
        let at = self.rng.index(self.users.len());
        self.users[at].wallet.address
    }

    /// A node has answered a user. What it took it has written down before it said so.
    pub fn replied(&mut self, host: usize, ticket: Ticket, result: &Result<TxHash, PoolError>) {
        use chain::{Reader, Store};
        let ask = self
            .asks
            .remove(&ticket.0)
            .expect("an answer to a question");
        assert_eq!(ask.life, self.hosts[host].life);
        let Ok(hash) = result else { return };
        assert_eq!(*hash, ask.transaction.hash());
        let host = &mut self.hosts[host];
        let db = host.store.snapshot().unwrap();
        let is_safe = db
            .pooled()
            .unwrap()
            .iter()
            .any(|bytes| bytes == ask.transaction.bytes());
        let is_mined = db.transaction(hash).unwrap().is_some();
        let is_gone = host.node().pool().get(hash).is_none();
        assert!(
            is_safe || is_mined || is_gone,
            "promised, and not in the journal"
        );
        let transaction = ask.transaction;
        host.promises.insert(*hash, Promise { transaction });
    }

    /// A hostile sender's transactions: two of the same nonce for different nodes, or garbage.
    pub fn bad_transactions(&mut self, hostile: usize) {
        let links = self.links_of(self.actor(hostile));
        if links.is_empty() {
            return;
        }
        let wallet = self.plan.thief.clone();
        let state = self.model.state(self.model.best);
        let nonce = state
            .get(&wallet.address)
            .map_or(0, |account| account.nonce);
        if self.rng.chance(700) {
            for _ in 0..self.rng.range(2, 4) {
                let mut spend = transfer(nonce, self.someone(), 1);
                spend.max_priority_fee_per_gas = u128::from(self.rng.range(1, 5)) * GWEI;
                let bytes = wallet.sign_bytes(spend);
                let link = *self.rng.pick(&links);
                self.throw(hostile, link, Topic::Transactions, &bytes);
                self.tally.fault(Fault::Conflict);
            }
            return;
        }
        let mut bytes = wallet.sign_bytes(transfer(nonce, wallet.address, 1));
        let place = self.rng.index(bytes.len());
        bytes[place] ^= 1 << self.rng.below(8);
        let link = *self.rng.pick(&links);
        self.throw(hostile, link, Topic::Transactions, &bytes);
        self.tally.fault(Fault::BadTransaction);
    }
}
