//! The way from one block to another, read from the store: for listeners who were away.

use chain::{BlockHash, BlockId, Header, Reader, StoreError};

use super::journal::{Joined, Move};

/// What there is between two blocks.
#[derive(Debug)]
pub enum Path {
    /// The way.
    Found(Move),
    /// The first block is not known.
    Unknown,
    /// The way is longer than is told block by block.
    TooLong,
}

/// A block on the way.
struct Step {
    id: BlockId,
    parent: BlockHash,
    transactions: u32,
}

impl Step {
    fn read(reader: &dyn Reader, hash: BlockHash) -> Result<Option<Self>, StoreError> {
        let header = reader.header(&hash)?;
        Ok(header.map(|header| Self::new(hash, &header)))
    }

    fn new(hash: BlockHash, header: &Header) -> Self {
        let height = header.extension.height;
        Self {
            id: BlockId { height, hash },
            parent: header.pow.parent,
            transactions: header.extension.transaction_count,
        }
    }

    fn parent(&self, reader: &dyn Reader) -> Result<Self, StoreError> {
        let missing = || StoreError(format!("no header for {}, a parent", self.parent));
        Self::read(reader, self.parent)?.ok_or_else(missing)
    }
}

/// Reads the way from `from` to `to`; the work is bounded by the longest way that is told.
pub fn between(reader: &dyn Reader, from: BlockHash, to: BlockHash) -> Result<Path, StoreError> {
    let (Some(start), Some(end)) = (Step::read(reader, from)?, Step::read(reader, to)?) else {
        return Ok(Path::Unknown);
    };
    let max = Move::BLOCKS_MAX;
    let distance = start.id.height.abs_diff(end.id.height);
    if usize::try_from(distance).map_or(true, |distance| distance > max) {
        return Ok(Path::TooLong);
    }
    let (old, new) = (start.id, end.id);
    let (mut down, mut up) = (start, end);
    let (mut left, mut joined) = (Vec::new(), Vec::new());
    while down.id != up.id {
        if left.len() >= max || joined.len() >= max {
            return Ok(Path::TooLong);
        }
        let (low, high) = (down.id.height, up.id.height);
        if low >= high {
            left.push(down.id);
            down = down.parent(reader)?;
        }
        if high >= low {
            let Step {
                id,
                parent,
                transactions,
            } = up;
            joined.push(Joined {
                id,
                parent,
                transactions,
            });
            up = Step::read(reader, parent)?
                .ok_or_else(|| StoreError(format!("no header for {parent}, a parent")))?;
        }
    }
    joined.reverse();
    Ok(Path::Found(Move {
        old,
        new,
        ancestor: down.id,
        left,
        joined,
    }))
}
