//! A toy `Execution`: transfers between balances, rewards, a root that hashes the whole map.
//!
//! Real where the core looks: rules T4 to T7, S2 and change sets. Counts the blocks it executes.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use chain::{
    Account, Address, BlockEnv, ChainSpec, ChangeSet, CheckedTransaction, Executed, Execution,
    Receipt, Root,
    execution::{AccountChange, TransactionFault},
    hash::sha256,
};

/// Every account that exists.
pub type Accounts = Arc<BTreeMap<Address, Account>>;

/// The ledger; clones share the count of executed blocks.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    executions: Arc<AtomicU64>,
    moves: Arc<AtomicU64>,
}

/// A block in the making.
struct Draft<'a> {
    env: &'a BlockEnv<'a>,
    old: &'a BTreeMap<Address, Account>,
    accounts: BTreeMap<Address, Account>,
    receipts: Vec<Receipt>,
    gas_used: u64,
}

impl Ledger {
    /// Blocks executed so far, templates not counted.
    pub fn executions(&self) -> u64 {
        self.executions.load(Ordering::Relaxed)
    }

    /// Change sets applied or reverted so far.
    pub fn moves(&self) -> u64 {
        self.moves.load(Ordering::Relaxed)
    }

    /// A ledger of the same rules with a count of its own.
    pub fn fresh() -> Self {
        Self::default()
    }
}

impl Draft<'_> {
    fn credit(&mut self, address: Address, wei: u128) {
        let account = self.accounts.entry(address).or_default();
        account.balance = account.balance.checked_add(wei).expect("the supply fits");
        if account.is_absent() {
            self.accounts.remove(&address);
        }
    }

    /// Rules T4 to T7 and the transfer; the state is untouched by a refusal.
    fn transfer(&mut self, tx: &CheckedTransaction) -> Result<(), String> {
        let sender = self.accounts.get(&tx.sender()).cloned().unwrap_or_default();
        let gas = tx.gas_min();
        let Some(to) = tx.to() else {
            return Err("the toy ledger creates no contracts".into());
        };
        if sender.code_hash.is_some() || tx.nonce() != sender.nonce || tx.nonce() == u64::MAX {
            return Err(format!(
                "T4: nonce is {}, wanted {}",
                tx.nonce(),
                sender.nonce
            ));
        }
        let tip = tx.effective_tip(self.env.base_fee);
        let tip = tip.ok_or("T5: max fee below the base fee")?;
        if tx.priority_fee() > tx.max_fee() {
            return Err("T5: priority fee above the max fee".into());
        }
        let cost = tx.cost_max().ok_or("T6: the cost overflows")?;
        if cost > alloy_primitives::U256::from(sender.balance) {
            return Err(format!("T6: balance is {}, wanted {cost}", sender.balance));
        }
        let left = self.env.gas_limit - self.gas_used;
        tx.check_limits().map_err(|error| format!("T7: {error}"))?;
        if tx.gas_limit() > left {
            return Err(format!(
                "T7: gas limit is {}, {left} are left",
                tx.gas_limit()
            ));
        }
        let value = u128::try_from(tx.value()).expect("at most the balance");
        let fee = u128::from(gas) * (tip + u128::from(self.env.base_fee));
        let account = self.accounts.entry(tx.sender()).or_default();
        account.nonce += 1;
        account.balance -= value + fee;
        self.credit(to, value);
        self.credit(self.env.beneficiary, u128::from(gas) * tip);
        self.gas_used += gas;
        self.receipts.push(Receipt {
            tx_type: tx.tx_type(),
            success: true,
            cumulative_gas: self.gas_used,
            logs: Vec::new(),
        });
        Ok(())
    }

    /// Rule S2, and what all of it changed.
    fn finish(mut self) -> Executed<Accounts> {
        self.credit(self.env.beneficiary, self.env.spec.reward(self.env.height));
        let addresses: std::collections::BTreeSet<_> =
            self.old.keys().chain(self.accounts.keys()).collect();
        let changes = addresses.into_iter().filter_map(|address| {
            let (old, new) = (self.old.get(address), self.accounts.get(address));
            (old != new).then(|| AccountChange {
                address: address.0.0,
                old: old.cloned(),
                new: new.cloned(),
            })
        });
        let changes = ChangeSet {
            accounts: changes.collect(),
            ..ChangeSet::default()
        };
        let state = Arc::new(self.accounts);
        Executed {
            state_root: root_of(&state),
            state,
            changes,
            receipts: self.receipts,
            gas_used: self.gas_used,
        }
    }
}

