//! The tables of the flat file: what follows from the log up to the checkpoint.
//!
//! Everything here can be made again from the log. One transaction moves all of it from one block
//! to another (`merge`), so it always is what the fact `checkpoint` says.
//!
//! | table | key | value |
//! |---|---|---|
//! | meta | a name (text) | format version |
//! | facts | a name | checkpoint (height ‖ hash); `archive`: the height since which it is whole |
//! | accounts | address | nonce, balance, code's hash if it has code |
//! | slots | address ‖ slot | value |
//! | codes | keccak-256 | code |
//! | transactions | first bytes of the hash ‖ height | indices (`places`) |
//! | history | address ‖ first height | heights and indices (`history`) |
//! | past_accounts | address ‖ height | what the account was before the block; nothing: absent |
//! | past_slots | address ‖ slot ‖ height | what the slot was before the block |
//!
//! Places of transactions and rows of histories are those of the checkpoint's own chain, and name
//! blocks by their heights alone.

use std::ops::Bound;

use chain::{Account, Address, BlockId, store::Past};
use rayon::prelude::*;
use state::{State, StateBuilder, tree::Both};

use super::{
    kv::{ReadTable, Scan, Transaction, Version, WriteTable},
    named::Named,
    tables::{block_key, id_of},
    trouble::{Trouble, guard},
};

/// Parts in which accounts and slots are read, by the first byte of their addresses: enough for all
/// cores, and few enough to cost nothing.
const PARTS: u8 = 32;
/// The name of the fact that says which block the file is of.
const CHECKPOINT: &[u8] = b"checkpoint";
/// The name of the fact that says since when the past is kept.
const ARCHIVE: &[u8] = b"archive";

/// All tables, as one transaction sees them.
pub struct Flat<T> {
    /// What belongs to the whole file, by name.
    pub facts: Named<T>,
    /// Accounts.
    pub accounts: Named<T>,
    /// Storage.
    pub slots: Named<T>,
    /// Code.
    pub codes: Named<T>,
    /// Where transactions stand.
    pub transactions: Named<T>,
    /// Accounts' transactions.
    pub history: Named<T>,
    /// What accounts were.
    pub past_accounts: Named<T>,
    /// What slots were.
    pub past_slots: Named<T>,
}

/// The tables of a version.
pub type ReadFlat = Flat<ReadTable>;
/// The tables of the transaction that writes.
pub type WriteFlat<'txn> = Flat<WriteTable<'txn>>;

impl<T> Flat<T> {
    fn open(mut table: impl FnMut(&'static str) -> Result<T, Trouble>) -> Result<Self, Trouble> {
        let mut named = |name| Named::open(name, &mut table);
        Ok(Self {
            facts: named("facts")?,
            accounts: named("accounts")?,
            slots: named("slots")?,
            codes: named("codes")?,
            transactions: named("transactions")?,
            history: named("history")?,
            past_accounts: named("past_accounts")?,
            past_slots: named("past_slots")?,
        })
    }
}

impl ReadFlat {
    /// As of a version, which they keep alive.
    pub fn read(version: &dyn Version) -> Result<Self, Trouble> {
        Self::open(|name| version.table(name))
    }

    /// Number of accounts and slots.
    pub fn entries(&self) -> Result<u64, Trouble> {
        Ok(self.accounts.count()? + self.slots.count()?)
    }

    /// The state after the checkpoint's block, read and hashed on all cores. Its root is for the
    /// caller to compare.
    pub fn state(&self) -> Result<State, Trouble> {
        let parts = (0..PARTS).into_par_iter();
        // Each under a guard of its own: another thread than the caller's may read it.
        let parts = parts.map(|part| guard(|| self.part(part)));
        let parts: Vec<StateBuilder> = parts.collect::<Result<_, _>>()?;
        let mut builder = StateBuilder::default();
        parts.into_iter().for_each(|part| builder.append(part));
        self.codes.for_each(|key, value| {
            let hash = key.try_into().map_err(|_| wrong_key(key))?;
            builder.code(hash, value.to_vec());
            Ok(())
        })?;
        Ok(builder.finish(&OnAllCores))
    }

