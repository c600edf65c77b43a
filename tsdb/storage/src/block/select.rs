//! The series of a block that a query selected.

use super::block::Block;
use super::chunks::ChunkReader;
use super::index::{ChunkMeta, SeriesEntry};
use super::resolve::{self, Selection};
use super::tombstones::Tombstones;
use crate::cache::Chunk;
use crate::chunk::{Encoding, decode_histograms, decode_starts};
use crate::error::{ChunkError, StorageError};
use crate::interval::Intervals;
use leadline_model::histogram::HistogramSample;
use leadline_model::labels::Labels;
use leadline_model::matcher::Matcher;
use leadline_model::port::{QueryError, SeriesSet};
use leadline_model::sample::{Sample, Samples, Timestamp};
use leadline_model::target::OwnerId;
use std::sync::Arc;

/// A series with its reference.
pub(super) struct Selected {
    pub(super) reference: u32,
    pub(super) entry: Arc<SeriesEntry>,
}

/// The series that fulfil all of `matchers` and have chunks between `mint` and `maxt` (ms, both included) that are not
/// deleted, in order of their references, which is that of their labels; handed to `visit` one by one.
pub(super) fn each(
    block: &Block,
    matchers: &[Matcher],
    tombstones: &Tombstones,
    (mint, maxt): (Timestamp, Timestamp),
    mut visit: impl FnMut(Selected),
) -> Result<(), StorageError> {
    let Selection { refs, mut pending } = resolve::resolve(block.index(), matchers)?;
    let mut series = block.index().series();
    for reference in refs {
        let entry = series.get(reference)?;
        if !pending.iter_mut().all(|m| m.matches(&entry.labels)) {
            continue;
        }
        let deleted = tombstones.get(u64::from(reference));
        if entry
            .chunks_in(mint, maxt)
            .iter()
            .any(|c| !is_deleted(deleted, c, mint, maxt))
        {
            visit(Selected { reference, entry });
        }
    }
    Ok(())
}

/// Whether nothing of a chunk between `mint` and `maxt` (ms, both included) is left.
fn is_deleted(deleted: Option<&Intervals>, chunk: &ChunkMeta, mint: Timestamp, maxt: Timestamp) -> bool {
    deleted.is_some_and(|d| d.covers(chunk.mint.max(mint), chunk.maxt.min(maxt)))
}

/// Selected series with the deletions of that moment.
pub(super) struct Set {
    block: Arc<Block>,
    series: Vec<Selected>,
    tombstones: Arc<Tombstones>,
    /// Whether its chunks are worth keeping for who asks next.
    keep: bool,
}

impl Set {
    pub(super) fn new(
        block: Arc<Block>,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
    ) -> Result<Self, StorageError> {
        let tombstones = block.tombstones();
        let (mut series, mut chunks) = (Vec::new(), 0);
        each(&block, matchers, &tombstones, (mint, maxt), |s| {
            chunks += s.entry.chunks_in(mint, maxt).len();
            series.push(s);
        })?;
        Ok(Self {
            keep: block.chunks().is_worth_keeping(chunks),
            block,
            series,
            tombstones,
        })
    }

    /// Hands the chunks of the i-th series that have undeleted times between `mint` and `maxt` (ms) to `take`.
    fn chunks(
        &self,
        i: usize,
        mint: Timestamp,
        maxt: Timestamp,
    ) -> (impl DoubleEndedIterator<Item = &ChunkMeta>, Option<&Intervals>) {
        let series = self.series.get(i);
        let deleted = series.and_then(|s| self.tombstones.get(u64::from(s.reference)));
        let chunks = series.map_or(&[][..], |s| s.entry.chunks_in(mint, maxt));
        let left = chunks.iter().filter(move |c| !is_deleted(deleted, c, mint, maxt));
        (left, deleted)
    }

    /// Hands the chunks of wanted encodings to `take`, and returns what was deleted of the series.
    fn each_chunk(
        &self,
        i: usize,
        (mint, maxt): (Timestamp, Timestamp),
        wanted: impl Fn(Encoding) -> bool,
        mut take: impl FnMut(&Chunk) -> Result<(), ChunkError>,
    ) -> Result<Option<&Intervals>, StorageError> {
        let mut reader = self.reader();
        let (chunks, deleted) = self.chunks(i, mint, maxt);
        for chunk in chunks {
            let read = reader.cached(chunk.reference, self.keep)?;
            if wanted(read.encoding()) {
                take(&read).map_err(self.damaged(chunk))?;
            }
        }
        Ok(deleted)
    }

