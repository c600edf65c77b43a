//! Range selectors and subqueries, series by series.

use super::ahead::ahead;
use super::grid::{Frame, Grid, Row};
use super::histogram_points::{HistogramPoint, HistogramPoints};
use super::profile::Running;
use super::selector::first_instant;
use super::start_times::StartTimes;
use super::trace::Trace;
use super::{Context, Moved, subquery};
use crate::error::Error;
use crate::syntax::ast::{Border, Expr, ExprKind, Shift};
use leadline_model::histogram::{FloatHistogram, ResetHint};
use leadline_model::port::SeriesSet;
use leadline_model::sample::Samples;
use leadline_model::target::OwnerId;
use leadline_model::{Labels, Timestamp, is_stale};
use std::sync::Arc;

/// The samples of one series.
#[derive(Default)]
pub(super) struct Loaded {
    /// Its numbers.
    pub(super) samples: Samples,
    /// Its histograms.
    pub(super) histograms: HistogramPoints,
}

/// Where the samples of a range vector come from.
pub(super) enum Source {
    /// From the store.
    Stored(Box<dyn SeriesSet>),
    /// From a subquery: its values at its own times.
    Computed(Grid, Frame),
}

/// A range vector that is about to be read.
pub(super) struct Ranges {
    /// Where its samples come from.
    pub(super) source: Source,
    /// Where evaluation times are moved to.
    pub(super) moved: Moved,
    /// How long (ms) the windows are.
    pub(super) range_ms: i64,
    /// What stands at the borders of the windows.
    pub(super) border: Border,
    /// How far (ms) samples are read before and behind the windows.
    pub(super) margins: (i64, i64),
    /// All windows of the evaluation lie within, ms, both included.
    bounds: (Timestamp, Timestamp),
    /// The place of a range selector's node, for those who ask what it costs to read its series.
    node: Option<usize>,
}

/// Where the windows of a range vector are.
#[derive(Clone, Copy)]
pub(super) struct Place {
    moved: Moved,
    range_ms: i64,
    border: Border,
    margins: (i64, i64),
    /// All windows of the evaluation lie within, ms, both included.
    pub(super) bounds: (Timestamp, Timestamp),
}

impl Place {
    /// Windows of `range_ms` before each time of `frame`, which `shift` moves.
    pub(super) fn of(cx: &Context<'_>, (shift, range_ms, border): (Shift, i64, Border), frame: Frame) -> Self {
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
        Self {
            moved,
            range_ms,
            border,
            margins,
            bounds,
        }
    }
}

impl Ranges {
    /// The windows at `place` over the samples of `source`.
    pub(super) fn at(place: Place, source: Source) -> Self {
        let Place {
            moved,
            range_ms,
            border,
            margins,
            bounds,
        } = place;
        Self {
            source,
            moved,
            range_ms,
            border,
            margins,
            bounds,
            node: None,
        }
    }

    /// Selects the series of a range selector, or evaluates a subquery.
    pub(super) fn open(cx: &mut Context<'_>, expr: &Expr, frame: Frame) -> Result<Self, Error> {
        let (shift, range_ms, border) = match &expr.kind {
            ExprKind::Matrix { selector, range_ms, .. } => (selector.shift, *range_ms, selector.border),
            ExprKind::Subquery(s) => (s.shift, s.range_ms, Border::Open),
            _ => return Err(Error::execution("a range vector was expected")),
        };
        let place = Place::of(cx, (shift, range_ms, border), frame);
        let running = cx.enter(expr.span);
        let node = running.as_ref().map(Running::place);
        let source = match &expr.kind {
            ExprKind::Subquery(s) => {
                let around = cx.statistics;
                cx.statistics = around.below(expr);
                let (grid, inner) = subquery::evaluate(cx, s, place.moved, frame)?;
                cx.statistics = around;
                cx.leave_vector(running, &grid);
                Source::Computed(grid, inner)
            }
            ExprKind::Matrix { selector, .. } => {
                let (mint, maxt) = place.bounds;
                let set = cx.store.select(&selector.matchers, mint, maxt, cx.ordered)?;
                cx.leave_sized(running, (0, 0));
                Source::Stored(ahead(set, place.bounds))
            }
            _ => return Err(Error::execution("a range vector was expected")),
        };
        Ok(Self {
            node,
            ..Self::at(place, source)
        })
    }

