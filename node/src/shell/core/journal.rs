//! The pool's journal, checked: the core's first input.
//!
//! Its transactions are checked on rayon's threads, so it is read before anything of the network
//! runs: those threads wait for a place in the core's inbox when it is full, and the core that waits
//! for those threads would never empty it. Called by `running`.

use chain::{ChainSpec, Input, Reader, StoreError, pool::Departure};

use super::check;

/// Reads what the store has of the pool.
///
/// # Errors
/// If it cannot be read, or is damaged.
pub fn read(reader: &impl Reader, spec: &ChainSpec) -> Result<Input, StoreError> {
    let damaged = |error: String| StoreError(format!("the pool's journal is damaged: {error}"));
    let transactions = check::transactions(&reader.pooled()?, spec);
    let transactions = transactions.map_err(|error| damaged(error.to_string()))?;
    let departed = reader.departed()?;
    let departed = departed.iter().map(|bytes| Departure::decode(bytes));
    let departed = departed.collect::<Result<_, _>>().map_err(damaged)?;
    Ok(Input::Journal {
        transactions,
        departed,
    })
}
