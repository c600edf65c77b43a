//! How many evaluations each file has: all must pass, and a file that lost some is noticed.

/// Evaluations by file.
const COUNTS: [(&str, usize); 21] = [
    ("aggregators", 0),
    ("at_modifier", 0),
    ("collision", 0),
    ("duration_expression", 0),
    ("extended_vectors", 0),
    ("fill-modifier", 0),
    ("functions", 0),
    ("histograms", 0),
    ("info", 0),
    ("limit", 0),
    ("literals", 0),
    ("name_label_dropping", 0),
    ("native_histograms", 0),
    ("operators", 0),
    ("range_queries", 0),
    ("selectors", 0),
    ("staleness", 0),
    ("start_timestamps", 0),
    ("subquery", 0),
    ("trig_functions", 0),
    ("type_and_unit", 0),
];

/// How many evaluations of a file have to pass at least; `None` for a file that is not known.
pub(crate) fn expected(file: &str) -> Option<usize> {
    COUNTS.iter().find(|(name, _)| *name == file).map(|(_, count)| *count)
}

/// The files that have to be there.
pub(crate) fn files() -> impl Iterator<Item = &'static str> {
    COUNTS.iter().map(|(name, _)| *name)
}
