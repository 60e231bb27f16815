//! Ids of events: where a listener is in the journal, and at which block of the best chain.
//!
//! `run-seq-part-hash`. The first three are good as long as the node runs and the journal reaches
//! back so far; the hash is good for ever. Listeners treat an id as one opaque word.

use std::fmt;

use chain::BlockHash;

/// Characters of the longest id.
const ID_CHARS_MAX: usize = 160;

/// What comes next for a listener: a part of an entry of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The entry's number.
    pub seq: u64,
    /// The part of the entry.
    pub part: usize,
}

impl Cursor {
    /// The begin of an entry.
    pub fn at(seq: u64) -> Self {
        Self { seq, part: 0 }
    }

    /// A place before the first entry of every journal, where only the block counts.
    pub const NOWHERE: Self = Self { seq: 0, part: 0 };
}

/// An event's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id {
    /// Which run of the node.
    pub run: u64,
    /// What comes after the event.
    pub next: Cursor,
    /// The block up to which the listener has been told of the best chain.
    pub hash: BlockHash,
}

impl Id {
    /// Reads what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > ID_CHARS_MAX {
            return None;
        }
        let mut words = text.splitn(4, '-');
        let run = u64::from_str_radix(words.next()?, 16).ok()?;
        let seq = words.next()?.parse().ok()?;
        let part = words.next()?.parse().ok()?;
        let hash = words.next()?.parse().ok()?;
        let next = Cursor { seq, part };
        Some(Self { run, next, hash })
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run, next, hash } = self;
        write!(f, "{run:x}-{}-{}-{hash}", next.seq, next.part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written_and_nothing_else_is() {
        let (next, hash) = (Cursor { seq: 7, part: 3 }, BlockHash([9; 32]));
        let run = u64::MAX;
        let id = Id { run, next, hash };
        assert_eq!(Id::parse(&id.to_string()), Some(id));
        let long = "1".repeat(10_000);
        let hash = hash.to_string();
        for bad in [
            "",
            "-",
            "1-2-3",
            "1-2-3-",
            "1-2-3-0x12",
            "x-y-z-w",
            &long,
            &format!("1-{long}-3-{hash}"),
            &format!("1--2-3-{hash}"),
            &format!("1-2-99999999999999999999999-{hash}"),
            &format!("1-2-3-{hash}-4"),
            "é-2-3-4",
        ] {
            assert_eq!(Id::parse(bad), None, "{bad:?}");
        }
    }
}
