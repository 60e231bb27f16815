//! Accounts, on the chain and in the pool.

use chain::{Address, U256, pool::Class};
use serde::Serialize;

use super::{HeadJson, display_lgn, hex, pool::class_name};
use crate::View;

/// An account on the chain and in the pool.
#[derive(Debug, Serialize)]
pub struct AccountJson {
    address: String,
    head: HeadJson,
    chain: AccountInChainJson,
    pool: AccountInPoolJson,
}

#[derive(Debug, Serialize)]
struct AccountInChainJson {
    nonce: u64,
    balance: String,
    display: String,
    code_hash: Option<String>,
}

#[derive(Debug, Serialize)]
struct AccountInPoolJson {
    /// What the next transaction should carry.
    nonce_next: u64,
    /// Those that could be mined, but for the base fee.
    pending: usize,
    /// Those that wait for a nonce before theirs, or for money.
    queued: usize,
    /// The most that all of them can take, in wei.
    pending_cost: String,
    /// All of them by rising nonce: the pool keeps no more than 64 of a sender.
    transactions: Vec<WaitingTransactionJson>,
}

#[derive(Debug, Serialize)]
struct WaitingTransactionJson {
    hash: String,
    nonce: u64,
    /// pending or queued.
    class: &'static str,
}

impl AccountJson {
    /// An account at a view's head.
    pub fn new(view: &View, address: Address) -> Self {
        let account = view.state.account(&address).unwrap_or_default();
        Self {
            address: address.to_string(),
            head: HeadJson::new(view),
            chain: AccountInChainJson {
                nonce: account.nonce,
                balance: account.balance.to_string(),
                display: display_lgn(U256::from(account.balance)),
                code_hash: account.code_hash.map(|hash| hex(&hash)),
            },
            pool: AccountInPoolJson::new(view, &address, account.nonce),
        }
    }
}

impl AccountInPoolJson {
    fn new(view: &View, address: &Address, head_nonce: u64) -> Self {
        let entries = view.pool.entries_of(address);
        let costs = entries.iter().map(|entry| entry.transaction.cost_max());
        let cost = costs.fold(U256::ZERO, |sum, cost| {
            sum.saturating_add(cost.unwrap_or(U256::MAX))
        });
        let count = |class| entries.iter().filter(|entry| entry.class == class).count();
        let transactions = entries.iter().map(|entry| WaitingTransactionJson {
            hash: entry.transaction.hash().to_string(),
            nonce: entry.transaction.nonce(),
            class: class_name(entry.class),
        });
        Self {
            nonce_next: view.pool.nonce_next(address, head_nonce),
            pending: count(Class::Pending),
            queued: count(Class::Queued),
            pending_cost: cost.to_string(),
            transactions: transactions.collect(),
        }
    }
}
