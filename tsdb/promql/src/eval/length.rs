//! Computed lengths of time become numbers once the step and the range of the query are known
//! (`promql/durations.go`).

use super::QueryRange;
use crate::functions::math::{go_max, go_min};
use crate::syntax::LONGEST_SECONDS;
use crate::syntax::ast::{BinaryOp, DurationExpr, DurationKind, Expr, ExprKind, Selector, Span, Subquery};

/// Whether a length in the tree has to be resolved before it can be evaluated.
pub(crate) fn is_computed(expr: &Expr) -> bool {
    let own = match &expr.kind {
        ExprKind::Selector(selector) => selector.computed_offset.is_some(),
        ExprKind::Matrix { selector, computed, .. } => computed.is_some() || selector.computed_offset.is_some(),
        ExprKind::Subquery(subquery) => {
            let parts = &subquery.computed;
            parts.range.is_some() || parts.step.is_some() || parts.offset.is_some()
        }
        _ => false,
    };
    own || expr.children().any(is_computed)
}

/// Replaces every computed length of the tree by its value within the query of `times`.
///
/// # Errors
/// What is wrong with a length, behind its place in the text (first and last byte), as Prometheus tells it.
pub(crate) fn resolve(expr: &mut Expr, times: QueryRange) -> Result<(), String> {
    let query = Lengths::of(times);
    match &mut expr.kind {
        ExprKind::Selector(selector) => query.offset_of(selector)?,
        ExprKind::Matrix {
            selector,
            range_ms,
            computed,
        } => {
            if let Some(length) = computed.take() {
                *range_ms = query.positive_ms(&length)?;
            }
            query.offset_of(selector)?;
        }
        ExprKind::Subquery(subquery) => query.parts_of(subquery)?,
        _ => {}
    }
    expr.children_mut()
        .into_iter()
        .try_for_each(|child| resolve(child, times))
}

/// What `step()` and `range()` mean in the lengths of a query, seconds; both are 0 in an instant query.
struct Lengths {
    step: f64,
    range: f64,
}

impl Lengths {
    fn of(times: QueryRange) -> Self {
        Self {
            step: times.step as f64 / 1000.0,
            range: times.end.saturating_sub(times.start) as f64 / 1000.0,
        }
    }

    fn offset_of(&self, selector: &mut Selector) -> Result<(), String> {
        if let Some(offset) = selector.computed_offset.take() {
            selector.shift.offset_ms = self.ms(&offset)?;
        }
        Ok(())
    }

    fn parts_of(&self, subquery: &mut Subquery) -> Result<(), String> {
        let parts = std::mem::take(&mut subquery.computed);
        if let Some(offset) = parts.offset {
            subquery.shift.offset_ms = self.ms(&offset)?;
        }
        if let Some(step) = parts.step {
            // What is cut to 0 ms says no more than a step that is left out (`subqueryTimeRange`).
            subquery.step_ms = Some(self.positive_ms(&step)?).filter(|ms| *ms > 0);
        }
        if let Some(range) = parts.range {
            subquery.range_ms = self.positive_ms(&range)?;
        }
        Ok(())
    }

    fn positive_ms(&self, expr: &DurationExpr) -> Result<i64, String> {
        let seconds = self.seconds(expr)?;
        if seconds <= 0.0 {
            return Err(at(expr, "duration must be greater than 0"));
        }
        to_ms(seconds, expr)
    }

    fn ms(&self, expr: &DurationExpr) -> Result<i64, String> {
        to_ms(self.seconds(expr)?, expr)
    }

    fn seconds(&self, expr: &DurationExpr) -> Result<f64, String> {
        Ok(match &expr.kind {
            DurationKind::Number(x) | DurationKind::Duration(x) => *x,
            DurationKind::Step => self.step,
            DurationKind::Range => self.range,
            DurationKind::Group(inner) => self.seconds(inner)?,
            DurationKind::Negate(inner) => -self.seconds(inner)?,
            DurationKind::MinOf(a, b) => go_min(self.seconds(a)?, self.seconds(b)?),
            DurationKind::MaxOf(a, b) => go_max(self.seconds(a)?, self.seconds(b)?),
            DurationKind::Binary(op, a, b) => {
                let (a, b) = (self.seconds(a)?, self.seconds(b)?);
                match op {
                    BinaryOp::Div if b == 0.0 => return Err(at(expr, "division by zero")),
                    BinaryOp::Mod if b == 0.0 => return Err(at(expr, "modulo by zero")),
                    _ => super::operator::apply(*op, a, b),
                }
            }
        })
    }
}

