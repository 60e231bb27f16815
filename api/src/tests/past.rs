//! Accounts after any block, against a record that was kept of every account while the chain grew;
//! also where the head moves to another branch in the middle of an answer.

use std::{collections::BTreeMap, sync::Arc, thread};

use chain::{
    Account, Address, Batch, BlockId, Body, ChangeSet, Header, MemoryStore, Node, Store,
    execution::AccountChange, params::STATE_WINDOW, store::ExecutedBlock,
};
use state::{Evm, StateBuilder};

use super::{
    RICH, Server,
    readers::{Gate, Guarded},
    regtest, take, view,
};
use crate::View;

/// Accounts that blocks change here, by their repeated byte.
const ACCOUNTS: u8 = 5;
/// The one that block 120 changes for the last time, so that the head's state tells it afterwards.
const SELDOM: u8 = 4;
/// The last block that both branches have.
const FORK: u64 = 50;

/// What every account has; absent ones are not there.
type Balances = BTreeMap<u8, u128>;

/// A chain with what accounts had after each of its blocks.
#[derive(Clone)]
struct Recorded {
    headers: Vec<Header>,
    balances: Vec<Balances>,
}

fn address(number: u8) -> Address {
    Address::repeat_byte(number)
}

fn account(balance: Option<&u128>) -> Option<Account> {
    balance.map(|balance| Account {
        balance: *balance,
        ..Account::default()
    })
}

impl Recorded {
    fn genesis() -> (Self, MemoryStore) {
        let spec = regtest();
        let mut store = MemoryStore::default();
        let (genesis, batch) = Node::genesis(&spec, &Evm::new());
        store.commit(&batch).unwrap();
        let chain = Self {
            headers: vec![genesis.header],
            balances: vec![Balances::new()],
        };
        (chain, store)
    }

    fn head(&self) -> BlockId {
        let header = self.headers.last().unwrap();
        BlockId {
            height: header.extension.height,
            hash: header.hash(),
        }
    }

    /// One more block, which changes some accounts, and removes one now and then.
    fn grow(&mut self, store: &mut MemoryStore, tag: u32) {
        let old = self.balances.last().unwrap().clone();
        let (mut header, mut new) = (self.headers.last().unwrap().clone(), old.clone());
        (header.pow.parent, header.pow.nonce) = (header.hash(), tag);
        header.extension.height += 1;
        let height = header.extension.height;
        // Some accounts change often, one seldom, the last never.
        for number in 1..ACCOUNTS {
            let every = [1, 2, 7, 60][usize::from(number) - 1];
            if height % every != 0 {
                continue;
            }
            match height % (5 * every) {
                0 => drop(new.remove(&number)),
                _ => drop(new.insert(number, u128::from(height) * 1_000 + u128::from(tag))),
            }
        }
        let changed = (1..ACCOUNTS).filter(|number| old.get(number) != new.get(number));
        let changes = changed.map(|number| AccountChange {
            address: address(number).0.0,
            old: account(old.get(&number)),
            new: account(new.get(&number)),
        });
        let changes = ChangeSet {
            accounts: changes.collect(),
            ..ChangeSet::default()
        };
        self.headers.push(header.clone());
        self.balances.push(new);
        let id = self.head();
        let batch = Batch {
            headers: vec![Arc::new(header)],
            bodies: vec![(id, Arc::new(Body(Vec::new())))],
            executed: vec![ExecutedBlock {
                id,
                changes: Arc::new(changes),
                receipts: Arc::default(),
                parties: Arc::default(),
            }],
            ..Batch::default()
        };
        store.commit(&batch).unwrap();
    }

