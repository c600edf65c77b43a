//! Finds series by label, reading only what is asked for.

use super::super::pages::{Stored, Window};
use super::page::Page;
use super::series_reader::SeriesReader;
use super::symbols::Symbols;
use super::table::{Name, Table};
use super::{ALIGN, FILE, HEADER, MAGIC, Toc, postings};
use crate::cache::{Cache, Cached, Key, Kind};
use crate::codec::Cursor;
use crate::disk::Disk;
use crate::error::StorageError;
use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::sync::Arc;

/// An open index.
#[derive(Debug)]
pub(in crate::block) struct Reader {
    pub(super) stored: Stored,
    toc: Toc,
    version: u8,
    pub(super) symbols: Symbols,
    table: Table,
    /// The references that a series can have.
    refs: Range<u64>,
    /// What the tables hold in memory, bytes.
    resident: usize,
    pub(super) cache: Arc<Cache>,
    block: u64,
}

impl Reader {
    /// Opens the index in a block's folder; `block` is the block's number in the cache.
    pub(in crate::block) fn open(
        disk: &dyn Disk,
        dir: &Path,
        cache: Arc<Cache>,
        block: u64,
    ) -> Result<Self, StorageError> {
        let stored = Stored::open(disk, dir.join(FILE))?;
        let version = version(&stored)?;
        let toc = Toc::read(&stored)?;
        let first = version == 1;
        let symbols = Symbols::open(&stored, toc.symbols, first)?;
        let table = match first {
            true => Table::open_unordered(&stored, toc.postings_table)?,
            false => Table::open(&stored, toc.postings_table)?,
        };
        let (start, end) = (toc.series, toc.series_end(stored.len()));
        let refs = match first {
            true => start..end,
            false => start.div_ceil(ALIGN)..end.div_ceil(ALIGN),
        };
        Ok(Self {
            resident: symbols.weight() + table.weight(),
            stored,
            toc,
            version,
            symbols,
            table,
            refs,
            cache,
            block,
        })
    }

    pub(in crate::block) fn stored(&self) -> &Stored {
        &self.stored
    }

    /// Bytes of memory that are held as long as it is open, whatever the cache holds.
    pub(in crate::block) fn resident(&self) -> usize {
        self.resident
    }

    pub(in crate::block) fn toc(&self) -> &Toc {
        &self.toc
    }

    /// 1, 2 or 3.
    pub(in crate::block) fn version(&self) -> u8 {
        self.version
    }

    /// How many symbols there are.
    pub(in crate::block) fn symbol_count(&self) -> u32 {
        self.symbols.count()
    }

    /// Above every reference, as a size.
    pub(in crate::block) fn universe(&self) -> usize {
        usize::try_from(self.refs.end).unwrap_or(usize::MAX)
    }

    /// All label names, sorted.
    pub(in crate::block) fn names(&self) -> impl Iterator<Item = &Name> {
        self.table.names()
    }

    pub(in crate::block) fn name(&self, name: &str) -> Option<&Name> {
        self.table.name(name).filter(|n| !n.text.is_empty())
    }

    /// Where the series with this reference is in the file.
    pub(in crate::block) fn offset_of(&self, series: u32) -> u64 {
        match self.version {
            1 => u64::from(series),
            _ => u64::from(series) * ALIGN,
        }
    }

    /// Where the list of a label pair is.
    pub(in crate::block) fn find(&self, name: &Name, value: &str) -> Result<Option<u64>, StorageError> {
        let page = name.page_of(value);
        Ok(self.values(&mut self.stored.window(), name, page)?.find(value))
    }

    /// Hands the values of `name` that begin with `prefix` to `visit`, in order and with the places of their lists.
    pub(in crate::block) fn each_value(
        &self,
        name: &Name,
        prefix: &str,
        mut visit: impl FnMut(&str, u64) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        let mut window = self.stored.window();
        for page in name.page_of(prefix)..name.pages() {
            if name.is_behind(page, prefix) {
                break;
            }
            let page = self.values(&mut window, name, page)?;
            for (value, offset) in page.iter().filter(|(value, _)| value.starts_with(prefix)) {
                if visit(value, offset).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn values(&self, window: &mut Window<'_>, name: &Name, page: usize) -> Result<Arc<Page>, StorageError> {
        if let Some(page) = name.resident(page) {
            return Ok(page);
        }
        let key = self.key(Kind::Values, name.offset(page));
        if let Some(Cached::Page(page)) = self.cache.get(&key) {
            return Ok(page);
        }
        let page = Arc::new(name.page(&self.stored, window, page)?);
        self.cache.put(key, Cached::Page(Arc::clone(&page)));
        Ok(page)
    }

    /// The list at `offset`.
    pub(in crate::block) fn postings(&self, offset: u64) -> Result<Arc<[u32]>, StorageError> {
        let key = self.key(Kind::Postings, offset);
        if let Some(Cached::Postings(list)) = self.cache.get(&key) {
            return Ok(list);
        }
        let list = self.postings_uncached(offset)?;
        self.cache.put(key, Cached::Postings(Arc::clone(&list)));
        Ok(list)
    }

    /// The list at `offset`, past the cache.
    pub(in crate::block) fn postings_uncached(&self, offset: u64) -> Result<Arc<[u32]>, StorageError> {
        postings::read(&self.stored, &mut self.stored.window(), offset, &self.refs)
    }

    /// How long the list at `offset` claims to be.
    pub(in crate::block) fn postings_len(&self, offset: u64) -> Result<u32, StorageError> {
        postings::peek_len(&mut self.stored.window(), offset)
    }

    /// Where the list of all series is.
    pub(in crate::block) fn all(&self) -> Result<Option<u64>, StorageError> {
        match self.table.name("") {
            Some(name) => self.find(name, ""),
            None => Ok(None),
        }
    }

    pub(super) fn key(&self, kind: Kind, at: u64) -> Key {
        Key {
            of: self.block,
            kind,
            at,
        }
    }

    /// That the series at `offset` names a symbol that is not there.
    pub(super) fn no_symbol(&self, symbol: u32, offset: u64) -> StorageError {
        let known = self.symbols.count();
        self.stored
            .damaged(offset, format!("one of {known} symbols"), format!("symbol {symbol}"))
    }

    /// Reads series through the cache.
    pub(in crate::block) fn series(&self) -> SeriesReader<'_> {
        SeriesReader::new(self, true)
    }

    /// Reads all series once: neither from the cache nor into it.
    pub(in crate::block) fn series_uncached(&self) -> SeriesReader<'_> {
        SeriesReader::new(self, false)
    }
}

fn version(stored: &Stored) -> Result<u8, StorageError> {
    let mut window = stored.window();
    let mut header = Cursor::new(window.get(0, HEADER as usize)?);
    let wrap = |e: crate::codec::Malformed| e.in_file(stored.path(), 0);
    let magic = header.be_u32().map_err(wrap)?;
    if magic != MAGIC {
        return Err(stored.damaged(0, format!("magic number {MAGIC:08x}"), format!("{magic:08x}")));
    }
    match header.u8().map_err(wrap)? {
        version @ 1..=3 => Ok(version),
        other => Err(StorageError::Unknown {
            path: stored.path().to_owned(),
            offset: size_of_val(&MAGIC) as u64,
            what: "index version",
            found: other.to_string(),
            known: "1, 2 or 3",
        }),
    }
}
