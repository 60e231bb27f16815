//! How much memory the state may take, and what is said when it takes more.
//!
//! Accounts, storage and code are all in memory, so a state that outgrows the machine would end the
//! node at any moment. A budget ends it at a safe one: between two commits, with a sentence.
//! Looked at by the core after each commit, by imports, and on start before the state is read.

use chain::Node;
use state::Evm;

use crate::failure::{Exit, Failure};

/// Bytes of a MiB.
const MIB: u64 = 1024 * 1024;
/// Budget unless told otherwise, in MiB: about 16 million accounts.
pub const DEFAULT_MIB: u64 = 4_096;
/// Least bytes that an account or slot takes: a leaf and an inner node of the state tree.
const ENTRY_BYTES: u64 = 128 + 96;
/// Share of the budget, in percent, from which on its owner is warned.
const WARN_PERCENT: u64 = 90;

/// Bytes of memory that the state may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget(u64);

/// How a use stands to the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Well below.
    Low,
    /// Near it.
    Near,
    /// Above.
    Exceeded,
}

impl Default for Budget {
    fn default() -> Self {
        Self::of_mib(DEFAULT_MIB)
    }
}

/// What the versions in memory take together. Each has what it does not share with the one it was
/// made from; one of them, as large as the largest, is counted whole.
pub fn used(node: &Node<Evm>) -> u64 {
    let (mut whole, mut own) = (0, 0_u64);
    for memory in node.state_versions().map(state::State::memory) {
        whole = memory.whole.max(whole);
        // One that was read from the store shares with none: it is the whole one.
        if memory.own < memory.whole {
            own = own.saturating_add(memory.own);
        }
    }
    own.saturating_add(whole)
}

impl Budget {
    /// So many MiB.
    pub fn of_mib(mib: u64) -> Self {
        Self(mib.saturating_mul(MIB))
    }

    /// In bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }

    /// How so many bytes stand to it.
    pub fn level(self, used: u64) -> Level {
        if used > self.0 {
            Level::Exceeded
        } else if used.saturating_mul(100) >= self.0.saturating_mul(WARN_PERCENT) {
            Level::Near
        } else {
            Level::Low
        }
    }

    /// An error if a node's state takes more.
    pub fn check(self, node: &Node<Evm>) -> Result<(), Failure> {
        match self.level(used(node)) {
            Level::Exceeded => Err(self.exceeded(used(node))),
            Level::Low | Level::Near => Ok(()),
        }
    }

    /// An error if a state of so many accounts and slots must take more.
    pub fn check_entries(self, entries: u64) -> Result<(), Failure> {
        let used = entries.saturating_mul(ENTRY_BYTES);
        match self.level(used) {
            Level::Exceeded => Err(self.exceeded(used)),
            Level::Low | Level::Near => Ok(()),
        }
    }

    /// What is said when it is nearly used up.
    pub fn near(self, used: u64) -> String {
        format!(
            "the state takes {} of memory, its budget is {}: at that the node ends. Start it with a larger --state-budget, if this machine has the memory",
            shown(used),
            shown(self.0)
        )
    }

    /// What is said when it is used up.
    pub fn exceeded(self, used: u64) -> Failure {
        let what = format!(
            "the state takes {} of memory, more than its budget of {}: start with --state-budget {} or more (in MiB), on a machine that has the memory. The store is whole and has every block",
            shown(used),
            shown(self.0),
            used.saturating_mul(5) / 4 / MIB + 1
        );
        Failure::new(Exit::Other, what)
    }
}

/// Bytes in MiB, to a tenth.
fn shown(bytes: u64) -> String {
    let tenths = u128::from(bytes) * 10 / u128::from(MIB);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_low_near_or_too_much() {
        let budget = Budget::of_mib(1);
        for (used, level) in [
            (0, Level::Low),
            (MIB * 9 / 10, Level::Low),
            (MIB * 9 / 10 + 1, Level::Near),
            (MIB, Level::Near),
            (MIB + 1, Level::Exceeded),
            (u64::MAX, Level::Exceeded),
        ] {
            assert_eq!(budget.level(used), level, "{used}");
        }
        assert_eq!(Budget::of_mib(u64::MAX).level(u64::MAX), Level::Near);
    }

    #[test]
    fn the_sentence_has_both_numbers_and_what_to_do() {
        let told = Budget::of_mib(10).exceeded(11 * MIB + MIB / 2).to_string();
        for word in [
            "11.5 MiB",
            "10.0 MiB",
            "--state-budget 15",
            "store is whole",
        ] {
            assert!(told.contains(word), "{word} is not in: {told}");
        }
    }

    #[test]
    fn an_entry_takes_at_least_what_is_reckoned() {
        let mut builder = state::StateBuilder::default();
        for byte in 0..200 {
            let account = chain::Account {
                nonce: 1,
                ..chain::Account::default()
            };
            builder.account(&chain::Address::repeat_byte(byte), &account);
        }
        let whole = builder.finish(&state::tree::InTurn).memory().whole;
        let reckoned = 200 * ENTRY_BYTES;
        assert!(whole + 96 >= reckoned, "{whole}, {reckoned}");
        assert!(whole < reckoned * 4 / 3, "{whole}, {reckoned}");
    }
}
