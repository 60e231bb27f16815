//! Keys, amounts, signing, and the wallet verbs that use a node over HTTP.
//!
//! Keys never leave this crate except into signatures: what goes to a node is a signed
//! transaction. `verbs` is what the command line mounts; everything else is there for it, and for
//! nodes that need the development keys. Nothing here is trusted by a node.

#![forbid(unsafe_code)]

pub mod address;
pub mod amount;
pub mod answers;
pub mod book;
pub mod client;
pub mod console;
pub mod derive;
pub mod files;
pub mod guard;
pub mod journal;
pub mod keystore;
pub mod message;
pub mod offline;
pub mod sealed;
pub mod sign;
pub mod store;
pub mod verbs;
pub mod words;

pub use address::Party;
pub use amount::Amount;
pub use client::Client;
pub use derive::{Key, dev_key};
pub use keystore::Keystore;
pub use words::Words;
