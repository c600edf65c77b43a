//! Where of native histograms only count and sum are looked at (`detectHistogramStatsDecoding` of `promql/engine.go`,
//! `promql/histogram_stats_iterator.go`): their buckets are dropped as soon as they have told whether a counter began
//! again.

use super::histogram_points::HistogramPoint;
use crate::syntax::ast::{AggregateOp, BinaryOp, Expr, ExprKind};
use leadline_model::histogram::{FloatHistogram, ResetHint};
use std::sync::Arc;

/// What the nodes around a selector do with its histograms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Statistics {
    /// One of them looks at count and sum only.
    wanted: bool,
    /// One of them needs buckets.
    refused: bool,
}

impl Statistics {
    /// Whether buckets can be dropped.
    pub(super) fn enough(self) -> bool {
        self.wanted && !self.refused
    }

    /// The same below `expr`.
    pub(super) fn below(mut self, expr: &Expr) -> Self {
        match &expr.kind {
            ExprKind::Call(call) => match call.function.as_str() {
                "histogram_count" | "histogram_sum" | "histogram_avg" | "timestamp" | "start_timestamp" | "absent" => {
                    self.wanted = true;
                }
                "histogram_quantile"
                | "histogram_quantiles"
                | "histogram_fraction"
                | "histogram_stddev"
                | "histogram_stdvar"
                | "changes" => self.refused = true,
                _ => {}
            },
            ExprKind::Aggregate(aggregate) => self.refused |= aggregate.op == AggregateOp::CountValues,
            ExprKind::Binary(binary) => {
                self.refused |= binary.op.is_trim() || matches!(binary.op, BinaryOp::Eq | BinaryOp::Ne);
            }
            // Resets between its steps can only be told by buckets.
            ExprKind::Subquery(_) => self.refused = true,
            _ => {}
        }
        self
    }
}

/// Replaces histograms by their statistics; hints about resets that are not known are found out.
pub(super) fn strip(points: &mut [HistogramPoint]) {
    let mut before: Option<Arc<FloatHistogram>> = None;
    for point in points {
        let whole = Arc::clone(&point.h);
        let known = whole.reset != ResetHint::Unknown || whole.is_stale();
        let reset = match &before {
            Some(before) if !known && whole.began_again(before) => ResetHint::Reset,
            Some(_) if !known => ResetHint::NotReset,
            _ => whole.reset,
        };
        point.h = Arc::new(FloatHistogram {
            reset,
            schema: whole.schema,
            count: whole.count,
            sum: whole.sum,
            ..FloatHistogram::default()
        });
        if !whole.is_stale() {
            before = Some(whole);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::parse;

    /// The statistics of the first selector below `expr`.
    fn of_selector(expr: &Expr, around: Statistics) -> Option<bool> {
        if matches!(expr.kind, ExprKind::Selector(_) | ExprKind::Matrix { .. }) {
            return Some(around.enough());
        }
        let around = around.below(expr);
        expr.children().find_map(|child| of_selector(child, around))
    }

    #[test]
    fn buckets_are_dropped_only_where_nothing_around_needs_them() {
        for (text, expected) in [
            ("h", false),
            ("histogram_count(h)", true),
            ("histogram_sum(rate(h[5m])) / 2", true),
            ("histogram_count(sum by (a) (h))", true),
            ("histogram_count(h) == 2", false),
            ("histogram_quantile(0.9, h)", false),
            ("histogram_count(h </ 2)", false),
            ("histogram_count(rate(h[5m:1m]))", false),
            ("histogram_count(changes(h[5m]))", false),
            ("count_values(\"a\", histogram_count(h))", false),
        ] {
            assert_eq!(
                of_selector(&parse(text).unwrap(), Statistics::default()),
                Some(expected),
                "{text}"
            );
        }
    }
}
