//! Native histograms in the head: the open chunk of a series of them. The rows of series have no room for it, since few
//! series hold histograms; a stripe has a table of them.

use super::series::Closed;
use super::stripe::{Cuts, Stripe};
use crate::chunk::{Encoding, FloatHistogramAppender, HistogramAppender, SealedChunk, XorAppender};
use leadline_model::histogram::{AnyHistogram, FloatHistogram, Histogram, HistogramSample};
use leadline_model::port::Refusal;
use leadline_model::sample::{STALE_NAN, STALE_NAN_BITS, Timestamp};
use std::sync::Arc;

/// How long chunks of histograms should become, bytes (`tsdb/chunkenc/chunk.go`, `TargetBytesPerHistogramChunk`).
const TARGET_BYTES: usize = 1024;
/// Histograms that a chunk gets even when it becomes longer (`MinSamplesPerHistogramChunk`).
const MIN_SAMPLES: u16 = 10;
/// The range within which chunks are evened out where there are no blocks, ms.
const DEFAULT_RANGE: i64 = 2 * 60 * 60 * 1000;

/// What a row has as the bits of its newest value when that is a histogram; no float that a target exposes has them.
const HISTOGRAM_BITS: u64 = 0x7ff0_4869_7374_6f01;

impl Stripe {
    /// Adds a valid histogram to a row. `Ok(false)`: the newest sample is the same.
    pub(super) fn append_histogram(
        &mut self,
        row: usize,
        t: Timestamp,
        h: &AnyHistogram,
        cuts: &Cuts,
    ) -> Result<bool, Refusal> {
        let Some(&number) = self.numbers().get(row) else {
            return Err(Refusal::UnknownSeries);
        };
        let last = self.hot[row].open.last_t();
        if t <= last {
            let newest = self.histograms.get(&number).map(OpenHistograms::newest);
            return match (t == last, newest.is_some_and(|newest| newest.same(h))) {
                (true, true) => Ok(false),
                (true, false) => Err(Refusal::Duplicate),
                (false, _) => Err(Refusal::OutOfOrder),
            };
        }
        if self.hot[row].open.samples() > 0 {
            self.turn_chunk(row, t);
        }
        let open = self.histograms.entry(number).or_insert_with(|| OpenHistograms::new(h));
        let closed = open.append(t, h, cuts.range());
        if open.samples() == 1 {
            self.cold[row].open_from = t;
        }
        if let Some(closed) = closed {
            self.push_closed(row, closed);
        }
        self.hot[row].open = XorAppender::behind(t, newest_bits(h.is_stale()));
        self.samples += 1;
        Ok(true)
    }

    /// Closes the open chunk of histograms, if a row has one.
    pub(super) fn close_histograms(&mut self, row: usize) {
        if self.histograms.is_empty() {
            return;
        }
        let open = self
            .numbers()
            .get(row)
            .copied()
            .and_then(|number| self.histograms.remove(&number));
        if let Some(closed) = open.and_then(|mut open| open.seal()) {
            self.push_closed(row, closed);
        }
    }

    /// The stale marker that ends a row, if its newest sample is a histogram.
    pub(super) fn stale_histogram(&self, row: usize) -> Option<AnyHistogram> {
        if self.hot.get(row)?.open.samples() > 0 {
            return None;
        }
        if let Some(open) = self.open_histograms(row) {
            return Some(stale(open.chunk.encoding()));
        }
        let newest = self.cold.get(row)?.closed.last()?;
        (!newest.encoding.is_float()).then(|| stale(newest.encoding))
    }

    /// The open chunk of histograms of a row.
    pub(super) fn open_histograms(&self, row: usize) -> Option<&OpenHistograms> {
        if self.histograms.is_empty() {
            return None;
        }
        self.histograms.get(self.numbers().get(row)?)
    }

