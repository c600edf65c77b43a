//! A range of the head as what a block is written from.

use super::Head;
use super::chunks_head::{Ahead, Files};
use super::durable::Lease;
use super::histograms;
use super::index::Index;
use super::order;
use super::postings::Id;
use super::rejoin::rejoin;
use super::series::{Closed, Data};
use super::stripe::{Stripe, number_of, stripe_of};
use crate::chunk::{Encoding, XorAppender, decode, decode_histograms};
use crate::error::{ChunkError, StorageError};
use crate::interval::Intervals;
use crate::source::{SeriesIter, Source, SourceChunk, SourceSeries, SymbolIter};
use bytes::Bytes;
use leadline_model::labels::Labels;
use leadline_model::port::SeriesRef;
use leadline_model::sample::{Samples, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Samples after which a chunk that has to be encoded anew is closed, as when it was written first.
const CHUNK_SAMPLES: u16 = 120;

/// Pages of mapped chunks that are kept while a block is written: 4 MiB.
const PAGES_AHEAD: usize = 512;

/// The series of a head that have samples in a range of time, in order of their labels, as they are when each is asked
/// for. Meanwhile commits go on; series that are dropped meanwhile are left out.
pub struct RangeSource<'a> {
    head: &'a Head,
    mint: Timestamp,
    maxt: Timestamp,
    /// In order of their labels.
    series: Vec<Id>,
    /// Of samples that came out of order, how many chunks of which series; `None` for those that came in order.
    late: Option<BTreeMap<SeriesRef, usize>>,
    _lease: Lease<'a>,
}

impl std::fmt::Debug for RangeSource<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RangeSource")
            .field("mint", &self.mint)
            .field("maxt", &self.maxt)
            .finish_non_exhaustive()
    }
}

impl Head {
    /// All series with samples from `mint` to `maxt` (ms, both included), for a block of that time. Chunks that reach over
    /// its ends are encoded anew, as are those that were closed early. Call [`Self::seal`] before, so that nothing is added to that time meanwhile.
    #[must_use]
    pub fn range(&self, mint: Timestamp, maxt: Timestamp) -> RangeSource<'_> {
        #[cfg(feature = "planted")]
        let maxt = maxt.saturating_sub(i64::from(crate::planted::on(crate::planted::Defect::CutOffByOne)));
        self.source(mint, maxt, Index::all)
    }

    /// The series that `pick` picks, in order of their labels.
    pub(super) fn source(
        &self,
        mint: Timestamp,
        maxt: Timestamp,
        pick: impl FnOnce(&Index) -> Vec<Id>,
    ) -> RangeSource<'_> {
        let lease = self.leases.take();
        let picked = pick(&self.index.read());
        let series = order::sort(&self.index, &picked);
        RangeSource {
            head: self,
            mint,
            maxt,
            series,
            late: None,
            _lease: lease,
        }
    }

    /// The files of mapped chunks as they are now.
    pub(super) fn files(&self) -> Option<Arc<Files>> {
        self.durable.as_ref().map(|d| d.chunks.files())
    }
}

impl RangeSource<'_> {
    /// Of these chunks that came out of order instead of those in order.
    pub(super) fn of_late(self, chunks: BTreeMap<SeriesRef, usize>) -> Self {
        Self {
            late: Some(chunks),
            ..self
        }
    }

    /// One series with its chunks; `None` when it has none in the range.
    fn series(&self, id: Id, ahead: &mut Ahead) -> Result<Option<SourceSeries>, StorageError> {
        let (series, labels) = {
            let index = self.head.index.read();
            (index.series(id), index.labels(id))
        };
        let Some(number) = number_of(series) else {
            return Ok(None);
        };
        let (copied, deleted, files) = {
            let stripe = self.head.stripes[stripe_of(series)].read();
            let Some(row) = stripe.row(number, 0) else {
                return Ok(None);
            };
            let copied = match &self.late {
                None => Copied::of(&stripe, row, self.mint, self.maxt),
                Some(chunks) => Copied::of_late(&stripe, number, chunks.get(&series).copied(), self.mint, self.maxt),
            };
            (
                copied,
                stripe.deleted.get(&number).cloned().unwrap_or_default(),
                self.head.files(),
            )
        };
        self.finish(labels, &copied, deleted, files.as_deref(), ahead)
    }

    fn finish(
        &self,
        labels: Labels,
        copied: &Copied,
        deleted: Intervals,
        files: Option<&Files>,
        ahead: &mut Ahead,
    ) -> Result<Option<SourceSeries>, StorageError> {
        let mut chunks = Vec::with_capacity(copied.closed.len() + 1);
        // Of each of `chunks`, where it was read.
        let mut places = Vec::with_capacity(copied.closed.len() + 1);
        let damaged = |place: Option<u64>, error: &ChunkError| match (place, files) {
            (Some(place), Some(files)) => files.damaged(place, error),
            _ => undecodable(error),
        };
        for closed in &copied.closed {
            let data = match files {
                Some(files) => ahead.bytes(files, &closed.data)?,
                None => Files::default().bytes(&closed.data)?,
            };
            let added = self.add(closed, data, &mut chunks);
            added.map_err(|error| damaged(closed.place(), &error))?;
            places.resize(chunks.len(), closed.place());
        }
        if self.late.is_none() {
            let settings = &self.head.settings;
            let joined = rejoin(chunks, settings.chunk_samples, settings.block_range_ms);
            chunks = joined.map_err(|(at, error)| damaged(places.get(at).copied().flatten(), &error))?;
        }
        Ok((!chunks.is_empty()).then_some(SourceSeries {
            labels,
            chunks,
            deleted,
        }))
    }

    /// Adds a chunk, or the part of it that is within the range.
    fn add(&self, closed: &Closed, data: Bytes, chunks: &mut Vec<SourceChunk>) -> Result<(), ChunkError> {
        let (mint, maxt) = (closed.mint, closed.maxt());
        if mint >= self.mint && maxt <= self.maxt {
            chunks.push(SourceChunk {
                mint,
                maxt,
                encoding: closed.encoding,
                data,
            });
            return Ok(());
        }
        clip(closed.encoding, &data, self.mint, self.maxt, chunks)
    }
}

