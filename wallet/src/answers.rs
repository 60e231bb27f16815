//! What a node's REST API answers, as far as the wallet reads it.
//!
//! Unknown keys are ignored, so that a newer node can say more. Amounts and hashes travel as
//! text and are read as the types they are. Called by `client`.

use std::{fmt, str::FromStr};

use alloy_primitives::{Address, B256, Bytes};
use chain::{BlockHash, TxHash};
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::amount::WEI_PER_GWEI;

/// `GET /v1/status`
#[derive(Clone, Debug, Deserialize)]
pub struct Status {
    /// What transactions are signed for.
    pub chain_id: u64,
    /// The network's name.
    #[serde(deserialize_with = "one_line")]
    pub network: String,
    /// The network's first block, which commits to all its rules.
    #[serde(deserialize_with = "text")]
    pub genesis: BlockHash,
    /// Whether the network is a throw-away one, on which well-known keys may be used.
    #[serde(default)]
    pub dev: bool,
    /// The best block.
    pub head: Head,
    /// Wei per gas that the next block burns.
    #[serde(deserialize_with = "text")]
    pub base_fee: u64,
    /// Wei per gas that makes a miner take a transaction soon.
    #[serde(default = "usual_tip", deserialize_with = "text")]
    pub suggested_tip: u128,
}

/// A block that an answer was read at.
#[derive(Clone, Debug, Deserialize)]
pub struct Head {
    /// Its number.
    pub height: u64,
    /// Its hash.
    #[serde(deserialize_with = "text")]
    pub hash: BlockHash,
}

/// `GET /v1/accounts/{address}`
#[derive(Clone, Debug, Deserialize)]
pub struct Account {
    /// Whose it is.
    #[serde(deserialize_with = "text")]
    pub address: Address,
    /// The block it was read at.
    pub head: Head,
    /// What the best chain says.
    pub chain: AccountInChain,
    /// What the pool would add to it.
    pub pool: AccountInPool,
}

/// The confirmed part of an account.
#[derive(Clone, Debug, Deserialize)]
pub struct AccountInChain {
    /// Transactions it has sent.
    pub nonce: u64,
    /// Wei it has.
    #[serde(deserialize_with = "text")]
    pub balance: u128,
    /// The hash of its code, if it is a contract.
    #[serde(default, deserialize_with = "optional_text")]
    pub code_hash: Option<B256>,
}

/// The unconfirmed part of an account.
#[derive(Clone, Debug, Deserialize)]
pub struct AccountInPool {
    /// The nonce for its next transaction.
    pub nonce_next: u64,
    /// Transactions of it that could be mined.
    pub pending: u64,
    /// Transactions of it that wait for others of its own, or for money.
    #[serde(default)]
    pub queued: u64,
    /// The most wei that all of those can take.
    #[serde(deserialize_with = "text")]
    pub pending_cost: u128,
}

/// `POST /v1/transactions`
#[derive(Clone, Debug, Deserialize)]
pub struct Submitted {
    /// The transaction's hash.
    #[serde(deserialize_with = "text")]
    pub hash: TxHash,
    /// Whether the pool survives a restart of the node.
    #[serde(default)]
    pub durable: bool,
}

/// `GET /v1/transactions/{hash}`
#[derive(Clone, Debug, Deserialize)]
pub struct Transaction {
    /// Its hash.
    #[serde(deserialize_with = "text")]
    pub hash: TxHash,
    /// Where it is.
    pub status: TransactionStatus,
    /// The block it is in, if any.
    #[serde(default)]
    pub block: Option<Inclusion>,
}

/// Where a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TransactionStatus {
    /// In a block of the best chain.
    Mined,
    /// In the pool.
    Pending,
    /// Only in a block off the best chain.
    Side,
}

