//! Why a verb did not do what it was asked for, and with which exit code that ends.

use std::{io, path::PathBuf};

use alloy_primitives::Address;
use chain::{
    TxHash,
    transaction::{LimitError, TransactionError},
};

use crate::{
    address::AddressError, answers::Problem, book::BookError, client::ClientError,
    derive::KeyError, files::FileError, guard::GuardError, keystore::KeystoreError,
    message::SignatureError, offline::DocumentError, sealed::SealError, store::StoreError,
};

/// Why a verb did not do what it was asked for. Never contains secrets.
#[derive(Debug, thiserror::Error)]
pub enum VerbError {
    /// Something about the words of the command line, in a sentence.
    #[error("{0}")]
    Usage(String),
    /// The payment is one that people regret.
    #[error("{0}")]
    Guard(#[from] GuardError),
    /// A transfer's gas does not pay for running code.
    #[error(
        "{0} is a contract, which needs more gas than a transfer: say how much with --gas-limit"
    )]
    ToContract(Address),
    /// The transaction would break a limit that no state can lift.
    #[error("{0}")]
    Limit(#[from] LimitError),
    /// An account that does not exist.
    #[error("{0}")]
    Address(#[from] AddressError),
    /// No key for an address.
    #[error("no wallet here has the key of {0}: `lignum wallet list` shows those there are")]
    NoKey(String),
    /// Everybody knows the development keys.
    #[error(
        "{party} is a development account, whose key everybody knows, and network {network} is not a development network"
    )]
    DevKey {
        /// The account, as written.
        party: String,
        /// The network's name.
        network: String,
    },
    /// The directory of wallets.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// A file.
    #[error("{0}")]
    File(#[from] FileError),
    /// The labels.
    #[error("{0}")]
    Book(#[from] BookError),
    /// A wallet cannot be opened.
    #[error("wallet {name:?}: {error}")]
    Open {
        /// Which wallet.
        name: String,
        /// Why not.
        error: KeystoreError,
    },
    /// Sealing failed.
    #[error("{0}")]
    Seal(#[from] SealError),
    /// What was to be imported is no keystore.
    #[error("{0}")]
    Keystore(#[from] KeystoreError),
    /// What was to be imported is no key, or no words.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// An answer that does not do.
    #[error("{0}")]
    Answer(String),
    /// No answer could be read.
    #[error("cannot read an answer: {0}")]
    Prompt(io::Error),
    /// A password file cannot be read.
    #[error("cannot read the password file {path}: {error}")]
    PasswordFile {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The check found something.
    #[error("{0} found, see above")]
    Found(String),
    /// A transaction file.
    #[error("{0}")]
    Document(#[from] DocumentError),
    /// A message's signature.
    #[error("{0}")]
    Signature(#[from] SignatureError),
    /// Somebody else's signature.
    #[error("the signature is by {got}, not by {want}")]
    OtherSigner {
        /// Who was said to have signed.
        want: Address,
        /// Who did.
        got: Address,
    },
    /// The transaction cannot be replaced or cancelled any more.
    #[error("transaction {hash} {reason}")]
    NotWaiting {
        /// The transaction.
        hash: TxHash,
        /// Where it is instead.
        reason: String,
    },
    /// The node does not know an earlier payment, which may still be mined.
    #[error(
        "this account's payment {hash} (nonce {nonce}) is not known to the node: send it again with `lignum wallet broadcast {hash}`, or give it up by paying with --nonce {nonce}"
    )]
    Forgotten {
        /// The payment.
        hash: String,
        /// Its nonce.
        nonce: u64,
    },
    /// The wallet's own transaction is not one for this chain: our defect, never sent.
    #[error("the signed transaction is not valid, it was not sent: {0}")]
    Signed(#[from] TransactionError),
    /// The node was not asked, or did not answer as it should.
    #[error("{0}")]
    Client(#[from] ClientError),
    /// The node refuses the transaction.
    #[error("the node refused the transaction: {0}")]
    Rejected(Problem),
    /// The node took another transaction than the one it was given.
    #[error("the node answered with transaction {got}, sent was {want}")]
    OtherHash {
        /// What was sent.
        want: TxHash,
        /// What the node answered.
        got: TxHash,
    },
    /// Whether the node has the transaction is not known.
    #[error(
        "the node may or may not have transaction {hash}: {error}; look with `lignum wallet history`, send it again with `lignum wallet broadcast {hash}`"
    )]
    Unsure {
        /// The transaction.
        hash: TxHash,
        /// What went wrong.
        error: ClientError,
    },
    /// Sent, but not seen in a block.
    #[error("transaction {hash} was sent, but {reason}")]
    Wait {
        /// The transaction.
        hash: TxHash,
        /// Why waiting ended.
        reason: WaitError,
    },
    /// The node does not offer what a verb needs.
    #[error("node {url} does not {what}: {remedy}")]
    NotOffered {
        /// The node.
        url: String,
        /// What it does not do.
        what: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// Standard output is closed.
    #[error("cannot print: {0}")]
    Output(#[from] io::Error),
}

/// Why waiting for confirmations ended without them.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// Time is up.
    #[error(
        "{confirmations} of {want} confirmations came within {secs} s; wait longer with --timeout"
    )]
    TimedOut {
        /// Confirmations that it has.
        confirmations: u64,
        /// Confirmations that were asked for.
        want: u64,
        /// Seconds waited.
        secs: u64,
    },
    /// Neither in the pool nor in a block.
    #[error("the node no longer knows it: its nonce or balance was used up, or the pool was full")]
    Lost,
    /// No longer in the pool, for a reason that the node tells.
    #[error("then: {0}")]
    Departed(String),
    /// The node went away.
    #[error("then: {0}")]
    Client(#[from] ClientError),
}

impl VerbError {
    /// The process's exit code: 2 usage, 7 wrong network, 8 wallet or password, 9 node
    /// unreachable, 10 rejected by the pool, 1 anything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Guard(error) => error.exit_code(),
            Self::Usage(_) | Self::ToContract(_) | Self::Limit(_) | Self::Address(_) => 2,
            Self::Document(_) | Self::Signature(_) => 2,
            Self::Store(StoreError::Name(_)) | Self::Book(BookError::Label(_)) => 2,
            Self::NoKey(_)
            | Self::DevKey { .. }
            | Self::Store(_)
            | Self::File(_)
            | Self::Book(_)
            | Self::Open { .. }
            | Self::Seal(_)
            | Self::Keystore(_)
            | Self::Key(_)
            | Self::Answer(_)
            | Self::Prompt(_)
            | Self::PasswordFile { .. }
            | Self::Found(_) => 8,
            Self::Client(error)
            | Self::Unsure { error, .. }
            | Self::Wait {
                reason: WaitError::Client(error),
                ..
            } => client_exit_code(error),
            Self::Rejected(_) | Self::NotWaiting { .. } => 10,
            Self::Signed(_)
            | Self::OtherHash { .. }
            | Self::OtherSigner { .. }
            | Self::Forgotten { .. }
            | Self::Wait { .. }
            | Self::NotOffered { .. }
            | Self::Output(_) => 1,
        }
    }
}

fn client_exit_code(error: &ClientError) -> u8 {
    match error {
        ClientError::Url { .. } => 2,
        ClientError::Unreachable { .. } | ClientError::TimedOut { .. } => 9,
        ClientError::TooLarge { .. } | ClientError::Malformed { .. } | ClientError::Problem(_) => 1,
    }
}