/// Chunks of one series, copied while its stripe was held; an open one is a closed one of what it holds now.
pub(super) struct Copied {
    pub(super) closed: Vec<Closed>,
}

impl Copied {
    /// What came in order of a row and may be from `mint` to `maxt` (ms).
    pub(super) fn of(stripe: &Stripe, row: usize, mint: Timestamp, maxt: Timestamp) -> Self {
        let (hot, cold) = (&stripe.hot[row], &stripe.cold[row]);
        let mut closed: Vec<Closed> = cold.closed.overlapping(mint, maxt).collect();
        if hot.open_overlaps(cold, mint, maxt) {
            let mut bytes = Vec::new();
            hot.open.copy_to(&mut bytes);
            closed.push(Closed::in_memory(
                cold.open_from,
                hot.open.last_t(),
                Encoding::Xor,
                bytes.into(),
            ));
        }
        closed.extend(stripe.open_histograms(row).and_then(|open| open.copy(mint, maxt)));
        Self { closed }
    }

    fn of_late(stripe: &Stripe, number: u32, chunks: Option<usize>, mint: Timestamp, maxt: Timestamp) -> Self {
        let all = stripe.late.get(&number).into_iter().flat_map(|late| &late.chunks);
        let mut closed: Vec<Closed> = all
            .take(chunks.unwrap_or(0))
            .filter(|c| c.overlaps(mint, maxt))
            .cloned()
            .collect();
        closed.sort_by_key(|c| c.mint);
        Self { closed }
    }
}

/// Encodes the part of a chunk that is within `mint` to `maxt` (ms, both included) anew.
pub(super) fn clip(
    encoding: Encoding,
    data: &[u8],
    mint: Timestamp,
    maxt: Timestamp,
    chunks: &mut Vec<SourceChunk>,
) -> Result<(), ChunkError> {
    if !encoding.is_float() {
        let mut histograms = Vec::new();
        decode_histograms(encoding, data, mint, maxt, &mut histograms)?;
        chunks.extend(histograms::encode(&histograms, 0).into_iter().filter_map(source_chunk));
        return Ok(());
    }
    let mut samples = Samples::default();
    decode(encoding, data, mint, maxt, &mut samples)?;
    encode_samples(&samples, chunks);
    Ok(())
}

fn undecodable(error: &ChunkError) -> StorageError {
    StorageError::Refused(format!("a chunk of the head is damaged: {error}"))
}

/// A chunk whose bytes are in memory.
fn source_chunk(closed: Closed) -> Option<SourceChunk> {
    let (mint, maxt, encoding) = (closed.mint, closed.maxt(), closed.encoding);
    match closed.data {
        Data::Memory(data) => Some(SourceChunk {
            mint,
            maxt,
            encoding,
            data: Bytes::from_owner(data),
        }),
        Data::Disk(_) => None,
    }
}

/// Encodes samples as chunks.
pub(super) fn encode_samples(samples: &Samples, chunks: &mut Vec<SourceChunk>) {
    let (mut open, mut scratch) = (XorAppender::default(), Vec::new());
    let mut from = 0;
    let mut close = |open: &mut XorAppender, from| {
        let maxt = open.last_t();
        chunks.push(SourceChunk {
            mint: from,
            maxt,
            encoding: Encoding::Xor,
            data: Bytes::from_owner(open.seal(&mut scratch)),
        });
    };
    for (&t, &v) in samples.t.iter().zip(&samples.v) {
        if open.is_full(CHUNK_SAMPLES) {
            close(&mut open, from);
        }
        if open.samples() == 0 {
            from = t;
        }
        open.append(t, v);
    }
    if open.samples() > 0 {
        close(&mut open, from);
    }
}

impl Source for RangeSource<'_> {
    fn symbols(&self) -> Result<SymbolIter<'_>, StorageError> {
        Ok(Box::new(order::symbols(&self.head.index).map(Ok)))
    }

    fn series(&self) -> Result<SeriesIter<'_>, StorageError> {
        let mut ahead = Ahead::new(PAGES_AHEAD);
        Ok(Box::new(
            self.series
                .iter()
                .filter_map(move |&id| self.series(id, &mut ahead).transpose()),
        ))
    }
}
