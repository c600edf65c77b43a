//! How many evaluations each file has: all must pass, and a file that lost some is noticed.

/// Evaluations by file.
const COUNTS: [(&str, usize); 21] = [
    ("aggregators", 160),
    ("at_modifier", 78),
    ("collision", 2),
    ("duration_expression", 59),
    ("extended_vectors", 169),
    ("fill-modifier", 46),
    ("functions", 431),
    ("histograms", 185),
    ("info", 53),
    ("limit", 37),
    ("literals", 25),
    ("name_label_dropping", 30),
    ("native_histograms", 522),
    ("operators", 214),
    ("range_queries", 18),
    ("selectors", 31),
    ("staleness", 17),
    ("start_timestamps", 26),
    ("subquery", 34),
    ("trig_functions", 19),
    ("type_and_unit", 58),
];

/// How many evaluations of a file have to pass at least; `None` for a file that is not known.
pub(crate) fn expected(file: &str) -> Option<usize> {
    COUNTS.iter().find(|(name, _)| *name == file).map(|(_, count)| *count)
}

/// The files that have to be there.
pub(crate) fn files() -> impl Iterator<Item = &'static str> {
    COUNTS.iter().map(|(name, _)| *name)
}
