//! Histograms without the observations beyond a value (`model/histogram/float_histogram.go`, `TrimBuckets`).

use super::{Bucket, FloatHistogram};
use crate::elementary::log2;

/// Which observations stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Those of at most the value.
    Below,
    /// Those of at least the value.
    Above,
}

impl Bucket<f64> {
    /// The share of the bucket's observations that is estimated to be at most `v`, which is within its finite bounds:
    /// linear, or on a logarithmic scale as exponential buckets are.
    #[must_use]
    pub fn fraction_below(&self, v: f64, linear: bool) -> f64 {
        if linear {
            return (v - self.lower) / (self.upper - self.lower);
        }
        let [lower, upper, at] = [self.lower, self.upper, v].map(|x| log2(x.abs()));
        if v > 0.0 {
            (at - lower) / (upper - lower)
        } else {
            1.0 - (at - upper) / (lower - upper)
        }
    }
}

/// What is left of a bucket: how many observations, and where they are taken to be.
type Rest = (f64, f64);

/// How one histogram is trimmed.
#[derive(Clone, Copy)]
struct Trim {
    at: f64,
    keep: Keep,
    custom: bool,
}

impl FloatHistogram {
    /// Without the observations on the other side of `at`; count and sum are estimated anew from what is left, where
    /// anything went.
    #[must_use]
    pub fn trimmed(mut self, at: f64, keep: Keep) -> Self {
        let trim = Trim {
            at,
            keep,
            custom: self.is_custom(),
        };
        let (positive, negative): (Vec<_>, Vec<_>) = (self.positive().collect(), self.negative().collect());
        let (mut count, mut sum, mut changed) = (0.0, 0.0, false);
        let mut add = |(left, middle): Rest, was: &mut f64| {
            count += left;
            sum += middle * left;
            changed |= *was != left;
            *was = left;
        };
        for (bucket, was) in positive.iter().zip(&mut self.positive_buckets) {
            if bucket.count != 0.0 {
                add(trim.bucket(bucket, true), was);
            }
        }
        for (bucket, was) in negative.iter().zip(&mut self.negative_buckets) {
            if bucket.count != 0.0 {
                add(trim.bucket(bucket, false), was);
            }
        }
        if self.zero_count > 0.0 {
            let filled = |side: &[Bucket<f64>]| side.iter().any(|bucket| bucket.count != 0.0);
            let rest = trim.zero(self.zero(), filled(&negative), filled(&positive));
            add(rest, &mut self.zero_count);
        }
        if changed {
            (self.count, self.sum) = (count, sum);
            self.compact(0);
        }
        self
    }
}

impl Trim {
    fn bucket(self, b: &Bucket<f64>, positive: bool) -> Rest {
        let (all, some) = match self.keep {
            Keep::Below => (b.upper <= self.at, b.lower < self.at),
            Keep::Above => (b.lower >= self.at, b.upper > self.at),
        };
        if all {
            (b.count, self.middle((b.lower, b.upper), positive))
        } else if !some {
            (0.0, 0.0)
        } else if b.lower == f64::NEG_INFINITY {
            self.without_lower_bound(b)
        } else if b.upper == f64::INFINITY {
            self.without_upper_bound(b)
        } else {
            self.cut(b, positive)
        }
    }

    /// A bucket that the value is within, with finite bounds.
    fn cut(self, b: &Bucket<f64>, positive: bool) -> Rest {
        let under = if self.at <= b.lower {
            0.0
        } else if self.at >= b.upper {
            b.count
        } else {
            b.count * b.fraction_below(self.at, self.custom)
        };
        match self.keep {
            Keep::Below => (under, self.middle((b.lower, self.at), positive)),
            Keep::Above => (b.count - under, self.middle((self.at, b.upper), positive)),
        }
    }

