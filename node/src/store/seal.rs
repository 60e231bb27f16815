//! Values with a checksum over their table, key and bytes.
//!
//! The engine checks its pages only when it repairs a file. A bit that flips later, or a value
//! that the disk returns in another's place, is noticed here and never served.

use chain::hash::sha256;

/// Bytes of a checksum: the first ones of a SHA-256, against accidents, not against enemies.
pub const CHECKSUM_BYTES: usize = 8;

/// A value as it is stored: checksum, then its bytes.
pub fn seal(table: &str, key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(CHECKSUM_BYTES + value.len());
    sealed.extend_from_slice(&checksum(table, key, value));
    sealed.extend_from_slice(value);
    sealed
}

/// The bytes of a stored value; the error says what is wrong with it.
pub fn unseal<'a>(table: &str, key: &[u8], sealed: &'a [u8]) -> Result<&'a [u8], String> {
    let Some((sum, value)) = sealed.split_at_checked(CHECKSUM_BYTES) else {
        let got = sealed.len();
        return Err(format!(
            "a value has at least {CHECKSUM_BYTES} bytes, got {got}"
        ));
    };
    if sum == checksum(table, key, value) {
        Ok(value)
    } else {
        Err("wrong checksum".into())
    }
}

/// The same of a value that is ours to keep.
pub fn unsealed(table: &str, key: &[u8], mut sealed: Vec<u8>) -> Result<Vec<u8>, String> {
    unseal(table, key, &sealed)?;
    sealed.drain(..CHECKSUM_BYTES);
    Ok(sealed)
}

fn checksum(table: &str, key: &[u8], value: &[u8]) -> [u8; CHECKSUM_BYTES] {
    // No table's name contains a zero byte, and all keys of a table have the same length, so the
    // three parts cannot run into each other.
    let mut bytes = Vec::with_capacity(table.len() + 1 + key.len() + value.len());
    bytes.extend_from_slice(table.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(value);
    let digest = sha256(&bytes);
    *digest.first_chunk().expect("a digest has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_change_is_noticed() {
        let sealed = seal("bodies", b"key", b"value");
        assert_eq!(unseal("bodies", b"key", &sealed), Ok(&b"value"[..]));
        let owned = unsealed("bodies", b"key", sealed.clone());
        assert_eq!(owned, Ok(b"value".to_vec()));
        assert!(unseal("bodies", b"kez", &sealed).is_err());
        assert!(unseal("headers", b"key", &sealed).is_err());
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal("bodies", b"key", &flipped).is_err());
        }
        for length in 0..sealed.len() {
            assert!(unseal("bodies", b"key", &sealed[..length]).is_err());
        }
    }
}
