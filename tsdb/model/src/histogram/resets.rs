//! Whether a counter histogram began again (`model/histogram/float_histogram.go`, `DetectReset`).

use super::side::{Side, common_bounds, placed};
use super::zero::Middle;
use super::{FloatHistogram, ResetHint};
use crate::kahan::Kahan;

impl FloatHistogram {
    /// Whether a counter began again between `previous` and this: a count is lower, or buckets are finer.
    #[must_use]
    pub fn began_again(&self, previous: &Self) -> bool {
        match self.reset {
            ResetHint::Reset => return true,
            ResetHint::NotReset => return false,
            ResetHint::Unknown | ResetHint::Gauge => {}
        }
        if self.count < previous.count {
            return true;
        }
        if self.is_custom() {
            if !previous.is_custom() {
                return true;
            }
            if self.custom_values != previous.custom_values {
                return self.fell_between_common_bounds(previous);
            }
        }
        if self.schema > previous.schema || self.zero_threshold < previous.zero_threshold {
            return true;
        }
        let (positive, negative) = self.sides();
        let (mut before_positive, mut before_negative) = previous.sides();
        let middle = Middle {
            schema: previous.schema,
            threshold: previous.zero_threshold,
            count: Kahan::at(previous.zero_count),
            positive: &before_positive,
            negative: &before_negative,
        };
        let (zero_count, threshold) = middle.widened(self.zero_threshold);
        if threshold != self.zero_threshold || self.zero_count < zero_count.sum {
            return true;
        }
        [(positive, &mut before_positive), (negative, &mut before_negative)]
            .into_iter()
            .any(|(now, before)| {
                before.reduce(previous.schema.abs_diff(self.schema));
                before.skip_zero_bucket(self.schema, self.zero_threshold);
                fell(&now, before)
            })
    }

    fn sides(&self) -> (Side, Side) {
        (
            Side::of(&self.positive_spans, &self.positive_buckets),
            Side::of(&self.negative_spans, &self.negative_buckets),
        )
    }

    /// Whether fewer observations than before are between any two of the bounds that both have.
    fn fell_between_common_bounds(&self, previous: &Self) -> bool {
        let common = common_bounds(&self.custom_values, &previous.custom_values);
        let counts = |h: &Self| {
            let mut counts = vec![0.0; common.len() + 1];
            for (place, count) in placed(&h.sides().0, &h.custom_values, &common) {
                counts[place] += count.sum;
            }
            counts
        };
        counts(self)
            .iter()
            .zip(counts(previous))
            .any(|(now, before)| *now < before)
    }
}

/// Whether any bucket has fewer observations than before.
fn fell(now: &Side, before: &Side) -> bool {
    let mut now = now.0.iter().peekable();
    before.0.iter().any(|cell| {
        while now.next_if(|n| n.index < cell.index).is_some() {}
        match now.peek().filter(|n| n.index == cell.index) {
            Some(same) => same.count.sum < cell.count.sum,
            None => cell.count.sum != 0.0,
        }
    })
}