    /// Accounts and slots of some addresses.
    fn part(&self, part: u8) -> Result<StateBuilder, Trouble> {
        let step = u8::MAX / PARTS + 1;
        let (from, to) = ([part * step], [(part * step).wrapping_add(step)]);
        let range = (
            Bound::Included(from.as_slice()),
            match part + 1 {
                PARTS => Bound::Unbounded,
                _ => Bound::Excluded(to.as_slice()),
            },
        );
        let mut builder = StateBuilder::default();
        self.accounts.scan(range, usize::MAX, |key, value| {
            let address: [u8; 20] = key.try_into().map_err(|_| wrong_key(key))?;
            builder.account(&address.into(), &decode_account(value)?);
            Ok(())
        })?;
        self.slots.scan(range, usize::MAX, |key, value| {
            let (address, slot) = key.split_first_chunk().ok_or_else(|| wrong_key(key))?;
            let (address, slot): (&[u8; 20], _) = (address, slot.try_into());
            let slot = slot.map_err(|_| wrong_key(key))?;
            let value = value.try_into().map_err(|_| "a slot has 32 bytes")?;
            builder.slot(&(*address).into(), slot, value);
            Ok(())
        })?;
        Ok(builder)
    }
}

fn wrong_key(key: &[u8]) -> String {
    format!("a key of {} bytes", key.len())
}

/// Two pieces of work at once, where a core is idle.
struct OnAllCores;

impl Both for OnAllCores {
    fn both<A: Send, B: Send>(
        &self,
        first: impl FnOnce() -> A + Send,
        second: impl FnOnce() -> B + Send,
    ) -> (A, B) {
        rayon::join(first, second)
    }
}

impl<'txn> WriteFlat<'txn> {
    /// As of a write transaction; made where they do not exist.
    pub fn write(transaction: &'txn dyn Transaction) -> Result<Self, Trouble> {
        Self::open(|name| transaction.table(name))
    }

    /// Removes all that is known of the past.
    pub fn forget_past(transaction: &'txn dyn Transaction) -> Result<(), Trouble> {
        for name in ["past_accounts", "past_slots"] {
            transaction.remove_table(name)?;
        }
        Self::write(transaction).map(drop)
    }

    /// The file is that of this block from now on.
    pub fn set_checkpoint(&mut self, id: &BlockId) -> Result<(), Trouble> {
        self.facts.put(CHECKPOINT, &block_key(id))
    }

    /// The past is whole since a height, or not kept.
    pub fn set_archive(&mut self, since: Option<u64>) -> Result<(), Trouble> {
        match since {
            Some(height) => self.facts.put(ARCHIVE, &height.to_be_bytes()),
            None => self.facts.remove(ARCHIVE),
        }
    }

    /// Sets an account, or removes it.
    pub fn set_account(
        &mut self,
        address: &[u8; 20],
        account: Option<&Account>,
    ) -> Result<(), Trouble> {
        match account {
            Some(account) => self.accounts.put(address, &encode_account(account)),
            None => self.accounts.remove(address),
        }
    }

