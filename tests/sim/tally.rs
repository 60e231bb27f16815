//! What happened in a run: faults by kind, and situations that the checkers are there for.
//!
//! Added up over all seeds; the last test asserts that each really happened.

use std::collections::BTreeMap;

/// A fault that the world did to the nodes, each time counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    Lost,
    Duplicated,
    Overtaken,
    Late,
    Declined,
    Partition,
    LinkReset,
    CrashBeforeCommit,
    CrashAfterCommit,
    CrashAmongEffects,
    ClockJump,
    ClockSkew,
    Sleep,
    HashRate,
    MinerStopped,
    Stalled,
    BadWork,
    BadHeader,
    WrongBody,
    GarbageBody,
    InvalidBlock,
    OrphanFlood,
    LowWorkHeaders,
    BadTransaction,
    Conflict,
    Withheld,
    Rival,
    Early,
    Boast,
    Oversized,
    Garbage,
    Unsolicited,
    OversizedBytes,
    OtherDelivery,
    QuestionFlood,
}

/// Every kind, for the assertion that each happened.
pub const FAULTS: [Fault; 35] = [
    Fault::Lost,
    Fault::Duplicated,
    Fault::Overtaken,
    Fault::Late,
    Fault::Declined,
    Fault::Partition,
    Fault::LinkReset,
    Fault::CrashBeforeCommit,
    Fault::CrashAfterCommit,
    Fault::CrashAmongEffects,
    Fault::ClockJump,
    Fault::ClockSkew,
    Fault::Sleep,
    Fault::HashRate,
    Fault::MinerStopped,
    Fault::Stalled,
    Fault::BadWork,
    Fault::BadHeader,
    Fault::WrongBody,
    Fault::GarbageBody,
    Fault::InvalidBlock,
    Fault::OrphanFlood,
    Fault::LowWorkHeaders,
    Fault::BadTransaction,
    Fault::Conflict,
    Fault::Withheld,
    Fault::Rival,
    Fault::Early,
    Fault::Boast,
    Fault::Oversized,
    Fault::Garbage,
    Fault::Unsolicited,
    Fault::OversizedBytes,
    Fault::OtherDelivery,
    Fault::QuestionFlood,
];

/// A situation that must be reached, else the checkers had nothing to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reached {
    Reorg,
    DeepReorg,
    Tie,
    Orphan,
    OrphanEvicted,
    InvalidBranch,
    EarlyBlock,
    Presync,
    CrashRecovery,
    Joined,
    GroupCommit,
    Load,
    PoolEviction,
    Replaced,
    NotTakenBack,
    Returned,
    Journal,
    ToldAgain,
    Charged,
    HostilePunished,
    TemplateFilled,
    /// An honest peer has shown enough, and its chain is asked for again.
    SecondPass,
    /// An honest peer has delivered what it had shown.
    Delivered,
    /// A reorg that undid blocks of which no state was in memory.
    BeyondWindow,
    /// One of these was loaded for its transactions.
    LoadedBeyond,
    /// A peer was let go for its questions.
    FloodStopped,
}

/// Every situation.
pub const REACHED: [Reached; 26] = [
    Reached::Reorg,
    Reached::DeepReorg,
    Reached::Tie,
    Reached::Orphan,
    Reached::OrphanEvicted,
    Reached::InvalidBranch,
    Reached::EarlyBlock,
    Reached::Presync,
    Reached::CrashRecovery,
    Reached::Joined,
    Reached::GroupCommit,
    Reached::Load,
    Reached::PoolEviction,
    Reached::Replaced,
    Reached::NotTakenBack,
    Reached::Returned,
    Reached::Journal,
    Reached::ToldAgain,
    Reached::Charged,
    Reached::HostilePunished,
    Reached::TemplateFilled,
    Reached::SecondPass,
    Reached::Delivered,
    Reached::BeyondWindow,
    Reached::LoadedBeyond,
    Reached::FloodStopped,
];

/// The counts of a run or of many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub faults: BTreeMap<Fault, u64>,
    pub reached: BTreeMap<Reached, u64>,
    /// Reorgs by the number of blocks undone.
    pub reorgs: BTreeMap<usize, u64>,
    /// Rounds of [`super::world::ROUND_MS`] that a healed network took to agree.
    pub rounds: BTreeMap<u64, u64>,
    pub steps: u64,
    pub blocks: u64,
    pub seeds: u64,
}

impl Tally {
    pub fn fault(&mut self, fault: Fault) {
        *self.faults.entry(fault).or_default() += 1;
    }

    /// Whether a situation was reached in this run.
    pub fn has_reached(&self, what: Reached) -> bool {
        self.reached.contains_key(&what)
    }

    pub fn reach(&mut self, what: Reached) {
        *self.reached.entry(what).or_default() += 1;
    }

    /// Faults of all kinds.
    pub fn faults(&self) -> u64 {
        self.faults.values().sum()
    }

    /// Adds another run's counts.
    pub fn add(&mut self, other: &Self) {
        fn add<K: Ord + Copy>(into: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
            for (key, count) in from {
                *into.entry(*key).or_default() += count;
            }
        }
        add(&mut self.faults, &other.faults);
        add(&mut self.reached, &other.reached);
        add(&mut self.reorgs, &other.reorgs);
        add(&mut self.rounds, &other.rounds);
        self.steps += other.steps;
        self.blocks += other.blocks;
        self.seeds += other.seeds;
    }
}
