//! Range selectors and subqueries as windows of samples, and functions over them.

use super::call::CallSite;
use super::grid::{Frame, Grid};
use super::histogram_points::weight;
use super::key::METADATA;
use super::mixed_windows::MixedColumns;
use super::notes::Notes;
use super::ranges::{Cutter, Loaded, Ranges, Source};
use super::start_times::StartTimes;
use super::{Context, Scalar, steady};
use crate::error::Error;
use crate::functions::integral::is_strategy;
use crate::functions::number::format_g;
use crate::functions::vector::absence;
use crate::functions::window::{Window, WindowFn, check_args, check_border};
use crate::functions::{border, rate};
use crate::syntax::ast::{Border, Expr, ExprKind, Span};
use leadline_model::histogram::FloatHistogram;
use leadline_model::quote::Quoted;
use leadline_model::sample::Samples;
use leadline_model::{Labels, Timestamp};
use std::sync::Arc;

/// The range vector that a function gets, and the values of its scalar arguments.
fn arguments<'a>(cx: &mut Context<'_>, site: &CallSite<'a>, frame: Frame) -> Result<(&'a Expr, Vec<Scalar>), Error> {
    let (mut range, mut others) = (None, Vec::new());
    for i in 0..site.count() {
        match site.arg(i)? {
            arg @ Expr {
                kind: ExprKind::Matrix { .. } | ExprKind::Subquery(_),
                ..
            } => range = Some(arg),
            _ => others.push(site.scalar(cx, i, frame)?),
        }
    }
    let missing = || Error::execution(format!("{}() takes a range vector", site.call.function));
    Ok((range.ok_or_else(missing)?, others))
}

/// Evaluates a function over the windows of its range argument.
///
/// # Errors
/// [`Error`].
pub(crate) fn evaluate(cx: &mut Context<'_>, site: &CallSite<'_>, f: WindowFn, frame: Frame) -> Result<Grid, Error> {
    if frame.steps == 0 {
        return Ok(Grid::with_capacity(0, 0));
    }
    let name = site.call.function.as_str();
    let (range, others) = arguments(cx, site, frame)?;
    let call = WindowCall {
        name,
        f,
        others: &others,
        span: position(site.arg(0)?),
        argument: position(site.arg(site.count() - 1)?),
        lookback_ms: cx.lookback_ms,
        counts: counts(name),
    };
    let ranges = Ranges::open(cx, range, frame)?;
    check_border(name, ranges.border)?;
    let reads_starts = reads_starts(name);
    let (mut starts, mut st) = (StartTimes::default(), Vec::new());
    let mut grid = Grid::with_capacity(frame.steps, ranges.len());
    let mut loaded = Loaded::default();
    let mut counters = CounterCheck::of(name);
    let by_type = cx.settings.features.type_and_unit_labels;
    for i in 0..ranges.len() {
        ranges.load(cx, i, &mut loaded)?;
        cx.consumption.consume_windows(&ranges, &loaded, frame);
        ranges.load_starts(cx, i, &mut starts, reads_starts)?;
        starts.align(&loaded.samples.t, &mut st);
        cx.hold(frame.steps)?;
        let (cells, present) = grid.open();
        let used = if loaded.histograms.points.is_empty() {
            let columns = Columns {
                samples: &loaded.samples,
                st: &st,
                series: i,
            };
            call.fill(cx, &ranges, columns, frame, (cells, present))?
        } else {
            loaded.histograms.set_starts(&starts);
            let columns = MixedColumns {
                samples: &loaded.samples,
                st: &st,
                histograms: &loaded.histograms.points,
                series: i,
            };
            call.fill_mixed(cx, &mut grid, &ranges, columns, frame)?
        };
        match used {
            Some(used) => {
                let row = ranges.row(i, call.drops_name(), used);
                match grid.open_has_number() {
                    true if by_type => counters.check_type(&mut cx.notes, &row.labels, call.span),
                    true => counters.check(&mut cx.notes, row.labels.name(), call.span),
                    false => {}
                }
                grid.keep(row);
                cx.hold(grid.last_histogram_weight())?;
            }
            None => {
                grid.discard();
                cx.release(frame.steps);
            }
        }
    }
    for scalar in &others {
        grid.absorb(0, &scalar.trace);
    }
    Ok(if name == "absent_over_time" {
        absence(&grid, range)
    } else {
        grid
    })
}

/// A function over windows with its arguments.
pub(super) struct WindowCall<'a> {
    /// The function's name.
    pub(super) name: &'a str,
    /// What it does to numbers.
    pub(super) f: WindowFn,
    /// The scalar arguments.
    pub(super) others: &'a [Scalar],
    /// The first argument, where notes point.
    pub(super) span: Span,
    /// The last argument.
    argument: Span,
    /// How far (ms) instant selectors look back.
    pub(super) lookback_ms: i64,
    /// Whether falling values are resets that it has to find.
    counts: bool,
}

/// Whether a function reads when counters began.
pub(super) fn reads_starts(function: &str) -> bool {
    matches!(function, "rate" | "irate" | "increase" | "resets")
}