    /// Number of series.
    pub(super) fn len(&self) -> usize {
        match &self.source {
            Source::Stored(set) => set.len(),
            Source::Computed(grid, _) => grid.len(),
        }
    }

    /// Replaces `into` by the samples of series i without stale markers.
    pub(super) fn load(&self, cx: &mut Context<'_>, i: usize, into: &mut Loaded) -> Result<(), Error> {
        let Loaded { samples, histograms } = into;
        match &self.source {
            Source::Stored(set) => {
                let running = cx.resume(self.node);
                histograms.read_with(cx, (&**set, i), self.bounds, samples)?;
                cx.decoded(samples.len())?;
                drop_stale(samples);
                histograms.drop_stale();
                cx.pause(running, samples.len() + histograms.points.len());
            }
            Source::Computed(grid, frame) => {
                samples.clear();
                histograms.clear();
                for (step, t) in frame.times().enumerate() {
                    if let Some(v) = grid.get(i, step) {
                        samples.push(t, v);
                    } else if let Some(h) = grid.histogram(i, step) {
                        histograms.points.push(HistogramPoint {
                            t,
                            h: unhinted(h),
                            st: 0,
                        });
                    }
                }
                cx.spend(frame.steps)?;
                cx.tick()?;
            }
        }
        Ok(())
    }

    /// Replaces `into` by the start times of series i; a subquery has none.
    pub(super) fn load_starts(
        &self,
        cx: &Context<'_>,
        i: usize,
        into: &mut StartTimes,
        wanted: bool,
    ) -> Result<(), Error> {
        match &self.source {
            Source::Stored(set) => into.read(cx, (&**set, i), self.bounds, wanted),
            Source::Computed(..) => {
                into.clear();
                Ok(())
            }
        }
    }

    /// The labels of series i.
    pub(super) fn labels(&self, i: usize) -> Labels {
        match &self.source {
            Source::Stored(set) => set.labels(i),
            Source::Computed(grid, _) => grid.rows[i].labels.clone(),
        }
    }

    /// Who wrote series i last; nobody where it was computed.
    pub(super) fn owner(&self, i: usize) -> Option<OwnerId> {
        match &self.source {
            Source::Stored(set) => set.owner(i),
            Source::Computed(..) => None,
        }
    }

    /// What a result of series i is about, of which samples from the oldest to the newest were used.
    pub(super) fn row(&self, i: usize, drop_name: bool, (oldest, newest): (Timestamp, Timestamp)) -> Row {
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
    // Most series have none: all are looked at without a way out on the way, several at once.
    if !samples.v.iter().fold(false, |any, v| any | is_stale(*v)) {
        return;
    }
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
pub(super) struct Cutter {
    from: usize,
    to: usize,
}

impl Cutter {
    /// The samples in `(start, end]`; `time` tells when (ms) one was.
    #[inline]
    pub(super) fn cut<T>(
        &mut self,
        samples: &[T],
        time: impl Fn(&T) -> Timestamp,
        start: Timestamp,
        end: Timestamp,
    ) -> std::ops::Range<usize> {
        // The last window ends behind all samples as a rule.
        if samples.last().is_some_and(|last| time(last) <= end) {
            self.to = samples.len();
        }
        while samples.get(self.to).is_some_and(|s| time(s) <= end) {
            self.to += 1;
        }
        while self.from < self.to && time(&samples[self.from]) <= start {
            self.from += 1;
        }
        self.from..self.to
    }
}
