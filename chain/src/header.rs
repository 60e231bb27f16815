//! The block header: 80 bytes of proof of work in Bitcoin's layout, and an extension.
//!
//! The 80 bytes commit to the extension by `sha256d(extension)`, in the place of Bitcoin's
//! Merkle root. All fields are fixed-width, so every byte string that decodes re-encodes to
//! itself. Whether the fields are right is the business of `check` and `rules`.

use alloy_primitives::{Address, U256};

use crate::{
    hash::{BlockHash, Root, sha256d},
    params::{EXTENSION_BYTES, HEADER_BYTES, HEADER_WIRE_BYTES},
    work::Bits,
};

/// The 80 bytes that miners hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PowHeader {
    /// 0x20000000; the bits 0x1fffe000 are free for the miner (BIP 320).
    pub version: u32,
    /// Hash of the parent's 80 bytes.
    pub parent: BlockHash,
    /// sha256d of the extension.
    pub commitment: [u8; 32],
    /// Unix seconds.
    pub time: u32,
    /// Compact target.
    pub bits: Bits,
    /// The miner's counter.
    pub nonce: u32,
}

/// What the 80 bytes commit to, 276 bytes in version 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extension {
    /// Number of blocks before this one.
    pub height: u64,
    /// Cumulative work including this block.
    pub chain_work: U256,
    /// Seconds of long gaps that the difficulty rule leaves out.
    pub forgiven: u64,
    /// Hash of the ancestor at [`skip_height`].
    pub skip: BlockHash,
    /// Who is paid the reward and the tips.
    pub beneficiary: Address,
    /// Root of the state after this block.
    pub state_root: Root,
    /// RFC 6962 root over the transactions' bytes.
    pub transactions_root: Root,
    /// RFC 6962 root over the receipts' bytes.
    pub receipts_root: Root,
    /// Gas the block may use.
    pub gas_limit: u64,
    /// Gas the block used.
    pub gas_used: u64,
    /// Wei per gas that is burnt.
    pub base_fee: u64,
    /// Number of transactions in the body.
    pub transaction_count: u32,
    /// Encoded length of the body.
    pub body_bytes: u32,
    /// Any bytes: a miner's tag.
    pub extra_data: [u8; 32],
    /// More room for the search, last so that it is the tail of a Stratum coinbase.
    pub extra_nonce: [u8; 16],
}

/// A header as it travels: its commitment may or may not match its extension.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The 80 bytes of proof of work.
    pub pow: PowHeader,
    /// What they should commit to.
    pub extension: Extension,
}

/// Bytes that are not a header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Not as long as a header of version 1.
    #[error("a header has {HEADER_WIRE_BYTES} bytes, got {0}")]
    Length(usize),
    /// The extension's length field is not that of version 1.
    #[error("an extension of version 1 has {EXTENSION_BYTES} bytes, the header says {0}")]
    ExtensionLength(u16),
}

/// Height of the ancestor that a block at `height` names in its skip field.
///
/// A skip list through the headers: any ancestor is reached in O(log n) hops.
pub fn skip_height(height: u64) -> u64 {
    let clear_lowest = |n: u64| n & n.wrapping_sub(1);
    match height {
        0 | 1 => 0,
        even if even % 2 == 0 => clear_lowest(even),
        odd => clear_lowest(clear_lowest(odd - 1)) + 1,
    }
}

impl PowHeader {
    /// The 80 bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        let mut writer = Writer {
            out: &mut out,
            at: 0,
        };
        writer.put(&self.version.to_le_bytes());
        writer.put(&self.parent.0);
        writer.put(&self.commitment);
        writer.put(&self.time.to_le_bytes());
        writer.put(&self.bits.0.to_le_bytes());
        writer.put(&self.nonce.to_le_bytes());
        out
    }

    /// Reads the 80 bytes; every value of every field is a header.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Self {
        let mut reader = Reader { bytes };
        Self {
            version: u32::from_le_bytes(reader.take()),
            parent: BlockHash(reader.take()),
            commitment: reader.take(),
            time: u32::from_le_bytes(reader.take()),
            bits: Bits(u32::from_le_bytes(reader.take())),
            nonce: u32::from_le_bytes(reader.take()),
        }
    }

    /// The block hash: sha256d of the 80 bytes.
    pub fn hash(&self) -> BlockHash {
        BlockHash(sha256d(&self.encode()))
    }
}

