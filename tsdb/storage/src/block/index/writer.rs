//! Writes an index: symbols, then series as they come, then the postings by reading the series again, a few label names
//! at a time, so that memory holds the symbols and one buffer of postings and never all of them.

use super::super::output::Output;
use super::super::pages::Stored;
use super::super::writer::Progress;
use super::dictionary::Dictionary;
use super::section::Section;
use super::series::{self, ChunkMeta};
use super::walk::{Walk, gather};
use super::{ALIGN, FILE, MAGIC, Toc, VERSION, postings};
use crate::codec;
use crate::disk::Disk;
use crate::error::StorageError;
use crate::source::SymbolIter;
use leadline_model::labels::Labels;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Postings that are gathered in one reading of the series, at least; eight bytes each.
const BATCH: u64 = 1 << 20;
/// The largest index there may be, bytes.
pub(super) const MAX_LEN: u64 = 16 * u32::MAX as u64;

/// An index that is being written.
#[derive(Debug)]
pub(in crate::block) struct Writer {
    disk: Arc<dyn Disk>,
    out: Output,
    dictionary: Dictionary,
    toc: Toc,
    /// How many series have each label name.
    uses: BTreeMap<u32, u64>,
    series: u64,
    last: Option<Labels>,
    last_chunk: u64,
    content: Vec<u8>,
    symbols: Vec<(u32, u32)>,
}

/// The values of a label name, each with the length of its list.
type Values = Vec<(u32, u32)>;

impl Writer {
    /// Begins the index in a block's folder with its symbols.
    pub(in crate::block) fn create(
        disk: Arc<dyn Disk>,
        dir: &Path,
        symbols: SymbolIter<'_>,
    ) -> Result<Self, StorageError> {
        let mut out = Output::create(&*disk, dir.join(FILE))?;
        let mut head = Vec::with_capacity(8);
        codec::put_u32(&mut head, MAGIC);
        head.push(VERSION);
        out.write(&head)?;
        let mut writer = Self {
            disk,
            toc: Toc {
                symbols: out.len(),
                ..Toc::default()
            },
            out,
            dictionary: Dictionary::default(),
            uses: BTreeMap::new(),
            series: 0,
            last: None,
            last_chunk: 0,
            content: Vec::new(),
            symbols: Vec::new(),
        };
        writer.symbols(symbols)?;
        writer.toc.series = writer.out.len();
        Ok(writer)
    }

    fn symbols(&mut self, symbols: SymbolIter<'_>) -> Result<(), StorageError> {
        let mut section = Section::begin(&mut self.out)?;
        for symbol in symbols {
            let symbol = symbol?;
            if !self.dictionary.push(&symbol) {
                return Err(StorageError::Refused(format!(
                    "symbol {symbol:?} out of order, or more than 4 GiB of symbols"
                )));
            }
            self.content.clear();
            codec::put_str(&mut self.content, &symbol);
            section.write(&mut self.out, &self.content)?;
        }
        let count = u32::try_from(self.dictionary.len()).unwrap_or(u32::MAX);
        section.end(&mut self.out, count)
    }

    /// Adds a series, which must be above all others, with its chunks in order.
    pub(in crate::block) fn series(&mut self, labels: &Labels, chunks: &[ChunkMeta]) -> Result<(), StorageError> {
        self.check(labels, chunks)?;
        self.look_up(labels)?;
        for &(name, _) in &self.symbols {
            *self.uses.entry(name).or_default() += 1;
        }
        self.content.clear();
        series::encode(&self.symbols, chunks, &mut self.content);
        let mut len = Vec::with_capacity(10);
        codec::put_uvarint(&mut len, self.content.len() as u64);
        codec::put_crc(&mut self.content, 0);
        self.out.pad(ALIGN)?;
        self.out.write(&len)?;
        self.out.write(&self.content)?;
        if self.out.len() > MAX_LEN {
            return Err(StorageError::Refused(format!(
                "{}: more than {MAX_LEN} bytes",
                self.out.path().display()
            )));
        }
        self.series += 1;
        self.last = Some(labels.clone());
        self.last_chunk = chunks.last().map_or(self.last_chunk, |c| c.reference);
        Ok(())
    }

    /// Finds the symbols of a series. Most of them are those of the series before.
    fn look_up(&mut self, labels: &Labels) -> Result<(), StorageError> {
        let before = self.last.take();
        let (mut same, mut len) = (before.iter().flatten(), 0);
        for (place, (name, value)) in labels.iter().enumerate() {
            let known = same.next().zip(self.symbols.get(place).copied());
            let pair = match known {
                Some(((n, v), pair)) if n == name && v == value => pair,
                Some(((n, _), pair)) if n == name => (pair.0, self.symbol(value)?),
                _ => (self.symbol(name)?, self.symbol(value)?),
            };
            match self.symbols.get_mut(place) {
                Some(there) => *there = pair,
                None => self.symbols.push(pair),
            }
            len = place + 1;
        }
        self.symbols.truncate(len);
        Ok(())
    }

    fn check(&self, labels: &Labels, chunks: &[ChunkMeta]) -> Result<(), StorageError> {
        if let Some(last) = self.last.as_ref().filter(|last| *last >= labels) {
            return Err(StorageError::Refused(format!(
                "series {labels} out of order behind {last}"
            )));
        }
        let (mut reference, mut maxt) = (self.last_chunk, None);
        for chunk in chunks {
            let overlaps = maxt.is_some_and(|maxt| chunk.mint <= maxt);
            if chunk.reference < reference || chunk.maxt < chunk.mint || overlaps {
                return Err(StorageError::Refused(format!("chunks of series {labels} out of order")));
            }
            (reference, maxt) = (chunk.reference, Some(chunk.maxt));
        }
        Ok(())
    }

