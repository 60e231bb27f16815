//! The file of a recorded run: a magic, a version, then entries of which each has its length and
//! checksum. So a file that was cut off anywhere is read up to its last whole entry, and damage is
//! told from a cut.
//!
//! An entry is its length (u32), the complement of that, a checksum (8 bytes) over the entry's number
//! and payload, and the payload, whose first byte is its kind. Numbers are little-endian.

use std::io::{self, Read, Write};

use chain::{hash::sha256, params::POOL_BYTES_MAX, record::Stored};

use super::{Preamble, Standing};

/// What a recording begins with. The first byte is none of a text's.
const MAGIC: [u8; 8] = *b"\x8fLIGNUM\n";
/// The version of this format. Files of others are refused.
const VERSION: u32 = 1;
/// Bytes before a payload.
const HEAD_BYTES: usize = 16;
/// Bytes of a payload: the largest is a pool's journal, each of its transactions with its length.
const PAYLOAD_BYTES_MAX: usize = POOL_BYTES_MAX + POOL_BYTES_MAX / 4;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The first one.
    Preamble(Preamble),
    /// A block of the store on which the node was opened, parents before children.
    Stored(Stored),
    /// A step.
    Step {
        /// The first bytes of the trace hash after it.
        trace: [u8; 8],
        /// Its time and input, as [`chain::record::encode_step`] gives them.
        bytes: Vec<u8>,
    },
    /// The last one of a recording that was ended in order.
    End(Standing),
}

/// Why a file cannot be read as a recording.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Something else.
    #[error("it is no recording of lignum: its first bytes are others")]
    Foreign,
    /// Another version.
    #[error(
        "it has version {got} of the format, this program reads {VERSION}: use the lignum that \
             wrote it"
    )]
    Version {
        /// The file's.
        got: u32,
    },
    /// Changed bytes.
    #[error("it is damaged in entry {number}: {what}")]
    Damaged {
        /// Which entry, the preamble being 0.
        number: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The disk.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Writes entries one after the other.
pub struct Writer<W> {
    out: W,
    number: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    pub fn new(mut out: W, preamble: Preamble) -> io::Result<Self> {
        out.write_all(&MAGIC)?;
        out.write_all(&VERSION.to_le_bytes())?;
        let mut writer = Self { out, number: 0 };
        writer.write(&Entry::Preamble(preamble))?;
        Ok(writer)
    }

    /// Appends an entry.
    pub fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let payload = payload(entry)?;
        let length = u32::try_from(payload.len()).ok();
        let length = length.filter(|_| payload.len() <= PAYLOAD_BYTES_MAX);
        let too_large = || io::Error::other(format!("an entry of {} bytes", payload.len()));
        let length = length.ok_or_else(too_large)?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(&(!length).to_le_bytes())?;
        self.out.write_all(&checksum(self.number, &payload))?;
        self.out.write_all(&payload)?;
        self.number += 1;
        Ok(())
    }

    /// Hands everything to the operating system, so that it outlives this process.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn payload(entry: &Entry) -> io::Result<Vec<u8>> {
    let (kind, rest) = match entry {
        Entry::Preamble(preamble) => (0, serde_json::to_vec(preamble)?),
        Entry::Step { trace, bytes } => (1, [trace, &bytes[..]].concat()),
        Entry::End(standing) => (2, serde_json::to_vec(standing)?),
        Entry::Stored(stored) => (3, stored.encode()),
    };
    Ok([&[kind], &rest[..]].concat())
}

fn checksum(number: u64, payload: &[u8]) -> [u8; 8] {
    let digest = sha256(&[&number.to_le_bytes()[..], &sha256(payload)].concat());
    *digest.first_chunk().expect("a digest has 32 bytes")
}

/// Reads entries one after the other.
pub struct Reader<R> {
    input: R,
    number: u64,
}

impl<R: Read> Reader<R> {
    /// Looks at the beginning of a file.
    pub fn new(mut input: R) -> Result<Self, FileError> {
        let start = read_up_to(&mut input, MAGIC.len())?;
        if start != MAGIC {
            return Err(FileError::Foreign);
        }
        let version = read_up_to(&mut input, 4)?;
        let version = version.first_chunk().ok_or(FileError::Foreign)?;
        match u32::from_le_bytes(*version) {
            VERSION => Ok(Self { input, number: 0 }),
            got => Err(FileError::Version { got }),
        }
    }

    /// The next entry; none where the file ends, in the middle of an entry or after one.
    pub fn next(&mut self) -> Result<Option<Entry>, FileError> {
        let head = read_up_to(&mut self.input, HEAD_BYTES)?;
        let Some((length, rest)) = head.split_first_chunk() else {
            return Ok(None);
        };
        let Some((complement, sum)) = rest.split_first_chunk() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*length);
        if length != !u32::from_le_bytes(*complement) {
            return Err(self.damaged("its length does not fit its complement"));
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > PAYLOAD_BYTES_MAX {
            let what = format!("it claims {length} bytes, at most {PAYLOAD_BYTES_MAX} are written");
            return Err(self.damaged(what));
        }
        let payload = read_up_to(&mut self.input, length)?;
        if sum.len() < 8 || payload.len() < length {
            return Ok(None);
        }
        if sum != checksum(self.number, &payload) {
            return Err(self.damaged("its checksum does not fit"));
        }
        let entry = entry(&payload).map_err(|what| self.damaged(what))?;
        self.number += 1;
        Ok(Some(entry))
    }