/// What a transaction says: more of `GET /v1/transactions/{hash}`, for who wants to replace it.
#[derive(Clone, Debug, Deserialize)]
pub struct TransactionDetails {
    /// Where it is.
    pub status: TransactionStatus,
    /// The block it is in, if any.
    #[serde(default)]
    pub block: Option<Inclusion>,
    /// Who signed it.
    #[serde(deserialize_with = "text")]
    pub from: Address,
    /// Who is paid or called; nobody where a contract is made.
    #[serde(default, deserialize_with = "optional_text")]
    pub to: Option<Address>,
    /// Its number among the sender's transactions.
    pub nonce: u64,
    /// Wei paid.
    #[serde(deserialize_with = "text")]
    pub value: u128,
    /// Gas it may use.
    pub gas_limit: u64,
    /// The most it pays for a unit of gas, in wei.
    #[serde(deserialize_with = "text")]
    pub max_fee: u128,
    /// The most of that which goes to the miner, in wei.
    #[serde(deserialize_with = "text")]
    pub priority_fee: u128,
    /// Call data, in hex.
    #[serde(deserialize_with = "text")]
    pub input: Bytes,
}

/// `GET /v1/fees`
#[derive(Clone, Debug, Deserialize)]
pub struct Fees {
    /// What to pay, by how soon.
    pub estimates: Vec<FeeEstimate>,
}

/// What to pay to be mined within so many blocks.
#[derive(Clone, Debug, Deserialize)]
pub struct FeeEstimate {
    /// Blocks.
    pub blocks: u64,
    /// The most to pay for a unit of gas, in wei.
    #[serde(deserialize_with = "text")]
    pub max_fee: u128,
    /// The miner's part of it, in wei.
    #[serde(deserialize_with = "text")]
    pub tip: u128,
}

/// `GET /v1/accounts/{address}/transactions`
#[derive(Clone, Debug, Deserialize)]
pub struct History {
    /// The account's transactions, newest first.
    pub transactions: Vec<HistoryEntry>,
    /// Where the next page begins, if there is one.
    #[serde(default)]
    pub next_cursor: Option<String>,
    /// The block it was read at.
    pub head: Head,
}

/// A mined transaction as one of its accounts sees it.
#[derive(Clone, Debug, Deserialize)]
pub struct HistoryEntry {
    /// Its hash.
    #[serde(deserialize_with = "text")]
    pub hash: TxHash,
    /// The block it is in.
    pub block: Head,
    /// Its place in the block.
    pub index: u64,
    /// Who signed it.
    #[serde(deserialize_with = "text")]
    pub from: Address,
    /// Who was paid or called.
    #[serde(default, deserialize_with = "optional_text")]
    pub to: Option<Address>,
    /// Wei paid.
    #[serde(deserialize_with = "text")]
    pub value: u128,
    /// Wei that its gas cost.
    #[serde(deserialize_with = "text")]
    pub fee: u128,
    /// Its number among the sender's transactions.
    pub nonce: u64,
    /// Whether it came in or went out.
    pub direction: Direction,
    /// Whether it did what it was to do.
    pub status: Outcome,
}

/// Which way money went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// To the account.
    In,
    /// From the account.
    Out,
    /// Both.
    #[serde(rename = "self")]
    Own,
}

/// What became of a mined transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It took effect.
    Success,
    /// It was undone, and its gas paid.
    Failed,
}

/// The block that a transaction is in.
#[derive(Clone, Debug, Deserialize)]
pub struct Inclusion {
    /// The block's number.
    pub height: u64,
    /// The block's hash.
    #[serde(deserialize_with = "text")]
    pub hash: BlockHash,
    /// Blocks of the best chain from this one to the head, both counted.
    pub confirmations: u64,
}

/// An error as the node explains it (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// What went wrong, in a sentence.
    #[serde(deserialize_with = "one_line")]
    pub detail: String,
    /// A stable name for it.
    #[serde(deserialize_with = "one_line")]
    pub code: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.detail, self.code)
    }
}

fn usual_tip() -> u128 {
    WEI_PER_GWEI
}

/// Reads text as a value that can be parsed from it.
fn text<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    let text = String::deserialize(deserializer)?;
    text.parse()
        .map_err(|error| D::Error::custom(format!("{:?}: {error}", printable(&text))))
}

fn optional_text<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(D::Error::custom))
        .transpose()
}

fn one_line<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    String::deserialize(deserializer).map(|text| printable(&text))
}

/// Text from outside, made fit for a terminal: short, and without control characters.
pub(crate) fn printable(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(500).map(clean).collect()
}
