//! What to search: a header candidate, the target, and how the search space is cut into pieces.
//!
//! The space is the 32-bit nonce, and above it the 128-bit extra nonce, which changes the
//! commitment. A ticket is the number of a piece; different tickets are disjoint pieces, so
//! threads that draw tickets from one counter never try a header twice. Called by `search`.

use std::ops::RangeInclusive;

use chain::{Header, Target};

/// Nonces in one piece, as a power of two: some 10 ms of one thread's work.
const PIECE_BITS: u32 = 16;

/// A header to complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Everything filled in, but for nonce, extra nonce and commitment, which the search sets.
    /// The extra nonce given here is where the search begins: miners of one template that begin
    /// far apart never try the same header.
    pub header: Header,
    /// What the hash must meet; ordinarily the target of the header's bits.
    pub target: Target,
}

/// One piece of a job's search space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The candidate with its extra nonce and commitment, the nonce still open.
    pub header: Header,
    /// The nonces to try.
    pub nonces: RangeInclusive<u32>,
}

impl Job {
    /// The job of mining this header to the target of its own bits; `None` if they encode none
    /// (Rule H1).
    pub fn for_block(header: Header) -> Option<Self> {
        let target = header.pow.bits.target()?;
        Some(Self { header, target })
    }

    /// The piece of this number.
    pub(crate) fn piece(&self, ticket: u64) -> Piece {
        let pieces_bits = u32::BITS - PIECE_BITS;
        let mut extension = self.header.extension.clone();
        let first = u128::from_le_bytes(extension.extra_nonce);
        let extra_nonce = first.wrapping_add(u128::from(ticket >> pieces_bits));
        extension.extra_nonce = extra_nonce.to_le_bytes();
        let index = u32::try_from(ticket & ((1 << pieces_bits) - 1)).expect("masked to 16 bits");
        let start = index << PIECE_BITS;
        Piece {
            header: Header::sealed(self.header.pow, extension),
            nonces: start..=start | ((1 << PIECE_BITS) - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use chain::{Bits, U256};

    use super::*;

    fn job(extra_nonce: u128) -> Job {
        let mut header = Header::default();
        header.extension.extra_nonce = extra_nonce.to_le_bytes();
        Job {
            header,
            target: Target::new(U256::MAX).unwrap(),
        }
    }

    #[test]
    fn pieces_follow_each_other_without_gap_or_overlap() {
        let job = job(5);
        let position = |piece: &Piece, nonce: u32| {
            (u128::from_le_bytes(piece.header.extension.extra_nonce) << 32) + u128::from(nonce)
        };
        for ticket in (0..5).chain(65_534..65_539) {
            let piece = job.piece(ticket);
            let first = (5 << 32) + (u128::from(ticket) << PIECE_BITS);
            assert_eq!(position(&piece, *piece.nonces.start()), first);
            let last = position(&piece, *piece.nonces.end());
            assert_eq!(last, first + (1 << PIECE_BITS) - 1);
        }
    }

    #[test]
    fn each_piece_commits_to_its_own_extra_nonce_and_wraps() {
        let job = job(u128::MAX);
        let (first, second) = (job.piece(0), job.piece(1 << 16));
        assert_eq!(first.header.extension, job.header.extension);
        assert_eq!(second.header.extension.extra_nonce, [0; 16]);
        for piece in [first, second] {
            let header = piece.header;
            assert_eq!(header.pow.commitment, header.extension.commitment());
        }
    }

    #[test]
    fn a_block_is_mined_to_the_target_of_its_bits() {
        let mut header = Header::default();
        assert_eq!(Job::for_block(header.clone()), None);
        header.pow.bits = Bits(0x1d00_ffff);
        let job = Job::for_block(header).unwrap();
        assert_eq!(job.target.value(), U256::from(0xffff) << 208);
    }
}
