//! Functions between vectors and scalars: `scalar`, `vector`, `absent`, `clamp`, `round`, ...

use super::math;
use crate::error::Error;
use crate::eval::{CallSite, Context, Frame, Grid, Out, Row, Scalar, Trace, key};
use crate::syntax::ast::{Expr, ExprKind};
use leadline_model::quote::replaced;
use leadline_model::{Labels, LabelsBuilder, MatchOp};

/// `vector(s)`: a vector of one value without labels.
pub(crate) fn vector(cx: &mut Context<'_>, site: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    let Scalar { values, trace } = site.scalar(cx, 0, frame)?;
    let present = vec![true; values.len()];
    let row = Row {
        labels: Labels::empty(),
        drop_name: false,
        trace,
    };
    let rows = if frame.steps == 0 { Vec::new() } else { vec![row] };
    Ok(Out::Vector(Grid::of_floats(frame.steps, rows, values, present)))
}

/// `scalar(v)`: the value of a vector of one; NaN of any other.
pub(crate) fn scalar(cx: &mut Context<'_>, site: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    let grid = site.vector(cx, 0, frame)?;
    let mut seen = vec![0u32; frame.steps];
    let mut values = vec![f64::NAN; frame.steps];
    let mut trace = Trace::default();
    for i in 0..grid.len() {
        trace.absorb(&grid.rows[i].trace);
        for step in 0..frame.steps {
            if let Some(x) = grid.get(i, step) {
                seen[step] += 1;
                values[step] = if seen[step] == 1 { x } else { f64::NAN };
            }
        }
    }
    Ok(Out::Scalar(Scalar { values, trace }))
}

/// `absent(v)`: 1 where the vector is empty, with the labels that its selector's equalities name.
pub(crate) fn absent(cx: &mut Context<'_>, site: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    let grid = site.vector(cx, 0, frame)?;
    Ok(Out::Vector(absence(&grid, site.arg(0)?)))
}

/// 1 where no row of `grid` has a value.
pub(crate) fn absence(grid: &Grid, argument: &Expr) -> Grid {
    let mut out = Grid::with_capacity(grid.steps, 1);
    let (cells, present) = out.open();
    cells.fill(1.0);
    for (step, is_absent) in present.iter_mut().enumerate() {
        *is_absent = !(0..grid.len()).any(|i| grid.occupied(i, step));
    }
    if present.contains(&true) {
        out.keep(Row {
            labels: absent_labels(argument),
            drop_name: false,
            trace: Trace::default(),
        });
    } else {
        out.discard();
    }
    out
}

/// The labels that a selector's matchers leave no doubt about.
fn absent_labels(argument: &Expr) -> Labels {
    let matchers = match &argument.kind {
        ExprKind::Selector(s) => &s.matchers,
        ExprKind::Matrix { selector, .. } => &selector.matchers,
        _ => return Labels::empty(),
    };
    let mut labels = LabelsBuilder::new();
    let mut named: Vec<&[u8]> = Vec::new();
    for m in matchers.iter().filter(|m| !key::is_metadata(m.name())) {
        let (name, op, value) = m.written();
        if op == MatchOp::Equal && !named.contains(&name) {
            named.push(name);
            labels.set(&replaced(name), &replaced(value));
        } else {
            labels.remove(&replaced(name));
        }
    }
    labels.build()
}

fn clamp_with(
    cx: &mut Context<'_>,
    site: &CallSite<'_>,
    frame: Frame,
    bounds: (Option<usize>, Option<usize>),
) -> Result<Out, Error> {
    let mut grid = site.blind_vector(cx, 0, frame)?;
    let mut bound = |arg: Option<usize>, none: f64| match arg {
        Some(i) => site.scalar(cx, i, frame),
        None => Ok(Scalar::constant(none, frame)),
    };
    grid.drop_histograms();
    let (min, max) = (bound(bounds.0, f64::NEG_INFINITY)?, bound(bounds.1, f64::INFINITY)?);
    for cell in 0..grid.cells.len() {
        let (lo, hi) = (min.values[cell % frame.steps], max.values[cell % frame.steps]);
        grid.cells[cell] = math::clamp(grid.cells[cell], lo, hi);
        // Nothing lies between borders that are turned round; a NaN border makes NaN.
        grid.present[cell] &= hi >= lo || hi.is_nan() || lo.is_nan();
    }
    grid.absorb(0, &min.trace);
    grid.absorb(0, &max.trace);
    grid.drop_names();
    grid.prune();
    Ok(Out::Vector(grid))
}

/// `clamp(v, min, max)`; nothing where max is below min.
pub(crate) fn clamp(cx: &mut Context<'_>, site: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    clamp_with(cx, site, frame, (Some(1), Some(2)))
}

/// `clamp_min(v, min)`.
pub(crate) fn clamp_min(cx: &mut Context<'_>, site: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    clamp_with(cx, site, frame, (Some(1), None))
}

/// `clamp_max(v, max)`.
pub(crate) fn clamp_max(cx: &mut Context<'_>, site: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    clamp_with(cx, site, frame, (None, Some(1)))
}

/// `round(v, to)`; to the nearest whole number without `to`.
pub(crate) fn round(cx: &mut Context<'_>, site: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    let mut grid = site.blind_vector(cx, 0, frame)?;
    grid.drop_histograms();
    let to = if site.count() > 1 {
        site.scalar(cx, 1, frame)?
    } else {
        Scalar::constant(1.0, frame)
    };
    for (cell, x) in grid.cells.iter_mut().enumerate() {
        *x = math::round(*x, to.values[cell % frame.steps]);
    }
    grid.absorb(0, &to.trace);
    grid.drop_names();
    Ok(Out::Vector(grid))
}

fn of_two(cx: &mut Context<'_>, site: &CallSite<'_>, frame: Frame, f: fn(f64, f64) -> f64) -> Result<Out, Error> {
    let mut out = site.scalar(cx, 0, frame)?;
    let other = site.scalar(cx, 1, frame)?;
    out.trace.absorb(&other.trace);
    for (x, y) in out.values.iter_mut().zip(&other.values) {
        *x = f(*x, *y);
    }
    Ok(Out::Scalar(out))
}

/// `max_of(a, b)`.
pub(crate) fn max_of(cx: &mut Context<'_>, site: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    of_two(cx, site, frame, math::go_max)
}

/// `min_of(a, b)`.
pub(crate) fn min_of(cx: &mut Context<'_>, site: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    of_two(cx, site, frame, math::go_min)
}
