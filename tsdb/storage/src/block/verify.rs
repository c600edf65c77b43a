//! Walks through a whole block and compares everything that is stored twice.

use super::block::Block;
use super::chunks::ChunkReader;
use super::index::{ChunkMeta, SeriesEntry};
use super::stream::Stream;
use crate::chunk::{Encoding, decode, decode_histograms, sample_count};
use crate::error::{Damage, StorageError};
use leadline_model::labels::Labels;
use leadline_model::sample::{Samples, Timestamp};
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
                what,
                found,
                known,
            }) => {
                self.find(&path, 0, format!("{what} {known}"), found);
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
            let crc = stream.take_crc();
            stream.finish(crc)
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
        let mut chunks = self.block.chunks().chunks_uncached();
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

    fn chunk(&mut self, chunk: &ChunkMeta, chunks: &mut ChunkReader<'_>) -> Result<(), StorageError> {
        self.seen.chunks += 1;
        let block = self.block;
        let (path, offset) = block.chunks().place(chunk.reference);
        if let Some(expected) = self.next_chunk.take().filter(|&expected| expected != chunk.reference) {
            if chunk.reference != next_segment(expected) {
                let got = format!("one at {:#x}", chunk.reference);
                self.find(
                    path,
                    offset,
                    format!("the chunk behind the one before, at {expected:#x}"),
                    got,
                );
            } else {
                self.segment_end(expected);
            }
        }
        let Some((encoding, data)) = self.take(chunks.get(chunk.reference))? else {
            return Ok(());
        };
        let len = data.len() as u64;
        let mut field = Vec::with_capacity(10);
        crate::codec::put_uvarint(&mut field, len);
        self.next_chunk = Some(chunk.reference + field.len() as u64 + 1 + len + 4);
        let decoded = ends(encoding, &data).map_err(|e| StorageError::damaged(path, offset, "a chunk", e));
        let Some((count, found)) = self.take(decoded)? else {
            return Ok(());
        };
        self.seen.samples += count;
        self.seen.histograms += if encoding.is_float() { 0 } else { count };
        let promised = u64::from(sample_count(encoding, &data));
        if promised != count {
            self.find(path, offset, format!("{promised} samples"), format!("{count}"));
        }
        if found != Some((chunk.mint, chunk.maxt)) {
            let expected = format!("samples from {} to {}", chunk.mint, chunk.maxt);
            let got = found.map_or("none".to_owned(), |(mint, maxt)| format!("from {mint} to {maxt}"));
            self.find(path, offset, expected, got);
        }
        let meta = self.block.meta();
        if chunk.mint < meta.min_time || chunk.maxt >= meta.max_time {
            let expected = format!("times from {} to before {}", meta.min_time, meta.max_time);
            self.find(path, offset, expected, format!("from {} to {}", chunk.mint, chunk.maxt));
        }
        Ok(())
    }

    /// Nothing is behind the last chunk of a segment, whose end is given as a reference.
    fn segment_end(&mut self, end: u64) {
        let chunks = self.block.chunks();
        let (path, offset) = chunks.place(end);
        match chunks.segments().nth((end >> 32) as usize) {
            Some(len) if len == offset => {}
            len => self.find(
                path,
                offset,
                "the end of the segment",
                len.map_or("no segment".to_owned(), |len| format!("{len} bytes")),
            ),
        }
    }

    fn segments_end(&mut self) {
        let Some(end) = self.next_chunk else {
            return;
        };
        self.segment_end(end);
        let (there, used) = (self.block.chunks().segments().len() as u64, (end >> 32) + 1);
        if there != used {
            let path = self.block.dir().join(super::chunks::DIR);
            self.find(&path, 0, format!("{used} segments"), there.to_string());
        }
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
            ("numTombstones", self.block.tombstones().total(), stats.num_tombstones),
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

/// Reference of a block's first chunk: behind the segment's header.
const FIRST_CHUNK: u64 = 8;

/// Reference of the first chunk of the segment behind the one of `reference`.
fn next_segment(reference: u64) -> u64 {
    (((reference >> 32) + 1) << 32) | FIRST_CHUNK
}

/// A number for "this series has this value"; sums of them are equal only for equal sets.
fn digest(series: u64, value: &str) -> u64 {
    let mut hasher = rapidhash::fast::RapidHasher::default_const();
    hasher.write_u64(series);
    hasher.write(value.as_bytes());
    hasher.finish()
}

/// How many samples a chunk holds, and the first and last time (ms).
fn ends(encoding: Encoding, data: &[u8]) -> Result<(u64, Option<(Timestamp, Timestamp)>), String> {
    let times: Vec<Timestamp> = if encoding.is_float() {
        let mut samples = Samples::default();
        decode(encoding, data, Timestamp::MIN, Timestamp::MAX, &mut samples).map_err(|e| e.to_string())?;
        samples.t
    } else {
        let mut samples = Vec::new();
        decode_histograms(encoding, data, Timestamp::MIN, Timestamp::MAX, &mut samples).map_err(|e| e.to_string())?;
        samples.into_iter().map(|s| s.t).collect()
    };
    if !times.is_sorted_by(|a, b| a < b) {
        return Err("times out of order".to_owned());
    }
    Ok((times.len() as u64, times.first().copied().zip(times.last().copied())))
}
