//! Messages between nodes, and their bytes.
//!
//! The block-forest protocol's own: status, headers by locator, blocks and transactions by hash,
//! addresses of peers, and what is gossiped. Requests and answers are bincode's fixed-width format; every length is
//! checked against its limit before it is believed. Called by `p2p`, `sync` and the shell.

use alloy_primitives::U256;
use wincode::{SchemaRead, SchemaWrite};

use crate::{
    block::Block,
    codec,
    hash::{BlockHash, TxHash},
    header::Header,
    params::{
        BLOCKS_MAX, GOSSIP_BYTES_MAX, HEADERS_MAX, LOCATOR_MAX, PEER_ADDRESS_BYTES_MAX,
        PEER_ADDRESSES_MAX, REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX, TRANSACTION_BYTES_MAX,
        TRANSACTIONS_MAX,
    },
    spec::ForkId,
};

/// Who sent something: a number that the shell gives each connected peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer(pub u64);

/// Where a node stands: exchanged on connecting and from time to time.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Status {
    /// Version of the wire protocol.
    pub version: u32,
    /// The network, as its genesis hash.
    pub genesis: BlockHash,
    /// Digest of the upgrades passed.
    pub fork_digest: u32,
    /// Height of the next upgrade, 0 for none.
    pub fork_next: u64,
    /// Height of the head.
    pub height: u64,
    /// The head.
    pub head: BlockHash,
    /// Chain work of the head, little-endian.
    pub chain_work: [u8; 32],
    /// The sender's clock, Unix seconds. Only compared, never followed.
    pub time: u64,
}

impl Status {
    /// Chain work of the sender's head.
    pub fn chain_work(&self) -> U256 {
        U256::from_le_bytes(self.chain_work)
    }

    /// The upgrades the sender knows.
    pub fn fork_id(&self) -> ForkId {
        ForkId {
            digest: self.fork_digest,
            next: self.fork_next,
        }
    }
}

/// Where a peer can be reached: a multiaddr in its binary form that ends with the peer id, at
/// most [`PEER_ADDRESS_BYTES_MAX`]. Opaque here; only the network layer reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddress(pub Vec<u8>);

/// What one node asks another.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub enum Request {
    /// Says where the sender stands and asks the same.
    Status(Status),
    /// Headers after the first known hash of a locator, at most [`HEADERS_MAX`].
    Headers(Vec<BlockHash>),
    /// Blocks by hash, at most [`BLOCKS_MAX`].
    Blocks(Vec<BlockHash>),
    /// Pool transactions by hash, at most [`TRANSACTIONS_MAX`].
    Transactions(Vec<TxHash>),
    /// Addresses of other peers. The network layer asks and answers this by itself.
    Addresses,
}

/// The answer to a request, of the same kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// Where the answering node stands.
    Status(Status),
    /// Consecutive headers, the first a child of a hash in the locator.
    Headers(Vec<Header>),
    /// The blocks asked for that are held, in any order.
    Blocks(Vec<Block>),
    /// The transactions asked for that are held, as their bytes.
    Transactions(Vec<Vec<u8>>),
    /// Where peers were met lately, at most [`PEER_ADDRESSES_MAX`].
    Addresses(Vec<PeerAddress>),
}

/// What is told to everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gossip {
    /// A new block.
    Block(Block),
    /// A transaction, as its bytes.
    Transaction(Vec<u8>),
}

/// Bytes that are not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// More bytes than the kind allows.
    #[error("a message of this kind has at most {want} bytes, got {got}")]
    TooLarge {
        /// The limit.
        want: usize,
        /// What came.
        got: usize,
    },
    /// More items than the kind allows.
    #[error("a list of this kind has at most {want} items, got {got}")]
    TooMany {
        /// The limit.
        want: usize,
        /// What came.
        got: usize,
    },
    /// Not the encoding of such a message.
    #[error("not a message: {0}")]
    Malformed(String),
}

/// The wire form of [`Response`]: headers and blocks have their own encodings.
#[derive(SchemaRead, SchemaWrite)]
enum WireResponse {
    Status(Status),
    Headers(Vec<Vec<u8>>),
    Blocks(Vec<Vec<u8>>),
    Transactions(Vec<Vec<u8>>),
    Addresses(Vec<Vec<u8>>),
}

