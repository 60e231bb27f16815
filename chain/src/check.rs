//! The stateless check: what can be said of a block without its chain.
//!
//! Cheapest first: proof of work before anything else. Runs outside the core, its transactions
//! in parallel; the core takes nothing but the types made here. Neither type has any other
//! constructor.

use std::sync::Arc;

use alloy_primitives::U256;

use crate::{
    block::{Block, Body},
    effect::Fault,
    fork_choice::Rank,
    hash::{BlockHash, Root},
    header::Header,
    merkle,
    params::{HEADER_VERSION, HEADER_WIRE_BYTES, TRANSACTION_MEMORY_BYTES, VERSION_ROLL_MASK},
    spec::ChainSpec,
    store::BlockId,
    transaction::{CheckedTransaction, TransactionError},
    work::{Bits, Target},
};

/// Why a header or block is refused before its chain is looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// Rule H1.
    #[error("bits {0} are not a target within the proof-of-work limit")]
    Bits(Bits),
    /// Rule H1.
    #[error("hash {hash} does not meet the target of bits {bits}")]
    Work {
        /// The block.
        hash: BlockHash,
        /// Its bits.
        bits: Bits,
    },
    /// Rule H2.
    #[error("version 0x{0:08x} differs from 0x20000000 in bits that a miner may not roll")]
    Version(u32),
    /// Rule H2: the extension is not the one the 80 bytes commit to.
    #[error("the extension does not match the commitment of block {0}")]
    Commitment(BlockHash),
    /// Rule B1.
    #[error("{field} is {got}, wanted {want}")]
    Limit {
        /// The header's field.
        field: &'static str,
        /// What the schedule or the body asks for.
        want: u64,
        /// What the header says.
        got: u64,
    },
    /// Rule B1: the body is not the one the extension commits to.
    #[error("the body's {field} is {got}, the header says {want}")]
    Body {
        /// The header's field.
        field: &'static str,
        /// What the header says.
        want: String,
        /// What the body gives.
        got: String,
    },
    /// Rules T1 to T3, in a body that matches its header.
    #[error("transaction {index}: {error}")]
    Transaction {
        /// Its place in the body.
        index: usize,
        /// What is wrong with it.
        error: TransactionError,
    },
}

impl CheckError {
    /// What the sender is charged with.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Bits(_) | Self::Work { .. } => Fault::InvalidWork,
            Self::Commitment(_) | Self::Body { .. } => Fault::Mismatch,
            Self::Version(_) | Self::Limit { .. } | Self::Transaction { .. } => Fault::InvalidBlock,
        }
    }
}

/// A header that satisfies H1, the stateless parts of H2, and the header part of B1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedHeader {
    header: Arc<Header>,
    hash: BlockHash,
    target: Target,
}

impl CheckedHeader {
    /// Checks a header from outside.
    pub fn check(header: Header, spec: &ChainSpec) -> Result<Self, CheckError> {
        let hash = header.hash();
        let target = check_work(&header, &hash, spec)?;
        // Rule H2: only the bits of BIP 320 may be rolled.
        if header.pow.version & !VERSION_ROLL_MASK != HEADER_VERSION {
            return Err(CheckError::Version(header.pow.version));
        }
        // Rule H2: the 80 bytes commit to the extension.
        if header.pow.commitment != header.extension.commitment() {
            return Err(CheckError::Commitment(hash));
        }
        check_limits(&header, spec)?;
        Ok(Self {
            header: Arc::new(header),
            hash,
            target,
        })
    }

    /// The header.
    pub fn header(&self) -> &Arc<Header> {
        &self.header
    }

    /// Its hash.
    pub fn hash(&self) -> BlockHash {
        self.hash
    }

    /// Its height and hash.
    pub fn id(&self) -> BlockId {
        BlockId {
            height: self.header.extension.height,
            hash: self.hash,
        }
    }

    /// The work it stands for by itself.
    pub fn work(&self) -> U256 {
        self.target.work()
    }

    /// Its rank, if its chain work is what it claims (Rule H2 checks that).
    pub fn rank(&self) -> Rank {
        Rank::new(self.header.extension.chain_work, &self.hash)
    }
}

/// Rule H1: the bits give a target within the limit, and the hash meets it.
fn check_work(header: &Header, hash: &BlockHash, spec: &ChainSpec) -> Result<Target, CheckError> {
    let bits = header.pow.bits;
    let target = bits.target().filter(|target| *target <= spec.pow_limit());
    let target = target.ok_or(CheckError::Bits(bits))?;
    if !target.is_met_by(hash) {
        return Err(CheckError::Work { hash: *hash, bits });
    }
    Ok(target)
}