fn draft<'a>(parent: &'a Accounts, env: &'a BlockEnv<'a>) -> Draft<'a> {
    Draft {
        env,
        old: parent,
        accounts: BTreeMap::clone(parent),
        receipts: Vec::new(),
        gas_used: 0,
    }
}

fn root_of(accounts: &BTreeMap<Address, Account>) -> Root {
    let mut bytes = Vec::new();
    for (address, account) in accounts {
        bytes.extend_from_slice(address.as_slice());
        bytes.extend_from_slice(&account.nonce.to_be_bytes());
        bytes.extend_from_slice(&account.balance.to_be_bytes());
    }
    Root(sha256(&bytes))
}

fn changed(state: &Accounts, changes: &ChangeSet, redo: bool) -> Accounts {
    let mut accounts = BTreeMap::clone(state);
    for change in &changes.accounts {
        let (from, to) = if redo {
            (&change.old, &change.new)
        } else {
            (&change.new, &change.old)
        };
        let address = Address::from(change.address);
        assert_eq!(accounts.get(&address), from.as_ref(), "change sets fit");
        match to {
            Some(account) => accounts.insert(address, account.clone()),
            None => accounts.remove(&address),
        };
    }
    Arc::new(accounts)
}

impl Execution for Ledger {
    type State = Accounts;

    fn genesis(&self, spec: &ChainSpec) -> Accounts {
        let accounts = spec
            .alloc
            .iter()
            .map(|entry| (entry.address, entry.account.clone()));
        Arc::new(accounts.collect())
    }

    fn root(&self, state: &Accounts) -> Root {
        root_of(state)
    }

    fn account(&self, state: &Accounts, address: &Address) -> Option<Account> {
        state.get(address).cloned()
    }

    fn execute(
        &self,
        parent: &Accounts,
        env: &BlockEnv<'_>,
        transactions: &[CheckedTransaction],
    ) -> Result<Executed<Accounts>, TransactionFault> {
        self.executions.fetch_add(1, Ordering::Relaxed);
        let mut draft = draft(parent, env);
        for (index, tx) in transactions.iter().enumerate() {
            draft
                .transfer(tx)
                .map_err(|reason| TransactionFault { index, reason })?;
        }
        Ok(draft.finish())
    }

    fn select<'a>(
        &self,
        parent: &Accounts,
        env: &BlockEnv<'_>,
        candidates: impl IntoIterator<Item = &'a CheckedTransaction>,
        body_bytes_max: u32,
    ) -> (Executed<Accounts>, Vec<usize>) {
        let mut draft = draft(parent, env);
        let (mut taken, mut bytes) = (Vec::new(), 8);
        for (index, tx) in candidates.into_iter().enumerate() {
            let size = 8 + tx.bytes().len();
            if bytes + size <= body_bytes_max as usize && draft.transfer(tx).is_ok() {
                bytes += size;
                taken.push(index);
            }
        }
        (draft.finish(), taken)
    }

    fn apply(&self, state: &Accounts, changes: &ChangeSet) -> Accounts {
        self.moves.fetch_add(1, Ordering::Relaxed);
        changed(state, changes, true)
    }

    fn revert(&self, state: &Accounts, changes: &ChangeSet) -> Accounts {
        self.moves.fetch_add(1, Ordering::Relaxed);
        changed(state, changes, false)
    }
}
