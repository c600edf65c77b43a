//! Samples of either kind, decoded: where chunks of one series overlap, or hold floats and histograms in turn.

mod encode;

pub(crate) use encode::encode;

use crate::chunk::{self, Encoding};
use crate::error::ChunkError;
use leadline_model::histogram::{AnyHistogram, HistogramSample, ResetHint};
use leadline_model::sample::{Samples, Timestamp};
use std::sync::Arc;

/// One sample.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    /// When, ms.
    pub(crate) t: Timestamp,
    /// What.
    pub(crate) v: Value,
}

/// What was observed.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// A number.
    Float(f64),
    /// A distribution.
    Histogram(AnyHistogram),
}

impl Value {
    /// Whether the other is the same: floats bit for bit, histograms as [`AnyHistogram::same`] has it.
    pub(crate) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Histogram(a), Self::Histogram(b)) => a.same(b),
            _ => false,
        }
    }
}

/// Takes back what a counter histogram says about the sample before it.
pub(crate) fn forget_reset(h: &mut AnyHistogram) {
    let hint = match h {
        AnyHistogram::Int(h) => h.reset,
        AnyHistogram::Float(h) => h.reset,
    };
    if matches!(hint, ResetHint::Gauge | ResetHint::Unknown) {
        return;
    }
    match h {
        AnyHistogram::Int(h) => Arc::make_mut(h).reset = ResetHint::Unknown,
        AnyHistogram::Float(h) => Arc::make_mut(h).reset = ResetHint::Unknown,
    }
}

impl Point {
    /// [`forget_reset`] of a histogram.
    pub(crate) fn forget_reset(&mut self) {
        if let Value::Histogram(h) = &mut self.v {
            forget_reset(h);
        }
    }
}

/// Appends the samples of a chunk with `mint <= t <= maxt` (ms).
///
/// # Errors
/// [`ChunkError`]; samples before the damage may be in `into` then.
pub(crate) fn decode(
    encoding: Encoding,
    chunk: &[u8],
    mint: Timestamp,
    maxt: Timestamp,
    into: &mut Vec<Point>,
) -> Result<(), ChunkError> {
    if encoding.is_float() {
        let mut samples = Samples::default();
        chunk::decode(encoding, chunk, mint, maxt, &mut samples)?;
        let floats = samples.t.into_iter().zip(samples.v);
        into.extend(floats.map(|(t, v)| Point { t, v: Value::Float(v) }));
    } else {
        let mut samples: Vec<HistogramSample> = Vec::new();
        chunk::decode_histograms(encoding, chunk, mint, maxt, &mut samples)?;
        into.extend(samples.into_iter().map(|s| Point {
            t: s.t,
            v: Value::Histogram(s.h),
        }));
    }
    Ok(())
}

/// Brings samples of several chunks, each with the rank of its own, into the order of time. Of samples at one time that of
/// the lowest rank stays (`storage/merge.go` keeps one, too). A histogram behind a sample of another chunk says nothing
/// about it any more (`storage/merge.go`, `chainSampleIterator.AtHistogram`).
pub(crate) fn join<R: Ord + Copy>(points: &mut Vec<(Point, R)>) {
    points.sort_by_key(|(point, rank)| (point.t, *rank));
    #[cfg(feature = "planted")]
    crate::planted::drop_neighbours(points, |(point, _)| point.t);
    points.dedup_by_key(|(point, _)| point.t);
    let mut last = None;
    for (point, rank) in points {
        if last.replace(*rank) != Some(*rank) {
            point.forget_reset();
        }
    }
}
