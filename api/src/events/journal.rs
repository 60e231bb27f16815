//! The journal: the last events with their numbers, in a bounded ring.
//!
//! Written by one thread, and only after what happened is durable and, for a move of the head, the
//! view that shows it is published. Knows up to which block it has told of the best chain.

use std::{collections::VecDeque, sync::Arc};

use chain::{BlockHash, BlockId, TxHash};

use super::id::{Cursor, Id};
use crate::limits::{JOURNAL_ENTRIES_MAX, JOURNAL_ITEMS_MAX, WALK_MAX};

/// How a transaction came into the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// From a user or a peer.
    Pooled,
    /// From a block that is no longer on the best chain.
    Returned,
}

/// What became of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerChange {
    /// It has come.
    Connected,
    /// It is gone.
    Disconnected,
}

/// A block that joined the best chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The block.
    pub id: BlockId,
    /// Its parent.
    pub parent: BlockHash,
    /// Number of its transactions.
    pub transactions: u32,
}

/// A way from one block to another, down to their common ancestor and up again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Where it begins.
    pub old: BlockId,
    /// Where it ends.
    pub new: BlockId,
    /// The last block on both branches.
    pub ancestor: BlockId,
    /// Blocks left, from `old` down; the first `WALK_MAX` of them.
    pub left: Vec<BlockId>,
    /// Blocks joined, up to `new`; the first `WALK_MAX` of them.
    pub joined: Vec<Joined>,
}

impl Move {
    /// The most blocks that either list holds.
    pub const BLOCKS_MAX: usize = WALK_MAX;

    /// Blocks left.
    pub fn left_count(&self) -> u64 {
        self.old.height.saturating_sub(self.ancestor.height)
    }

    /// Blocks joined.
    pub fn joined_count(&self) -> u64 {
        self.new.height.saturating_sub(self.ancestor.height)
    }

    /// Whether every joined block is named.
    pub fn is_whole(&self) -> bool {
        u64::try_from(self.joined.len()) == Ok(self.joined_count())
    }

    /// Whether blocks were left.
    pub fn is_reorg(&self) -> bool {
        !self.left.is_empty()
    }

    /// Parts in which it is told: the reorg, then each new block or, if they are too many, the
    /// advice to read again.
    pub fn parts(&self) -> usize {
        let heads = if self.is_whole() {
            self.joined.len()
        } else {
            1
        };
        usize::from(self.is_reorg()) + heads
    }

