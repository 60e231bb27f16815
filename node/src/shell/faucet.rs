//! The faucet of dev networks: the last dev account pays, and the node signs for it.
//!
//! Everybody knows its key, so nothing is given away that was not free before. Called by `running`.

use std::sync::Arc;

use api::faucet::{Faucet, Payment};
use wallet::{
    dev_key,
    sign::{TRANSFER_GAS, Transfer, sign_transfer},
};

/// Number of the dev account that pays: the last of those that devnets fund.
const ACCOUNT: u32 = 9;

/// A faucet. Only a dev network may have one.
pub fn faucet() -> Arc<Faucet> {
    let key = dev_key(ACCOUNT);
    let address = key.address();
    let sign = move |payment: &Payment| sign_transfer(&key, &transfer(payment));
    Arc::new(Faucet::new(address, Box::new(sign)))
}

fn transfer(payment: &Payment) -> Transfer {
    Transfer {
        chain_id: payment.chain_id,
        nonce: payment.nonce,
        to: payment.to,
        value: payment.value,
        gas_limit: TRANSFER_GAS,
        max_fee: payment.max_fee,
        tip: payment.tip,
        input: Vec::new(),
    }
}
