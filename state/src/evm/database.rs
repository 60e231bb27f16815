//! The machine's view of the overlay: reads of accounts, code, slots and block hashes, and the
//! commit of what a transaction did.

use std::convert::Infallible;

use chain::{Account, BlockHash};
use revm::{
    Database, DatabaseCommit,
    bytecode::Bytecode,
    primitives::{Address, AddressMap, B256, KECCAK_EMPTY, U256},
    state::{Account as Outcome, AccountInfo},
};

use super::Code;
use crate::overlay::Overlay;

/// A block's overlay and the hashes of the blocks below it.
pub(super) struct Ledger<'a> {
    pub(super) overlay: Overlay<'a>,
    pub(super) block_hash: &'a dyn Fn(u64) -> Option<BlockHash>,
}

impl Database for Ledger<'_> {
    type Error = Infallible;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
        let account = self.overlay.account(address).as_ref();
        Ok(account.map(|account| AccountInfo {
            balance: U256::from(account.balance),
            nonce: account.nonce,
            code_hash: account.code_hash.map_or(KECCAK_EMPTY, B256::from),
            account_id: None,
            // Fetched by its hash when it is needed.
            code: None,
        }))
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, Infallible> {
        Ok(self.overlay.code(&hash.0).bytecode())
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, Infallible> {
        Ok(*self.overlay.slot(address, slot))
    }

    /// BLOCKHASH shows the display order. The machine asks for the last 256 only, all of which
    /// whoever executes a block has to know; a hash that is not known is shown as zero.
    fn block_hash(&mut self, height: u64) -> Result<B256, Infallible> {
        let hash = (self.block_hash)(height);
        Ok(hash.map_or(B256::ZERO, |hash| hash.display_bytes().into()))
    }
}

impl DatabaseCommit for Ledger<'_> {
    fn commit(&mut self, outcomes: AddressMap<Outcome>) {
        for (address, outcome) in outcomes {
            if outcome.is_touched() {
                self.commit_account(address, outcome);
            }
        }
    }
}

impl Ledger<'_> {
    fn commit_account(&mut self, address: Address, outcome: Outcome) {
        // EIP-6780: only an account made by this very transaction. Its slots were never stored,
        // and what ether it still holds is destroyed.
        if outcome.is_selfdestructed() {
            self.overlay.delete_account(address);
            return;
        }
        for (slot, value) in outcome.changed_storage_slots() {
            *self.overlay.slot(address, *slot) = value.present_value;
        }
        let is_created = outcome.is_created();
        let info = outcome.info;
        let has_code = info.code_hash != KECCAK_EMPTY && info.code_hash != B256::ZERO;
        let balance = u128::try_from(info.balance);
        let account = Account {
            nonce: info.nonce,
            balance: balance.expect("a spec's whole supply is less than 2^128"),
            code_hash: has_code.then_some(info.code_hash.0),
        };
        self.overlay.set_account(address, account);
        if let Some(code) = info.code.filter(|_| is_created && has_code) {
            self.overlay.add_code(Code::deployed(info.code_hash, code));
        }
    }
}
