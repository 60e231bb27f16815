//! What the machine is told about a block and a transaction (Rule S1's environment).

use alloy_consensus::Transaction as _;
use chain::{BlockEnv, CheckedTransaction, params::TRANSACTION_GAS_MAX};
use revm::{
    context::{BlockEnv as Block, CfgEnv, TxEnv},
    context_interface::block::BlobExcessGasAndPrice,
    handler::MainnetContext,
    primitives::{TxKind, U256, hardfork::SpecId},
};

use super::Ledger;

/// The rule set from height 0 on. Named here rather than left to the library's default, which
/// moves with its versions and knows rule sets that are not final.
const RULE_SET: SpecId = SpecId::OSAKA;

/// The machine's surroundings for one block.
pub(super) fn context<'a>(env: &BlockEnv<'_>, ledger: Ledger<'a>) -> MainnetContext<Ledger<'a>> {
    let mut config = CfgEnv::new_with_spec(RULE_SET).with_chain_id(env.spec.chain_id);
    config.tx_gas_limit_cap = Some(TRANSACTION_GAS_MAX);
    MainnetContext::new(ledger, RULE_SET)
        .with_cfg(config)
        .with_block(block(env))
}

fn block(env: &BlockEnv<'_>) -> Block {
    Block {
        number: U256::from(env.height),
        beneficiary: env.beneficiary,
        timestamp: U256::from(env.time),
        gas_limit: env.gas_limit,
        basefee: env.base_fee,
        difficulty: U256::ZERO,
        prevrandao: Some(env.prevrandao().into()),
        // No blobs; BLOBBASEFEE shows the price's floor.
        blob_excess_gas_and_price: Some(BlobExcessGasAndPrice {
            excess_blob_gas: 0,
            blob_gasprice: 1,
        }),
        slot_num: 0,
    }
}

/// A transaction as the machine takes it.
pub(super) fn transaction(transaction: &CheckedTransaction) -> TxEnv {
    let envelope = transaction.envelope();
    TxEnv {
        tx_type: transaction.tx_type(),
        caller: transaction.sender(),
        gas_limit: transaction.gas_limit(),
        gas_price: transaction.max_fee(),
        kind: transaction.to().map_or(TxKind::Create, TxKind::Call),
        value: transaction.value(),
        data: envelope.input().clone(),
        nonce: transaction.nonce(),
        chain_id: envelope.chain_id(),
        access_list: envelope.access_list().cloned().unwrap_or_default(),
        gas_priority_fee: envelope.max_priority_fee_per_gas(),
        // Types 3 and 4 do not exist here.
        blob_hashes: Vec::new(),
        max_fee_per_blob_gas: 0,
        authorization_list: Vec::new(),
    }
}
