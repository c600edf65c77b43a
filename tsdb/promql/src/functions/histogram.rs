//! `histogram_quantile` and its relatives over classic histograms (series with `le`) and native ones.

use super::classic::{self, Bucket};
use super::native::{self, Asked};
use super::number::format_openmetrics;
use crate::error::Error;
use crate::eval::notes::{Notes, Repair};
use crate::eval::{CallSite, Cell, Context, Frame, Grid, Out, Row, Scalar, Trace, key, label_weight, weight};
use crate::syntax::ast::Span;
use leadline_model::Labels;
use leadline_model::histogram::FloatHistogram;
use leadline_model::quote::Quoted;
use rapidhash::RapidHashMap;

/// The label that holds a bucket's upper bound.
const LE: &str = "le";

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
        if grid.has_histograms() && !grid.row(i).1.contains(&true) {
            continue;
        }
        let le = row.labels.get(LE).unwrap_or("");
        let Some(bound) = parse_bound(le) else {
            let name = told_name(cx, &row.labels);
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

/// The metric's name as notes tell it: where names go at once, it is gone by then.
fn told_name<'a>(cx: &Context<'_>, labels: &'a Labels) -> &'a str {
    if cx.settings.features.delayed_name_removal {
        labels.name()
    } else {
        ""
    }
}

fn parse_bound(le: &str) -> Option<f64> {
    le.parse::<f64>().ok().filter(|b| !b.is_nan())
}

/// The histograms of a vector, of both kinds.
struct Histograms<'a> {
    grid: &'a Grid,
    span: Span,
    classic: Vec<Histogram>,
    /// Rows with native histograms, and the classic one with the same name and labels, if there is one.
    native: Vec<(usize, Option<usize>)>,
    /// Whether the results' names are still to go.
    drop_name: bool,
    /// Of each classic histogram the rows with native ones of the same name and labels.
    twins: Vec<Vec<usize>>,
    /// The steps at which a value is asked for, ascending.
    asked: Vec<usize>,
}

impl<'a> Histograms<'a> {
    fn of(cx: &mut Context<'_>, grid: &'a Grid, span: Span) -> Self {
        let classic = histograms(cx, grid, span);
        let mut native = Vec::new();
        if grid.has_histograms() {
            let numbers: RapidHashMap<&Labels, usize> = classic.iter().map(|h| &h.labels).zip(0..).collect();
            let rows = (0..grid.len()).filter(|&i| (0..grid.steps).any(|s| grid.histogram(i, s).is_some()));
            native = rows.map(|i| (i, numbers.get(&grid.rows[i].labels).copied())).collect();
        }
        let mut twins = vec![Vec::new(); classic.len()];
        for &(row, twin) in &native {
            if let Some(twin) = twin {
                twins[twin].push(row);
            }
        }
        Self {
            grid,
            span,
            classic,
            native,
            drop_name: true,
            twins,
            asked: (0..grid.steps).collect(),
        }
    }

    /// Whether both kinds have a histogram of the same name and labels at a step: neither is evaluated then.
    fn clash(&self, (row, twin): (usize, Option<usize>), step: usize) -> bool {
        let buckets = twin.map_or(&[][..], |twin| &self.classic[twin].buckets);
        self.grid.histogram(row, step).is_some() && buckets.iter().any(|&(_, b)| self.grid.get(b, step).is_some())
    }

