//! The buckets of one side of zero, unrolled from their spans so that they can be worked on.

use super::buckets::indices;
use super::{CUSTOM_BUCKETS, Span, bound};
use crate::kahan::Kahan;

/// One bucket while histograms are added.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    pub(super) index: i32,
    pub(super) count: Kahan,
}

/// Buckets by ascending index.
#[derive(Debug, Clone, Default)]
pub(super) struct Side(pub(super) Vec<Cell>);

impl Side {
    /// Unrolls spans; indices beyond 32 bits and buckets without a count are left out.
    pub(super) fn of(spans: &[Span], buckets: &[f64]) -> Self {
        let cells = indices(spans).zip(buckets).map(|(index, &count)| Cell {
            index,
            count: Kahan::at(count),
        });
        Self(cells.collect())
    }

    /// Rolls the buckets up again, each with the count that `value` makes of it.
    pub(super) fn spans(&self, value: impl Fn(Kahan) -> f64) -> (Vec<Span>, Vec<f64>) {
        let mut spans: Vec<Span> = Vec::new();
        let mut next = 0i32;
        for cell in &self.0 {
            match spans.last_mut() {
                Some(span) if cell.index == next => span.length += 1,
                _ => spans.push(Span {
                    offset: cell.index.wrapping_sub(next),
                    length: 1,
                }),
            }
            next = cell.index.wrapping_add(1);
        }
        (spans, self.0.iter().map(|cell| value(cell.count)).collect())
    }

    /// Joins the buckets that are one in a schema coarser by `steps`.
    pub(super) fn reduce(&mut self, steps: u32) {
        let mut coarse: Vec<Cell> = Vec::with_capacity(self.0.len());
        for cell in &self.0 {
            // The bucket that ends at the same bound is the last of those that become one.
            let index = ((i64::from(cell.index) - 1) >> steps.min(32)) as i32 + 1;
            match coarse.last_mut() {
                Some(last) if last.index == index => {
                    last.count.add(cell.count.sum);
                    last.count.add(cell.count.lost);
                }
                _ => coarse.push(Cell { index, ..*cell }),
            }
        }
        self.0 = coarse;
    }

    /// Forgets what rounding lost.
    pub(super) fn round(&mut self) {
        for cell in &mut self.0 {
            cell.count.lost = 0.0;
        }
    }

    /// Leaves out the buckets at the start that lie within the zero bucket of this threshold.
    pub(super) fn skip_zero_bucket(&mut self, schema: i32, threshold: f64) {
        if schema != CUSTOM_BUCKETS {
            let within = |cell: &&Cell| bound(cell.index, schema, &[]) <= threshold;
            let skipped = self.0.iter().take_while(within).count();
            self.0.drain(..skipped);
        }
    }

    /// Adds the buckets of another side.
    pub(super) fn merge(&mut self, other: &Self) {
        if other.0.is_empty() {
            return;
        }
        let mut merged = Vec::with_capacity(self.0.len().max(other.0.len()));
        let (mut ours, mut theirs) = (self.0.iter().peekable(), other.0.iter().peekable());
        loop {
            match (ours.peek(), theirs.peek()) {
                (Some(a), Some(b)) if a.index == b.index => {
                    let mut count = a.count;
                    count.add(b.count.sum);
                    if b.count.lost != 0.0 {
                        count.add(b.count.lost);
                    }
                    merged.push(Cell { count, ..**a });
                    ours.next();
                    theirs.next();
                }
                (Some(a), Some(b)) if a.index < b.index => {
                    merged.push(**a);
                    ours.next();
                }
                (_, Some(b)) => {
                    merged.push(**b);
                    theirs.next();
                }
                (Some(a), None) => {
                    merged.push(**a);
                    ours.next();
                }
                (None, None) => break,
            }
        }
        self.0 = merged;
    }
}

/// The bounds that both have; both ascend.
pub(super) fn common_bounds(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut common = Vec::new();
    let (mut i, mut j) = (0, 0);
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        if x == y {
            common.push(*x);
            (i, j) = (i + 1, j + 1);
        } else if x < y {
            i += 1;
        } else {
            j += 1;
        }
    }
    common
}

/// For each bucket of a histogram with `bounds` of its own, the bucket of `common` (some of its bounds) that it is in.
pub(super) fn placed<'a>(side: &'a Side, bounds: &'a [f64], common: &'a [f64]) -> impl Iterator<Item = (usize, Kahan)> {
    side.0.iter().map(|cell| {
        let upper = usize::try_from(cell.index).ok().and_then(|index| bounds.get(index));
        let place = upper.map_or(common.len(), |upper| common.partition_point(|bound| bound < upper));
        (place, cell.count)
    })
}
