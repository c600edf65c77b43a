//! What the binary operators do where an operand is a native histogram (`vectorElemBinop` of `promql/engine.go`).

use super::grid::Cell;
use super::notes::Notes;
use super::{Combining, operator};
use crate::error::Error;
use crate::syntax::ast::{BinaryOp, Span};
use leadline_model::histogram::{CombineError, FloatHistogram, Keep, Reconciled, ResetHint};
use std::sync::Arc;

/// What is told about a pair of operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remark {
    /// The operator does not take a left and a right operand of these kinds.
    Kinds(&'static str, &'static str),
    /// Bounds do not go together.
    Buckets,
    /// Resets contradict each other: there is no result.
    Resets(Combining),
    /// Only the common bounds are left.
    Bounds(Combining),
}

impl Remark {
    /// Tells it; `span` is that of the whole operation.
    pub(super) fn tell(self, notes: &mut Notes, span: Span, op: BinaryOp) {
        match self {
            Self::Kinds(left, right) => notes.incompatible_operands(span, (left, op.as_str(), right)),
            Self::Buckets => notes.incompatible_buckets(span, op.as_str()),
            Self::Resets(combining) => notes.resets_collide(span, combining),
            Self::Bounds(combining) => notes.bounds_differ(span, combining),
        }
    }
}

/// What an operator makes of two operands.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// The value; of a comparison the left operand.
    pub(super) value: Option<Cell>,
    /// Whether the operator takes these operands; of a comparison it may still not hold.
    pub(super) matched: bool,
    /// What is told.
    pub(super) remark: Option<Remark>,
}

impl Outcome {
    fn of(value: Option<Cell>) -> Self {
        Self {
            value,
            matched: true,
            remark: None,
        }
    }

    fn histogram(h: FloatHistogram) -> Self {
        Self::of(Some(Cell::Histogram(Arc::new(h))))
    }

    fn refused(remark: Remark) -> Self {
        Self {
            value: None,
            matched: false,
            remark: Some(remark),
        }
    }
}

fn kind(cell: &Cell) -> &'static str {
    match cell {
        Cell::Float(_) => "float",
        Cell::Histogram(_) => "histogram",
    }
}

/// Applies `op` to a left and a right operand.
///
/// # Errors
/// When a histogram is damaged.
pub(super) fn apply(op: BinaryOp, left: &Cell, right: &Cell) -> Result<Outcome, Error> {
    let refused = || Outcome::refused(Remark::Kinds(kind(left), kind(right)));
    Ok(match (left, right) {
        (Cell::Float(l), Cell::Float(r)) => match op {
            BinaryOp::TrimUpper | BinaryOp::TrimLower => refused(),
            op if op.is_comparison() => Outcome::of(operator::compare(op, *l, *r).then_some(Cell::Float(*l))),
            op => Outcome::of(Some(Cell::Float(operator::apply(op, *l, *r)))),
        },
        (Cell::Float(factor), Cell::Histogram(h)) if op == BinaryOp::Mul => {
            Outcome::histogram((**h).clone().scaled(*factor).compacted())
        }
        (Cell::Histogram(h), Cell::Float(x)) => match op {
            BinaryOp::Mul => Outcome::histogram((**h).clone().scaled(*x).compacted()),
            BinaryOp::Div => Outcome::histogram((**h).clone().divided(*x).compacted()),
            BinaryOp::TrimUpper => Outcome::histogram((**h).clone().trimmed(*x, Keep::Below)),
            BinaryOp::TrimLower => Outcome::histogram((**h).clone().trimmed(*x, Keep::Above)),
            _ => refused(),
        },
        (Cell::Histogram(l), Cell::Histogram(r)) => match op {
            BinaryOp::Add => combined(l.add(r), Combining::Addition)?,
            BinaryOp::Sub => combined(l.sub(r), Combining::Subtraction)?,
            BinaryOp::Eq => Outcome::of(l.same(r).then(|| left.clone())),
            BinaryOp::Ne => Outcome::of((!l.same(r)).then(|| left.clone())),
            _ => refused(),
        },
        _ => refused(),
    })
}

fn combined(
    result: Result<(FloatHistogram, Reconciled), CombineError>,
    combining: Combining,
) -> Result<Outcome, Error> {
    match result {
        Ok((_, what)) if what.resets_collide => Ok(Outcome::refused(Remark::Resets(combining))),
        Ok((mut h, what)) => {
            if combining == Combining::Subtraction {
                h.reset = ResetHint::Gauge;
            }
            let mut outcome = Outcome::histogram(h.compacted());
            outcome.remark = what.bounds_differ.then_some(Remark::Bounds(combining));
            Ok(outcome)
        }
        Err(CombineError::Schemas) => Ok(Outcome::refused(Remark::Buckets)),
        Err(CombineError::Layout(error)) => Err(Error::execution(error.to_string())),
    }
}
