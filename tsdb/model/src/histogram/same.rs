//! Equality of data (`model/histogram/histogram.go`, `float_histogram.go`, `Equals`).

use super::{AnyHistogram, CUSTOM_BUCKETS, FloatHistogram, Histogram, Span};

/// Whether two lists of spans are the same buckets, no matter how empty spans are spread.
fn same_spans(a: &[Span], b: &[Span]) -> bool {
    fn runs(spans: &[Span]) -> impl Iterator<Item = (i64, u32)> {
        spans
            .iter()
            .scan(0i64, |gap, span| {
                *gap += i64::from(span.offset);
                if span.length == 0 {
                    return Some(None);
                }
                Some(Some((std::mem::take(gap), span.length)))
            })
            .flatten()
    }
    runs(a).eq(runs(b))
}

fn same_floats(a: &[f64], b: &[f64]) -> bool {
    a.iter().map(|v| v.to_bits()).eq(b.iter().map(|v| v.to_bits()))
}

impl Histogram {
    /// Whether both hold the same data: buckets, counts and bounds, sums bit for bit. What is known about resets does not
    /// matter, nor how empty spans are spread.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        self.schema == other.schema
            && self.count == other.count
            && self.sum.to_bits() == other.sum.to_bits()
            && (self.schema != CUSTOM_BUCKETS || self.custom_values == other.custom_values)
            && self.zero_threshold == other.zero_threshold
            && self.zero_count == other.zero_count
            && same_spans(&self.negative_spans, &other.negative_spans)
            && self.negative_buckets == other.negative_buckets
            && same_spans(&self.positive_spans, &other.positive_spans)
            && self.positive_buckets == other.positive_buckets
    }
}

impl FloatHistogram {
    /// Whether both hold the same data: buckets and bounds, counts and sums bit for bit. What is known about resets does
    /// not matter, nor how empty spans are spread.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        self.schema == other.schema
            && self.count.to_bits() == other.count.to_bits()
            && self.sum.to_bits() == other.sum.to_bits()
            && (self.schema != CUSTOM_BUCKETS || self.custom_values == other.custom_values)
            && self.zero_threshold == other.zero_threshold
            && self.zero_count.to_bits() == other.zero_count.to_bits()
            && same_spans(&self.negative_spans, &other.negative_spans)
            && same_floats(&self.negative_buckets, &other.negative_buckets)
            && same_spans(&self.positive_spans, &other.positive_spans)
            && same_floats(&self.positive_buckets, &other.positive_buckets)
    }
}

impl AnyHistogram {
    /// Whether both are of one kind and hold the same data; see [`Histogram::same`].
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a.same(b),
            (Self::Float(a), Self::Float(b)) => a.same(b),
            _ => false,
        }
    }
}
