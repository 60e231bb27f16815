//! A block: header and body, as decoded and not yet checked.
//!
//! Structure only: lengths and counts. What the fields say is checked by `check` (alone) and
//! `rules` (in its place in the chain).

use crate::{
    header::{Header, HeaderError},
    params::{BODY_ITEM_BYTES_MIN, HEADER_WIRE_BYTES, SPEC_BLOCK_BYTES_MAX},
};

/// The transactions of a block, each as its own EIP-2718 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body(pub Vec<Vec<u8>>);

/// A decoded block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// 80 bytes and extension.
    pub header: Header,
    /// Transactions.
    pub body: Body,
}

/// Bytes that are not a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The header part.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// Longer than any spec allows.
    #[error("a body has at most {SPEC_BLOCK_BYTES_MAX} bytes, got {0}")]
    TooLarge(usize),
    /// The bytes end before the body does.
    #[error("the body ends early: {want} bytes wanted, {got} left")]
    Truncated {
        /// Bytes announced.
        want: u64,
        /// Bytes there.
        got: usize,
    },
    /// Bytes after the end.
    #[error("{0} bytes after the end of the body")]
    Trailing(usize),
}

impl Body {
    /// u64 count, then per transaction u64 length and its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_len());
        out.extend_from_slice(&length(self.0.len()));
        for transaction in &self.0 {
            out.extend_from_slice(&length(transaction.len()));
            out.extend_from_slice(transaction);
        }
        out
    }

    /// Bytes of [`Body::encode`].
    pub fn encoded_len(&self) -> usize {
        8 + self
            .0
            .iter()
            .map(|transaction| 8 + transaction.len())
            .sum::<usize>()
    }

    /// Reads exactly one body. Allocates no more than the bytes at hand can hold.
    pub fn decode(bytes: &[u8]) -> Result<Self, BlockError> {
        let bytes_max = usize::try_from(SPEC_BLOCK_BYTES_MAX).expect("2 MiB");
        if bytes.len() > bytes_max {
            return Err(BlockError::TooLarge(bytes.len()));
        }
        let mut rest = bytes;
        let count = take_length(&mut rest)?;
        let possible = rest.len() / BODY_ITEM_BYTES_MIN;
        let count = usize::try_from(count)
            .ok()
            .filter(|count| *count <= possible)
            .ok_or(BlockError::Truncated {
                want: count.saturating_mul(9),
                got: rest.len(),
            })?;
        let mut transactions = Vec::with_capacity(count);
        for _ in 0..count {
            transactions.push(take_item(&mut rest)?.to_vec());
        }
        if rest.is_empty() {
            Ok(Self(transactions))
        } else {
            Err(BlockError::Trailing(rest.len()))
        }
    }
}

impl Block {
    /// Header, then body.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.header.encode();
        out.extend_from_slice(&self.body.encode());
        out
    }

    /// Reads exactly one block.
    pub fn decode(bytes: &[u8]) -> Result<Self, BlockError> {
        let Some((header, body)) = bytes.split_at_checked(HEADER_WIRE_BYTES) else {
            return Err(HeaderError::Length(bytes.len()).into());
        };
        Ok(Self {
            header: Header::decode(header)?,
            body: Body::decode(body)?,
        })
    }
}

fn length(value: usize) -> [u8; 8] {
    u64::try_from(value)
        .expect("a length fits 64 bits")
        .to_le_bytes()
}

fn take_length(rest: &mut &[u8]) -> Result<u64, BlockError> {
    let Some((head, tail)) = rest.split_first_chunk() else {
        return Err(BlockError::Truncated {
            want: 8,
            got: rest.len(),
        });
    };
    *rest = tail;
    Ok(u64::from_le_bytes(*head))
}

/// A transaction of length 0 is no transaction, so it counts as truncated.
fn take_item<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], BlockError> {
    let want = take_length(rest)?;
    let split = usize::try_from(want)
        .ok()
        .filter(|want| *want > 0)
        .and_then(|want| rest.split_at_checked(want));
    let Some((item, tail)) = split else {
        return Err(BlockError::Truncated {
            want,
            got: rest.len(),
        });
    };
    *rest = tail;
    Ok(item)
}
