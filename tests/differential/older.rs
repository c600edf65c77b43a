//! Prometheus 2.42, three years older than 3.16: what it lacks or does otherwise.
//!
//! Only what both have is asked, at times at which no sample lies on the border of a window: 2.42 counts one at the left
//! border and 3.x does not (#13904, #15431). Every sample's time ends in another digit of milliseconds than every time
//! that is asked about ([`crate::data::Shape::OFF_GRID`]), and every length of time is a multiple of 10 ms.
//!
//! Numbers are those of Prometheus' pull requests.

use crate::allowed::Allowed;
use crate::answer::{Answer, near};
use crate::question::Question;
use crate::tree::Tree;

/// What 2.42 lacks, or means something else by, and what brought it.
const LACKS: &[(&str, &[&str])] = &[
    (
        "histograms are experimental and other in 2.42's blocks",
        &[
            "native histogram",
            "histogram_count",
            "histogram_fraction",
            "histogram_sum",
        ],
    ),
    ("#12503", &["limit_ratio", "limitk"]),
    ("#13059", &["mad_over_time"]),
    ("#11299", &["sort_by_label", "sort_by_label_desc"]),
    ("#13467", &["histogram_avg"]),
    ("#12614", &["histogram_stddev", "histogram_stdvar"]),
    ("#14440", &["integral"]),
    ("#14495", &["info"]),
    ("#16457", &["anchored", "smoothed"]),
    (
        "#16722",
        &["ts_of_last_over_time", "ts_of_max_over_time", "ts_of_min_over_time"],
    ),
    ("#16963", &["first_over_time", "ts_of_first_over_time"]),
    ("#17285", &["histogram_quantiles"]),
    ("#17644", &["fill", "fill_left", "fill_right"]),
    ("#17877", &["end", "range", "start", "step"]),
    ("#17904", &["</", ">/"]),
    ("#18687", &["max_of", "min_of"]),
    ("#19089", &["start_timestamp"]),
    ("#16249", &["duration expression"]),
    ("#9138", &["duration as number", "number as duration"]),
    ("#12821", &["digits with _"]),
    ("#14482: names in quotes", &["quoted name", "utf-8 name"]),
    ("#13904: a sample may lie on the left border", &["@ on the grid"]),
    ("#14941, #14413, #14074: sums of what is infinite", &["extreme values"]),
    (
        "#13725: how far a counter near 0 is carried beyond its first sample",
        &["rate of a gauge"],
    ),
];

/// What 2.42 has, but not what is in the one list together with what is in the other.
const PAIRS: &[(&str, &[&str], &[&str])] = &[
    (
        "what magnifies last digits beyond what is allowed",
        ROUNDING,
        &["%", "cos", "sin", "tan"],
    ),
    ("results of atan2 have names, and are rounded", ROUNDING, &["atan2"]),
    (
        "#12190: which of equal values are kept",
        &["bottomk", "topk"],
        &["equal values", "subquery"],
    ),
    (
        "#13559: a window that @ fixes moves with the steps of a range",
        &["predict_linear"],
        &["@ end()", "@ start()", "@ time"],
    ),
];

/// Whether both can be asked this. A subquery within one has the other's times on its border, which 2.42 counts in.
fn fits(tree: &Tree) -> bool {
    let features = tree.all_features();
    let any = |names: &[&str]| names.iter().any(|name| features.contains(name));
    features.iter().all(|feature| has(feature))
        && !PAIRS.iter().any(|(_, one, other)| any(one) && any(other))
        && !tree.nests("subquery")
}

/// Whether 2.42 can be asked about this.
pub(crate) fn has(feature: &str) -> bool {
    LACKS.iter().all(|(_, lacking)| !lacking.contains(&feature))
}

/// The question with this number, about a feature that both have.
pub(crate) fn question(feature: &'static str, seed: u64, number: u64) -> Question {
    let tries = (0..1000).map(|n| Question::about(feature, seed, number + n * 1_000_003));
    let mut question = tries.into_iter().find(|question| fits(&question.tree)).unwrap();
    // The last digit is one that no sample's time has.
    let off_grid = |t: i64| t / 10 * 10 + 1;
    // 2.42 takes the one of its command line.
    question.lookback = None;
    question.times = (off_grid(question.times.0), off_grid(question.times.1));
    question
}

