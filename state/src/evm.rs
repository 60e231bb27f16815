//! Execution by revm: transactions, transfers and calls alike, take this one path (Rule S1).
//!
//! The only part of the crate that knows revm. One machine is built for a block; each transaction
//! is checked by `rules`, run, and committed to the block's overlay.

mod code;
mod crypto;
mod database;
mod environment;

use alloy_primitives::Address;
use chain::{
    Account, BlockEnv, ChainSpec, ChangeSet, CheckedTransaction, Executed, Execution, Log, Receipt,
    Root,
    execution::TransactionFault,
    params::{SPEC_GAS_LIMIT_MIN, TEMPLATE_MISSES_MAX},
};
use revm::{
    DatabaseCommit, ExecuteEvm, MainBuilder, MainnetEvm, context::result::ExecutionResult,
    handler::MainnetContext,
};

pub(crate) use code::Code;

use crate::{
    overlay::Overlay,
    rules::{self, Unfit},
    version::State,
};
use database::Ledger;

/// Runs blocks under the OSAKA rule set. Holds no state of its own.
#[derive(Clone, Copy, Debug)]
pub struct Evm(());

impl Evm {
    /// Prepares the machine. It is the same for every network.
    pub fn new() -> Self {
        // For the whole process. A second time it is refused, and then ours is already there.
        let _ = revm::precompile::install_crypto(crypto::Libsecp);
        Self(())
    }
}

impl Default for Evm {
    fn default() -> Self {
        Self::new()
    }
}

impl Execution for Evm {
    type State = State;

    fn genesis(&self, spec: &ChainSpec) -> State {
        State::genesis(spec)
    }

    fn root(&self, state: &State) -> Root {
        state.root()
    }

    fn account(&self, state: &State, address: &Address) -> Option<Account> {
        state.account(address)
    }

    fn execute(
        &self,
        parent: &State,
        env: &BlockEnv<'_>,
        transactions: &[CheckedTransaction],
    ) -> Result<Executed<State>, TransactionFault> {
        let mut run = Run::new(parent, env);
        for (index, transaction) in transactions.iter().enumerate() {
            run.execute(transaction).map_err(|unfit| TransactionFault {
                index,
                reason: unfit.to_string(),
            })?;
        }
        Ok(run.finish())
    }

    fn select<'a>(
        &self,
        parent: &State,
        env: &BlockEnv<'_>,
        candidates: impl IntoIterator<Item = &'a CheckedTransaction>,
        body_bytes_max: u32,
    ) -> (Executed<State>, Vec<usize>) {
        let mut run = Run::new(parent, env);
        let mut taken = Vec::new();
        // A body is a count of 8 bytes, and 8 bytes of length before each transaction.
        let mut bytes_left = usize::try_from(body_bytes_max)
            .unwrap_or(usize::MAX)
            .saturating_sub(8);
        let mut misses = 0;
        for (index, candidate) in candidates.into_iter().enumerate() {
            let bytes = 8 + candidate.bytes().len();
            let has_room = bytes <= bytes_left && candidate.gas_limit() <= run.gas_left();
            // What follows a skipped one of the same sender fails by its nonce.
            if has_room && run.execute(candidate).is_ok() {
                bytes_left -= bytes;
                taken.push(index);
            } else {
                misses += 1;
            }
            if run.gas_left() < SPEC_GAS_LIMIT_MIN || misses == TEMPLATE_MISSES_MAX {
                break;
            }
        }
        (run.finish(), taken)
    }

    fn apply(&self, state: &State, changes: &ChangeSet) -> State {
        state.after(changes)
    }

    fn revert(&self, state: &State, changes: &ChangeSet) -> State {
        state.before(changes)
    }
}

/// A block under way.
struct Run<'a> {
    machine: MainnetEvm<MainnetContext<Ledger<'a>>>,
    parent: &'a State,
    env: BlockEnv<'a>,
    gas_used: u64,
    receipts: Vec<Receipt>,
}

impl<'a> Run<'a> {
    fn new(parent: &'a State, env: &BlockEnv<'a>) -> Self {
        let ledger = Ledger {
            overlay: Overlay::new(parent),
            block_hash: env.block_hash,
        };
        Self {
            machine: environment::context(env, ledger).build_mainnet(),
            parent,
            env: *env,
            gas_used: 0,
            receipts: Vec::new(),
        }
    }

    fn gas_left(&self) -> u64 {
        self.env.gas_limit.saturating_sub(self.gas_used)
    }

    fn overlay(&mut self) -> &mut Overlay<'a> {
        &mut self.machine.ctx.journaled_state.database.overlay
    }

    /// Runs one transaction; if it is unfit, nothing changes.
    fn execute(&mut self, transaction: &CheckedTransaction) -> Result<(), Unfit> {
        let (base_fee, gas_left) = (self.env.base_fee, self.gas_left());
        let sender = self.overlay().account(transaction.sender()).as_ref();
        rules::check(transaction, sender, base_fee, gas_left)?;
        let result = self
            .machine
            .transact_one(environment::transaction(transaction));
        // Empties the journal, also after a refusal.
        let outcomes = self.machine.finalize();
        let result = result.map_err(|error| Unfit::Machine(error.to_string()))?;
        self.machine.ctx.journaled_state.database.commit(outcomes);
        self.gas_used += result.tx_gas_used();
        let receipt = receipt(transaction.tx_type(), result, self.gas_used);
        self.receipts.push(receipt);
        Ok(())
    }

    /// Pays the reward and moves the state (Rule S2: after the last transaction).
    fn finish(mut self) -> Executed<State> {
        let reward = self.env.spec.reward(self.env.height);
        let beneficiary = self.env.beneficiary;
        self.overlay().credit(beneficiary, reward);
        let changes = self
            .machine
            .ctx
            .journaled_state
            .database
            .overlay
            .into_changes();
        let state = self.parent.after(&changes);
        Executed {
            state_root: state.root(),
            state,
            changes,
            receipts: self.receipts,
            gas_used: self.gas_used,
        }
    }
}

fn receipt(tx_type: u8, result: ExecutionResult, cumulative_gas: u64) -> Receipt {
    let success = result.is_success();
    // A revert undoes its events with the rest.
    let logs = result.into_logs().into_iter().map(|log| Log {
        address: log.address.0.0,
        topics: log.topics().iter().map(|topic| topic.0).collect(),
        data: log.data.data.to_vec(),
    });
    Receipt {
        tx_type,
        success,
        cumulative_gas,
        logs: logs.collect(),
    }
}
