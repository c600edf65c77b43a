//! Up to 32 neighbours of the symbols or of the table of postings, decoded.

use super::super::pages::{Stored, Window};
use crate::error::StorageError;

/// Texts in order, each with a number.
#[derive(Debug, Default)]
pub(crate) struct Page {
    text: String,
    /// Where each text ends in `text`, and its number.
    entries: Vec<(u32, u64)>,
}

impl Page {
    pub(super) fn push(&mut self, text: &str, number: u64) {
        self.text.push_str(text);
        self.entries
            .push((u32::try_from(self.text.len()).unwrap_or(u32::MAX), number));
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The i-th text and its number.
    pub(super) fn get(&self, i: usize) -> Option<(&str, u64)> {
        let &(end, number) = self.entries.get(i)?;
        let start = i.checked_sub(1).and_then(|i| self.entries.get(i)).map_or(0, |e| e.0);
        Some((self.text.get(start as usize..end as usize)?, number))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        (0..self.len()).filter_map(|i| self.get(i))
    }

    /// The number of `text`; texts are ascending.
    pub(super) fn find(&self, text: &str) -> Option<u64> {
        self.iter()
            .find(|(t, _)| *t >= text)
            .filter(|(t, _)| *t == text)
            .map(|(_, number)| number)
    }

    /// The text with a number; numbers are ascending.
    pub(super) fn text_of(&self, number: u64) -> Option<&str> {
        let at = self.entries.binary_search_by_key(&number, |e| e.1).ok()?;
        self.get(at).map(|(text, _)| text)
    }

    /// What it takes, bytes.
    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>() + self.text.capacity() + self.entries.capacity() * size_of::<(u32, u64)>()
    }
}

/// A page's place, and the checksum it had when the whole section's checksum was found right.
#[derive(Debug, Clone, Copy)]
pub(super) struct Checked {
    pub(super) offset: u64,
    crc: u32,
}

impl Checked {
    /// A page that begins at `offset`; its checksum follows.
    pub(super) fn at(offset: u64) -> Self {
        Self { offset, crc: 0 }
    }

    /// The page goes on with `bytes`.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.crc = crc32c::crc32c_append(self.crc, bytes);
    }

    /// Its bytes up to `end`, which must be those that were there when the index was opened.
    pub(super) fn read<'w>(
        &self,
        stored: &Stored,
        window: &'w mut Window<'_>,
        end: u64,
    ) -> Result<&'w [u8], StorageError> {
        let len = usize::try_from(end.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let bytes = window.get(self.offset, len)?;
        let got = crc32c::crc32c(bytes);
        if got != self.crc {
            let expected = format!("bytes with checksum {:08x}, as at opening", self.crc);
            return Err(stored.damaged(self.offset, expected, format!("{got:08x}")));
        }
        Ok(bytes)
    }
}
