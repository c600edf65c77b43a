//! What PromQL has, as tables: every function with the shape of its arguments, operators, aggregations and modifiers. A
//! query is asked about each of them in turn.

/// What an argument is. One letter each in [`Function::arguments`].
///
/// `v` vector, `h` vector of native histograms, `b` native histograms or classic buckets, `m` range vector, `c` range vector
/// of counters, `g` range vector of floats, `s` number, `p` number from 0 to 1, `d` a vector of times or nothing,
/// `?` before what may be left out.
pub(crate) struct Function {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its arguments.
    pub(crate) arguments: &'static str,
}

const fn f(name: &'static str, arguments: &'static str) -> Function {
    Function { name, arguments }
}

/// Functions whose arguments are numbers, vectors and ranges.
pub(crate) const FUNCTIONS: &[Function] = &[
    f("abs", "v"),
    f("absent", "v"),
    f("absent_over_time", "m"),
    f("acos", "v"),
    f("acosh", "v"),
    f("asin", "v"),
    f("asinh", "v"),
    f("atan", "v"),
    f("atanh", "v"),
    f("avg_over_time", "m"),
    f("ceil", "v"),
    f("changes", "m"),
    f("clamp", "vss"),
    f("clamp_max", "vs"),
    f("clamp_min", "vs"),
    f("cos", "v"),
    f("cosh", "v"),
    f("count_over_time", "m"),
    f("day_of_month", "d"),
    f("day_of_week", "d"),
    f("day_of_year", "d"),
    f("days_in_month", "d"),
    f("deg", "v"),
    f("delta", "g"),
    f("deriv", "g"),
    f("double_exponential_smoothing", "gpp"),
    f("exp", "v"),
    f("first_over_time", "m"),
    f("floor", "v"),
    f("histogram_avg", "h"),
    f("histogram_count", "h"),
    f("histogram_fraction", "ssb"),
    f("histogram_quantile", "pb"),
    f("histogram_stddev", "h"),
    f("histogram_stdvar", "h"),
    f("histogram_sum", "h"),
    f("hour", "d"),
    f("idelta", "g"),
    f("increase", "c"),
    f("integral", "g?s"),
    f("irate", "c"),
    f("last_over_time", "m"),
    f("ln", "v"),
    f("log10", "v"),
    f("log2", "v"),
    f("mad_over_time", "g"),
    f("max_over_time", "g"),
    f("min_over_time", "g"),
    f("minute", "d"),
    f("month", "d"),
    f("predict_linear", "gs"),
    f("present_over_time", "m"),
    f("quantile_over_time", "pg"),
    f("rad", "v"),
    f("rate", "c"),
    f("resets", "m"),
    f("round", "v?s"),
    f("sgn", "v"),
    f("sin", "v"),
    f("sinh", "v"),
    f("sort", "v"),
    f("sort_desc", "v"),
    f("sqrt", "v"),
    f("start_timestamp", "v"),
    f("stddev_over_time", "g"),
    f("stdvar_over_time", "g"),
    f("sum_over_time", "m"),
    f("tan", "v"),
    f("tanh", "v"),
    f("timestamp", "v"),
    f("ts_of_first_over_time", "m"),
    f("ts_of_last_over_time", "m"),
    f("ts_of_max_over_time", "g"),
    f("ts_of_min_over_time", "g"),
    f("vector", "s"),
    f("year", "d"),
];

/// Functions that are numbers.
pub(crate) const NUMBERS: &[Function] = &[
    f("end", ""),
    f("max_of", "ss"),
    f("min_of", "ss"),
    f("pi", ""),
    f("range", ""),
    f("scalar", "v"),
    f("start", ""),
    f("step", ""),
    f("time", ""),
];

/// Functions with texts among their arguments, which the grammar writes one by one.
pub(crate) const TEXTUAL: &[&str] = &[
    "histogram_quantiles",
    "info",
    "label_join",
    "label_replace",
    "sort_by_label",
    "sort_by_label_desc",
];

/// Aggregations with and without a parameter.
pub(crate) const AGGREGATIONS: &[&str] = &["avg", "count", "group", "max", "min", "stddev", "stdvar", "sum"];
/// Aggregations with a parameter.
pub(crate) const PARAMETRIC: &[&str] = &["bottomk", "count_values", "limit_ratio", "limitk", "quantile", "topk"];

/// Operators that calculate.
pub(crate) const ARITHMETIC: &[&str] = &["%", "*", "+", "-", "/", "^", "atan2"];
/// Operators that compare.
pub(crate) const COMPARISONS: &[&str] = &["!=", "<", "<=", "==", ">", ">="];
/// Operators on sets.
pub(crate) const SETS: &[&str] = &["and", "or", "unless"];
/// Operators that cut histograms.
pub(crate) const TRIMS: &[&str] = &["</", ">/"];

/// Everything else that is written.
pub(crate) const MODIFIERS: &[&str] = &[
    "!~",
    "=~",
    "@ end()",
    "@ start()",
    "@ time",
    "anchored",
    "bool",
    "by",
    "duration expression",
    "fill",
    "fill_left",
    "fill_right",
    "group_left",
    "group_right",
    "ignoring",
    "negative offset",
    "offset",
    "on",
    "smoothed",
    "subquery",
    "unary minus",
    "utf-8 name",
    "without",
];

/// The name of every function, operator and modifier.
pub(crate) fn all() -> Vec<&'static str> {
    let functions = FUNCTIONS.iter().chain(NUMBERS).map(|function| function.name);
    let rest = [
        TEXTUAL,
        AGGREGATIONS,
        PARAMETRIC,
        ARITHMETIC,
        COMPARISONS,
        SETS,
        TRIMS,
        MODIFIERS,
    ];
    functions.chain(rest.into_iter().flatten().copied()).collect()
}

#[test]
fn every_function_is_asked_about() {
    let known = leadline_promql::check::signatures()
        .iter()
        .map(|signature| signature.name);
    let listed = FUNCTIONS.iter().chain(NUMBERS).map(|function| function.name);
    let listed: std::collections::BTreeSet<_> = listed.chain(TEXTUAL.iter().copied()).collect();
    assert_eq!(listed, known.collect());
}
