//! A flat file of blocks: what `db export` writes and `db import` reads.
//!
//! Magic, genesis hash, then records: length (u32, little-endian), checksum, block as on the wire,
//! parents before children; a record of length 0 with the number of blocks ends it. So a file
//! that is cut off, of another network or damaged is told, and told apart.

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use chain::{Block, BlockHash, hash::sha256, params::GOSSIP_BYTES_MAX};

use crate::{
    failure::{Exit, Failure},
    store::directory::sync_parent,
};

/// What such a file begins with; the last byte is the version.
const MAGIC: [u8; 8] = *b"LGNBLKS\x01";
/// Bytes of a checksum.
const SUM_BYTES: usize = 8;
/// Bytes of the record that ends a file: a length of zero, a checksum, the number of blocks.
const END_BYTES: usize = 4 + SUM_BYTES + 8;

/// A file that is being written; it takes its name when it is whole.
pub struct Writer {
    file: BufWriter<File>,
    temporary: PathBuf,
    path: PathBuf,
    count: u64,
}

/// A file that is being read.
pub struct Blocks {
    file: BufReader<File>,
    path: PathBuf,
    count: u64,
    is_over: bool,
}

fn sum(bytes: &[u8]) -> [u8; SUM_BYTES] {
    *sha256(bytes).first_chunk().expect("a digest has 32 bytes")
}

impl Writer {
    /// Begins a file.
    pub fn create(path: &Path, genesis: &BlockHash) -> io::Result<Self> {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".part");
        let temporary = PathBuf::from(temporary);
        let mut file = BufWriter::new(File::create(&temporary)?);
        file.write_all(&MAGIC)?;
        file.write_all(&genesis.0)?;
        Ok(Self {
            file,
            temporary,
            path: path.to_owned(),
            count: 0,
        })
    }

    /// Appends a block.
    pub fn put(&mut self, block: &Block) -> io::Result<()> {
        self.count += 1;
        self.record(&block.encode())
    }

    /// Makes the file whole and durable; gives the number of blocks.
    pub fn finish(mut self) -> io::Result<u64> {
        let count = self.count.to_le_bytes();
        self.file.write_all(&0_u32.to_le_bytes())?;
        self.file.write_all(&sum(&count))?;
        self.file.write_all(&count)?;
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        fs::rename(&self.temporary, &self.path)?;
        sync_parent(&fs::canonicalize(&self.path)?)?;
        Ok(self.count)
    }

    fn record(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        self.file.write_all(&length.to_le_bytes())?;
        self.file.write_all(&sum(bytes))?;
        self.file.write_all(bytes)
    }
}

