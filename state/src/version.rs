//! One version of the state: what the accounts are after a certain block.
//!
//! Cheap to clone and immutable: versions share all they have in common. Made by `evm` from a
//! parent's version and a change set, read by execution and by whoever answers questions.

use std::{fmt, sync::Arc};

use alloy_primitives::{Address, U256};
use chain::{
    Account, ChainSpec, ChangeSet, Root,
    execution::{AccountChange, CodeAdded, SlotChange},
};

use crate::{
    account::{Value, account_key, slot_key},
    evm::Code,
    proof::{Proof, ProofLeaf},
    tree::{Both, Key, Memory, Tree},
};

/// Accounts, storage and code after some block. The default is without any.
#[derive(Clone, Default)]
pub struct State {
    entries: Tree<Value>,
    /// By hash. Only grows: an undo leaves code behind that nothing refers to.
    codes: Tree<Code>,
}

impl State {
    /// The Merkle root over accounts and storage.
    pub fn root(&self) -> Root {
        Root(self.entries.root())
    }

    /// The memory that accounts, storage and code of this version take.
    pub fn memory(&self) -> Memory {
        self.entries.memory().and(self.codes.memory())
    }

    /// An account, unless it is absent.
    pub fn account(&self, address: &Address) -> Option<Account> {
        self.entries.get(&account_key(address))?.as_account()
    }

    /// A storage slot; zero where it is absent.
    pub fn storage(&self, address: &Address, slot: U256) -> U256 {
        let value = self.entries.get(&slot_key(address, &slot));
        value.and_then(Value::as_slot).unwrap_or_default()
    }

    /// Code by its keccak-256, as far as it was ever deployed.
    pub fn code(&self, hash: &[u8; 32]) -> Option<Arc<[u8]>> {
        self.codes.get(hash).map(|code| code.bytes().into())
    }

    /// Proof that a key is in this state, with its value, or is not.
    pub fn proof(&self, key: &Key) -> Proof {
        let path = self.entries.path(key);
        Proof {
            siblings: path.siblings,
            leaf: path.leaf.map(|(key, value)| ProofLeaf {
                key: *key,
                value: value.to_bytes(),
            }),
        }
    }

    /// All accounts and slots by rising key, as their leaves hold them.
    pub fn leaves(&self) -> impl Iterator<Item = ProofLeaf> {
        self.entries.iter().map(|(key, value)| ProofLeaf {
            key: *key,
            value: value.to_bytes(),
        })
    }

    /// Code as it is run.
    pub(crate) fn analysed(&self, hash: &[u8; 32]) -> Option<&Code> {
        self.codes.get(hash)
    }

    /// The state that a spec allocates.
    pub(crate) fn genesis(spec: &ChainSpec) -> Self {
        Self::default().after(&allocation(spec))
    }

    /// The state after a block whose parent's state this is.
    pub(crate) fn after(&self, changes: &ChangeSet) -> Self {
        let codes = changes.codes.iter().map(|code| {
            let value = Code::new(code.hash, code.bytes.clone());
            (code.hash, Some(value))
        });
        Self {
            entries: self.moved(changes, |account| &account.new, |slot| slot.new),
            codes: self.codes.update(codes.collect()),
        }
    }

    /// The state of the parent of the block whose state this is.
    pub(crate) fn before(&self, changes: &ChangeSet) -> Self {
        Self {
            entries: self.moved(changes, |account| &account.old, |slot| slot.old),
            codes: self.codes.clone(),
        }
    }

    fn moved(
        &self,
        changes: &ChangeSet,
        account: impl Fn(&AccountChange) -> &Option<Account>,
        slot: impl Fn(&SlotChange) -> [u8; 32],
    ) -> Tree<Value> {
        let accounts = changes.accounts.iter().map(|change| {
            let value = account(change).as_ref().and_then(Value::account);
            (account_key(&change.address.into()), value)
        });
        let slots = changes.slots.iter().map(|change| {
            let number = U256::from_be_bytes(change.slot);
            let key = slot_key(&change.address.into(), &number);
            (key, Value::slot(slot(change)))
        });
        self.entries.update(accounts.chain(slots).collect())
    }
}

/// What a spec allocates, as a change of nothing.
pub fn allocation(spec: &ChainSpec) -> ChangeSet {
    let mut changes = ChangeSet::default();
    for allocation in &spec.alloc {
        let address = allocation.address.0.0;
        changes.accounts.push(AccountChange {
            address,
            old: None,
            new: Some(allocation.account.clone()),
        });
        let slots = allocation.storage.iter().map(|(slot, value)| SlotChange {
            address,
            slot: slot.to_be_bytes(),
            old: [0; 32],
            new: value.to_be_bytes(),
        });
        changes.slots.extend(slots);
        if let Some(hash) = allocation.account.code_hash {
            let bytes = allocation.code.clone();
            changes.codes.push(CodeAdded { hash, bytes });
        }
    }
    changes
        .accounts
        .sort_unstable_by_key(|change| change.address);
    changes
        .slots
        .sort_unstable_by_key(|change| (change.address, change.slot));
    // Two accounts may be given the same code, but a change set holds each once.
    changes.codes.sort_unstable_by_key(|code| code.hash);
    changes.codes.dedup_by_key(|code| code.hash);
    changes
}

/// Makes a state out of accounts, slots and code that a store holds; its root tells whether they
/// are whole. A million accounts take about 70 MB beside the state while it is made.
#[derive(Default)]
pub struct StateBuilder {
    entries: Vec<(Key, Value)>,
    codes: Vec<(Key, Code)>,
}

impl StateBuilder {
    /// Takes an account; each address once.
    pub fn account(&mut self, address: &Address, account: &Account) {
        if let Some(value) = Value::account(account) {
            self.entries.push((account_key(address), value));
        }
    }

    /// Takes a slot; each once.
    pub fn slot(&mut self, address: &Address, slot: &[u8; 32], value: [u8; 32]) {
        if let Some(value) = Value::slot(value) {
            let number = U256::from_be_bytes(*slot);
            self.entries.push((slot_key(address, &number), value));
        }
    }

    /// Takes code by its keccak-256; each once.
    pub fn code(&mut self, hash: [u8; 32], bytes: Vec<u8>) {
        self.codes.push((hash, Code::new(hash, bytes)));
    }

    /// Takes what another one has taken.
    pub fn append(&mut self, mut other: Self) {
        self.entries.append(&mut other.entries);
        self.codes.append(&mut other.codes);
    }

    /// The state of all that was taken.
    pub fn finish(self, both: &impl Both) -> State {
        State {
            entries: Tree::build(self.entries, both),
            codes: Tree::build(self.codes, both),
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "State({})", self.root())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_may_be_read_by_other_threads() {
        fn shareable<T: Clone + Send + Sync + 'static>(_: &T) {}
        shareable(&State::default());
    }
}
