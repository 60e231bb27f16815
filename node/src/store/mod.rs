//! The store on disk: a data directory with one redb file, behind `chain`'s `Store` trait.
//!
//! Nothing outside this folder names the engine.

pub mod directory;
mod engine;
mod index;
pub mod opened;
mod pieces;
#[cfg(test)]
mod tests;

pub use engine::RedbStore;