impl Blocks {
    /// Opens a file of a network.
    pub fn open(path: &Path, genesis: &BlockHash) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|error| {
            Failure::new(
                Exit::Other,
                format!("cannot read {}: {error}", path.display()),
            )
        })?;
        let mut blocks = Self {
            file: BufReader::new(file),
            path: path.to_owned(),
            count: 0,
            is_over: false,
        };
        let magic = blocks.bytes::<8>()?;
        if magic != MAGIC {
            return Err(blocks.wrong("it is no file of blocks of version 1"));
        }
        let found = BlockHash(blocks.bytes()?);
        if found != *genesis {
            let what = format!(
                "{} has blocks of the network of genesis {found}, wanted {genesis}: give that \
                 network's --datadir or --network",
                path.display()
            );
            return Err(Failure::new(Exit::WrongNetwork, what));
        }
        Ok(blocks)
    }

    /// The number of blocks that the file ends with; none where it is cut off. For people only:
    /// what counts is compared when the end is reached.
    pub fn count(&mut self) -> Result<Option<u64>, Failure> {
        let place = self.file.stream_position()?;
        let mut record = [0; END_BYTES];
        let from_end = i64::try_from(END_BYTES).expect("a few bytes");
        let end = self.file.seek(SeekFrom::End(-from_end));
        let is_there = end.is_ok() && self.file.read_exact(&mut record).is_ok();
        self.file.seek(SeekFrom::Start(place))?;
        let (head, count) = record.split_last_chunk::<8>().expect("it has more");
        let is_end = head[..4] == [0; 4] && head[4..] == sum(count);
        Ok((is_there && is_end).then(|| u64::from_le_bytes(*count)))
    }

    /// The next block; none at the end of the file.
    pub fn next(&mut self) -> Result<Option<Block>, Failure> {
        if self.is_over {
            return Ok(None);
        }
        let length = u32::from_le_bytes(self.bytes()?);
        let want = self.bytes::<SUM_BYTES>()?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length == 0 {
            return self.end(want);
        }
        if length > GOSSIP_BYTES_MAX {
            return Err(self.wrong(&format!(
                "a block has at most {GOSSIP_BYTES_MAX} bytes, got {length}"
            )));
        }
        let mut bytes = vec![0; length];
        self.fill(&mut bytes)?;
        if sum(&bytes) != want {
            return Err(self.wrong("wrong checksum"));
        }
        self.count += 1;
        let block = Block::decode(&bytes).map_err(|error| self.wrong(&error.to_string()))?;
        Ok(Some(block))
    }

    fn end(&mut self, want: [u8; SUM_BYTES]) -> Result<Option<Block>, Failure> {
        let count = self.bytes::<8>()?;
        if sum(&count) != want || u64::from_le_bytes(count) != self.count {
            return Err(self.wrong("its number of blocks is not the one it ends with"));
        }
        self.is_over = true;
        Ok(None)
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Failure> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Failure> {
        let read = self.file.read_exact(bytes);
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.wrong("it is cut off"),
            _ => self.wrong(&error.to_string()),
        })
    }

    fn wrong(&self, reason: &str) -> Failure {
        let (place, count) = (self.path.display(), self.count);
        Failure::new(
            Exit::Other,
            format!(
                "{place}, after {count} blocks: {reason}. Export it again; the import goes on where it was"
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(directory: &Path) -> (PathBuf, Vec<u8>) {
        let path = directory.join("blocks");
        let mut writer = Writer::create(&path, &BlockHash([1; 32])).unwrap();
        for height in 0..3 {
            let mut block = Block::default();
            block.header.extension.height = height;
            writer.put(&block).unwrap();
        }
        assert!(!path.exists(), "half a file has no name");
        assert_eq!(writer.finish().unwrap(), 3);
        let bytes = fs::read(&path).unwrap();
        (path, bytes)
    }

    fn read(path: &Path) -> Result<Vec<u64>, Failure> {
        let mut blocks = Blocks::open(path, &BlockHash([1; 32]))?;
        let count = blocks.count()?;
        let mut heights = Vec::new();
        while let Some(block) = blocks.next()? {
            heights.push(block.header.extension.height);
        }
        assert!(blocks.next()?.is_none());
        assert_eq!(count, Some(3));
        Ok(heights)
    }

    #[test]
    fn a_file_comes_back_and_every_damage_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let (path, bytes) = written(directory.path());
        assert_eq!(read(&path).unwrap(), [0, 1, 2]);
        for length in 0..bytes.len() {
            fs::write(&path, &bytes[..length]).unwrap();
            if let Ok(mut cut) = Blocks::open(&path, &BlockHash([1; 32])) {
                assert_eq!(cut.count().unwrap(), None, "{length}");
            }
            let told = read(&path).unwrap_err().to_string();
            assert!(told.contains("it is cut off"), "{length}: {told}");
        }
        for at in (0..bytes.len()).step_by(3) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(&path, &flipped).unwrap();
            assert!(read(&path).is_err(), "byte {at}");
        }
        fs::write(&path, &bytes).unwrap();
        let other = Blocks::open(&path, &BlockHash([2; 32])).err().unwrap();
        assert_eq!(other.code(), 7);
    }
}
