//! Functions over the time of the evaluation and of samples.

use crate::error::Error;
use crate::eval::selector::{self, Read};
use crate::eval::{CallSite, Cell, Context, Frame, Grid, Out, Scalar};
use crate::syntax::ast::{ExprKind, Selector, Span};

fn constant(value: f64, frame: Frame) -> Out {
    Out::Scalar(Scalar::constant(value, frame))
}

/// `time()`: the evaluation time in seconds.
pub(crate) fn time(cx: &mut Context<'_>, _: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    cx.hold(frame.steps)?;
    Ok(Out::Scalar(Scalar::from_values(
        frame.times().map(|t| t as f64 / 1000.0).collect(),
    )))
}

/// `pi()`.
pub(crate) fn pi(_: &mut Context<'_>, _: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    Ok(constant(std::f64::consts::PI, frame))
}

/// `start()`: the start of the whole query, seconds.
pub(crate) fn start(cx: &mut Context<'_>, _: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    Ok(constant(cx.query.start as f64 / 1000.0, frame))
}

/// `end()`: the end of the whole query, seconds.
pub(crate) fn end(cx: &mut Context<'_>, _: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    Ok(constant(cx.query.end as f64 / 1000.0, frame))
}

/// `range()`: the length of the whole query, seconds; 0 of an instant query.
pub(crate) fn range(cx: &mut Context<'_>, _: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    Ok(constant((cx.query.end - cx.query.start) as f64 / 1000.0, frame))
}

/// `step()`: the step of the whole query, seconds; 0 of an instant query.
pub(crate) fn step(cx: &mut Context<'_>, _: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    Ok(constant(cx.query.step_ms() as f64 / 1000.0, frame))
}

/// Times of a selector's samples.
fn selected(cx: &mut Context<'_>, at: (&Selector, Span), frame: Frame, read: Read) -> Result<Grid, Error> {
    let running = cx.enter(at.1);
    let grid = selector::evaluate(cx, at, frame, read)?;
    cx.leave_vector(running, &grid);
    Ok(grid)
}

/// `timestamp(v)`: of a selector the times of its samples, of anything else the evaluation time; seconds.
pub(crate) fn timestamp(cx: &mut Context<'_>, site: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    let argument = site.arg(0)?;
    let mut grid = match &argument.kind {
        ExprKind::Selector(s) => selected(cx, (s, argument.span), frame, Read::Time)?,
        _ => {
            let mut grid = site.vector(cx, 0, frame)?;
            for i in 0..grid.len() {
                for step in (0..frame.steps)
                    .filter(|&step| grid.occupied(i, step))
                    .collect::<Vec<_>>()
                {
                    grid.set(i, step, Cell::Float(frame.at(step) as f64 / 1000.0));
                }
            }
            grid
        }
    };
    grid.drop_names();
    Ok(Out::Vector(grid))
}

/// `start_timestamp(m)`: when the counters behind a selector's samples began, seconds, 0 where it is unknown. Nothing for
/// any other expression, and without `use-start-timestamps`.
pub(crate) fn start_timestamp(cx: &mut Context<'_>, site: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    let argument = site.arg(0)?;
    let mut grid = match &argument.kind {
        ExprKind::Selector(s) if cx.start_timestamps => selected(cx, (s, argument.span), frame, Read::Start)?,
        _ => {
            site.vector(cx, 0, frame)?;
            Grid::with_capacity(frame.steps, 0)
        }
    };
    grid.drop_names();
    Ok(Out::Vector(grid))
}
