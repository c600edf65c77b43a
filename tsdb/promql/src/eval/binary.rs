//! Binary operations: which operands they have, and those with a scalar.

use super::{Context, Frame, Grid, Out, Scalar, evaluate as evaluate_node, fill, matching, operator, set};
use crate::error::Error;
use crate::syntax::ast::Binary;

/// Evaluates a binary operation at all times of `frame`.
///
/// # Errors
/// [`Error`].
pub(crate) fn evaluate(cx: &mut Context<'_>, b: &Binary, frame: Frame) -> Result<Out, Error> {
    let left = evaluate_node(cx, &b.left, frame)?;
    let right = evaluate_node(cx, &b.right, frame)?;
    match (left, right) {
        (Out::Scalar(l), Out::Scalar(r)) => Ok(Out::Scalar(scalars(b, l, &r))),
        (Out::Vector(l), Out::Scalar(r)) => Ok(Out::Vector(with_scalar(b, l, &r, Side::Right))),
        (Out::Scalar(l), Out::Vector(r)) => Ok(Out::Vector(with_scalar(b, r, &l, Side::Left))),
        (Out::Vector(l), Out::Vector(r)) if b.op.is_set() => set::evaluate(cx, b, l, r).map(Out::Vector),
        (Out::Vector(mut l), Out::Vector(mut r)) => {
            fill::complete(cx, &b.matching, &mut l, &mut r)?;
            matching::evaluate(cx, b, &l, &r).map(Out::Vector)
        }
        (Out::String(_), _) | (_, Out::String(_)) => {
            Err(Error::execution("a binary operation takes scalars and instant vectors"))
        }
    }
}

fn scalars(b: &Binary, mut l: Scalar, r: &Scalar) -> Scalar {
    for (x, y) in l.values.iter_mut().zip(&r.values) {
        *x = operator::apply(b.op, *x, *y);
    }
    l.trace.absorb(&r.trace);
    l
}

/// Where the scalar stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

fn with_scalar(b: &Binary, mut grid: Grid, scalar: &Scalar, side: Side) -> Grid {
    let steps = grid.steps;
    let filters = b.op.is_comparison() && !b.return_bool;
    for (cell, x) in grid.cells.iter_mut().enumerate() {
        let s = scalar.values[cell % steps];
        let (l, r) = if side == Side::Left { (s, *x) } else { (*x, s) };
        if filters {
            // The vector's value stays, on whichever side it stands.
            grid.present[cell] &= operator::compare(b.op, l, r);
        } else {
            *x = operator::apply(b.op, l, r);
        }
    }
    for row in &mut grid.rows {
        row.trace.absorb(&scalar.trace);
    }
    if filters {
        grid.prune();
    } else {
        grid.drop_names();
    }
    grid
}
