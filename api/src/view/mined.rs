//! Blocks of the best chain with what their transactions did and paid.

use std::sync::Arc;

use chain::{
    BlockId, Body, CheckedTransaction, Header, Receipt, StoreError, U256, transaction::hash_of,
};

use crate::View;

/// An executed block.
pub struct MinedBlock {
    /// Which.
    pub(super) id: BlockId,
    /// Its header.
    pub(super) header: Arc<Header>,
    body: Arc<Body>,
    receipts: Arc<Vec<Receipt>>,
}

/// One of its transactions.
pub(super) struct Mined<'a> {
    pub(super) transaction: CheckedTransaction,
    pub(super) receipt: &'a Receipt,
    /// Gas it used.
    pub(super) gas_used: u64,
    /// What a unit of it cost, in wei.
    pub(super) price: u128,
    /// Both multiplied.
    pub(super) fee: U256,
}

impl MinedBlock {
    /// Reads an executed block.
    pub fn read(view: &View, id: BlockId) -> Result<Self, StoreError> {
        let missing = |what: &str| StoreError(format!("no {what} for block {}", id.hash));
        let (reader, hash) = (&view.reader, &id.hash);
        Ok(Self {
            id,
            header: reader.header(hash)?.ok_or_else(|| missing("header"))?,
            body: reader.body(hash)?.ok_or_else(|| missing("body"))?,
            receipts: reader.receipts(hash)?.ok_or_else(|| missing("receipts"))?,
        })
    }

    /// How many transactions it has.
    pub fn transaction_count(&self) -> usize {
        self.body.0.len()
    }

    /// About how many bytes were read for it.
    pub fn bytes(&self) -> usize {
        let bodies: usize = self.body.0.iter().map(Vec::len).sum();
        let logs = self.receipts.iter().flat_map(|receipt| &receipt.logs);
        bodies + logs.map(|log| 148 + log.data.len()).sum::<usize>()
    }

    /// One of its transactions.
    pub(super) fn mined(&self, view: &View, index: u32) -> Result<Mined<'_>, StoreError> {
        let missing = || StoreError(format!("no transaction {index} in block {}", self.id.hash));
        let at = usize::try_from(index).map_err(|_| missing())?;
        let bytes = self.body.0.get(at).ok_or_else(missing)?;
        let damaged = |error| {
            let hash = hash_of(bytes);
            StoreError(format!("transaction {hash} is damaged: {error}"))
        };
        let transaction = CheckedTransaction::check(bytes, view.spec.chain_id).map_err(damaged)?;
        Mined::new(&self.header, &self.receipts, at, transaction)
    }
}

impl<'a> Mined<'a> {
    /// A block's transaction with what it did. A receipt's own gas is the difference of two
    /// cumulative ones.
    pub(super) fn new(
        header: &Header,
        receipts: &'a [Receipt],
        at: usize,
        transaction: CheckedTransaction,
    ) -> Result<Self, StoreError> {
        let missing = || StoreError(format!("no receipt of transaction {}", transaction.hash()));
        let receipt = receipts.get(at).ok_or_else(missing)?;
        let before = at.checked_sub(1).and_then(|at| receipts.get(at));
        let gas_before = before.map_or(0, |before| before.cumulative_gas);
        let gas_used = receipt.cumulative_gas.saturating_sub(gas_before);
        let base_fee = header.extension.base_fee;
        let price = u128::from(base_fee) + transaction.effective_tip(base_fee).unwrap_or(0);
        Ok(Self {
            transaction,
            receipt,
            gas_used,
            price,
            fee: U256::from(price).saturating_mul(U256::from(gas_used)),
        })
    }
}
