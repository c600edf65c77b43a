//! Histograms as text: what `promtool tsdb dump` prints (`model/histogram/histogram.go`, `float_histogram.go`, `String`).

use super::buckets::Bucket;
use super::{AnyHistogram, FloatHistogram, Histogram};
use crate::number::general;
use std::fmt;

impl<C: fmt::Display> fmt::Display for Bucket<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = if self.lower_inclusive { '[' } else { '(' };
        let close = if self.upper_inclusive { ']' } else { ')' };
        let (lower, upper) = (general(self.lower), general(self.upper));
        write!(f, "{open}{lower},{upper}{close}:{}", self.count)
    }
}

/// The buckets that are not empty, going up.
fn buckets<C: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    negative: &[Bucket<C>],
    zero: Option<&Bucket<C>>,
    positive: &[Bucket<C>],
) -> fmt::Result {
    for bucket in negative.iter().rev().chain(zero).chain(positive) {
        write!(f, ", {bucket}")?;
    }
    f.write_str("}")
}

impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{count:{}, sum:{}", self.count, general(self.sum))?;
        buckets(
            f,
            &self.negative().filter(|bucket| bucket.count != 0).collect::<Vec<_>>(),
            (self.zero_count != 0).then(|| self.zero()).as_ref(),
            &self.positive().filter(|bucket| bucket.count != 0).collect::<Vec<_>>(),
        )
    }
}

impl fmt::Display for FloatHistogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{count:{}, sum:{}", general(self.count), general(self.sum))?;
        let text = |bucket: Bucket<f64>| Bucket {
            count: general(bucket.count),
            lower: bucket.lower,
            upper: bucket.upper,
            lower_inclusive: bucket.lower_inclusive,
            upper_inclusive: bucket.upper_inclusive,
            index: bucket.index,
        };
        buckets(
            f,
            &self
                .negative()
                .filter(|bucket| bucket.count != 0.0)
                .map(text)
                .collect::<Vec<_>>(),
            (self.zero_count != 0.0).then(|| text(self.zero())).as_ref(),
            &self
                .positive()
                .filter(|bucket| bucket.count != 0.0)
                .map(text)
                .collect::<Vec<_>>(),
        )
    }
}

impl fmt::Display for AnyHistogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(h) => h.fmt(f),
            Self::Float(h) => h.fmt(f),
        }
    }
}
