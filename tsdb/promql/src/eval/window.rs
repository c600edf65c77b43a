//! Range selectors and subqueries as windows of samples, and functions over them.

use super::call::CallSite;
use super::grid::{Cell, Frame, Grid, Row};
use super::histogram_points::{HistogramPoint, HistogramPoints, weight};
use super::notes::Notes;
use super::selector::first_instant;
use super::trace::Trace;
use super::{Context, Moved, Scalar, subquery};
use crate::error::Error;
use crate::functions::histogram_window::{self, MixedWindow};
use crate::functions::vector::absence;
use crate::functions::window::{Window, WindowFn, check_args};
use crate::syntax::ast::{Expr, ExprKind, Span};
use leadline_model::histogram::{FloatHistogram, ResetHint};
use leadline_model::port::SeriesSet;
use leadline_model::quote::Quoted;
use leadline_model::sample::Samples;
use leadline_model::{Labels, Timestamp, is_stale};
use smallvec::SmallVec;
use std::sync::Arc;

/// The samples of one series.
#[derive(Default)]
struct Loaded {
    samples: Samples,
    histograms: HistogramPoints,
}

/// Where the samples of a range vector come from.
enum Source {
    /// From the store.
    Stored(Box<dyn SeriesSet>),
    /// From a subquery: its values at its own times.
    Computed(Grid, Frame),
}

/// A range vector that is about to be read.
struct Ranges {
    source: Source,
    moved: Moved,
    range_ms: i64,
    /// All windows of the evaluation lie within, ms, both included.
    bounds: (Timestamp, Timestamp),
}

impl Ranges {
    /// Selects the series of a range selector, or evaluates a subquery.
    fn open(cx: &mut Context<'_>, expr: &Expr, frame: Frame) -> Result<Self, Error> {
        let (shift, range_ms) = match &expr.kind {
            ExprKind::Matrix { selector, range_ms, .. } => (selector.shift, *range_ms),
            ExprKind::Subquery(s) => (s.shift, s.range_ms),
            _ => return Err(Error::execution("a range vector was expected")),
        };
        let moved = Moved::of(cx, shift);
        let bounds = (
            first_instant(moved.time(frame.start), range_ms),
            moved.time(frame.last()),
        );
        let source = match &expr.kind {
            ExprKind::Subquery(s) => {
                let (grid, inner) = subquery::evaluate(cx, s, moved, frame)?;
                Source::Computed(grid, inner)
            }
            ExprKind::Matrix { selector, .. } => {
                Source::Stored(cx.store.select(&selector.matchers, bounds.0, bounds.1, false)?)
            }
            _ => return Err(Error::execution("a range vector was expected")),
        };
        Ok(Self {
            source,
            moved,
            range_ms,
            bounds,
        })
    }

    fn len(&self) -> usize {
        match &self.source {
            Source::Stored(set) => set.len(),
            Source::Computed(grid, _) => grid.len(),
        }
    }

    /// Replaces `into` by the samples of series i without stale markers.
    fn load(&self, cx: &mut Context<'_>, i: usize, into: &mut Loaded) -> Result<(), Error> {
        let Loaded { samples, histograms } = into;
        match &self.source {
            Source::Stored(set) => {
                set.read(i, self.bounds.0, self.bounds.1, samples)?;
                cx.decoded(samples)?;
                drop_stale(samples);
                histograms.read(cx, (&**set, i), self.bounds)?;
                histograms.drop_stale();
            }
            Source::Computed(grid, frame) => {
                samples.clear();
                histograms.clear();
                for (step, t) in frame.times().enumerate() {
                    if let Some(v) = grid.get(i, step) {
                        samples.push(t, v);
                    } else if let Some(h) = grid.histogram(i, step) {
                        histograms.points.push(HistogramPoint { t, h: unhinted(h) });
                    }
                }
                cx.tick()?;
            }
        }
        Ok(())
    }

    fn labels(&self, i: usize) -> Labels {
        match &self.source {
            Source::Stored(set) => set.labels(i),
            Source::Computed(grid, _) => grid.rows[i].labels.clone(),
        }
    }

    fn row(&self, i: usize, drop_name: bool, (oldest, newest): (Timestamp, Timestamp)) -> Row {
        match &self.source {
            Source::Stored(set) => Row {
                labels: set.labels(i),
                drop_name,
                trace: Trace::of_series(oldest, newest, set.owner(i)),
            },
            Source::Computed(grid, _) => {
                let mut row = grid.rows[i].clone();
                row.drop_name |= drop_name;
                row
            }
        }
    }
}

