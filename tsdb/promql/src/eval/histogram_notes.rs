//! What is told about native histograms, in Prometheus' words (`util/annotations`).

use super::notes::Notes;
use crate::syntax::ast::Span;
use leadline_model::quote::Quoted;

/// What histograms were combined for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Combining {
    /// `+`, and what `rate` does.
    Addition,
    /// `-`, and what `rate` does.
    Subtraction,
    /// Aggregation, of series or over time.
    Aggregation,
}

impl Combining {
    fn word(self) -> &'static str {
        match self {
            Self::Addition => "addition",
            Self::Subtraction => "subtraction",
            Self::Aggregation => "aggregation",
        }
    }
}

/// `text`, and behind it which metric is meant, if its name is known.
fn of_metric(text: &str, metric: &str) -> String {
    if metric.is_empty() {
        text.to_owned()
    } else {
        format!("{text} for metric name {}", Quoted(metric))
    }
}

impl Notes {
    /// A window holds both numbers and histograms.
    pub(crate) fn mixed_samples(&mut self, span: Span, metric: &str) {
        let text = "encountered a mix of histograms and floats for metric name";
        self.warn(span, format!("{text} {}", Quoted(metric)));
    }

    /// A group holds both numbers and histograms.
    pub(crate) fn mixed_group(&mut self, span: Span) {
        self.warn(
            span,
            "encountered a mix of histograms and floats for aggregation".to_owned(),
        );
    }

    /// There are buckets with `le` and a native histogram of the same name and labels.
    pub(crate) fn mixed_classic_and_native(&mut self, span: Span, metric: &str) {
        self.warn(
            span,
            of_metric("vector contains a mix of classic and native histograms", metric),
        );
    }

    /// Computed bounds and bounds of their own meet.
    pub(crate) fn mixed_bounds(&mut self, span: Span, metric: &str) {
        let text = "vector contains a mix of histograms with exponential and custom buckets schemas for metric name";
        self.warn(span, format!("{text} {}", Quoted(metric)));
    }

    /// A function for counters got a gauge.
    pub(crate) fn not_a_counter(&mut self, span: Span, metric: &str) {
        self.warn(
            span,
            format!("this native histogram metric is not a counter: {}", Quoted(metric)),
        );
    }

    /// A function for gauges got a counter.
    pub(crate) fn not_a_gauge(&mut self, span: Span, metric: &str) {
        self.warn(
            span,
            format!("this native histogram metric is not a gauge: {}", Quoted(metric)),
        );
    }

    /// A function left histograms of a window out.
    pub(crate) fn histograms_ignored_in_window(&mut self, span: Span, metric: &str) {
        let text = "ignored histograms in a range containing both floats and histograms for metric name";
        self.info(span, format!("{text} {}", Quoted(metric)));
    }

    /// An aggregation left histograms out.
    pub(crate) fn histogram_ignored(&mut self, span: Span, aggregation: &str) {
        self.info(span, format!("ignored histogram in {aggregation} aggregation"));
    }

    /// An operator does not take these operands.
    pub(crate) fn incompatible_operands(&mut self, span: Span, (left, operator, right): (&str, &str, &str)) {
        let text = "incompatible sample types encountered for binary operator";
        self.info(span, format!("{text} {}: {left} {operator} {right}", Quoted(operator)));
    }

    /// An operator got bounds that do not go together.
    pub(crate) fn incompatible_buckets(&mut self, span: Span, operator: &str) {
        let text = "incompatible bucket layout encountered for binary operator";
        self.warn(span, format!("{text} {operator}"));
    }

    /// Resets contradict each other.
    pub(crate) fn resets_collide(&mut self, span: Span, combining: Combining) {
        let text = "conflicting counter resets during histogram";
        self.warn(span, format!("{text} {}", combining.word()));
    }

    /// Only the common ones of different bounds are left.
    pub(crate) fn bounds_differ(&mut self, span: Span, combining: Combining) {
        let text = "mismatched custom buckets were reconciled during";
        self.info(span, format!("{text} {}", combining.word()));
    }

    /// Two counters are mixed up.
    pub(crate) fn start_overlaps(&mut self, span: Span, metric: &str) {
        let text = "sample has start time that overlaps with previous sample timestamp for metric";
        self.warn(span, format!("{text} {}", Quoted(metric)));
    }

    /// A quantile falls among observations of NaN.
    pub(crate) fn quantile_is_nan(&mut self, span: Span, metric: &str) {
        let text = "input to histogram_quantile has NaN observations, result is NaN";
        self.info(span, of_metric(text, metric));
    }

    /// Observations of NaN count as the highest.
    pub(crate) fn quantile_is_skewed(&mut self, span: Span, metric: &str) {
        let text = "input to histogram_quantile has NaN observations, result is skewed higher";
        self.info(span, of_metric(text, metric));
    }

    /// Observations of NaN are in no fraction.
    pub(crate) fn fraction_excludes_nan(&mut self, span: Span, metric: &str) {
        let text = "input to histogram_fraction has NaN observations, which are excluded from all fractions";
        self.info(span, of_metric(text, metric));
    }
}
