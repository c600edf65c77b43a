//! Differences from Prometheus 3.16 that are meant, or that are upstream's. At most ten, each with the reason.

use crate::answer::Answer;
use crate::question::Question;

/// A difference that is allowed.
#[derive(Debug)]
pub(crate) struct Allowed {
    /// Where it is explained.
    pub(crate) reason: &'static str,
    /// Whether these two answers to this question are a case of it.
    pub(crate) applies: fn(&Question, &Answer, &Answer) -> bool,
}

/// All of them.
pub(crate) const ALLOWED: &[Allowed] = &[
    Allowed {
        reason: "promql/engine.go:2141, :2270 and promql/info.go:515 put the series of a calculation over a range, or of info(), together from a map, in another \
             order each time, so that Prometheus' own avg, stddev, stdvar and sum differ in their last digits from one \
             request to the next, and topk and bottomk keep others of equal values",
        applies: of_unordered_series,
    },
    Allowed {
        reason: "promql/engine.go:3970 and :2125: with delayed name removal, a comparison that filters forgets that the name of its operand \
             is about to go (DropName: returnBool), and a union of series with and without it does as their first sample; without the feature Prometheus has no name there, and leadline never has",
        applies: of_names_in_comparisons,
    },
    Allowed {
        reason: "promql/engine.go:2099: series that cannot be told apart are an error at once, as for leadline; with delayed \
                 name removal at the end only, and not at all where nothing of them is left then",
        applies: of_late_refusals,
    },
];

fn of_names_in_comparisons(question: &Question, ours: &Answer, theirs: &Answer) -> bool {
    let compares = |feature: &&str| crate::catalogue::COMPARISONS.contains(feature) || *feature == "or";
    let whole = (ours.status, &ours.kind, &ours.error, &ours.notes);
    question.tree.all_features().iter().any(compares)
        && whole == (theirs.status, &theirs.kind, &theirs.error, &theirs.notes)
        && ours.series != theirs.series
        && ours.without_names() == theirs.without_names()
}

/// Aggregations whose rounding depends on the order of series.
const ROUNDING: [&str; 4] = ["avg", "stddev", "stdvar", "sum"];
/// Whether they differ in the last digits of what is calculated from sums alone.
pub(crate) fn of_rounding(question: &Question, ours: &Answer, theirs: &Answer) -> bool {
    let features = question.tree.all_features();
    let whole = (ours.status, &ours.kind, &ours.error, &ours.notes);
    whole == (theirs.status, &theirs.kind, &theirs.error, &theirs.notes)
        && ROUNDING.iter().any(|name| features.contains(name))
        && ours.is_near(theirs)
}

fn of_unordered_series(question: &Question, ours: &Answer, theirs: &Answer) -> bool {
    let features = question.tree.all_features();
    let has = |names: &[&str]| names.iter().any(|name| features.contains(name));
    let ranged = question.step.is_some() || has(&["subquery", "info"]);
    let whole = (ours.status, &ours.kind, &ours.error, &ours.notes);
    let same_but_series = || whole == (theirs.status, &theirs.kind, &theirs.error, &theirs.notes);
    let ranked = || has(&["bottomk", "topk"]) && same_but_series() && ours.points() == theirs.points();
    ranged && (of_rounding(question, ours, theirs) || ranked())
}

fn of_late_refusals(question: &Question, ours: &Answer, theirs: &Answer) -> bool {
    let features = question.tree.all_features();
    let renames = ["histogram_quantiles", "label_join", "label_replace"];
    let refused = ours
        .error
        .as_ref()
        .is_some_and(|(_, text)| text.contains("the same labelset"));
    refused && theirs.error.is_none() && renames.iter().any(|name| features.contains(name))
}
