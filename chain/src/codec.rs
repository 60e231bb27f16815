//! The one encoding of messages and stored values: bincode's fixed-width little-endian format.
//!
//! Read and written with `wincode` in its default configuration, which refuses trailing bytes,
//! unknown variants and lists above 4 MiB in memory. Callers check the length of `bytes` first.

use wincode::{SchemaRead, SchemaWrite, config::DefaultConfig};

/// The bytes of a value.
///
/// # Panics
/// If a list in it exceeds 4 MiB in memory: callers keep their values in smaller pieces.
pub fn encode<T>(value: &T) -> Vec<u8>
where
    T: SchemaWrite<DefaultConfig, Src = T>,
{
    wincode::serialize(value).expect("values are kept in pieces below the format's 4 MiB")
}

/// Reads exactly one value; the error is the reason as text.
pub fn decode<'de, T>(bytes: &'de [u8]) -> Result<T, String>
where
    T: SchemaRead<'de, DefaultConfig, Dst = T>,
{
    wincode::deserialize_exact(bytes).map_err(|error| error.to_string())
}