/// Whether the results of a function mean something else than the samples did.
pub(super) fn drops_name(function: &str) -> bool {
    !matches!(function, "last_over_time" | "first_over_time")
}

/// Whether a function adds up what a counter counted.
fn counts(function: &str) -> bool {
    matches!(function, "rate" | "increase")
}

impl<'a> WindowCall<'a> {
    /// A function without scalar arguments over the windows of a selector, which stands at `span`.
    pub(super) fn of_selector(cx: &Context<'_>, name: &'a str, f: WindowFn, span: Span) -> Self {
        Self {
            name,
            f,
            others: &[],
            span,
            argument: span,
            lookback_ms: cx.lookback_ms,
            counts: counts(name),
        }
    }
}

/// What is known of the series whose windows are cut.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a> {
    pub(super) samples: &'a Samples,
    /// Start times, ms; empty when none is known.
    pub(super) st: &'a [Timestamp],
    /// Its number in the range vector.
    pub(super) series: usize,
}

/// What is used when two spans of time (first and last sample, ms) are.
pub(crate) fn spanned(
    one: Option<(Timestamp, Timestamp)>,
    other: Option<(Timestamp, Timestamp)>,
) -> Option<(Timestamp, Timestamp)> {
    match (one, other) {
        (Some((o, n)), Some((oldest, newest))) => Some((o.min(oldest), n.max(newest))),
        (one, other) => one.or(other),
    }
}

/// Where notes about an argument point to. A subquery has no place of its own: upstream puts a selector without one in its
/// stead (`promql/engine.go`, evalSubquery).
fn position(argument: &Expr) -> Span {
    match argument.kind {
        ExprKind::Subquery(_) => Span::default(),
        _ => argument.span,
    }
}

impl WindowCall<'_> {
    /// Whether the results mean something else than the samples did.
    fn drops_name(&self) -> bool {
        drops_name(self.name)
    }

    /// Computes all steps of one series; `None` when no step has a value, else the times of the oldest and the newest
    /// sample that were used.
    pub(super) fn fill(
        &self,
        cx: &mut Context<'_>,
        ranges: &Ranges,
        columns: Columns<'_>,
        frame: Frame,
        (cells, present): (&mut [f64], &mut [bool]),
    ) -> Result<Option<(Timestamp, Timestamp)>, Error> {
        let Columns { samples, st, series } = columns;
        // Most counters never fall in what is read: then no window of them has to be looked through.
        let steady = self.counts && st.is_empty() && rate::is_steady(&samples.v);
        if steady && ranges.border == Border::Open {
            // Each sample enters a window and leaves it.
            cx.spend(frame.steps.saturating_add(samples.len()))?;
            return Ok(steady::fill(
                (ranges.moved, ranges.range_ms),
                self.name == "rate",
                samples,
                frame,
                (cells, present),
            ));
        }
        let (before, behind) = ranges.margins;
        let mut used: Option<(Timestamp, Timestamp)> = None;
        let mut cutter = Cutter::default();
        let mut args: [f64; 4] = [0.0; 4];
        let count = self.others.len().min(args.len());
        for step in 0..frame.steps {
            let at = frame.at(step);
            let end = ranges.moved.time(at);
            let start = end.saturating_sub(ranges.range_ms);
            let (from, to) = (start.saturating_sub(before), end.saturating_add(behind));
            let cut = cutter.cut(&samples.t, |t| *t, from, to);
            // A function sees the whole window at each step.
            cx.spend(1 + cut.len())?;
            if cut.is_empty() {
                continue;
            }
            for (arg, scalar) in args.iter_mut().zip(self.others) {
                *arg = scalar.values[step];
            }
            if count > 0 {
                self.check(&mut cx.notes, &args[..count])?;
            }
            let window = Window {
                t: &samples.t[cut.clone()],
                v: &samples.v[cut.clone()],
                start,
                end,
                at,
                args: &args[..count],
                st: st.get(cut).unwrap_or_default(),
                border: ranges.border,
                lookback_ms: self.lookback_ms,
            };
            if !st.is_empty() && self.extrapolates(ranges.border) && rate::starts_overlap(&window) {
                cx.notes.start_overlaps(self.span, ranges.labels(series).name());
            }
            if let Some(value) = (self.f)(&window) {
                cells[step] = value;
                present[step] = true;
                used = spanned(used, border::seen(&window, window.t, |t| *t));
            }
        }
        Ok(used)
    }

    /// Whether it is `rate` or `increase` of a window that is extrapolated to its borders.
    pub(super) fn extrapolates(&self, border: Border) -> bool {
        border == Border::Open && matches!(self.name, "rate" | "increase")
    }

    /// Refuses or tells what is wrong with the scalar arguments.
    pub(super) fn check(&self, notes: &mut Notes, args: &[f64]) -> Result<(), Error> {
        if self.name == "integral" && !is_strategy(args[0]) {
            let got = format_g(args[0]);
            let text = format!("strategy should be 0, 1, or 2 (default), using 2, got {got}");
            notes.warn(self.argument, text);
        }
        if self.name == "quantile_over_time" {
            notes.check_quantile(args[0], self.span);
        }
        check_args(self.name, args)
    }
}

