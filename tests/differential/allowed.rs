//! Differences from Prometheus 3.16 that are meant, or that are upstream's. At most ten, each with the reason.

use crate::answer::Answer;
use crate::question::Question;
use crate::tree::Tree;

/// A difference that is allowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowed {
    /// Where it is explained.
    pub(crate) reason: &'static str,
    /// Of 1000 questions, at most so many may be a case of it.
    pub(crate) at_most: usize,
    /// Whether these two answers to this question are a case of it.
    pub(crate) applies: fn(&Question, &Answer, &Answer) -> bool,
    /// Whether Prometheus has to give another answer when it is asked again.
    pub(crate) varies: bool,
}

/// Those that have nothing to do with a feature.
pub(crate) const ALWAYS: &[Allowed] = &[
    Allowed {
        reason: "promql/engine.go:2141, :2270, promql/info.go:515 and promql/functions.go:2516, :2567, :2649 put the series of a \
                 calculation over a range, of info() and of classic buckets together from a map, in another order each time, \
                 so that Prometheus' own avg, stddev, stdvar and sum differ in their last digits from one request to the next, \
                 and topk and bottomk keep others of equal values",
        at_most: 15,
        applies: of_unordered_series,
        varies: true,
    },
    Allowed {
        reason: "util/annotations/annotations.go:93 (AsStrings) tells ten warnings and ten infos in the order of a map: which of \
                 more are told changes from one request to the next",
        at_most: 5,
        applies: of_many_notes,
        varies: false,
    },
    Allowed {
        reason: "promql/engine.go:2532 divides by a subquery's step in milliseconds, which is 0 of one below 1 ms, so that Prometheus \
                 panics; leadline refuses it",
        at_most: 10,
        applies: of_tiny_steps,
        varies: false,
    },
    Allowed {
        reason: "promql/parser/generated_parser.y:613 makes a whole number of NaN for an offset, which Go leaves to the processor; \
                 leadline refuses it",
        at_most: 5,
        applies: of_undefined_offsets,
        varies: false,
    },
    Allowed {
        reason: "promql/engine.go:3297: timestamp() of a selector with @ makes its offset anew out of the time of @ alone, so that \
                 Prometheus looks at that time in samples that it read for the offset; leadline looks where the selector says",
        at_most: 5,
        applies: of_offsets_below_timestamp,
        varies: false,
    },
];

/// All of them, with delayed name removal.
pub(crate) const ALL: &[Allowed] = &[
    ALWAYS[0],
    ALWAYS[1],
    ALWAYS[2],
    ALWAYS[3],
    ALWAYS[4],
    Allowed {
        reason: "promql/engine.go:3970 and :2125: with delayed name removal, a comparison that filters forgets that the name of \
                 its operand is about to go (DropName: returnBool), and a union of series with and without it does as their \
                 first sample; without the feature Prometheus has no name there, and leadline never has",
        at_most: 5,
        applies: of_names_in_comparisons,
        varies: false,
    },
    Allowed {
        reason: "promql/engine.go:2099: series that cannot be told apart are an error at once, as for leadline; with delayed \
                 name removal at the end only, and not at all where nothing of them is left then",
        at_most: 5,
        applies: of_late_refusals,
        varies: false,
    },
];

fn of_names_in_comparisons(question: &Question, ours: &Answer, theirs: &Answer) -> bool {
    let compares = |feature: &&str| crate::catalogue::COMPARISONS.contains(feature) || *feature == "or";
    question.tree.all_features().iter().any(compares) && ours.is_same_but_for_names(theirs)
}

/// Aggregations whose rounding depends on the order of series.
const ROUNDING: [&str; 4] = ["avg", "stddev", "stdvar", "sum"];
/// What has no order even at one time.
const UNORDERED: [&str; 5] = [
    "histogram_fraction",
    "histogram_quantile",
    "histogram_quantiles",
    "info",
    "subquery",
];

fn of_unordered_series(question: &Question, ours: &Answer, theirs: &Answer) -> bool {
    let features = question.tree.all_features();
    let has = |names: &[&str]| names.iter().any(|name| features.contains(name));
    let unordered = question.step.is_some() || has(&UNORDERED);
    // Differences of almost equal numbers have few digits of their own; other values differ in their last ones.
    let tolerance = if has(&["-", "stddev", "stdvar"]) { 1e-4 } else { 1e-9 };
    let rounded = has(&ROUNDING) && ours.is_same_but_for_rounding(theirs, tolerance);
    let ranked =
        || has(&["bottomk", "topk"]) && ours.is_same_but_for_series(theirs) && ours.points() == theirs.points();
    // Of 0 and -0 the first counts.
    let signed =
        || has(&["max", "min"]) && ours.is_same_but_for_values(theirs, |a, b| a == b || is_zero(a) && is_zero(b));
    // A mean of histograms and numbers says what it met first.
    let is_mixed = |note: &String| note.contains("mix of histograms");
    let told = || {
        has(&["avg", "sum"])
            && without_notes(ours) == without_notes(theirs)
            && ours.notes.symmetric_difference(&theirs.notes).all(is_mixed)
    };
    unordered && (rounded || ranked() || signed() || told())
}

fn without_notes(answer: &Answer) -> Answer {
    Answer {
        notes: Default::default(),
        ..answer.clone()
    }
}

fn is_zero(value: &str) -> bool {
    ["0", "-0"].contains(&value)
}

fn of_offsets_below_timestamp(question: &Question, ours: &Answer, theirs: &Answer) -> bool {
    let moved = |tree: &Tree| {
        let has = |begin: &str| tree.features.iter().any(|name| name.starts_with(begin));
        has("@ ") && (has("offset") || has("negative offset"))
    };
    let reads_times = |tree: &Tree| tree.features.iter().any(|name| name.ends_with("timestamp"));
    ours.error.is_none()
        && theirs.error.is_none()
        && (question.tree).any(&|tree: &Tree| reads_times(tree) && tree.children().any(moved))
}

fn of_many_notes(_: &Question, ours: &Answer, theirs: &Answer) -> bool {
    let omitted = |answer: &Answer| {
        answer
            .notes
            .iter()
            .find(|note| note.ends_with("annotations omitted\""))
            .cloned()
    };
    let rest = |answer: &Answer| Answer {
        notes: Default::default(),
        ..answer.clone()
    };
    omitted(ours).is_some()
        && omitted(ours) == omitted(theirs)
        && ours.notes.len() == theirs.notes.len()
        && rest(ours) == rest(theirs)
}

/// Whether leadline refuses with these words what Prometheus answers.
fn only_refused_here(ours: &Answer, theirs: &Answer, words: &str) -> bool {
    theirs.error.is_none() && ours.error.as_ref().is_some_and(|(_, text)| text.contains(words))
}

/// How leadline refuses a step below 1 ms.
pub(crate) const TINY_STEP: &str = "duration must be at least 1ms";

fn of_tiny_steps(_: &Question, ours: &Answer, theirs: &Answer) -> bool {
    only_refused_here(ours, theirs, TINY_STEP)
}

fn of_undefined_offsets(question: &Question, ours: &Answer, theirs: &Answer) -> bool {
    let text = question.tree.to_string().to_lowercase();
    only_refused_here(ours, theirs, "duration out of range") && text.contains("offset") && text.contains("nan")
}

fn of_late_refusals(question: &Question, ours: &Answer, theirs: &Answer) -> bool {
    let features = question.tree.all_features();
    let renames = ["histogram_quantiles", "label_join", "label_replace"];
    only_refused_here(ours, theirs, "the same labelset") && renames.iter().any(|name| features.contains(name))
}
