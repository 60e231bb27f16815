//! The protocol, seen from outside: vectors, laws, and whole nodes over a toy ledger.

#[path = "../support/mod.rs"]
mod support;

mod vectors;
