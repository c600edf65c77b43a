//! Which queries are so small that they are run where they are asked: to hand one to another thread and back takes tens of
//! microseconds, in which an HPA's query is long answered.
//!
//! What is told here is a guess, and only that: nothing but where the query runs depends on it. It must not be far too low,
//! because the thread serves others, so it counts series that the store's index bounds, steps and windows, what every node does
//! with them, and gives up on whatever these do not bound.

use crate::eval::QueryRange;
use crate::query::Query;
use crate::syntax::ast::{AggregateOp, Border, Expr, ExprKind, Selector};
use leadline_model::port::Queryable;

/// Longer texts (bytes) have more nodes and patterns than a small query.
const MAX_TEXT: usize = 4_096;
/// Tenths of a microsecond for a series of a selector; measured, as what follows.
const PER_SERIES: u64 = 12;
/// The same for a value of a series at one step.
const PER_VALUE: u64 = 2;
/// The same for a minute of a window, at the shortest usual distance of samples.
const PER_MINUTE: u64 = 2;
/// The same for a node of the expression, and for so many steps of one.
const PER_NODE: u64 = 2;
const STEPS_OF_A_NODE: u64 = 50;
/// What a node does with a value of a series costs a tenth for so many of them.
const VALUES_OF_A_NODE: u64 = 2;

/// Functions that do more than go once over what they are given: they read series that no selector names, build engines for
/// patterns, write labels of any length, or sort each window.
const UNBOUNDED: [&str; 5] = [
    "info",
    "label_join",
    "label_replace",
    "mad_over_time",
    "quantile_over_time",
];

/// What can be told of a query before it is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guess {
    /// It takes less time.
    Below,
    /// It may take as much, or more.
    Above,
    /// Nothing.
    Unknown,
}

/// Whether a query at these times, with this lookback (ms), takes less than `below_us`.
pub(crate) fn guess(
    store: &dyn Queryable,
    query: &Query,
    (times, lookback_ms): (QueryRange, i64),
    below_us: u64,
) -> Guess {
    if query.text().len() > MAX_TEXT {
        return Guess::Unknown;
    }
    let mut sum = Sum {
        store,
        times,
        steps: times.frame().steps as u64,
        lookback_ms,
        below_us,
        series: 0,
        nodes: 0,
        tenths: 0,
    };
    let mut guess = Guess::Below;
    query.expr().visit(&mut |node| {
        if guess == Guess::Below {
            guess = sum.add(node);
        }
    });
    guess
}

struct Sum<'a> {
    store: &'a dyn Queryable,
    times: QueryRange,
    steps: u64,
    lookback_ms: i64,
    below_us: u64,
    /// Series of all selectors so far: no node has more of them.
    series: u64,
    /// Nodes so far.
    nodes: u64,
    /// What the selectors cost so far.
    tenths: u64,
}