    /// The block up to which a listener knows the best chain after a part.
    pub fn known_after(&self, part: usize) -> BlockId {
        match part.checked_sub(usize::from(self.is_reorg())) {
            None => self.ancestor,
            Some(at) if self.is_whole() => self.joined.get(at).map_or(self.new, |joined| joined.id),
            Some(_) => self.new,
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The head moved.
    Moved(Move),
    /// A block of any branch is held whole for the first time.
    Block {
        /// The block.
        block: BlockId,
        /// Its parent.
        parent: BlockHash,
    },
    /// The pool has transactions more.
    Transactions {
        /// Their hashes.
        hashes: Arc<Vec<TxHash>>,
        /// Where they come from.
        arrival: Arrival,
    },
    /// A branch has begun.
    Fork {
        /// Its first block.
        block: BlockId,
        /// The best chain's block at that height.
        rival: BlockId,
        /// Blocks of the best chain above the rival.
        behind: u64,
    },
    /// A peer has come or gone.
    Peer {
        /// Its peer id. Text from a stranger.
        id: Arc<str>,
        /// Where it is. Text from a stranger.
        address: Arc<str>,
        /// Whether it dialled us.
        inbound: bool,
        /// Which of the two.
        change: PeerChange,
    },
}

impl Event {
    /// Events that a listener gets for it.
    pub fn parts(&self) -> usize {
        match self {
            Self::Moved(moved) => moved.parts(),
            Self::Transactions { hashes, .. } => hashes.len(),
            Self::Block { .. } | Self::Fork { .. } | Self::Peer { .. } => 1,
        }
    }

    /// Blocks and hashes in it, for the bound on the journal.
    fn items(&self) -> usize {
        match self {
            Self::Moved(moved) => moved.left.len() + moved.joined.len(),
            other => other.parts(),
        }
    }
}

/// An event with its number, and the head it happened at.
#[derive(Debug)]
pub struct Entry {
    /// Its number.
    pub seq: u64,
    /// The head.
    pub head: BlockId,
    /// What happened.
    pub event: Event,
}

impl Entry {
    /// The block up to which a listener knows the best chain after a part.
    pub fn known_after(&self, part: usize) -> BlockId {
        match &self.event {
            Event::Moved(moved) => moved.known_after(part),
            _ => self.head,
        }
    }

    /// What comes after a part.
    pub fn after(&self, part: usize) -> Cursor {
        let (seq, part) = (self.seq, part + 1);
        if part < self.event.parts() {
            Cursor { seq, part }
        } else {
            Cursor::at(seq + 1)
        }
    }
}

/// The journal.
#[derive(Debug)]
pub struct Journal {
    run: u64,
    entries: VecDeque<Arc<Entry>>,
    next: u64,
    items: usize,
    head: BlockId,
}

impl Journal {
    /// An empty journal. `run` tells it from those of earlier runs of the node.
    pub fn new(run: u64, head: BlockId) -> Self {
        Self {
            run,
            entries: VecDeque::new(),
            next: 1,
            items: 0,
            head,
        }
    }

    /// Appends an event; the oldest ones make place.
    pub fn push(&mut self, event: Event) {
        if let Event::Moved(moved) = &event {
            self.head = moved.new;
        }
        if event.parts() == 0 {
            return;
        }
        self.items += event.items();
        self.entries.push_back(Arc::new(Entry {
            seq: self.next,
            head: self.head,
            event,
        }));
        self.next += 1;
        while self.entries.len() > JOURNAL_ENTRIES_MAX
            || (self.items > JOURNAL_ITEMS_MAX && self.entries.len() > 1)
        {
            let oldest = self.entries.pop_front();
            self.items -= oldest.map_or(0, |oldest| oldest.event.items());
        }
    }

    /// Which run of the node.
    pub fn run(&self) -> u64 {
        self.run
    }

    /// The head after the last event.
    pub fn head(&self) -> BlockId {
        self.head
    }

    /// What a listener gets next that begins now.
    pub fn end(&self) -> Cursor {
        Cursor::at(self.next)
    }

    /// The number of the oldest event.
    fn first(&self) -> u64 {
        self.entries.front().map_or(self.next, |entry| entry.seq)
    }

    /// Whether all that comes after an id is here.
    pub fn reaches(&self, id: &Id) -> bool {
        let next = id.next;
        self.run == id.run
            && match self.entry(next.seq) {
                Some(entry) => next.part < entry.event.parts(),
                None => next == self.end(),
            }
    }

    fn entry(&self, seq: u64) -> Option<&Arc<Entry>> {
        let index = usize::try_from(seq.checked_sub(self.first())?).ok()?;
        self.entries.get(index)
    }

    /// Entries from a number on, at most `max`; `None` if the first of them is gone.
    pub fn from(&self, seq: u64, max: usize) -> Option<Vec<Arc<Entry>>> {
        let skipped = usize::try_from(seq.checked_sub(self.first())?).ok()?;
        let rest = self.entries.iter().skip(skipped).take(max);
        Some(rest.map(Arc::clone).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(height: u64) -> BlockId {
        let hash = BlockHash([u8::try_from(height).unwrap(); 32]);
        BlockId { height, hash }
    }

    fn block(height: u64) -> Event {
        let (block, parent) = (id(height), id(height - 1).hash);
        Event::Block { block, parent }
    }

    fn transactions(count: u8) -> Event {
        let hashes = (0..count).map(|n| TxHash([n; 32])).collect();
        Event::Transactions {
            hashes: Arc::new(hashes),
            arrival: Arrival::Returned,
        }
    }

    #[test]
    fn the_ring_forgets_the_oldest_and_says_so() {
        let mut journal = Journal::new(1, id(0));
        for _ in 0..JOURNAL_ENTRIES_MAX + 10 {
            journal.push(block(1));
        }
        assert_eq!(journal.entries.len(), JOURNAL_ENTRIES_MAX);
        assert!(journal.from(10, 1).is_none());
        assert_eq!(journal.from(11, 5).unwrap().len(), 5);
        assert_eq!(journal.from(11, 5).unwrap()[0].seq, 11);
        assert!(journal.from(journal.next, 5).unwrap().is_empty());
    }

    /// Many hashes in few entries are bounded too.
    #[test]
    fn hashes_make_place_for_hashes() {
        let mut journal = Journal::new(1, id(0));
        let many = Event::Transactions {
            hashes: Arc::new(vec![TxHash([1; 32]); JOURNAL_ITEMS_MAX / 2]),
            arrival: Arrival::Returned,
        };
        for _ in 0..5 {
            journal.push(many.clone());
        }
        assert_eq!(journal.entries.len(), 2);
        journal.push(Event::Transactions {
            hashes: Arc::new(vec![TxHash([1; 32]); JOURNAL_ITEMS_MAX * 2]),
            arrival: Arrival::Returned,
        });
        assert_eq!(journal.entries.len(), 1, "the last one is always there");
        journal.push(transactions(0));
        assert_eq!(journal.next, 7, "an event of nothing is none");
    }

    #[test]
    fn a_journal_reaches_what_it_holds_and_no_more() {
        let mut journal = Journal::new(1, id(0));
        journal.push(transactions(3));
        let hash = id(0).hash;
        for (run, seq, part, reaches) in [
            (1, 1, 0, true),
            (1, 1, 2, true),
            (1, 1, 3, false),
            (1, 2, 0, true),
            (1, 2, 1, false),
            (1, 3, 0, false),
            (1, 0, 0, false),
            (2, 1, 0, false),
        ] {
            let next = Cursor { seq, part };
            let got = journal.reaches(&Id { run, next, hash });
            assert_eq!(got, reaches, "{run} {seq} {part}");
        }
    }

    #[test]
    fn a_move_tells_its_way_block_by_block() {
        let joined = |height: u64| Joined {
            id: id(height),
            parent: id(height - 1).hash,
            transactions: 0,
        };
        let old = BlockId {
            hash: BlockHash([99; 32]),
            ..id(2)
        };
        let mut moved = Move {
            old,
            new: id(3),
            ancestor: id(1),
            left: vec![old],
            joined: vec![joined(2), joined(3)],
        };
        assert_eq!(moved.parts(), 3);
        let known: Vec<_> = (0..3).map(|part| moved.known_after(part).height).collect();
        assert_eq!(known, [1, 2, 3]);
        // Where not all are named, the listener is sent to read them.
        moved.joined.pop();
        assert_eq!((moved.parts(), moved.known_after(1)), (2, id(3)));
    }
}
