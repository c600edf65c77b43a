//! Reads series, their symbols resolved, one after the other.

use super::super::pages::{Stored, Window};
use super::page::Page;
use super::reader::Reader;
use super::series::{self, ChunkMeta, SeriesEntry};
use crate::cache::{Cached, Kind};
use crate::codec::Cursor;
use crate::error::StorageError;
use leadline_model::labels::Labels;
use rapidhash::RapidHashMap;
use std::sync::Arc;

/// Pages of symbols that one reading keeps at hand before it begins anew.
const MAX_PAGES: usize = 4096;

/// Reads series one after the other, best in ascending order.
#[derive(Debug)]
pub(in crate::block) struct SeriesReader<'a> {
    reader: &'a Reader,
    series: Window<'a>,
    texts: Window<'a>,
    pages: RapidHashMap<usize, Arc<Page>>,
    cached: bool,
    symbols: Vec<(u32, u32)>,
    chunks: Vec<ChunkMeta>,
}

impl<'a> SeriesReader<'a> {
    pub(super) fn new(reader: &'a Reader, cached: bool) -> Self {
        Self {
            reader,
            series: reader.stored.window(),
            texts: reader.stored.window(),
            pages: RapidHashMap::default(),
            cached,
            symbols: Vec::new(),
            chunks: Vec::new(),
        }
    }

    /// The series with this reference.
    pub(in crate::block) fn get(&mut self, series: u32) -> Result<Arc<SeriesEntry>, StorageError> {
        let offset = self.reader.offset_of(series);
        if !self.cached {
            return self.read(offset).map(Arc::new);
        }
        let key = self.reader.key(Kind::Series, offset);
        if let Some(Cached::Series(entry)) = self.reader.cache.get(&key) {
            return Ok(entry);
        }
        let entry = Arc::new(self.read(offset)?);
        self.reader.cache.put(key, Cached::Series(Arc::clone(&entry)));
        Ok(entry)
    }

    fn read(&mut self, offset: u64) -> Result<SeriesEntry, StorageError> {
        self.walk(offset).map(|(entry, _)| entry)
    }

    /// Reads the series at `offset` into `symbols` and `chunks`, and returns where it ends.
    fn decode(&mut self, offset: u64) -> Result<u64, StorageError> {
        let stored = &self.reader.stored;
        let (content, end) = framed(stored, &mut self.series, offset)?;
        let base = end - 4 - content.len() as u64;
        let mut cursor = Cursor::new(content);
        series::decode_symbols(&mut cursor, &mut self.symbols)
            .and_then(|()| series::decode_chunks(&mut cursor, &mut self.chunks))
            .map_err(|e| e.in_file(stored.path(), base))?;
        if !cursor.is_empty() {
            let at = base + cursor.position() as u64;
            return Err(stored.damaged(at, "the end of the series", format!("{} bytes", cursor.remaining())));
        }
        Ok(end)
    }

    fn labels(&mut self, offset: u64) -> Result<Labels, StorageError> {
        if self.pages.len() > MAX_PAGES {
            self.pages = RapidHashMap::default();
        }
        for i in 0..self.symbols.len() {
            let Some(&(name, value)) = self.symbols.get(i) else {
                break;
            };
            self.load(name, offset)?;
            self.load(value, offset)?;
        }
        let stored = &self.reader.stored;
        let mut pairs: Vec<(&str, &str)> = Vec::with_capacity(self.symbols.len());
        for &(name, value) in &self.symbols {
            let (name, value) = (self.text(name, offset)?, self.text(value, offset)?);
            if value.is_empty() || pairs.last().is_some_and(|last| last.0 >= name) {
                return Err(stored.damaged(offset, "labels with values, in order", format!("{name:?} = {value:?}")));
            }
            pairs.push((name, value));
        }
        Ok(Labels::from_sorted(pairs))
    }

    /// Has the page of a symbol at hand.
    fn load(&mut self, symbol: u32, offset: u64) -> Result<(), StorageError> {
        let reader = self.reader;
        let page = reader
            .symbols
            .page_of(symbol)
            .ok_or_else(|| reader.no_symbol(symbol, offset))?;
        if self.pages.contains_key(&page) {
            return Ok(());
        }
        let key = reader.key(Kind::Symbols, reader.symbols.offset(page));
        let cached = if self.cached { reader.cache.get(&key) } else { None };
        let decoded = match cached {
            Some(Cached::Page(page)) => page,
            _ => {
                let decoded = Arc::new(reader.symbols.page(&reader.stored, &mut self.texts, page)?);
                if self.cached {
                    reader.cache.put(key, Cached::Page(Arc::clone(&decoded)));
                }
                decoded
            }
        };
        self.pages.insert(page, decoded);
        Ok(())
    }

    fn text(&self, symbol: u32, offset: u64) -> Result<&str, StorageError> {
        let page = self
            .reader
            .symbols
            .page_of(symbol)
            .and_then(|page| self.pages.get(&page));
        page.and_then(|page| page.text_of(u64::from(symbol)))
            .ok_or_else(|| self.reader.no_symbol(symbol, offset))
    }

    /// The series at `offset` and where it ends; for who walks over all of them.
    pub(in crate::block) fn walk(&mut self, offset: u64) -> Result<(SeriesEntry, u64), StorageError> {
        let end = self.decode(offset)?;
        let labels = self.labels(offset)?;
        let chunks = self.chunks.as_slice().into();
        Ok((SeriesEntry { labels, chunks }, end))
    }
}

/// The content at `offset` that stands behind its length as uvarint and before a checksum, and where that ends.
pub(super) fn framed<'w>(
    stored: &Stored,
    window: &'w mut Window<'_>,
    offset: u64,
) -> Result<(&'w [u8], u64), StorageError> {
    let mut cursor = Cursor::new(window.up_to(offset, 10)?);
    let len = cursor.uvarint().map_err(|e| e.in_file(stored.path(), offset))?;
    let start = offset + cursor.position() as u64;
    let whole = usize::try_from(len)
        .ok()
        .and_then(|len| len.checked_add(4))
        .unwrap_or(usize::MAX);
    let bytes = window.get(start, whole)?;
    let Some((content, sum)) = bytes.split_last_chunk::<4>() else {
        return Err(stored.damaged(start, "a checksum", "the end"));
    };
    let (expected, got) = (u32::from_be_bytes(*sum), crc32c::crc32c(content));
    if expected != got {
        return Err(stored.damaged(start, format!("checksum {expected:08x}"), format!("{got:08x}")));
    }
    Ok((content, start + whole as u64))
}
