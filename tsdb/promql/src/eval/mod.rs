//! From tree to values. Evaluation is series-major: each node makes the values of all steps of one series after the
//! other, so that a series is decoded once and its samples stay in the cache.

mod aggregate;
mod aggregate_histogram;
mod ahead;
mod binary;
mod binary_histogram;
mod call;
mod certain_sum;
pub(crate) mod constant;
mod consumption;
mod context;
mod count_values;
mod extent;
mod fill;
mod grid;
mod histogram_notes;
mod histogram_points;
pub(crate) mod invariant;
pub(crate) mod key;
pub(crate) mod label_weight;
mod lanes;
pub(crate) mod length;
mod matching;
mod mixed_selector;
mod mixed_windows;
mod names;
pub(crate) mod notes;
mod operator;
mod patience;
mod profile;
mod ranges;
mod rank;
mod regular;
pub(crate) mod remembered;
mod sampling;
mod scalar;
pub(crate) mod selector;
mod set;
mod start_times;
mod statistics;
mod steady;
mod streamed;
mod subquery;
mod tallies;
mod trace;
mod window;

pub(crate) use call::CallSite;
pub(crate) use consumption::Consumption;
pub(crate) use context::{Context, QueryRange};
pub(crate) use grid::{Cell, Frame, Grid, Row, SAME_LABELSET};
pub(crate) use histogram_notes::Combining;
pub(crate) use histogram_points::{HistogramPoint, weight};
pub(crate) use patience::Until;
pub(crate) use profile::Profile;
pub(crate) use scalar::Scalar;
pub(crate) use trace::Trace;
pub(crate) use window::{RangeRow, spanned, top_level as range_vector};

use crate::error::Error;
use crate::syntax::ast::{At, Expr, ExprKind, Shift};
use leadline_model::Timestamp;
use leadline_model::quote::replaced;
use names::Reader;

/// The value of a node over all steps.
#[derive(Debug)]
pub(crate) enum Out {
    /// One number a step.
    Scalar(Scalar),
    /// Labelled numbers.
    Vector(Grid),
    /// A text.
    String(String),
}

impl Out {
    /// How many samples its values count for.
    fn samples(&self) -> usize {
        match self {
            Self::Scalar(s) => s.values.len(),
            Self::Vector(g) => g.cells.len() + g.histogram_weight(),
            Self::String(_) => 0,
        }
    }

    /// How many samples its labels count for.
    fn label_weight(&self) -> usize {
        match self {
            Self::Vector(grid) => grid.label_weight_from(0),
            Self::Scalar(_) | Self::String(_) => 0,
        }
    }
}

/// Evaluates a node at all times of `frame`.
///
/// # Errors
/// [`Error`].
pub(crate) fn evaluate(cx: &mut Context<'_>, expr: &Expr, frame: Frame) -> Result<Out, Error> {
    evaluate_for(cx, expr, frame, Reader::Any)
}

/// As [`evaluate`], for a node that may look at less than all of the result.
///
/// # Errors
/// [`Error`].
fn evaluate_for(cx: &mut Context<'_>, expr: &Expr, frame: Frame, reader: Reader) -> Result<Out, Error> {
    cx.tick()?;
    // Every node makes one row of this many cells at least.
    cx.must_fit(frame.steps)?;
    let held = cx.held();
    let out = match invariant::hoisted(cx, expr, frame)? {
        Some(out) => out,
        None => {
            let (running, around) = (cx.enter(expr.span), cx.statistics);
            cx.statistics = around.below(expr);
            let out = node(cx, expr, frame, reader)?;
            let out = names::settle(cx, out, reader)?;
            cx.statistics = around;
            cx.leave(running, &out);
            out
        }
    };
    // What the children held is gone; what the node made is here.
    cx.settle(held);
    let samples = out.samples();
    cx.hold(samples.saturating_add(out.label_weight()))?;
    // Whatever takes each value of the result in turn.
    cx.spend(samples)?;
    Ok(out)
}

fn node(cx: &mut Context<'_>, expr: &Expr, frame: Frame, reader: Reader) -> Result<Out, Error> {
    match &expr.kind {
        ExprKind::Number(x) | ExprKind::Duration(x) => {
            cx.hold(frame.steps)?;
            Ok(Out::Scalar(Scalar::constant(*x, frame)))
        }
        ExprKind::String(s) => Ok(Out::String(s.clone())),
        // JSON shows what is no UTF-8 as U+FFFD, as Prometheus' does.
        ExprKind::Bytes(s) => Ok(Out::String(replaced(s).into_owned())),
        ExprKind::Selector(s) => selector::evaluate(cx, (s, expr.span), frame, selector::Read::Value).map(Out::Vector),
        ExprKind::Paren(inner) => evaluate_for(cx, inner, frame, reader),
        ExprKind::Unary { negate, expr } => unary(cx, expr, *negate, frame),
        ExprKind::Binary(b) => binary::evaluate(cx, b, frame),
        ExprKind::Aggregate(a) => aggregate::evaluate(cx, a, expr.span, frame).map(Out::Vector),
        ExprKind::Call(c) => call::evaluate(cx, c, expr.span, frame),
        ExprKind::Matrix { .. } | ExprKind::Subquery(_) => Err(Error::execution(
            "a range vector was found where an instant vector was expected",
        )),
    }
}

fn unary(cx: &mut Context<'_>, expr: &Expr, negate: bool, frame: Frame) -> Result<Out, Error> {
    let mut out = evaluate_for(cx, expr, frame, if negate { Reader::Blind } else { Reader::Any })?;
    if negate {
        match &mut out {
            Out::Scalar(s) => s.values.iter_mut().for_each(|x| *x = -*x),
            Out::Vector(g) => g.negate(),
            Out::String(_) => return Err(Error::execution("a string cannot be negated")),
        }
    }
    Ok(out)
}

/// Where `offset` and `@` move evaluation times to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moved {
    /// With `@`: the one time (ms) that all steps read at.
    pub(crate) fixed: Option<Timestamp>,
    /// Otherwise: how far (ms) before each step it reads; 0 with `@`.
    offset_ms: i64,
}

impl Moved {
    /// Resolves a shift within the query that `cx` evaluates.
    pub(crate) fn of(cx: &Context<'_>, shift: Shift) -> Self {
        let at = shift.at.map(|at| match at {
            At::Time(t) => t,
            At::Start => cx.query.start,
            At::End => cx.query.end,
        });
        Self {
            fixed: at.map(|t| t.saturating_sub(shift.offset_ms)),
            offset_ms: if at.is_some() { 0 } else { shift.offset_ms },
        }
    }

    /// Without `@`: how far (ms) before each step it reads.
    pub(crate) fn offset_ms(&self) -> i64 {
        self.offset_ms
    }

    /// The time (ms) that is read at for evaluation time `t`.
    #[inline]
    pub(crate) fn time(&self, t: Timestamp) -> Timestamp {
        self.fixed.unwrap_or_else(|| t.saturating_sub(self.offset_ms))
    }
}
