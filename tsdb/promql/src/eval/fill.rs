//! `fill`, `fill_left` and `fill_right`: a value stands in for the series that one side of an operation lacks
//! (`VectorBinop` of `promql/engine.go`).

use super::key::Numbering;
use super::set::Presence;
use super::{Context, Grid, Row, Trace, label_weight};
use crate::error::Error;

/// A side of an operation and the match group of each of its rows.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    /// The rows.
    pub(super) grid: &'a Grid,
    /// Their groups.
    pub(super) groups: &'a [usize],
}

/// Rows of `value` for the "one" side: for each match group the steps at which only `many` has series. They are called by
/// the labels that match.
///
/// # Errors
/// [`Error`].
pub(super) fn for_one(
    cx: &mut Context<'_>,
    value: f64,
    (one, many): (Side<'_>, Side<'_>),
    numbers: &Numbering,
) -> Result<(Grid, Vec<usize>), Error> {
    let count = numbers.len();
    cx.must_fit(count.saturating_mul(many.grid.steps))?;
    let there = Presence::of(one.grid, one.groups, count);
    rows(cx, value, many, numbers, |group, step| there.has(group, step))
}

/// Rows of `value` for the "many" side: for each match group the steps at which a series of the "one" side has met nothing,
/// because there is nothing or because the operator takes none of what there is. `met` has one cell for each group and
/// step.
///
/// # Errors
/// [`Error`].
pub(super) fn for_many(
    cx: &mut Context<'_>,
    value: f64,
    one: Side<'_>,
    numbers: &Numbering,
    met: &[bool],
) -> Result<(Grid, Vec<usize>), Error> {
    let steps = one.grid.steps;
    rows(cx, value, one, numbers, |group, step| met[group * steps + step])
}

/// A row for each group that `other` has at some step at which it is not `done`, and the groups of these rows.
fn rows(
    cx: &mut Context<'_>,
    value: f64,
    other: Side<'_>,
    numbers: &Numbering,
    done: impl Fn(usize, usize) -> bool,
) -> Result<(Grid, Vec<usize>), Error> {
    let (count, steps) = (numbers.len(), other.grid.steps);
    cx.must_fit(count.saturating_mul(steps))?;
    let there = Presence::of(other.grid, other.groups, count);
    let mut first_of = vec![None; count];
    for (row, &group) in other.groups.iter().enumerate() {
        first_of[group].get_or_insert(row);
    }
    let (mut grid, mut groups) = (Grid::with_capacity(steps, 0), Vec::new());
    for (group, row) in first_of.into_iter().enumerate() {
        cx.spend(steps)?;
        let lacks = |step: &usize| there.has(group, *step) && !done(group, *step);
        let Some(row) = row.filter(|_| (0..steps).any(|step| lacks(&step))) else {
            continue;
        };
        let labels = numbers.selection().pick(&other.grid.rows[row].labels);
        cx.hold(steps.saturating_add(label_weight::of(&labels)))?;
        let (cells, present) = grid.open();
        cells.fill(value);
        (0..steps).filter(lacks).for_each(|step| present[step] = true);
        grid.keep(Row {
            labels,
            drop_name: false,
            trace: Trace::default(),
        });
        groups.push(group);
    }
    Ok((grid, groups))
}
