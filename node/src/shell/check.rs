//! The stateless check on all cores: transactions of a block in parallel, headers too.
//!
//! What the pool has was checked when it came, so its sender is taken from there and not recovered
//! again. Runs on rayon's threads, never on the core thread or the network task.

use std::sync::Arc;

use chain::{
    Block, ChainSpec, CheckedBlock, CheckedHeader, CheckedTransaction, Header, MatchedBlock,
    PoolSnapshot, Reader, Stage, StoreError,
    check::CheckError,
    hash::BlockHash,
    transaction::{TransactionError, hash_of},
};
use prometheus_client::metrics::counter::Counter;
use rayon::prelude::*;

/// How the senders of the transactions in blocks were found.
#[derive(Clone, Debug, Default)]
pub struct SenderCounts {
    /// Those that the pool knew.
    pub known: Counter,
    /// Those that were recovered from their signatures.
    pub recovered: Counter,
}

/// Who knows senders: the pool as it was lately, or nobody.
#[derive(Clone, Debug, Default)]
pub struct Senders {
    pool: Option<Arc<PoolSnapshot>>,
    counts: SenderCounts,
}

impl Senders {
    /// Those of a pool.
    pub fn of(pool: &Arc<PoolSnapshot>, counts: &SenderCounts) -> Self {
        Self {
            pool: Some(Arc::clone(pool)).filter(|pool| !pool.is_empty()),
            counts: counts.clone(),
        }
    }

    /// A transaction that the pool has in these very bytes.
    fn find(&self, bytes: &[u8]) -> Option<CheckedTransaction> {
        let known = self.pool.as_ref()?.get(&hash_of(bytes))?;
        (known.bytes() == bytes).then(|| known.clone())
    }

    /// Checks transactions in parallel, in their order.
    fn check(
        &self,
        items: &[Vec<u8>],
        spec: &ChainSpec,
    ) -> Vec<Result<CheckedTransaction, TransactionError>> {
        let known: Vec<_> = items.iter().map(|bytes| self.find(bytes)).collect();
        let count = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        let found = known.iter().flatten().count();
        self.counts.known.inc_by(count(found));
        self.counts.recovered.inc_by(count(items.len() - found));
        let check = |(bytes, known): (&Vec<u8>, Option<CheckedTransaction>)| {
            known.map_or_else(|| CheckedTransaction::check(bytes, spec.chain_id), Ok)
        };
        let items = items.par_iter().zip(known);
        items.with_min_len(16).map(check).collect()
    }
}

/// Checks a block, its transactions in parallel.
pub fn block(
    block: Block,
    spec: &ChainSpec,
    senders: &Senders,
) -> Result<CheckedBlock, CheckError> {
    matched(MatchedBlock::check(block, spec)?, spec, senders)
}

/// Checks the transactions of a block in parallel.
pub fn matched(
    matched: MatchedBlock,
    spec: &ChainSpec,
    senders: &Senders,
) -> Result<CheckedBlock, CheckError> {
    let results = senders.check(matched.transactions(), spec);
    matched.assemble(results)
}

/// Checks headers in parallel; the first failure in their order is the result.
pub fn headers(headers: Vec<Header>, spec: &ChainSpec) -> Result<Vec<CheckedHeader>, CheckError> {
    headers
        .into_par_iter()
        .map(|header| CheckedHeader::check(header, spec))
        .collect()
}

/// Checks transactions in parallel, in their order.
pub fn transactions(
    items: &[Vec<u8>],
    spec: &ChainSpec,
) -> Result<Vec<CheckedTransaction>, TransactionError> {
    items
        .par_iter()
        .map(|bytes| CheckedTransaction::check(bytes, spec.chain_id))
        .collect()
}

/// Reads a stored block and checks it again: what the disk gives is outside bytes too. `None` if
/// the body was given up after it was asked for; then it comes from a peer again.
pub fn stored(
    hash: &BlockHash,
    spec: &ChainSpec,
    db: &dyn Reader,
) -> Result<Option<CheckedBlock>, StoreError> {
    let missing = |what: &str| StoreError(format!("no {what} for block {hash}"));
    let header = db.header(hash)?.ok_or_else(|| missing("header"))?;
    if db.stage(hash)? == Some(Stage::Header) {
        return Ok(None);
    }
    let body = db.body(hash)?.ok_or_else(|| missing("body"))?;
    let decoded = Block {
        header: Arc::unwrap_or_clone(header),
        body: Arc::unwrap_or_clone(body),
    };
    block(decoded, spec, &Senders::default())
        .map(Some)
        .map_err(|error| StoreError(format!("block {hash} is damaged: {error}")))
}

