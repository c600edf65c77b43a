//! A block that is open for reading.

use super::select::{self, Set};
use super::stream::Stream;
use super::{Meta, Tombstones, Ulid, chunks, index};
use crate::cache::Cache;
use crate::disk::Disk;
use crate::error::StorageError;
use crate::interval::Interval;
use crate::source::{SeriesIter, Source, SourceChunk, SourceSeries, SymbolIter};
use leadline_model::labels::Labels;
use leadline_model::matcher::Matcher;
use leadline_model::port::SeriesSet;
use leadline_model::sample::Timestamp;
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Samples of a range of time. Files stay open: removing the folder does not disturb who reads.
#[derive(Debug)]
pub struct Block {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    index: index::Reader,
    chunks: chunks::Reader,
    state: RwLock<State>,
    /// Held by who rewrites a file of the folder.
    writing: Mutex<()>,
}

/// What can change.
#[derive(Debug)]
struct State {
    meta: Arc<Meta>,
    meta_bytes: u64,
    tombstones: Arc<Tombstones>,
    tombstones_bytes: u64,
}

impl Block {
    /// Opens the block in the folder `dir`. Reads the whole table of postings and the symbols once to check them, and
    /// nothing else beyond headers.
    ///
    /// # Errors
    /// [`StorageError::Io`] where a file is missing; [`StorageError::Unknown`] for a newer version;
    /// [`StorageError::Damaged`].
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, cache: Arc<Cache>) -> Result<Arc<Self>, StorageError> {
        let (mut meta, meta_bytes) = Meta::read(&*disk, dir)?;
        let (tombstones, tombstones_bytes) = Tombstones::read(&*disk, dir)?;
        let known = meta.stats.num_tombstones;
        if tombstones_bytes == 0 && known > 0 {
            // Without it, what was deleted would be there again.
            let expected = format!("the file, with {known} deletions");
            return Err(StorageError::damaged(&dir.join("tombstones"), 0, expected, "none"));
        }
        // The file is written before the description: a crash in between leaves a count that is old, and who cleans up by it
        // would pass deletions over.
        meta.stats.num_tombstones = tombstones.total();
        let number = cache.number();
        Ok(Arc::new(Self {
            index: index::Reader::open(&*disk, dir, Arc::clone(&cache), number)?,
            chunks: chunks::Reader::open(&*disk, dir, cache, number)?,
            disk,
            dir: dir.to_owned(),
            state: RwLock::new(State {
                meta: Arc::new(meta),
                meta_bytes,
                tombstones: Arc::new(tombstones),
                tombstones_bytes,
            }),
            writing: Mutex::new(()),
        }))
    }

    /// What it is.
    #[must_use]
    pub fn meta(&self) -> Arc<Meta> {
        Arc::clone(&self.state.read().meta)
    }

    /// Its name.
    #[must_use]
    pub fn ulid(&self) -> Ulid {
        self.state.read().meta.ulid
    }

    /// Its folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Length of its files, bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        let state = self.state.read();
        self.chunks.len() + self.index.stored().len() + state.meta_bytes + state.tombstones_bytes
    }

    /// Length of its chunks, bytes.
    #[must_use]
    pub fn chunk_bytes(&self) -> u64 {
        self.chunks.len()
    }

    /// Bytes of memory that it takes as long as it is open: where its symbols and postings are. What the cache holds of it
    /// and its deletions are not among them.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        self.index.resident() as u64
    }

    /// Version of its index, 1 to 3.
    #[must_use]
    pub fn index_version(&self) -> u8 {
        self.index.version()
    }

    /// How many label names and values there are, each text once.
    #[must_use]
    pub fn symbol_count(&self) -> u32 {
        self.index.symbol_count()
    }

    /// How many label pairs there are.
    #[must_use]
    pub fn label_pairs(&self) -> u64 {
        self.index.names().map(|name| name.values).sum()
    }

    /// What was deleted.
    #[must_use]
    pub fn tombstones(&self) -> Arc<Tombstones> {
        Arc::clone(&self.state.read().tombstones)
    }

    /// Whether it may have samples between `mint` and `maxt` (ms, both included).
    #[must_use]
    pub fn overlaps(&self, mint: Timestamp, maxt: Timestamp) -> bool {
        let meta = self.meta();
        meta.min_time <= maxt && mint < meta.max_time
    }

    pub(super) fn index(&self) -> &index::Reader {
        &self.index
    }

    pub(super) fn chunks(&self) -> &chunks::Reader {
        &self.chunks
    }

    /// The series that fulfil all matchers and have samples with `mint <= t <= maxt` (ms) that are not deleted, as far
    /// as the ends of their chunks tell. They come sorted by labels at no cost.
    ///
    /// # Errors
    /// [`StorageError::Damaged`], [`StorageError::Io`].
    pub fn select(
        self: &Arc<Self>,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
        sorted: bool,
    ) -> Result<Box<dyn SeriesSet>, StorageError> {
        let _ = sorted;
        Ok(Box::new(Set::new(Arc::clone(self), matchers, mint, maxt)?))
    }

    /// The names of labels, sorted: of all series when there are no matchers, else of those that [`Self::select`] gives.
    ///
    /// # Errors
    /// As [`Self::select`].
    pub fn label_names(
        &self,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
    ) -> Result<Vec<String>, StorageError> {
        if matchers.is_empty() {
            return Ok(self.index.names().map(|name| name.text.to_string()).collect());
        }
        let mut names = BTreeSet::new();
        select::each(self, matchers, &self.tombstones(), (mint, maxt), |series| {
            for (name, _) in &series.entry.labels {
                if !names.contains(name) {
                    names.insert(name.to_owned());
                }
            }
        })?;
        Ok(names.into_iter().collect())
    }

    /// The values of a label, sorted: of all series when there are no matchers, else of those that [`Self::select`]
    /// gives.
    ///
    /// # Errors
    /// As [`Self::select`].
    pub fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
    ) -> Result<Vec<String>, StorageError> {
        if matchers.is_empty() {
            let mut values = Vec::new();
            if let Some(name) = self.index.name(name) {
                self.index.each_value(name, "", |value, _| {
                    values.push(value.to_owned());
                    ControlFlow::Continue(())
                })?;
            }
            return Ok(values);
        }
        let mut values = BTreeSet::new();
        select::each(self, matchers, &self.tombstones(), (mint, maxt), |series| {
            if let Some(value) = series.entry.labels.get(name).filter(|value| !values.contains(*value)) {
                values.insert(value.to_owned());
            }
        })?;
        Ok(values.into_iter().collect())
    }

    /// Deletes the samples with `mint <= t <= maxt` (ms) of the series that fulfil all matchers: durable when this
    /// returns. Returns how many series it concerned. Deletions that are there already stay.
    ///
    /// # Errors
    /// [`StorageError`]; either all of it is deleted then or nothing.
    pub fn delete(&self, matchers: &[Matcher], mint: Timestamp, maxt: Timestamp) -> Result<usize, StorageError> {
        let _writing = self.writing.lock();
        let mut tombstones = (*self.tombstones()).clone();
        let mut concerned = 0;
        select::each(self, matchers, &Tombstones::default(), (mint, maxt), |series| {
            if let (Some(first), Some(last)) = (series.entry.chunks.first(), series.entry.chunks.last()) {
                concerned += 1;
                let range = Interval {
                    mint: mint.max(first.mint),
                    maxt: maxt.min(last.maxt),
                };
                tombstones.add(u64::from(series.reference), range);
            }
        })?;
        if concerned == 0 {
            return Ok(0);
        }
        let tombstones_bytes = tombstones.write(&*self.disk, &self.dir)?;
        let total = tombstones.total();
        {
            let mut state = self.state.write();
            state.tombstones = Arc::new(tombstones);
            state.tombstones_bytes = tombstones_bytes;
            // In force, whether or not the description can be written.
            Arc::make_mut(&mut state.meta).stats.num_tombstones = total;
        }
        self.write_meta(|_| {})?;
        Ok(concerned)
    }

    /// Changes its description, durably.
    ///
    /// # Errors
    /// [`StorageError::Io`]; the old description is in force then.
    pub fn update_meta(&self, change: impl FnOnce(&mut Meta)) -> Result<(), StorageError> {
        let _writing = self.writing.lock();
        self.write_meta(change)
    }

    fn write_meta(&self, change: impl FnOnce(&mut Meta)) -> Result<(), StorageError> {
        let mut meta = (*self.meta()).clone();
        change(&mut meta);
        let meta_bytes = meta.write(&*self.disk, &self.dir)?;
        let mut state = self.state.write();
        state.meta = Arc::new(meta);
        state.meta_bytes = meta_bytes;
        Ok(())
    }
}

