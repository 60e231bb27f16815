//! The Lignum protocol: consensus rules, fork choice, pool, sync. Pure and deterministic.
//!
//! No IO, clock, thread or randomness: time, bytes and reads come in as arguments, writes and
//! messages leave as values. The same code runs under tokio and libp2p, in a simulated network
//! and under a model checker. Start reading at `node`, whose `step` is the only way in.

pub mod block;
pub mod check;
pub mod codec;
pub mod difficulty;
pub mod early;
pub mod effect;
pub mod execution;
pub mod forest;
pub mod fork_choice;
pub mod hash;
pub mod header;
pub mod history;
pub mod memory;
pub mod merkle;
pub mod message;
pub mod node;
pub mod orphans;
pub mod overlay;
pub mod params;
pub mod pool;
pub mod receipt;
pub mod record;
pub mod rules;
pub mod spec;
pub mod states;
pub mod store;
pub mod sync;
pub mod template;
pub mod transaction;
pub mod tree;
pub mod work;

pub use alloy_primitives::{Address, U256};
pub use block::{Block, Body};
pub use check::{CheckedBlock, CheckedHeader, MatchedBlock};
pub use effect::{Effect, Event, Fault, Input, Ticket, Time, Verdict};
pub use execution::{Account, BlockEnv, ChangeSet, Executed, Execution};
pub use fork_choice::Rank;
pub use hash::{BlockHash, Root, TxHash};
pub use header::{Extension, Header, PowHeader};
pub use memory::MemoryStore;
pub use message::{Gossip, Peer, PeerAddress, Request, Response, Status};
pub use node::Node;
pub use overlay::Overlay;
pub use pool::{PoolError, PoolSnapshot};
pub use receipt::{Log, Receipt};
pub use spec::{ChainSpec, ForkId};
pub use store::{Batch, BlockId, Mended, Past, Reader, Stage, Store, StoreError};
pub use transaction::CheckedTransaction;
pub use work::{Bits, Target};
