//! Samples that came out of order: from their log and their mapped chunks into blocks of their own.

use super::Head;
use super::durable::Durable;
use super::late::Late;
use super::log::Log;
use super::series::{Closed, Outgoing};
use super::source::RangeSource;
use super::stripe::{Stripe, make_ref, number_of};
use crate::error::StorageError;
use crate::points::Value;
use crate::wal;
use crate::wal::record::{HistogramsEncoder, SamplesEncoder, encode_mmap_markers};
use leadline_model::port::SeriesRef;
use leadline_model::sample::Timestamp;
use parking_lot::RwLockWriteGuard;
use std::collections::BTreeMap;

/// What had come out of order at one moment.
#[derive(Debug, Clone, Default)]
pub struct OutOfOrder {
    /// How many chunks of which series.
    chunks: BTreeMap<SeriesRef, usize>,
    /// The first segment of the log of such samples that has nothing of them alone.
    segment: u32,
    /// Time (ms) of their oldest sample.
    pub mint: Timestamp,
    /// Time (ms) of their newest sample.
    pub maxt: Timestamp,
}

impl OutOfOrder {
    /// Nothing yet.
    pub(super) fn none() -> Self {
        Self {
            mint: Timestamp::MAX,
            maxt: Timestamp::MIN,
            ..Self::default()
        }
    }

    /// Adds the chunks of a series.
    pub(super) fn add(&mut self, series: SeriesRef, chunks: &[Closed]) {
        if chunks.is_empty() {
            return;
        }
        for chunk in chunks {
            self.mint = self.mint.min(chunk.mint);
            self.maxt = self.maxt.max(chunk.maxt());
        }
        self.chunks.insert(series, chunks.len());
    }

    /// Number of series.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chunks.len()
    }

    /// Whether nothing came out of order.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }
}

impl Head {
    /// What has come out of order, all of it as chunks on the disk, to be written as blocks. What comes from now on is not
    /// in it and in newer segments of its log.
    ///
    /// # Errors
    /// [`StorageError`]: the disk fails; nothing is lost.
    pub fn out_of_order(&self) -> Result<OutOfOrder, StorageError> {
        let Some(durable) = self.durable.as_ref().filter(|d| d.is_writable()) else {
            return Ok(OutOfOrder::default());
        };
        let _one = self.tidying.lock();
        durable.compare_with_log(self.clock.now());
        for (at, stripe) in self.stripes.iter().enumerate() {
            let mut held = stripe.write();
            held.late.values_mut().for_each(Late::seal);
            drop(held);
            self.map_late(durable, at)?;
        }
        let mut found = OutOfOrder::none();
        for (at, stripe) in self.stripes.iter().enumerate() {
            for (&number, late) in &stripe.read().late {
                // What is still in the buffer came a moment ago.
                found.add(make_ref(at, number), &late.chunks);
            }
        }
        if !found.is_empty() {
            found.segment = self.begin_segment(durable, &found)?;
        }
        Ok(found)
    }

    /// Begins a new segment of the log of such samples and writes into it what is not part of `found`.
    fn begin_segment(&self, durable: &Durable, found: &OutOfOrder) -> Result<u32, StorageError> {
        let now = self.clock.now();
        durable.wbl.flush(now)?;
        let segment = durable.wbl.cut(now)?;
        for (at, stripe) in self.stripes.iter().enumerate() {
            let stripe = stripe.write();
            log_rest(durable, at, &stripe, found);
        }
        durable.wbl.flush(now)?;
        durable.wbl.sync(now)?;
        Ok(segment)
    }

    /// The part of `found` from `mint` to `maxt` (ms, both included), for a block. Its chunks may overlap.
    #[must_use]
    pub fn out_of_order_range(&self, found: &OutOfOrder, mint: Timestamp, maxt: Timestamp) -> RangeSource<'_> {
        let counts = found.chunks.clone();
        self.source(mint, maxt, |index| {
            let ids = 0..index.universe() as u32;
            ids.filter(|&id| counts.contains_key(&index.series(id))).collect()
        })
        .of_late(found.chunks.clone())
    }

    /// Forgets `found`, which blocks hold now, and removes its part of the log.
    ///
    /// # Errors
    /// [`StorageError`]: segments could not be removed; the next call tries again.
    pub fn truncate_out_of_order(&self, found: &OutOfOrder) -> Result<(), StorageError> {
        let Some(durable) = self.durable.as_ref().filter(|d| d.is_writable()) else {
            return Ok(());
        };
        let _one = self.tidying.lock();
        for (at, stripe) in self.stripes.iter().enumerate() {
            let mut stripe = stripe.write();
            stripe.late.retain(|&number, late| {
                let held = found.chunks.get(&make_ref(at, number)).copied().unwrap_or(0);
                late.chunks.drain(..held.min(late.chunks.len()));
                !late.is_empty()
            });
        }
        wal::remove_before(&*durable.disk, durable.wbl.dir(), found.segment)
    }

    /// Writes chunks of one stripe that are in memory to the disk and leaves their markers for the log. Returns how many.
    pub(super) fn map_late(&self, durable: &Durable, at: usize) -> Result<usize, StorageError> {
        let Some(stripe) = self.stripes.get(at) else {
            return Ok(0);
        };
        let outgoing = stripe.read().late_outgoing(at);
        if outgoing.is_empty() {
            return Ok(0);
        }
        let places = durable.chunks.write(&outgoing)?;
        let mut stripe = stripe.write();
        stripe.late_landed(&outgoing, &places);
        log_markers(durable, &stripe, &outgoing, &places);
        Ok(outgoing.len())
    }
}