    /// The first bucket of a histogram with bounds of its own: it begins at 0 where it ends above, and how its
    /// observations lie is unknown otherwise.
    fn without_lower_bound(self, b: &Bucket<f64>) -> Rest {
        let known = b.upper > 0.0 && b.upper.is_finite();
        match self.keep {
            Keep::Below if self.at >= b.upper => (b.count, 0.0),
            Keep::Below if self.at > 0.0 && known => (b.count * self.at / b.upper, self.at / 2.0),
            Keep::Below if b.upper <= 0.0 => (b.count, self.at),
            Keep::Above if self.at <= b.lower => (b.count, 0.0),
            Keep::Above if self.at >= 0.0 && b.upper > self.at && known => {
                (b.count * (1.0 - self.at / b.upper), (self.at + b.upper) / 2.0)
            }
            _ => (0.0, finite(b.upper)),
        }
    }

    /// The last bucket: how its observations lie is unknown.
    fn without_upper_bound(self, b: &Bucket<f64>) -> Rest {
        if self.keep == Keep::Above && self.at >= b.lower {
            (b.count, self.at)
        } else {
            (0.0, finite(b.lower))
        }
    }

    /// The zero bucket, of which only the half with other observations beside it counts, if just one has any.
    fn zero(self, b: Bucket<f64>, negative: bool, positive: bool) -> Rest {
        let lower = if positive && !negative { 0.0 } else { b.lower };
        let upper = if negative && !positive { 0.0 } else { b.upper };
        let (kept_lower, kept_upper) = match self.keep {
            Keep::Below => (lower, self.at.min(upper)),
            Keep::Above => (self.at.max(lower), upper),
        };
        let all = match self.keep {
            Keep::Below if self.at <= lower => return (0.0, 0.0),
            Keep::Above if self.at <= lower => true,
            Keep::Above if self.at >= upper => return (0.0, 0.0),
            Keep::Below => self.at >= upper,
            Keep::Above => false,
        };
        if all {
            return (b.count, (lower + upper) / 2.0);
        }
        let share = (kept_upper - kept_lower) / (upper - lower);
        (b.count * share, (kept_lower + kept_upper) / 2.0)
    }

    /// Where the observations of a bucket with these bounds are taken to be.
    fn middle(self, (lower, upper): (f64, f64), positive: bool) -> f64 {
        if lower.is_infinite() {
            return if upper.is_infinite() {
                0.0
            } else if upper > 0.0 {
                upper / 2.0
            } else {
                upper
            };
        }
        if upper.is_infinite() {
            return lower;
        }
        if self.custom {
            return (lower + upper) / 2.0;
        }
        let geometric = (lower * upper).abs().sqrt();
        if positive { geometric } else { -geometric }
    }
}

fn finite(x: f64) -> f64 {
    if x.is_infinite() { 0.0 } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::{CUSTOM_BUCKETS, Span};

    fn custom(counts: &[f64]) -> FloatHistogram {
        FloatHistogram {
            schema: CUSTOM_BUCKETS,
            count: counts.iter().sum(),
            sum: 7.0,
            positive_spans: vec![Span {
                offset: 0,
                length: counts.len() as u32,
            }],
            positive_buckets: counts.to_vec(),
            custom_values: [2.0, 4.0].into(),
            ..FloatHistogram::default()
        }
    }

    #[test]
    fn a_bucket_that_the_value_is_within_is_divided() {
        for (at, keep, counts, sum) in [
            (3.0, Keep::Below, &[4.0, 4.0][..], 4.0 + 4.0 * 2.5),
            (3.0, Keep::Above, &[4.0, 2.0], 4.0 * 3.5 + 2.0 * 4.0),
            (1.0, Keep::Below, &[2.0], 2.0 * 0.5),
        ] {
            let trimmed = custom(&[4.0, 8.0, 2.0]).trimmed(at, keep);
            assert_eq!(
                (trimmed.positive_buckets.as_slice(), trimmed.sum),
                (counts, sum),
                "{keep:?} {at}"
            );
            assert_eq!(trimmed.count, counts.iter().sum::<f64>());
        }
    }

    #[test]
    fn a_value_beyond_all_buckets_changes_nothing() {
        let h = custom(&[4.0, 8.0]);
        assert_eq!(h.clone().trimmed(4.0, Keep::Below), h);
        assert_eq!(h.clone().trimmed(f64::NEG_INFINITY, Keep::Above), h);
    }
}
