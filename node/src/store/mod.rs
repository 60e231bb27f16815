//! The store on disk: a data directory with two files of an engine, behind `chain`'s `Store` trait.
//!
//! The log (`tables`) has all that happened and is what a commit writes to. The flat file (`flat`)
//! has the state and the indexes up to a checkpoint; the blocks since are indexed in memory
//! (`recent`) and merged into it in the background (`merge`). Nothing outside this folder names
//! the engine. Every value is sealed when it is written and checked when it is read: damage is an
//! error that says where, never a panic and never served.

mod apply;
mod compact;
pub mod directory;
mod disk;
mod durable;
mod engine;
mod flat;
mod founding;
mod history;
mod kv;
mod merge;
mod named;
mod on_redb;
#[cfg(feature = "sled")]
mod on_sled;
#[cfg(not(feature = "sled"))]
#[path = "no_sled.rs"]
mod on_sled;
pub mod opened;
mod pieces;
mod places;
mod recent;
mod rest;
pub mod salvage;
mod seal;
mod snapshot;
mod sums;
mod tables;
#[cfg(test)]
mod tests;
mod trouble;

pub use disk::{Kind, Part};
pub use durable::RedbStore;
pub use merge::Reach;
pub use snapshot::RedbSnapshot;
pub use sums::Sums;
pub use trouble::Trouble;