    /// What is seen once this chain is the best one.
    fn view(&self, store: &mut MemoryStore, other: &Self) -> View {
        let above = (1..).zip(&other.headers[1..]);
        let above = above.map(|(height, _)| (height, None));
        let ours = self.headers.iter().map(Header::hash);
        let ours = (0..).zip(ours).map(|(height, hash)| (height, Some(hash)));
        let batch = Batch {
            canonical: above.chain(ours).collect(),
            head: Some(self.head()),
            ..Batch::default()
        };
        store.commit(&batch).unwrap();
        let mut builder = StateBuilder::default();
        for (number, balance) in self.balances.last().unwrap() {
            let account = account(Some(balance)).unwrap();
            builder.account(&address(*number), &account);
        }
        let (mut view, _) = view(&regtest());
        view.head = self.head();
        view.head_header = Arc::new(self.headers.last().unwrap().clone());
        view.state = builder.finish(&state::tree::InTurn);
        view.reader = Arc::new(store.snapshot().unwrap());
        view
    }

    fn balance(&self, number: u8, height: usize) -> String {
        let found = self.balances[height].get(&number);
        found.copied().unwrap_or(0).to_string()
    }
}

/// Two branches of one store, the first longer than the window, and the views of both.
fn branches() -> ([Recorded; 2], [View; 2]) {
    let (mut one, mut store) = Recorded::genesis();
    while one.head().height < FORK {
        one.grow(&mut store, 1);
    }
    let mut two = one.clone();
    while one.head().height < STATE_WINDOW + 40 {
        one.grow(&mut store, 1);
    }
    while two.head().height < STATE_WINDOW + 20 {
        two.grow(&mut store, 2);
    }
    let views = [one.view(&mut store, &two), two.view(&mut store, &one)];
    ([one, two], views)
}

fn path(number: u8, at: &str) -> String {
    format!("/v1/accounts/{}?at={at}", address(number))
}

#[test]
fn every_account_after_every_block_is_as_recorded() {
    let (chains, views) = branches();
    let (_, genesis) = view(&regtest());
    let server = Server::on(views[0].clone(), genesis, take);
    for (chain, view) in chains.iter().zip(views) {
        server.views.send_replace(Arc::new(view));
        for (height, header) in chain.headers.iter().enumerate() {
            for number in 1..=ACCOUNTS {
                let by_hash = height % 3 == 0;
                let at = if by_hash {
                    header.hash().to_string()
                } else {
                    height.to_string()
                };
                let found = server.get(&path(number, &at));
                let want = chain.balance(number, height);
                assert_eq!(found["chain"]["balance"], want, "{number} at {height}");
                assert_eq!(found["at"]["hash"], header.hash().to_string());
                assert_eq!(found["head"]["height"], chain.head().height);
            }
        }
        // Whoever had something from the first block on, and was never touched.
        let rich = server.get(&format!("/v1/accounts/{RICH}?at=0"));
        assert_eq!(
            rich["chain"]["balance"], "0",
            "the head's state has no such account here"
        );
    }
    let lost = chains[0].headers[120].hash().to_string();
    server.refuses("GET", &path(1, &lost), "", 404, "not_in_best_chain");
}

/// The head moves in the middle of an answer, which is of the head that it began with.
#[test]
fn an_answer_ends_at_the_head_that_it_began_at() {
    let (chains, [mut first, second]) = branches();
    let (_, genesis) = view(&regtest());
    let gate = Gate::default();
    Guarded::stand_before(&mut first, &gate, 0);
    let server = Arc::new(Server::on(first, genesis, take));
    let path = path(SELDOM, "130");
    gate.close();
    let asking = thread::spawn({
        let (server, path) = (Arc::clone(&server), path.clone());
        move || server.get(&path)
    });
    gate.await_crowd(1);
    server.views.send_replace(Arc::new(second));
    gate.open();
    for (chain, found) in chains
        .iter()
        .zip([asking.join().unwrap(), server.get(&path)])
    {
        assert_eq!(found["head"]["hash"], chain.head().hash.to_string());
        assert_eq!(found["chain"]["balance"], chain.balance(SELDOM, 130));
        assert_eq!(found["at"]["hash"], chain.headers[130].hash().to_string());
    }
    assert_ne!(
        chains[0].balance(SELDOM, 130),
        chains[1].balance(SELDOM, 130)
    );
}
