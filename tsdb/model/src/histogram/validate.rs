//! What a histogram must be (`model/histogram/histogram.go`, `float_histogram.go`, `Validate`; `generic.go`).

use super::buckets::absolute;
use super::{CUSTOM_BUCKETS, FloatHistogram, Histogram, MAX_SCHEMA, MIN_SCHEMA, Span};
use std::fmt;

/// Why a histogram is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum HistogramError {
    /// No such schema.
    #[error("schema {0} is invalid, expected {MIN_SCHEMA} to {MAX_SCHEMA}, or {CUSTOM_BUCKETS} for bounds of its own")]
    Schema(i32),
    /// Fewer observations than in the buckets.
    #[error("{buckets} observations in buckets, but a count of {count}, expected at least as many")]
    CountTooSmall {
        /// Observations in buckets.
        buckets: u64,
        /// The count.
        count: u64,
    },
    /// Other observations than in the buckets, though none was NaN.
    #[error("{buckets} observations in buckets, but a count of {count}, expected the same")]
    CountMismatch {
        /// Observations in buckets.
        buckets: u64,
        /// The count.
        count: u64,
    },
    /// A count of less than nothing.
    #[error("the count is {0}, expected 0 or more")]
    NegativeCount(f64),
    /// A bucket with less than nothing in it.
    #[error("{side} bucket {number} holds {count}, expected 0 or more")]
    NegativeBucket {
        /// Which buckets.
        side: BucketSide,
        /// Its number, from 1.
        number: usize,
        /// What it holds.
        count: f64,
    },
    /// A span that goes back.
    #[error("{side} span {number} has offset {offset}, expected 0 or more")]
    NegativeOffset {
        /// Which spans.
        side: BucketSide,
        /// Its number, from 1.
        number: usize,
        /// Its offset.
        offset: i32,
    },
    /// A bucket's index is no 32-bit number.
    #[error("{side} span {number} reaches bucket {index}, which is out of range")]
    IndexRange {
        /// Which spans.
        side: BucketSide,
        /// Its number, from 1.
        number: usize,
        /// The index.
        index: i64,
    },
    /// Spans and buckets are not as many.
    #[error("{side} spans need {spans} buckets, {buckets} are there")]
    SpansMismatch {
        /// Which spans.
        side: BucketSide,
        /// Buckets that the spans need.
        spans: u64,
        /// Buckets that are there.
        buckets: usize,
    },
    /// Bounds that are not there for all buckets.
    #[error("{bounds} bounds are too few for buckets up to {needed}")]
    BoundsTooFew {
        /// Bounds.
        bounds: usize,
        /// Buckets that the spans reach over.
        needed: i64,
    },
    /// Bounds out of order.
    #[error("bound {current} follows {previous}, expected ascending bounds")]
    BoundsOrder {
        /// The one before.
        previous: f64,
        /// The one that is not above it.
        current: f64,
    },
    /// A bound of +Inf, which is always there.
    #[error("the last bound is +Inf, which must not be given")]
    BoundInfinite,
    /// A bound that is no number.
    #[error("a bound is NaN")]
    BoundNaN,
    /// Bounds of its own, and what only goes without them: "zero count", "negative spans", …
    #[error("a histogram with bounds of its own has a {0}")]
    CustomWith(&'static str),
    /// A schema with computed bounds, and given ones.
    #[error("a histogram with a schema of computed bounds has bounds of its own")]
    UnwantedBounds,
}

/// Which buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketSide {
    /// Above zero.
    Positive,
    /// Below zero.
    Negative,
    /// Around zero.
    Zero,
}

impl fmt::Display for BucketSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Positive => "positive",
            Self::Negative => "negative",
            Self::Zero => "zero",
        })
    }
}

impl Histogram {
    /// Checks that spans, buckets, bounds and counts go together.
    ///
    /// # Errors
    /// [`HistogramError`] names the first that does not.
    pub fn validate(&self) -> Result<(), HistogramError> {
        let shape = Shape {
            schema: self.schema,
            positive: (&self.positive_spans, self.positive_buckets.len()),
            negative: (&self.negative_spans, self.negative_buckets.len()),
            zero: (self.zero_threshold != 0.0, self.zero_count != 0),
            bounds: &self.custom_values,
        };
        shape.validate()?;
        let mut buckets = self.zero_count;
        for (side, deltas) in [
            (BucketSide::Negative, &self.negative_buckets),
            (BucketSide::Positive, &self.positive_buckets),
        ] {
            for (i, count) in absolute(deltas).enumerate() {
                let count = u64::try_from(count).map_err(|_| HistogramError::NegativeBucket {
                    side,
                    number: i + 1,
                    count: count as f64,
                })?;
                buckets = buckets.wrapping_add(count);
            }
        }
        let count = self.count;
        // An observation of NaN is counted but is in no bucket.
        match self.sum.is_nan() {
            true if buckets > count => Err(HistogramError::CountTooSmall { buckets, count }),
            false if buckets != count => Err(HistogramError::CountMismatch { buckets, count }),
            _ => Ok(()),
        }
    }
}