impl Block {
    /// The file and the offset of a series, or of its chunk that begins at `chunk` (ms); the beginning of the file where that
    /// cannot be found any more.
    fn place(&self, labels: &Labels, chunk: Option<Timestamp>) -> (PathBuf, u64) {
        let matchers: Vec<Matcher> = labels.iter().map(|(name, value)| Matcher::equal(name, value)).collect();
        let (mut found, all) = (None, (Timestamp::MIN, Timestamp::MAX));
        // What cannot be read now is told without its place.
        let _ = select::each(self, &matchers, &Tombstones::default(), all, |series| {
            if series.entry.labels == *labels {
                let chunks = series.entry.chunks.iter();
                let chunk = chunk.and_then(|mint| chunks.clone().find(|one| one.mint == mint));
                found = Some((series.reference, chunk.map(|chunk| chunk.reference)));
            }
        });
        match (chunk, found) {
            (Some(_), Some((_, Some(chunk)))) => {
                let (path, offset) = self.chunks.place(chunk);
                (path.to_owned(), offset)
            }
            (Some(_), _) => (self.dir.join("chunks"), 0),
            (None, found) => {
                let offset = found.map_or(0, |(series, _)| self.index.offset_of(series));
                (self.index.stored().path().to_owned(), offset)
            }
        }
    }
}

