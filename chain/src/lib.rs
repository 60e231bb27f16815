//! The Lignum protocol: consensus rules, fork choice, pool, sync. Pure and deterministic.
//!
//! No IO, clock, thread or randomness: time, bytes and reads come in as arguments, writes and
//! messages leave as values. The same code runs under tokio and libp2p, in a simulated network
//! and under a model checker. Start reading at `node`, whose `step` is the only way in.

pub mod block;
pub mod difficulty;
pub mod execution;
pub mod fork_choice;
pub mod hash;
pub mod header;
pub mod merkle;
pub mod params;
pub mod receipt;
pub mod spec;
pub mod transaction;
pub mod work;

pub use alloy_primitives::{Address, U256};
pub use block::{Block, Body};
pub use execution::{Account, BlockEnv, ChangeSet, Executed, Execution};
pub use fork_choice::Rank;
pub use hash::{BlockHash, Root, TxHash};
pub use header::{Extension, Header, PowHeader};
pub use receipt::{Log, Receipt};
pub use spec::{ChainSpec, ForkId};
pub use transaction::CheckedTransaction;
pub use work::{Bits, Target};