    /// Sets a slot, or removes it where it is zero.
    pub fn set_slot(&mut self, key: &SlotKey, value: &[u8; 32]) -> Result<(), Trouble> {
        let key = slot_key(&key.0, &key.1);
        if *value == [0; 32] {
            return self.slots.remove(&key);
        }
        self.slots.put(&key, value)
    }
}

/// Address and slot.
pub type SlotKey = ([u8; 20], [u8; 32]);

fn slot_key(address: &[u8; 20], slot: &[u8; 32]) -> [u8; 52] {
    let mut key = [0; 52];
    key[..20].copy_from_slice(address);
    key[20..].copy_from_slice(slot);
    key
}

/// Key of what an account was before a block.
pub fn past_account_key(address: &[u8; 20], height: u64) -> [u8; 28] {
    let mut key = [0; 28];
    key[..20].copy_from_slice(address);
    key[20..].copy_from_slice(&height.to_be_bytes());
    key
}

/// Key of what a slot was before a block.
pub fn past_slot_key(address: &[u8; 20], slot: &[u8; 32], height: u64) -> [u8; 60] {
    let mut key = [0; 60];
    key[..52].copy_from_slice(&slot_key(address, slot));
    key[52..].copy_from_slice(&height.to_be_bytes());
    key
}

/// An account's value: nonce and balance (little-endian), then its code's hash if it has code.
pub fn encode_account(account: &Account) -> Vec<u8> {
    let mut value = account.nonce.to_le_bytes().to_vec();
    value.extend_from_slice(&account.balance.to_le_bytes());
    value.extend_from_slice(
        account
            .code_hash
            .as_ref()
            .map_or(&[], |hash| hash.as_slice()),
    );
    value
}

fn decode_account(value: &[u8]) -> Result<Account, String> {
    let wrong = || format!("an account has 24 or 56 bytes, got {}", value.len());
    let (nonce, rest) = value.split_first_chunk::<8>().ok_or_else(wrong)?;
    let (balance, code) = rest.split_first_chunk::<16>().ok_or_else(wrong)?;
    let code_hash = match code {
        [] => None,
        code => Some(code.try_into().map_err(|_| wrong())?),
    };
    Ok(Account {
        nonce: u64::from_le_bytes(*nonce),
        balance: u128::from_le_bytes(*balance),
        code_hash,
    })
}

impl<T: Scan> Flat<T> {
    /// The block that the file is of.
    pub fn checkpoint(&self) -> Result<BlockId, Trouble> {
        let key = self.facts.get_array::<40>(CHECKPOINT)?;
        let missing = || Trouble::Damaged("table facts has no checkpoint".into());
        Ok(id_of(&key.ok_or_else(missing)?))
    }

    /// Since which height the past is kept, if it is.
    pub fn archive(&self) -> Result<Option<u64>, Trouble> {
        Ok(self.facts.get_array(ARCHIVE)?.map(u64::from_be_bytes))
    }

    /// What an account was when the first block from one height to another changed it.
    pub fn past_account(
        &self,
        address: &[u8; 20],
        from: u64,
        to: u64,
    ) -> Result<Past<Account>, Trouble> {
        let keys = (
            past_account_key(address, from),
            past_account_key(address, to),
        );
        let found = self.first_past(&self.past_accounts, &keys.0, &keys.1)?;
        let Some(value) = found else {
            return Ok(Past::AsInHead);
        };
        if value.is_empty() {
            return Ok(Past::Was(None));
        }
        let account = decode_account(&value);
        let damaged = |reason: String| self.past_accounts.damaged(&keys.0, &reason);
        Ok(Past::Was(Some(account.map_err(damaged)?)))
    }

    /// What a slot was when the first block from one height to another changed it.
    pub fn past_slot(
        &self,
        address: &Address,
        slot: &[u8; 32],
        from: u64,
        to: u64,
    ) -> Result<Past<[u8; 32]>, Trouble> {
        let key = |height| past_slot_key(&address.0.0, slot, height);
        let (from, to) = (key(from), key(to));
        let found = self.first_past(&self.past_slots, &from, &to)?;
        let damaged = |_| self.past_slots.damaged(&from, "a slot has 32 bytes");
        let array = |value: Vec<u8>| value.as_slice().try_into().map_err(damaged);
        let value = found.map(array).transpose()?;
        Ok(value.map_or(Past::AsInHead, |value| Past::Was(Some(value))))
    }

    /// The first value from one key up to another, that one included.
    fn first_past(
        &self,
        table: &Named<T>,
        from: &[u8],
        to: &[u8],
    ) -> Result<Option<Vec<u8>>, Trouble> {
        if from > to {
            return Ok(None);
        }
        let mut found = None;
        table.scan(
            (Bound::Included(from), Bound::Included(to)),
            1,
            |_, value| {
                found = Some(value.to_vec());
                Ok(())
            },
        )?;
        Ok(found)
    }
}
