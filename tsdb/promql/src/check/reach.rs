//! What an expression reads and whether time alone moves its value: what standing queries are scheduled by.

use crate::functions::info::Choice;
use crate::syntax::ast::{At, Expr, ExprKind, Shift};
use leadline_model::port::PlanSelector;

/// How the value of an expression can change without a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Motion {
    /// Not at all: constants, and selectors that `@` nails to a time.
    Still,
    /// Only as samples leave the lookback of an instant selector: the value stands until then and vanishes (or, under
    /// `absent()`, appears) at once.
    Expires,
    /// Continuously: a window slides over stored samples (ranges, subqueries, `offset`), or the evaluation time is
    /// part of the value (`time()`, `hour()` without argument, `start()`, `end()`).
    Slides,
}

/// How time moves the value of an expression in instant evaluations.
///
/// An instant selector counts as moving because its series leave the result once their newest sample is older than the
/// lookback, although nothing was committed. A `@` with a fixed time stops all motion below it, `@ start()` and
/// `@ end()` none, as both are the evaluation time of an instant query.
#[must_use]
pub fn motion(expr: &Expr) -> Motion {
    let own = match &expr.kind {
        ExprKind::Selector(selector) => of_shift(selector.shift, Motion::Expires),
        ExprKind::Matrix { selector, .. } => of_shift(selector.shift, Motion::Slides),
        ExprKind::Subquery(subquery) => {
            // Whatever stands inside is evaluated at the subquery's own times, so only its own place matters.
            let inner = if is_constant(&subquery.expr) {
                Motion::Still
            } else {
                Motion::Slides
            };
            return of_shift(subquery.shift, inner);
        }
        ExprKind::Call(call) if reads_the_clock(&call.function, call.args.len()) => Motion::Slides,
        ExprKind::Number(_)
        | ExprKind::Duration(_)
        | ExprKind::String(_)
        | ExprKind::Bytes(_)
        | ExprKind::Paren(_)
        | ExprKind::Unary { .. }
        | ExprKind::Binary(_)
        | ExprKind::Aggregate(_)
        | ExprKind::Call(_) => Motion::Still,
    };
    expr.children().map(motion).fold(own, Motion::max)
}

fn of_shift(shift: Shift, unfixed: Motion) -> Motion {
    match shift.at {
        Some(At::Time(_)) => Motion::Still,
        _ if unfixed == Motion::Expires && shift.offset_ms != 0 => Motion::Slides,
        _ => unfixed,
    }
}

fn reads_the_clock(function: &str, args: usize) -> bool {
    match function {
        "time" | "start" | "end" => true,
        "minute" | "hour" | "day_of_week" | "day_of_month" | "day_of_year" | "days_in_month" | "month" | "year" => {
            args == 0
        }
        _ => false,
    }
}

/// Neither selectors nor the clock below.
fn is_constant(expr: &Expr) -> bool {
    motion(expr) == Motion::Still
}

/// The selectors that an expression reads, each with how far back it reaches from the evaluation time (without
/// lookback). Equal selectors are told once, with the longest reach.
///
/// Below a `@` with a fixed time there is no distance to the evaluation time: there the reach is what the selector's
/// own windows span.
#[must_use]
pub fn plan_selectors(expr: &Expr) -> Vec<PlanSelector> {
    let mut found = Vec::new();
    collect(expr, 0, &mut found);
    found
}

fn collect(expr: &Expr, outer_ms: i64, found: &mut Vec<PlanSelector>) {
    match &expr.kind {
        ExprKind::Selector(selector) => {
            add(selector.shared_matchers(), reach(outer_ms, 0, selector.shift), found);
        }
        ExprKind::Matrix { selector, range_ms, .. } => {
            add(
                selector.shared_matchers(),
                reach(outer_ms, *range_ms, selector.shift),
                found,
            );
        }
        ExprKind::Subquery(subquery) => {
            let outer_ms = reach(outer_ms, subquery.range_ms, subquery.shift);
            collect(&subquery.expr, outer_ms, found);
        }
        ExprKind::Call(call) if call.function == "info" => {
            call.args.iter().take(1).for_each(|arg| collect(arg, outer_ms, found));
            // Info series are read where the series are that they describe: no further back than any selector.
            let reach = found.iter().map(|s| s.window_ms).max().unwrap_or(outer_ms);
            add(Choice::of(call).matchers().into(), reach, found);
        }
        _ => expr.children().for_each(|child| collect(child, outer_ms, found)),
    }
}

fn reach(outer_ms: i64, range_ms: i64, shift: Shift) -> i64 {
    if let Some(At::Time(_)) = shift.at {
        return range_ms;
    }
    outer_ms.saturating_add(range_ms).saturating_add(shift.offset_ms).max(0)
}

fn add(matchers: std::sync::Arc<[leadline_model::Matcher]>, window_ms: i64, found: &mut Vec<PlanSelector>) {
    match found.iter_mut().find(|known| known.matchers == matchers) {
        Some(known) => known.window_ms = known.window_ms.max(window_ms),
        None => found.push(PlanSelector { matchers, window_ms }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::parse;

    #[test]
    fn motion_comes_from_windows_the_clock_and_the_lookback() {
        for (text, expected) in [
            ("1 + 2", Motion::Still),
            ("vector(1)", Motion::Still),
            ("foo @ 5", Motion::Still),
            ("rate(foo[5m] @ 5)", Motion::Still),
            ("max_over_time(foo[5m:] @ 5)", Motion::Still),
            ("max_over_time(vector(1)[5m:])", Motion::Still),
            ("foo", Motion::Expires),
            ("foo @ end()", Motion::Expires),
            ("sum by (x) (foo) / 3", Motion::Expires),
            ("absent(foo)", Motion::Expires),
            ("foo offset 5m", Motion::Slides),
            ("rate(foo[5m])", Motion::Slides),
            ("max_over_time(foo[5m:])", Motion::Slides),
            ("max_over_time(vector(time())[5m:])", Motion::Slides),
            ("foo + time()", Motion::Slides),
            ("hour()", Motion::Slides),
            ("hour(foo)", Motion::Expires),
        ] {
            assert_eq!(motion(&parse(text).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn selectors_reach_back_through_ranges_subqueries_and_offsets() {
        for (text, expected) in [
            ("foo", vec![("foo", 0)]),
            ("foo offset 5s", vec![("foo", 5_000)]),
            ("foo offset -5s", vec![("foo", 0)]),
            ("rate(foo[1m]) / rate(foo[2m])", vec![("foo", 120_000)]),
            ("rate(foo[1m] offset 30s) + bar", vec![("foo", 90_000), ("bar", 0)]),
            ("max_over_time(rate(foo[1m])[10m:] offset 1m)", vec![("foo", 720_000)]),
            ("rate(foo[1m] @ 100)", vec![("foo", 60_000)]),
            ("1", vec![]),
        ] {
            let found = plan_selectors(&parse(text).unwrap());
            let found: Vec<_> = found.iter().map(|s| (s.matchers[0].value(), s.window_ms)).collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
