//! `histogram_quantile` and its relatives over classic histograms (series with `le`).

use super::classic::{self, Bucket};
use super::number::format_openmetrics;
use crate::error::Error;
use crate::eval::notes::Repair;
use crate::eval::{CallSite, Context, Frame, Grid, Out, Row, Scalar, Trace, key};
use crate::syntax::ast::Span;
use leadline_model::Labels;
use leadline_model::quote::Quoted;

/// The label that holds a bucket's upper bound.
const LE: &str = "le";

/// Functions that only native histograms answer: floats give nothing.
pub(crate) fn native_only(cx: &mut Context<'_>, site: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    site.vector(cx, 0, frame)?;
    Ok(Out::Vector(Grid::with_capacity(frame.steps, 0)))
}

/// The bucket series of one histogram.
struct Histogram {
    /// Without `le`, with the metric's name.
    labels: Labels,
    /// (upper bound, row), sorted by bound.
    buckets: Vec<(f64, usize)>,
    trace: Trace,
}

impl Histogram {
    /// The buckets that have a value at a step.
    fn at(&self, grid: &Grid, step: usize, into: &mut Vec<Bucket>) {
        into.clear();
        let present = |&(bound, row): &(f64, usize)| grid.get(row, step).map(|count| Bucket { bound, count });
        into.extend(self.buckets.iter().filter_map(present));
    }
}

/// Sorts the rows of a vector into histograms; rows without a usable `le` are told and left out.
fn histograms(cx: &mut Context<'_>, grid: &Grid, span: Span) -> Vec<Histogram> {
    let mut numbers = key::Numbering::new(key::Selection::all_but(LE));
    let mut out: Vec<Histogram> = Vec::new();
    for (i, row) in grid.rows.iter().enumerate() {
        let le = row.labels.get(LE).unwrap_or("");
        let Some(bound) = parse_bound(le) else {
            let name = row.labels.name();
            let metric = if name.is_empty() {
                String::new()
            } else {
                format!(" for metric name {}", Quoted(name))
            };
            cx.notes.warn(
                span,
                format!(
                    "bucket label \"le\" is missing or has a malformed value of {}{metric}",
                    Quoted(le)
                ),
            );
            continue;
        };
        let number = numbers.number(&row.labels);
        if number == out.len() {
            let labels = row.labels.without(|n| n == LE);
            out.push(Histogram {
                labels,
                buckets: Vec::new(),
                trace: Trace::default(),
            });
        }
        out[number].buckets.push((bound, i));
        out[number].trace.absorb(&row.trace);
    }
    for histogram in &mut out {
        histogram.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    out
}

fn parse_bound(le: &str) -> Option<f64> {
    le.parse::<f64>().ok().filter(|b| !b.is_nan())
}

/// Puts a row together from what `value` makes of a histogram's buckets at each step.
fn fill(
    cx: &mut Context<'_>,
    out: &mut Grid,
    (histogram, grid): (&Histogram, &Grid),
    labels: Labels,
    mut value: impl FnMut(&mut Context<'_>, usize, &mut Vec<Bucket>) -> f64,
) -> Result<(), Error> {
    cx.tick()?;
    cx.hold(grid.steps)?;
    let mut buckets = Vec::with_capacity(histogram.buckets.len());
    let (cells, present) = out.open();
    for step in 0..grid.steps {
        histogram.at(grid, step, &mut buckets);
        if !buckets.is_empty() {
            present[step] = true;
            cells[step] = value(cx, step, &mut buckets);
        }
    }
    out.keep(Row {
        labels,
        drop_name: true,
        trace: histogram.trace.clone(),
    });
    Ok(())
}

/// One quantile of every histogram.
fn quantile_into(
    cx: &mut Context<'_>,
    out: &mut Grid,
    (grid, span, frame): (&Grid, Span, Frame),
    q: &Scalar,
    labels: impl Fn(&Labels, f64) -> Labels,
) -> Result<(), Error> {
    for histogram in &histograms(cx, grid, span) {
        let target = labels(&histogram.labels, q.values.first().copied().unwrap_or(f64::NAN));
        fill(cx, out, (histogram, grid), target, |cx, step, buckets| {
            let (value, repaired) = classic::quantile(q.values[step], buckets);
            if let Some(r) = repaired {
                let at = frame.at(step);
                cx.notes.repaired(Repair {
                    metric: histogram.labels.name().to_owned(),
                    span,
                    times: (at, at),
                    bounds: r.bounds,
                    max_diff: r.max_diff,
                    count: 1,
                });
            }
            value
        })?;
    }
    Ok(())
}

/// `histogram_quantile(q, v)`.
pub(crate) fn quantile(cx: &mut Context<'_>, site: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    let q = site.scalar(cx, 0, frame)?;
    let grid = site.vector(cx, 1, frame)?;
    for &q in &q.values {
        cx.notes.check_quantile(q, site.arg(0)?.span);
    }
    let mut out = Grid::with_capacity(frame.steps, grid.len() / 8 + 1);
    quantile_into(cx, &mut out, (&grid, site.arg(1)?.span, frame), &q, |labels, _| {
        labels.clone()
    })?;
    Ok(Out::Vector(out))
}

/// `histogram_quantiles(v, label, q...)`: several quantiles, told apart by a label.
pub(crate) fn quantiles(cx: &mut Context<'_>, site: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    let grid = site.vector(cx, 0, frame)?;
    let name = site.text(1)?;
    let mut out = Grid::with_capacity(frame.steps, grid.len());
    for i in 2..site.count() {
        let q = site.scalar(cx, i, frame)?;
        for &q in &q.values {
            cx.notes.check_quantile(q, site.arg(i)?.span);
        }
        let with_q = |labels: &Labels, q: f64| labels.to_builder().set(name, &format_openmetrics(q)).build();
        quantile_into(cx, &mut out, (&grid, site.arg(0)?.span, frame), &q, with_q)?;
    }
    out.merge_equal().map(Out::Vector)
}

/// `histogram_fraction(lower, upper, v)`.
pub(crate) fn fraction(cx: &mut Context<'_>, site: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    let (lower, upper) = (site.scalar(cx, 0, frame)?, site.scalar(cx, 1, frame)?);
    let grid = site.vector(cx, 2, frame)?;
    let mut out = Grid::with_capacity(frame.steps, grid.len() / 8 + 1);
    for histogram in &histograms(cx, &grid, site.arg(2)?.span) {
        fill(
            cx,
            &mut out,
            (histogram, &grid),
            histogram.labels.clone(),
            |_, step, buckets| classic::fraction(lower.values[step], upper.values[step], buckets),
        )?;
    }
    Ok(Out::Vector(out))
}
