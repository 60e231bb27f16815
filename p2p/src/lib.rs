//! Peers over libp2p: bytes become [`chain::message`] values here, and back.
//!
//! One tokio task owns the swarm. The shell gives it [`Command`]s and takes [`Event`]s, both over
//! bounded channels; nothing is shared. The task never decides what is valid: gossip waits for
//! the core's verdict, requests for the core's answer. All that strangers can make it keep is
//! bounded, on the wire before allocation. Called by `node`; nothing else names libp2p.

#![forbid(unsafe_code)]

mod address;
mod bans;
mod behaviour;
mod book;
mod book_file;
mod bootnodes;
mod clock;
mod codec;
mod dialling;
mod events;
mod evict;
mod exchange;
mod gate;
mod gossip;
pub mod identity;
mod keeper;
mod limits;
mod peers;
mod places;
mod reach;
mod reports;
mod requests;
mod spec;
mod start;
mod swarm;

#[cfg(test)]
mod tests;

pub use address::{AddressError, listen_addresses};
pub use events::{Command, Event, Failure, Refused};
pub use gossip::GossipToken;
pub use identity::{Identity, IdentityError};
pub use spec::{FetchError, fetch_spec};
pub use start::{Config, Handle, StartError, start};
