//! Accounts, on the chain and in the pool.

use chain::{Address, U256};
use serde::Serialize;

use super::{HeadJson, display_lgn, hex};
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
    pending: usize,
    /// The most that the waiting ones can take, in wei.
    pending_cost: String,
}

impl AccountJson {
    /// An account at a view's head.
    pub fn new(view: &View, address: Address) -> Self {
        let account = view.state.account(&address).unwrap_or_default();
        let costs = view
            .pool
            .of(&address)
            .map(|tx| tx.cost_max().unwrap_or(U256::MAX));
        let (pending, cost) = costs.fold((0, U256::ZERO), |(count, sum), cost| {
            (count + 1, sum.saturating_add(cost))
        });
        Self {
            address: address.to_string(),
            head: HeadJson::new(view),
            chain: AccountInChainJson {
                nonce: account.nonce,
                balance: account.balance.to_string(),
                display: display_lgn(U256::from(account.balance)),
                code_hash: account.code_hash.map(|hash| hex(&hash)),
            },
            pool: AccountInPoolJson {
                nonce_next: view.pool.nonce_next(&address, account.nonce),
                pending,
                pending_cost: cost.to_string(),
            },
        }
    }
}
