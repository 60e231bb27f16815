//! The protocol, seen from outside: vectors, laws, and whole nodes over a toy ledger.

#[path = "../support/mod.rs"]
mod support;

mod bincode;
mod codec;
mod laws;
mod node_forks;
mod node_reorgs;
mod node_rules;
mod node_sync;
mod spec;
mod vectors;
