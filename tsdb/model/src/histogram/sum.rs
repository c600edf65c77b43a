//! Sums of histograms that keep what rounding loses (`model/histogram/float_histogram.go`, `KahanAdd`).

use super::arithmetic::{CombineError, Reconciled, joined_hint};
use super::side::{Cell, Side, common_bounds, placed};
use super::zero::{Middle, trim};
use super::{CUSTOM_BUCKETS, FloatHistogram, ResetHint};
use crate::kahan::Kahan;
use std::sync::Arc;

/// Whether what rounding loses is part of the sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rounding {
    /// As one addition of floats does.
    Plain,
    /// It is carried along.
    Carried,
}

/// A sum of histograms; differences of zero bucket, schema and bounds are reconciled as they come.
#[derive(Debug, Clone)]
pub struct HistogramSum {
    /// Whether it began again.
    pub reset: ResetHint,
    schema: i32,
    zero_threshold: f64,
    zero_count: Kahan,
    count: Kahan,
    sum: Kahan,
    positive: Side,
    negative: Side,
    custom_values: Arc<[f64]>,
}

impl HistogramSum {
    /// The sum of one.
    ///
    /// # Errors
    /// [`CombineError::Layout`] where the spans do not fit the buckets.
    pub fn of(h: &FloatHistogram) -> Result<Self, CombineError> {
        h.check_layout()?;
        Ok(Self {
            reset: h.reset,
            schema: h.schema,
            zero_threshold: h.zero_threshold,
            zero_count: Kahan::at(h.zero_count),
            count: Kahan::at(h.count),
            sum: Kahan::at(h.sum),
            positive: Side::of(&h.positive_spans, &h.positive_buckets),
            negative: Side::of(&h.negative_spans, &h.negative_buckets),
            custom_values: Arc::clone(&h.custom_values),
        })
    }

    /// Adds a histogram.
    ///
    /// # Errors
    /// [`CombineError`]; the sum is of no use then.
    pub fn add(&mut self, other: &FloatHistogram) -> Result<Reconciled, CombineError> {
        self.combine(Self::of(other)?, Rounding::Carried)
    }

    /// Multiplies everything by `factor`.
    pub fn scale(&mut self, factor: f64) {
        self.each(|x| *x *= factor);
        if factor < 0.0 {
            self.reset = ResetHint::Gauge;
        }
    }

    /// Divides everything by `divisor`, which is not 0.
    pub fn divide(&mut self, divisor: f64) {
        self.each(|x| *x /= divisor);
        if divisor < 0.0 {
            self.reset = ResetHint::Gauge;
        }
    }

    /// Whether any count, or the sum of observations, is beyond all floats.
    #[must_use]
    pub fn has_overflow(&self) -> bool {
        let totals = [self.zero_count, self.count, self.sum].into_iter();
        let buckets = self.positive.0.iter().chain(&self.negative.0).map(|cell| cell.count);
        totals.chain(buckets).any(|count| count.sum.is_infinite())
    }

    /// The sum as a histogram, corrected by what rounding lost.
    #[must_use]
    pub fn total(&self) -> FloatHistogram {
        self.histogram(Kahan::total)
    }

    /// The sum as a histogram, rounded as it came.
    pub(super) fn rounded(&self) -> FloatHistogram {
        self.histogram(|count| count.sum)
    }

    fn histogram(&self, value: impl Fn(Kahan) -> f64 + Copy) -> FloatHistogram {
        let (positive_spans, positive_buckets) = self.positive.spans(value);
        let (negative_spans, negative_buckets) = self.negative.spans(value);
        FloatHistogram {
            reset: self.reset,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: value(self.zero_count),
            count: value(self.count),
            sum: value(self.sum),
            positive_spans,
            negative_spans,
            positive_buckets,
            negative_buckets,
            custom_values: Arc::clone(&self.custom_values),
        }
    }

