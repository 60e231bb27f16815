//! Work on a whole store while no node runs on it: check, export, import, rebuild.
//!
//! Called by the verb `db` and by `node --reindex`.

mod ahead;
pub mod check;
pub mod file;
pub mod import;
pub mod progress;
pub mod reindex;
#[cfg(test)]
mod tests;
