//! Arithmetic of histograms (`model/histogram/float_histogram.go`: `Add`, `Sub`, `Mul`, `Div`).

use super::sum::{HistogramSum, Rounding};
use super::{FloatHistogram, HistogramError, ResetHint};

/// What two histograms differed in when they were added or subtracted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reconciled {
    /// One says that it began again, the other that it did not.
    pub resets_collide: bool,
    /// Both have bounds of their own, but not the same: the result has the common ones.
    pub bounds_differ: bool,
}

impl std::ops::BitOrAssign for Reconciled {
    fn bitor_assign(&mut self, other: Self) {
        self.resets_collide |= other.resets_collide;
        self.bounds_differ |= other.bounds_differ;
    }
}

/// Why two histograms cannot be added or subtracted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CombineError {
    /// One has bounds of its own, the other computed ones.
    #[error("cannot combine a histogram with exponential buckets and one with custom buckets")]
    Schemas,
    /// The spans of one do not fit its buckets.
    #[error(transparent)]
    Layout(#[from] HistogramError),
}

/// The hint of a sum of two, and whether they contradict each other.
pub(super) fn joined_hint(a: ResetHint, b: ResetHint) -> (ResetHint, bool) {
    match (a, b) {
        (a, b) if a == b => (a, false),
        (ResetHint::Gauge, _) | (_, ResetHint::Gauge) => (ResetHint::Gauge, false),
        (ResetHint::Unknown, _) | (_, ResetHint::Unknown) => (ResetHint::Unknown, false),
        _ => (ResetHint::Unknown, true),
    }
}

impl FloatHistogram {
    /// Whether it has bounds of its own.
    #[must_use]
    pub fn is_custom(&self) -> bool {
        self.schema == super::CUSTOM_BUCKETS
    }

    /// The sum of both, and what they differed in.
    ///
    /// # Errors
    /// [`CombineError`].
    pub fn add(&self, other: &Self) -> Result<(Self, Reconciled), CombineError> {
        let mut sum = HistogramSum::of(self)?;
        let reconciled = sum.combine(HistogramSum::of(other)?, Rounding::Plain)?;
        Ok((sum.rounded(), reconciled))
    }

    /// The difference of both, and what they differed in.
    ///
    /// # Errors
    /// [`CombineError`].
    pub fn sub(&self, other: &Self) -> Result<(Self, Reconciled), CombineError> {
        let mut sum = HistogramSum::of(self)?;
        let mut negated = HistogramSum::of(other)?;
        negated.scale(-1.0);
        negated.reset = other.reset;
        let reconciled = sum.combine(negated, Rounding::Plain)?;
        Ok((sum.rounded(), reconciled))
    }

    /// Everything multiplied by `factor`; below 0 it is a gauge.
    #[must_use]
    pub fn scaled(mut self, factor: f64) -> Self {
        self.each(|x| *x *= factor);
        if factor < 0.0 {
            self.reset = ResetHint::Gauge;
        }
        self
    }

    /// Everything divided by `divisor`; by 0 all is infinite or NaN and there are no buckets. Below 0 it is a gauge.
    #[must_use]
    pub fn divided(mut self, divisor: f64) -> Self {
        if divisor == 0.0 {
            self.positive_spans.clear();
            self.negative_spans.clear();
            self.positive_buckets.clear();
            self.negative_buckets.clear();
        }
        self.each(|x| *x /= divisor);
        if divisor < 0.0 {
            self.reset = ResetHint::Gauge;
        }
        self
    }

    fn each(&mut self, f: impl Fn(&mut f64)) {
        let totals = [&mut self.zero_count, &mut self.count, &mut self.sum].into_iter();
        let buckets = self.positive_buckets.iter_mut().chain(&mut self.negative_buckets);
        totals.chain(buckets).for_each(f);
    }

    /// The same with no buckets but full ones, and nothing between spans that could be one.
    #[must_use]
    pub fn compacted(mut self) -> Self {
        self.compact(0);
        self
    }
}

#[cfg(test)]
#[path = "arithmetic/tests.rs"]
mod tests;
