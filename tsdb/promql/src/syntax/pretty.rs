//! A tree over several lines, as Prometheus lays out queries (`promql/parser/prettier.go`): what fits a line stays on it, and
//! what does not is opened up, each level two blanks further in.

use super::ast::{Expr, ExprKind};
use super::printer::{aggregate_head, operator, subquery_suffix};

/// What is longer than this, in bytes, is opened up.
const LINE: usize = 100;

impl Expr {
    /// The expression laid out over as many lines as it takes.
    #[must_use]
    pub fn pretty(&self) -> String {
        self.laid_out(0)
    }

    fn laid_out(&self, level: usize) -> String {
        let indent = "  ".repeat(level);
        let line = self.to_string();
        let fits = line.len() <= LINE;
        match &self.kind {
            ExprKind::Unary { negate, expr } => {
                let sign = if *negate { '-' } else { '+' };
                format!("{indent}{sign}{}", expr.laid_out(level).trim())
            }
            // As upstream: not indented by itself where it fits.
            ExprKind::Subquery(_) if fits => line,
            ExprKind::Subquery(subquery) => {
                format!("{}{}", subquery.expr.laid_out(level), subquery_suffix(subquery))
            }
            _ if fits => indent + &line,
            ExprKind::Aggregate(aggregate) => {
                let param = aggregate.param.as_ref();
                let param = param.map_or_else(String::new, |param| param.laid_out(level + 1) + ",\n");
                let inner = aggregate.expr.laid_out(level + 1);
                format!("{indent}{}(\n{param}{inner}\n{indent})", aggregate_head(aggregate))
            }
            ExprKind::Binary(binary) => format!(
                "{}\n{indent}{}\n{}",
                binary.left.laid_out(level + 1),
                operator(binary),
                binary.right.laid_out(level + 1)
            ),
            ExprKind::Call(call) => {
                let args: Vec<String> = call.args.iter().map(|arg| arg.laid_out(level + 1)).collect();
                format!("{indent}{}(\n{}\n{indent})", call.function, args.join(",\n"))
            }
            ExprKind::Paren(expr) => format!("{indent}(\n{}\n{indent})", expr.laid_out(level + 1)),
            _ => indent + &line,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::syntax::parse;

    #[test]
    fn what_is_too_long_for_a_line_is_opened_up() {
        let pretty = |text: &str| parse(text).unwrap().pretty();
        assert_eq!(pretty("sum(  up )by(job)"), "sum by (job) (up)");
        let long = "topk(3, sum by (job, instance) (rate(http_requests_total{job=\"api\",method=\"get\"}[5m])) / on (job) \
                    group_left () (up > 0))";
        assert_eq!(
            pretty(long),
            "topk(\n  3,\n    sum by (job, instance) (rate(http_requests_total{job=\"api\",method=\"get\"}[5m]))\n  / on (job) \
             group_left ()\n    (up > 0)\n)"
        );
    }
}
