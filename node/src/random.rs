//! Random bytes, from the system.

use std::{
    fs::File,
    io::{self, Read},
};

/// Bytes that nobody can guess.
///
/// # Errors
/// If the system's source cannot be read.
pub fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
