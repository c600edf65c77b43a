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
    let (mut wrong, mut slower) = (Vec::new(), 0);
    // Of instant queries and of ranges: how many are above their bound, and how many there are.
    let (mut instants, mut ranges) = ((0, 0), (0, 0));
    for question in questions {
        let found: Vec<Option<&Figures>> = results.iter().map(|r| r.find(&question.name)).collect();
        let is_above = is_above(question.bound(), &found);
        print(&row(&question.name, &found, is_above));
        let kind = if question.is_instant() {
            &mut instants
        } else {
            &mut ranges
        };
        kind.0 += usize::from(is_above);
        kind.1 += 1;
        slower += usize::from(is_slower(&found));
        if let [first, Some(second), ..] = found[..]
            && ["NO", "series"].contains(&agrees(first, Some(second)))
        {
            wrong.push(question.name.as_str());
        }
    }
    print("");
    print(&format!(
        "above the bound (!), which is 1/10 of the second's p50 and p99, of instant queries of 200 series or fewer 1/4: {} of {} \
         instant queries, {} of {} ranges; {slower} slower than the faster peer",
        instants.0, instants.1, ranges.0, ranges.1
    ));
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

/// Whether the first took more than `most` of the second's time.
fn is_above(most: f64, found: &[Option<&Figures>]) -> bool {
    let [Some(first), Some(second), ..] = found else {
        return false;
    };
    first.p50 > most * second.p50 || first.p99 > most * second.p99
}

/// Whether any of the others is faster than the first.
fn is_slower(found: &[Option<&Figures>]) -> bool {
    let Some((Some(first), others)) = found.split_first() else {
        return false;
    };
    others.iter().flatten().any(|other| other.p50 < first.p50)
}

fn row(name: &str, found: &[Option<&Figures>], is_above: bool) -> String {
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
    let mark = if is_above { " !" } else { "" };
    format!(
        "| `{}`{mark} | {series} | {} | {} | {} | {} | {} |",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_above_its_bound_or_slower_than_a_peer_is_told() {
        let of = |p50: f64, p99: f64| -> Figures {
            let empty = r#"{"data":{"resultType":"vector","result":[]}}"#;
            Figures {
                question: String::new(),
                p50,
                p99,
                cpu: 0.0,
                peak: 0.0,
                answer: super::super::digest::Digest::of(empty.as_bytes()).unwrap(),
            }
        };
        for (most, first, second, third, above, slower) in [
            (0.1, (1.0, 2.0), (10.0, 20.0), (5.0, 5.0), false, false),
            (0.1, (1.1, 2.0), (10.0, 20.0), (5.0, 5.0), true, false),
            (0.1, (1.0, 2.1), (10.0, 20.0), (0.9, 5.0), true, true),
            (0.25, (0.2, 0.4), (0.8, 1.6), (5.0, 5.0), false, false),
            (0.25, (0.3, 0.4), (0.8, 1.6), (5.0, 5.0), true, false),
        ] {
            let [first, second, third] = [first, second, third].map(|(p50, p99)| of(p50, p99));
            let found = [Some(&first), Some(&second), Some(&third)];
            assert_eq!((is_above(most, &found), is_slower(&found)), (above, slower));
            assert!(!is_above(most, &[Some(&first), None]) && !is_slower(&[None, Some(&second)]));
        }
    }
}