/// Tells that `rate` or `increase` read a metric that is not called like a counter, or is not of such a type where the feature
/// `type-and-unit-labels` is on; once a metric (`promql/engine.go`, `rangeEval` of range vectors).
pub(super) struct CounterCheck {
    wanted: bool,
    last: Vec<u8>,
}

/// The label that has the type of a metric.
const TYPE: &str = METADATA[1];

impl CounterCheck {
    pub(super) fn of(function: &str) -> Self {
        Self {
            wanted: counts(function),
            last: Vec::new(),
        }
    }

    /// Whether the function is one of counters.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Sees a series of the metric `name`, which is empty where there is none.
    #[inline]
    pub(super) fn check(&mut self, notes: &mut Notes, name: &str, span: Span) {
        if !self.wanted || name.is_empty() {
            return;
        }
        let metric = name;
        let name = name.as_bytes();
        // The series of a selector have one name as a rule.
        if name == self.last.as_slice() {
            return;
        }
        self.last.clear();
        self.last.extend_from_slice(name);
        if ![&b"_total"[..], b"_sum", b"_count", b"_bucket"]
            .iter()
            .any(|s| name.ends_with(s))
        {
            let text = "metric might not be a counter, name does not end in _total/_sum/_count/_bucket";
            notes.info(span, format!("{text}: {}", Quoted(metric)));
        }
    }

    /// The same by the label for types.
    pub(super) fn check_type(&mut self, notes: &mut Notes, labels: &Labels, span: Span) {
        let (metric, kind) = (labels.name(), labels.get(TYPE).unwrap_or(""));
        if self.wanted && !metric.is_empty() && !["counter", "histogram"].contains(&kind) {
            let text = "metric might not be a counter, __type__ label is not set to \"counter\" or \"histogram\"";
            notes.info(span, format!("{text}, got {}: {}", Quoted(kind), Quoted(metric)));
        }
    }
}

/// The refusal of histograms in range vectors with borders, which are defined for numbers.
fn check_border_of_histograms(border: Border, any: bool) -> Result<(), Error> {
    let word = match border {
        Border::Anchored if any => "anchored",
        Border::Smoothed if any => "smoothed",
        _ => return Ok(()),
    };
    Err(Error::execution(format!(
        "{word} modifier is not supported with histograms"
    )))
}

/// One series of a range vector.
pub(crate) struct RangeRow {
    /// The label set, with the metric's name.
    pub(crate) labels: Labels,
    /// Whether the name goes.
    pub(crate) drop_name: bool,
    /// Times (ms) and numbers.
    pub(crate) points: Vec<(Timestamp, f64)>,
    /// Times (ms) and histograms.
    pub(crate) histograms: Vec<(Timestamp, Arc<FloatHistogram>)>,
}

/// The range vector that a whole instant query asks for.
///
/// # Errors
/// [`Error`].
pub(crate) fn top_level(cx: &mut Context<'_>, expr: &Expr, frame: Frame) -> Result<Vec<RangeRow>, Error> {
    let expr = expr.unwrapped();
    let ranges = Ranges::open(cx, expr, frame)?;
    let end = ranges.moved.time(frame.start);
    let start = end.saturating_sub(ranges.range_ms);
    let mut loaded = Loaded::default();
    let mut out = Vec::with_capacity(ranges.len());
    for i in 0..ranges.len() {
        ranges.load(cx, i, &mut loaded)?;
        cx.consumption.consume_windows(&ranges, &loaded, frame);
        let samples = &loaded.samples;
        let (before, behind) = ranges.margins;
        let (from, to) = (start.saturating_sub(before), end.saturating_add(behind));
        let cut = Cutter::default().cut(&samples.t, |t| *t, from, to);
        let window = Window {
            t: &samples.t[cut.clone()],
            v: &samples.v[cut],
            start,
            end,
            at: frame.start,
            border: ranges.border,
            lookback_ms: cx.lookback_ms,
            ..Window::default()
        };
        let points = match ranges.border {
            Border::Open => window.t.iter().copied().zip(window.v.iter().copied()).collect(),
            _ => border::bordered(&window),
        };
        let histograms = &loaded.histograms.points;
        let cut = Cutter::default().cut(histograms, |p| p.t, from, to);
        let histograms: Vec<_> = histograms[cut].iter().map(|p| (p.t, Arc::clone(&p.h))).collect();
        check_border_of_histograms(ranges.border, !histograms.is_empty())?;
        if points.is_empty() && histograms.is_empty() {
            continue;
        }
        cx.hold(points.len() + histograms.iter().map(|(_, h)| weight(h)).sum::<usize>())?;
        let drop_name = match &ranges.source {
            Source::Stored(_) => false,
            Source::Computed(grid, _) => grid.rows[i].drop_name,
        };
        out.push(RangeRow {
            labels: ranges.labels(i),
            drop_name,
            points,
            histograms,
        });
    }
    Ok(out)
}
