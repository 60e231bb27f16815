//! Reading bytes from the front: what the store's own encodings are made of.
//!
//! Numbers are LEB128 (`unsigned-varint`), which has one form for each. Bytes that end too soon
//! and bytes that are left over are errors, whose text says which. Used by `compact`, `history`
//! and `places`.

use unsigned_varint::{decode, encode};

const TOO_SHORT: &str = "the value is too short";
/// The same for all numbers that do not fit what they stand for.
pub const TOO_LARGE: &str = "a number is too large";

/// Adds a number.
pub fn put_number(bytes: &mut Vec<u8>, number: impl Into<u128>) {
    let number = number.into();
    bytes.extend_from_slice(encode::u128(number, &mut encode::u128_buffer()));
}

/// What has not been read yet.
pub struct Rest<'a>(pub &'a [u8]);

impl<'a> Rest<'a> {
    /// A number of any size.
    pub fn number(&mut self) -> Result<u128, String> {
        let (number, rest) = decode::u128(self.0).map_err(|error| error.to_string())?;
        self.0 = rest;
        Ok(number)
    }

    /// A number that fits a type.
    pub fn small<N: TryFrom<u128>>(&mut self) -> Result<N, String> {
        N::try_from(self.number()?).map_err(|_| TOO_LARGE.to_owned())
    }

    /// So many bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (array, rest) = self.0.split_first_chunk().ok_or(TOO_SHORT)?;
        self.0 = rest;
        Ok(*array)
    }

    /// Bytes with their length before them.
    pub fn bytes(&mut self) -> Result<&'a [u8], String> {
        let length = self.small()?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(TOO_SHORT)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// Items with their number before them. Each takes a byte at least, so that a wrong number ends
    /// with the bytes.
    pub fn list<V>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<V, String>,
    ) -> Result<Vec<V>, String> {
        let length: usize = self.small()?;
        (0..length).map(|_| item(self)).collect()
    }

    /// A value, if nothing is left over.
    pub fn end<V>(&self, value: V) -> Result<V, String> {
        match self.0 {
            [] => Ok(value),
            rest => Err(format!("{} bytes are left over", rest.len())),
        }
    }
}
