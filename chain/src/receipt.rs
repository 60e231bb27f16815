//! Receipts: what a transaction did, committed by the receipts root (Rule S1).
//!
//! Kept and stored without the bloom filter, which is a function of the logs.

use alloy_consensus::{Eip658Value, Receipt as AlloyReceipt, ReceiptEnvelope, TxReceipt};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, Log as AlloyLog};
use wincode::{SchemaRead, SchemaWrite};

use crate::{hash::Root, merkle};

/// One event a contract emitted.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Log {
    /// The contract.
    pub address: [u8; 20],
    /// Up to four indexed words.
    pub topics: Vec<[u8; 32]>,
    /// The rest of the event.
    pub data: Vec<u8>,
}

/// The outcome of one transaction.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Receipt {
    /// The transaction's EIP-2718 type.
    pub tx_type: u8,
    /// False where execution reverted or ran out of gas.
    pub success: bool,
    /// Gas used by this and all earlier transactions of the block.
    pub cumulative_gas: u64,
    /// Events in order.
    pub logs: Vec<Log>,
}

impl Receipt {
    /// EIP-2718: type byte (none for type 0) and rlp[status, cumulative gas, bloom, logs].
    pub fn encode(&self) -> Vec<u8> {
        let receipt = AlloyReceipt {
            status: Eip658Value::Eip658(self.success),
            cumulative_gas_used: self.cumulative_gas,
            logs: self.logs.iter().map(alloy_log).collect::<Vec<_>>(),
        };
        let with_bloom = receipt.into_with_bloom();
        match self.tx_type {
            0 => ReceiptEnvelope::Legacy(with_bloom),
            1 => ReceiptEnvelope::Eip2930(with_bloom),
            _ => ReceiptEnvelope::Eip1559(with_bloom),
        }
        .encoded_2718()
    }
}

/// The receipts root of a block.
pub fn receipts_root(receipts: &[Receipt]) -> Root {
    let encoded: Vec<_> = receipts.iter().map(Receipt::encode).collect();
    merkle::root(&encoded)
}

fn alloy_log(log: &Log) -> AlloyLog {
    let topics = log.topics.iter().map(|topic| (*topic).into()).collect();
    AlloyLog::new_unchecked(Address::from(log.address), topics, log.data.clone().into())
}
