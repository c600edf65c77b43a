//! The table of contents: the last 52 bytes.

use super::super::pages::Stored;
use super::HEADER;
use crate::codec::{self, Cursor};
use crate::error::StorageError;

/// Its length, bytes, the checksum included.
const LEN: usize = 6 * 8 + 4;

/// Where each section begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::block) struct Toc {
    pub(in crate::block) symbols: u64,
    pub(in crate::block) series: u64,
    /// No longer written, never read.
    pub(in crate::block) label_indices: u64,
    pub(in crate::block) postings: u64,
    /// No longer written, never read.
    pub(in crate::block) label_indices_table: u64,
    pub(in crate::block) postings_table: u64,
}

impl Toc {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LEN);
        for offset in [
            self.symbols,
            self.series,
            self.label_indices,
            self.label_indices_table,
            self.postings,
            self.postings_table,
        ] {
            codec::put_u64(&mut bytes, offset);
        }
        let sum = crc32c::crc32c(&bytes);
        codec::put_u32(&mut bytes, sum);
        bytes
    }

    pub(super) fn read(stored: &Stored) -> Result<Self, StorageError> {
        let Some(at) = stored.len().checked_sub(LEN as u64).filter(|&at| at >= HEADER) else {
            return Err(stored.damaged(
                0,
                "a header and a table of contents of 57 bytes",
                format!("{} bytes", stored.len()),
            ));
        };
        let mut window = stored.window();
        let bytes = window.get(at, LEN)?;
        let (content, sum) = bytes.split_at(LEN - 4);
        let got = crc32c::crc32c(content);
        let mut cursor = Cursor::new(bytes);
        let mut next = || cursor.be_u64().map_err(|e| e.in_file(stored.path(), at));
        let toc = Self {
            symbols: next()?,
            series: next()?,
            label_indices: next()?,
            label_indices_table: next()?,
            postings: next()?,
            postings_table: next()?,
        };
        let expected = sum.try_into().map_or(0, u32::from_be_bytes);
        if expected != got {
            return Err(stored.damaged(at, format!("checksum {expected:08x}"), format!("{got:08x}")));
        }
        for (what, offset) in [
            ("symbols", toc.symbols),
            ("series", toc.series),
            ("postings table", toc.postings_table),
        ] {
            if offset < HEADER || offset > at {
                return Err(stored.damaged(
                    at,
                    format!("{what} between {HEADER} and {at}"),
                    format!("{what} at {offset}"),
                ));
            }
        }
        Ok(toc)
    }

    /// Where the series end: at the next section, or at the table of contents of a file of `len` bytes.
    pub(in crate::block) fn series_end(&self, len: u64) -> u64 {
        [
            self.label_indices,
            self.label_indices_table,
            self.postings,
            self.postings_table,
        ]
        .into_iter()
        .filter(|&offset| offset >= self.series)
        .fold(len.saturating_sub(LEN as u64), u64::min)
    }
}
