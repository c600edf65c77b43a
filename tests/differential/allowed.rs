//! Differences that are meant, or that are upstream's. At most ten, each with the reason.

use crate::answer::Answer;
use crate::question::Question;

/// A difference that is allowed.
pub(crate) struct Allowed {
    /// Where it is explained.
    pub(crate) reason: &'static str,
    /// Whether these two answers to this question are a case of it.
    pub(crate) applies: fn(&Question, &Answer, &Answer) -> bool,
}

/// All of them.
pub(crate) const ALLOWED: &[Allowed] = &[Allowed {
    reason: "promql/engine.go:2141 and :2270 put the series of a calculation over a range together from a map, in another \
             order each time, so that Prometheus' own avg, stddev, stdvar and sum differ in their last digits from one \
             request to the next, and topk and bottomk keep others of equal values",
    applies: of_unordered_series,
}];

/// Aggregations whose rounding depends on the order of series.
const ROUNDING: [&str; 4] = ["avg", "stddev", "stdvar", "sum"];
fn of_unordered_series(question: &Question, ours: &Answer, theirs: &Answer) -> bool {
    let features = question.tree.all_features();
    let has = |names: &[&str]| names.iter().any(|name| features.contains(name));
    let ranged = question.step.is_some() || features.contains("subquery");
    let whole = (ours.status, &ours.kind, &ours.error, &ours.notes);
    let same_but_series = whole == (theirs.status, &theirs.kind, &theirs.error, &theirs.notes);
    let ranked = || has(&["bottomk", "topk"]) && ours.points() == theirs.points();
    ranged && same_but_series && ((has(&ROUNDING) && ours.is_near(theirs)) || ranked())
}

/// The place in [`ALLOWED`] of the difference that this is.
pub(crate) fn find(question: &Question, ours: &Answer, theirs: &Answer) -> Option<usize> {
    ALLOWED
        .iter()
        .position(|allowed| (allowed.applies)(question, ours, theirs))
}