    /// Adds a row for each histogram that has a value: called `labels` of its labels, with what `classic` makes of its
    /// buckets and `native` of a native histogram at each step.
    fn each(
        &self,
        cx: &mut Context<'_>,
        out: &mut Grid,
        labels: impl Fn(&Labels) -> Labels,
        native: impl Fn(usize, &FloatHistogram, &mut Notes, Asked<'_>) -> f64,
        classic: impl Fn(&mut Notes, &str, usize, &mut Vec<Bucket>) -> f64,
    ) -> Result<(), Error> {
        for &pair in &self.native {
            cx.tick()?;
            let row = &self.grid.rows[pair.0];
            let asked = Asked {
                span: self.span,
                metric: told_name(cx, &row.labels),
            };
            let mut opened = false;
            for &step in &self.asked {
                let Some(h) = self.grid.histogram(pair.0, step) else {
                    continue;
                };
                cx.spend(weight(h))?;
                if self.clash(pair, step) {
                    cx.notes.mixed_classic_and_native(self.span, asked.metric);
                    continue;
                }
                self.open(cx, out, &mut opened)?;
                let value = native(step, h, &mut cx.notes, asked);
                out.set(out.len(), step, Cell::Float(value));
            }
            if opened {
                self.keep(cx, out, labels(&row.labels), &row.trace)?;
            }
        }
        for (number, histogram) in self.classic.iter().enumerate() {
            if self.each_classic(cx, out, number, &classic)? {
                self.keep(cx, out, labels(&histogram.labels), &histogram.trace)?;
            }
        }
        Ok(())
    }

    /// Opens a row where none is yet: a quantile that moves would have one for each of its values and each histogram, though
    /// few of them meet.
    fn open(&self, cx: &mut Context<'_>, out: &mut Grid, opened: &mut bool) -> Result<(), Error> {
        if !std::mem::replace(opened, true) {
            cx.hold(self.grid.steps)?;
            out.open();
        }
        Ok(())
    }

    /// Keeps the opened row.
    fn keep(&self, cx: &mut Context<'_>, out: &mut Grid, labels: Labels, trace: &Trace) -> Result<(), Error> {
        cx.hold(label_weight::of(&labels))?;
        out.keep(self.result_row(labels, trace));
        Ok(())
    }

    /// Whether there is a value, and a row opened for it.
    fn each_classic(
        &self,
        cx: &mut Context<'_>,
        out: &mut Grid,
        number: usize,
        value: impl Fn(&mut Notes, &str, usize, &mut Vec<Bucket>) -> f64,
    ) -> Result<bool, Error> {
        cx.tick()?;
        let histogram = &self.classic[number];
        let twins = &self.twins[number];
        let metric = told_name(cx, &histogram.labels);
        let mut buckets = Vec::with_capacity(histogram.buckets.len());
        let mut opened = false;
        for &step in &self.asked {
            cx.spend(1 + histogram.buckets.len())?;
            histogram.at(self.grid, step, &mut buckets);
            if !buckets.is_empty() && !twins.iter().any(|&row| self.clash((row, Some(number)), step)) {
                self.open(cx, out, &mut opened)?;
                let value = value(&mut cx.notes, metric, step, &mut buckets);
                out.set(out.len(), step, Cell::Float(value));
            }
        }
        Ok(opened)
    }

    /// Adds one quantile of every histogram.
    fn quantile(
        &self,
        cx: &mut Context<'_>,
        out: &mut Grid,
        (q, frame): (&Scalar, Frame),
        labels: impl Fn(&Labels) -> Labels,
    ) -> Result<(), Error> {
        let native = |step: usize, h: &FloatHistogram, notes: &mut Notes, asked: Asked<'_>| {
            native::quantile(q.values[step], h, notes, asked)
        };
        self.each(cx, out, labels, native, |notes, metric, step, buckets| {
            let (value, repaired) = classic::quantile(q.values[step], buckets);
            if let Some(r) = repaired {
                let at = frame.at(step);
                notes.repaired(Repair {
                    metric: metric.to_owned(),
                    span: self.span,
                    times: (at, at),
                    bounds: r.bounds,
                    max_diff: r.max_diff,
                    count: 1,
                });
            }
            value
        })
    }

    fn result_row(&self, labels: Labels, trace: &Trace) -> Row {
        Row {
            labels,
            drop_name: self.drop_name,
            trace: trace.clone(),
        }
    }

    /// The finished vector: rows of both kinds that got one label set are one.
    fn finish(&self, mut out: Grid) -> Result<Out, Error> {
        out.prune();
        if self.native.is_empty() {
            Ok(Out::Vector(out))
        } else {
            out.merge_equal().map(Out::Vector)
        }
    }
}