/// An expression as 2.42 spells it: #14930 renamed a function.
pub(crate) fn spelled(expression: &str) -> String {
    expression.replace("double_exponential_smoothing(", "holt_winters(")
}

/// What of an answer is compared: 2.42 has no warnings and infos (#12152), and other texts of errors.
pub(crate) fn compared(mut answer: Answer) -> Answer {
    answer.notes.clear();
    if let Some((_, text)) = &mut answer.error {
        text.clear();
    }
    answer
}

/// Differences that are meant.
pub(crate) const ALLOWED: &[Allowed] = &[
    Allowed {
        reason: "#14074, #14413, #16569, #16773: sums and means are calculated with what rounding loses; #19901: rad() and \
                 deg() divide first. Last digits differ, and whether two numbers are equal",
        at_most: 150,
        applies: of_rounding,
        varies: false,
    },
    Allowed {
        reason: "promql/engine.go, shouldDropMetricName: 2.42 does not list atan2 among the operators whose result has no name",
        at_most: 15,
        applies: of_names_of_atan2,
        varies: false,
    },
    Allowed {
        reason: "#13725: a counter that begins again within a window of few samples is carried less far beyond the first",
        at_most: 2,
        applies: of_extrapolation,
        varies: false,
    },
    Allowed {
        reason: "#12190: topk and bottomk keep others of equal values",
        at_most: 5,
        applies: of_ties,
        varies: false,
    },
    Allowed {
        reason: "#14941: stddev and stdvar of one value that is infinite or none are none; 0 in 2.42",
        at_most: 5,
        applies: of_undefined_deviations,
        varies: false,
    },
    Allowed {
        reason: "#19899: a quantile whose rank falls on an infinite value is that value; none in 2.42",
        at_most: 5,
        applies: of_infinite_ranks,
        varies: false,
    },
];

/// What calculates otherwise.
const ROUNDING: &[&str] = &[
    "avg",
    "avg_over_time",
    "deg",
    "rad",
    "stddev",
    "stddev_over_time",
    "stdvar",
    "stdvar_over_time",
    "sum",
    "sum_over_time",
];

fn of_rounding(question: &Question, ours: &Answer, theirs: &Answer) -> bool {
    let features = question.tree.all_features();
    // Deviations are differences of almost equal numbers.
    let deviates = features.iter().any(|name| name.starts_with("std"));
    let tolerance = if deviates { 1e-6 } else { 1e-9 };
    let compares = features.contains("bool");
    let alike = |a: &str, b: &str| near(a, b, tolerance) || compares && is_verdict(a) && is_verdict(b);
    ROUNDING.iter().any(|name| features.contains(name)) && ours.is_same_but_for_values(theirs, alike)
}

/// What a comparison with `bool` gives.
fn is_verdict(value: &str) -> bool {
    ["0", "1"].contains(&value)
}

fn of_extrapolation(question: &Question, ours: &Answer, theirs: &Answer) -> bool {
    let features = question.tree.all_features();
    let extrapolates = ["increase", "rate"].iter().any(|name| features.contains(name));
    // Twice as far at most.
    extrapolates && ours.is_same_but_for_rounding(theirs, 0.5)
}

fn of_ties(question: &Question, ours: &Answer, theirs: &Answer) -> bool {
    let features = question.tree.all_features();
    let ranks = ["bottomk", "topk"].iter().any(|name| features.contains(name));
    ranks && ours.is_same_but_for_series(theirs) && ours.points() == theirs.points()
}

fn of_names_of_atan2(question: &Question, ours: &Answer, theirs: &Answer) -> bool {
    question.tree.all_features().contains("atan2") && ours.is_same_but_for_names(theirs)
}

fn of_undefined_deviations(question: &Question, ours: &Answer, theirs: &Answer) -> bool {
    let features = question.tree.all_features();
    let deviates = ["stddev", "stdvar"].iter().any(|name| features.contains(name));
    deviates && ours.is_same_but_for_values(theirs, |a, b| a == "NaN" || near(a, b, 1e-6))
}

fn of_infinite_ranks(question: &Question, ours: &Answer, theirs: &Answer) -> bool {
    let features = question.tree.all_features();
    let ranks = ["quantile", "quantile_over_time"]
        .iter()
        .any(|name| features.contains(name));
    ranks && ours.is_same_but_for_values(theirs, |a, b| a == b || (a.ends_with("Inf") && b == "NaN"))
}
