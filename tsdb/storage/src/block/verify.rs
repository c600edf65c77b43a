//! Walks through a whole block and compares everything that is stored twice.

mod samples;

use super::block::Block;
use super::chunks::ChunkReader;
use super::index::SeriesEntry;
use super::stream::Stream;
use crate::error::{Damage, StorageError};
use leadline_model::labels::Labels;
use samples::FIRST_CHUNK;
use std::collections::BTreeMap;
use std::hash::Hasher;
use std::ops::ControlFlow;
use std::path::Path;

/// What a walk has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verified {
    /// Series.
    pub series: u64,
    /// Chunks.
    pub chunks: u64,
    /// Samples of either kind.
    pub samples: u64,
    /// Native histograms among them.
    pub histograms: u64,
}

impl Block {
    /// Reads everything and reports every finding: checksums, the order of symbols, series and chunks, ends of chunks
    /// against their samples, postings against series, statistics against what is there. Memory is bounded but for the
    /// list of all series (4 bytes each).
    ///
    /// # Errors
    /// [`StorageError::Io`] when the disk cannot be read; damage is reported, not returned.
    pub fn verify(&self, report: &mut dyn FnMut(Damage)) -> Result<Verified, StorageError> {
        let mut walk = Walk {
            block: self,
            report,
            seen: Verified::default(),
            carried: BTreeMap::new(),
            last: None,
            next_chunk: Some(FIRST_CHUNK),
        };
        walk.symbols()?;
        let refs = walk.refs()?;
        walk.series(&refs)?;
        walk.segments_end();
        walk.postings()?;
        walk.tombstones(&refs);
        walk.stats();
        Ok(walk.seen)
    }
}

/// How many series carry a label name, and a sum over which ones with which values.
type Carried = (u64, u64);

struct Walk<'a> {
    block: &'a Block,
    report: &'a mut dyn FnMut(Damage),
    seen: Verified,
    carried: BTreeMap<String, Carried>,
    last: Option<Labels>,
    /// Where the next chunk must be: behind the last one.
    next_chunk: Option<u64>,
}

