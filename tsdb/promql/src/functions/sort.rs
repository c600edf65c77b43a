//! `sort`, `sort_by_label` and their descending forms: they order the answer of an instant query.

use crate::error::Error;
use crate::eval::{CallSite, Context, Frame, Grid, Out};
use std::cmp::Ordering;

/// Evaluates the argument and orders its rows, where there is an order to give; `histograms`: they have a place in it.
fn sorted(
    cx: &mut Context<'_>,
    site: &CallSite<'_>,
    frame: Frame,
    histograms: bool,
    compare: impl Fn(&Grid, usize, usize) -> Ordering,
) -> Result<Out, Error> {
    let mut grid = site.vector(cx, 0, frame)?;
    // Of several that are told alike the last stays, which is the outermost.
    if frame.over_time {
        let text = "sort is ineffective for range queries since results are always ordered by labels";
        cx.notes.warn(site.span, text.to_owned());
    }
    if !histograms {
        grid.drop_histograms();
    }
    if frame.steps != 1 {
        return Ok(Out::Vector(grid));
    }
    let mut order: Vec<usize> = (0..grid.len()).collect();
    order.sort_by(|&a, &b| compare(&grid, a, b));
    Ok(Out::Vector(grid.reorder(order.into_iter())))
}

/// NaN comes last in either direction.
fn by_value(a: f64, b: f64, descending: bool) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (false, false) => {
            let order = a.partial_cmp(&b).unwrap_or(Ordering::Equal);
            if descending { order.reverse() } else { order }
        }
        (a, b) => a.cmp(&b),
    }
}

/// `sort(v)`.
pub(crate) fn ascending(cx: &mut Context<'_>, site: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    sorted(cx, site, frame, false, |g, a, b| {
        by_value(g.cells[a], g.cells[b], false)
    })
}

/// `sort_desc(v)`.
pub(crate) fn descending(cx: &mut Context<'_>, site: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    sorted(cx, site, frame, false, |g, a, b| by_value(g.cells[a], g.cells[b], true))
}

fn by_labels(g: &Grid, a: usize, b: usize, names: &[&str]) -> Ordering {
    let (a, b) = (&g.rows[a].labels, &g.rows[b].labels);
    let of_name = |name: &&str| natural(a.get(name).unwrap_or(""), b.get(name).unwrap_or(""));
    names
        .iter()
        .map(of_name)
        .find(|o| o.is_ne())
        .unwrap_or_else(|| a.cmp(b))
}

fn label_args<'a>(site: &CallSite<'a>) -> Result<Vec<&'a str>, Error> {
    (1..site.count()).map(|i| site.label(i)).collect()
}

/// `sort_by_label(v, label...)`: natural order of the labels' values, then by all labels.
pub(crate) fn by_label(cx: &mut Context<'_>, site: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    let names = label_args(site)?;
    sorted(cx, site, frame, true, |g, a, b| by_labels(g, a, b, &names))
}

/// `sort_by_label_desc(v, label...)`.
pub(crate) fn by_label_descending(cx: &mut Context<'_>, site: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    let names = label_args(site)?;
    sorted(cx, site, frame, true, |g, a, b| by_labels(g, b, a, &names))
}

/// Order in which `pod-9` comes before `pod-10`: runs of digits count as numbers.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a_rest, mut b_rest) = (a, b);
    while !a_rest.is_empty() && !b_rest.is_empty() {
        let (x, y) = (run(&mut a_rest), run(&mut b_rest));
        let digits = |s: &str| s.as_bytes()[0].is_ascii_digit();
        let order = if digits(x) && digits(y) {
            let (x, y) = (x.trim_start_matches('0'), y.trim_start_matches('0'));
            x.len().cmp(&y.len()).then_with(|| x.cmp(y))
        } else {
            x.cmp(y)
        };
        if order.is_ne() {
            return order;
        }
    }
    // Equal but for zeros in front of numbers: any fixed order will do.
    a_rest.len().cmp(&b_rest.len()).then_with(|| a.cmp(b))
}

/// Takes the run of digits, or of anything else, at the start.
fn run<'a>(rest: &mut &'a str) -> &'a str {
    let digit = rest.starts_with(|c: char| c.is_ascii_digit());
    let end = rest.find(|c: char| c.is_ascii_digit() != digit).unwrap_or(rest.len());
    let (run, tail) = rest.split_at(end);
    *rest = tail;
    run
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn natural_order_counts_digits() {
        let mut v = ["4m600", "10", "pod-10", "9", "4m5", "pod-9", "", "pod", "é2", "é10"];
        v.sort_by(|a, b| natural(a, b));
        assert_eq!(
            v,
            ["", "4m5", "4m600", "9", "10", "pod", "pod-9", "pod-10", "é2", "é10"]
        );
    }

    /// Prometheus' comparison is none (docs/deviations.md), and the sort of the standard library panics on such.
    #[test]
    fn natural_order_is_an_order_also_of_what_upstream_compares_in_circles() {
        let texts = [
            "",
            "0",
            "00",
            "01",
            "1",
            "2",
            "9",
            "10",
            "a",
            "a0",
            "a00",
            "a1",
            "a01b",
            "a1b",
            "9223372036854775807",
            "9223372036854775808",
            "10000000000000000000",
            "-1",
            "é",
        ];
        for a in texts {
            for b in texts {
                assert_eq!(natural(a, b), natural(b, a).reverse(), "{a} {b}");
                assert_eq!(natural(a, b).is_eq(), a == b, "{a} {b}");
                for c in texts.iter().filter(|c| natural(a, b).is_lt() && natural(b, c).is_lt()) {
                    assert!(natural(a, c).is_lt(), "{a} {b} {c}");
                }
            }
        }
    }

    #[test]
    fn nan_is_last_both_ways() {
        for descending in [false, true] {
            assert_eq!(by_value(f64::NAN, 1.0, descending), Ordering::Greater);
            assert_eq!(by_value(1.0, f64::NAN, descending), Ordering::Less);
        }
    }
}
