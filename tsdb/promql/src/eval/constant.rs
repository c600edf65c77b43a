//! Calculations with constants alone: done once when a query is prepared, not at every step of every run.

use super::operator::apply;
use crate::syntax::ast::{Expr, ExprKind, Span};
use std::f64::consts::PI;

/// The tree with the results in the place of such calculations; `None` where it has none.
pub(crate) fn folded(expr: &Expr) -> Option<Expr> {
    let mut found = false;
    // What a larger calculation is made of comes first in it, so one look at each node is enough.
    expr.visit(&mut |node| found |= value(node).is_some());
    found.then(|| {
        let mut expr = expr.clone();
        fold(&mut expr, &mut Vec::new());
        expr
    })
}

/// Where such calculations stand.
pub(crate) fn places(expr: &Expr) -> Vec<Span> {
    let mut places = Vec::new();
    fold(&mut expr.clone(), &mut places);
    places
}

fn fold(expr: &mut Expr, places: &mut Vec<Span>) {
    for child in expr.children_mut() {
        fold(child, places);
    }
    if let Some(value) = value(expr) {
        expr.kind = ExprKind::Number(value);
        places.push(expr.span);
    }
}

/// What an operation on literals comes to. Operators that numbers do not have are left for the evaluation to refuse.
fn value(expr: &Expr) -> Option<f64> {
    match &expr.kind {
        ExprKind::Unary { negate, expr } => literal(expr).map(|x| if *negate { -x } else { x }),
        ExprKind::Binary(b) if !b.op.is_trim() && !b.op.is_set() => {
            Some(apply(b.op, literal(&b.left)?, literal(&b.right)?))
        }
        ExprKind::Call(call) if call.function == "pi" => Some(PI),
        _ => None,
    }
}

fn literal(expr: &Expr) -> Option<f64> {
    match expr.unwrapped().kind {
        ExprKind::Number(x) | ExprKind::Duration(x) => Some(x),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calculations_with_constants_become_their_results() {
        for (text, expected) in [
            ("m / 1024 / 1024", None),
            ("m / (1024 * 1024)", Some("m / (1048576)")),
            ("1 + 2 * 3 ^ -(1 - 1)", Some("3")),
            ("m > bool -(-5 % 3)", Some("m > bool 2")),
            ("m[5m] offset 1m", None),
            ("sum(rate(m[5m])) > 2 * 1h", Some("sum(rate(m[5m])) > 7200")),
            ("topk(2 * 2, m)", Some("topk(4, m)")),
            ("m * pi() / 180", Some("m * 3.141592653589793 / 180")),
            ("1 == bool (2 > bool 1)", Some("1")),
            (
                "max_over_time((m + 2 * 3)[1h:1m])",
                Some("max_over_time((m + 6)[1h:1m])"),
            ),
            ("vector(1 / 0) + time()", Some("vector(+Inf) + time()")),
            ("1 </ 2", None),
        ] {
            let expr = crate::syntax::parse(text).unwrap();
            let printed = folded(&expr).map(|expr| expr.to_string());
            assert_eq!(printed.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_result_stands_where_its_calculation_stood() {
        let expr = crate::syntax::parse("m + (2 * 3)").unwrap();
        let folded = folded(&expr).unwrap();
        let spans = |expr: &Expr| expr.children().map(|child| child.span).collect::<Vec<_>>();
        assert_eq!(spans(&folded), spans(&expr));
    }
}