fn to_ms(seconds: f64, expr: &DurationExpr) -> Result<i64, String> {
    if !seconds.is_finite() {
        return Err(at(expr, "duration is NaN or infinite"));
    }
    if seconds.abs() > LONGEST_SECONDS {
        return Err(at(expr, "duration is out of range"));
    }
    // Cut towards zero, unlike a length that is written as one number.
    Ok((seconds * 1000.0) as i64)
}

fn at(expr: &DurationExpr, what: &str) -> String {
    let span = place(expr);
    format!("{}:{}: {what}", span.start, span.end)
}

/// The place without the parentheses at its ends (`promql/parser/ast.go`, `DurationExpr.PositionRange`).
fn place(expr: &DurationExpr) -> Span {
    let own = expr.span;
    match &expr.kind {
        DurationKind::Group(inner) => place(inner),
        DurationKind::Negate(inner) => Span {
            end: place(inner).end,
            ..own
        },
        DurationKind::Binary(_, left, right) => Span {
            start: place(left).start,
            end: place(right).end,
        },
        _ => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::parse;

    fn resolved(text: &str) -> String {
        resolved_in(
            text,
            QueryRange {
                start: 50_000,
                end: 60_000,
                step: 5_000,
            },
        )
    }

    fn resolved_in(text: &str, times: QueryRange) -> String {
        let mut expr = parse(text).unwrap();
        assert!(is_computed(&expr), "{text}");
        match resolve(&mut expr, times) {
            Ok(()) => {
                assert!(!is_computed(&expr), "{text}");
                expr.to_string()
            }
            Err(error) => error,
        }
    }

    #[test]
    fn lengths_are_computed_from_the_querys_step_and_range() {
        for (text, expected) in [
            ("rate(m[step() * 2])", "rate(m[10s])"),
            ("rate(m[range() - 1ms])", "rate(m[9s999ms])"),
            ("m offset (-step())", "m offset -5s"),
            ("m[1h / 4] offset -(1m + 1)", "m[15m] offset -1m1s"),
            (
                "m[2m * 3 : max_of(step(), 7)] offset (step() ^ 2)",
                "m[6m:7s] offset 25s",
            ),
            ("sum(m offset min_of(step(), 1h % 59m))", "sum(m offset 5s)"),
            ("m[(-2 ^ 2) + 5s]", "m[1s]"),
            // Cut to 0 ms, a step is one that is left out.
            ("m[1m:0.0001 + 0.0002]", "m[1m:]"),
        ] {
            assert_eq!(resolved(text), expected, "{text}");
        }
    }

    #[test]
    fn a_range_of_one_time_has_a_step_and_an_instant_query_has_none() {
        let one = QueryRange {
            start: 50_000,
            end: 50_000,
            step: 5_000,
        };
        assert_eq!(resolved_in("m[step() + 1s]", one), "m[6s]");
        assert_eq!(resolved_in("m offset (range() + step())", one), "m offset 5s");
        let instant = QueryRange::instant(50_000);
        assert_eq!(resolved_in("m[step() + 1s]", instant), "m[1s]");
        assert_eq!(
            resolved_in("m[step()]", instant),
            "2:8: duration must be greater than 0"
        );
    }

    #[test]
    fn lengths_that_make_no_sense_are_refused_at_their_place() {
        for (text, expected) in [
            ("rate(m[step() - 5])", "7:17: duration must be greater than 0"),
            ("m offset (1 / (step() - 5))", "10:25: division by zero"),
            ("m offset (1 % (step() - 5))", "10:25: modulo by zero"),
            ("m[10 ^ step() ^ 5]", "2:17: duration is NaN or infinite"),
            ("m[1e5 * 1e6]", "2:11: duration is out of range"),
        ] {
            assert_eq!(resolved(text), expected, "{text}");
        }
    }
}
