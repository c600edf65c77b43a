//! Binary operations: which operands they have, and those with a scalar.

use super::key::is_metadata;
use super::names::Reader;
use super::{Cell, Context, Frame, Grid, Out, Scalar, binary_histogram, evaluate_for, matching, operator, set};
use crate::check::shape;
use crate::error::Error;
use crate::syntax::ast::{Binary, Expr};
use leadline_model::port::Shape;

/// How an operation looks at its operands' names. Beside a scalar each series is looked at by itself; what matches are
/// other labels as a rule.
fn reader(b: &Binary) -> Reader {
    let is_scalar = |expr: &Expr| shape(expr) == Shape::Scalar;
    if is_scalar(&b.left) || is_scalar(&b.right) {
        return Reader::Blind;
    }
    let on: &[String] = if b.matching.on { &b.matching.labels } else { &[] };
    let named = on.iter().chain(&b.matching.include).any(|name| is_metadata(name));
    if b.op.is_set() || named {
        Reader::Any
    } else {
        Reader::Blind
    }
}

/// Evaluates a binary operation at all times of `frame`.
///
/// # Errors
/// [`Error`].
pub(crate) fn evaluate(cx: &mut Context<'_>, b: &Binary, frame: Frame) -> Result<Out, Error> {
    let reader = reader(b);
    let left = evaluate_for(cx, &b.left, frame, reader)?;
    let right = evaluate_for(cx, &b.right, frame, reader)?;
    match (left, right) {
        (Out::Scalar(_), Out::Scalar(_)) if b.op.is_trim() => {
            let op = b.op.as_str();
            Err(Error::execution(format!(
                "operator \"{op}\" not allowed for Scalar operations"
            )))
        }
        (Out::Scalar(l), Out::Scalar(r)) => Ok(Out::Scalar(scalars(b, l, &r))),
        (Out::Vector(l), Out::Scalar(r)) => with_any(cx, b, l, &r, Side::Right).map(Out::Vector),
        (Out::Scalar(l), Out::Vector(r)) => with_any(cx, b, r, &l, Side::Left).map(Out::Vector),
        (Out::Vector(l), Out::Vector(r)) if b.op.is_set() => set::evaluate(cx, b, l, r).map(Out::Vector),
        (Out::Vector(l), Out::Vector(r)) => matching::evaluate(cx, b, l, r).map(Out::Vector),
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

fn with_any(cx: &mut Context<'_>, b: &Binary, grid: Grid, scalar: &Scalar, side: Side) -> Result<Grid, Error> {
    if grid.has_histograms() || b.op.is_trim() {
        with_histograms(cx, b, grid, scalar, side)
    } else {
        Ok(with_scalar(b, grid, scalar, side))
    }
}

/// As [`with_scalar`], where values may be histograms.
fn with_histograms(
    cx: &mut Context<'_>,
    b: &Binary,
    mut grid: Grid,
    scalar: &Scalar,
    side: Side,
) -> Result<Grid, Error> {
    let mut last = vec![None; grid.steps];
    for i in 0..grid.len() {
        cx.spend(grid.steps)?;
        cx.tick()?;
        for (step, last) in last.iter_mut().enumerate() {
            let Some(value) = grid.cell(i, step) else { continue };
            let number = Cell::Float(scalar.values[step]);
            let (l, r) = if side == Side::Left {
                (&number, &value)
            } else {
                (&value, &number)
            };
            let outcome = binary_histogram::apply(b.op, l, r)?;
            *last = outcome.remark.or(*last);
            let holds = outcome.value.is_some();
            let result = match outcome.value {
                _ if !outcome.matched => None,
                _ if b.return_bool => Some(Cell::Float(f64::from(u8::from(holds)))),
                // The vector's value stays, on whichever side it stands.
                Some(_) if b.op.is_comparison() => Some(value),
                result => result,
            };
            match result {
                Some(result) => grid.set(i, step, result),
                None => grid.vacate(i, step),
            }
        }
    }
    let told = last.into_iter().flatten();
    told.for_each(|remark| remark.tell(&mut cx.notes, b.left.span, b.op));
    grid.absorb(0, &scalar.trace);
    if b.op.changes_meaning() || b.return_bool {
        grid.drop_names();
    }
    grid.prune();
    Ok(grid)
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
    grid.absorb(0, &scalar.trace);
    if filters {
        grid.prune();
    } else {
        grid.drop_names();
    }
    grid
}
