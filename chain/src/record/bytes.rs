//! Fixed-width numbers, counted lists and counted bytes, written and read. Called by its siblings.

use super::RecordError;

/// Bytes in the making.
#[derive(Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// All that was written.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    /// Eight bytes.
    pub fn u64(&mut self, value: u64) {
        self.raw(&value.to_le_bytes());
    }

    /// How many items or bytes follow.
    pub fn length(&mut self, value: usize) {
        self.u64(u64::try_from(value).expect("a length fits 64 bits"));
    }

    /// Bytes whose number the reader knows.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Bytes after their number.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.raw(bytes);
    }

    /// Items after their number.
    pub fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.length(items.len());
        items.iter().for_each(|item| write(self, item));
    }

    /// A value that may be absent.
    pub fn option<T>(&mut self, value: Option<&T>, write: impl FnOnce(&mut Self, &T)) {
        self.u8(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }
}

/// Bytes that are being read.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads these from their beginning.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// That nothing is left.
    pub fn finish(self) -> Result<(), RecordError> {
        match self.0.len() {
            0 => Ok(()),
            left => Err(malformed(format!("{left} bytes are left over"))),
        }
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, RecordError> {
        self.array().map(|[byte]: [u8; 1]| byte)
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> Result<u64, RecordError> {
        self.array().map(u64::from_le_bytes)
    }

    /// Bytes whose number is known.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (head, tail) = self.0.split_first_chunk().ok_or_else(|| ends_early(N))?;
        self.0 = tail;
        Ok(*head)
    }

    /// Bytes after their number, which is not believed: they must be there.
    pub fn bytes(&mut self) -> Result<&'a [u8], RecordError> {
        let length = usize::try_from(self.u64()?).unwrap_or(usize::MAX);
        let split = self.0.split_at_checked(length);
        let (head, tail) = split.ok_or_else(|| ends_early(length))?;
        self.0 = tail;
        Ok(head)
    }

    /// A counted list. The count is not believed: memory grows with what is there.
    pub fn list<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, RecordError>,
    ) -> Result<Vec<T>, RecordError> {
        let count = self.u64()?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(read(self)?);
        }
        Ok(items)
    }

    /// A value that may be absent.
    pub fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, RecordError>,
    ) -> Result<Option<T>, RecordError> {
        match self.u8()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            other => Err(malformed(format!(
                "wanted 0 or 1 for a choice, got {other}"
            ))),
        }
    }
}

/// Bytes that are no step, and why.
pub fn malformed(what: impl std::fmt::Display) -> RecordError {
    RecordError::Malformed(what.to_string())
}

fn ends_early(want: usize) -> RecordError {
    malformed(format!("the bytes end where {want} more are wanted"))
}