    /// Whether a row may have samples with `mint <= t <= maxt` (ms).
    pub(super) fn overlaps(&self, row: usize, mint: Timestamp, maxt: Timestamp) -> bool {
        let late = || {
            self.late
                .get(&self.numbers()[row])
                .is_some_and(|late| late.overlaps(mint, maxt))
        };
        self.hot[row].overlaps(&self.cold[row], mint, maxt)
            || late()
            || self.open_histograms(row).is_some_and(|open| open.overlaps(mint, maxt))
    }

    /// Whether the newest sample of a row is a histogram.
    pub(super) fn ends_in_histogram(&self, row: usize) -> bool {
        self.stale_histogram(row).is_some()
    }
}

/// A stale marker of the kind of an encoding.
fn stale(encoding: Encoding) -> AnyHistogram {
    match encoding {
        Encoding::FloatHistogram | Encoding::FloatHistogramSt => AnyHistogram::Float(Arc::new(FloatHistogram {
            sum: STALE_NAN,
            ..FloatHistogram::default()
        })),
        _ => AnyHistogram::Int(Arc::new(Histogram {
            sum: STALE_NAN,
            ..Histogram::default()
        })),
    }
}

/// What a row has as the bits of its newest value when that is a histogram, which may be a stale marker.
pub(super) fn newest_bits(stale: bool) -> u64 {
    if stale { STALE_NAN_BITS } else { HISTOGRAM_BITS }
}

/// What a row has as the bits of its newest value when that is in a chunk which cannot be decoded. A sample may have the
/// same bits: then the chunk is read to find that out.
pub(super) const UNKNOWN_BITS: u64 = 0x7ff0_4869_7374_6f02;

/// Encodes histograms, in order of time, as chunks.
pub(super) fn encode(samples: &[HistogramSample], range: i64) -> Vec<Closed> {
    let mut closed = Vec::new();
    let mut open: Option<OpenHistograms> = None;
    for sample in samples {
        let open = open.get_or_insert_with(|| OpenHistograms::new(&sample.h));
        closed.extend(open.append(sample.t, &sample.h, range));
    }
    closed.extend(open.and_then(|mut open| open.seal()));
    closed
}

/// The open chunk of one series.
#[derive(Debug)]
pub(super) struct OpenHistograms {
    chunk: Open,
    newest: AnyHistogram,
    end: End,
}

#[derive(Debug)]
enum Open {
    Int(HistogramAppender),
    Float(FloatHistogramAppender),
}

impl Open {
    fn of(h: &AnyHistogram) -> Self {
        match h {
            AnyHistogram::Int(_) => Self::Int(HistogramAppender::default()),
            AnyHistogram::Float(_) => Self::Float(FloatHistogramAppender::default()),
        }
    }

    fn encoding(&self) -> Encoding {
        match self {
            Self::Int(_) => Encoding::Histogram,
            Self::Float(_) => Encoding::FloatHistogram,
        }
    }

    fn ends(&self) -> Option<(Timestamp, Timestamp)> {
        match self {
            Self::Int(open) => open.ends(),
            Self::Float(open) => open.ends(),
        }
    }

    fn samples(&self) -> u16 {
        match self {
            Self::Int(open) => open.samples(),
            Self::Float(open) => open.samples(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Int(open) => open.len(),
            Self::Float(open) => open.len(),
        }
    }

    fn seal(&mut self) -> Option<SealedChunk> {
        match self {
            Self::Int(open) => open.seal(),
            Self::Float(open) => open.seal(),
        }
    }

    fn copy(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len());
        match self {
            Self::Int(open) => open.copy_to(&mut bytes),
            Self::Float(open) => open.copy_to(&mut bytes),
        };
        bytes
    }
}

impl OpenHistograms {
    /// Begins with the kind of `h`; nothing is appended yet.
    pub(super) fn new(h: &AnyHistogram) -> Self {
        Self {
            chunk: Open::of(h),
            newest: h.clone(),
            end: End::default(),
        }
    }

    /// The newest histogram.
    pub(super) fn newest(&self) -> &AnyHistogram {
        &self.newest
    }

    /// Number of samples in the open chunk.
    pub(super) fn samples(&self) -> u64 {
        u64::from(self.chunk.samples())
    }

