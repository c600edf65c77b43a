//! Prometheus 2.42, three years older than 3.16: what it lacks or does otherwise.
//!
//! Only what both have is asked, at times at which no sample lies on the border of a window: 2.42 counts one at the left
//! border and 3.x does not (#13904, #15431). Every sample's time ends in another digit of milliseconds than every time
//! that is asked about ([`crate::data::Shape::OFF_GRID`]), and every length of time is a multiple of 10 ms.
//!
//! Numbers are those of Prometheus' pull requests.

use crate::allowed::Allowed;
use crate::answer::Answer;
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
    ("#13103", &["mad_over_time", "sort_by_label", "sort_by_label_desc"]),
    ("#13467", &["histogram_avg"]),
    ("#13852", &["histogram_stddev", "histogram_stdvar"]),
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
    ("#14725: names in quotes", &["quoted name", "utf-8 name"]),
    ("#13904: a sample may lie on the left border", &["@ on the grid"]),
    ("#14941, #14413, #14074: sums of what is infinite", &["extreme values"]),
    (
        "#13725: how far a counter near 0 is carried beyond its first sample",
        &["rate of a gauge"],
    ),
];

/// What magnifies last digits beyond what [`of_rounding`] allows.
const MAGNIFYING: &[&str] = &["%", "cos", "sin", "tan"];

/// Whether both can be asked this, and rounding stays rounding. A subquery within one has the other's times on its border.
fn fits(tree: &Tree) -> bool {
    let features = tree.all_features();
    let any = |names: &[&str]| names.iter().any(|name| features.contains(name));
    features.iter().all(|feature| has(feature)) && !(any(ROUNDING) && any(MAGNIFYING)) && !tree.nests("subquery")
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
                 deg() divide first. Last digits differ",
        at_most: 150,
        applies: of_rounding,
    },
    Allowed {
        reason: "promql/engine.go, shouldDropMetricName: 2.42 does not list atan2 among the operators whose result has no name",
        at_most: 15,
        applies: of_names_of_atan2,
    },
    Allowed {
        reason: "#14941: stddev and stdvar of one value that is infinite or none are none; 0 in 2.42",
        at_most: 5,
        applies: of_undefined_deviations,
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
    ROUNDING.iter().any(|name| features.contains(name)) && ours.is_same_but_for_rounding(theirs, 1e-9)
}

fn of_names_of_atan2(question: &Question, ours: &Answer, theirs: &Answer) -> bool {
    question.tree.all_features().contains("atan2") && ours.is_same_but_for_names(theirs)
}

fn of_undefined_deviations(question: &Question, ours: &Answer, theirs: &Answer) -> bool {
    let features = question.tree.all_features();
    let defined = |answer: &Answer| -> Vec<String> {
        let series = answer.series.iter();
        series.map(|one| one.replace("\"NaN\"", "\"0\"")).collect()
    };
    ["stddev", "stdvar"].iter().any(|name| features.contains(name))
        && ours.is_same_but_for_series(theirs)
        && defined(ours) == defined(theirs)
}