    fn symbol(&self, text: &str) -> Result<u32, StorageError> {
        let found = self.dictionary.number(text);
        found.ok_or_else(|| StorageError::Refused(format!("{text:?} is not among the symbols")))
    }

    /// Bytes so far.
    pub(in crate::block) fn len(&self) -> u64 {
        self.out.len()
    }

    /// Writes what follows the series, durably. `progress` is told [`Self::len`] with each list, and while series are read.
    pub(in crate::block) fn finish(mut self, progress: &mut Progress<'_>) -> Result<(), StorageError> {
        let series_end = self.out.len();
        self.toc.label_indices = series_end;
        self.toc.postings = series_end;
        self.out.pad(4)?;
        self.out.flush()?;
        let postings_start = self.out.len();
        let stored = Stored::open(&*self.disk, PathBuf::from(self.out.path()))?;
        let walk = Walk {
            stored: &stored,
            start: self.toc.series,
            end: series_end,
        };
        self.all_postings(&walk, progress)?;
        let names = self.postings(&walk, progress)?;
        self.toc.label_indices_table = self.out.len();
        self.toc.postings_table = self.out.len();
        self.table(&names, postings_start, progress)?;
        self.out.write(&self.toc.encode())?;
        self.out.sync()
    }

    /// The list of all series, of which only the number is known before.
    fn all_postings(&mut self, walk: &Walk<'_>, progress: &mut Progress<'_>) -> Result<(), StorageError> {
        let (mut crc, mut buffer) = (0, Vec::with_capacity(16));
        let count = u32::try_from(self.series).unwrap_or(u32::MAX);
        let len = count.checked_mul(4).and_then(|n| n.checked_add(4));
        let len = len.ok_or_else(|| StorageError::Refused(format!("{} series are too many", self.series)))?;
        codec::put_u32(&mut buffer, len);
        self.out.write(&buffer)?;
        buffer.clear();
        codec::put_u32(&mut buffer, count);
        let out = &mut self.out;
        let mut put = |bytes: &[u8]| {
            crc = crc32c::crc32c_append(crc, bytes);
            out.write(bytes)?;
            progress(out.len())
        };
        put(&buffer)?;
        walk.each(|reference, _| put(&reference.to_be_bytes()))?;
        self.out.write(&crc.to_be_bytes())
    }

    /// The lists of all label pairs, a few names in each reading of the series.
    fn postings(&mut self, walk: &Walk<'_>, progress: &mut Progress<'_>) -> Result<Vec<(u32, Values)>, StorageError> {
        let most = self.series.max(BATCH);
        let uses: Vec<(u32, u64)> = self.uses.iter().map(|(&name, &uses)| (name, uses)).collect();
        let mut written = Vec::with_capacity(uses.len());
        let mut rest = uses.as_slice();
        while !rest.is_empty() {
            let mut total = 0;
            let fits = rest.iter().take_while(|(_, uses)| {
                total += uses;
                total <= most
            });
            let (batch, behind) = rest.split_at(fits.count().max(1));
            rest = behind;
            for (name, list) in gather(walk, batch, &mut || progress(self.out.len()))? {
                let values = self.lists(&list, progress)?;
                written.push((name, values));
            }
        }
        Ok(written)
    }

    /// Writes the lists of one name from its (value, reference) pairs in order.
    fn lists(&mut self, pairs: &[u64], progress: &mut Progress<'_>) -> Result<Values, StorageError> {
        let (mut values, mut refs) = (Values::new(), Vec::new());
        for run in pairs.chunk_by(|a, b| a >> 32 == b >> 32) {
            let Some(&first) = run.first() else {
                continue;
            };
            refs.clear();
            refs.extend(run.iter().map(|&pair| pair as u32));
            self.content.clear();
            if !postings::encode(&refs, &mut self.content) {
                return Err(StorageError::Refused(
                    "a list of postings of more than 4 GiB".to_owned(),
                ));
            }
            self.out.pad(4)?;
            self.out.write(&self.content)?;
            values.push(((first >> 32) as u32, refs.len() as u32));
            progress(self.out.len())?;
        }
        Ok(values)
    }

    /// Where each list is: they stand one behind the other.
    fn table(&mut self, names: &[(u32, Values)], start: u64, progress: &mut Progress<'_>) -> Result<(), StorageError> {
        let mut section = Section::begin(&mut self.out)?;
        let mut offset = start;
        let mut entry = Vec::new();
        let mut count = 1u64;
        let all = [(None, self.series)].into_iter();
        let others = names
            .iter()
            .flat_map(|(name, values)| values.iter().map(|&(value, n)| (Some((*name, value)), u64::from(n))));
        for (pair, n) in all.chain(others) {
            entry.clear();
            codec::put_uvarint(&mut entry, 2);
            let symbols = pair.map_or([&[][..]; 2], |(name, value)| {
                [name, value].map(|symbol| self.dictionary.bytes(symbol as usize))
            });
            for text in symbols {
                codec::put_uvarint(&mut entry, text.len() as u64);
                entry.extend_from_slice(text);
            }
            codec::put_uvarint(&mut entry, offset);
            section.write(&mut self.out, &entry)?;
            progress(self.out.len())?;
            count += u64::from(pair.is_some());
            offset += postings::encoded_len(n);
        }
        let count = u32::try_from(count).map_err(|_| StorageError::Refused("too many label pairs".to_owned()))?;
        section.end(&mut self.out, count)
    }
}
