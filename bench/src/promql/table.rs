//! The table: a row per question; per system p50, p99, CPU and memory; leadline's share of Prometheus' figures.

use super::kept::{Figures, Kept};
use super::questions::Question;
use super::scenario::Scenario;
use crate::print;

/// Prints the results as a table in Markdown; the first two are compared, and the third where there is one. Tells the
/// questions to which the first two gave different answers.
pub(super) fn show<'q>(scenario: &Scenario, questions: &'q [Question], results: &[Kept]) -> Vec<&'q str> {
    print("");
    print(&scenario.describe());
    let names: Vec<&str> = results.iter().map(|r| r.version.as_str()).collect();
    print(&format!("cells: {}", names.join(" / ")));
    print("");
    print("| query | series | p50 ms | ratio | p99 ms | ratio | CPU ms | ratio | peak MB | ratio | agrees |");
    print(&format!("|{}", "---|".repeat(11)));
    let mut wrong = Vec::new();
    for question in questions {
        let found: Vec<Option<&Figures>> = results.iter().map(|r| r.find(&question.name)).collect();
        print(&row(&question.name, &found));
        if let [first, Some(second), ..] = found[..]
            && ["NO", "series"].contains(&agrees(first, Some(second)))
        {
            wrong.push(question.name.as_str());
        }
    }
    print("");
    print(
        "agrees: with the first, with as many of the others as are named; ties: other series of equal values; values of \
         VictoriaMetrics' rate differ by design",
    );
    wrong
}

/// Whether another system's answer is that of the first.
fn agrees(first: Option<&Figures>, other: Option<&Figures>) -> &'static str {
    match (first, other) {
        (Some(a), Some(b)) if a.answer.agrees(&b.answer) => "yes",
        (Some(a), Some(b)) if a.answer.agrees_but_for_ties(&b.answer) => "ties",
        (Some(a), Some(b)) if a.answer.series == b.answer.series => "series",
        (Some(_), Some(_)) => "NO",
        _ => "-",
    }
}

fn row(name: &str, found: &[Option<&Figures>]) -> String {
    let first = found.first().copied().flatten();
    let series = first.map_or("-".to_owned(), |f| f.answer.series.to_string());
    let pair = |figure: fn(&Figures) -> f64| {
        let cells: Vec<String> = found
            .iter()
            .map(|f| f.map_or("-".to_owned(), |f| cell(figure(f))))
            .collect();
        let ratio = match found {
            [Some(a), Some(b), ..] if figure(b) > 0.0 => format!("{:.2}", figure(a) / figure(b)),
            _ => String::new(),
        };
        format!("{} | {ratio}", cells.join(" / "))
    };
    let agrees: Vec<&str> = found[1..].iter().map(|other| agrees(first, *other)).collect();
    format!(
        "| `{}` | {series} | {} | {} | {} | {} | {} |",
        name.replace('|', "\\|"),
        pair(|f| f.p50),
        pair(|f| f.p99),
        pair(|f| f.cpu),
        pair(|f| f.peak / 1e6),
        agrees.join(" / ")
    )
}

fn cell(figure: f64) -> String {
    match figure {
        f if f >= 100.0 => format!("{f:.0}"),
        f if f >= 10.0 => format!("{f:.1}"),
        f => format!("{f:.2}"),
    }
}
