//! Which evaluations must pass: those of the files named here.

use crate::script::Command;

/// Files of which every evaluation counts.
const WHOLE: [&str; 18] = [
    "aggregators",
    "at_modifier",
    "collision",
    "duration_expression",
    "fill-modifier",
    "functions",
    "histograms",
    "info",
    "literals",
    "name_label_dropping",
    "native_histograms",
    "operators",
    "range_queries",
    "selectors",
    "staleness",
    "subquery",
    "trig_functions",
    "type_and_unit",
];

/// For each command whether it counts.
pub(crate) fn inside(file: &str, commands: &[Command]) -> Vec<bool> {
    vec![WHOLE.contains(&file); commands.len()]
}
