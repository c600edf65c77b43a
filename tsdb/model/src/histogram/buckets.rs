//! The buckets of a histogram, one after the other, with bounds and counts
//! (`model/histogram/histogram.go`, `float_histogram.go`).

use super::bounds::bound;
use super::{CUSTOM_BUCKETS, FloatHistogram, Histogram, Span};

/// One bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket<C> {
    /// Lower bound.
    pub lower: f64,
    /// Upper bound.
    pub upper: f64,
    /// Whether the lower bound belongs to it.
    pub lower_inclusive: bool,
    /// Whether the upper bound belongs to it.
    pub upper_inclusive: bool,
    /// Observations in it.
    pub count: C,
    /// Its index in the schema, on its side of zero; 0 of the zero bucket.
    pub index: i32,
}

/// The indices of the buckets of `spans`, as far as they fit into 32 bits.
pub fn indices(spans: &[Span]) -> impl Iterator<Item = i32> {
    let ranges = spans.iter().scan(0i64, |next, span| {
        let first = next.saturating_add(i64::from(span.offset));
        *next = first.saturating_add(i64::from(span.length));
        Some(first..*next)
    });
    ranges.flatten().map_while(|index| i32::try_from(index).ok())
}

/// Where the buckets of a histogram are.
#[derive(Clone, Copy)]
struct Scale<'a> {
    schema: i32,
    custom_values: &'a [f64],
}

impl Scale<'_> {
    fn positive<C>(self, index: i32, count: C) -> Bucket<C> {
        let lower = bound(index.saturating_sub(1), self.schema, self.custom_values);
        let upper = bound(index, self.schema, self.custom_values);
        let custom = self.schema == CUSTOM_BUCKETS;
        Bucket {
            lower,
            upper,
            lower_inclusive: if custom { index == 0 } else { lower < 0.0 },
            upper_inclusive: custom || upper > 0.0,
            count,
            index,
        }
    }

    fn negative<C>(self, index: i32, count: C) -> Bucket<C> {
        let lower = -bound(index, self.schema, self.custom_values);
        let upper = -bound(index.saturating_sub(1), self.schema, self.custom_values);
        Bucket {
            lower,
            upper,
            lower_inclusive: lower < 0.0,
            upper_inclusive: upper > 0.0,
            count,
            index,
        }
    }
}

fn zero<C>(threshold: f64, count: C) -> Bucket<C> {
    Bucket {
        lower: -threshold,
        upper: threshold,
        lower_inclusive: true,
        upper_inclusive: true,
        count,
        index: 0,
    }
}

impl Histogram {
    fn scale(&self) -> Scale<'_> {
        Scale {
            schema: self.schema,
            custom_values: &self.custom_values,
        }
    }

    /// The buckets above zero, going up.
    pub fn positive(&self) -> impl Iterator<Item = Bucket<u64>> {
        let counts = absolute(&self.positive_buckets).map(|count| count as u64);
        let scale = self.scale();
        indices(&self.positive_spans)
            .zip(counts)
            .map(move |(index, count)| scale.positive(index, count))
    }

    /// The buckets below zero, going down.
    pub fn negative(&self) -> impl Iterator<Item = Bucket<u64>> {
        let counts = absolute(&self.negative_buckets).map(|count| count as u64);
        let scale = self.scale();
        indices(&self.negative_spans)
            .zip(counts)
            .map(move |(index, count)| scale.negative(index, count))
    }

    /// The zero bucket; histograms with bounds of their own have none, and it is empty then.
    #[must_use]
    pub fn zero(&self) -> Bucket<u64> {
        zero(self.zero_threshold, self.zero_count)
    }

    /// The same with float counts.
    #[must_use]
    pub fn to_float(&self) -> FloatHistogram {
        let floats = |deltas: &[i64]| absolute(deltas).map(|count| count as f64).collect();
        FloatHistogram {
            reset: self.reset,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count as f64,
            count: self.count as f64,
            sum: self.sum,
            positive_spans: self.positive_spans.clone(),
            negative_spans: self.negative_spans.clone(),
            positive_buckets: floats(&self.positive_buckets),
            negative_buckets: floats(&self.negative_buckets),
            custom_values: self.custom_values.clone(),
        }
    }
}

impl FloatHistogram {
    fn scale(&self) -> Scale<'_> {
        Scale {
            schema: self.schema,
            custom_values: &self.custom_values,
        }
    }

    /// The buckets above zero, going up.
    pub fn positive(&self) -> impl Iterator<Item = Bucket<f64>> {
        let scale = self.scale();
        indices(&self.positive_spans)
            .zip(&self.positive_buckets)
            .map(move |(index, &count)| scale.positive(index, count))
    }

    /// The buckets below zero, going down.
    pub fn negative(&self) -> impl Iterator<Item = Bucket<f64>> {
        let scale = self.scale();
        indices(&self.negative_spans)
            .zip(&self.negative_buckets)
            .map(move |(index, &count)| scale.negative(index, count))
    }

    /// The zero bucket; histograms with bounds of their own have none, and it is empty then.
    #[must_use]
    pub fn zero(&self) -> Bucket<f64> {
        zero(self.zero_threshold, self.zero_count)
    }

    /// All buckets, going up; the zero bucket only where it is not empty. Those beside it begin where it ends.
    pub fn all(&self) -> impl Iterator<Item = Bucket<f64>> {
        let threshold = self.zero_threshold;
        let beside = move |mut bucket: Bucket<f64>| {
            if bucket.upper < 0.0 && bucket.upper > -threshold {
                bucket.upper = -threshold;
            } else if bucket.lower > 0.0 && bucket.lower < threshold {
                bucket.lower = threshold;
            }
            bucket
        };
        let negative: Vec<Bucket<f64>> = self.negative().collect();
        let zero = (self.zero_count > 0.0).then(|| self.zero());
        let sides = negative.into_iter().rev().map(beside);
        sides.chain(zero).chain(self.positive().map(beside))
    }
}

/// Counts from differences.
pub(super) fn absolute(deltas: &[i64]) -> impl Iterator<Item = i64> {
    deltas.iter().scan(0i64, |sum, &delta| {
        *sum = sum.wrapping_add(delta);
        Some(*sum)
    })
}

/// Differences from counts.
pub(super) fn deltas(counts: impl IntoIterator<Item = i64>) -> Vec<i64> {
    let mut before = 0i64;
    counts
        .into_iter()
        .map(|count| count.wrapping_sub(std::mem::replace(&mut before, count)))
        .collect()
}
