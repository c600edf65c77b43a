//! Samples of either kind, decoded.

use crate::chunk;
use crate::error::StorageError;
use crate::source::SourceChunk;
use leadline_model::histogram::{AnyHistogram, HistogramSample, ResetHint};
use leadline_model::sample::{Samples, Timestamp};
use std::sync::Arc;

/// One sample.
#[derive(Debug, Clone)]
pub(super) struct Point {
    /// When, ms.
    pub(super) t: Timestamp,
    /// What.
    pub(super) v: Value,
}

/// What was observed.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// A number.
    Float(f64),
    /// A distribution.
    Histogram(AnyHistogram),
}

impl Point {
    /// Takes back what a counter histogram says about the sample before it.
    pub(super) fn forget_reset(&mut self) {
        let forget = |hint: &mut ResetHint| {
            if *hint != ResetHint::Gauge {
                *hint = ResetHint::Unknown;
            }
        };
        match &mut self.v {
            Value::Float(_) => {}
            Value::Histogram(AnyHistogram::Int(h)) => forget(&mut Arc::make_mut(h).reset),
            Value::Histogram(AnyHistogram::Float(h)) => forget(&mut Arc::make_mut(h).reset),
        }
    }
}

/// Replaces `into` by the samples of a chunk that lie between its ends.
pub(super) fn decode_into(chunk: &SourceChunk, into: &mut Vec<Point>) -> Result<(), StorageError> {
    into.clear();
    let broken = |error| StorageError::Refused(format!("a chunk cannot be decoded: {error}"));
    if chunk.encoding.is_float() {
        let mut samples = Samples::default();
        chunk::decode(chunk.encoding, &chunk.data, chunk.mint, chunk.maxt, &mut samples).map_err(broken)?;
        let floats = samples.t.into_iter().zip(samples.v);
        into.extend(floats.map(|(t, v)| Point { t, v: Value::Float(v) }));
    } else {
        let mut samples: Vec<HistogramSample> = Vec::new();
        chunk::decode_histograms(chunk.encoding, &chunk.data, chunk.mint, chunk.maxt, &mut samples).map_err(broken)?;
        into.extend(samples.into_iter().map(|s| Point {
            t: s.t,
            v: Value::Histogram(s.h),
        }));
    }
    Ok(())
}
