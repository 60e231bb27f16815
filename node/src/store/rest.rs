//! Reading bytes from the front: what the store's own encodings are made of.
//!
//! Numbers are LEB128 (`unsigned-varint`), which has one form for each. Bytes that end too soon
//! and bytes that are left over are errors, whose text says which. Used by `compact`, `history`
//! and `places`.

use unsigned_varint::{decode, encode};

const TOO_SHORT: &str = "the value is too short";
/// The same for all numbers that do not fit what they stand for.
pub const TOO_LARGE: &str = "a number is too large";
/// In the longest form of a number: where its last byte stands, and what fits that; the library
/// passes over what does not.
const LAST_BYTE: (usize, u8) = (18, 0b11);

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
        let form = &self.0[..self.0.len() - rest.len()];
        let (at, max) = LAST_BYTE;
        if form.get(at).is_some_and(|last| *last > max) {
            return Err(TOO_LARGE.to_owned());
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_form() {
        for number in [0, 127, 128, u128::from(u64::MAX), u128::MAX >> 1, u128::MAX] {
            let mut bytes = Vec::new();
            put_number(&mut bytes, number);
            assert_eq!(Rest(&bytes).number(), Ok(number));
            // One byte more that says nothing.
            let last = bytes.len() - 1;
            bytes[last] |= 0x80;
            bytes.push(0);
            assert!(Rest(&bytes).number().is_err());
        }
        // Bits beyond the 128th.
        let mut bytes = Vec::new();
        put_number(&mut bytes, u128::MAX);
        for bit in 2..7 {
            let mut bytes = bytes.clone();
            bytes[18] |= 1 << bit;
            assert_eq!(Rest(&bytes).number(), Err(TOO_LARGE.to_owned()));
        }
    }
}