impl Source for Block {
    fn symbols(&self) -> Result<SymbolIter<'_>, StorageError> {
        let mut stream = Stream::framed(self.index.stored(), self.index.toc().symbols)?;
        let mut left = stream.u32()?;
        let mut stream = Some(stream);
        Ok(Box::new(std::iter::from_fn(move || {
            let mut reading = stream.take()?;
            let Some(rest) = left.checked_sub(1) else {
                return reading.finish().err().map(Err);
            };
            left = rest;
            let symbol = reading.text().map(str::to_owned);
            // Behind damage there is no telling where the next one begins.
            if symbol.is_ok() {
                stream = Some(reading);
            }
            Some(symbol)
        })))
    }

    fn series(&self) -> Result<SeriesIter<'_>, StorageError> {
        let refs = match self.index.all()? {
            Some(offset) => self.index.postings_uncached(offset)?,
            None => Arc::default(),
        };
        let tombstones = self.tombstones();
        let mut series = self.index.series_uncached();
        let mut chunks = self.chunks.chunks();
        Ok(Box::new((0..refs.len()).filter_map(move |i| refs.get(i).copied()).map(
            move |reference| {
                let entry = series.get(reference)?;
                let chunks = entry.chunks.iter().map(|chunk| {
                    let (encoding, data) = chunks.get(chunk.reference)?;
                    Ok(SourceChunk {
                        mint: chunk.mint,
                        maxt: chunk.maxt,
                        encoding,
                        data,
                    })
                });
                Ok(SourceSeries {
                    labels: entry.labels.clone(),
                    chunks: chunks.collect::<Result<_, StorageError>>()?,
                    deleted: tombstones.get(u64::from(reference)).cloned().unwrap_or_default(),
                })
            },
        )))
    }

    fn is_stored(&self) -> bool {
        true
    }

    fn damaged(&self, labels: &Labels, chunk: Option<Timestamp>, expected: &str, got: String) -> StorageError {
        let (path, offset) = self.place(labels, chunk);
        let got = format!("{got}, in {labels}");
        StorageError::damaged(&path, offset, expected, got)
    }
}
