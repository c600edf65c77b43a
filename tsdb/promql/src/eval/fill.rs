//! `fill`, `fill_left` and `fill_right`: a value stands in for the series that one side of an operation lacks.

use super::key::Numbering;
use super::set::{self, Presence};
use super::{Context, Grid, Row, Trace};
use crate::error::Error;
use crate::syntax::ast::Matching;

/// Adds to each side that has a fill value a row for every match group that only the other side has at some step.
/// What follows can then match the sides as if nothing were missing. The rows are called by the labels that match.
///
/// # Errors
/// [`Error`].
pub(crate) fn complete(cx: &mut Context<'_>, m: &Matching, left: &mut Grid, right: &mut Grid) -> Result<(), Error> {
    if m.fill.left.is_none() && m.fill.right.is_none() {
        return Ok(());
    }
    let mut numbers = Numbering::new(set::selection(m));
    let mut number_all = |grid: &Grid| grid.rows.iter().map(|r| numbers.number(&r.labels)).collect::<Vec<_>>();
    let (of_left, of_right) = (number_all(left), number_all(right));
    let count = numbers.len();
    cx.must_fit(count.saturating_mul(left.steps))?;
    let on_left = Presence::of(left, &of_left, count);
    let on_right = Presence::of(right, &of_right, count);
    let rows_to_fill = |own: &Presence, other: &Presence, other_grid: &Grid, of_other: &[usize]| {
        let mut first_of = vec![None; count];
        for (row, &group) in of_other.iter().enumerate() {
            first_of[group].get_or_insert(row);
        }
        let lacks = |group: usize| (0..other_grid.steps).any(|s| other.has(group, s) && !own.has(group, s));
        let groups = (0..count).filter_map(|group| Some((group, first_of[group]?)));
        groups
            .filter(|&(group, _)| lacks(group))
            .map(|(group, row)| (group, numbers.selection().pick(&other_grid.rows[row].labels)))
            .collect::<Vec<_>>()
    };
    let for_left = rows_to_fill(&on_left, &on_right, right, &of_right);
    let for_right = rows_to_fill(&on_right, &on_left, left, &of_left);
    for (grid, value, rows, own, other) in [
        (left, m.fill.left, for_left, &on_left, &on_right),
        (right, m.fill.right, for_right, &on_right, &on_left),
    ] {
        let Some(value) = value else { continue };
        for (group, labels) in rows {
            cx.tick()?;
            cx.hold(grid.steps)?;
            let (cells, present) = grid.open();
            for (step, (cell, there)) in cells.iter_mut().zip(present).enumerate() {
                *there = other.has(group, step) && !own.has(group, step);
                *cell = value;
            }
            grid.keep(Row {
                labels,
                drop_name: false,
                trace: Trace::default(),
            });
        }
    }
    Ok(())
}
