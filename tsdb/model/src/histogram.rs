//! Native histograms: one sample that holds a whole distribution.
//!
//! The shape is Prometheus' (`model/histogram/histogram.go`, `float_histogram.go`): buckets whose bounds grow by a factor of
//! 2^(2^-schema), of which only runs of populated ones ([`Span`]) are stored, on both sides of a zero bucket. Schema
//! [`CUSTOM_BUCKETS`] has bounds of its own instead.

mod arithmetic;
mod bounds;
mod buckets;
mod display;
mod layout;
mod resets;
mod same;
mod side;
mod sum;
mod trim;
mod validate;
mod zero;

pub use arithmetic::{CombineError, Reconciled};
pub use bounds::bound;
pub use buckets::{Bucket, indices};
pub use sum::HistogramSum;
pub use trim::Keep;
pub use validate::{BucketSide, HistogramError};

use crate::sample::Timestamp;
use std::sync::Arc;

/// The schema of histograms with bounds of their own (`CustomBucketsSchema`).
pub const CUSTOM_BUCKETS: i32 = -53;
/// The coarsest exponential schema.
pub const MIN_SCHEMA: i32 = -4;
/// The finest exponential schema.
pub const MAX_SCHEMA: i32 = 8;

/// A run of consecutive buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    /// Empty buckets between the end of the run before and this one; of the first run, the index of its first bucket.
    pub offset: i32,
    /// Number of buckets.
    pub length: u32,
}

/// Whether a counter histogram began again at this sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum ResetHint {
    /// Has to be found out by comparing.
    #[default]
    Unknown = 0,
    /// It did.
    Reset = 1,
    /// It did not.
    NotReset = 2,
    /// It is a gauge histogram: there are no resets.
    Gauge = 3,
}

impl ResetHint {
    /// The hint with this number, `None` above 3.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Unknown),
            1 => Some(Self::Reset),
            2 => Some(Self::NotReset),
            3 => Some(Self::Gauge),
            _ => None,
        }
    }
}

/// A histogram of integer counts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Histogram {
    /// Whether it began again here.
    pub reset: ResetHint,
    /// [`MIN_SCHEMA`] to [`MAX_SCHEMA`], or [`CUSTOM_BUCKETS`].
    pub schema: i32,
    /// Observations of at most this distance from 0 are in the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: u64,
    /// All observations.
    pub count: u64,
    /// Their sum; the stale marker here marks the end of the series.
    pub sum: f64,
    /// Runs of buckets above zero.
    pub positive_spans: Vec<Span>,
    /// Runs of buckets below zero.
    pub negative_spans: Vec<Span>,
    /// Counts of `positive_spans`, each as the difference to the one before.
    pub positive_buckets: Vec<i64>,
    /// Counts of `negative_spans`, each as the difference to the one before.
    pub negative_buckets: Vec<i64>,
    /// Upper bounds of [`CUSTOM_BUCKETS`], ascending, without +Inf.
    pub custom_values: Arc<[f64]>,
}

/// A histogram of counts that need not be whole.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FloatHistogram {
    /// Whether it began again here.
    pub reset: ResetHint,
    /// [`MIN_SCHEMA`] to [`MAX_SCHEMA`], or [`CUSTOM_BUCKETS`].
    pub schema: i32,
    /// Observations of at most this distance from 0 are in the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// All observations.
    pub count: f64,
    /// Their sum; the stale marker here marks the end of the series.
    pub sum: f64,
    /// Runs of buckets above zero.
    pub positive_spans: Vec<Span>,
    /// Runs of buckets below zero.
    pub negative_spans: Vec<Span>,
    /// Counts of `positive_spans`.
    pub positive_buckets: Vec<f64>,
    /// Counts of `negative_spans`.
    pub negative_buckets: Vec<f64>,
    /// Upper bounds of [`CUSTOM_BUCKETS`], ascending, without +Inf.
    pub custom_values: Arc<[f64]>,
}

/// Either kind; cloning is a counter.
#[derive(Debug, Clone, PartialEq)]
pub enum AnyHistogram {
    /// Integer counts.
    Int(Arc<Histogram>),
    /// Float counts.
    Float(Arc<FloatHistogram>),
}

/// A histogram at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramSample {
    /// Milliseconds since the epoch.
    pub t: Timestamp,
    /// The distribution.
    pub h: AnyHistogram,
}
