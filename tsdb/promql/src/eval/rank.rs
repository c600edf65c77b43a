//! Aggregations that keep some of their series: `topk`, `bottomk`, `limitk`, `limit_ratio`.

use super::aggregate::{Groups, selection};
use super::extent::Extent;
use super::sampling::share;
use super::{Context, Grid, Scalar};
use crate::error::Error;
use crate::functions::number::format_g;
use crate::syntax::ast::{Aggregate, AggregateOp, Span};
use std::cmp::Ordering;

/// Evaluates a ranking aggregation of `input`.
///
/// # Errors
/// [`Error`].
pub(crate) fn evaluate(
    cx: &mut Context<'_>,
    (a, whole): (&Aggregate, Span),
    input: &Grid,
    parameter: &Scalar,
) -> Result<Grid, Error> {
    let span = a.param.as_ref().map(|p| p.unwrapped().span).unwrap_or_default();
    let nothing = Grid::with_capacity(input.steps, 0);
    let sensible = match a.op {
        AggregateOp::LimitRatio => check_ratio(cx, &parameter.values, span)?,
        _ => check_k(&parameter.values)?,
    };
    if !sensible {
        return Ok(nothing);
    }
    let groups = Groups::of(selection(a), input);
    cx.hold(input.cells.len())?;
    let mut out = input.clone();
    if ranks(a.op) && out.drop_histogram_cells() {
        cx.notes.histogram_ignored(whole, a.op.as_str());
    }
    out.present.fill(false);
    let order = keep(cx, a.op, (input, &parameter.values), &groups, &mut out)?;
    if input.steps == 1 {
        out = out.reorder(order.into_iter());
    } else {
        out.prune();
    }
    out.absorb(0, &parameter.trace);
    Ok(out)
}

/// Whether the operator puts numbers in order.
fn ranks(op: AggregateOp) -> bool {
    matches!(op, AggregateOp::Topk | AggregateOp::Bottomk)
}

/// Brings the numbers that are kept to `out` and takes the histograms that are not from it, which has all of `input`.
/// Returns, of an instant query, the kept rows in the order of their rank.
fn keep(
    cx: &mut Context<'_>,
    op: AggregateOp,
    (input, parameters): (&Grid, &[f64]),
    groups: &Groups,
    out: &mut Grid,
) -> Result<Vec<usize>, Error> {
    let shares = match op {
        AggregateOp::LimitRatio => shares(input),
        _ => Vec::new(),
    };
    let there = |m: usize, step: usize| match ranks(op) {
        true => input.row(m).1[step],
        false => input.occupied(m, step),
    };
    let (mut order, mut chosen) = (Vec::new(), Vec::new());
    let mut kept = vec![false; if out.has_histograms() { input.len() } else { 0 }];
    for members in &groups.members() {
        for (step, &parameter) in parameters.iter().enumerate().take(input.steps) {
            // All of them may be put in order.
            cx.spend(members.len().saturating_mul(4))?;
            chosen.clear();
            chosen.extend(members.iter().copied().filter(|&m| there(m, step)));
            choose(op, (input, &shares), step, parameter, &mut chosen);
            for row in &chosen {
                out.present[row * input.steps + step] = input.row(*row).1[step];
            }
            if !kept.is_empty() {
                chosen.iter().for_each(|&row| kept[row] = true);
                let others = members.iter().filter(|&&m| !std::mem::take(&mut kept[m]));
                others.for_each(|&m| out.vacate(m, step));
            }
            if input.steps == 1 {
                order.extend_from_slice(&chosen);
            }
        }
    }
    Ok(order)
}

/// Whether any k asks for something.
fn check_k(values: &[f64]) -> Result<bool, Error> {
    let extent = Extent::of(values);
    if extent.max < 1.0 {
        return Ok(false);
    }
    if extent.has_nan {
        return Err(Error::execution("Parameter value is NaN"));
    }
    // The smallest and largest number that fits 64 bits with a sign.
    for (out_of_range, k, word) in [
        (extent.min <= -9_223_372_036_854_775_808.0, extent.min, "underflows"),
        (extent.max >= 9_223_372_036_854_775_807.0, extent.max, "overflows"),
    ] {
        if out_of_range {
            return Err(Error::execution(format!("Scalar value {} {word} int64", format_g(k))));
        }
    }
    Ok(true)
}

/// Whether any ratio asks for something.
fn check_ratio(cx: &mut Context<'_>, values: &[f64], span: Span) -> Result<bool, Error> {
    let Extent { has_nan, min, max } = Extent::of(values);
    if max == 0.0 && min == 0.0 {
        return Ok(false);
    }
    if has_nan {
        return Err(Error::execution("Ratio value is NaN"));
    }
    for (out_of_range, value, to) in [(max > 1.0, max, "1"), (min < -1.0, min, "-1")] {
        if out_of_range {
            let got = format_g(value);
            let text = format!("ratio value should be between -1 and 1, got {got}, capping to {to}");
            cx.notes.warn(span, text);
        }
    }
    Ok(true)
}

/// Reduces `rows`, the members of one group that are there, to those that are kept.
fn choose(op: AggregateOp, (input, shares): (&Grid, &[f64]), step: usize, parameter: f64, rows: &mut Vec<usize>) {
    let value = |row: usize| input.cells[row * input.steps + step];
    let k = if parameter < 1.0 {
        0
    } else {
        (parameter as usize).min(rows.len())
    };
    match op {
        AggregateOp::Topk => best(rows, k, |&a, &b| top(value(a), value(b))),
        AggregateOp::Bottomk => best(rows, k, |&a, &b| ranked(value(a), value(b))),
        AggregateOp::Limitk => rows.truncate(k),
        _ => {
            let ratio = parameter.clamp(-1.0, 1.0);
            rows.retain(|&row| sampled(shares[row], ratio));
            let number = |row: usize| if input.row(row).1[step] { value(row) } else { 0.0 };
            heaped(rows, |&a, &b| number(a).is_nan() || number(a) < number(b));
        }
    }
}

