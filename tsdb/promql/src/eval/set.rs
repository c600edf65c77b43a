//! `and`, `or` and `unless`.

use super::key::{Numbering, Selection};
use super::{Context, Grid, Trace};
use crate::error::Error;
use crate::syntax::ast::{Binary, BinaryOp, Matching};

/// The labels by which two vectors are matched.
pub(crate) fn selection(m: &Matching) -> Selection {
    if m.on {
        Selection::by(&m.labels)
    } else {
        Selection::without(&m.labels)
    }
}

/// Which match groups have a value at which step, on one side.
pub(super) struct Presence {
    steps: usize,
    cells: Vec<bool>,
}

impl Presence {
    /// Of the rows of `grid`, each in one of `count` groups.
    pub(super) fn of(grid: &Grid, groups: &[usize], count: usize) -> Self {
        let steps = grid.steps;
        let mut cells = vec![false; steps * count];
        for (i, group) in groups.iter().enumerate() {
            let (_, present) = grid.row(i);
            let cells = &mut cells[group * steps..(group + 1) * steps];
            for (cell, p) in cells.iter_mut().zip(present) {
                *cell |= *p;
            }
            if grid.has_histograms() {
                for (step, cell) in cells.iter_mut().enumerate() {
                    *cell |= grid.histogram(i, step).is_some();
                }
            }
        }
        Self { steps, cells }
    }

    /// Whether the group has a value at the step.
    #[inline]
    pub(super) fn has(&self, group: usize, step: usize) -> bool {
        self.cells[group * self.steps + step]
    }

    /// Removes from `grid` the values whose group is (`wanted`) or is not there.
    fn keep_where(&self, grid: &mut Grid, groups: &[usize], wanted: bool) {
        for (i, group) in groups.iter().enumerate() {
            let there = &self.cells[group * self.steps..(group + 1) * self.steps];
            for (p, there) in grid.present[i * self.steps..].iter_mut().zip(there) {
                *p &= *there == wanted;
            }
            if grid.has_histograms() {
                let unwanted = there.iter().enumerate().filter(|(_, there)| **there != wanted);
                unwanted.for_each(|(step, _)| grid.vacate(i, step));
            }
        }
        grid.prune();
    }
}

/// Evaluates a set operator.
///
/// # Errors
/// [`Error`].
pub(crate) fn evaluate(cx: &mut Context<'_>, b: &Binary, mut left: Grid, mut right: Grid) -> Result<Grid, Error> {
    cx.check()?;
    // As a rule each series has a group of its own, and one of the other side in it.
    let mut numbers = Numbering::with_room(selection(&b.matching), left.len().max(right.len()));
    let mut number_all = |grid: &Grid| grid.rows.iter().map(|r| numbers.number(&r.labels)).collect::<Vec<_>>();
    let (of_left, of_right) = (number_all(&left), number_all(&right));
    let groups = numbers.len();
    match b.op {
        BinaryOp::And => {
            let mut traces = vec![Trace::default(); groups];
            for (row, group) in right.rows.iter().zip(&of_right) {
                traces[*group].absorb(&row.trace);
            }
            for (row, group) in left.rows.iter_mut().zip(&of_left) {
                row.trace.absorb(&traces[*group]);
            }
            Presence::of(&right, &of_right, groups).keep_where(&mut left, &of_left, true);
            Ok(left)
        }
        BinaryOp::Unless => {
            Presence::of(&right, &of_right, groups).keep_where(&mut left, &of_left, false);
            Ok(left)
        }
        _ => {
            Presence::of(&left, &of_left, groups).keep_where(&mut right, &of_right, false);
            for i in 0..right.len() {
                left.copy_row(&right, i);
            }
            left.merge_equal()
        }
    }
}
