//! The kinds of events, by the names under which listeners choose them.

use crate::error::Problem;

/// A kind of event that a listener can do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The best chain has one block more.
    Head,
    /// A block of any branch is here.
    Block,
    /// The best chain has left blocks.
    ChainReorg,
    /// The pool has a transaction more.
    Transaction,
    /// A branch has begun.
    Fork,
    /// A peer has come or gone.
    Peer,
}

/// All kinds with their names.
const ALL: [(Kind, &str); 6] = [
    (Kind::Head, "head"),
    (Kind::Block, "block"),
    (Kind::ChainReorg, "chain_reorg"),
    (Kind::Transaction, "transaction"),
    (Kind::Fork, "fork"),
    (Kind::Peer, "peer"),
];

impl Kind {
    /// Its name in streams and queries.
    pub fn name(self) -> &'static str {
        let found = ALL.iter().find(|(kind, _)| *kind == self);
        found.map_or("", |(_, name)| name)
    }

    /// Whether the store knows it too, when the journal has forgotten it.
    pub fn is_kept(self) -> bool {
        matches!(self, Self::Head | Self::ChainReorg)
    }
}

/// The kinds that a listener wants.
#[derive(Clone, Copy, Debug)]
pub struct Kinds(u8);

impl Kinds {
    /// Every kind.
    pub const ALL: Self = Self(u8::MAX);

    /// Reads names with commas between them.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let mut bits = 0;
        for name in text.split(',') {
            let found = ALL.iter().find(|(_, known)| *known == name);
            let (kind, _) = found.ok_or_else(|| unknown(name))?;
            bits |= bit(*kind);
        }
        Ok(Self(bits))
    }

    /// Whether a kind is wanted.
    pub fn has(self, kind: Kind) -> bool {
        self.0 & bit(kind) != 0
    }

    /// Names of the wanted kinds that only the journal knows.
    pub fn not_kept(self) -> Vec<&'static str> {
        let lost = ALL
            .iter()
            .filter(|(kind, _)| self.has(*kind) && !kind.is_kept());
        lost.map(|(_, name)| *name).collect()
    }
}

fn bit(kind: Kind) -> u8 {
    1 << (kind as u8)
}

fn unknown(name: &str) -> Problem {
    let shown: String = name.chars().take(80).collect();
    let names: Vec<_> = ALL.iter().map(|(_, name)| *name).collect();
    let detail = format!(
        "there is no event type {shown:?}, wanted some of {}",
        names.join(",")
    );
    Problem::bad_request("bad_event_type", detail)
}