/// Markers for chunks that are on the disk now. Who reads them forgets the samples of the series that the log had before,
/// so those that are not on the disk follow once more.
fn log_markers(durable: &Durable, stripe: &Stripe, outgoing: &[Outgoing], places: &[u64]) {
    let mut markers = durable.wbl.buffer();
    let all = outgoing.iter().zip(places).map(|(sent, &place)| (sent.series.0, place));
    encode_mmap_markers(&mut markers, all);
    let mut records = LateRecords::default();
    for group in outgoing.chunk_by(|a, b| a.series == b.series) {
        let Some(series) = group.first().map(|sent| sent.series) else {
            continue;
        };
        if let Some(late) = number_of(series).and_then(|number| stripe.late.get(&number)) {
            records.add(late, series);
        }
    }
    durable.wbl.push(&[&markers]);
    records.hand_over(&durable.wbl);
    durable.wbl.recycle(markers);
}

/// Writes to the new segment what is not part of `found`: chunks and samples that came meanwhile.
pub(super) fn log_rest(durable: &Durable, at: usize, stripe: &Stripe, found: &OutOfOrder) {
    let mut markers = Vec::new();
    let newer = stripe.late.iter().flat_map(|(&number, late)| {
        let series = make_ref(at, number);
        let held = found.chunks.get(&series).copied().unwrap_or(0);
        let places = late.chunks.iter().skip(held).filter_map(Closed::place);
        places.map(move |place| (series.0, place))
    });
    encode_mmap_markers(&mut markers, newer);
    let mut records = LateRecords::default();
    for (&number, late) in &stripe.late {
        records.add(late, make_ref(at, number));
    }
    durable.wbl.push(&[&markers]);
    records.hand_over(&durable.wbl);
}

/// Puts all that came out of order into new segments of its log, durably, and removes those before: they name mapped chunks
/// that were given up, and the next start would take these for lost.
///
/// # Errors
/// [`StorageError`]: the disk fails; the log has everything still, and the next start reads it without mapped chunks again.
pub(super) fn log_anew(
    durable: &Durable,
    stripes: &[RwLockWriteGuard<'_, Stripe>],
    now: Timestamp,
) -> Result<(), StorageError> {
    let first = durable.wbl.cut(now)?;
    for (at, stripe) in stripes.iter().enumerate() {
        log_rest(durable, at, stripe, &OutOfOrder::default());
        durable.wbl.flush(now)?;
    }
    durable.wbl.sync(now)?;
    wal::remove_before(&*durable.disk, durable.wbl.dir(), first)
}

/// Records of samples for the log of what came out of order.
#[derive(Default)]
pub(super) struct LateRecords {
    samples: Vec<u8>,
    encoder: SamplesEncoder,
    histograms: HistogramsEncoder,
}

impl LateRecords {
    /// Adds a sample.
    pub(super) fn push(&mut self, series: SeriesRef, t: Timestamp, v: &Value) {
        match v {
            Value::Float(v) => self.encoder.push(&mut self.samples, series.0, t, *v),
            Value::Histogram(h) => self.histograms.push(series.0, t, h),
        }
    }

    /// Adds the samples of one series that are not on the disk.
    fn add(&mut self, late: &Late, series: SeriesRef) {
        for point in late.in_memory().flatten() {
            self.push(series, point.t, &point.v);
        }
    }

    /// Leaves the records in the log. Returns whether so much waits there that it should be written.
    pub(super) fn hand_over(self, wbl: &Log) -> bool {
        let mut crowded = !self.samples.is_empty() && wbl.push(&[&self.samples]);
        for record in self.histograms.records() {
            crowded |= wbl.push(&[record]);
        }
        crowded
    }
}