#[cfg(test)]
pub mod tests {
    use chain::{
        Account, Address, Header, Time,
        header::{Extension, PowHeader},
        merkle,
        pool::{Pool, PoolContext, Source},
    };
    use wallet::{
        dev_key,
        sign::{Transfer, sign_transfer},
    };

    use super::*;

    fn regtest() -> ChainSpec {
        ChainSpec::parse(ChainSpec::builtin("regtest").unwrap())
            .unwrap()
            .spec
    }

    /// So many signed transfers of one sender.
    pub fn transfers(count: u64) -> Vec<Vec<u8>> {
        let key = dev_key(0);
        let transfer = |nonce| Transfer {
            chain_id: 1338,
            nonce,
            to: Address::repeat_byte(1),
            value: 1,
            gas_limit: 21_000,
            max_fee: 2_000_000_000,
            tip: 1,
            input: Vec::new(),
        };
        (0..count)
            .map(|nonce| sign_transfer(&key, &transfer(nonce)))
            .collect()
    }

    /// A pool with these transactions.
    fn pool(transactions: &[Vec<u8>]) -> Arc<PoolSnapshot> {
        let account = Account {
            balance: 1_000_000_000_000_000_000,
            ..Account::default()
        };
        let context = PoolContext {
            gas_limit: 30_000_000,
            base_fee_min: 1_000_000_000,
            base_fee: 1_000_000_000,
            now: Time::default(),
        };
        let mut pool = Pool::default();
        for bytes in transactions {
            let transaction = CheckedTransaction::check(bytes, 1338).unwrap();
            let taken = pool.insert(&transaction, Some(&account), &context, Source::Peer);
            taken.unwrap();
        }
        pool.snapshot()
    }

    /// A block that passes the stateless check.
    fn block_of(transactions: &[Vec<u8>], spec: &ChainSpec) -> Block {
        let extension = Extension {
            height: 1,
            gas_limit: spec.at(1).gas_limit,
            ..Extension::default()
        };
        let pow = PowHeader {
            version: chain::params::HEADER_VERSION,
            bits: spec.pow_limit_bits,
            ..PowHeader::default()
        };
        mined(&Header { pow, extension }, transactions)
    }

    /// A block of these transactions whose header is this one otherwise, with its work done.
    pub fn mined(header: &Header, transactions: &[Vec<u8>]) -> Block {
        let body = chain::Body(transactions.to_vec());
        let extension = Extension {
            transactions_root: merkle::root(&body.0),
            transaction_count: u32::try_from(body.0.len()).unwrap(),
            body_bytes: u32::try_from(body.encoded_len()).unwrap(),
            ..header.extension
        };
        let mut header = Header::sealed(header.pow, extension);
        while !header.pow.bits.target().unwrap().is_met_by(&header.hash()) {
            header.pow.nonce += 1;
        }
        Block { header, body }
    }

    #[test]
    fn a_sender_that_the_pool_knows_is_not_recovered_again() {
        let (spec, bytes) = (regtest(), transfers(40));
        let made = block_of(&bytes, &spec);
        let alone = block(made.clone(), &spec, &Senders::default()).unwrap();
        let counts = SenderCounts::default();
        let senders = Senders::of(&pool(&bytes[..25]), &counts);
        let checked = block(made, &spec, &senders).unwrap();
        assert_eq!((counts.known.get(), counts.recovered.get()), (25, 15));
        assert_eq!(checked, alone);
        let who = |block: &CheckedBlock| {
            let transactions = block.transactions().iter();
            transactions
                .map(|it| (it.sender(), it.hash()))
                .collect::<Vec<_>>()
        };
        assert_eq!(who(&checked), who(&alone));
    }

    #[test]
    fn a_changed_signature_is_checked_whatever_the_pool_has() {
        let (spec, mut bytes) = (regtest(), transfers(3));
        let known = pool(&bytes);
        // The lowest bit of s: another signature of the same transaction, of somebody else.
        *bytes[1].last_mut().unwrap() ^= 1;
        let counts = SenderCounts::default();
        let senders = Senders::of(&known, &counts);
        let result = block(block_of(&bytes, &spec), &spec, &senders);
        assert_eq!((counts.known.get(), counts.recovered.get()), (2, 1));
        let honest = CheckedTransaction::check(&transfers(3)[1], 1338).unwrap();
        match result {
            Ok(checked) => assert_ne!(checked.transactions()[1].sender(), honest.sender()),
            Err(error) => assert!(matches!(error, CheckError::Transaction { index: 1, .. })),
        }
    }
}