/// Keeps the `k` best, the best first. Which of equals are kept follows from the heap that upstream keeps them in.
fn best(rows: &mut Vec<usize>, k: usize, compare: impl Fn(&usize, &usize) -> Ordering) {
    if k == 0 {
        return rows.clear();
    }
    let worse = |a: &usize, b: &usize| compare(a, b).is_gt();
    if k < rows.len() {
        let mut heap: Vec<usize> = Vec::with_capacity(k);
        for row in rows.drain(..) {
            if heap.len() < k {
                heap.push(row);
                rise(&mut heap, &worse);
            } else if compare(&heap[0], &row).is_gt() {
                heap[0] = row;
                sink(&mut heap, &worse);
            }
        }
        *rows = heap;
    }
    rows.sort_unstable_by(|a, b| compare(a, b).then_with(|| a.cmp(b)));
}

/// Puts rows into the order of the heap that upstream adds them to, which is the order of an instant query's series
/// (`promql/engine.go`, `aggregationK`): sums over them round as they do there.
fn heaped(rows: &mut Vec<usize>, less: impl Fn(&usize, &usize) -> bool) {
    for row in std::mem::take(rows) {
        rows.push(row);
        rise(rows, &less);
    }
}

/// Moves the last up to where its parent is worse (`container/heap`, up).
fn rise(heap: &mut [usize], worse: &impl Fn(&usize, &usize) -> bool) {
    let mut at = heap.len() - 1;
    while at > 0 {
        let parent = (at - 1) / 2;
        if !worse(&heap[at], &heap[parent]) {
            return;
        }
        heap.swap(at, parent);
        at = parent;
    }
}

/// Moves the first down to where its children are better (`container/heap`, down).
fn sink(heap: &mut [usize], worse: &impl Fn(&usize, &usize) -> bool) {
    let mut at = 0;
    loop {
        let (left, right) = (2 * at + 1, 2 * at + 2);
        if left >= heap.len() {
            return;
        }
        let child = if right < heap.len() && worse(&heap[right], &heap[left]) {
            right
        } else {
            left
        };
        if !worse(&heap[child], &heap[at]) {
            return;
        }
        heap.swap(child, at);
        at = child;
    }
}

/// The order of `topk`: the largest first, NaN last.
fn top(a: f64, b: f64) -> Ordering {
    if a.is_nan() || b.is_nan() {
        ranked(a, b)
    } else {
        ranked(b, a)
    }
}

/// The order of `bottomk`: the smallest first, NaN last.
fn ranked(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| match (a.is_nan(), b.is_nan()) {
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        _ => Ordering::Equal,
    })
}

/// Where each series stands between 0 and 1.
fn shares(input: &Grid) -> Vec<f64> {
    let mut buffer = Vec::new();
    input.rows.iter().map(|row| share(&row.labels, &mut buffer)).collect()
}

/// Whether a series is in the sample: its share is below `ratio`, or for a negative ratio in the complement, so that
/// `limit_ratio(r, v)` and `limit_ratio(r - 1, v)` make `v`.
fn sampled(share: f64, ratio: f64) -> bool {
    (ratio >= 0.0 && share < ratio) || (ratio < 0.0 && share >= 1.0 + ratio)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_ranks_last_in_both_directions() {
        let v = [3.0, f64::NAN, 1.0, 2.0];
        let mut rows = vec![0, 1, 2, 3];
        best(&mut rows, 4, |&a, &b| top(v[a], v[b]));
        assert_eq!(rows, [0, 3, 2, 1]);
        let mut rows = vec![0, 1, 2, 3];
        best(&mut rows, 2, |&a, &b| ranked(v[a], v[b]));
        assert_eq!(rows, [2, 3]);
    }

    #[test]
    fn a_ratio_and_its_complement_share_the_series() {
        for share in [0.0, 0.1, 1.0 / 3.0, 0.4, 0.5, 1.0] {
            assert!(sampled(share, 0.4) != sampled(share, -0.6), "{share}");
        }
    }

    #[test]
    fn what_a_ratio_keeps_stands_in_the_order_of_a_heap() {
        let v = [5.0, 4.0, 3.0, f64::NAN, 1.0];
        let mut rows = vec![0, 1, 2, 3, 4];
        heaped(&mut rows, |&a, &b| v[a].is_nan() || v[a] < v[b]);
        // 5 | 4 5 | 3 5 4 | NaN 3 4 5 | NaN 1 4 5 3
        assert_eq!(rows, [3, 4, 1, 0, 2]);
    }

    #[test]
    fn parameters_that_make_no_sense_are_refused() {
        assert!(!check_k(&[0.5, -3.0]).unwrap());
        for (k, text) in [
            (&[f64::NAN][..], "Parameter value is NaN"),
            (&[1e19], "Scalar value 1e+19 overflows int64"),
            (&[1e19, f64::NAN], "Parameter value is NaN"),
            (&[1e19, 2e19, -1e19], "Scalar value -1e+19 underflows int64"),
            (&[1e19, 2e19], "Scalar value 2e+19 overflows int64"),
        ] {
            assert_eq!(check_k(k).unwrap_err().to_string(), text);
        }
    }
}
