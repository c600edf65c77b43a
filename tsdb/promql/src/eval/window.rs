//! Range selectors and subqueries as windows of samples, and functions over them.

use super::call::CallSite;
use super::grid::{Frame, Grid, Row};
use super::notes::Notes;
use super::selector::first_instant;
use super::start_times::StartTimes;
use super::trace::Trace;
use super::{Context, Moved, Scalar, subquery};
use crate::error::Error;
use crate::functions::integral::is_strategy;
use crate::functions::number::format_g;
use crate::functions::vector::absence;
use crate::functions::window::{Window, WindowFn, check_args, check_border};
use crate::functions::{border, rate};
use crate::syntax::ast::{Border, Expr, ExprKind, Span};
use leadline_model::port::SeriesSet;
use leadline_model::quote::Quoted;
use leadline_model::sample::Samples;
use leadline_model::{Labels, Timestamp, is_stale};

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
    /// What stands at the borders of the windows.
    border: Border,
    /// How far (ms) samples are read before and behind the windows.
    margins: (i64, i64),
    /// All windows of the evaluation lie within, ms, both included.
    bounds: (Timestamp, Timestamp),
}

impl Ranges {
    /// Selects the series of a range selector, or evaluates a subquery.
    fn open(cx: &mut Context<'_>, expr: &Expr, frame: Frame) -> Result<Self, Error> {
        let (shift, range_ms, border) = match &expr.kind {
            ExprKind::Matrix { selector, range_ms, .. } => (selector.shift, *range_ms, selector.border),
            ExprKind::Subquery(s) => (s.shift, s.range_ms, Border::Open),
            _ => return Err(Error::execution("a range vector was expected")),
        };
        let moved = Moved::of(cx, shift);
        let margins = match border {
            Border::Open => (0, 0),
            Border::Anchored => (cx.lookback_ms, 0),
            Border::Smoothed => (cx.lookback_ms, cx.lookback_ms),
        };
        let bounds = (
            first_instant(moved.time(frame.start), range_ms.saturating_add(margins.0)),
            moved.time(frame.last()).saturating_add(margins.1),
        );
        let source = match &expr.kind {
            ExprKind::Subquery(s) => {
                let (grid, inner) = subquery::evaluate(cx, s, moved, frame)?;
                Source::Computed(grid, inner)
            }
            ExprKind::Matrix { selector, .. } => {
                Source::Stored(cx.store.select(&selector.matchers, bounds.0, bounds.1, cx.ordered)?)
            }
            _ => return Err(Error::execution("a range vector was expected")),
        };
        Ok(Self {
            source,
            moved,
            range_ms,
            border,
            margins,
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
    fn load(&self, cx: &mut Context<'_>, i: usize, into: &mut Samples) -> Result<(), Error> {
        match &self.source {
            Source::Stored(set) => {
                set.read(i, self.bounds.0, self.bounds.1, into)?;
                cx.decoded(into)?;
                drop_stale(into);
            }
            Source::Computed(grid, frame) => {
                into.clear();
                for (step, t) in frame.times().enumerate() {
                    if let Some(v) = grid.get(i, step) {
                        into.push(t, v);
                    }
                }
                cx.tick()?;
            }
        }
        Ok(())
    }

    /// Replaces `into` by the start times of series i; a subquery has none.
    fn load_starts(&self, cx: &Context<'_>, i: usize, into: &mut StartTimes, wanted: bool) -> Result<(), Error> {
        match &self.source {
            Source::Stored(set) => into.read(cx, (&**set, i), self.bounds, wanted),
            Source::Computed(..) => {
                into.clear();
                Ok(())
            }
        }
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
struct Cutter {
    from: usize,
    to: usize,
}

impl Cutter {
    /// The samples in `(start, end]`.
    #[inline]
    fn cut(&mut self, t: &[Timestamp], start: Timestamp, end: Timestamp) -> std::ops::Range<usize> {
        self.to += t[self.to..].iter().take_while(|t| **t <= end).count();
        self.from += t[self.from..self.to].iter().take_while(|t| **t <= start).count();
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
        argument: site.arg(site.count() - 1)?.span,
        lookback_ms: cx.lookback_ms,
    };
    let ranges = Ranges::open(cx, range, frame)?;
    check_border(name, ranges.border)?;
    let reads_starts = matches!(name, "rate" | "irate" | "increase" | "resets");
    let (mut starts, mut st) = (StartTimes::default(), Vec::new());
    let mut grid = Grid::with_capacity(frame.steps, ranges.len());
    let mut samples = Samples::default();
    let mut counters = CounterCheck::of(name);
    for i in 0..ranges.len() {
        ranges.load(cx, i, &mut samples)?;
        ranges.load_starts(cx, i, &mut starts, reads_starts)?;
        starts.align(&samples.t, &mut st);
        cx.hold(frame.steps)?;
        let (cells, present) = grid.open();
        let columns = Columns {
            samples: &samples,
            st: &st,
            series: i,
        };
        match call.fill(&mut cx.notes, &ranges, columns, frame, (cells, present))? {
            Some(used) => {
                let row = ranges.row(i, call.drops_name(), used);
                counters.check(&mut cx.notes, &row.labels, call.span);
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
    /// The last argument.
    argument: Span,
    /// How far (ms) instant selectors look back.
    lookback_ms: i64,
}

/// What is known of the series whose windows are cut.
#[derive(Clone, Copy)]
struct Columns<'a> {
    samples: &'a Samples,
    /// Start times, ms; empty when none is known.
    st: &'a [Timestamp],
    /// Its number in the range vector.
    series: usize,
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
        columns: Columns<'_>,
        frame: Frame,
        (cells, present): (&mut [f64], &mut [bool]),
    ) -> Result<Option<(Timestamp, Timestamp)>, Error> {
        let Columns { samples, st, series } = columns;
        let (before, behind) = ranges.margins;
        let mut used: Option<(Timestamp, Timestamp)> = None;
        let mut cutter = Cutter { from: 0, to: 0 };
        let mut args: [f64; 4] = [0.0; 4];
        let count = self.others.len().min(args.len());
        for step in 0..frame.steps {
            let at = frame.at(step);
            let end = ranges.moved.time(at);
            let start = end.saturating_sub(ranges.range_ms);
            let cut = cutter.cut(&samples.t, start.saturating_sub(before), end.saturating_add(behind));
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
                let metric = Quoted(ranges.labels(series).name()).to_string();
                let text = "sample has start time that overlaps with previous sample timestamp for metric";
                notes.warn(self.span, format!("{text} {metric}"));
            }
            if let Some(value) = (self.f)(&window) {
                cells[step] = value;
                present[step] = true;
                let (oldest, newest) = (window.t[0], window.t[window.t.len() - 1]);
                used = Some(used.map_or((oldest, newest), |(o, n)| (o.min(oldest), n.max(newest))));
            }
        }
        Ok(used)
    }

    /// Whether it is `rate` or `increase` of a window that is extrapolated to its borders.
    fn extrapolates(&self, border: Border) -> bool {
        border == Border::Open && matches!(self.name, "rate" | "increase")
    }

    fn check(&self, notes: &mut Notes, args: &[f64]) -> Result<(), Error> {
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

/// Labels and samples of one series of a range vector.
pub(crate) type RangeRow = (Labels, bool, Vec<(Timestamp, f64)>);

/// The range vector that a whole instant query asks for: (labels, whether the name goes, samples) of each series.
///
/// # Errors
/// [`Error`].
pub(crate) fn top_level(cx: &mut Context<'_>, expr: &Expr, frame: Frame) -> Result<Vec<RangeRow>, Error> {
    let expr = expr.unwrapped();
    let ranges = Ranges::open(cx, expr, frame)?;
    let end = ranges.moved.time(frame.start);
    let mut samples = Samples::default();
    let mut out = Vec::with_capacity(ranges.len());
    for i in 0..ranges.len() {
        ranges.load(cx, i, &mut samples)?;
        let start = end.saturating_sub(ranges.range_ms);
        let (before, behind) = ranges.margins;
        let cut = Cutter { from: 0, to: 0 }.cut(&samples.t, start.saturating_sub(before), end.saturating_add(behind));
        if cut.is_empty() {
            continue;
        }
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
        if points.is_empty() {
            continue;
        }
        cx.hold(points.len())?;
        let drop_name = match &ranges.source {
            Source::Stored(_) => false,
            Source::Computed(grid, _) => grid.rows[i].drop_name,
        };
        out.push((ranges.labels(i), drop_name, points));
    }
    Ok(out)
}
