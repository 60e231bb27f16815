//! The protocol, seen from outside: vectors, laws, and whole nodes over a toy ledger.

#[path = "../support/mod.rs"]
mod support;

mod node_forks;
mod node_rules;
mod vectors;
