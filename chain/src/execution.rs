//! The seam to execution: what the core asks of whatever runs transactions.
//!
//! One of the three traits. The real one is in the `state` crate (a Merkle tree and revm); the
//! simulator's is a toy ledger. Implementations are deterministic and keep no hidden state.

use alloy_primitives::Address;
use wincode::{SchemaRead, SchemaWrite};

use crate::{
    hash::{BlockHash, Root, sha256},
    receipt::Receipt,
    spec::ChainSpec,
    transaction::CheckedTransaction,
};

/// An account that exists. Balances fit 128 bits because the whole supply does.
#[derive(Clone, Debug, Default, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Account {
    /// Transactions sent (of a contract: contracts created, plus one).
    pub nonce: u64,
    /// Wei.
    pub balance: u128,
    /// Keccak-256 of its code; `None` for no code.
    pub code_hash: Option<[u8; 32]>,
}

impl Account {
    /// Nonce 0, balance 0 and no code means absent (EIP-161).
    pub fn is_absent(&self) -> bool {
        *self == Self::default()
    }
}

/// An account before and after a block; `None` where it is absent.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct AccountChange {
    /// Whose it is.
    pub address: [u8; 20],
    /// In the parent's state.
    pub old: Option<Account>,
    /// After the block.
    pub new: Option<Account>,
}

/// A storage slot before and after a block, big-endian; zero where it is absent.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct SlotChange {
    /// Whose it is.
    pub address: [u8; 20],
    /// Which slot.
    pub slot: [u8; 32],
    /// In the parent's state.
    pub old: [u8; 32],
    /// After the block.
    pub new: [u8; 32],
}

/// Code deployed in a block.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct CodeAdded {
    /// Keccak-256 of it.
    pub hash: [u8; 32],
    /// The code.
    pub bytes: Vec<u8>,
}

/// All that a block changes in the state: applied it redoes, reverted it undoes.
#[derive(Clone, Debug, Default, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct ChangeSet {
    /// By rising address, each once, only where old and new differ.
    pub accounts: Vec<AccountChange>,
    /// By rising address and slot, each once, only where old and new differ.
    pub slots: Vec<SlotChange>,
    /// By rising hash, each once. Never removed by an undo: code is found by its hash.
    pub codes: Vec<CodeAdded>,
}

impl ChangeSet {
    /// The change of an account, if there is one.
    pub fn account(&self, address: &[u8; 20]) -> Option<&AccountChange> {
        let place = self
            .accounts
            .binary_search_by(|change| change.address.cmp(address));
        place.ok().map(|at| &self.accounts[at])
    }

    /// The change of a slot, if there is one.
    pub fn slot(&self, address: &[u8; 20], slot: &[u8; 32]) -> Option<&SlotChange> {
        let key = |change: &SlotChange| (change.address, change.slot);
        let place = self
            .slots
            .binary_search_by(|change| key(change).cmp(&(*address, *slot)));
        place.ok().map(|at| &self.slots[at])
    }
}

/// What a block's transactions see of their block.
#[derive(Clone, Copy)]
pub struct BlockEnv<'a> {
    /// The network's parameters.
    pub spec: &'a ChainSpec,
    /// NUMBER.
    pub height: u64,
    /// TIMESTAMP, Unix seconds.
    pub time: u32,
    /// COINBASE: paid the tips and, after the last transaction, the reward.
    pub beneficiary: Address,
    /// GASLIMIT.
    pub gas_limit: u64,
    /// BASEFEE, wei per gas, burnt.
    pub base_fee: u64,
    /// The parent's hash; PREVRANDAO is derived from it.
    pub parent: BlockHash,
    /// Hash of this branch's block at a height below this block's, as far as it is known.
    pub block_hash: &'a dyn Fn(u64) -> Option<BlockHash>,
}

impl BlockEnv<'_> {
    /// PREVRANDAO: sha256 of the parent's hash in wire order. Known to all, and grindable.
    pub fn prevrandao(&self) -> [u8; 32] {
        sha256(&self.parent.0)
    }
}

/// The outcome of a block's transactions, reward included.
#[derive(Clone, Debug)]
pub struct Executed<S> {
    /// The state after the block.
    pub state: S,
    /// Its root.
    pub state_root: Root,
    /// What changed since the parent's state.
    pub changes: ChangeSet,
    /// One for each transaction.
    pub receipts: Vec<Receipt>,
    /// Gas used by all of them.
    pub gas_used: u64,
}

/// Rules T4 to T7: a transaction that cannot stand where it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("transaction {index} cannot be executed: {reason}")]
pub struct TransactionFault {
    /// Its place in the block.
    pub index: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// Runs blocks on states.
pub trait Execution {
    /// One version of the state, cheap to clone.
    type State: Clone;

    /// The state of the spec's allocation.
    fn genesis(&self, spec: &ChainSpec) -> Self::State;

    /// The Merkle root of a state.
    fn root(&self, state: &Self::State) -> Root;

    /// An account, unless it is absent.
    fn account(&self, state: &Self::State, address: &Address) -> Option<Account>;

    /// Executes a whole block on its parent's state (Rules T4 to T7, S2).
    fn execute(
        &self,
        parent: &Self::State,
        env: &BlockEnv<'_>,
        transactions: &[CheckedTransaction],
    ) -> Result<Executed<Self::State>, TransactionFault>;

    /// Executes those candidates that can be executed, in order, skipping others, while gas and
    /// `body_bytes_max` last; also returns which were taken, by index. Asks for no more candidates
    /// when the block is full, or when `TEMPLATE_MISSES_MAX` of them were skipped.
    fn select<'a>(
        &self,
        parent: &Self::State,
        env: &BlockEnv<'_>,
        candidates: impl IntoIterator<Item = &'a CheckedTransaction>,
        body_bytes_max: u32,
    ) -> (Executed<Self::State>, Vec<usize>);

    /// The state after a block, from the state before it and its changes.
    fn apply(&self, state: &Self::State, changes: &ChangeSet) -> Self::State;

    /// The state before a block, from the state after it and its changes.
    fn revert(&self, state: &Self::State, changes: &ChangeSet) -> Self::State;
}
