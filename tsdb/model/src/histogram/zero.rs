//! Zero buckets of different widths (`model/histogram/float_histogram.go`, `reconcileZeroBuckets`,
//! `zeroCountForLargerThreshold`).

use super::bound;
use super::side::Side;
use crate::kahan::Kahan;

/// The zero bucket of a histogram with computed bounds, and the buckets beside it.
pub(super) struct Middle<'a> {
    pub(super) schema: i32,
    pub(super) threshold: f64,
    pub(super) count: Kahan,
    pub(super) positive: &'a Side,
    pub(super) negative: &'a Side,
}

impl Middle<'_> {
    /// The count of a zero bucket that reaches to `threshold` at least, and how far it has to reach so that it cuts no
    /// bucket that is not empty.
    pub(super) fn widened(&self, mut threshold: f64) -> (Kahan, f64) {
        if threshold == self.threshold {
            return (self.count, threshold);
        }
        let mut count = self.count;
        loop {
            // What rounding lost stays when counting begins again, as upstream.
            count.sum = self.count.sum;
            threshold = self.swallow(self.positive, threshold, &mut count);
            let reached = self.swallow(self.negative, threshold, &mut count);
            if reached == threshold {
                return (count, threshold);
            }
            threshold = reached;
        }
    }

    /// Adds the buckets of one side that begin below `threshold`; the bound of the last, where it is beyond and not empty.
    fn swallow(&self, side: &Side, threshold: f64, count: &mut Kahan) -> f64 {
        for cell in &side.0 {
            if bound(cell.index.saturating_sub(1), self.schema, &[]) >= threshold {
                break;
            }
            count.add(cell.count.sum);
            count.add(cell.count.lost);
            let upper = bound(cell.index, self.schema, &[]);
            if upper > threshold {
                return if cell.count.sum == 0.0 { threshold } else { upper };
            }
        }
        threshold
    }
}

/// Takes the buckets out of a side that are in a zero bucket of this threshold now.
pub(super) fn trim(side: &mut Side, schema: i32, threshold: f64) {
    let within = |index: i32| bound(index.saturating_sub(1), schema, &[]) < threshold;
    let inside = side.0.iter().take_while(|cell| within(cell.index)).count();
    side.0.drain(..inside);
    side.0.retain(|cell| cell.count.sum != 0.0 || cell.count.lost != 0.0);
}
