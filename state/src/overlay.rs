//! What a block changes, collected while it runs on its parent's state.
//!
//! Keeps what was read and what became of it: the first value seen of an account or slot is the
//! parent's, the last is the block's. No library's types here, so that the bookkeeping can be
//! read alone; `evm` fills it. Ordered maps, so that the outcome has one order.

use std::collections::{BTreeMap, btree_map::Entry};

use alloy_primitives::{Address, U256};
use chain::{
    Account, ChangeSet,
    execution::{AccountChange, CodeAdded, SlotChange},
};

use crate::{evm::Code, version::State};

/// Accounts that were touched last and are found without a search: a transaction asks several times
/// for its sender, its recipient and the beneficiary.
const LATEST: usize = 4;

/// A block's changes over its parent's state.
pub(crate) struct Overlay<'a> {
    base: &'a State,
    /// By address: their places among the touched.
    accounts: BTreeMap<Address, usize>,
    touched: Vec<(Address, Touched<Option<Account>>)>,
    /// Places of those that were asked for last; any place will do where there are fewer.
    latest: [usize; LATEST],
    /// Which of these is given up next.
    oldest: usize,
    slots: BTreeMap<(Address, U256), Touched<U256>>,
    codes: BTreeMap<[u8; 32], Code>,
}

/// A value before the block and now.
struct Touched<T> {
    old: T,
    new: T,
}

impl<'a> Overlay<'a> {
    pub(crate) fn new(base: &'a State) -> Self {
        Self {
            base,
            accounts: BTreeMap::new(),
            touched: Vec::new(),
            latest: [0; LATEST],
            oldest: 0,
            slots: BTreeMap::new(),
            codes: BTreeMap::new(),
        }
    }

    /// An account now; `None` where it is absent.
    pub(crate) fn account(&mut self, address: Address) -> &mut Option<Account> {
        let place = self.place(address);
        &mut self.touched[place].1.new
    }

    /// Where an account is among the touched, after it was touched.
    fn place(&mut self, address: Address) -> usize {
        let is_there = |place: &usize| {
            let touched = self.touched.get(*place);
            touched.is_some_and(|(other, _)| *other == address)
        };
        if let Some(place) = self.latest.iter().copied().find(is_there) {
            return place;
        }
        let touched = &mut self.touched;
        let place = *self.accounts.entry(address).or_insert_with(|| {
            let old = self.base.account(&address);
            let new = old.clone();
            touched.push((address, Touched { old, new }));
            touched.len() - 1
        });
        self.latest[self.oldest] = place;
        self.oldest = (self.oldest + 1) % LATEST;
        place
    }

    /// A storage slot now; zero where it is absent.
    pub(crate) fn slot(&mut self, address: Address, slot: U256) -> &mut U256 {
        let entry = self.slots.entry((address, slot));
        &mut touch(entry, || self.base.storage(&address, slot)).new
    }

    /// The code of an existing account.
    pub(crate) fn code(&self, hash: &[u8; 32]) -> &Code {
        let code = self.codes.get(hash).or_else(|| self.base.analysed(hash));
        code.expect("an account's code is stored before the account and never removed")
    }

    /// Sets an account. Nonce 0, balance 0 and no code is stored as absent (EIP-161).
    pub(crate) fn set_account(&mut self, address: Address, account: Account) {
        *self.account(address) = (!account.is_absent()).then_some(account);
    }

    /// Deletes an account, and with it all it owned.
    pub(crate) fn delete_account(&mut self, address: Address) {
        *self.account(address) = None;
    }

    /// Keeps code that was deployed.
    pub(crate) fn add_code(&mut self, code: Code) {
        self.codes.insert(*code.hash(), code);
    }

    /// Adds to a balance; adding nothing creates no account.
    pub(crate) fn credit(&mut self, address: Address, wei: u128) {
        if wei == 0 {
            return;
        }
        let account = self.account(address).get_or_insert_default();
        let balance = account.balance.checked_add(wei);
        account.balance = balance.expect("a spec's whole supply is less than 2^128");
    }

    /// What differs from the parent's state, in canonical order.
    pub(crate) fn into_changes(self) -> ChangeSet {
        let mut accounts = self.touched;
        accounts.sort_unstable_by_key(|(address, _)| *address);
        let slots = self.slots.into_iter();
        let codes = self.codes.into_iter();
        ChangeSet {
            accounts: accounts
                .into_iter()
                .filter(|(_, account)| account.old != account.new)
                .map(|(address, account)| AccountChange {
                    address: address.0.0,
                    old: account.old,
                    new: account.new,
                })
                .collect(),
            slots: slots
                .filter(|(_, value)| value.old != value.new)
                .map(|((address, slot), value)| SlotChange {
                    address: address.0.0,
                    slot: slot.to_be_bytes(),
                    old: value.old.to_be_bytes(),
                    new: value.new.to_be_bytes(),
                })
                .collect(),
            codes: codes
                .map(|(hash, code)| CodeAdded {
                    hash,
                    bytes: code.bytes().to_vec(),
                })
                .collect(),
        }
    }
}

/// The entry, filled from the parent's state at its first use.
fn touch<K: Ord, T: Clone>(
    entry: Entry<'_, K, Touched<T>>,
    old: impl FnOnce() -> T,
) -> &mut Touched<T> {
    entry.or_insert_with(|| {
        let old = old();
        let new = old.clone();
        Touched { old, new }
    })
}
