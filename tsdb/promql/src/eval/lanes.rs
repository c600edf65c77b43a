//! What is added up of a group whose series have a number at every step: in columns, so that several steps are added to at
//! once.
//!
//! What is done to each step, and in which order, is what [`Tally`] does. What it does now and then alone (a sum that leaves
//! the range of floats, zeros of both signs) is left to it.

use super::aggregate::Tally;
use super::certain_sum::CertainSum;
use crate::functions::number::{Kahan, Mean};
use crate::syntax::ast::AggregateOp;

/// Columns of fewer steps are not worth an allocation.
const LEAST_STEPS: usize = 8;

/// One group.
#[derive(Debug)]
pub(super) struct Lanes {
    op: AggregateOp,
    steps: usize,
    /// How many rows were added.
    rows: u32,
    /// What the operation keeps of each step, one kind after the other.
    columns: Vec<f64>,
}

/// How many numbers an operation keeps of each step; none where it is not done in columns.
fn kept(op: AggregateOp) -> Option<usize> {
    match op {
        AggregateOp::Count | AggregateOp::Group => Some(0),
        AggregateOp::Min | AggregateOp::Max => Some(1),
        // The sum and what it lost.
        AggregateOp::Avg => Some(2),
        // And how large its terms are.
        AggregateOp::Sum => Some(4),
        _ => None,
    }
}

impl Lanes {
    /// Nothing yet; none where `op` over so many steps is better done step by step.
    pub(super) fn new(op: AggregateOp, steps: usize) -> Option<Self> {
        let kept = kept(op).filter(|_| steps >= LEAST_STEPS)?;
        Some(Self {
            op,
            steps,
            rows: 0,
            columns: vec![0.0; kept.checked_mul(steps)?],
        })
    }

    /// Adds a row that has a number at every step; whether it could: where not, nothing has changed.
    pub(super) fn add(&mut self, cells: &[f64]) -> bool {
        let first = self.columns.len().min(self.steps);
        let (one, rest) = self.columns.split_at_mut(first);
        match self.op {
            _ if self.rows == 0 => self.begin(cells),
            AggregateOp::Min | AggregateOp::Max if zeros_differ(one, cells) => return false,
            AggregateOp::Avg if leaves_range(one, cells) => return false,
            AggregateOp::Min => add_extreme(one, cells, |n, x| n > x),
            AggregateOp::Max => add_extreme(one, cells, |n, x| n < x),
            AggregateOp::Avg => add_sums((one, rest), cells),
            AggregateOp::Sum => {
                let (lost, sizes) = rest.split_at_mut(self.steps);
                add_sums((one, lost), cells);
                grow(sizes.split_at_mut(self.steps), cells);
            }
            _ => {}
        }
        self.rows += 1;
        true
    }

    /// The first row is what there is.
    fn begin(&mut self, cells: &[f64]) {
        let mut columns = self.columns.chunks_exact_mut(self.steps);
        let Some(first) = columns.next() else { return };
        first.copy_from_slice(cells);
        let [Some(_), Some(sizes), Some(least)] = [columns.next(), columns.next(), columns.next()] else {
            return;
        };
        least.fill(f64::INFINITY);
        grow((sizes, least), cells);
    }

    /// The same step by step.
    pub(super) fn tallies(&self) -> impl Iterator<Item = Tally> {
        let column = |kind: usize, step: usize| self.columns.get(kind * self.steps + step).copied().unwrap_or(0.0);
        let tally = move |step: usize| {
            let sum = || Kahan {
                sum: column(0, step),
                lost: column(1, step),
            };
            match self.op {
                _ if self.rows == 0 => Tally::Nothing,
                AggregateOp::Sum => Tally::Sum(CertainSum::made(sum(), column(2, step), column(3, step))),
                AggregateOp::Avg => Tally::Mean(Mean::made(sum(), self.rows)),
                AggregateOp::Count => Tally::Number(f64::from(self.rows)),
                AggregateOp::Group => Tally::Number(1.0),
                _ => Tally::Number(column(0, step)),
            }
        };
        (0..self.steps).map(tally)
    }
}

/// Whether a sum would become infinite.
fn leaves_range(sums: &[f64], cells: &[f64]) -> bool {
    let sums = sums.iter().zip(cells);
    sums.fold(false, |any, (sum, x)| any | (sum + x).is_infinite())
}

/// As [`Kahan::add`], step by step and without a branch.
fn add_sums((sums, lost): (&mut [f64], &mut [f64]), cells: &[f64]) {
    for ((sum, lost), &x) in sums.iter_mut().zip(lost).zip(cells) {
        let total = *sum + x;
        let larger = sum.abs() >= x.abs();
        let (large, small) = (if larger { *sum } else { x }, if larger { x } else { *sum });
        let more = *lost + ((large - total) + small);
        *lost = if total.abs() == f64::INFINITY { 0.0 } else { more };
        *sum = total;
    }
}

/// As [`CertainSum`] sees how large the terms are.
fn grow((sizes, least): (&mut [f64], &mut [f64]), cells: &[f64]) {
    for ((all, least), &x) in sizes.iter_mut().zip(least).zip(cells) {
        let size = x.abs();
        *all += if size < f64::INFINITY { size } else { 0.0 };
        *least = if (size < *least) & (size > 0.0) { size } else { *least };
    }
}

/// Whether zeros of both signs meet, of which it shows which came first.
fn zeros_differ(numbers: &[f64], cells: &[f64]) -> bool {
    let differ = |n: f64, x: f64| if n == x { n.to_bits() ^ x.to_bits() } else { 0 };
    let pairs = numbers.iter().zip(cells);
    pairs.fold(0, |any, (n, x)| any | differ(*n, *x)) != 0
}

/// Replaces the numbers that `beaten` says are beaten, and those that are none.
fn add_extreme(numbers: &mut [f64], cells: &[f64], beaten: impl Fn(f64, f64) -> bool) {
    for (n, &x) in numbers.iter_mut().zip(cells) {
        *n = if beaten(*n, x) | n.is_nan() { x } else { *n };
    }
}