impl Walk<'_> {
    /// Reports damage; anything else ends the walk.
    fn take<T>(&mut self, result: Result<T, StorageError>) -> Result<Option<T>, StorageError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(StorageError::Damaged(damage)) => {
                (self.report)(damage);
                Ok(None)
            }
            Err(StorageError::Unknown {
                path,
                offset,
                what,
                found,
                known,
            }) => {
                self.find(&path, offset, format!("{what} {known}"), found);
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    fn find(&mut self, path: &Path, offset: u64, expected: impl Into<String>, got: impl Into<String>) {
        (self.report)(Damage {
            path: path.to_owned(),
            offset,
            expected: expected.into(),
            got: got.into(),
        });
    }

    fn find_in_index(&mut self, offset: u64, expected: impl Into<String>, got: impl Into<String>) {
        let path = self.block.index().stored().path();
        self.find(path, offset, expected, got);
    }

    fn symbols(&mut self) -> Result<(), StorageError> {
        let index = self.block.index();
        let mut last: Option<String> = None;
        let mut walk = || {
            let mut stream = Stream::framed(index.stored(), index.toc().symbols)?;
            for _ in 0..stream.u32()? {
                let at = stream.position();
                let symbol = stream.text()?;
                if last.as_deref().is_some_and(|last| last >= symbol) {
                    return Err(index
                        .stored()
                        .damaged(at, "symbols in order", format!("{symbol:?} out of order")));
                }
                last = Some(symbol.to_owned());
            }
            stream.finish()
        };
        let result = walk();
        self.take(result).map(|_| ())
    }

    /// All series by the list of all.
    fn refs(&mut self) -> Result<Vec<u32>, StorageError> {
        let index = self.block.index();
        let refs = index
            .all()
            .and_then(|at| at.map(|at| index.postings_uncached(at)).transpose());
        let refs = self.take(refs)?.flatten();
        if refs.is_none() {
            self.find_in_index(index.toc().postings_table, "a list of all series", "none");
        }
        Ok(refs.map_or_else(Vec::new, |refs| refs.to_vec()))
    }

    fn series(&mut self, refs: &[u32]) -> Result<(), StorageError> {
        let index = self.block.index();
        let align = if index.version() == 1 { 1 } else { 16 };
        let mut series = index.series_uncached();
        let mut chunks = self.block.chunks().chunks();
        let mut expected = index.toc().series.next_multiple_of(align);
        for &reference in refs {
            let at = index.offset_of(reference);
            if at != expected {
                self.find_in_index(
                    expected,
                    "a series that is listed",
                    format!("the next one listed is at {at}"),
                );
            }
            let Some((entry, end)) = self.take(series.walk(at))? else {
                expected = refs
                    .iter()
                    .map(|&r| index.offset_of(r))
                    .find(|&o| o > at)
                    .unwrap_or(expected);
                continue;
            };
            expected = end.next_multiple_of(align);
            self.one(at, &entry, &mut chunks)?;
        }
        let end = index.toc().series_end(index.stored().len());
        if !refs.is_empty() && expected != end.next_multiple_of(align) {
            self.find_in_index(expected, format!("the end of the series at {end}"), "more series");
        }
        Ok(())
    }

    fn one(&mut self, at: u64, entry: &SeriesEntry, chunks: &mut ChunkReader<'_>) -> Result<(), StorageError> {
        self.seen.series += 1;
        if self.last.as_ref().is_some_and(|last| *last >= entry.labels) {
            self.find_in_index(at, "series in order", format!("{} out of order", entry.labels));
        }
        self.last = Some(entry.labels.clone());
        for (name, value) in &entry.labels {
            let sum = digest(at, value);
            match self.carried.get_mut(name) {
                Some(carried) => *carried = (carried.0 + 1, carried.1.wrapping_add(sum)),
                None => {
                    self.carried.insert(name.to_owned(), (1, sum));
                }
            }
        }
        for chunk in &entry.chunks {
            self.chunk(chunk, chunks)?;
        }
        Ok(())
    }

    /// Every list names exactly the series that carry its pair.
    fn postings(&mut self) -> Result<(), StorageError> {
        let index = self.block.index();
        let mut carried = std::mem::take(&mut self.carried);
        for name in index.names() {
            let mut listed: Carried = (0, 0);
            let mut broken = None;
            let result = index.each_value(name, "", |value, offset| match index.postings_uncached(offset) {
                Ok(list) => {
                    for &reference in &*list {
                        let sum = digest(index.offset_of(reference), value);
                        listed = (listed.0 + 1, listed.1.wrapping_add(sum));
                    }
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    broken = Some(error);
                    ControlFlow::Break(())
                }
            });
            let result = result.and(broken.map_or(Ok(()), Err));
            let whole = self.take(result)?.is_some();
            let there = carried.remove(&*name.text).unwrap_or_default();
            if whole && there != listed {
                let expected = format!(
                    "lists of label {:?} that name the {} series that carry it",
                    name.text, there.0
                );
                self.find_in_index(
                    index.toc().postings_table,
                    expected,
                    format!("lists of {} others", listed.0),
                );
            }
        }
        for (name, (count, _)) in carried {
            let expected = format!("lists of label {name:?}, which {count} series carry");
            self.find_in_index(index.toc().postings_table, expected, "none");
        }
        Ok(())
    }

    fn tombstones(&mut self, refs: &[u32]) {
        for (series, _) in self.block.tombstones().iter() {
            let known = u32::try_from(series).is_ok_and(|series| refs.binary_search(&series).is_ok());
            if !known {
                let path = self.block.dir().join(super::tombstones::FILE);
                self.find(&path, 0, "series of this block", format!("series {series}"));
            }
        }
    }

    fn stats(&mut self) {
        let meta = self.block.meta();
        let (stats, seen) = (&meta.stats, self.seen);
        let path = self.block.dir().join(super::meta::FILE);
        let mut checks = vec![
            ("numSeries", seen.series, stats.num_series),
            ("numChunks", seen.chunks, stats.num_chunks),
            ("numSamples", seen.samples, stats.num_samples),
        ];
        // Prometheus before 3.0 did not tell them apart.
        if stats.num_float_samples + stats.num_histogram_samples > 0 {
            checks.push((
                "numFloatSamples",
                seen.samples - seen.histograms,
                stats.num_float_samples,
            ));
            checks.push(("numHistogramSamples", seen.histograms, stats.num_histogram_samples));
        }
        for (key, expected, got) in checks {
            if expected != got {
                self.find(&path, 0, format!("{key} {expected}"), got.to_string());
            }
        }
    }
}

/// A number for "this series has this value"; sums of them are equal only for equal sets.
fn digest(series: u64, value: &str) -> u64 {
    let mut hasher = rapidhash::fast::RapidHasher::default_const();
    hasher.write_u64(series);
    hasher.write(value.as_bytes());
    hasher.finish()
}
