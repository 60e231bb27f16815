//! The protocol, seen from outside: vectors, laws, and whole nodes over a toy ledger.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "../support/mod.rs"]
mod support;

mod bincode;
mod codec;
mod laws;
mod node_execution;
mod node_forks;
mod node_pool;
mod node_reorgs;
mod node_rules;
mod node_store;
mod node_sync;
mod pool;
mod spec;
mod vectors;