/// `histogram_quantile(q, v)`.
pub(crate) fn quantile(cx: &mut Context<'_>, site: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    let q = site.scalar(cx, 0, frame)?;
    let grid = site.blind_vector(cx, 1, frame)?;
    for &q in &q.values {
        cx.notes.check_quantile(q, site.arg(0)?.span);
    }
    let mut out = Grid::with_capacity(frame.steps, grid.len() / 8 + 1);
    let histograms = Histograms::of(cx, &grid, site.arg(1)?.span);
    histograms.quantile(cx, &mut out, (&q, frame), Labels::clone)?;
    out.absorb(0, &q.trace);
    histograms.finish(out)
}

/// `histogram_quantiles(v, label, q...)`: several quantiles, told apart by a label.
pub(crate) fn quantiles(cx: &mut Context<'_>, site: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    let grid = site.blind_vector(cx, 0, frame)?;
    let name = site.text(1)?;
    let mut asked = Vec::with_capacity(site.count());
    for i in 2..site.count() {
        let q = site.scalar(cx, i, frame)?;
        for &q in &q.values {
            cx.notes.check_quantile(q, site.arg(i)?.span);
        }
        asked.push(q);
    }
    let mut out = Grid::with_capacity(frame.steps, grid.len());
    let mut histograms = Histograms::of(cx, &grid, site.arg(0)?.span);
    // Where names go at once, the label may be called as they are.
    histograms.drop_name = cx.settings.features.delayed_name_removal;
    for q in &asked {
        let before = out.len();
        for (key, steps) in by_quantile(&q.values) {
            histograms.asked = steps;
            let text = format_openmetrics(f64::from_bits(key));
            let delayed = histograms.drop_name;
            let left = |labels: &Labels| if delayed { labels.clone() } else { key::nameless(labels) };
            let with_q = |labels: &Labels| left(labels).to_builder().set(&name, &text).build();
            histograms.quantile(cx, &mut out, (q, frame), with_q)?;
        }
        out.absorb(before, &q.trace);
    }
    out.prune();
    out.merge_equal().map(Out::Vector)
}

/// The quantiles that are asked for, in the order in which they come up, each with its steps: one that moves has a series
/// for each of its values.
fn by_quantile(values: &[f64]) -> Vec<(u64, Vec<usize>)> {
    let mut numbers: RapidHashMap<u64, usize> = RapidHashMap::default();
    let mut out: Vec<(u64, Vec<usize>)> = Vec::new();
    for (step, &q) in values.iter().enumerate() {
        let key = quantile_key(q);
        let number = *numbers.entry(key).or_insert(out.len());
        if number == out.len() {
            out.push((key, Vec::new()));
        }
        out[number].1.push(step);
    }
    out
}

/// What tells quantiles apart: NaN is one of them, and so are 0 and -0.
fn quantile_key(q: f64) -> u64 {
    match q {
        q if q.is_nan() => f64::NAN.to_bits(),
        // That adds nothing to any other number, and makes 0 of -0.
        q => (q + 0.0).to_bits(),
    }
}

/// `histogram_fraction(lower, upper, v)`.
pub(crate) fn fraction(cx: &mut Context<'_>, site: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    let (lower, upper) = (site.scalar(cx, 0, frame)?, site.scalar(cx, 1, frame)?);
    let grid = site.blind_vector(cx, 2, frame)?;
    let mut out = Grid::with_capacity(frame.steps, grid.len() / 8 + 1);
    let histograms = Histograms::of(cx, &grid, site.arg(2)?.span);
    histograms.each(
        cx,
        &mut out,
        Labels::clone,
        |step, h, notes, asked| native::fraction((lower.values[step], upper.values[step]), h, notes, asked),
        |_, _, step, buckets| classic::fraction(lower.values[step], upper.values[step], buckets),
    )?;
    out.absorb(0, &lower.trace);
    out.absorb(0, &upper.trace);
    histograms.finish(out)
}
