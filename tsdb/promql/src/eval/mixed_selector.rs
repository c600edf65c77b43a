//! Instant selectors that find native histograms, and maybe numbers too.

use super::grid::{Cell, Frame, Grid};
use super::histogram_points::HistogramPoint;
use super::selector::Read;
use super::{Context, Moved};
use crate::error::Error;
use crate::functions::border::smoothed_at;
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

/// Writes the newer of the newest number and the newest histogram to the opened row, for each step that sees one, and
/// returns the times of the oldest and newest sample that were seen.
pub(super) fn fill(grid: &mut Grid, of: Mixed<'_>, looks: Looks, read: Read) -> Option<(Timestamp, Timestamp)> {
    let Mixed { samples, histograms } = of;
    let row = grid.len();
    let mut used: Option<(Timestamp, Timestamp)> = None;
    let (mut floats_behind, mut histograms_behind) = (0, 0);
    for step in 0..looks.frame.steps {
        let at = looks.moved.time(looks.frame.at(step));
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
        used = Some(used.map_or((t, t), |(oldest, _)| (oldest, t)));
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
    for step in 0..looks.frame.steps {
        let at = looks.moved.time(looks.frame.at(step));
        let (from, to) = (
            at.saturating_sub(looks.lookback_ms),
            at.saturating_add(looks.lookback_ms),
        );
        let floats = t.partition_point(|t| *t <= from)..t.partition_point(|t| *t <= to);
        let seen = &histograms[histograms.partition_point(|p| p.t <= from)..histograms.partition_point(|p| p.t <= to)];
        let (times, value) = if seen.is_empty() {
            let value = smoothed_at(&t[floats.clone()], &v[floats.clone()], at).map(Cell::Float);
            (t[floats.clone()].first().copied().zip(t[floats].last().copied()), value)
        } else if floats.is_empty() {
            let value = smoothed_histogram(cx, seen, at, (span, metric))?.map(Cell::Histogram);
            (seen.first().map(|p| p.t).zip(seen.last().map(|p| p.t)), value)
        } else {
            cx.notes.mixed_samples(span, metric);
            continue;
        };
        let (Some((oldest, newest)), Some(value)) = (times, value) else {
            continue;
        };
        grid.set(row, step, value);
        used = Some(used.map_or((oldest, newest), |(o, _)| (o, newest)));
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
    let next = points.partition_point(|p| p.t < at);
    if let Some(exact) = points.get(next).filter(|p| p.t == at) {
        return Ok(Some(Arc::clone(&exact.h)));
    }
    let Some(previous) = next.checked_sub(1).map(|i| &points[i]) else {
        return Ok(None);
    };
    let Some(next) = points.get(next) else {
        // What is known about resets is between two samples.
        let mut h = (*previous.h).clone();
        h.reset = ResetHint::Unknown;
        return Ok(Some(Arc::new(h)));
    };
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