/// The histogram without a hint about resets, which holds between stored samples only: a subquery may have left some out.
fn unhinted(h: &Arc<FloatHistogram>) -> Arc<FloatHistogram> {
    if !matches!(h.reset, ResetHint::Reset | ResetHint::NotReset) {
        return Arc::clone(h);
    }
    Arc::new(FloatHistogram {
        reset: ResetHint::Unknown,
        ..(**h).clone()
    })
}

/// Removes stale markers: ranges do not see them.
fn drop_stale(samples: &mut Samples) {
    let Some(first) = samples.v.iter().position(|v| is_stale(*v)) else {
        return;
    };
    let mut kept = first;
    for i in first..samples.len() {
        if !is_stale(samples.v[i]) {
            samples.t[kept] = samples.t[i];
            samples.v[kept] = samples.v[i];
            kept += 1;
        }
    }
    samples.t.truncate(kept);
    samples.v.truncate(kept);
}

/// Cuts the windows of the steps out of the samples of one series; both borders only move forward.
#[derive(Default)]
struct Cutter {
    from: usize,
    to: usize,
}

impl Cutter {
    /// The samples in `(start, end]`; `time` tells when (ms) one was.
    #[inline]
    fn cut<T>(
        &mut self,
        samples: &[T],
        time: impl Fn(&T) -> Timestamp,
        start: Timestamp,
        end: Timestamp,
    ) -> std::ops::Range<usize> {
        self.to += samples[self.to..].iter().take_while(|s| time(s) <= end).count();
        self.from += samples[self.from..self.to]
            .iter()
            .take_while(|s| time(s) <= start)
            .count();
        self.from..self.to
    }
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
    let range = range.ok_or_else(|| Error::execution(format!("{name}() takes a range vector")))?;
    let call = WindowCall {
        name,
        f,
        others: &others,
        span: site.arg(0)?.span,
    };
    let ranges = Ranges::open(cx, range, frame)?;
    let mut grid = Grid::with_capacity(frame.steps, ranges.len());
    let mut loaded = Loaded::default();
    let mut counters = CounterCheck::of(name);
    for i in 0..ranges.len() {
        ranges.load(cx, i, &mut loaded)?;
        cx.hold(frame.steps)?;
        let (cells, present) = grid.open();
        let used = if loaded.histograms.points.is_empty() {
            call.fill(&mut cx.notes, &ranges, &loaded.samples, frame, (cells, present))?
        } else {
            call.fill_mixed(&mut cx.notes, &mut grid, (&ranges, i), &loaded, frame)?
        };
        match used {
            Some(used) => {
                let row = ranges.row(i, call.drops_name(), used);
                if grid.open_has_number() {
                    counters.check(&mut cx.notes, &row.labels, call.span);
                }
                grid.keep(row);
            }
            None => {
                grid.discard();
                cx.release(frame.steps);
            }
        }
    }
    Ok(if name == "absent_over_time" {
        absence(&grid, range)
    } else {
        grid
    })
}

/// A function over windows with its arguments.
struct WindowCall<'a> {
    name: &'a str,
    f: WindowFn,
    /// The scalar arguments.
    others: &'a [Scalar],
    /// The first argument, where notes point.
    span: Span,
}