/// Rule B1, header part: the scheduled gas limit, gas used within it, a body within its limit.
fn check_limits(header: &Header, spec: &ChainSpec) -> Result<(), CheckError> {
    let extension = &header.extension;
    let schedule = spec.at(extension.height);
    let limit = |field, want, got| Err(CheckError::Limit { field, want, got });
    if extension.gas_limit != schedule.gas_limit {
        return limit("gas_limit", schedule.gas_limit, extension.gas_limit);
    }
    if extension.gas_used > extension.gas_limit {
        return limit("gas_used", extension.gas_limit, extension.gas_used);
    }
    if extension.body_bytes > schedule.block_bytes_max {
        let (want, got) = (schedule.block_bytes_max, extension.body_bytes);
        return limit("body_bytes", u64::from(want), u64::from(got));
    }
    Ok(())
}

/// A block that satisfies H1, B1, T1 to T3 and the stateless parts of H2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedBlock {
    header: CheckedHeader,
    body: Arc<Body>,
    transactions: Arc<Vec<CheckedTransaction>>,
}

/// A block whose header is checked and whose body matches it; the transactions come next.
#[derive(Debug)]
pub struct MatchedBlock {
    header: CheckedHeader,
    body: Body,
}

impl MatchedBlock {
    /// Checks the header, and that the body is the one it commits to.
    pub fn check(block: Block, spec: &ChainSpec) -> Result<Self, CheckError> {
        let header = CheckedHeader::check(block.header, spec)?;
        check_body(&header.header, &block.body)?;
        Ok(Self {
            header,
            body: block.body,
        })
    }

    /// The transactions' bytes, to be checked with [`CheckedTransaction::check`] in any order.
    pub fn transactions(&self) -> &[Vec<u8>] {
        &self.body.0
    }

    /// The header.
    pub fn header(&self) -> &CheckedHeader {
        &self.header
    }

    /// Joins the block and its transactions' results, given in the order of the body.
    ///
    /// # Panics
    /// If the results are not those of [`MatchedBlock::transactions`].
    pub fn assemble(
        self,
        results: Vec<Result<CheckedTransaction, TransactionError>>,
    ) -> Result<CheckedBlock, CheckError> {
        assert_eq!(
            results.len(),
            self.body.0.len(),
            "one result for each transaction"
        );
        let mut transactions = Vec::with_capacity(results.len());
        for (index, result) in results.into_iter().enumerate() {
            let checked = result.map_err(|error| CheckError::Transaction { index, error })?;
            assert_eq!(
                checked.bytes(),
                self.body.0[index],
                "results in the order of the body"
            );
            transactions.push(checked);
        }
        Ok(CheckedBlock {
            header: self.header,
            body: Arc::new(self.body),
            transactions: Arc::new(transactions),
        })
    }
}

impl CheckedBlock {
    /// The whole check on one thread; shells with many cores use [`MatchedBlock`].
    pub fn check(block: Block, spec: &ChainSpec) -> Result<Self, CheckError> {
        let matched = MatchedBlock::check(block, spec)?;
        let check = |bytes: &Vec<u8>| CheckedTransaction::check(bytes, spec.chain_id);
        let results = matched.transactions().iter().map(check).collect();
        matched.assemble(results)
    }

    /// The header.
    pub fn header(&self) -> &CheckedHeader {
        &self.header
    }

    /// Height and hash.
    pub fn id(&self) -> BlockId {
        self.header.id()
    }

    /// The transactions' bytes.
    pub fn body(&self) -> &Arc<Body> {
        &self.body
    }

    /// The transactions.
    pub fn transactions(&self) -> &[CheckedTransaction] {
        &self.transactions
    }

    /// The decoded block.
    pub fn to_block(&self) -> Block {
        Block {
            header: Header::clone(&self.header.header),
            body: Body::clone(&self.body),
        }
    }

    /// Bytes of its encoding: what it costs on the wire and on disk.
    pub fn size(&self) -> usize {
        self.body.encoded_len() + HEADER_WIRE_BYTES
    }

    /// Bytes that keeping it in memory costs, about: its body, and each transaction decoded.
    pub fn memory(&self) -> usize {
        let decoded = self.transactions.len() * TRANSACTION_MEMORY_BYTES;
        self.size() * 2 + decoded
    }
}

/// Rule B1, body part: count, size and root are those of the header.
fn check_body(header: &Header, body: &Body) -> Result<(), CheckError> {
    let extension = &header.extension;
    let compare = |field, want: u32, got: usize| {
        let same = usize::try_from(want).is_ok_and(|want| want == got);
        let (want, got) = (want.to_string(), got.to_string());
        if same {
            Ok(())
        } else {
            Err(CheckError::Body { field, want, got })
        }
    };
    compare(
        "transaction_count",
        extension.transaction_count,
        body.0.len(),
    )?;
    compare("body_bytes", extension.body_bytes, body.encoded_len())?;
    let root: Root = merkle::root(&body.0);
    if root != extension.transactions_root {
        let (want, got) = (extension.transactions_root.to_string(), root.to_string());
        return Err(CheckError::Body {
            field: "transactions_root",
            want,
            got,
        });
    }
    Ok(())
}