    fn reader(&self) -> ChunkReader<'_> {
        self.block.chunks().chunks()
    }

    fn damaged(&self, chunk: &ChunkMeta) -> impl Fn(ChunkError) -> StorageError {
        let (path, offset) = self.block.chunks().place(chunk.reference);
        move |e| StorageError::damaged(path, offset, "a chunk", e.to_string())
    }
}

impl SeriesSet for Set {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, i: usize) -> Labels {
        self.series
            .get(i)
            .map_or_else(Labels::empty, |s| s.entry.labels.clone())
    }

    fn owner(&self, _: usize) -> Option<OwnerId> {
        None
    }

    fn read(&self, i: usize, mint: Timestamp, maxt: Timestamp, into: &mut Samples) -> Result<(), QueryError> {
        into.clear();
        let deleted = self.each_chunk(i, (mint, maxt), Encoding::is_float, |chunk| {
            chunk.floats((mint, maxt), into)
        })?;
        if let Some(deleted) = deleted {
            deleted.cut(into);
        }
        Ok(())
    }

    fn read_histograms(
        &self,
        i: usize,
        mint: Timestamp,
        maxt: Timestamp,
        into: &mut Vec<HistogramSample>,
    ) -> Result<(), QueryError> {
        into.clear();
        let histograms = |encoding: Encoding| !encoding.is_float();
        let deleted = self.each_chunk(i, (mint, maxt), histograms, |chunk| {
            decode_histograms(chunk.encoding(), chunk.bytes(), mint, maxt, into)
        })?;
        if let Some(deleted) = deleted {
            into.retain(|s| !deleted.contains(s.t));
        }
        Ok(())
    }

    fn read_all(
        &self,
        i: usize,
        mint: Timestamp,
        maxt: Timestamp,
        floats: &mut Samples,
        histograms: &mut Vec<HistogramSample>,
    ) -> Result<(), QueryError> {
        floats.clear();
        histograms.clear();
        let deleted = self.each_chunk(
            i,
            (mint, maxt),
            |_| true,
            |chunk| {
                if chunk.encoding().is_float() {
                    chunk.floats((mint, maxt), floats)
                } else {
                    decode_histograms(chunk.encoding(), chunk.bytes(), mint, maxt, histograms)
                }
            },
        )?;
        if let Some(deleted) = deleted {
            deleted.cut(floats);
            histograms.retain(|s| !deleted.contains(s.t));
        }
        Ok(())
    }

    fn start_times(
        &self,
        i: usize,
        mint: Timestamp,
        maxt: Timestamp,
        into: &mut Vec<(Timestamp, Timestamp)>,
    ) -> Result<(), QueryError> {
        into.clear();
        let deleted = self.each_chunk(i, (mint, maxt), Encoding::has_starts, |chunk| {
            decode_starts(chunk.encoding(), chunk.bytes(), mint, maxt, into)
        })?;
        if let Some(deleted) = deleted {
            into.retain(|(t, _)| !deleted.contains(*t));
        }
        Ok(())
    }

    fn newest(&self, i: usize, mint: Timestamp, maxt: Timestamp) -> Result<Option<Sample>, QueryError> {
        let mut reader = self.reader();
        let mut samples = Samples::default();
        let (chunks, deleted) = self.chunks(i, mint, maxt);
        for chunk in chunks.rev() {
            let read = reader.cached(chunk.reference, self.keep)?;
            if !read.encoding().is_float() {
                continue;
            }
            samples.clear();
            read.floats((mint, maxt), &mut samples).map_err(self.damaged(chunk))?;
            if let Some(deleted) = deleted {
                deleted.cut(&mut samples);
            }
            if let Some((&t, &v)) = samples.t.last().zip(samples.v.last()) {
                return Ok(Some(Sample { t, v }));
            }
        }
        Ok(None)
    }
}