impl Extension {
    /// The 276 bytes.
    pub fn encode(&self) -> [u8; EXTENSION_BYTES] {
        let mut out = [0; EXTENSION_BYTES];
        let mut writer = Writer {
            out: &mut out,
            at: 0,
        };
        writer.put(&self.height.to_le_bytes());
        writer.put(&self.chain_work.to_le_bytes::<32>());
        writer.put(&self.forgiven.to_le_bytes());
        writer.put(&self.skip.0);
        writer.put(self.beneficiary.as_slice());
        writer.put(&self.state_root.0);
        writer.put(&self.transactions_root.0);
        writer.put(&self.receipts_root.0);
        writer.put(&self.gas_limit.to_le_bytes());
        writer.put(&self.gas_used.to_le_bytes());
        writer.put(&self.base_fee.to_le_bytes());
        writer.put(&self.transaction_count.to_le_bytes());
        writer.put(&self.body_bytes.to_le_bytes());
        writer.put(&self.extra_data);
        writer.put(&self.extra_nonce);
        out
    }

    /// Reads the 276 bytes; every value of every field is an extension.
    pub fn decode(bytes: &[u8; EXTENSION_BYTES]) -> Self {
        let mut reader = Reader { bytes };
        Self {
            height: u64::from_le_bytes(reader.take()),
            chain_work: U256::from_le_bytes(reader.take::<32>()),
            forgiven: u64::from_le_bytes(reader.take()),
            skip: BlockHash(reader.take()),
            beneficiary: Address::from(reader.take::<20>()),
            state_root: Root(reader.take()),
            transactions_root: Root(reader.take()),
            receipts_root: Root(reader.take()),
            gas_limit: u64::from_le_bytes(reader.take()),
            gas_used: u64::from_le_bytes(reader.take()),
            base_fee: u64::from_le_bytes(reader.take()),
            transaction_count: u32::from_le_bytes(reader.take()),
            body_bytes: u32::from_le_bytes(reader.take()),
            extra_data: reader.take(),
            extra_nonce: reader.take(),
        }
    }

    /// What a header's commitment must be.
    pub fn commitment(&self) -> [u8; 32] {
        sha256d(&self.encode())
    }
}

impl Header {
    /// A header whose commitment matches its extension.
    pub fn sealed(mut pow: PowHeader, extension: Extension) -> Self {
        pow.commitment = extension.commitment();
        Self { pow, extension }
    }

    /// The block hash.
    pub fn hash(&self) -> BlockHash {
        self.pow.hash()
    }

    /// Wire form: 80 bytes, u16 length, extension.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_WIRE_BYTES);
        out.extend_from_slice(&self.pow.encode());
        let length = u16::try_from(EXTENSION_BYTES).expect("276 fits");
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&self.extension.encode());
        out
    }

    /// Reads exactly one header.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        if bytes.len() != HEADER_WIRE_BYTES {
            return Err(HeaderError::Length(bytes.len()));
        }
        let mut reader = Reader { bytes };
        let pow = PowHeader::decode(&reader.take());
        let length = u16::from_le_bytes(reader.take());
        if usize::from(length) != EXTENSION_BYTES {
            return Err(HeaderError::ExtensionLength(length));
        }
        Ok(Self {
            pow,
            extension: Extension::decode(&reader.take()),
        })
    }
}

struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.out[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    /// The next N bytes; the callers' layouts never take more than there are.
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (head, tail) = self
            .bytes
            .split_first_chunk()
            .expect("lengths checked by the caller");
        self.bytes = tail;
        *head
    }
}