    fn each(&mut self, f: impl Fn(&mut f64)) {
        let totals = [&mut self.zero_count, &mut self.count, &mut self.sum].into_iter();
        let cells = self.positive.0.iter_mut().chain(&mut self.negative.0);
        for count in totals.chain(cells.map(|cell| &mut cell.count)) {
            f(&mut count.sum);
            f(&mut count.lost);
        }
    }

    /// Adds another sum, of which nothing was lost yet.
    pub(super) fn combine(&mut self, mut other: Self, rounding: Rounding) -> Result<Reconciled, CombineError> {
        let custom = self.schema == CUSTOM_BUCKETS;
        if custom != (other.schema == CUSTOM_BUCKETS) {
            return Err(CombineError::Schemas);
        }
        let (reset, resets_collide) = joined_hint(self.reset, other.reset);
        self.reset = reset;
        if !custom {
            let zero = self.reconcile_zero(&other);
            self.zero_count.add(zero.sum);
            if rounding == Rounding::Carried {
                self.zero_count.add(zero.lost);
            }
        }
        self.count.add(other.count.sum);
        self.sum.add(other.sum.sum);
        let bounds_differ = custom && self.custom_values != other.custom_values;
        if bounds_differ {
            self.combine_common(&other);
        } else {
            self.align(&mut other);
            if rounding == Rounding::Plain {
                other.positive.round();
                other.negative.round();
            }
            other.positive.skip_zero_bucket(self.schema, self.zero_threshold);
            other.negative.skip_zero_bucket(self.schema, self.zero_threshold);
            self.positive.merge(&other.positive);
            self.negative.merge(&other.negative);
        }
        Ok(Reconciled {
            resets_collide,
            bounds_differ,
        })
    }

    /// Brings both to the coarser of their schemas.
    fn align(&mut self, other: &mut Self) {
        let steps = self.schema.abs_diff(other.schema);
        let schema = self.schema.min(other.schema);
        for finer in [self, other] {
            if finer.schema > schema {
                finer.positive.reduce(steps);
                finer.negative.reduce(steps);
                finer.schema = schema;
            }
        }
    }

    fn middle(&self) -> Middle<'_> {
        Middle {
            schema: self.schema,
            threshold: self.zero_threshold,
            count: self.zero_count,
            positive: &self.positive,
            negative: &self.negative,
        }
    }

    /// Widens the zero bucket until both are as wide; what is in the other's then.
    fn reconcile_zero(&mut self, other: &Self) -> Kahan {
        let other = other.middle();
        let (mut count, mut threshold) = (other.count, other.threshold);
        loop {
            // A threshold that is no number is neither wider nor narrower than any.
            if self.zero_threshold > threshold {
                (count, threshold) = other.widened(self.zero_threshold);
            } else if threshold > self.zero_threshold {
                (self.zero_count, self.zero_threshold) = self.middle().widened(threshold);
                trim(&mut self.positive, self.schema, self.zero_threshold);
                trim(&mut self.negative, self.schema, self.zero_threshold);
            } else {
                return count;
            }
        }
    }

    /// Adds the buckets of a histogram with other bounds of its own: only the common bounds are left.
    fn combine_common(&mut self, other: &Self) {
        let common = common_bounds(&self.custom_values, &other.custom_values);
        let mut counts = vec![Kahan::default(); common.len() + 1];
        for (place, count) in placed(&self.positive, &self.custom_values, &common) {
            counts[place].add(count.sum);
            counts[place].add(count.lost);
        }
        for (place, count) in placed(&other.positive, &other.custom_values, &common) {
            counts[place].add(count.sum);
        }
        let cells = (0i32..).zip(counts).map(|(index, count)| Cell { index, count });
        let filled = cells.filter(|cell| cell.count.sum != 0.0 || cell.count.lost != 0.0);
        self.positive = Side(filled.collect());
        self.custom_values = common.into();
    }
}