impl FloatHistogram {
    /// Checks that its spans fit its buckets: what arithmetic relies on.
    ///
    /// # Errors
    /// [`HistogramError`] names the side that does not.
    pub(super) fn check_layout(&self) -> Result<(), HistogramError> {
        check_spans(
            BucketSide::Positive,
            (&self.positive_spans, self.positive_buckets.len()),
        )?;
        check_spans(
            BucketSide::Negative,
            (&self.negative_spans, self.negative_buckets.len()),
        )
        .map(drop)
    }

    /// Checks that spans, buckets and bounds go together and that no count is negative.
    ///
    /// # Errors
    /// [`HistogramError`] names the first that does not.
    pub fn validate(&self) -> Result<(), HistogramError> {
        let shape = Shape {
            schema: self.schema,
            positive: (&self.positive_spans, self.positive_buckets.len()),
            negative: (&self.negative_spans, self.negative_buckets.len()),
            zero: (self.zero_threshold != 0.0, self.zero_count != 0.0),
            bounds: &self.custom_values,
        };
        shape.validate()?;
        for (side, buckets) in [
            (BucketSide::Negative, self.negative_buckets.as_slice()),
            (BucketSide::Zero, &[self.zero_count]),
            (BucketSide::Positive, &self.positive_buckets),
        ] {
            if let Some(i) = buckets.iter().position(|&count| count < 0.0) {
                return Err(HistogramError::NegativeBucket {
                    side,
                    number: i + 1,
                    count: buckets[i],
                });
            }
        }
        if self.count < 0.0 {
            return Err(HistogramError::NegativeCount(self.count));
        }
        Ok(())
    }
}

/// What both kinds have in common: everything but counts.
struct Shape<'a> {
    schema: i32,
    /// Spans and number of buckets.
    positive: (&'a [Span], usize),
    negative: (&'a [Span], usize),
    /// Whether there are a zero threshold and a zero count.
    zero: (bool, bool),
    bounds: &'a [f64],
}

impl Shape<'_> {
    fn validate(&self) -> Result<(), HistogramError> {
        match self.schema {
            CUSTOM_BUCKETS => self.validate_custom(),
            MIN_SCHEMA..=MAX_SCHEMA => {
                check_spans(BucketSide::Positive, self.positive)?;
                check_spans(BucketSide::Negative, self.negative)?;
                if self.bounds.is_empty() {
                    Ok(())
                } else {
                    Err(HistogramError::UnwantedBounds)
                }
            }
            other => Err(HistogramError::Schema(other)),
        }
    }

    fn validate_custom(&self) -> Result<(), HistogramError> {
        check_bounds(self.bounds)?;
        if let Some(i) = self.positive.0.iter().position(|span| span.offset < 0) {
            return Err(HistogramError::NegativeOffset {
                side: BucketSide::Positive,
                number: i + 1,
                offset: self.positive.0[i].offset,
            });
        }
        let reach = check_spans(BucketSide::Positive, self.positive)?;
        // The bucket above the last bound reaches to +Inf.
        if (self.bounds.len() as i64) + 1 < reach {
            return Err(HistogramError::BoundsTooFew {
                bounds: self.bounds.len(),
                needed: reach,
            });
        }
        let unwanted = [
            (self.zero.1, "zero count"),
            (self.zero.0, "zero threshold"),
            (!self.negative.0.is_empty(), "negative span"),
            (self.negative.1 > 0, "negative bucket"),
        ];
        match unwanted.into_iter().find(|(there, _)| *there) {
            Some((_, what)) => Err(HistogramError::CustomWith(what)),
            None => Ok(()),
        }
    }
}

/// Checks the spans of one side and returns the index behind its last bucket.
fn check_spans(side: BucketSide, (spans, buckets): (&[Span], usize)) -> Result<i64, HistogramError> {
    let (mut needed, mut end) = (0u64, 0i64);
    for (i, span) in spans.iter().enumerate() {
        if i > 0 && span.offset < 0 {
            return Err(HistogramError::NegativeOffset {
                side,
                number: i + 1,
                offset: span.offset,
            });
        }
        needed += u64::from(span.length);
        end += i64::from(span.offset) + i64::from(span.length);
        // The lower bound of a bucket is that of the index below.
        let first = i64::from(span.offset);
        let outside = if i == 0 && first == i64::from(i32::MIN) {
            first
        } else {
            end - 1
        };
        if outside == i64::from(i32::MIN) || outside > i64::from(i32::MAX) {
            return Err(HistogramError::IndexRange {
                side,
                number: i + 1,
                index: outside,
            });
        }
    }
    if needed != buckets as u64 {
        return Err(HistogramError::SpansMismatch {
            side,
            spans: needed,
            buckets,
        });
    }
    Ok(end)
}

fn check_bounds(bounds: &[f64]) -> Result<(), HistogramError> {
    if bounds.iter().any(|bound| bound.is_nan()) {
        return Err(HistogramError::BoundNaN);
    }
    if let Some(pair) = bounds.windows(2).find(|pair| pair[1] <= pair[0]) {
        return Err(HistogramError::BoundsOrder {
            previous: pair[0],
            current: pair[1],
        });
    }
    match bounds.last() {
        Some(&f64::INFINITY) => Err(HistogramError::BoundInfinite),
        _ => Ok(()),
    }
}
