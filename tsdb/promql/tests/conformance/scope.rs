//! Which evaluations must pass.
//!
//! Whole files: those without native histograms. Of operators, aggregators,
//! subquery, range_queries, functions and histograms: every evaluation of a `clear` section that loads no native
//! histogram. `load_with_nhcb` loads its classic series only; evaluations on the native twin of one are outside.

use crate::script::{Command, CommandKind, Eval, Load};
use leadline_model::labels::NAME;
use leadline_promql::syntax::parse;
use std::collections::BTreeSet;

const WHOLE: [&str; 11] = [
    "duration_expression",
    "fill-modifier",
    "info",
    "trig_functions",
    "type_and_unit",
    "literals",
    "selectors",
    "staleness",
    "at_modifier",
    "collision",
    "name_label_dropping",
];
const SECTIONS: [&str; 9] = [
    "extended_vectors",
    "limit",
    "start_timestamps",
    "operators",
    "aggregators",
    "subquery",
    "range_queries",
    "functions",
    "histograms",
];

/// For each command whether it counts: evaluations that are inside, and the loads and clears they need.
pub(crate) fn inside(file: &str, commands: &[Command]) -> Vec<bool> {
    if WHOLE.contains(&file) {
        return vec![true; commands.len()];
    }
    if !SECTIONS.contains(&file) {
        return vec![false; commands.len()];
    }
    let mut inside = Vec::with_capacity(commands.len());
    for section in commands.split_inclusive(|command| matches!(command.kind, CommandKind::Clear)) {
        let histograms = section.iter().any(|command| match &command.kind {
            CommandKind::Load(load) => load.series.iter().any(|series| series.histograms),
            _ => false,
        });
        let twins = native_twins(section);
        inside.extend(section.iter().map(|command| match &command.kind {
            CommandKind::Eval(eval) => !histograms && !reads_any(eval, &twins),
            CommandKind::Clear => true,
            CommandKind::Load(_) => !histograms,
        }));
    }
    inside
}

/// The names of the native histograms that `load_with_nhcb` would add in a section.
fn native_twins(section: &[Command]) -> BTreeSet<String> {
    let loads = section.iter().filter_map(|command| match &command.kind {
        CommandKind::Load(load) if load.with_nhcb => Some(load),
        _ => None,
    });
    let names = loads.flat_map(|load: &Load| load.series.iter().map(|series| series.labels.name().to_owned()));
    names
        .filter_map(|name| {
            ["_bucket", "_count", "_sum"]
                .iter()
                .find_map(|s| name.strip_suffix(s).map(str::to_owned))
        })
        .collect()
}

/// Whether one of the native histograms is selected, or expected.
fn reads_any(eval: &Eval, twins: &BTreeSet<String>) -> bool {
    if eval.expect.series.iter().any(|series| series.histograms) {
        return true;
    }
    let Ok(mut expr) = parse(&eval.expr) else {
        return false;
    };
    let mut reads = false;
    expr.for_each_selector_mut(&mut |selector| {
        let mut names = selector.matchers.iter().filter(|m| m.name() == NAME).peekable();
        if names.peek().is_some() {
            let names: Vec<_> = names.collect();
            reads |= twins.iter().any(|twin| names.iter().all(|m| m.matches(twin)));
        }
    });
    reads
}