    fn damaged(&self, what: impl Into<String>) -> FileError {
        FileError::Damaged {
            number: self.number,
            what: what.into(),
        }
    }
}

/// As many bytes as there are, up to `count`. Memory grows with what is there.
fn read_up_to(input: &mut impl Read, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(count).expect("a length fits 64 bits");
    input.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn entry(payload: &[u8]) -> Result<Entry, String> {
    let (kind, rest) = payload.split_first().ok_or("it is empty")?;
    match kind {
        0 => json(rest).map(Entry::Preamble),
        1 => {
            let (trace, bytes) = rest.split_first_chunk().ok_or("a step without a trace")?;
            Ok(Entry::Step {
                trace: *trace,
                bytes: bytes.to_vec(),
            })
        }
        2 => json(rest).map(Entry::End),
        3 => Stored::decode(rest)
            .map(Entry::Stored)
            .map_err(|error| error.to_string()),
        other => Err(format!("no entry is of kind {other}")),
    }
}

fn json<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chain::Stage;

    use super::*;

    fn preamble() -> Preamble {
        Preamble {
            lignum: "0.0.0".into(),
            network: "name".into(),
            genesis: "0x00".into(),
            spec: "{}".into(),
            min_chain_work: "0x0".into(),
            salt: u64::MAX,
            blocks: 1,
            head: "0x00".into(),
        }
    }

    fn entries() -> Vec<Entry> {
        let step = |byte: u8| Entry::Step {
            trace: [byte; 8],
            bytes: vec![byte; 20],
        };
        let standing = Standing {
            steps: 2,
            height: 1,
            head: "0x01".into(),
            state_root: "0x02".into(),
            trace: "0x03".into(),
        };
        let genesis = Stored {
            header: Arc::default(),
            stage: Stage::Executed,
            body: Some(Arc::default()),
            changes: Some(Arc::default()),
        };
        vec![
            Entry::Preamble(preamble()),
            Entry::Stored(genesis),
            step(1),
            step(2),
            Entry::End(standing),
        ]
    }

    fn file(entries: &[Entry]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, preamble()).unwrap();
        entries[1..]
            .iter()
            .for_each(|entry| writer.write(entry).unwrap());
        bytes
    }

    /// All entries up to the end of the file.
    fn read(bytes: &[u8]) -> Result<Vec<Entry>, FileError> {
        let mut reader = Reader::new(bytes)?;
        let mut found = Vec::new();
        while let Some(entry) = reader.next()? {
            found.push(entry);
        }
        Ok(found)
    }

    #[test]
    fn what_is_written_is_read_and_a_cut_leaves_whole_entries() {
        let entries = entries();
        let whole = file(&entries);
        assert_eq!(read(&whole).unwrap(), entries);
        let ends: Vec<_> = (1..=entries.len())
            .map(|count| file(&entries[..count]).len())
            .collect();
        for length in 0..whole.len() {
            let found = read(&whole[..length]);
            if length < MAGIC.len() + 4 {
                assert!(matches!(found, Err(FileError::Foreign)), "{length}");
            } else {
                let left = ends.iter().filter(|end| **end <= length).count();
                assert_eq!(found.unwrap(), entries[..left], "{length}");
            }
        }
    }

    #[test]
    fn no_flipped_bit_passes() {
        let whole = file(&entries());
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn an_entry_out_of_its_place_is_noticed() {
        let entries = entries();
        let ends: Vec<_> = (1..=5).map(|count| file(&entries[..count]).len()).collect();
        let whole = file(&entries);
        let swapped = [
            &whole[..ends[0]],
            &whole[ends[1]..ends[2]],
            &whole[ends[0]..ends[1]],
        ];
        let found = read(&swapped.concat());
        assert!(
            matches!(found, Err(FileError::Damaged { number: 1, .. })),
            "{found:?}"
        );
    }

    #[test]
    fn other_files_and_other_versions_are_named() {
        assert!(matches!(
            read(b"PK\x03\x04 something"),
            Err(FileError::Foreign)
        ));
        let mut newer = file(&entries());
        newer[MAGIC.len()] = 2;
        let said = read(&newer).unwrap_err().to_string();
        assert!(
            said.contains("version 2") && said.contains("reads 1"),
            "{said}"
        );
        let mut large = file(&entries()[..1]);
        let length = u32::MAX - 1;
        large.extend(
            [
                length.to_le_bytes(),
                (!length).to_le_bytes(),
                [0; 4],
                [0; 4],
            ]
            .concat(),
        );
        let said = read(&large).unwrap_err().to_string();
        assert!(said.contains("4294967294"), "{said}");
    }
}
