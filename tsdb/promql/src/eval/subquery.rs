//! Subqueries: an expression evaluated on a grid of its own.

use super::grid::{Frame, Grid};
use super::{Context, Moved, Out, evaluate as evaluate_node};
use crate::error::Error;
use crate::syntax::ast::Subquery;
use leadline_model::{Labels, Timestamp};

/// Evaluates a subquery for all steps of its parent: the values and the times they belong to.
///
/// # Errors
/// [`Error`].
pub(crate) fn evaluate(
    cx: &mut Context<'_>,
    s: &Subquery,
    moved: Moved,
    parent: Frame,
) -> Result<(Grid, Frame), Error> {
    let step = s.step_ms.unwrap_or(cx.subquery_step_ms).max(1);
    let frame = aligned(moved.time(parent.start), moved.time(parent.last()), s.range_ms, step);
    if frame.steps == 0 {
        return Ok((Grid::with_capacity(0, 0), frame));
    }
    cx.must_fit(frame.steps)?;
    cx.consumption.below(frame);
    let out = evaluate_node(cx, &s.expr, frame)?;
    cx.consumption.consume_subquery(parent, moved, s.range_ms);
    let grid = match out {
        Out::Vector(grid) => grid,
        Out::Scalar(scalar) => {
            let present = vec![true; scalar.values.len()];
            let row = super::Row {
                labels: Labels::empty(),
                drop_name: false,
                trace: scalar.trace,
            };
            Grid::of_floats(frame.steps, vec![row], scalar.values, present)
        }
        Out::String(_) => return Err(Error::execution("a subquery of a string is not possible")),
    };
    Ok((grid, frame))
}

/// The absolute multiples of `step` in `(first - range, last]`.
fn aligned(first: Timestamp, last: Timestamp, range: i64, step: i64) -> Frame {
    let open = first.saturating_sub(range);
    let mut start = step * (open / step);
    if start <= open {
        start += step;
    }
    Frame::range(start, last, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_multiples_within_the_left_open_window() {
        for (first, last, range, step, expected) in [
            (100, 100, 30, 10, vec![80, 90, 100]),
            (105, 105, 30, 10, vec![80, 90, 100]),
            (100, 120, 20, 10, vec![90, 100, 110, 120]),
            (5, 5, 30, 10, vec![-20, -10, 0]),
            (3, 3, 2, 10, vec![]),
        ] {
            let frame = aligned(first, last, range, step);
            assert_eq!(
                frame.times().collect::<Vec<_>>(),
                expected,
                "{first}..{last} [{range}:{step}]"
            );
        }
    }
}
