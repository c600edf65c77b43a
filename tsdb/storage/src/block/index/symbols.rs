//! The symbols: every label name and value once, in order. In memory is where every 32nd begins.

use super::super::pages::{Stored, Window};
use super::super::stream::Stream;
use super::PAGE;
use super::page::{Checked, Page};
use crate::codec::{Cursor, Malformed};
use crate::error::StorageError;

/// Where symbols are.
#[derive(Debug)]
pub(super) struct Symbols {
    pages: Vec<Checked>,
    count: u32,
    end: u64,
    /// In version 1 a symbol's number is its offset, not its place in the order.
    by_offset: bool,
}

impl Symbols {
    /// Reads all of them once, checks the section's checksum and keeps those of the pages.
    pub(super) fn open(stored: &Stored, offset: u64, by_offset: bool) -> Result<Self, StorageError> {
        let mut stream = Stream::framed(stored, offset)?;
        let count = stream.u32()?;
        let mut pages: Vec<Checked> = Vec::new();
        for i in 0..count {
            if (i as usize).is_multiple_of(PAGE) {
                pages.push(Checked::at(stream.position()));
            }
            let symbol = stream.record(|cursor| cursor.sized_bytes().map(drop))?;
            if let Some(page) = pages.last_mut() {
                page.extend(symbol);
            }
        }
        pages.shrink_to_fit();
        let end = stream.position();
        stream.finish()?;
        Ok(Self {
            pages,
            count,
            end,
            by_offset,
        })
    }

    /// The page that the symbol with this number is on.
    pub(super) fn page_of(&self, number: u32) -> Option<usize> {
        if self.by_offset {
            return self
                .pages
                .partition_point(|p| p.offset <= u64::from(number))
                .checked_sub(1);
        }
        (number < self.count).then_some(number as usize / PAGE)
    }

    /// Where a page begins.
    pub(super) fn offset(&self, page: usize) -> u64 {
        self.pages.get(page).map_or(0, |p| p.offset)
    }

    /// Reads a page; its numbers are those of the symbols.
    pub(super) fn page(&self, stored: &Stored, window: &mut Window<'_>, page: usize) -> Result<Page, StorageError> {
        let Some(checked) = self.pages.get(page) else {
            return Ok(Page::default());
        };
        let end = self.pages.get(page + 1).map_or(self.end, |p| p.offset);
        let bytes = checked.read(stored, window, end)?;
        let (mut cursor, mut decoded) = (Cursor::new(bytes), Page::default());
        let wrap = |e: Malformed| e.in_file(stored.path(), checked.offset);
        while cursor.remaining() > 0 {
            let number = match self.by_offset {
                true => checked.offset + cursor.position() as u64,
                false => (page * PAGE + decoded.len()) as u64,
            };
            decoded.push(cursor.str().map_err(wrap)?, number);
        }
        Ok(decoded)
    }

    /// What it holds in memory, bytes.
    pub(super) fn weight(&self) -> usize {
        self.pages.capacity() * size_of::<Checked>()
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }
}