    /// Bytes of the open chunk.
    pub(super) fn len(&self) -> u64 {
        self.chunk.len() as u64
    }

    /// Adds a histogram, later than the newest and valid, and returns the chunk that was closed for it. `range` is the
    /// length of a block, ms; 0 where there are none.
    pub(super) fn append(&mut self, t: Timestamp, h: &AnyHistogram, range: i64) -> Option<Closed> {
        let close = self.end.reached(&self.chunk, t, range);
        let encoding = self.chunk.encoding();
        let sealed = match (&mut self.chunk, h) {
            (Open::Int(open), AnyHistogram::Int(h)) => open.append(t, h, close),
            (Open::Float(open), AnyHistogram::Float(h)) => open.append(t, h, close),
            (open, _) => {
                let sealed = open.seal();
                *open = Open::of(h);
                match (open, h) {
                    (Open::Int(open), AnyHistogram::Int(h)) => open.append(t, h, false),
                    (Open::Float(open), AnyHistogram::Float(h)) => open.append(t, h, false),
                    _ => None,
                };
                sealed
            }
        };
        if sealed.is_some() {
            self.end = End::default();
        }
        self.newest = h.clone();
        sealed.map(|sealed| closed(sealed, encoding))
    }

    /// Closes the open chunk, if it has samples.
    pub(super) fn seal(&mut self) -> Option<Closed> {
        let encoding = self.chunk.encoding();
        self.end = End::default();
        self.chunk.seal().map(|sealed| closed(sealed, encoding))
    }

    /// The open chunk as it is now, where it may have samples with `mint <= t <= maxt` (ms).
    pub(super) fn copy(&self, mint: Timestamp, maxt: Timestamp) -> Option<Closed> {
        let (first, last) = self.chunk.ends()?;
        let bytes = (last >= mint && first <= maxt).then(|| self.chunk.copy())?;
        Some(Closed::in_memory(first, last, self.chunk.encoding(), Arc::from(bytes)))
    }

    /// Whether the open chunk may have samples with `mint <= t <= maxt` (ms).
    pub(super) fn overlaps(&self, mint: Timestamp, maxt: Timestamp) -> bool {
        self.chunk
            .ends()
            .is_some_and(|(first, last)| last >= mint && first <= maxt)
    }
}

fn closed(sealed: SealedChunk, encoding: Encoding) -> Closed {
    Closed::in_memory(sealed.mint, sealed.maxt, encoding, sealed.data)
}

/// When the open chunk ends (`tsdb/head_append.go`, `histogramsAppendPreprocessor`, `computeChunkEndTime`).
#[derive(Debug, Clone, Copy, Default)]
struct End {
    /// At this time (ms), once it is full enough to tell; before that, where the block ends.
    predicted: Option<Timestamp>,
}

impl End {
    /// Whether the chunk ends before a sample at `t` (ms).
    fn reached(&mut self, chunk: &Open, t: Timestamp, range: i64) -> bool {
        let Some((first, last)) = chunk.ends() else {
            return false;
        };
        let range = if range > 0 { range } else { DEFAULT_RANGE };
        let range_end = first.div_euclid(range).saturating_add(1).saturating_mul(range);
        let bytes = chunk.len();
        if self.predicted.is_none() && bytes >= TARGET_BYTES / 4 {
            self.predicted = Some(predict(first, last, range_end, TARGET_BYTES as f64 / bytes as f64));
        }
        let full = t >= self.predicted.unwrap_or(range_end) || bytes >= TARGET_BYTES * 2;
        t >= range_end || (full && chunk.samples() >= MIN_SAMPLES)
    }
}

/// The end (ms) of a chunk that a range up to `end` is divided into equally, when at `now` it is 1/`ratio` full.
fn predict(start: Timestamp, now: Timestamp, end: Timestamp, ratio: f64) -> Timestamp {
    let range = end.saturating_sub(start) as f64;
    let chunks = range / (now.saturating_sub(start).saturating_add(1) as f64 * ratio);
    if chunks <= 1.0 {
        return end;
    }
    (start as f64 + range / chunks.floor()) as Timestamp
}
