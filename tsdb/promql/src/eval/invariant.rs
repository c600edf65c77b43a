//! What has the same value at every step, because `@` fixes the time of all that it reads: it is evaluated once
//! (`promql/engine.go`, preprocessExprHelper). That also decides which notes are given.

use super::{Context, Frame, Out, evaluate};
use crate::error::Error;
use crate::syntax::ast::{Expr, ExprKind};

/// Functions whose value depends on the evaluation time although what they read does not.
const MOVING: [&str; 12] = [
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "hour",
    "info",
    "minute",
    "month",
    "predict_linear",
    "time",
    "timestamp",
    "year",
];

/// The value of an expression that is the same at all steps of `frame`, if it is one.
///
/// # Errors
/// [`Error`].
pub(super) fn hoisted(cx: &mut Context<'_>, expr: &Expr, frame: Frame) -> Result<Option<Out>, Error> {
    // Where nothing is fixed, only constants are, and these cost nothing.
    if !cx.fixes || !frame.over_time || frame.steps == 0 || is_literal(expr) || !is_invariant(expr) {
        return Ok(None);
    }
    cx.consumption.below(Frame::instant(frame.start));
    let place = cx.next_node();
    let out = evaluate(cx, expr, Frame::instant(frame.start))?;
    cx.mark_at(place, |how| how.once = true);
    cx.consumption.repeat();
    cx.must_fit(cx.held().saturating_add(out.samples().saturating_mul(frame.steps)))?;
    Ok(Some(match out {
        Out::Scalar(scalar) => Out::Scalar(scalar.repeated(frame.steps)),
        Out::Vector(grid) => Out::Vector(grid.repeated(frame.steps)),
        Out::String(text) => Out::String(text),
    }))
}

/// Whether anything in the expression is read at a fixed time, or is told of when it is no constant.
pub(crate) fn fixes_times(expr: &Expr) -> bool {
    let mut found = false;
    expr.visit(&mut |node| {
        found |= match &node.kind {
            ExprKind::Selector(selector) | ExprKind::Matrix { selector, .. } => selector.shift.at.is_some(),
            ExprKind::Subquery(subquery) => subquery.shift.at.is_some(),
            ExprKind::Call(call) => call.function.starts_with("sort"),
            // What is aggregated may be a constant: then the first value of a parameter that moves stands for all.
            ExprKind::Aggregate(aggregate) => aggregate.param.as_ref().is_some_and(|param| !is_invariant(param)),
            _ => false,
        };
    });
    found
}

fn is_literal(expr: &Expr) -> bool {
    matches!(
        expr.unwrapped().kind,
        ExprKind::Number(_) | ExprKind::Duration(_) | ExprKind::String(_) | ExprKind::Bytes(_)
    )
}

fn is_invariant(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::Duration(_) | ExprKind::String(_) | ExprKind::Bytes(_) => true,
        ExprKind::Selector(selector) | ExprKind::Matrix { selector, .. } => selector.shift.at.is_some(),
        ExprKind::Subquery(subquery) => subquery.shift.at.is_some(),
        ExprKind::Call(call) if call.function == "timestamp" => {
            // The times of samples that are read at a fixed time; those of a calculation are the steps'.
            let is_selector = |arg: &Expr| matches!(arg.unwrapped().kind, ExprKind::Selector(_));
            call.args.iter().all(|arg| is_selector(arg) && is_invariant(arg))
        }
        ExprKind::Call(call) if MOVING.contains(&call.function.as_str()) => false,
        // A parameter does not count, as upstream: where it moves, its first value stands for all.
        ExprKind::Aggregate(aggregate) => is_invariant(&aggregate.expr),
        _ => expr.children().all(is_invariant),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_at_fixed_times_alone_is_invariant() {
        for (text, invariant) in [
            ("up", false),
            ("up @ 1", true),
            ("sum(rate(up[5m] @ end()))", true),
            ("up @ 1 + up", false),
            ("-(up @ 1) + 2 * 3", true),
            ("timestamp(up @ 1)", true),
            ("timestamp(abs(up @ 1))", false),
            ("predict_linear(up[5m] @ 1, 60)", false),
            ("up @ 1 * time()", false),
            ("max_over_time(up[5m:1m] @ 1)", true),
            ("max_over_time((up @ 1)[5m:1m])", false),
        ] {
            assert_eq!(is_invariant(&crate::syntax::parse(text).unwrap()), invariant, "{text}");
        }
    }
}
