//! A section of an index while it is written.

use super::super::output::Output;
use crate::codec;
use crate::error::StorageError;

/// A section whose length, and mostly its count, are known only at its end.
pub(super) struct Section {
    start: u64,
    crc: u32,
    len: u64,
}

impl Section {
    /// Leaves room for the length and the count.
    pub(super) fn begin(out: &mut Output) -> Result<Self, StorageError> {
        let start = out.len();
        out.write(&[0; 8])?;
        Ok(Self { start, crc: 0, len: 0 })
    }

    pub(super) fn write(&mut self, out: &mut Output, bytes: &[u8]) -> Result<(), StorageError> {
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        self.len += bytes.len() as u64;
        out.write(bytes)
    }

    pub(super) fn end(self, out: &mut Output, count: u32) -> Result<(), StorageError> {
        let too_long = |_| StorageError::Refused(format!("{}: a section of more than 4 GiB", out.path().display()));
        let len = u32::try_from(self.len + 4).map_err(too_long)?;
        let mut head = Vec::with_capacity(8);
        codec::put_u32(&mut head, len);
        codec::put_u32(&mut head, count);
        out.write_at(&head, self.start)?;
        let content = usize::try_from(self.len).unwrap_or(usize::MAX);
        let crc = crc32c::crc32c_combine(crc32c::crc32c(&count.to_be_bytes()), self.crc, content);
        out.write(&crc.to_be_bytes())
    }
}
