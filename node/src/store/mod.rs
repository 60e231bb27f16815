//! The store on disk: a data directory with one redb file, behind `chain`'s `Store` trait.
//!
//! Nothing outside this folder names the engine. Every value is sealed when it is written and checked
//! when it is read: damage is an error that says where, never a panic and never served.

mod apply;
pub mod directory;
mod engine;
mod history;
mod index;
pub mod opened;
mod pieces;
mod seal;
mod tables;
#[cfg(test)]
mod tests;
mod trouble;

pub use engine::RedbStore;
pub use trouble::Trouble;
