//! Accounts, on the chain and in the pool.

use chain::{Account, Address, BlockId, U256, pool::Class};
use serde::Serialize;
use utoipa::ToSchema;

use super::{BlockIdJson, HeadJson, display_lgn, hex, pool::class_name};
use crate::View;

/// An account on the chain and in the pool.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccountJson {
    address: String,
    head: HeadJson,
    chain: AccountInChainJson,
    /// Absent where a block of the past was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<AccountInPoolJson>,
    /// The block of the past that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<BlockIdJson>,
}

/// Several accounts at one head.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccountsJson {
    /// In the order asked for.
    pub accounts: Vec<AccountJson>,
    /// The head.
    pub head: HeadJson,
}

/// A page of the accounts with most.
#[derive(Debug, Serialize, ToSchema)]
pub struct TopAccountsJson {
    /// By falling balance, then by address.
    pub accounts: Vec<TopAccountJson>,
    /// Accounts passed over by the next page; absent after the last.
    pub next_cursor: Option<usize>,
    /// Accounts that exist.
    pub count: u64,
    /// Unix seconds of the head that this was read at.
    pub time: u32,
    /// The head that this was read at. Where accounts are many it may be some blocks old.
    pub head: HeadJson,
}

/// One of the accounts with most.
#[derive(Debug, Serialize, ToSchema)]
pub struct TopAccountJson {
    /// From 1.
    rank: usize,
    address: String,
    balance: String,
    display: String,
}

impl TopAccountJson {
    /// An account of that rank.
    pub fn new(rank: usize, address: &Address, balance: u128) -> Self {
        Self {
            rank,
            address: address.to_string(),
            balance: balance.to_string(),
            display: display_lgn(U256::from(balance)),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct AccountInChainJson {
    nonce: u64,
    balance: String,
    display: String,
    code_hash: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
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

#[derive(Debug, Serialize, ToSchema)]
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
            pool: Some(AccountInPoolJson::new(view, &address, account.nonce)),
            chain: account.into(),
            at: None,
        }
    }

    /// An account as it was after a block below the head.
    pub fn past(view: &View, address: Address, account: Account, at: &BlockId) -> Self {
        Self {
            address: address.to_string(),
            head: HeadJson::new(view),
            chain: account.into(),
            pool: None,
            at: Some(at.into()),
        }
    }
}

impl From<Account> for AccountInChainJson {
    fn from(account: Account) -> Self {
        Self {
            nonce: account.nonce,
            balance: account.balance.to_string(),
            display: display_lgn(U256::from(account.balance)),
            code_hash: account.code_hash.map(|hash| hex(&hash)),
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
