//! The faucet of a dev network: an account whose key everybody knows gives money to whoever may ask.
//!
//! This crate signs nothing: `node` hands in a function that does. Payments are made one at a time, so
//! that each gets a nonce of its own. Called by `rest`.

use chain::{Address, CheckedTransaction, PoolError, TxHash, U256};
use tokio::{
    sync::{Mutex, MutexGuard},
    time::timeout,
};

use crate::limits::FAUCET_TIME_OUT;

/// What is to be signed: an EIP-1559 transfer of 21,000 gas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// The chain.
    pub chain_id: u64,
    /// The faucet's next.
    pub nonce: u64,
    /// Who is paid.
    pub to: Address,
    /// Wei.
    pub value: u128,
    /// The most to pay for a unit of gas, in wei.
    pub max_fee: u128,
    /// The miner's part of it.
    pub tip: u128,
}

/// Gives the bytes of a payment that is signed.
pub type Sign = Box<dyn Fn(&Payment) -> Vec<u8> + Send + Sync>;

/// An account that gives money away.
pub struct Faucet {
    address: Address,
    sign: Sign,
    turn: Mutex<()>,
}

impl Faucet {
    /// A faucet of this account.
    pub fn new(address: Address, sign: Sign) -> Self {
        Self {
            address,
            sign,
            turn: Mutex::new(()),
        }
    }

    /// Whose money it is.
    pub fn address(&self) -> Address {
        self.address
    }

    /// Waits for one's turn; nothing if that takes too long. Nobody else pays until it is dropped.
    pub(crate) async fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        timeout(FAUCET_TIME_OUT, self.turn.lock()).await.ok()
    }

    /// A payment as a transaction.
    pub(crate) fn signed(&self, payment: &Payment) -> CheckedTransaction {
        let bytes = (self.sign)(payment);
        CheckedTransaction::check(&bytes, payment.chain_id).expect("the node signs properly")
    }
}

/// A payment that the pool has taken.
#[derive(Debug)]
pub(crate) struct Paid {
    pub(crate) hash: TxHash,
    pub(crate) payment: Payment,
}

/// Whether somebody else has used the nonce meanwhile, who knows the key too.
pub(crate) fn is_nonce_taken(error: &PoolError) -> bool {
    matches!(
        error,
        PoolError::NonceTooLow { .. } | PoolError::Underpriced { .. } | PoolError::Known(_)
    )
}

/// What it would need and what it has, where it has too little.
pub(crate) fn shortage(error: &PoolError) -> Option<(U256, U256)> {
    match error {
        PoolError::Balance { want, got } => Some((*want, U256::from(*got))),
        _ => None,
    }
}