impl WindowCall<'_> {
    /// Whether the results mean something else than the samples did.
    fn drops_name(&self) -> bool {
        !matches!(self.name, "last_over_time" | "first_over_time")
    }

    /// Computes all steps of one series; `None` when no step has a value, else the times of the oldest and the newest
    /// sample that were used.
    fn fill(
        &self,
        notes: &mut Notes,
        ranges: &Ranges,
        samples: &Samples,
        frame: Frame,
        (cells, present): (&mut [f64], &mut [bool]),
    ) -> Result<Option<(Timestamp, Timestamp)>, Error> {
        let mut used: Option<(Timestamp, Timestamp)> = None;
        let mut cutter = Cutter::default();
        let mut args: [f64; 4] = [0.0; 4];
        let count = self.others.len().min(args.len());
        for step in 0..frame.steps {
            let at = frame.at(step);
            let end = ranges.moved.time(at);
            let start = end.saturating_sub(ranges.range_ms);
            let cut = cutter.cut(&samples.t, |t| *t, start, end);
            if cut.is_empty() {
                continue;
            }
            for (arg, scalar) in args.iter_mut().zip(self.others) {
                *arg = scalar.values[step];
            }
            if count > 0 {
                self.check(notes, &args[..count])?;
            }
            let window = Window {
                t: &samples.t[cut.clone()],
                v: &samples.v[cut],
                start,
                end,
                at,
                args: &args[..count],
            };
            if let Some(value) = (self.f)(&window) {
                cells[step] = value;
                present[step] = true;
                let (oldest, newest) = (window.t[0], window.t[window.t.len() - 1]);
                used = Some(used.map_or((oldest, newest), |(o, n)| (o.min(oldest), n.max(newest))));
            }
        }
        Ok(used)
    }

    /// As [`Self::fill`], of a series with histograms; the cells are those of the opened row.
    fn fill_mixed(
        &self,
        notes: &mut Notes,
        grid: &mut Grid,
        (ranges, series): (&Ranges, usize),
        loaded: &Loaded,
        frame: Frame,
    ) -> Result<Option<(Timestamp, Timestamp)>, Error> {
        let row = grid.len();
        let labels = ranges.labels(series);
        let mixed = histogram_window::lookup(self.name);
        let (samples, histograms) = (&loaded.samples, &loaded.histograms.points);
        let (mut of_floats, mut of_histograms) = (Cutter::default(), Cutter::default());
        let mut used: Option<(Timestamp, Timestamp)> = None;
        for step in 0..frame.steps {
            let at = frame.at(step);
            let end = ranges.moved.time(at);
            let start = end.saturating_sub(ranges.range_ms);
            let floats = of_floats.cut(&samples.t, |t| *t, start, end);
            let histograms = &histograms[of_histograms.cut(histograms, |p| p.t, start, end)];
            if floats.is_empty() && histograms.is_empty() {
                continue;
            }
            let args: SmallVec<[f64; 4]> = self.others.iter().map(|scalar| scalar.values[step]).collect();
            if !args.is_empty() {
                self.check(notes, &args)?;
            }
            let window = MixedWindow {
                floats: Window {
                    t: &samples.t[floats.clone()],
                    v: &samples.v[floats],
                    start,
                    end,
                    at,
                    args: &args,
                },
                histograms,
                metric: labels.name(),
                span: self.span,
            };
            let value = match mixed {
                _ if histograms.is_empty() => (self.f)(&window.floats).map(Cell::Float),
                Some(f) => f(&window, notes)?,
                None => histogram_window::numbers_only(self.f, &window, notes),
            };
            let (Some(value), (Some(oldest), Some(newest))) = (value, window.times()) else {
                continue;
            };
            grid.set(row, step, value);
            used = Some(used.map_or((oldest, newest), |(o, n)| (o.min(oldest), n.max(newest))));
        }
        Ok(used)
    }

    fn check(&self, notes: &mut Notes, args: &[f64]) -> Result<(), Error> {
        if self.name == "quantile_over_time" {
            notes.check_quantile(args[0], self.span);
        }
        check_args(self.name, args)
    }
}

/// Tells that `rate` or `increase` read a metric that is not called like a counter, once a metric.
struct CounterCheck {
    wanted: bool,
    last: Vec<u8>,
}

impl CounterCheck {
    fn of(function: &str) -> Self {
        Self {
            wanted: matches!(function, "rate" | "increase"),
            last: Vec::new(),
        }
    }

    #[inline]
    fn check(&mut self, notes: &mut Notes, labels: &Labels, span: Span) {
        if !self.wanted {
            return;
        }
        let Some(name) = super::key::value_of(labels, leadline_model::labels::NAME) else {
            return;
        };
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
            notes.info(span, format!("{text}: {}", Quoted(labels.name())));
        }
    }
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
        let samples = &loaded.samples;
        let cut = Cutter::default().cut(&samples.t, |t| *t, start, end);
        let points: Vec<_> = cut.map(|p| (samples.t[p], samples.v[p])).collect();
        let histograms = &loaded.histograms.points;
        let cut = Cutter::default().cut(histograms, |p| p.t, start, end);
        let histograms: Vec<_> = histograms[cut].iter().map(|p| (p.t, Arc::clone(&p.h))).collect();
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
