//! The state tree and execution, seen from outside: vectors and laws.

#![expect(clippy::unwrap_used, reason = "in a test it is an assertion")]

#[path = "state/blocks.rs"]
mod blocks;
#[path = "state/laws.rs"]
mod laws;
#[path = "state/rules.rs"]
mod rules;
#[path = "state/support.rs"]
mod support;
#[path = "state/templates.rs"]
mod templates;
#[path = "state/tree.rs"]
mod tree;
