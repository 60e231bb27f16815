//! What can still be read of a log, of this format or one before: its blocks and the pool's
//! journal. Values that are damaged are passed over and counted.
//!
//! Called to rebuild a store; nothing that comes from here is taken on trust.

use std::path::Path;

use chain::{Block, BlockHash, Body, store::Stage};

use super::{
    directory::FORMAT,
    disk::{Directory, Part},
    engine::Engine,
    kv::ReadTable,
    named::Named,
    pieces::get_long,
    tables::{decode_record, id_of},
    trouble::{Trouble, guard},
};

/// An old log.
pub struct Salvage {
    headers: Named<ReadTable>,
    bodies: Named<ReadTable>,
    pool: Named<ReadTable>,
    /// What little else is worth keeping, if it can be had.
    facts: Option<Named<ReadTable>>,
    /// Keeps the file open; the tables would outlive it otherwise.
    _file: Engine,
}

/// Some blocks of it.
#[derive(Debug, Default)]
pub struct Page {
    /// Those that have bodies, parents before children.
    pub blocks: Vec<Block>,
    /// Where to go on; none at the end.
    pub last: Option<Vec<u8>>,
    /// Headers that were looked at.
    pub seen: u64,
    /// Of these, the ones that are damaged, or whose bodies are.
    pub lost: u64,
}

/// Whether this program can use a file of a store that a rebuild has made which was cut off. One of
/// a later format is an error, as ever.
pub fn is_usable(log: &Path, part: Part) -> Result<bool, Trouble> {
    match Engine::open(&Directory::of(log), part) {
        Ok(_) => Ok(true),
        Err(Trouble::Format { want, got }) if got < want => Ok(false),
        Err(Trouble::Damaged(_)) => Ok(false),
        Err(trouble) => Err(trouble),
    }
}

impl Salvage {
    /// Opens a log. One of a later format is refused: what of it could be read by chance would
    /// take the place of all that it has.
    pub fn open(path: &Path) -> Result<Self, Trouble> {
        let file = Engine::open_any(&Directory::of(path), Part::Log)?;
        let read = file.read()?;
        if let Ok(Some(got)) = guard(|| read.format())
            && got > FORMAT
        {
            return Err(Trouble::Format { want: FORMAT, got });
        }
        guard(|| {
            let open = |name| Named::open(name, |name| read.table(name));
            let (headers, bodies) = (open("headers")?, open("bodies")?);
            Ok(Self {
                headers,
                bodies,
                pool: open("pool")?,
                facts: open("facts").ok(),
                _file: file,
            })
        })
    }

    /// The name that the network had here, if it can be read.
    pub fn network(&self) -> Option<String> {
        let facts = self.facts.as_ref()?;
        let name = guard(|| facts.get(b"network")).ok()??;
        String::from_utf8(name).ok()
    }

    /// The genesis block's hash, if it can be read.
    pub fn genesis(&self) -> Option<BlockHash> {
        let noted = self.facts.as_ref().and_then(|facts| {
            let hash = guard(|| facts.get_array(b"genesis")).ok()?;
            hash.map(BlockHash)
        });
        let first = || self.page(None, 1).ok()?.blocks.pop();
        noted.or_else(|| first().map(|block| block.header.hash()))
    }

    /// Number of headers.
    pub fn count(&self) -> Result<u64, Trouble> {
        guard(|| self.headers.count())
    }

    /// The blocks after a place, `count` headers at a time.
    pub fn page(&self, after: Option<&[u8]>, count: usize) -> Result<Page, Trouble> {
        let keys = guard(|| self.headers.keys_after(after, count))?;
        let mut page = Page::default();
        for key in &keys {
            page.seen += 1;
            match guard(|| self.block(key)) {
                Ok(block) => page.blocks.extend(block),
                Err(_) => page.lost += 1,
            }
        }
        page.last = keys.into_iter().last();
        Ok(page)
    }

    /// The pool's journal, as far as it can be read.
    pub fn pooled(&self) -> Result<Vec<Vec<u8>>, Trouble> {
        let keys = guard(|| self.pool.keys_after(None, usize::MAX))?;
        let values = keys.iter().map(|key| guard(|| self.pool.get(key)));
        Ok(values.filter_map(Result::ok).flatten().collect())
    }

    fn block(&self, key: &[u8]) -> Result<Option<Block>, Trouble> {
        let damaged = |reason: &str| self.headers.damaged(key, reason);
        let id = id_of(key.try_into().map_err(|_| damaged("wrong key"))?);
        let missing = || damaged("it is missing");
        let record = self.headers.get(key)?.ok_or_else(missing)?;
        let (header, stage) = decode_record(&record, &id).map_err(|error| damaged(&error))?;
        if !matches!(stage, Stage::Body | Stage::Executed) {
            return Ok(None);
        }
        // Up to format 2 a body was one value.
        let body = match self.bodies.get(key)? {
            Some(body) => Some(body),
            None => get_long(&self.bodies, &id)?,
        };
        let body = body.ok_or_else(missing)?;
        let body = Body::decode(&body).map_err(|error| damaged(&error.to_string()))?;
        Ok(Some(Block { header, body }))
    }
}
