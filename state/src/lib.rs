//! Accounts, the Merkle tree over them, and execution. Pure: no clock, thread, disk or network.
//!
//! [`State`] is one version of all accounts, a persistent tree that is cheap to clone. [`Evm`]
//! runs blocks on versions and implements `chain::Execution`; only `evm` knows revm.

#![forbid(unsafe_code)]

pub mod account;
pub mod proof;
pub mod tree;

mod evm;
mod overlay;
mod rules;
mod version;

pub use account::{account_key, slot_key};
pub use evm::Evm;
pub use proof::{Proof, ProofError, ProofLeaf};
pub use version::{State, StateBuilder, allocation};