impl Request {
    /// The request's bytes.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads exactly one request within its limits.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        limit(bytes.len(), REQUEST_BYTES_MAX)?;
        check_count(bytes, &[LOCATOR_MAX, BLOCKS_MAX, TRANSACTIONS_MAX])?;
        codec::decode(bytes).map_err(MessageError::Malformed)
    }
}

impl Response {
    /// The answer's bytes.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(&match self {
            Self::Status(status) => WireResponse::Status(status.clone()),
            Self::Headers(headers) => {
                WireResponse::Headers(headers.iter().map(Header::encode).collect())
            }
            Self::Blocks(blocks) => {
                WireResponse::Blocks(blocks.iter().map(Block::encode).collect())
            }
            Self::Transactions(bytes) => WireResponse::Transactions(bytes.clone()),
            Self::Addresses(addresses) => {
                WireResponse::Addresses(addresses.iter().map(|address| address.0.clone()).collect())
            }
        })
    }

    /// Reads exactly one answer within its limits.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        limit(bytes.len(), RESPONSE_BYTES_MAX)?;
        let limits = [
            HEADERS_MAX,
            BLOCKS_MAX,
            TRANSACTIONS_MAX,
            PEER_ADDRESSES_MAX,
        ];
        check_count(bytes, &limits)?;
        match codec::decode(bytes).map_err(MessageError::Malformed)? {
            WireResponse::Status(status) => Ok(Self::Status(status)),
            WireResponse::Headers(items) => {
                let headers = items.iter().map(|item| Header::decode(item));
                headers
                    .collect::<Result<_, _>>()
                    .map(Self::Headers)
                    .map_err(malformed)
            }
            WireResponse::Blocks(items) => {
                let blocks = items.iter().map(|item| Block::decode(item));
                blocks
                    .collect::<Result<_, _>>()
                    .map(Self::Blocks)
                    .map_err(malformed)
            }
            WireResponse::Transactions(items) => Ok(Self::Transactions(items)),
            WireResponse::Addresses(items) => {
                items
                    .iter()
                    .try_for_each(|item| limit(item.len(), PEER_ADDRESS_BYTES_MAX))?;
                Ok(Self::Addresses(
                    items.into_iter().map(PeerAddress).collect(),
                ))
            }
        }
    }
}

impl Gossip {
    /// The bytes published; the topic tells the kind.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Block(block) => block.encode(),
            Self::Transaction(bytes) => bytes.clone(),
        }
    }

    /// Reads what came on the topic of blocks.
    pub fn decode_block(bytes: &[u8]) -> Result<Self, MessageError> {
        limit(bytes.len(), GOSSIP_BYTES_MAX)?;
        Block::decode(bytes).map(Self::Block).map_err(malformed)
    }

    /// Reads what came on the topic of transactions; the bytes are checked later.
    pub fn decode_transaction(bytes: &[u8]) -> Result<Self, MessageError> {
        limit(bytes.len(), TRANSACTION_BYTES_MAX)?;
        Ok(Self::Transaction(bytes.to_vec()))
    }
}

fn limit(got: usize, want: usize) -> Result<(), MessageError> {
    if got > want {
        Err(MessageError::TooLarge { want, got })
    } else {
        Ok(())
    }
}

/// Holds the length of a message's list against the limit of its variant (from 1; variant 0 is a
/// status, and a request for addresses has no list) before the library sets memory aside for it. Whether the bytes are a message otherwise
/// is for the library to say.
fn check_count(bytes: &[u8], limits: &[usize]) -> Result<(), MessageError> {
    let Some((variant, rest)) = bytes.split_first_chunk() else {
        return Ok(());
    };
    let variant = usize::try_from(u32::from_le_bytes(*variant)).unwrap_or(usize::MAX);
    let limit = variant.checked_sub(1).and_then(|list| limits.get(list));
    let (Some(want), Some(count)) = (limit.copied(), rest.first_chunk()) else {
        return Ok(());
    };
    let got = usize::try_from(u64::from_le_bytes(*count)).unwrap_or(usize::MAX);
    if got > want {
        return Err(MessageError::TooMany { want, got });
    }
    Ok(())
}

fn malformed(error: impl std::fmt::Display) -> MessageError {
    MessageError::Malformed(error.to_string())
}
