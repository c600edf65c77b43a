//! The table of a scenario: a column per system, and leadline's share of Prometheus' figure.

use super::figures::Figures;
use super::kept::Kept;
use super::scenario::Scenario;
use crate::print;

type Row = (&'static str, fn(&Figures, f64) -> Option<f64>);

/// Every figure, from those of a system and the number of live series.
const ROWS: &[Row] = &[
    ("CPU s per million samples", |f, _| Some(f.steady.as_ref()?.cpu)),
    ("RSS bytes per series", |f, n| Some(f.steady.as_ref()?.memory.rss / n)),
    ("its anonymous part", |f, n| {
        Some(f.steady.as_ref()?.memory.anonymous / n)
    }),
    ("log bytes per sample (*)", |f, _| Some(f.steady.as_ref()?.disk_bytes)),
    ("compacting: CPU s per million", |f, _| Some(f.compaction.as_ref()?.cpu)),
    ("compacting: peak RSS per series", |f, n| {
        Some(f.compaction.as_ref()?.peak.rss / n)
    }),
    ("its anonymous part", |f, n| {
        Some(f.compaction.as_ref()?.peak.anonymous / n)
    }),
    ("lowest level of a block", |f, _| {
        Some(f.compaction.as_ref()?.lowest.level as f64)
    }),
    ("its chunk bytes per sample", |f, _| {
        Some(f.compaction.as_ref()?.lowest.chunks)
    }),
    ("its bytes per sample", |f, _| Some(f.compaction.as_ref()?.lowest.all)),
    ("highest level of a block", |f, _| {
        Some(f.compaction.as_ref()?.highest.level as f64)
    }),
    ("its chunk bytes per sample", |f, _| {
        Some(f.compaction.as_ref()?.highest.chunks)
    }),
    ("its bytes per sample", |f, _| Some(f.compaction.as_ref()?.highest.all)),
    ("replay: seconds", |f, _| Some(f.replay.as_ref()?.seconds)),
    ("replay: CPU s", |f, _| Some(f.replay.as_ref()?.cpu)),
    ("replay: log MB", |f, _| Some(f.replay.as_ref()?.log_bytes / 1e6)),
    ("replay: peak RSS per series", |f, n| {
        Some(f.replay.as_ref()?.peak.rss / n)
    }),
    ("replay: peak RSS / RSS before", |f, _| {
        let replay = f.replay.as_ref()?;
        Some(replay.peak.rss / replay.before.rss)
    }),
    ("replay: samples lost, 1 metric in 100", |f, _| {
        Some(f.replay.as_ref()?.lost)
    }),
    ("3 rollouts: seconds", |f, _| Some(f.rollout.as_ref()?.seconds)),
    ("3 rollouts: CPU s", |f, _| Some(f.rollout.as_ref()?.cpu)),
    ("3 rollouts: RSS after / before", |f, _| {
        let rollout = f.rollout.as_ref()?;
        Some(rollout.after.rss / rollout.before.rss)
    }),
    ("its anonymous part", |f, _| {
        let rollout = f.rollout.as_ref()?;
        Some(rollout.after.anonymous / rollout.before.anonymous)
    }),
    ("3 rollouts: peak RSS / before", |f, _| {
        let rollout = f.rollout.as_ref()?;
        Some(rollout.peak.rss / rollout.before.rss)
    }),
];

/// Prints the results of one scenario as a table in Markdown; the first two are compared.
pub(super) fn show(scenario: &Scenario, results: &[Kept]) {
    print("");
    print(&scenario.describe());
    print("");
    let versions: String = results.iter().map(|r| format!(" {:>22} |", r.version)).collect();
    print(&format!("| {:<38} |{versions} {:>6} |", "", "ratio"));
    print(&format!("|{}", "---|".repeat(results.len() + 2)));
    for (name, figure) in ROWS {
        let figures: Vec<Option<f64>> = results.iter().map(|r| figure(&r.figures, scenario.live())).collect();
        if figures.iter().all(Option::is_none) {
            continue;
        }
        let cells: String = figures.iter().map(|f| format!(" {:>22} |", cell(*f))).collect();
        let ratio = match figures[..] {
            [Some(a), Some(b), ..] if b != 0.0 => format!("{:.2}", a / b),
            _ => String::new(),
        };
        print(&format!("| {name:<38} |{cells} {ratio:>6} |"));
    }
    print("");
    print("(*) of VictoriaMetrics, which has no log: its data without the index");
}

fn cell(figure: Option<f64>) -> String {
    match figure {
        None => "-".to_owned(),
        Some(f) if f.abs() >= 100.0 || f == f.trunc() => format!("{f:.0}"),
        Some(f) => format!("{f:.3}"),
    }
}
