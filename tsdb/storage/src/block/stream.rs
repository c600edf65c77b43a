//! A section of a file read from its beginning to its end in bounded memory, with its checksum.

use super::pages::{Stored, Window};
use crate::codec::{Cursor, Got, Malformed};
use crate::error::StorageError;

/// What is looked at for one record at first, bytes.
const RECORD: usize = 256;

/// Stands within a section.
#[derive(Debug)]
pub(super) struct Stream<'a> {
    stored: &'a Stored,
    window: Window<'a>,
    at: u64,
    end: u64,
    crc: u32,
}

impl<'a> Stream<'a> {
    /// From `start` to `end`, which must be within the file.
    pub(super) fn new(stored: &'a Stored, start: u64, end: u64) -> Self {
        Self {
            stored,
            window: stored.window(),
            at: start,
            end: end.min(stored.len()),
            crc: 0,
        }
    }

    /// The section at `offset` that begins with its length as four bytes and ends with a checksum of what is between
    /// (see [`Self::finish`]).
    pub(super) fn framed(stored: &'a Stored, offset: u64) -> Result<Self, StorageError> {
        let mut head = Self::new(stored, offset, stored.len());
        let len = u64::from(head.u32()?);
        let end = head.at + len;
        if end + 4 > stored.len() {
            let rest = stored.len().saturating_sub(head.at);
            return Err(stored.damaged(
                offset,
                format!("a section of {len} bytes and a checksum"),
                format!("{rest} bytes"),
            ));
        }
        Ok(Self { end, crc: 0, ..head })
    }

    /// Where it stands, bytes from the file's beginning.
    pub(super) fn position(&self) -> u64 {
        self.at
    }

    /// Bytes that are left.
    pub(super) fn remaining(&self) -> u64 {
        self.end.saturating_sub(self.at)
    }

    pub(super) fn u32(&mut self) -> Result<u32, StorageError> {
        let bytes = self.bytes(4)?;
        Ok(bytes.try_into().map_or(0, u32::from_be_bytes))
    }

    pub(super) fn uvarint(&mut self) -> Result<u64, StorageError> {
        let bytes = self.record(|cursor| cursor.uvarint().map(drop))?;
        // It was read before.
        Ok(Cursor::new(bytes).uvarint().unwrap_or_default())
    }

    /// The bytes that `skip` reads, in one piece.
    pub(super) fn record(
        &mut self,
        skip: impl Fn(&mut Cursor<'_>) -> Result<(), Malformed>,
    ) -> Result<&[u8], StorageError> {
        let most = usize::try_from(self.remaining()).unwrap_or(usize::MAX);
        let mut tried = RECORD.min(most);
        let len = loop {
            let mut cursor = Cursor::new(self.window.up_to(self.at, tried)?);
            match skip(&mut cursor) {
                Ok(()) => break cursor.position(),
                Err(Malformed { got: Got::Bytes(_), .. }) if tried < most => tried = tried.saturating_mul(8).min(most),
                Err(error) => return Err(error.in_file(self.stored.path(), self.at)),
            }
        };
        self.bytes(len as u64)
    }

    /// The next `len` bytes.
    pub(super) fn bytes(&mut self, len: u64) -> Result<&[u8], StorageError> {
        if len > self.remaining() {
            return Err(self
                .stored
                .damaged(self.at, format!("{len} bytes"), format!("{} bytes", self.remaining())));
        }
        let bytes = self.window.get(self.at, usize::try_from(len).unwrap_or(usize::MAX))?;
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        self.at += len;
        Ok(bytes)
    }

    /// A text behind its length.
    pub(super) fn text(&mut self) -> Result<&str, StorageError> {
        let len = self.uvarint()?;
        let (at, stored) = (self.at, self.stored);
        std::str::from_utf8(self.bytes(len)?).map_err(|e| stored.damaged(at, "UTF-8", e.to_string()))
    }

    /// The content must end here, with the checksum of all that was read behind it.
    pub(super) fn finish(mut self) -> Result<(), StorageError> {
        if self.remaining() > 0 {
            let rest = format!("{} bytes", self.remaining());
            return Err(self.stored.damaged(self.at, "the end of the section", rest));
        }
        let (at, got) = (self.at, self.crc);
        self.end += 4;
        let expected = self.u32()?;
        if expected != got {
            return Err(self
                .stored
                .damaged(at, format!("checksum {expected:08x}"), format!("{got:08x}")));
        }
        Ok(())
    }
}