impl Sum<'_> {
    /// Adds what a node costs by itself; what all of them take so far.
    fn add(&mut self, node: &Expr) -> Guess {
        let cost = match &node.kind {
            ExprKind::Selector(selector) => self.selector(selector, self.lookback_ms),
            ExprKind::Matrix { computed: Some(_), .. } | ExprKind::Subquery(_) => None,
            ExprKind::Matrix { selector, range_ms, .. } => {
                // What stands at its border may be before it.
                let margin = if selector.border == Border::Open {
                    0
                } else {
                    self.lookback_ms
                };
                self.selector(selector, range_ms.saturating_add(margin))
            }
            ExprKind::Call(call) if UNBOUNDED.contains(&call.function.as_str()) => None,
            // Each value makes a series of its own.
            ExprKind::Aggregate(aggregate) if aggregate.op == AggregateOp::CountValues => None,
            _ => Some(0),
        };
        let Some(cost) = cost else { return Guess::Unknown };
        self.tenths = self.tenths.saturating_add(cost);
        self.nodes += 1;
        if self.tenths() < self.below_us.saturating_mul(10) {
            Guess::Below
        } else {
            Guess::Above
        }
    }

    /// What selectors and nodes cost together.
    fn tenths(&self) -> u64 {
        let values = self.series.saturating_mul(self.steps) / VALUES_OF_A_NODE;
        let node = PER_NODE
            .saturating_add(self.steps / STEPS_OF_A_NODE)
            .saturating_add(values);
        self.tenths.saturating_add(self.nodes.saturating_mul(node))
    }

    /// What reading so far back (ms) costs.
    fn selector(&mut self, selector: &Selector, window_ms: i64) -> Option<u64> {
        if selector.shift.at.is_some() || selector.computed_offset.is_some() {
            return None;
        }
        let back = window_ms.saturating_add(selector.shift.offset_ms);
        let series = self
            .store
            .at_most(&selector.matchers, self.times.start.saturating_sub(back))?;
        self.series = self.series.saturating_add(series as u64);
        // A function may go over its whole window again at each step.
        let step = PER_VALUE.saturating_add(window_ms.unsigned_abs() / 60_000 * PER_MINUTE);
        let each = PER_SERIES.saturating_add(self.steps.saturating_mul(step));
        Some(each.saturating_mul(series as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::INLINE_BELOW_US;
    use leadline_model::port::{Generation, QueryError, SeriesSet};
    use leadline_model::{Matcher, Timestamp};

    /// Knows that there are so many series, since a time.
    struct Sized(usize, Timestamp);

    impl Queryable for Sized {
        fn at_most(&self, _: &[Matcher], mint: Timestamp) -> Option<usize> {
            (mint >= self.1).then_some(self.0)
        }

        fn select(&self, _: &[Matcher], _: Timestamp, _: Timestamp, _: bool) -> Result<Box<dyn SeriesSet>, QueryError> {
            Err(QueryError::Corrupt("nothing is to be read".to_owned()))
        }

        fn label_names(&self, _: &[Matcher], _: Timestamp, _: Timestamp) -> Result<Vec<String>, QueryError> {
            Ok(Vec::new())
        }

        fn label_values(&self, _: &str, _: &[Matcher], _: Timestamp, _: Timestamp) -> Result<Vec<String>, QueryError> {
            Ok(Vec::new())
        }

        fn generation(&self) -> Generation {
            Generation(1)
        }
    }

    #[test]
    fn small_is_what_few_series_at_few_steps_bound() {
        const HOUR: i64 = 3_600_000;
        for (text, series, steps, small) in [
            ("vector(1)", 0, 1, true),
            ("time()", 0, 11_000, true),
            ("m", 200, 1, true),
            ("m", 1_000, 1, false),
            ("m", 1, 200, true),
            ("m", 1, 1_000, false),
            ("max_over_time(m[1h])", 1, 1, true),
            ("max_over_time(m[1h])", 1, 1_000, false),
            ("increase(m[1h])", 1, 1, true),
            ("increase(m[1h] anchored)", 1, 1, false),
            ("rate(m[1h] smoothed)", 1, 1, false),
            ("increase(m[55m] anchored)", 1, 1, true),
            ("quantile_over_time(0.9, m[1m])", 1, 1, false),
            ("mad_over_time(m[1m])", 1, 1, false),
            ("count_values(\"v\", vector(time()))", 0, 1, false),
            ("label_join(m, \"a\", \"\", \"b\")", 1, 1, false),
            ("-(-(-(-(-(-(-(-(-(-m)))))))))", 100, 1, true),
            (
                "-(-(-(-(-(-(-(-(-(-(-(-(-(-(-(-(-(-(-(-m)))))))))))))))))))",
                200,
                1,
                false,
            ),
            ("m", 100, 61, false),
            ("sum by (pod) (rate(m[2m]))", 200, 1, true),
            ("rate(m[2m]) / rate(m[2m])", 200, 1, false),
            ("rate(m[1d])", 10, 1, false),
            ("m offset 2h", 1, 1, false),
            ("m @ 5", 1, 1, false),
            ("rate(m[2m * 1])", 1, 1, false),
            ("max_over_time(vector(1)[5m:1s])", 0, 1, false),
            ("label_replace(m, \"a\", \"b\", \"c\", \".*\")", 1, 1, false),
            ("info(m)", 1, 1, false),
        ] {
            let query = Query::parse(text).unwrap();
            let times = QueryRange {
                start: 2 * HOUR,
                end: 2 * HOUR + (steps - 1) * 15_000,
                step: 15_000,
            };
            let store = Sized(series, HOUR);
            assert_eq!(
                guess(&store, &query, (times, 300_000), INLINE_BELOW_US) == Guess::Below,
                small,
                "{text} {series} {steps}"
            );
        }
        let long = Query::parse(&vec!["1"; 200].join("                             +")).unwrap();
        let times = QueryRange {
            start: 0,
            end: 0,
            step: 1,
        };
        assert_eq!(guess(&Sized(0, 0), &long, (times, 0), u64::MAX), Guess::Unknown);
    }
}
