//! Instant selectors that find native histograms, and maybe numbers too.

use super::grid::{Cell, Frame, Grid};
use super::histogram_points::{HistogramPoint, weight};
use super::selector::Read;
use super::{Context, Moved, spanned};
use crate::error::Error;
use crate::functions::border::{around, smoothed_at};
use crate::functions::histogram_border::{Borders, between};
use crate::syntax::ast::Span;
use leadline_model::histogram::{CombineError, FloatHistogram, ResetHint};
use leadline_model::sample::Samples;
use leadline_model::{Timestamp, is_stale};
use std::sync::Arc;

/// The samples of one series.
#[derive(Clone, Copy)]
pub(super) struct Mixed<'a> {
    /// Its numbers.
    pub(super) samples: &'a Samples,
    /// Its histograms.
    pub(super) histograms: &'a [HistogramPoint],
}

/// When a selector is evaluated, and how far (ms) it looks.
#[derive(Clone, Copy)]
pub(super) struct Looks {
    /// The steps.
    pub(super) frame: Frame,
    /// Where they are moved to.
    pub(super) moved: Moved,
    /// How far back.
    pub(super) lookback_ms: i64,
}

impl Looks {
    /// Each step and the time (ms) that it looks at.
    pub(super) fn times(self) -> impl Iterator<Item = (usize, Timestamp)> {
        (0..self.frame.steps).map(move |step| (step, self.moved.time(self.frame.at(step))))
    }

    /// The places of those of `samples` that are less than the lookback away from `at`, behind or ahead.
    pub(super) fn near<T>(
        self,
        samples: &[T],
        time: impl Fn(&T) -> Timestamp,
        at: Timestamp,
    ) -> std::ops::Range<usize> {
        let (from, to) = (at.saturating_sub(self.lookback_ms), at.saturating_add(self.lookback_ms));
        samples.partition_point(|s| time(s) <= from)..samples.partition_point(|s| time(s) <= to)
    }
}

/// Writes the newer of the newest number and the newest histogram to the opened row, for each step that sees one, and
/// returns the times of the oldest and newest sample that were seen.
pub(super) fn fill(grid: &mut Grid, of: Mixed<'_>, looks: Looks, read: Read) -> Option<(Timestamp, Timestamp)> {
    let Mixed { samples, histograms } = of;
    let row = grid.len();
    let mut used: Option<(Timestamp, Timestamp)> = None;
    let (mut floats_behind, mut histograms_behind) = (0, 0);
    for (step, at) in looks.times() {
        floats_behind += samples.t[floats_behind..].iter().take_while(|t| **t <= at).count();
        histograms_behind += histograms[histograms_behind..].iter().take_while(|p| p.t <= at).count();
        let float = floats_behind.checked_sub(1).map(|i| (samples.t[i], samples.v[i]));
        let histogram = histograms_behind.checked_sub(1).map(|i| &histograms[i]);
        let (t, value) = match (float, histogram) {
            (Some((t, v)), histogram) if histogram.is_none_or(|h| h.t <= t) => {
                (t, (!is_stale(v)).then_some(Cell::Float(v)))
            }
            (_, Some(h)) => (h.t, (!h.h.is_stale()).then(|| Cell::Histogram(Arc::clone(&h.h)))),
            _ => continue,
        };
        let Some(value) = value.filter(|_| t > at.saturating_sub(looks.lookback_ms)) else {
            continue;
        };
        let value = match read {
            Read::Value => value,
            Read::FloatTime if matches!(value, Cell::Histogram(_)) => value,
            Read::Time | Read::FloatTime => Cell::Float(t as f64 / 1000.0),
            // Still the sample's time, ms, by which its start is found.
            Read::Start => Cell::Float(t as f64),
        };
        grid.set(row, step, value);
        used = spanned(used, Some((t, t)));
    }
    used
}

/// As [`fill`], of a smoothed selector: what is between the samples around each time, up to the lookback away. Stale
/// markers are passed over; where numbers and histograms are in sight there is nothing.
///
/// # Errors
/// When a histogram is damaged.
pub(super) fn fill_smoothed(
    cx: &mut Context<'_>,
    grid: &mut Grid,
    of: Mixed<'_>,
    looks: Looks,
    (span, metric): (Span, &str),
) -> Result<Option<(Timestamp, Timestamp)>, Error> {
    let floats = of.samples.t.iter().zip(&of.samples.v);
    let (t, v): (Vec<_>, Vec<_>) = floats.filter(|(_, v)| !is_stale(**v)).unzip();
    let histograms: Vec<_> = of.histograms.iter().filter(|p| !p.h.is_stale()).cloned().collect();
    let row = grid.len();
    let mut used: Option<(Timestamp, Timestamp)> = None;
    for (step, at) in looks.times() {
        let floats = looks.near(&t, |t| *t, at);
        let seen = &histograms[looks.near(&histograms, |p| p.t, at)];
        // Between two histograms each bucket is calculated.
        cx.spend(1 + seen.first().map_or(0, |p| weight(&p.h)))?;
        let (times, value) = if seen.is_empty() {
            let (t, v) = (&t[floats.clone()], &v[floats]);
            let times = around(t, |t| *t, at).map(|(a, b)| (t[a], t[b]));
            (times, smoothed_at(t, v, at).map(Cell::Float))
        } else if floats.is_empty() {
            let times = around(seen, |p| p.t, at).map(|(a, b)| (seen[a].t, seen[b].t));
            let value = smoothed_histogram(cx, seen, at, (span, metric))?;
            (times, value.map(Cell::Histogram))
        } else {
            cx.notes.mixed_samples(span, metric);
            continue;
        };
        if let Some(value) = value {
            grid.set(row, step, value);
            used = spanned(used, times);
        }
    }
    Ok(used)
}

/// The histogram at `at`, between those around it.
fn smoothed_histogram(
    cx: &mut Context<'_>,
    points: &[HistogramPoint],
    at: Timestamp,
    (span, metric): (Span, &str),
) -> Result<Option<Arc<FloatHistogram>>, Error> {
    let Some((previous, next)) = around(points, |p| p.t, at) else {
        return Ok(None);
    };
    let (previous, next) = (&points[previous], &points[next]);
    if next.t == at {
        return Ok(Some(Arc::clone(&next.h)));
    }
    if next.t == previous.t {
        // What is known about resets is between two samples.
        let mut h = (*previous.h).clone();
        h.reset = ResetHint::Unknown;
        return Ok(Some(Arc::new(h)));
    }
    let counter = previous.h.reset != ResetHint::Gauge || next.h.reset != ResetHint::Gauge;
    let borders = Borders { span, counter };
    match between(previous, next, at, borders, &mut cx.notes) {
        Ok(h) => Ok(Some(Arc::new(h))),
        Err(CombineError::Schemas) => {
            cx.notes.mixed_bounds(span, metric);
            Ok(None)
        }
        Err(CombineError::Layout(error)) => Err(Error::execution(error.to_string())),
    }
}
